//! Data channels of a peer: messages over SCTP over the records of its DTLS connection (RFC 8831, RFC 8832).
//!
//! ```text
//!  datagram ─▶ Records ─▶ Association ─▶ DCEP ─▶ Channels
//!                  ▲           ├─▶ messages ─▶ poll_data
//!  datagram ◀──────┴── packets ┴◀─ send_data
//! ```
//!
//! # Invariants
//! * A peer built anew begins another association over the same records, and its channels are the same streams: the
//!   far end sees them open all the time. Messages that were on their way may be lost.
//! * What waits is bounded: per channel when it is sent, by the window and [`INBOX`] when it is received.
//! * Who must not be served any more is served no more: [`Data::is_broken`] stays so.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use tandem_core::room::sfu::{DataChannel, TransportRole};
use tandem_core::time::Timestamp;

use super::channels::{Channels, Control};
use super::guard::init_tag;
use super::identity::Identity;
use super::records::{KeptRecords, Records};
use super::sctp::{Association, Incoming, MESSAGE_LIMIT};
use super::waiting::Waiting;

/// Bytes of messages that wait to be polled. More stay in the window.
const INBOX: usize = 256 * 1024;

/// Records that wait to be polled: a full send queue, and some more. What does not fit is as if lost on the way.
const OUT: usize = 2_048;

/// Without channels, how long nothing must come or go until the endpoint is dropped.
const IDLE: Duration = Duration::from_secs(5);

/// What another worker needs to go on.
pub(super) struct KeptData {
    role: TransportRole,
    pub(super) records: KeptRecords,
    /// The far end has an association, or begins one.
    is_associated: AtomicBool,
    channels: Mutex<Channels>,
}

impl KeptData {
    pub(super) fn new(role: TransportRole) -> Self {
        let channels = match role {
            TransportRole::Publisher => Channels::default(),
            TransportRole::Subscriber => Channels::ours(),
        };
        Self {
            role,
            records: KeptRecords::default(),
            is_associated: AtomicBool::default(),
            channels: Mutex::new(channels),
        }
    }
}

/// Why a message was not sent.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
pub enum DataRefused {
    /// It has more than 64 KiB.
    #[error("the message is too long")]
    TooLong,
    /// The far end has no such channel, or not yet.
    #[error("there is no such channel")]
    NotOpen,
    /// Too much waits on a channel that is not reliable. The message is counted and dropped.
    #[error("too much waits")]
    Full,
    /// Too much waits on the reliable channel, or the far end does what nobody should: give the connection up.
    #[error("the connection is broken")]
    Broken,
}

/// What happened to messages since the last look.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct DataCounts {
    /// Messages received.
    pub received: u64,
    /// Messages sent.
    pub sent: u64,
    /// Messages that came and had more than 64 KiB.
    pub too_long: u64,
    /// Messages and channels that came and mean nothing here: another label, another kind, a channel too many.
    pub ignored: u64,
    /// Messages that were not sent because too much waited.
    pub full: u64,
}

/// When, and who we are.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) now: Timestamp,
    pub(super) instant: Instant,
    pub(super) identity: &'a Identity,
    pub(super) kept: &'a KeptData,
}

/// What was in a datagram.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    /// Nothing that is authentic.
    Nothing,
    /// Something; `true`: it is the latest.
    Authentic(bool),
    /// The far end closed the connection.
    Closed,
}

/// See the module.
pub(super) struct Data {
    records: Records,
    association: Option<Box<Association>>,
    /// Nothing was sent on the association.
    is_new: bool,
    channels: Channels,
    /// What is to be sent on which stream once the association is up.
    early: VecDeque<(u16, Bytes)>,
    reliable: Waiting,
    lossy: Waiting,
    tracks: Waiting,
    inbox: VecDeque<(DataChannel, Bytes)>,
    inbox_bytes: usize,
    /// There may be messages that found no room in it.
    has_more: bool,
    out: VecDeque<Bytes>,
    counts: DataCounts,
    used: Timestamp,
    is_broken: bool,
}

impl Data {
    /// Goes on from the box.
    pub(super) fn new(at: At<'_>) -> Self {
        let mut data = Self {
            records: Records::new(&at.kept.records),
            association: None,
            is_new: true,
            channels: at.kept.channels.lock().clone(),
            early: VecDeque::new(),
            reliable: Waiting::default(),
            lossy: Waiting::default(),
            tracks: Waiting::default(),
            inbox: VecDeque::new(),
            inbox_bytes: 0,
            has_more: false,
            out: VecDeque::new(),
            counts: DataCounts::default(),
            used: at.now,
            is_broken: false,
        };
        if at.kept.is_associated.load(Relaxed) && at.kept.records.is_open() {
            data.begin(Association::restart(at.instant));
            data.settle(at);
        }
        data
    }

