//! What a leg's far end hears: one SSRC, one sequence and one clock, whoever is behind it.
//!
//! # Invariants
//! * As long as the source goes on, its numbers are shifted by a constant: loss, reordering and pauses stay as they are.
//! * When the source changes or its numbers jump, the next packet is one step on, and carries the marker.

use std::sync::Arc;

use tandem_core::id::TrackId;
use tandem_core::time::Timestamp;

use crate::continuity::{Continuity, Feed, Newest};
use crate::source::{can_follow, ticks};

/// A timestamp further than this from what the clock says is a jump of the source's clock. In seconds.
const MAX_CLOCK_ERROR: i64 = 2;

/// A packet as it came, as far as its numbers go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incoming {
    pub(crate) from: TrackId,
    pub(crate) ssrc: u32,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) clock_rate_hz: u32,
    /// A named event holds its timestamp for as long as it lasts, and may have a clock of its own.
    pub(crate) is_event: bool,
    pub(crate) marker: bool,
}

/// Its numbers as they leave.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Outgoing {
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    kept: Arc<Continuity>,
    feed: Option<Feed>,
    /// Of the newest audio packet, for the clock in sender reports.
    clock_rate_hz: u32,
}

impl Sender {
    pub(crate) fn new(kept: Arc<Continuity>) -> Self {
        let feed = kept.anchors().feed;
        Self { kept, feed, clock_rate_hz: 8_000 }
    }

    /// Gives a packet its numbers, and remembers them before it leaves.
    pub(crate) fn renumber(&mut self, now: Timestamp, packet: &Incoming) -> Outgoing {
        let newest = self.kept.newest();
        let feed = self.feed.filter(|feed| feed.from == packet.from && feed.ssrc == packet.ssrc);
        let sequence = feed
            .map(|feed| packet.sequence.wrapping_add(feed.sequence_offset))
            .filter(|sequence| can_follow(newest.sequence, *sequence));
        let timestamp = feed
            .map(|feed| packet.timestamp.wrapping_add(feed.timestamp_offset))
            .filter(|timestamp| packet.is_event || is_plausible(newest, now, *timestamp, packet.clock_rate_hz));
        let out = Outgoing {
            sequence: sequence.unwrap_or_else(|| newest.sequence.wrapping_add(1)),
            timestamp: timestamp.unwrap_or_else(|| resumed(newest, now, packet.clock_rate_hz)),
            marker: packet.marker || sequence.is_none() || timestamp.is_none(),
        };
        if sequence.is_none() || timestamp.is_none() {
            self.rebase(packet, out);
        }
        self.remember(now, newest, out, packet, timestamp.is_none());
        out
    }

    /// Our clock now, as a sender report has it.
    pub(crate) fn timestamp_at(&self, now: Timestamp) -> u32 {
        let newest = self.kept.newest();
        newest.at.map_or(newest.timestamp, |at| {
            newest.timestamp.wrapping_add(ticks(Timestamp(now.0.saturating_sub(at.0)), self.clock_rate_hz))
        })
    }

    fn rebase(&mut self, packet: &Incoming, out: Outgoing) {
        let feed = Feed {
            from: packet.from,
            ssrc: packet.ssrc,
            sequence_offset: out.sequence.wrapping_sub(packet.sequence),
            timestamp_offset: out.timestamp.wrapping_sub(packet.timestamp),
        };
        self.feed = Some(feed);
        self.kept.anchor(|anchors| anchors.feed = Some(feed));
    }

    /// An event does not move the clock, unless there is no other.
    fn remember(&mut self, now: Timestamp, newest: Newest, out: Outgoing, packet: &Incoming, new_clock: bool) {
        let is_newer = out.sequence.wrapping_sub(newest.sequence).cast_signed() > 0;
        if !is_newer {
            return;
        }
        let moves = new_clock || (!packet.is_event && out.timestamp != newest.timestamp);
        let (timestamp, at) = if moves { (out.timestamp, Some(now)) } else { (newest.timestamp, newest.at) };
        if !packet.is_event {
            self.clock_rate_hz = packet.clock_rate_hz;
        }
        self.kept.advance(Newest { sequence: out.sequence, timestamp, at });
    }
}

/// Whether a timestamp agrees with the time that has passed since the newest one.
fn is_plausible(newest: Newest, now: Timestamp, timestamp: u32, clock_rate_hz: u32) -> bool {
    let Some(at) = newest.at else { return false };
    let rate = i64::from(clock_rate_hz);
    let passed = i64::try_from((now - at).as_micros()).unwrap_or(i64::MAX).saturating_mul(rate) / 1_000_000;
    let step = i64::from(timestamp.wrapping_sub(newest.timestamp).cast_signed());
    (step - passed).abs() <= MAX_CLOCK_ERROR * rate
}

/// The timestamp after a change of source: as much later as the clock says, and one packet of 20 ms at least.
fn resumed(newest: Newest, now: Timestamp, clock_rate_hz: u32) -> u32 {
    let Some(at) = newest.at else { return newest.timestamp };
    let passed = ticks(Timestamp(now.0.saturating_sub(at.0)), clock_rate_hz);
    newest.timestamp.wrapping_add(passed.max(clock_rate_hz / 50))
}

#[cfg(test)]
mod tests;
