//! A small world for the tests: a conference with its participants, wired as the shells wire them.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::description::{Description, Extension, Format, Msid, Section, SectionKind, Source, uri};
use super::sfu::{SfuCommand, SfuNews, TransportRole};
use super::signal::{Join, Publish, RoomRequest, RoomSignal, RoomWish, Topology};
use super::view::{ParticipantKind, Permission, TrackLayer, TrackSource};
use crate::conference::{Birth as RoomBirth, Conference, ConferenceEffect, ConferenceInput};
use crate::event::Context;
use crate::id::{ConferenceId, CorrelationId, NodeId, ParticipantId, Tenant, TrackId};
use crate::machine::{Machine, Notice};
use crate::media::{Codec, Direction, LocalMedia, PeerDescription};
use crate::participant::{Birth, Participant, ParticipantEffect, ParticipantInput};
use crate::pii::Pii;
use crate::publication::PublicationInput;
use crate::time::Now;
use crate::world::start;

pub(crate) fn id(n: u128) -> ParticipantId {
    ParticipantId::from_uuid(Uuid::from_u128(n))
}

pub(crate) fn track(n: u128) -> TrackId {
    TrackId::from_uuid(Uuid::from_u128(n))
}

pub(crate) fn permission() -> Permission {
    Permission {
        can_subscribe: true,
        can_publish: true,
        can_publish_data: true,
        sources: Arc::default(),
        is_hidden: false,
        is_recorder: false,
        can_update_metadata: true,
    }
}

pub(crate) fn join(n: u128) -> Join {
    Join {
        participant: id(n),
        conference: ConferenceId::from_uuid(Uuid::from_u128(0xc0)),
        context: Context {
            tenant: Tenant::default_tenant(),
            correlation_id: CorrelationId::from_uuid(Uuid::from_u128(0xc1)),
            node: NodeId::from_uuid(Uuid::from_u128(0x40)),
        },
        room: String::from("room").try_into().unwrap(),
        identity: format!("user {n}").try_into().unwrap(),
        name: format!("User {n}").into(),
        metadata: Arc::default(),
        attributes: Arc::default(),
        permission: permission(),
        kind: ParticipantKind::Standard,
        topology: Topology::Single,
        auto_subscribe: true,
        client_protocol: 0,
        capabilities: Arc::default(),
        wanted: RoomWish::default(),
        may_create: true,
    }
}

fn peer() -> Arc<PeerDescription> {
    let password = Pii::new(String::from("a password of twenty-two"));
    Arc::new(PeerDescription { ufrag: "ufrag".into(), password, fingerprint: [7; 32], ssrc: None })
}

fn format(kind: SectionKind, name: &str, payload_type: u8) -> Format {
    let is_audio = kind == SectionKind::Audio;
    let codec = Codec {
        payload_type,
        name: name.into(),
        clock_rate_hz: if is_audio { 48_000 } else { 90_000 },
        channels: if is_audio { 2 } else { 1 },
        fmtp: None,
    };
    let feedback = if is_audio { vec![] } else { vec!["nack".into(), "nack pli".into(), "transport-cc".into()] };
    Format { codec, rtx: (!is_audio).then_some(payload_type + 1), feedback }
}

/// A section as a browser offers it.
pub(crate) fn section(mid: usize, kind: SectionKind, direction: Direction) -> Section {
    let formats = match kind {
        SectionKind::Audio => vec![format(kind, "opus", 111)],
        SectionKind::Video => vec![format(kind, "VP8", 96), format(kind, "H264", 102)],
        SectionKind::Data | SectionKind::Other => vec![],
    };
    let extensions =
        [(1, uri::MID), (2, uri::RID), (3, uri::REPAIRED_RID), (4, uri::AUDIO_LEVEL), (5, uri::TRANSPORT_CC)];
    Section {
        mid: mid.to_string().into(),
        kind,
        is_rejected: false,
        direction,
        formats,
        extensions: extensions.map(|(id, uri)| Extension { id, uri: uri.into() }).into(),
        rids: Vec::new(),
        sources: Vec::new(),
        msid: None,
        sctp: None,
    }
}

