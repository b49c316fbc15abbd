//! Numbers of one stream that is sent: 48 bits, of which the packet shows the lower 16.
//!
//! ```text
//!        too old        │ late: each once │ highest │ free
//!  ─────────────────────┴─── Span ────────┴─────────┴──────▶
//!              ▲ floor: after a rebuild nothing below it
//! ```
//!
//! # Invariants
//! * A number is claimed once, whoever asks: it is the nonce of a packet. The number behind the highest is in [`SentMark`]
//!   before its packet leaves, and whoever goes on from there begins behind it.
//! * Should two go on from the same mark, because one hung and woke, they share no number.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::span::Span;

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
    span: Span,
    floor: u64,
}

impl Numbers {
    pub(super) fn after(ssrc: u32, mark: Arc<SentMark>) -> Self {
        let end = mark.end.load(Relaxed);
        Self { ssrc, mark, span: Span::new(end), floor: end }
    }

    /// Whose numbers they are.
    #[must_use]
    pub const fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// The number behind the highest one that was used.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.span.end()
    }

    /// Uses a number. `false`: it was, or may have been, or there are none left.
    pub(super) fn claim(&mut self, number: u64) -> bool {
        if number >= END {
            return false;
        }
        if number < self.end() {
            return number >= self.floor && self.span.take(number);
        }
        let found = self.mark.end.fetch_max(number + 1, Relaxed);
        if found != self.end() {
            // Somebody else sends this stream too: what lies below is his.
            self.floor = self.floor.max(found);
            if found > number {
                self.span.advance(found);
                return false;
            }
        }
        self.span.take(number)
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
    fn whoever_goes_on_begins_behind_the_highest() {
        let mark = Arc::new(SentMark::new(0));
        assert!(numbers(&mark).claim(1_000));
        let mut next = numbers(&mark);
        assert_eq!(next.end(), 1_001);
        assert!(!next.claim(1_000) && !next.claim(999) && next.claim(1_002) && next.claim(1_001));
        assert!(!next.claim(END) && next.claim(END - 1));
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
