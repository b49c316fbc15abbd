//! Rooms on their actors, with an edge and a media pool that only remember: joins at once, and actors that break.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says so and stops")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tandem_actors::drill::How;
use tandem_actors::rooms::Policy;
use tandem_actors::{Calls, Clock, Config, Node, PartId, Rooms, RoomsOutside};
use tandem_core::event::Context;
use tandem_core::id::{ConferenceId, CorrelationId, NodeId, ParticipantId, Tenant, TrackId};
use tandem_core::machine::{Refusal, Stamp};
use tandem_core::media::{Codec, Direction, LocalMedia, PeerDescription};
use tandem_core::metric::Metrics;
use tandem_core::pii::Pii;
use tandem_core::ports::{RoomEdgePort, RoomOrder, RoomPort, SfuListener, SfuPort};
use tandem_core::room::RoomName;
use tandem_core::room::description::{Description, Format, Msid, Section, SectionKind};
use tandem_core::room::sfu::{DataOut, SfuCommand, SfuNews, TransportId, TransportRole};
use tandem_core::room::signal::{Join, JoinRefusal, Publish, RoomRequest, RoomSignal, RoomWish, Then, Topology};
use tandem_core::room::view::{LimitOrigin, ParticipantKind, Permission, TrackSource};
use tokio::time::sleep;
use uuid::Uuid;

#[derive(Default)]
struct Recorder {
    signals: Mutex<HashMap<ParticipantId, Vec<RoomSignal>>>,
    commands: Mutex<Vec<SfuCommand>>,
    released: Mutex<Vec<ParticipantId>>,
}

impl RoomEdgePort for Recorder {
    fn signal(&self, stamp: Stamp<ParticipantId>, signal: RoomSignal) -> Result<(), Refusal> {
        self.signals.lock().entry(stamp.from).or_default().push(signal);
        Ok(())
    }

    fn release(&self, participant: ParticipantId) {
        self.released.lock().push(participant);
    }
}

impl SfuPort for Recorder {
    fn open(&self, _: ConferenceId, _: TransportId) -> Result<LocalMedia, Refusal> {
        let at = SocketAddr::from(([127, 0, 0, 1], 7_882));
        Ok(LocalMedia { peer: Some(peer()), ..LocalMedia::pair(at, at) })
    }

    fn command(&self, _: ConferenceId, command: SfuCommand) -> Result<(), Refusal> {
        self.commands.lock().push(command);
        Ok(())
    }

    fn send(&self, _: ConferenceId, _: DataOut) -> Result<(), Refusal> {
        Ok(())
    }

    fn release(&self, _: TransportId) {}
}

fn peer() -> Arc<PeerDescription> {
    let password = Pii::new(String::from("a password of twenty-two"));
    Arc::new(PeerDescription { ufrag: "ufrag".into(), password, fingerprint: [7; 32], ssrc: None })
}

struct World {
    rooms: Arc<Rooms>,
    node: Node,
    outside: Arc<Recorder>,
}

fn participant(n: u128) -> ParticipantId {
    ParticipantId::from_uuid(Uuid::from_u128(n))
}

fn conference(n: u128) -> ConferenceId {
    ConferenceId::from_uuid(Uuid::from_u128(0xc0_0000 + n))
}

fn room() -> RoomName {
    String::from("room").try_into().unwrap()
}

fn join(n: u128) -> Join {
    Join {
        participant: participant(n),
        conference: conference(n),
        context: Context {
            tenant: Tenant::default_tenant(),
            correlation_id: CorrelationId::from_uuid(Uuid::from_u128(n)),
            node: NodeId::from_uuid(Uuid::from_u128(1)),
        },
        room: room(),
        identity: format!("user {n}").try_into().unwrap(),
        name: Arc::default(),
        metadata: Arc::default(),
        attributes: Arc::default(),
        permission: Permission {
            can_subscribe: true,
            can_publish: true,
            can_publish_data: true,
            sources: Arc::default(),
            is_hidden: false,
            is_recorder: false,
            can_update_metadata: false,
        },
        kind: ParticipantKind::Standard,
        topology: Topology::Single,
        auto_subscribe: true,
        client_protocol: 0,
        capabilities: Arc::default(),
        wanted: RoomWish::default(),
        may_create: true,
    }
}