/// A section in which a client sends what it announced as `cid`.
pub(crate) fn sending(mid: usize, kind: SectionKind, cid: &str) -> Section {
    Section {
        msid: Some(Msid { stream: "-".into(), track: cid.into() }),
        sources: vec![Source { ssrc: 1_000 + mid as u32, rtx: None }],
        ..section(mid, kind, Direction::SendOnly)
    }
}

/// An offer of so many sections to receive in, of each kind.
pub(crate) fn receiving(audio: usize, video: usize) -> Vec<Section> {
    let kinds = std::iter::repeat_n(SectionKind::Audio, audio).chain(std::iter::repeat_n(SectionKind::Video, video));
    kinds.enumerate().map(|(mid, kind)| section(mid, kind, Direction::RecvOnly)).collect()
}

pub(crate) fn offer(sections: &[Section]) -> Arc<Description> {
    let sections = sections.iter().cloned().map(Arc::new).collect();
    Arc::new(Description { peer: peer(), address: None, mixes_extensions: true, sections })
}

pub(crate) fn publish(n: u128, kind: SectionKind) -> Arc<Publish> {
    let layer =
        |(quality, height): (i32, u32)| TrackLayer { quality, width: height * 16 / 9, height, bitrate: 0, ssrc: 0 };
    let layers = if kind == SectionKind::Video { [(0, 180), (1, 360), (2, 720)].map(layer).into() } else { [].into() };
    Arc::new(Publish {
        track: track(n),
        cid: format!("cid {n}").into(),
        kind,
        source: if kind == SectionKind::Video { TrackSource::Camera } else { TrackSource::Microphone },
        name: Arc::default(),
        stream: "camera".into(),
        is_muted: false,
        width: 1_280,
        height: 720,
        layers,
        codec: Arc::default(),
        disable_red: true,
        encryption: 0,
        audio_features: Arc::default(),
    })
}

/// Machines and what they did.
pub(crate) struct RoomWorld {
    pub(crate) now: Now,
    pub(crate) conference: Conference,
    pub(crate) participants: BTreeMap<ParticipantId, Participant>,
    pub(crate) signals: Vec<(ParticipantId, RoomSignal)>,
    pub(crate) media: Vec<(ParticipantId, SfuCommand)>,
    pub(crate) tracks: Vec<(TrackId, PublicationInput)>,
    queue: VecDeque<Step>,
}

enum Step {
    Conference(ConferenceInput),
    Participant(ParticipantId, ParticipantInput),
}

impl RoomWorld {
    /// A room with so many seats.
    pub(crate) fn new(seats: Option<u32>) -> Self {
        let join = join(0);
        let wish = RoomWish { seats, ..RoomWish::default() };
        let birth = RoomBirth { context: join.context, name: join.room, wish, policy: None };
        let conference = Conference::new(join.conference, Arc::new(birth), start());
        let mut world = Self {
            now: start(),
            conference,
            participants: BTreeMap::new(),
            signals: Vec::new(),
            media: Vec::new(),
            tracks: Vec::new(),
            queue: VecDeque::new(),
        };
        world.conference_input(ConferenceInput::Start);
        world
    }

    /// A room in which these are active, each with an offer of three sections of each kind answered.
    pub(crate) fn with(guests: &[u128]) -> Self {
        let mut world = Self::new(None);
        for guest in guests {
            world.enter(join(*guest));
            world.says(*guest, RoomRequest::Offer { id: 1, offer: offer(&receiving(3, 3)) });
            world.input(*guest, ParticipantInput::News(SfuNews::Connected(TransportRole::Publisher)));
        }
        world
    }

    pub(crate) fn enter(&mut self, join: Join) {
        let (id, conference) = (join.participant, join.conference);
        let birth = Birth { join: Arc::new(join), conference };
        self.participants.insert(id, Participant::new(Arc::new(birth), self.now));
        self.queue.push_back(Step::Participant(id, ParticipantInput::Start));
        self.run();
    }