    /// Takes a datagram in.
    pub(super) fn take(&mut self, at: At<'_>, datagram: &[u8]) -> Outcome {
        let contents = self.records.open(at.instant, at.identity, &at.kept.records, datagram);
        if let Some(farewell) = contents.closed {
            self.end(at);
            self.out.extend(farewell);
            return Outcome::Closed;
        }
        if contents.data.is_empty() {
            return Outcome::Nothing;
        }
        self.used = at.now;
        for packet in contents.data {
            self.take_packet(at, packet);
        }
        self.settle(at);
        Outcome::Authentic(contents.is_newest)
    }

    /// Does what is due by time alone.
    pub(super) fn expire(&mut self, at: At<'_>) {
        if self.association.as_mut().is_some_and(|association| association.expire(at.instant)) {
            self.settle(at);
        }
        if self.channels.is_empty() && !self.records.is_parked() && self.used + IDLE <= at.now {
            self.records.park(&at.kept.records);
        }
    }

    /// Queues a message.
    pub(super) fn send(&mut self, at: At<'_>, kind: DataChannel, message: &Bytes) -> Result<(), DataRefused> {
        if self.is_broken {
            return Err(DataRefused::Broken);
        }
        if message.len() > MESSAGE_LIMIT {
            return Err(DataRefused::TooLong);
        }
        let id = self.channels.find(kind).ok_or(DataRefused::NotOpen)?.id;
        let association = self.association.as_mut().ok_or(DataRefused::NotOpen)?;
        // A message without a byte is sent as one (RFC 8831, 6.6).
        let len = message.len().max(1);
        let early: usize = self.early.iter().filter(|it| it.0 == id).map(|it| it.1.len().max(1)).sum();
        let waiting = early + association.waiting(id);
        let sent = match kind {
            DataChannel::Reliable => &mut self.reliable,
            DataChannel::Lossy => &mut self.lossy,
            DataChannel::Tracks => &mut self.tracks,
        };
        if !sent.has_room(kind, waiting, len) {
            self.counts.full += 1;
            if kind != DataChannel::Reliable {
                return Err(DataRefused::Full);
            }
            self.is_broken = true;
            self.lose(at);
            return Err(DataRefused::Broken);
        }
        if !association.is_connected() {
            self.early.push_back((id, message.clone()));
        } else if !association.send(at.instant, id, message) {
            return Err(DataRefused::NotOpen);
        }
        sent.note(len);
        self.counts.sent += 1;
        self.used = at.now;
        self.settle(at);
        Ok(())
    }

    /// The next message that came.
    pub(super) fn poll(&mut self, at: At<'_>) -> Option<(DataChannel, Bytes)> {
        if self.inbox.is_empty() && self.has_more {
            self.settle(at);
        }
        let (kind, message) = self.inbox.pop_front()?;
        self.inbox_bytes -= weight(&message);
        Some((kind, message))
    }

    /// The next record that is to go out.
    pub(super) fn poll_transmit(&mut self) -> Option<Bytes> {
        self.out.pop_front()
    }

    pub(super) fn is_open(&self, kind: DataChannel) -> bool {
        !self.is_broken && self.association.is_some() && self.channels.find(kind).is_some()
    }

    pub(super) const fn is_broken(&self) -> bool {
        self.is_broken
    }

    #[cfg(test)]
    pub(super) fn is_parked(&self) -> bool {
        self.records.is_parked()
    }

    pub(super) fn take_counts(&mut self) -> DataCounts {
        std::mem::take(&mut self.counts)
    }

    fn take_packet(&mut self, at: At<'_>, packet: Bytes) {
        if self.is_broken {
            return;
        }
        if init_tag(&packet).is_none() {
            if let Some(association) = &mut self.association {
                association.take(at.instant, packet);
            }
            return;
        }
        // Not the first of its kind: its answer was lost, or it is late.
        if let Some(answer) = self.association.as_ref().and_then(|it| it.answer_to(&packet)) {
            if self.association.as_ref().is_some_and(|it| !it.is_connected()) {
                self.seal(at, &answer);
            }
            return;
        }
        let accepted = Association::accept(at.instant, &packet);
        if let Some(answer) = accepted.as_ref().and_then(|it| it.answer_to(&packet)) {
            self.begin(accepted);
            self.seal(at, &answer);
            at.kept.is_associated.store(true, Relaxed);
        }
    }

