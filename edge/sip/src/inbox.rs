//! What waits for a shard. It outlives the task that reads it, so that nothing taken in is lost with that.
//!
//! # Invariants
//! * Messages are bounded and signals are bounded, each by themselves: a flood from outside keeps no leg from hanging up.
//! * Releases cannot be refused; there are no more of them than legs.

use std::collections::VecDeque;

use bytes::Bytes;
use parking_lot::Mutex;
use tandem_core::id::LegId;
use tandem_core::location::Flow;
use tandem_core::machine::Stamp;
use tandem_core::metric::Fill;
use tandem_core::ports::Signal;
use tokio::sync::Notify;

use crate::exchange::ClientKey;
use crate::message::Message;

/// How many inputs a shard takes at once.
const BATCH: usize = 128;

/// One input of a shard.
#[derive(Debug)]
pub(crate) enum Input {
    /// A datagram.
    Datagram(Flow, Bytes),
    /// What came out of a stream.
    Framed(Flow, Box<Message>),
    /// From a leg.
    Signal(Stamp<LegId>, Signal),
    /// A leg is gone.
    Release(LegId),
    /// A request of ours could not be sent.
    Unsent(Unsent),
}

/// Names a request of ours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unsent(pub(crate) ClientKey);

/// No room.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Full;

pub(crate) struct Inbox {
    limit: usize,
    queues: Mutex<Queues>,
    filled: Notify,
}

#[derive(Default)]
struct Queues {
    messages: VecDeque<Input>,
    signals: VecDeque<Input>,
    releases: VecDeque<LegId>,
}

impl Inbox {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, queues: Mutex::default(), filled: Notify::new() }
    }

    /// Queues a message. What did not fit is given back.
    pub(crate) fn push_message(&self, input: Input) -> Result<(), Input> {
        let mut queues = self.queues.lock();
        if queues.messages.len() >= self.limit {
            return Err(input);
        }
        queues.messages.push_back(input);
        drop(queues);
        self.filled.notify_one();
        Ok(())
    }

    pub(crate) fn push_signal(&self, stamp: Stamp<LegId>, signal: Signal) -> Result<(), Full> {
        let mut queues = self.queues.lock();
        if queues.signals.len() >= self.limit {
            return Err(Full);
        }
        queues.signals.push_back(Input::Signal(stamp, signal));
        drop(queues);
        self.filled.notify_one();
        Ok(())
    }

    /// Messages and signals that wait.
    pub(crate) fn fills(&self) -> [Fill; 2] {
        let queues = self.queues.lock();
        [&queues.messages, &queues.signals].map(|queue| Fill { depth: queue.len(), capacity: self.limit })
    }

    pub(crate) fn push_release(&self, leg: LegId) {
        self.queues.lock().releases.push_back(leg);
        self.filled.notify_one();
    }

    /// Takes what is there, up to a batch: signals first, for they end what messages only begin. A release comes after
    /// the signals before it.
    pub(crate) fn take(&self, into: &mut Vec<Input>) {
        let mut queues = self.queues.lock();
        let Queues { messages, signals, releases } = &mut *queues;
        into.extend(signals.drain(..signals.len().min(BATCH)));
        if signals.is_empty() {
            into.extend(releases.drain(..).map(Input::Release));
        }
        into.extend(messages.drain(..messages.len().min(BATCH)));
        let is_more = !(messages.is_empty() && signals.is_empty());
        drop(queues);
        if is_more {
            self.filled.notify_one();
        }
    }

    /// Waits until there may be something.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }
}
