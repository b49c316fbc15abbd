//! The conferences, participants and published tracks of one node, as edges and media see them.
//!
//! ```text
//!  edge, media ── RoomPort, SfuListener ──▶ slots of conferences · participants · publications ── effects ──▶ [`RoomsOutside`]
//! ```
//!
//! # Invariants
//! * Of two who begin the same room at once one does, and both are in it: names are looked up and filed under one lock.
//! * Repeats do no harm: edges drop a signal with a stamp that they know, the pool takes a command twice, a conference
//!   takes the later version of a participant.

mod port;
mod wires;

use std::collections::HashMap;
use std::num::NonZeroU8;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tandem_core::conference::{Conference, ConferenceInput};
use tandem_core::id::{ConferenceId, Tenant};
use tandem_core::metric::{Fill, Gauge, Metrics, Queue, Queues};
use tandem_core::participant::Participant;
use tandem_core::ports::{RoomEdgePort, SfuPort};
use tandem_core::publication::Publication;
use tandem_core::room::RoomName;
use tandem_core::time::Timestamp;
use tokio::time::sleep;

use crate::clock::Clock;
use crate::directory::Limits;
use crate::drill::How;
use crate::keeper::Member;
use crate::part::PartId;
use crate::sharded::Sharded;
use crate::tree::{PartView, Standing};
use wires::Wires;

/// How long conferences that were told to end may take.
const LAST_CONFERENCES: Duration = Duration::from_secs(6);

/// What the effects of conferences, participants and their tracks go to.
#[derive(Clone)]
pub struct RoomsOutside {
    /// Signals to the far ends.
    pub edge: Arc<dyn RoomEdgePort>,
    /// Connections and packets.
    pub sfu: Arc<dyn SfuPort>,
}

/// What an operator allows of rooms.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Policy {
    /// Participants in one room; `None`: as many as the node takes.
    pub seats: Option<u32>,
    /// Participants of all rooms together.
    pub participants: usize,
    /// Into how many shards their actors are divided.
    pub shards: NonZeroU8,
}

impl Default for Policy {
    fn default() -> Self {
        Self { seats: None, participants: 10_000, shards: crate::Config::default().shards }
    }
}

/// See the module. Works as soon as it is connected and its actors were started by a [`Node`](crate::Node).
pub struct Rooms {
    conferences: Sharded<Conference>,
    participants: Sharded<Participant>,
    publications: Sharded<Publication>,
    names: Mutex<HashMap<(Tenant, RoomName), ConferenceId>>,
    policy: Policy,
    is_draining: AtomicBool,
    outside: OnceLock<RoomsOutside>,
    clock: Clock,
}

impl Rooms {
    /// Without a single room, and refusing all until it is [connected](Self::connect).
    #[must_use]
    pub fn new(policy: Policy, clock: Clock, metrics: &Arc<Metrics>) -> Arc<Self> {
        Arc::new_cyclic(|me| {
            let wires = Arc::new(Wires(me.clone()));
            let (shards, at) = (policy.shards, (&clock, metrics));
            Self {
                conferences: Sharded::new("conferences", shards, &wires, at, Limits::CALL, Gauge::ConferencesActive),
                participants: Sharded::new("participants", shards, &wires, at, Limits::CALL, Gauge::ParticipantsActive),
                publications: Sharded::new(
                    "publications",
                    shards,
                    &wires,
                    at,
                    Limits::TRACK,
                    Gauge::PublicationsActive,
                ),
                names: Mutex::default(),
                policy,
                is_draining: AtomicBool::new(false),
                outside: OnceLock::new(),
                clock: clock.clone(),
            }
        })
    }

    /// Joins the rooms to the world. Once: a second world is not taken.
    pub fn connect(&self, outside: RoomsOutside) {
        if self.outside.set(outside).is_err() {
            tracing::error!("rooms are connected already");
        }
    }

    /// Lets nobody in, gives those who are in `timeout`, then puts them out and waits for that some seconds. Gives the
    /// number of conferences that are still there: 0 unless something is broken.
    pub async fn drain(&self, timeout: Duration) -> usize {
        self.is_draining.store(true, SeqCst);
        if tokio::time::timeout(timeout, self.emptied()).await.is_err() {
            tracing::info!(conferences = self.conferences.len(), "ending the conferences that are left");
        }
        self.conferences.slots().for_each(|slot| slot.notify(ConferenceInput::End));
        let _late = tokio::time::timeout(LAST_CONFERENCES, async {
            while self.conferences.len() > 0 || self.publications.len() > 0 {
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        self.conferences.len()
    }

    /// Nobody is in any room: an empty one needs nobody to wait for it.
    async fn emptied(&self) {
        while self.participants.len() > 0 {
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn members(&self) -> Vec<Arc<dyn Member>> {
        self.conferences.members().chain(self.participants.members()).chain(self.publications.members()).collect()
    }

    /// What stands as long as the node: roots and supervisors.
    pub(crate) fn standing(&self) -> Vec<Standing> {
        let conferences = self.conferences.standing();
        conferences.chain(self.participants.standing()).chain(self.publications.standing()).collect()
    }

    /// Every conference, participant and published track: owners before what they own.
    pub(crate) fn parts(&self, now: Timestamp) -> impl Iterator<Item = PartView> {
        self.conferences.parts(now).chain(self.participants.parts(now)).chain(self.publications.parts(now))
    }

    /// As [`Calls::break_actor`](crate::Calls::break_actor).
    pub fn break_actor(&self, who: PartId, how: How) -> bool {
        match who {
            PartId::Conference(id) => self.conferences.find(id).is_some_and(|it| it.slot().break_shell(how)),
            PartId::Participant(id) => self.participants.find(id).is_some_and(|it| it.slot().break_shell(how)),
            PartId::Track(id) => self.publications.find(id).is_some_and(|it| it.slot().break_shell(how)),
            PartId::Call(_) | PartId::Leg(_) => false,
        }
    }
}

impl Queues for Rooms {
    fn queues(&self) -> Vec<(Queue, Fill)> {
        let all = Fill { depth: self.participants.len(), capacity: self.policy.participants };
        vec![
            (Queue::Participants, all),
            (Queue::ConferenceInboxes, self.conferences.fill()),
            (Queue::ParticipantInboxes, self.participants.fill()),
            (Queue::PublicationInboxes, self.publications.fill()),
        ]
    }
}
