//! Numbers of one stream that is sent: 48 bits, of which the packet shows the lower 16.
//!
//! ```text
//!        too old        │ late: each once │ highest │ free
//!  ─────────────────────┴─── SPAN ────────┴─────────┴──────▶
//!              ▲ floor: after a rebuild nothing below it
//! ```
//!
//! # Invariants
//! * A number is claimed once, whoever asks: it is the nonce of a packet. The number behind the highest is in [`SentMark`]
//!   before its packet leaves, and whoever goes on from there begins behind it.
//! * Should two go on from the same mark, because one hung and woke, they share no number.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How far behind the highest number one may still be, once: what is asked for again and comes late.
const SPAN: u64 = 512;

/// Beyond the last index of an RTP stream: 32 bits of rollovers, 16 of sequence.
const END: u64 = 1 << 48;

/// What must outlive whoever sends the stream.
#[derive(Debug)]
pub(super) struct SentMark {
    /// The number behind the highest.
    end: AtomicU64,
}

impl SentMark {
    /// A stream that was never sent. It begins in the lower half of the sequence, for a far end that missed the first
    /// packets must not miss a rollover with them (RFC 3711, 3.3.1); where exactly, its SSRC says, which is random.
    pub(super) fn new(ssrc: u32) -> Self {
        Self { end: AtomicU64::new(u64::from((ssrc >> 16 ^ ssrc) & 0x7fff | 1)) }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Numbers {
    ssrc: u32,
    mark: Arc<SentMark>,
    end: u64,
    floor: u64,
    /// Bit `n % SPAN`: the number `n` of the last [`SPAN`] was used.
    used: [u64; (SPAN / 64) as usize],
}

impl Numbers {
    pub(super) fn after(ssrc: u32, mark: Arc<SentMark>) -> Self {
        let end = mark.end.load(Relaxed);
        Self { ssrc, mark, end, floor: end, used: [0; (SPAN / 64) as usize] }
    }

    /// Whose numbers they are.
    #[must_use]
    pub const fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// The number behind the highest one that was used.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.end
    }

    /// Uses a number. `false`: it was, or may have been, or there are none left.
    pub(super) fn claim(&mut self, number: u64) -> bool {
        if number >= END {
            return false;
        }
        if number < self.end {
            return self.claim_late(number);
        }
        let found = self.mark.end.fetch_max(number + 1, Relaxed);
        if found != self.end {
            // Somebody else sends this stream too: what lies below is his.
            self.floor = self.floor.max(found);
            if found > number {
                self.advance(found);
                return false;
            }
        }
        self.advance(number + 1);
        self.set(number)
    }

    fn claim_late(&mut self, number: u64) -> bool {
        number >= self.floor && self.end - number <= SPAN && self.set(number)
    }

    fn advance(&mut self, end: u64) {
        if end - self.end >= SPAN {
            self.used = [0; (SPAN / 64) as usize];
        } else {
            (self.end..end).for_each(|number| {
                if let Some(word) = self.used.get_mut((number % SPAN / 64) as usize) {
                    *word &= !(1 << (number % 64));
                }
            });
        }
        self.end = end;
    }

    /// `false`: it was set.
    fn set(&mut self, number: u64) -> bool {
        let Some(word) = self.used.get_mut((number % SPAN / 64) as usize) else { return false };
        let is_free = *word >> (number % 64) & 1 == 0;
        *word |= 1 << (number % 64);
        is_free
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn numbers(mark: &Arc<SentMark>) -> Numbers {
        Numbers::after(7, mark.clone())
    }

    #[test]
    fn numbers_are_free_once_and_late_ones_for_a_while() {
        let mark = Arc::new(SentMark::new(0));
        let mut numbers = numbers(&mark);
        assert!(numbers.claim(1_000) && numbers.claim(1_010) && numbers.claim(1_005));
        assert!(!numbers.claim(1_005) && !numbers.claim(1_010) && !numbers.claim(1_000));
        assert!(numbers.claim(1_522) && numbers.claim(1_011) && !numbers.claim(1_010));
        assert!(numbers.claim(9_000) && !numbers.claim(1_522) && numbers.claim(8_999));
        assert!(!numbers.claim(END) && numbers.claim(END - 1));
    }

    #[test]
    fn whoever_goes_on_begins_behind_the_highest() {
        let mark = Arc::new(SentMark::new(0));
        assert!(numbers(&mark).claim(1_000));
        let mut next = numbers(&mark);
        assert_eq!(next.end(), 1_001);
        assert!(!next.claim(1_000) && !next.claim(999) && next.claim(1_002) && next.claim(1_001));
    }

    proptest! {
        #[test]
        fn no_number_is_used_twice_even_by_two_of_whom_one_should_be_dead(
            steps in prop::collection::vec((0_u8..12, 0_u64..700), 1..300),
        ) {
            let mark = Arc::new(SentMark::new(0));
            let mut both = [numbers(&mark), numbers(&mark)];
            let mut used = HashSet::new();
            for (who, number) in steps {
                if who == 0 {
                    both.swap(0, 1);
                    both[0] = numbers(&mark);
                } else if both[usize::from(who % 2)].claim(number) {
                    prop_assert!(used.insert(number), "{} twice", number);
                }
            }
        }
    }
}
