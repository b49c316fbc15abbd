//! Data between participants: messages come from the pool, get their sender, and go to whom they are meant for.
//!
//! ```text
//!  pool ──DataPort::received──▶ queue ──▶ task: RoomPort::audience, sender written on it ──SfuPort::send──▶ pool
//!                                 └ full: refused                    └ reliable: kept for who comes back
//! ```
//!
//! # Invariants
//! * One participant's messages keep their order.
//! * The bytes are passed on as they came, with our words behind them: of a field that is there twice the last counts
//!   (it is a rule of protobuf), and what we do not know is not lost.
//! * A reliable message that came before is not passed on again.

mod kept;
mod packet;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use dashmap::DashMap;
use tandem_core::id::{ConferenceId, ParticipantId};
use tandem_core::machine::Refusal;
use tandem_core::ports::{RoomPort, SfuPort};
use tandem_core::room::RoomIdentity;
use tandem_core::room::sfu::{DataChannel, DataOut, TransportId};
use tokio::sync::{Mutex, mpsc};
use tokio::time::sleep;
use tracing::{debug, error};

use crate::config::Config;
use crate::wires::Wires;
use kept::Kept;
use packet::Packet;

/// How often a reliable message is offered to a worker that is stuck, and the pause between.
const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(10);

/// What waits to be passed on.
enum Job {
    /// A message of somebody.
    Message { conference: ConferenceId, from: ParticipantId, channel: DataChannel, bytes: Bytes },
    /// Somebody is back, with the last number that he has of each publisher.
    Replay { conference: ConferenceId, to: ParticipantId, seen: Vec<(ParticipantId, u32)> },
    /// A message of the server itself.
    Announce { conference: ConferenceId, to: Vec<ParticipantId>, channel: DataChannel, bytes: Bytes },
}

/// See the module.
pub(crate) struct Relay {
    rooms: Arc<dyn RoomPort>,
    sfu: OnceLock<Arc<dyn SfuPort>>,
    wires: Arc<Wires>,
    queue: mpsc::Sender<Job>,
    /// Locked by whoever passes on.
    waiting: Mutex<mpsc::Receiver<Job>>,
    /// By participant: what he sent, and what he was sent.
    kept: DashMap<ParticipantId, Kept>,
    /// Bytes that are kept for each.
    most: usize,
}

impl Relay {
    pub(crate) fn new(config: &Config, rooms: Arc<dyn RoomPort>, wires: Arc<Wires>) -> Self {
        let (queue, waiting) = mpsc::channel(config.data_queue.max(16));
        let waiting = Mutex::new(waiting);
        Self { rooms, sfu: OnceLock::new(), wires, queue, waiting, kept: DashMap::new(), most: config.replay_bytes }
    }

    /// Where messages go.
    pub(crate) fn connect(&self, sfu: Arc<dyn SfuPort>) {
        if self.sfu.set(sfu).is_err() {
            error!("data is connected already");
        }
    }

    /// Queues a message. Never waits.
    ///
    /// # Errors
    /// [`Refusal::Full`].
    pub(crate) fn push(
        &self,
        conference: ConferenceId,
        from: ParticipantId,
        channel: DataChannel,
        bytes: Bytes,
    ) -> Result<(), Refusal> {
        self.queue(Job::Message { conference, from, channel, bytes })
    }

    /// Queues what somebody missed. When there is no room, he misses it.
    pub(crate) fn replay(&self, conference: ConferenceId, to: ParticipantId, seen: Vec<(ParticipantId, u32)>) {
        if self.queue(Job::Replay { conference, to, seen }).is_err() {
            debug!(participant_id = %to, "missed messages not sent again");
        }
    }

    /// Queues a message of the server itself.
    ///
    /// # Errors
    /// [`Refusal::Full`].
    pub(crate) fn announce(
        &self,
        conference: ConferenceId,
        to: Vec<ParticipantId>,
        channel: DataChannel,
        bytes: Bytes,
    ) -> Result<(), Refusal> {
        self.queue(Job::Announce { conference, to, channel, bytes })
    }

