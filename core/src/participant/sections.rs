//! The sections of a connection that its far end offers, over all of its offers: which carries what.
//!
//! ```text
//!  offer ──▶ sections in which he sends ── announced tracks ──▶ taken
//!       └──▶ sections in which he receives ── wanted tracks ──▶ filled        what is not wanted any more ──▶ drained
//! ```
//!
//! # Invariants
//! * A section keeps its place and its kind for ever, as its far end does (RFC 8829, 5.2.2).
//! * A track is in one section at most: a second one would make clients give up.
//! * A section changes its track only over an answer in which it carried nothing.

use std::sync::Arc;

use super::formats::{self, Sender};
use crate::id::{ParticipantId, TrackId};
use crate::media::{Codec, Direction};
use crate::room::description::{Description, Format, Msid, Sctp, Section, SectionKind, Source};
use crate::room::sfu::{ReceiveSpec, SendSpec, TransportId};
use crate::room::signal::Publish;

/// Bytes of a message on a data channel.
pub(super) const MAX_MESSAGE: u32 = 65_535;

/// Sections of a connection. More are refused: nobody shows that many.
const MAX_SECTIONS: usize = 512;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sections {
    list: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    mid: Arc<str>,
    kind: SectionKind,
    /// In the last offer the far end was ready to receive in it.
    is_open: bool,
    usage: Usage,
}

#[derive(Clone, Debug, PartialEq)]
enum Usage {
    /// Carries nothing.
    Free,
    /// Carried something, and no answer has said yet that it does not.
    Drained,
    /// The far end sends.
    Publishes(TrackId),
    /// We send.
    Carries(TrackId, Arc<SendSpec>),
}

/// A track that the far end wants.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wanted {
    pub(super) track: TrackId,
    pub(super) kind: SectionKind,
    pub(super) codec: Arc<Codec>,
    pub(super) publisher: ParticipantId,
    pub(super) stream: Arc<str>,
    /// What it is called there.
    pub(super) label: Arc<str>,
}

impl Wanted {
    /// The stream that it belongs to, as clients parse it.
    pub(super) fn stream(&self) -> Arc<str> {
        format!("PA_{}|{}", self.publisher.uuid().simple(), self.stream).into()
    }
}

/// What an offer comes to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Round {
    pub(super) answer: Vec<Arc<Section>>,
    /// Tracks that are published now, under their specification.
    pub(super) taken: Vec<(Arc<Publish>, Arc<ReceiveSpec>)>,
    /// Tracks that the far end took out of its sections.
    pub(super) withdrawn: Vec<TrackId>,
    /// Tracks that we send now.
    pub(super) filled: Vec<(TrackId, Arc<SendSpec>)>,
    /// Tracks that the far end cannot decode.
    pub(super) foreign: Vec<TrackId>,
}

impl Sections {
    /// Answers an offer. `None`: it is not one of this connection, or has too many sections.
    pub(super) fn answer(
        &mut self,
        transport: TransportId,
        offer: &Description,
        announced: &mut Vec<Arc<Publish>>,
        wanted: &[Wanted],
    ) -> Option<Round> {
        let is_continued = self.list.len() <= offer.sections.len()
            && self.list.iter().zip(&offer.sections).all(|(entry, it)| entry.kind == it.kind);
        if !is_continued || offer.sections.len() > MAX_SECTIONS {
            return None;
        }
        let mut round = Round::default();
        for (place, offered) in offer.sections.iter().enumerate() {
            if self.list.len() <= place {
                let (mid, kind) = (offered.mid.clone(), offered.kind);
                self.list.push(Entry { mid, kind, is_open: false, usage: Usage::Free });
            }
            let answer = self.answer_one(place, transport, offered, announced, wanted, &mut round)?;
            round.answer.push(Arc::new(answer));
        }
        Some(round)
    }

    /// Which sections carry which tracks to the far end.
    pub(super) fn carried(&self) -> impl Iterator<Item = (Arc<str>, TrackId, Arc<SendSpec>)> {
        self.list.iter().filter_map(|entry| match &entry.usage {
            Usage::Carries(track, spec) => Some((entry.mid.clone(), *track, spec.clone())),
            Usage::Free | Usage::Drained | Usage::Publishes(_) => None,
        })
    }

