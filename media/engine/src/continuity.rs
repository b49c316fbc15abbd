//! What a leg's far end must not notice the loss of: the black box of one leg's sending side. And what was counted of
//! both sides.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use tandem_core::id::TrackId;
use tandem_core::quality::MediaReport;
use tandem_core::time::Timestamp;

use crate::hearing::Hearing;

/// The sending side of a leg as its far end knows it. Belongs above the engine: an engine that is built anew with it
/// goes on with the same SSRC, sequence, clock and addresses.
///
/// Only one engine writes it at a time, so plain loads and stores do. The lock is taken when a source or an address
/// changes, never per packet.
#[derive(Debug)]
pub struct Continuity {
    ssrc: u32,
    /// Highest sequence number sent (upper half) and the newest timestamp (lower half): one cell, so that they fit.
    sent: AtomicU64,
    /// When that timestamp was first sent, in microseconds; 0 before the first packet.
    sent_at: AtomicU64,
    packets: AtomicU32,
    octets: AtomicU32,
    anchors: Mutex<Anchors>,
    hearing: Hearing,
}

/// What changes rarely.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Anchors {
    /// How the present source's numbers become ours. Kept, so that packets which waited in the kernel while the engine
    /// was rebuilt get the numbers that they would have had.
    pub(crate) feed: Option<Feed>,
    /// Where RTP goes if not where it was signalled.
    pub(crate) rtp: Option<Latched>,
    /// The same for RTCP.
    pub(crate) rtcp: Option<Latched>,
}

/// A source and what is added to its numbers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Feed {
    pub(crate) from: TrackId,
    pub(crate) ssrc: u32,
    pub(crate) sequence_offset: u16,
    pub(crate) timestamp_offset: u32,
}

/// An address that was learned instead of the signalled one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Latched {
    pub(crate) signalled: SocketAddr,
    pub(crate) actual: SocketAddr,
}

/// The newest packet sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Newest {
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    /// When the timestamp was first sent; `None` before the first packet.
    pub(crate) at: Option<Timestamp>,
}

impl Continuity {
    /// A leg that has sent nothing. All three numbers should be random (RFC 3550, 5.1).
    #[must_use]
    pub fn new(ssrc: u32, sequence: u16, timestamp: u32) -> Self {
        let newest = Newest { sequence: sequence.wrapping_sub(1), timestamp, at: None };
        Self {
            ssrc,
            sent: AtomicU64::new(newest.packed()),
            sent_at: AtomicU64::new(0),
            packets: AtomicU32::new(0),
            octets: AtomicU32::new(0),
            anchors: Mutex::new(Anchors::default()),
            hearing: Hearing::default(),
        }
    }

    /// The one SSRC that the leg's far end ever sees.
    #[must_use]
    pub const fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// How its media has fared up to now. `None`: nothing came, and nothing was sent.
    #[must_use]
    pub fn report(&self) -> Option<MediaReport> {
        self.hearing.report(self.totals().0.into())
    }

    /// Another worker goes on with it because the last one is gone.
    pub fn rebuilt(&self) {
        self.hearing.rebuilt();
    }

    /// What its far end sent.
    pub(crate) fn hearing(&self) -> &Hearing {
        &self.hearing
    }

    pub(crate) fn newest(&self) -> Newest {
        let sent = self.sent.load(Relaxed);
        let at = self.sent_at.load(Relaxed);
        let (sequence, timestamp) = ((sent >> 32) as u16, sent as u32);
        Newest { sequence, timestamp, at: (at != 0).then_some(Timestamp(at)) }
    }

    /// Written before the packet leaves.
    pub(crate) fn advance(&self, newest: Newest) {
        self.sent.store(newest.packed(), Relaxed);
        self.sent_at.store(newest.at.map_or(0, |at| at.0.max(1)), Relaxed);
    }

    pub(crate) fn count(&self, payload_len: usize) {
        let octets = u32::try_from(payload_len).unwrap_or(u32::MAX);
        self.packets.store(self.packets.load(Relaxed).wrapping_add(1), Relaxed);
        self.octets.store(self.octets.load(Relaxed).wrapping_add(octets), Relaxed);
    }

    /// Packets and payload octets sent so far.
    pub(crate) fn totals(&self) -> (u32, u32) {
        (self.packets.load(Relaxed), self.octets.load(Relaxed))
    }

    pub(crate) fn anchors(&self) -> Anchors {
        *self.anchors.lock()
    }

    pub(crate) fn anchor(&self, change: impl FnOnce(&mut Anchors)) {
        change(&mut self.anchors.lock());
    }
}

impl Newest {
    fn packed(self) -> u64 {
        u64::from(self.sequence) << 32 | u64::from(self.timestamp)
    }
}