    pub(crate) fn says(&mut self, n: u128, request: RoomRequest) {
        self.input(n, ParticipantInput::Request(request));
    }

    pub(crate) fn input(&mut self, n: u128, input: ParticipantInput) {
        self.queue.push_back(Step::Participant(id(n), input));
        self.run();
    }

    pub(crate) fn conference_input(&mut self, input: ConferenceInput) {
        self.queue.push_back(Step::Conference(input));
        self.run();
    }

    /// Publishes a track in a section behind those for receiving.
    pub(crate) fn publishes(&mut self, n: u128, number: u128, kind: SectionKind) {
        self.says(n, RoomRequest::Publish(publish(number, kind)));
        let mut sections = receiving(3, 3);
        sections.push(sending(6, kind, &format!("cid {number}")));
        self.says(n, RoomRequest::Offer { id: 2, offer: offer(&sections) });
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now = self.now.after(time);
        let now = self.now.mono;
        if self.conference.next_deadline().is_some_and(|due| due <= now) {
            self.conference_input(ConferenceInput::Notice(Notice::Tick));
        }
        let ripe: Vec<_> = self
            .participants
            .iter()
            .filter(|(_, it)| it.next_deadline().is_some_and(|due| due <= now))
            .map(|(id, _)| *id)
            .collect();
        for id in ripe {
            self.queue.push_back(Step::Participant(id, ParticipantInput::Notice(Notice::Tick)));
        }
        self.run();
    }

    /// What somebody was told.
    pub(crate) fn told(&self, n: u128) -> Vec<&RoomSignal> {
        self.signals.iter().filter(|(to, _)| *to == id(n)).map(|(_, signal)| signal).collect()
    }

    /// The last answer to somebody's offers.
    pub(crate) fn answer(&self, n: u128) -> (Arc<Description>, Vec<(String, TrackId)>) {
        let answer = self.told(n).into_iter().rev().find_map(|signal| match signal {
            RoomSignal::Answer { answer, tracks, .. } => Some((answer.clone(), tracks.clone())),
            _ => None,
        });
        let (answer, tracks) = answer.expect("an answer");
        (answer, tracks.iter().map(|(mid, track)| (mid.to_string(), *track)).collect())
    }

    fn run(&mut self) {
        while let Some(step) = self.queue.pop_front() {
            match step {
                Step::Conference(input) => {
                    let mut next = self.conference.clone();
                    let Ok(effects) = next.handle(self.now, input) else { continue };
                    self.conference = next;
                    effects.into_iter().for_each(|effect| self.tell(effect));
                }
                Step::Participant(id, input) => self.step(id, input),
            }
        }
    }

    fn tell(&mut self, effect: ConferenceEffect) {
        match effect {
            ConferenceEffect::Tell(to, input) => self.queue.push_back(Step::Participant(to, *input)),
            ConferenceEffect::TellAll(all, input) => {
                all.iter().for_each(|to| self.queue.push_back(Step::Participant(*to, (*input).clone())));
            }
        }
    }

    fn step(&mut self, id: ParticipantId, input: ParticipantInput) {
        let Some(mut next) = self.participants.get(&id).cloned() else { return };
        let Ok(effects) = next.handle(self.now, input) else { return };
        self.participants.insert(id, next);
        for effect in effects {
            match effect {
                ParticipantEffect::OpenMedia(role) => {
                    let at = SocketAddr::from(([192, 0, 2, 1], 7_882));
                    let local = LocalMedia { peer: Some(peer()), ..LocalMedia::pair(at, at) };
                    self.queue.push_back(Step::Participant(id, ParticipantInput::MediaReady(role, local)));
                }
                ParticipantEffect::Media(command) => self.media.push((id, command)),
                ParticipantEffect::Signal(signal) => self.signals.push((id, signal)),
                ParticipantEffect::TellTrack(track, input) => self.tracks.push((track, input)),
                ParticipantEffect::OpenTrack(_) => {}
                ParticipantEffect::TellConference(news) => {
                    self.queue.push_back(Step::Conference(ConferenceInput::Participant(id, news)));
                }
            }
        }
    }
}
