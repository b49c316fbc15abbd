//! The edge with played rooms behind it.

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use livekit_token::{AccessToken, VideoGrants};
use parking_lot::Mutex;
use tandem_core::event::Context;
use tandem_core::id::{ConferenceId, NodeId, ParticipantId, Tenant};
use tandem_core::machine::{Refusal, Stamp};
use tandem_core::media::{Direction, LocalMedia, PeerDescription};
use tandem_core::pii::Pii;
use tandem_core::ports::{Audience, RoomEdgePort, RoomOrder, RoomPort, SfuPort};
use tandem_core::room::description::{Description, Section};
use tandem_core::room::sfu::{DataOut, SfuCommand, TransportId, TransportRole};
use tandem_core::room::signal::Then;
use tandem_core::room::signal::{Join, JoinRefusal, Joined, RoomRequest, RoomSignal, RoomWish};
use tandem_core::room::view::{LeaveReason, LimitOrigin, ParticipantView, RoomView, SeatLimit};
use tandem_core::room::{RoomIdentity, RoomName};
use tandem_core::time::WallTime;
use tandem_livekit::{Config, Deps, Livekit, RefusedJoin};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

/// Longer than anything here takes.
pub(crate) const LONG: Duration = Duration::from_secs(30);

#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) joins: Vec<Join>,
    pub(crate) requests: Vec<(ParticipantId, RoomRequest)>,
    pub(crate) cuts: Vec<ParticipantId>,
    pub(crate) orders: Vec<(RoomName, RoomOrder)>,
    pub(crate) created: Vec<(RoomName, RoomWish)>,
    numbers: HashMap<ParticipantId, u64>,
    conference: Option<ConferenceId>,
}

/// One room that lets everybody in and answers every offer.
#[derive(Default)]
pub(crate) struct Rooms {
    edge: OnceLock<Arc<Livekit>>,
    pub(crate) seen: Mutex<Seen>,
    /// What joins are told instead.
    pub(crate) refusal: Mutex<Option<JoinRefusal>>,
    /// Who must not send data.
    pub(crate) silenced: Mutex<Vec<ParticipantId>>,
}

#[derive(Default)]
pub(crate) struct Sfu {
    pub(crate) sent: Mutex<Vec<DataOut>>,
    /// So many times it is full.
    pub(crate) stuck: Mutex<u32>,
}

pub(crate) struct World {
    pub(crate) edge: Arc<Livekit>,
    pub(crate) rooms: Arc<Rooms>,
    pub(crate) sfu: Arc<Sfu>,
    pub(crate) refused: Arc<Mutex<Vec<RefusedJoin>>>,
    pub(crate) address: SocketAddr,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(Config::default()).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        let (rooms, sfu) = (Arc::new(Rooms::default()), Arc::new(Sfu::default()));
        let node = NodeId::from_uuid(Uuid::from_u128(1));
        let refused = Arc::new(Mutex::new(Vec::new()));
        let noted = refused.clone();
        let deps = Deps { rooms: rooms.clone(), node, refused: Arc::new(move |it| noted.lock().push(it)) };
        let edge = Livekit::new(config.for_development(), deps);
        edge.connect(sfu.clone());
        assert!(rooms.edge.set(edge.clone()).is_ok());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (router, relaying) = (edge.router(), edge.clone());
        let tasks = vec![
            tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }),
            tokio::spawn(async move { relaying.relay().await }),
        ];
        Self { edge, rooms, sfu, refused, address, tasks }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Says something to a participant.
    pub(crate) fn say(&self, to: ParticipantId, signal: RoomSignal) -> Result<(), Refusal> {
        self.rooms.say(to, signal)
    }

    /// The participants that came in, in order.
    pub(crate) fn participants(&self) -> Vec<ParticipantId> {
        self.rooms.seen.lock().joins.iter().map(|it| it.participant).collect()
    }

    pub(crate) fn conference(&self) -> ConferenceId {
        self.rooms.seen.lock().conference.unwrap()
    }

    pub(crate) fn requests(&self) -> Vec<RoomRequest> {
        self.rooms.seen.lock().requests.iter().map(|(_, it)| it.clone()).collect()
    }
}

