//! The last packets of a layer, for those who ask for them again: one copy, however many receive it.

use std::collections::VecDeque;
use std::time::Duration;

use tandem_core::time::Timestamp;

/// What a layer of some hundred kbit/s sends in two seconds, in bytes.
const SMALL: usize = 64 * 1_024;

/// What one of 8 Mbit/s sends in a second, in bytes: no layer gets more.
const LARGE: usize = 1_024 * 1_024;

/// Who asks later than this has given up.
const KEEP: Duration = Duration::from_secs(1);

/// See the module. Grows while packets younger than a second had to make room, and never shrinks.
#[derive(Debug, Default)]
pub(super) struct History {
    bytes: Vec<u8>,
    /// Where the next one begins.
    next: usize,
    /// In the order in which they came.
    slots: VecDeque<Slot>,
}

/// A packet of the past, without its payload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Past {
    pub(super) number: u64,
    pub(super) marker: bool,
    pub(super) is_padded: bool,
    pub(super) payload_type: u8,
    pub(super) timestamp: u32,
}

#[derive(Debug)]
struct Slot {
    past: Past,
    begin: usize,
    len: usize,
    at: Timestamp,
}

impl History {
    pub(super) fn keep(&mut self, now: Timestamp, past: Past, payload: &[u8]) {
        if payload.len() > SMALL {
            return;
        }
        if self.bytes.is_empty() {
            self.bytes.resize(SMALL, 0);
        }
        if !self.has_room(now, payload.len()) && self.bytes.len() < LARGE {
            self.grow();
        }
        if self.next + payload.len() > self.bytes.len() {
            // What lies up to the end goes with it: places are given out in one order.
            self.forget(self.next, self.bytes.len());
            self.next = 0;
        }
        let (begin, end) = (self.next, self.next + payload.len());
        self.forget(begin, end);
        if let Some(room) = self.bytes.get_mut(begin..end) {
            room.copy_from_slice(payload);
            self.slots.push_back(Slot { past, begin, len: payload.len(), at: now });
            self.next = end;
        }
    }

    pub(super) fn find(&self, number: u64) -> Option<(Past, &[u8])> {
        let slot = self.slots.iter().rev().find(|slot| slot.past.number == number)?;
        Some((slot.past, self.bytes.get(slot.begin..slot.begin + slot.len)?))
    }

    fn has_room(&self, now: Timestamp, len: usize) -> bool {
        let is_old = |slot: &Slot| now - slot.at >= KEEP;
        let begin = if self.next + len > self.bytes.len() { 0 } else { self.next };
        self.slots
            .front()
            .is_none_or(|slot| is_old(slot) || slot.begin + slot.len <= begin || slot.begin >= begin + len)
    }

    /// The oldest, as far as they lie there.
    fn forget(&mut self, begin: usize, end: usize) {
        while self.slots.front().is_some_and(|slot| slot.begin < end && slot.begin + slot.len > begin) {
            self.slots.pop_front();
        }
    }

    fn grow(&mut self) {
        let mut bytes = Vec::with_capacity(self.bytes.len() * 2);
        for slot in &mut self.slots {
            let begin = bytes.len();
            bytes.extend_from_slice(self.bytes.get(slot.begin..slot.begin + slot.len).unwrap_or_default());
            slot.begin = begin;
        }
        self.next = bytes.len();
        bytes.resize(self.bytes.len() * 2, 0);
        self.bytes = bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(number: u64) -> Past {
        Past { number, marker: false, is_padded: false, payload_type: 96, timestamp: number as u32 }
    }

    fn payload(number: u64) -> Vec<u8> {
        vec![number as u8; 500 + (number % 700) as usize]
    }

    /// One packet each so many milliseconds.
    fn filled(count: u64, every_ms: u64) -> History {
        let mut history = History::default();
        for number in 0..count {
            history.keep(Timestamp(number * every_ms * 1_000), past(number), &payload(number));
        }
        history
    }

    #[test]
    fn a_second_is_kept_whole_and_no_more_than_a_megabyte() {
        for (every_ms, at_least) in [(1, 1_000), (4, 250), (20, 50)] {
            let history = filled(20_000, every_ms);
            let found = (0..20_000).filter(|number| match history.find(*number) {
                Some((found, bytes)) => found == past(*number) && bytes == payload(*number),
                None => false,
            });
            let found: Vec<_> = found.collect();
            assert!(found.len() >= at_least, "{}", found.len());
            assert!(found.windows(2).all(|two| two[1] == two[0] + 1) && found.last() == Some(&19_999));
            assert!(history.bytes.len() <= LARGE && history.slots.len() == found.len());
        }
        assert_eq!(filled(20_000, 20).bytes.len(), SMALL);
    }

    #[test]
    fn a_packet_that_nobody_would_send_is_not_kept() {
        let mut history = History::default();
        history.keep(Timestamp(0), past(1), &vec![0; SMALL + 1]);
        assert_eq!(history.find(1), None);
    }
}