fn section(mid: &str, direction: Direction, msid: Option<&str>) -> Arc<Section> {
    let codec = Codec { payload_type: 111, name: "opus".into(), clock_rate_hz: 48_000, channels: 2, fmtp: None };
    Arc::new(Section {
        mid: mid.into(),
        kind: SectionKind::Audio,
        is_rejected: false,
        direction,
        formats: vec![Format { codec, rtx: None, feedback: Vec::new() }],
        extensions: Vec::new(),
        rids: Vec::new(),
        sources: Vec::new(),
        msid: msid.map(|track| Msid { stream: "-".into(), track: track.into() }),
        sctp: None,
    })
}

fn offer(id: u32, sections: Vec<Arc<Section>>) -> RoomRequest {
    RoomRequest::Offer {
        id,
        offer: Arc::new(Description { peer: peer(), address: None, mixes_extensions: true, sections }),
    }
}

fn microphone(track: u128) -> RoomRequest {
    RoomRequest::Publish(Arc::new(Publish {
        track: TrackId::from_uuid(Uuid::from_u128(track)),
        cid: "mic".into(),
        kind: SectionKind::Audio,
        source: TrackSource::Microphone,
        name: Arc::default(),
        stream: Arc::default(),
        is_muted: false,
        width: 0,
        height: 0,
        layers: Arc::default(),
        codec: Arc::default(),
        disable_red: true,
        encryption: 0,
        audio_features: Arc::default(),
    }))
}

impl World {
    async fn start() -> Self {
        Self::with(Policy::default()).await
    }

    async fn with(policy: Policy) -> Self {
        let metrics = Arc::<Metrics>::default();
        let clock = Clock::start();
        let calls = Calls::new(&Config::default(), clock.clone(), metrics.clone());
        let rooms = Rooms::new(policy, clock, &metrics);
        let outside = Arc::<Recorder>::default();
        rooms.connect(RoomsOutside { edge: outside.clone(), sfu: outside.clone() });
        let node = Node::start(calls, rooms.clone(), Vec::new()).await.unwrap();
        Self { rooms, node, outside }
    }

    fn told(&self, n: u128) -> Vec<RoomSignal> {
        self.outside.signals.lock().get(&participant(n)).cloned().unwrap_or_default()
    }