pub(crate) fn token(identity: &str) -> String {
    let grants = VideoGrants { room_join: true, room: "room".into(), ..VideoGrants::default() };
    granted(identity, grants)
}

pub(crate) fn granted(identity: &str, grants: VideoGrants) -> String {
    AccessToken::with_api_key("devkey", "secret").with_identity(identity).with_grants(grants).to_jwt().unwrap()
}

/// Waits for something to become so.
pub(crate) async fn until(what: &str, is_so: impl Fn() -> bool) {
    let wait = async {
        while !is_so() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    within(what, wait).await;
}

pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(LONG, future).await.unwrap_or_else(|_| panic!("in vain: {what}"))
}

impl Rooms {
    fn edge(&self) -> &Livekit {
        self.edge.get().unwrap()
    }

    pub(crate) fn say(&self, to: ParticipantId, signal: RoomSignal) -> Result<(), Refusal> {
        let number = {
            let mut seen = self.seen.lock();
            let number = seen.numbers.entry(to).or_default();
            *number += 1;
            *number
        };
        self.edge().signal(Stamp { from: to, number }, signal)
    }

    fn views(&self) -> Vec<Arc<ParticipantView>> {
        let view = |join: &Join| Arc::new(ParticipantView::newcomer(join, WallTime(1_700_000_000_000_000)));
        self.seen.lock().joins.iter().map(view).collect()
    }

    pub(crate) fn room(&self) -> Arc<RoomView> {
        let seen = self.seen.lock();
        let name = seen.joins.first().map_or_else(|| name("room"), |it| it.room.clone());
        Arc::new(RoomView {
            conference: seen.conference.unwrap_or(ConferenceId::from_uuid(Uuid::from_u128(7))),
            name,
            metadata: "about".into(),
            began: WallTime(1_700_000_000_000_000),
            limit: SeatLimit { seats: Some(50), origin: LimitOrigin::Policy },
            empty_timeout_s: 300,
            departure_timeout_s: 20,
            participants: u32::try_from(seen.joins.len()).unwrap(),
            publishers: 0,
            is_recorded: false,
        })
    }

    fn joined(&self, who: ParticipantId) -> Arc<Joined> {
        let (me, others) = self.views().into_iter().partition::<Vec<_>, _>(|it| it.id == who);
        Arc::new(Joined { room: self.room(), me: me.into_iter().next().unwrap(), others })
    }
}

pub(crate) fn name(text: &str) -> RoomName {
    RoomName::try_from(text.to_owned()).unwrap()
}

/// What a room answers that carries nothing yet.
pub(crate) fn answer(offer: &Description) -> Description {
    let peer = PeerDescription {
        ufrag: "wK3f9QxZ".into(),
        password: Pii::new("Zb7Qm2+Xr9/Lk4Vt8Ny1Hc6D".into()),
        fingerprint: [7; 32],
        ssrc: None,
    };
    let section = |it: &Arc<Section>| Arc::new(Section { direction: Direction::Inactive, ..it.as_ref().clone() });
    Description {
        peer: Arc::new(peer),
        address: Some(([192, 0, 2, 5], 7_882).into()),
        mixes_extensions: offer.mixes_extensions,
        sections: offer.sections.iter().map(section).collect(),
    }
}

impl RoomPort for Rooms {
    fn join(&self, join: Join) -> Result<ConferenceId, JoinRefusal> {
        let participant = join.participant;
        let refusal = *self.refusal.lock();
        match refusal {
            Some(refusal @ JoinRefusal::ParticipantLimit { .. }) => {
                self.say(participant, RoomSignal::Refused(refusal)).unwrap();
                return Ok(join.conference);
            }
            Some(refusal) => return Err(refusal),
            None => {}
        }
        let conference = {
            let mut seen = self.seen.lock();
            let conference = *seen.conference.get_or_insert(join.conference);
            seen.joins.push(join);
            conference
        };
        self.say(participant, RoomSignal::Joined(self.joined(participant))).unwrap();
        Ok(conference)
    }

