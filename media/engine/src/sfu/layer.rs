//! One layer of a track that comes in: which packets came, which are missing, and what is asked of its sender.

use std::time::Duration;

use tandem_core::time::Timestamp;

use super::history::History;
use crate::rtcp::ReceptionBlock;
use crate::source::Source;
use crate::span::{Span, nearest};

/// Packets that are asked for at a time. Beyond that only a key frame helps.
const GAPS: usize = 128;

/// How often one is asked for.
const TRIES: u8 = 10;

/// Before the first time: it may just be late.
const PATIENCE: Duration = Duration::from_millis(10);

/// Between two times: about a round trip.
const AGAIN: Duration = Duration::from_millis(60);

/// Between two requests for a key frame: each costs its sender a multiple of an ordinary frame.
const KEY_INTERVAL: Duration = Duration::from_millis(500);

/// See the module.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) ssrc: u32,
    source: Source,
    span: Span,
    gaps: Vec<Gap>,
    pub(super) history: History,
    pub(super) clock: Option<Clock>,
    pub(super) heard: Timestamp,
    wants_key: bool,
    asked_for_key: Option<Timestamp>,
}

#[derive(Debug)]
struct Gap {
    number: u64,
    tries: u8,
    due: Timestamp,
}

/// What a sender report says: the same instant in two clocks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Clock {
    pub(super) ntp: u64,
    pub(super) rtp: u32,
    /// When it came.
    pub(super) at: Timestamp,
}

impl Layer {
    /// `end`: the number behind the highest that came.
    pub(super) fn new(now: Timestamp, ssrc: u32, end: u64) -> Self {
        Self {
            ssrc,
            source: Source::new(ssrc, end as u16),
            span: Span::new(end),
            gaps: Vec::new(),
            history: History::default(),
            clock: None,
            heard: now,
            wants_key: false,
            asked_for_key: None,
        }
    }

    /// A packet came. Gives its number; `None`: it came before.
    pub(super) fn take(&mut self, now: Timestamp, sequence: u16, asks_again: bool) -> Option<u64> {
        let end = self.span.end();
        let number = nearest(end.saturating_sub(1), sequence);
        if !self.span.take(number) {
            return None;
        }
        self.heard = now;
        if number < end {
            self.gaps.retain(|gap| gap.number != number);
        } else if asks_again && number - end < GAPS as u64 {
            let room = GAPS.saturating_sub(self.gaps.len());
            let missing = (end..number).take(room);
            self.gaps.extend(missing.map(|number| Gap { number, tries: 0, due: now + PATIENCE }));
        } else if number > end {
            self.gaps.clear();
        }
        Some(number)
    }

    /// For reports: not for what was sent again.
    pub(super) fn measure(&mut self, now: Timestamp, sequence: u16, timestamp: u32, clock_rate_hz: u32) {
        self.source.follow(self.ssrc, sequence);
        self.source.time(now, timestamp, clock_rate_hz);
    }

    pub(super) fn reported(&mut self, now: Timestamp, ntp: u64, rtp: u32) {
        self.clock = Some(Clock { ntp, rtp, at: now });
        self.source.reported(now, (ntp >> 16) as u32);
    }

    pub(super) fn report(&mut self, now: Timestamp) -> ReceptionBlock {
        self.source.report(now)
    }

    /// Packets that came, and those that should have.
    pub(super) fn tally(&self) -> (u32, u64) {
        let tally = self.source.tally();
        (tally.received, tally.lost())
    }

    /// Writes down which packets are asked for now.
    pub(super) fn missing(&mut self, now: Timestamp, sequences: &mut Vec<u16>) {
        for gap in self.gaps.iter_mut().filter(|gap| gap.due <= now) {
            sequences.push(gap.number as u16);
            (gap.tries, gap.due) = (gap.tries + 1, now + AGAIN);
        }
        self.gaps.retain(|gap| gap.tries < TRIES);
    }

    pub(super) fn has_missing(&self, now: Timestamp) -> bool {
        self.gaps.iter().any(|gap| gap.due <= now)
    }

    /// Somebody cannot go on, or begin, without a key frame.
    pub(super) fn want_key(&mut self) {
        self.wants_key = true;
    }

    pub(super) fn key_came(&mut self) {
        self.wants_key = false;
    }

    pub(super) fn must_ask_for_key(&self, now: Timestamp) -> bool {
        self.wants_key && self.asked_for_key.is_none_or(|asked| now - asked >= KEY_INTERVAL)
    }

    pub(super) fn asked_for_key(&mut self, now: Timestamp) {
        self.asked_for_key = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Timestamp {
        Timestamp(1_000_000 + ms * 1_000)
    }

    fn missing(layer: &mut Layer, now: Timestamp) -> Vec<u16> {
        let mut sequences = Vec::new();
        layer.missing(now, &mut sequences);
        sequences
    }

    #[test]
    fn what_is_missing_is_asked_for_again_and_again_until_it_comes() {
        let mut layer = Layer::new(ms(0), 7, 65_534);
        for sequence in [65_534, 65_535, 3] {
            assert!(layer.take(ms(0), sequence, true).is_some());
        }
        assert!(!layer.has_missing(ms(5)) && missing(&mut layer, ms(5)).is_empty());
        assert_eq!(missing(&mut layer, ms(10)), [0, 1, 2]);
        assert_eq!(layer.take(ms(20), 1, true), Some(65_537));
        assert_eq!(layer.take(ms(20), 1, true), None);
        assert!(missing(&mut layer, ms(30)).is_empty());
        assert_eq!(missing(&mut layer, ms(70)), [0, 2]);
        let asked = (2..30).map(|n| missing(&mut layer, ms(n * 70)).len()).sum::<usize>();
        assert_eq!(asked, 2 * usize::from(TRIES - 2));
    }

    #[test]
    fn a_hole_too_large_is_not_asked_for_and_nothing_is_of_who_cannot_send_again() {
        let mut layer = Layer::new(ms(0), 7, 0);
        assert!(layer.take(ms(0), 0, true).is_some() && layer.take(ms(0), 1_000, true).is_some());
        assert!(missing(&mut layer, ms(100)).is_empty());
        assert!(layer.take(ms(0), 1_005, false).is_some());
        assert!(missing(&mut layer, ms(100)).is_empty());
    }

    #[test]
    fn key_frames_are_asked_for_twice_a_second_at_most_and_until_one_comes() {
        let mut layer = Layer::new(ms(0), 7, 0);
        let asked = (0..20).filter(|n| {
            layer.want_key();
            let must = layer.must_ask_for_key(ms(n * 100));
            if must {
                layer.asked_for_key(ms(n * 100));
            }
            must
        });
        assert_eq!(asked.count(), 4);
        layer.key_came();
        assert!(!layer.must_ask_for_key(ms(9_000)));
    }
}