    fn queue(&self, job: Job) -> Result<(), Refusal> {
        self.queue.try_send(job).map_err(|_| Refusal::Full)
    }

    /// The number of the last reliable message that came of somebody.
    pub(crate) fn last_sequence(&self, of: ParticipantId) -> u32 {
        self.kept.get(&of).map_or(0, |kept| kept.sent)
    }

    /// Somebody has left.
    pub(crate) fn forget(&self, participant: ParticipantId) {
        self.kept.remove(&participant);
    }

    /// Passes on whatever comes.
    pub(crate) async fn run(&self) {
        let mut waiting = self.waiting.lock().await;
        while let Some(job) = waiting.recv().await {
            match job {
                Job::Message { conference, from, channel, bytes } => {
                    if let Some(out) = self.addressed(from, channel, &bytes) {
                        self.send(conference, out).await;
                    }
                }
                Job::Replay { conference, to, seen } => self.send_again(conference, to, &seen).await,
                Job::Announce { conference, to, channel, bytes } => {
                    let to = to.into_iter().filter_map(|it| self.wires.receiving(it)).collect();
                    self.send(conference, DataOut { to, channel, bytes }).await;
                }
            }
        }
    }

    /// A message on its way. `None`: it goes nowhere.
    fn addressed(&self, from: ParticipantId, channel: DataChannel, bytes: &Bytes) -> Option<DataOut> {
        let packet = Packet::read(bytes, channel)?;
        if channel == DataChannel::Reliable && !self.is_new(from, packet.sequence) {
            return None;
        }
        let to: Vec<RoomIdentity> = packet.to.into_iter().filter_map(|it| it.try_into().ok()).collect();
        let audience = self.rooms.audience(from, &to).filter(|it| it.may_send && !it.to.is_empty())?;
        let bytes = packet::signed(bytes, from, &audience.identity, channel);
        if channel == DataChannel::Reliable && packet.sequence > 0 {
            audience.to.iter().for_each(|to| self.keep(to.participant, from, packet.sequence, &bytes));
        }
        Some(DataOut { to: audience.to, channel, bytes })
    }

    /// Notes the number of a message. Whether it is the first with it; those without a number always are.
    fn is_new(&self, from: ParticipantId, sequence: u32) -> bool {
        if sequence == 0 || self.wires.receiving(from).is_none() {
            return sequence == 0;
        }
        let mut kept = self.kept.entry(from).or_default();
        let is_new = sequence > kept.sent;
        kept.sent = kept.sent.max(sequence);
        is_new
    }

    fn keep(&self, to: ParticipantId, from: ParticipantId, sequence: u32, bytes: &Bytes) {
        // Who is not there any more is never forgotten again.
        if self.most > 0 && self.wires.receiving(to).is_some() {
            self.kept.entry(to).or_default().push(from, sequence, bytes.clone(), self.most);
        }
    }

    async fn send_again(&self, conference: ConferenceId, to: ParticipantId, seen: &[(ParticipantId, u32)]) {
        let Some(transport) = self.wires.receiving(to) else { return };
        let missed = self.kept.get(&to).map(|kept| kept.after(seen)).unwrap_or_default();
        let to: Arc<[TransportId]> = [transport].into();
        for bytes in missed {
            self.send(conference, DataOut { to: to.clone(), channel: DataChannel::Reliable, bytes }).await;
        }
    }

    /// A worker that is stuck gets some time, but only for what must not be lost.
    async fn send(&self, conference: ConferenceId, out: DataOut) {
        let attempts = if out.channel == DataChannel::Reliable { ATTEMPTS } else { 1 };
        let Some(sfu) = self.sfu.get() else { return };
        for _ in 0..attempts {
            if sfu.send(conference, out.clone()).is_ok() {
                return;
            }
            sleep(PAUSE).await;
        }
        debug!(conference_id = %conference, "message dropped");
    }
}