    fn request(&self, participant: ParticipantId, request: RoomRequest) -> Result<(), Refusal> {
        if !self.seen.lock().joins.iter().any(|it| it.participant == participant) {
            return Err(Refusal::Gone);
        }
        match &request {
            RoomRequest::Offer { id, offer } => {
                let answer = Arc::new(answer(offer));
                self.say(participant, RoomSignal::Answer { id: *id, answer, tracks: [].into() }).unwrap();
            }
            RoomRequest::Leave => {
                self.say(participant, RoomSignal::Left { reason: LeaveReason::Client, then: Then::StayAway }).unwrap();
                self.edge().release(participant);
            }
            _ => {}
        }
        self.seen.lock().requests.push((participant, request));
        Ok(())
    }

    fn cut(&self, participant: ParticipantId) {
        self.seen.lock().cuts.push(participant);
    }

    fn resume(&self, _: &Tenant, identity: &RoomIdentity, participant: ParticipantId) -> Result<(), Refusal> {
        let is_here = |it: &Join| it.participant == participant && it.identity == *identity;
        if !self.seen.lock().joins.iter().any(is_here) {
            return Err(Refusal::Gone);
        }
        // What was on its way already must not come first.
        self.say(participant, RoomSignal::Room(self.room())).unwrap();
        self.say(participant, RoomSignal::Resumed(self.joined(participant)))
    }

    fn audience(&self, from: ParticipantId, to: &[RoomIdentity]) -> Option<Audience> {
        let views = self.views();
        let me = views.iter().find(|it| it.id == from)?;
        let is_meant = |it: &&Arc<ParticipantView>| it.id != from && (to.is_empty() || to.contains(&it.identity));
        let transport = |it: &Arc<ParticipantView>| TransportId { participant: it.id, role: TransportRole::Publisher };
        let to = views.iter().filter(is_meant).map(transport).collect();
        let may_send = !self.silenced.lock().contains(&from);
        Some(Audience { identity: me.identity.clone(), may_send, to })
    }

    fn create(
        &self,
        conference: ConferenceId,
        _: Context,
        name: RoomName,
        wish: RoomWish,
    ) -> Result<Arc<RoomView>, JoinRefusal> {
        self.seen.lock().created.push((name.clone(), wish.clone()));
        Ok(Arc::new(RoomView { conference, name, metadata: wish.metadata, ..self.room().as_ref().clone() }))
    }

    fn rooms(&self, _: &Tenant) -> Vec<Arc<RoomView>> {
        if self.seen.lock().joins.is_empty() { Vec::new() } else { vec![self.room()] }
    }

    fn participants(&self, _: &Tenant, name: &RoomName) -> Option<Vec<Arc<ParticipantView>>> {
        (self.room().name == *name).then(|| self.views())
    }

    fn order(&self, _: &Tenant, name: &RoomName, order: RoomOrder) -> Result<(), Refusal> {
        if self.seen.lock().joins.is_empty() || self.room().name != *name {
            return Err(Refusal::Gone);
        }
        self.seen.lock().orders.push((name.clone(), order));
        Ok(())
    }
}

impl SfuPort for Sfu {
    fn open(&self, _: ConferenceId, _: TransportId) -> Result<LocalMedia, Refusal> {
        Err(Refusal::Full)
    }

    fn command(&self, _: ConferenceId, _: SfuCommand) -> Result<(), Refusal> {
        Ok(())
    }

    fn send(&self, _: ConferenceId, data: DataOut) -> Result<(), Refusal> {
        let mut stuck = self.stuck.lock();
        if *stuck > 0 {
            *stuck -= 1;
            return Err(Refusal::Full);
        }
        self.sent.lock().push(data);
        Ok(())
    }

    fn release(&self, _: TransportId) {}
}

impl Sfu {
    pub(crate) fn messages(&self) -> Vec<(Vec<ParticipantId>, Bytes)> {
        let brief = |it: &DataOut| (it.to.iter().map(|it| it.participant).collect(), it.bytes.clone());
        self.sent.lock().iter().map(brief).collect()
    }
}
