//! Which numbers of a stream were used, and how 16 bits become 48 (RFC 3711, 3.3.1 and 3.3.2).

/// How far behind the highest number one may still be, once.
const WIDTH: u64 = 64;

/// Beyond the last index of an RTP stream: 32 bits of rollovers, 16 of sequence.
const END: u64 = 1 << 48;

/// The highest number of a stream, and which of the [`WIDTH`] numbers up to it were used.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Window {
    highest: u64,
    /// Bit `n`: `highest - n` was used.
    used: u64,
}

impl Window {
    /// After that number, with nothing behind it left to use.
    pub(super) const fn after(highest: u64) -> Self {
        Self { highest, used: u64::MAX }
    }

    /// The number behind the highest; 0 before the first.
    pub(super) const fn end(self) -> u64 {
        if self.used == 0 { 0 } else { self.highest + 1 }
    }

    /// Whether a number was neither used nor is too old to tell.
    pub(super) fn is_free(self, number: u64) -> bool {
        match self.highest.checked_sub(number) {
            None => true,
            Some(behind) => behind < WIDTH && self.used >> behind & 1 == 0,
        }
    }

    /// Notes that a number was used. `true`: it is the highest now.
    pub(super) fn note(&mut self, number: u64) -> bool {
        let is_first = self.used == 0;
        match number.checked_sub(self.highest) {
            Some(ahead) if ahead > 0 || is_first => {
                self.used = if is_first || ahead >= WIDTH { 1 } else { self.used << ahead | 1 };
                self.highest = number;
                true
            }
            _ => {
                let behind = self.highest.saturating_sub(number);
                if behind < WIDTH {
                    self.used |= 1 << behind;
                }
                false
            }
        }
    }

    /// The index nearest to the highest that ends in a sequence number. `None`: there is none, before the first rollover
    /// or after the last.
    pub(super) fn index_of(self, sequence: u16) -> Option<u64> {
        let step = i64::from(sequence.wrapping_sub(self.highest as u16).cast_signed());
        self.highest.checked_add_signed(step).filter(|index| *index < END)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_behind_the_highest_are_free_once_and_very_old_ones_never() {
        let mut window = Window::default();
        assert!(window.is_free(0) && window.is_free(1_000));
        assert!(window.note(1_000));
        assert!(!window.is_free(1_000) && window.is_free(999) && window.is_free(937));
        assert!(!window.is_free(936));
        assert!(!window.note(990));
        assert!(!window.is_free(990) && window.is_free(989));
        assert!(window.note(5_000));
        assert!(!window.is_free(1_001) && window.is_free(4_999));
    }

    #[test]
    fn after_a_number_only_later_ones_are_free() {
        let window = Window::after(70_000);
        assert!((69_900..=70_000).all(|number| !window.is_free(number)));
        assert!(window.is_free(70_001));
    }

    #[test]
    fn an_index_follows_the_nearest_sequence_over_a_rollover_and_back() {
        let near = |highest, sequence| Window::after(highest).index_of(sequence);
        assert_eq!(near(65_535, 0), Some(65_536));
        assert_eq!(near(65_536 + 2, 65_534), Some(65_534));
        assert_eq!(near(3 * 65_536 + 100, 101), Some(3 * 65_536 + 101));
        assert_eq!(near(5, 65_530), None);
        assert_eq!(near(END - 1, 0), None);
    }

    proptest! {
        #[test]
        fn no_number_is_free_twice(steps in prop::collection::vec(0_u64..300, 1..200)) {
            let mut window = Window::default();
            let mut used = std::collections::HashSet::new();
            for number in steps {
                if window.is_free(number) {
                    prop_assert!(used.insert(number));
                    window.note(number);
                }
            }
        }
    }
}
