//! How often a shell may die before its slot is given up. Kept in the slot, so it outlives supervisors too.

use std::time::Duration;

use crate::time::Timestamp;

/// What to do about a failure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Start another shell.
    Restart,
    /// End the machine.
    GiveUp,
}

/// The failures of one slot.
#[derive(Clone, Debug, Default)]
pub struct Budget {
    failures: Vec<Timestamp>,
}

impl Budget {
    /// Counts one failure and decides what to do about it: at most `restarts` of them in `window` are answered.
    pub fn charge(&mut self, now: Timestamp, restarts: usize, window: Duration) -> Verdict {
        self.failures.retain(|at| *at + window > now);
        self.failures.push(now);
        if self.failures.len() > restarts { Verdict::GiveUp } else { Verdict::Restart }
    }
}

/// Delay before something is tried again: doubles from `first` to `most`, forgotten when it was well for long enough.
#[derive(Clone, Copy, Debug)]
pub struct BackOff {
    first: Duration,
    most: Duration,
    healthy: Duration,
    next: Duration,
    /// When it was last tried again.
    last_try: Option<Timestamp>,
}

impl BackOff {
    /// Starts at `first`; never waits longer than `most`. Forgotten after `most` without a failure.
    #[must_use]
    pub const fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, healthy: most, next: first, last_try: None }
    }

    /// Forgotten after so long without a failure.
    #[must_use]
    pub const fn forgotten_after(self, healthy: Duration) -> Self {
        Self { healthy, ..self }
    }

    /// How long to wait after the failure that happened now.
    pub fn delay(&mut self, now: Timestamp) -> Duration {
        self.delay_after(now, now)
    }

    /// The same for a failure that was noticed only now, of what was well up to `well`.
    pub fn delay_after(&mut self, well: Timestamp, now: Timestamp) -> Duration {
        if self.last_try.is_some_and(|last| last + self.healthy < well) {
            self.next = self.first;
        }
        let delay = self.next;
        self.last_try = Some(now + delay);
        self.next = (self.next * 2).min(self.most);
        delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(30);

    #[test]
    fn the_fourth_failure_in_a_window_is_one_too_many() {
        let mut budget = Budget::default();
        for second in 0..3 {
            assert_eq!(budget.charge(Timestamp(second * 1_000_000), 3, WINDOW), Verdict::Restart);
        }
        assert_eq!(budget.charge(Timestamp(4_000_000), 3, WINDOW), Verdict::GiveUp);
    }

    #[test]
    fn failures_outside_the_window_are_forgotten() {
        let mut budget = Budget::default();
        for minute in 0..100 {
            assert_eq!(budget.charge(Timestamp(minute * 60_000_000), 1, WINDOW), Verdict::Restart);
        }
    }

    #[test]
    fn the_delay_doubles_to_its_limit_and_starts_anew_after_quiet() {
        let mut back_off = BackOff::new(Duration::from_millis(100), Duration::from_millis(300));
        let delays: Vec<_> = (0..4).map(|n| back_off.delay(Timestamp(n)).as_millis()).collect();
        assert_eq!(delays, [100, 200, 300, 300]);
        assert_eq!(back_off.delay(Timestamp(1_000_000)).as_millis(), 100);
    }

    #[test]
    fn the_time_in_which_a_failure_was_not_noticed_is_no_health() {
        let second = Duration::from_secs(1);
        let mut back_off = BackOff::new(second, 8 * second).forgotten_after(second);
        let (mut now, mut delays) = (Timestamp(0), Vec::new());
        for _ in 0..5 {
            let delay = back_off.delay_after(now, now + 3 * second);
            delays.push(delay.as_secs());
            now = now + 3 * second + delay; // and hangs at once again
        }
        assert_eq!(delays, [1, 2, 4, 8, 8]);
    }

    #[test]
    fn what_was_well_for_as_long_as_was_asked_for_is_tried_at_once_again() {
        let second = Duration::from_secs(1);
        let mut back_off = BackOff::new(second, 30 * second).forgotten_after(2 * second);
        let delays: Vec<_> = (0..20).map(|n| back_off.delay(Timestamp(n * 3_100_000)).as_secs()).collect();
        assert_eq!(delays, [1; 20], "each time it was well for 2.1 s");
    }
}
