//! The edge as a whole: what it is made of, and what the machines see of it.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use bytes::Bytes;
use tandem_core::event::Context;
use tandem_core::id::{ConferenceId, NodeId, ParticipantId};
use tandem_core::machine::{Refusal, Stamp};
use tandem_core::ports::{DataPort, RoomEdgePort, RoomPort, SfuPort};
use tandem_core::room::sfu::DataChannel;
use tandem_core::room::signal::RoomSignal;
use tandem_core::room::view::LimitOrigin;
use tandem_core::room::{RoomIdentity, RoomName};
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::data::Relay;
use crate::keys::Keys;
use crate::wires::Wires;
use crate::{door, twirp};

/// What the edge needs of the world from the start.
#[derive(Clone)]
pub struct Deps {
    /// The rooms' actors.
    pub rooms: Arc<dyn RoomPort>,
    /// This node.
    pub node: NodeId,
    /// Hears of everybody for whom there was no seat. Must not wait.
    pub refused: Arc<dyn Fn(RefusedJoin) + Send + Sync>,
}

/// Somebody for whom there was no seat.
#[derive(Clone, Debug, PartialEq)]
pub struct RefusedJoin {
    /// Ids of his request.
    pub context: Context,
    /// Where he wanted to go.
    pub room: RoomName,
    /// Who he is.
    pub identity: RoomIdentity,
    /// How many seats there are.
    pub seats: u32,
    /// Who says so.
    pub origin: LimitOrigin,
    /// Where he is, if the server that the routes are mounted in tells (as an extension of that type).
    pub from: Option<IpAddr>,
}

/// Rooms on LiveKit's wire.
pub struct Livekit {
    pub(crate) config: Config,
    pub(crate) keys: Keys,
    pub(crate) rooms: Arc<dyn RoomPort>,
    pub(crate) node: NodeId,
    pub(crate) refused: Arc<dyn Fn(RefusedJoin) + Send + Sync>,
    pub(crate) wires: Arc<Wires>,
    /// Places for sockets.
    pub(crate) places: Arc<Semaphore>,
    pub(crate) data: Relay,
}

impl Livekit {
    /// An edge that nobody is connected to. Without a [media pool](Self::connect) it passes no data on.
    #[must_use]
    pub fn new(config: Config, deps: Deps) -> Arc<Self> {
        let wires = Arc::new(Wires::new(config.signal_queue));
        Arc::new(Self {
            keys: Keys::new(&config.key),
            wires: wires.clone(),
            places: Arc::new(Semaphore::new(config.connections)),
            data: Relay::new(&config, deps.rooms.clone(), wires),
            rooms: deps.rooms,
            node: deps.node,
            refused: deps.refused,
            config,
        })
    }

    /// Joins it to the media pool. Once: a second one is not taken.
    pub fn connect(&self, sfu: Arc<dyn SfuPort>) {
        self.data.connect(sfu);
    }

    /// `/rtc`, `/rtc/v1`, their `validate`, and `/twirp/*`.
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new().merge(door::routes()).merge(twirp::routes()).with_state(self.clone())
    }

    /// Passes data on until it is dropped. To be run once at a time; after an end, by whatever cause, it may be run
    /// again and goes on with what waits.
    pub async fn relay(&self) {
        self.data.run().await;
    }
}

impl RoomEdgePort for Livekit {
    fn signal(&self, stamp: Stamp<ParticipantId>, signal: RoomSignal) -> Result<(), Refusal> {
        self.wires.signal(stamp, signal)
    }

    fn release(&self, participant: ParticipantId) {
        self.wires.release(participant);
        self.data.forget(participant);
    }
}

impl DataPort for Livekit {
    fn received(
        &self,
        conference: ConferenceId,
        from: ParticipantId,
        channel: DataChannel,
        bytes: Bytes,
    ) -> Result<(), Refusal> {
        self.data.push(conference, from, channel, bytes)
    }
}