    /// Takes an association into use, in the place of what there was.
    fn begin(&mut self, association: Option<Association>) {
        self.association = association.map(Box::new);
        self.is_new = true;
        for channel in self.channels.iter() {
            if let Some(association) = &mut self.association {
                association.set(channel);
            }
        }
    }

    /// Reads what came, answers it and sends what is to be sent.
    fn settle(&mut self, at: At<'_>) {
        let Some(mut association) = self.association.take() else { return };
        let resets = association.resets();
        self.is_broken |= association.is_abused(true);
        if association.has_ended() {
            self.lose(at);
            return;
        }
        for id in resets {
            if self.channels.remove(id) {
                self.keep_channels(at);
            }
        }
        if self.is_new && association.is_connected() {
            self.is_new = false;
            self.open_ours(at, &mut association);
            for (id, message) in self.early.drain(..) {
                association.send(at.instant, id, &message);
            }
        }
        while self.inbox_bytes < INBOX
            && let Some((id, incoming)) = association.read()
        {
            self.file(at, &mut association, id, incoming);
        }
        self.has_more = self.inbox_bytes >= INBOX;
        for packet in association.transmit(at.instant) {
            self.seal(at, &packet);
        }
        self.is_broken |= association.is_abused(self.has_more);
        if association.has_ended() || self.is_broken {
            self.lose(at);
        } else {
            self.association = Some(association);
        }
    }

    fn file(&mut self, at: At<'_>, association: &mut Association, id: u16, incoming: Incoming) {
        match incoming {
            Incoming::Control(message) => self.control(at, association, id, &message),
            Incoming::TooLong => self.counts.too_long += 1,
            Incoming::Unknown => self.counts.ignored += 1,
            Incoming::Message(message) => {
                // Who sends on a channel has it.
                if self.channels.open(id) {
                    self.keep_channels(at);
                }
                let Some(kind) = self.channels.on(id).and_then(|channel| channel.kind) else {
                    self.counts.ignored += 1;
                    return;
                };
                self.counts.received += 1;
                self.inbox_bytes += weight(&message);
                self.inbox.push_back((kind, message));
            }
        }
    }

    fn control(&mut self, at: At<'_>, association: &mut Association, id: u16, message: &[u8]) {
        match Control::read(id, message) {
            Some(Control::Open(channel)) if self.channels.add(channel) => {
                self.counts.ignored += u64::from(channel.kind.is_none());
                association.set(&channel);
                if let Some(acknowledgement) = Control::acknowledgement() {
                    association.control(at.instant, id, &acknowledgement);
                }
                self.keep_channels(at);
            }
            Some(Control::Acknowledged) => {
                if self.channels.open(id) {
                    self.keep_channels(at);
                }
            }
            Some(Control::Open(_)) | None => self.counts.ignored += 1,
        }
    }

    /// Tells the far end of channels that it does not have. After a rebuild it may be told twice.
    fn open_ours(&mut self, at: At<'_>, association: &mut Association) {
        for channel in self.channels.iter().filter(|channel| !channel.is_open) {
            if let Some(opening) = channel.opening() {
                association.set(channel);
                association.control(at.instant, channel.id, &opening);
            }
        }
    }

    fn seal(&mut self, at: At<'_>, packet: &[u8]) {
        if self.out.len() < OUT
            && let Some(record) = self.records.seal(at.instant, at.identity, &at.kept.records, packet)
        {
            self.out.push_back(record);
        }
    }

    /// The association has ended, and the channels with it. There may be another.
    fn lose(&mut self, at: At<'_>) {
        self.association = None;
        self.early.clear();
        self.channels = match at.kept.role {
            TransportRole::Publisher => Channels::default(),
            TransportRole::Subscriber => Channels::ours(),
        };
        at.kept.is_associated.store(false, Relaxed);
        self.keep_channels(at);
    }

    /// The connection has ended.
    fn end(&mut self, at: At<'_>) {
        self.lose(at);
        self.out.clear();
    }

    fn keep_channels(&self, at: At<'_>) {
        at.kept.channels.lock().clone_from(&self.channels);
    }
}

/// Bytes that a message takes while it waits: with none in it, some.
const fn weight(message: &Bytes) -> usize {
    message.len() + size_of::<(DataChannel, Bytes)>()
}