    /// How a track is sent.
    pub(super) fn spec_of(&self, track: TrackId) -> Option<Arc<SendSpec>> {
        self.carried().find(|(_, carried, _)| *carried == track).map(|(_, _, spec)| spec)
    }

    /// The far end sends this track no longer.
    pub(super) fn unpublish(&mut self, track: TrackId) {
        for entry in self.list.iter_mut().filter(|entry| entry.usage == Usage::Publishes(track)) {
            entry.usage = Usage::Free;
        }
    }

    /// Empties every section whose track is not among these. Gives those tracks.
    pub(super) fn drain(&mut self, is_wanted: impl Fn(TrackId) -> bool) -> Vec<TrackId> {
        let mut drained = Vec::new();
        for entry in &mut self.list {
            if let Usage::Carries(track, _) = entry.usage
                && !is_wanted(track)
            {
                drained.push(track);
                entry.usage = Usage::Drained;
            }
        }
        drained
    }

    /// How many more sections of a kind would be needed for the tracks that are in none; `None`: all are in one.
    pub(super) fn missing(&self, kind: SectionKind, wanted: &[Wanted]) -> Option<u32> {
        let homeless = wanted.iter().filter(|it| it.kind == kind && self.spec_of(it.track).is_none()).count();
        let is_spare =
            |entry: &&Entry| entry.kind == kind && entry.is_open && matches!(entry.usage, Usage::Free | Usage::Drained);
        let spare = self.list.iter().filter(is_spare).count();
        (homeless > 0).then(|| u32::try_from(homeless.saturating_sub(spare)).unwrap_or(u32::MAX))
    }

    fn answer_one(
        &mut self,
        place: usize,
        transport: TransportId,
        offered: &Section,
        announced: &mut Vec<Arc<Publish>>,
        wanted: &[Wanted],
        round: &mut Round,
    ) -> Option<Section> {
        let sends = matches!(offered.direction, Direction::SendRecv | Direction::SendOnly);
        let receives = matches!(offered.direction, Direction::SendRecv | Direction::RecvOnly);
        let entry = self.list.get_mut(place)?;
        entry.mid = offered.mid.clone();
        entry.is_open = receives && !sends && !offered.is_rejected;
        if offered.is_rejected || offered.kind == SectionKind::Other {
            if let Usage::Publishes(track) = std::mem::replace(&mut entry.usage, Usage::Free) {
                round.withdrawn.push(track);
            }
            return Some(rejected(offered));
        }
        if offered.kind == SectionKind::Data {
            return Some(data(offered));
        }
        if let Usage::Publishes(track) = entry.usage
            && !sends
        {
            round.withdrawn.push(track);
            entry.usage = Usage::Free;
        }
        if sends {
            return Some(self.take(place, transport, offered, announced, round));
        }
        if entry.usage == Usage::Drained {
            entry.usage = Usage::Free;
        } else if receives && entry.usage == Usage::Free {
            self.fill(place, transport, offered, wanted, round);
        }
        Some(self.carry(place, receives, offered, wanted))
    }

    /// A section in which the far end sends.
    fn take(
        &mut self,
        place: usize,
        transport: TransportId,
        offered: &Section,
        announced: &mut Vec<Arc<Publish>>,
        round: &mut Round,
    ) -> Section {
        let known = announced_for(offered, announced);
        let Some(entry) = self.list.get_mut(place) else { return rejected(offered) };
        let features = known.and_then(|n| announced.get(n)).map_or_else(Arc::default, |it| it.audio_features.clone());
        let codec = known.and_then(|n| announced.get(n)).map_or_else(Arc::default, |it| it.codec.clone());
        let Some(format) = formats::to_receive(offered, &codec, &features) else { return rejected(offered) };
        if let Some(publish) =
            known.filter(|_| !matches!(entry.usage, Usage::Publishes(_))).map(|n| announced.remove(n))
        {
            entry.usage = Usage::Publishes(publish.track);
            let spec = ReceiveSpec {
                transport,
                mid: offered.mid.clone(),
                kind: offered.kind,
                formats: vec![(format.codec.clone(), format.rtx)],
                layers: publish.layers_of(&offered.rids),
                sources: offered.sources.iter().map(|it| (it.ssrc, it.rtx)).collect(),
                nack: format.feedback.iter().any(|it| &**it == "nack"),
            };
            round.taken.push((publish, Arc::new(spec)));
        }
        let is_taken = matches!(entry.usage, Usage::Publishes(_));
        Section {
            direction: if is_taken { Direction::RecvOnly } else { Direction::Inactive },
            formats: vec![format],
            extensions: formats::extensions(offered, Sender::Them),
            rids: if is_taken { offered.rids.clone() } else { Vec::new() },
            ..empty(offered)
        }
    }

