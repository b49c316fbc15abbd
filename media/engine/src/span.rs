//! Which of the last numbers of a stream were used.

/// How far behind the highest number one may still be, once: what was asked for again and comes late.
pub(crate) const SPAN: u64 = 512;

const WORDS: usize = (SPAN / 64) as usize;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    end: u64,
    /// Bit `n % SPAN`: the number `n` of the last [`SPAN`] was used.
    used: [u64; WORDS],
}

impl Span {
    /// Before that number nothing is known to be used.
    pub(crate) const fn new(end: u64) -> Self {
        Self { end, used: [0; WORDS] }
    }

    /// The number behind the highest.
    pub(crate) const fn end(&self) -> u64 {
        self.end
    }

    /// Uses a number. `false`: it was used, or is too old to tell.
    pub(crate) fn take(&mut self, number: u64) -> bool {
        if number >= self.end {
            self.advance(number + 1);
        } else if self.end - number > SPAN {
            return false;
        }
        let Some(word) = self.used.get_mut((number % SPAN / 64) as usize) else { return false };
        let is_free = *word >> (number % 64) & 1 == 0;
        *word |= 1 << (number % 64);
        is_free
    }

    /// Leaves numbers out, up to a new end that is not below the old.
    pub(crate) fn advance(&mut self, end: u64) {
        if end.saturating_sub(self.end) >= SPAN {
            self.used = [0; WORDS];
        } else {
            (self.end..end).for_each(|number| {
                if let Some(word) = self.used.get_mut((number % SPAN / 64) as usize) {
                    *word &= !(1 << (number % 64));
                }
            });
        }
        self.end = self.end.max(end);
    }
}

/// The number nearest to `near` that ends in a sequence number.
pub(crate) fn nearest(near: u64, sequence: u16) -> u64 {
    let step = i64::from(sequence.wrapping_sub(near as u16).cast_signed());
    near.checked_add_signed(step).unwrap_or_else(|| u64::from(sequence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_free_once_and_late_ones_for_a_while() {
        let mut span = Span::new(0);
        assert!(span.take(1_000) && span.take(1_010) && span.take(1_005));
        assert!(!span.take(1_005) && !span.take(1_010) && !span.take(1_000));
        assert!(span.take(1_522) && span.take(1_011) && !span.take(1_010));
        assert!(span.take(9_000) && !span.take(1_522) && span.take(8_999));
    }

    #[test]
    fn sequences_go_round_both_ways() {
        assert_eq!((nearest(65_535, 0), nearest(65_536, 65_535), nearest(5, 65_535)), (65_536, 65_535, 65_535));
    }
}