    async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        for _ in 0..2_000 {
            if is_so(self) {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("never: {what}");
    }

    /// Two who talk: the first publishes, the second receives.
    async fn talking() -> Self {
        let world = Self::start().await;
        for n in [1, 2] {
            world.rooms.join(join(n)).unwrap();
            world.until("joined", |it| matches!(it.told(n).first(), Some(RoomSignal::Joined(_)))).await;
            world.rooms.request(participant(n), offer(1, vec![section("0", Direction::RecvOnly, None)])).unwrap();
            world.until("answered", |it| it.told(n).iter().any(|it| matches!(it, RoomSignal::Answer { .. }))).await;
            world.rooms.news(participant(n), SfuNews::Connected(TransportRole::Publisher)).unwrap();
        }
        world.rooms.request(participant(1), microphone(10)).unwrap();
        let sections = vec![section("0", Direction::RecvOnly, None), section("1", Direction::SendOnly, Some("mic"))];
        world.rooms.request(participant(1), offer(2, sections)).unwrap();
        world.until("asked", |it| it.told(2).iter().any(|it| matches!(it, RoomSignal::SectionsNeeded { .. }))).await;
        world.rooms.request(participant(2), offer(2, vec![section("0", Direction::RecvOnly, None)])).unwrap();
        world
            .until("sent", |it| it.outside.commands.lock().iter().any(|it| matches!(it, SfuCommand::Send { .. })))
            .await;
        world
    }

    fn is_left(&self, n: u128) -> bool {
        self.told(n).iter().any(|it| matches!(it, RoomSignal::Left { .. }))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_who_join_at_once_are_in_one_conference_and_only_as_many_as_there_are_seats() {
    let world = Arc::new(World::with(Policy { seats: Some(50), ..Policy::default() }).await);
    let joins: Vec<_> = (1..=100)
        .map(|n| {
            let world = world.clone();
            tokio::spawn(async move { world.rooms.join(join(n)).unwrap() })
        })
        .collect();
    let mut conferences = Vec::new();
    for join in joins {
        conferences.push(join.await.unwrap());
    }
    conferences.dedup();
    assert_eq!(conferences.len(), 1, "of a hundred who begin it, one did");
    world.until("all were answered", |it| (1..=100).all(|n| !it.told(n).is_empty())).await;
    let refusal = RoomSignal::Refused(JoinRefusal::ParticipantLimit { seats: 50, origin: LimitOrigin::Policy });
    let refused = (1..=100).filter(|n| world.told(*n).first() == Some(&refusal)).count();
    let joined = (1..=100).filter(|n| matches!(world.told(*n).first(), Some(RoomSignal::Joined(_)))).count();
    assert_eq!((joined, refused), (50, 50));
    world.until("the refused are gone", |it| it.outside.released.lock().len() == 50).await;
}

#[tokio::test]
async fn whatever_actor_of_a_room_is_broken_nobody_has_to_leave() {
    for how in [How::Panic, How::Kill, How::Hang] {
        let world = World::talking().await;
        let parts = world.node.tree().view();
        let victims: Vec<PartId> = parts.iter().filter_map(|part| part.id.parse().ok()).collect();
        assert_eq!(victims.len(), 1 + 2 + 1, "a conference, two participants, a track");
        for victim in victims {
            assert!(world.rooms.break_actor(victim, how), "{victim}");
        }
        // Whoever is asked something now is asked in the middle of it.
        let order = RoomOrder::SetMetadata("still here".into());
        world.rooms.order(&Tenant::default_tenant(), &room(), order).unwrap();
        for n in [1, 2] {
            let heard = |it: &RoomSignal| matches!(it, RoomSignal::Room(room) if &*room.metadata == "still here");
            world.until("both heard of it", |it| it.told(n).iter().any(heard)).await;
            assert!(!world.is_left(n), "{how:?}");
        }
        let stops = |it: &SfuCommand| matches!(it, SfuCommand::StopReceiving { .. } | SfuCommand::StopSending { .. });
        assert!(!world.outside.commands.lock().iter().any(stops), "{how:?}: media was touched");
    }
}

#[tokio::test]
async fn who_leaves_is_released_and_the_room_ends_after_the_last_one() {
    let world = World::talking().await;
    world.rooms.request(participant(1), RoomRequest::Leave).unwrap();
    world
        .until("its track ended", |it| {
            it.outside.commands.lock().iter().any(|it| matches!(it, SfuCommand::StopReceiving { .. }))
                || it.outside.released.lock().contains(&participant(1))
        })
        .await;
    world
        .until("the other is told", |it| {
            it.told(2)
                .iter()
                .any(|it| matches!(it, RoomSignal::Participants(seen) if seen.iter().any(|it| it.left.is_some())))
        })
        .await;
    assert_eq!(world.rooms.participants(&Tenant::default_tenant(), &room()).unwrap().len(), 1);
    assert_eq!(world.rooms.drain(Duration::ZERO).await, 0);
    assert!(world.told(2).iter().any(|it| matches!(it, RoomSignal::Left { then: Then::Rejoin, .. })));
    assert_eq!(world.rooms.join(join(3)), Err(JoinRefusal::Shutdown));
}

#[tokio::test]
async fn only_its_own_identity_and_tenant_may_take_a_place_again() {
    let world = World::talking().await;
    let (mine, other) = (join(1).identity, join(2).identity);
    let tenant = Tenant::default_tenant();
    world.rooms.cut(participant(1));
    assert_eq!(world.rooms.resume(&tenant, &other, participant(1)), Err(Refusal::Gone));
    assert_eq!(world.rooms.resume(&tenant, &mine, participant(9)), Err(Refusal::Gone));
    world.rooms.resume(&tenant, &mine, participant(1)).unwrap();
    world.until("he is told all", |it| it.told(1).iter().any(|it| matches!(it, RoomSignal::Resumed(_)))).await;
}

#[tokio::test]
async fn data_reaches_all_others_or_those_that_are_named() {
    let world = World::talking().await;
    world.rooms.join(join(3)).unwrap();
    world.until("the third is in", |it| !it.told(3).is_empty()).await;
    let reached = |to: &[_]| {
        let audience = world.rooms.audience(participant(1), to).unwrap();
        audience.to.iter().map(|it| it.participant).collect::<Vec<_>>()
    };
    assert_eq!(reached(&[]), [participant(2), participant(3)]);
    assert_eq!(reached(&[join(3).identity]), [participant(3)]);
    assert_eq!(world.rooms.audience(participant(9), &[]), None);
}