    /// Puts a wanted track into a section that carries nothing.
    fn fill(&mut self, place: usize, transport: TransportId, offered: &Section, wanted: &[Wanted], round: &mut Round) {
        let is_homeless = |it: &&Wanted| it.kind == offered.kind && self.spec_of(it.track).is_none();
        for wanted in wanted.iter().filter(is_homeless) {
            let Some(format) = formats::to_send(offered, &wanted.codec) else {
                round.foreign.push(wanted.track);
                continue;
            };
            let is_used = |ssrc| self.carried().any(|(_, _, spec)| spec.ssrc == ssrc);
            let spec = spec(transport, wanted.track, offered.mid.clone(), format, is_used);
            if let Some(entry) = self.list.get_mut(place) {
                entry.usage = Usage::Carries(wanted.track, spec.clone());
            }
            round.filled.push((wanted.track, spec));
            return;
        }
    }

    /// The answer to a section in which the far end does not send.
    fn carry(&self, place: usize, receives: bool, offered: &Section, wanted: &[Wanted]) -> Section {
        let usage = self.list.get(place).map(|entry| &entry.usage);
        if let Some(Usage::Carries(track, spec)) = usage
            && receives
            && let Some(wanted) = wanted.iter().find(|it| it.track == *track)
            && let Some(format) = formats::to_send(offered, &wanted.codec)
        {
            return Section {
                direction: Direction::SendOnly,
                formats: vec![format],
                extensions: formats::extensions(offered, Sender::We),
                sources: vec![Source { ssrc: spec.ssrc, rtx: spec.rtx_ssrc }],
                msid: Some(Msid { stream: wanted.stream(), track: wanted.label.clone() }),
                ..empty(offered)
            };
        }
        let Some(format) = formats::to_keep(offered) else { return rejected(offered) };
        let extensions = formats::extensions(offered, Sender::We);
        Section { direction: Direction::Inactive, formats: vec![format], extensions, ..empty(offered) }
    }
}

/// How a track is sent in a section. Its SSRC is even, and the next one is that of its retransmissions: of connections
/// that send with even ones only, both are free when that one is.
pub(super) fn spec(
    transport: TransportId,
    track: TrackId,
    mid: Arc<str>,
    format: Format,
    is_used: impl Fn(u32) -> bool,
) -> Arc<SendSpec> {
    let mixed = transport.participant.uuid().as_u128() ^ track.uuid().as_u128().rotate_left(41);
    let mut ssrc = (mixed ^ mixed >> 32 ^ mixed >> 64 ^ mixed >> 96) as u32 & !1;
    while ssrc == 0 || is_used(ssrc) {
        ssrc = ssrc.wrapping_add(0x9e37_79b2);
    }
    let rtx_ssrc = format.rtx.map(|_| ssrc.wrapping_add(1));
    Arc::new(SendSpec { mid, ssrc, rtx_ssrc, formats: vec![(format.codec, format.rtx)] })
}

/// The announced track that a section is for: the one that it names; else, for clients that name them otherwise there,
/// the first of the kind.
fn announced_for(offered: &Section, announced: &[Arc<Publish>]) -> Option<usize> {
    let name = offered.msid.as_ref().map(|msid| &msid.track);
    let named = announced.iter().position(|it| it.kind == offered.kind && Some(&it.cid) == name);
    named.or_else(|| announced.iter().position(|it| it.kind == offered.kind))
}

fn empty(offered: &Section) -> Section {
    Section::empty(offered.mid.clone(), offered.kind)
}

fn rejected(offered: &Section) -> Section {
    let formats = offered.formats.first().cloned().into_iter().collect();
    Section { is_rejected: true, formats, sctp: offered.sctp, ..empty(offered) }
}

fn data(offered: &Section) -> Section {
    let port = offered.sctp.map_or(5_000, |it| it.port);
    Section {
        direction: Direction::SendRecv,
        sctp: Some(Sctp { port, max_message_size: MAX_MESSAGE }),
        ..empty(offered)
    }
}
