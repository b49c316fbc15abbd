//! The one place of this crate that reads a clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use tandem_core::time::{Now, Timestamp, WallTime};
use tokio::time::Instant;

/// How far the wall clock may be from where it was expected before that counts as a step.
const STEP: Duration = Duration::from_millis(100);

/// How often the wall clock is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Longest time between two readings that are to be compared: a thread that was put aside between them shows a step
/// where there is none.
const BRACKET: Duration = Duration::from_millis(1);

/// The node's clocks: tokio's monotonic one, so that tests can pause and advance it, and a wall clock that runs with it
/// and is set anew when the system's is stepped. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Reading>);

#[derive(Debug)]
struct Reading {
    start: Instant,
    /// As `start`, but never paused: what the system's wall clock is compared with.
    unpaused: std::time::Instant,
    /// What the wall clock would have shown at `start`, by how it is set now. Microseconds since 1970.
    anchor: AtomicI64,
    look_at: AtomicU64,
}

impl Clock {
    /// Starts at 0 on the monotonic clock.
    #[must_use]
    pub fn start() -> Self {
        let wall = SystemTime::now();
        Self(Arc::new(Reading {
            start: Instant::now(),
            unpaused: std::time::Instant::now(),
            anchor: AtomicI64::new(micros_since_1970(wall)),
            look_at: AtomicU64::new(micros(LOOK)),
        }))
    }

    /// The moment, on both clocks.
    #[must_use]
    pub fn now(&self) -> Now {
        let mono = micros(self.0.start.elapsed());
        if mono >= self.0.look_at.load(Relaxed) {
            self.0.look_at.store(mono.saturating_add(micros(LOOK)), Relaxed);
            self.0.follow_steps();
        }
        let wall = self.0.anchor.load(Relaxed).saturating_add_unsigned(mono);
        Now { mono: Timestamp(mono), wall: WallTime(wall) }
    }
}

impl Reading {
    fn follow_steps(&self) {
        let Some(found) = self.measure() else { return };
        let before = self.anchor.load(Relaxed);
        if found.abs_diff(before) >= micros(STEP) {
            self.anchor.store(found, Relaxed);
            tracing::warn!(by_ms = found.saturating_sub(before) / 1_000, "wall clock was stepped");
        }
    }

    /// The anchor by how the wall clock is set now; `None` when the readings are too far apart to be compared.
    fn measure(&self) -> Option<i64> {
        let before = self.unpaused.elapsed();
        let wall = micros_since_1970(SystemTime::now());
        let after = self.unpaused.elapsed();
        (after.saturating_sub(before) <= BRACKET).then(|| wall.saturating_sub_unsigned(micros(before)))
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Negative before 1970.
fn micros_since_1970(wall: SystemTime) -> i64 {
    match wall.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
        Err(earlier) => i64::try_from(earlier.duration().as_micros()).map_or(i64::MIN, i64::wrapping_neg),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn both_clocks_stand_still_and_move_with_the_test() {
        let clock = Clock::start();
        let before = clock.now();
        assert_eq!(before.mono, Timestamp(0));
        assert!(before.wall.0.abs_diff(micros_since_1970(SystemTime::now())) < 60_000_000);
        tokio::time::advance(Duration::from_secs(3_600)).await;
        assert_eq!(clock.now(), before.after(Duration::from_secs(3_600)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stepped_wall_clock_is_followed_within_a_second_and_the_monotonic_one_goes_on() {
        let clock = Clock::start();
        let right = clock.now().wall;
        clock.0.anchor.fetch_sub(7_200_000_000, Relaxed); // as if the system's had been set forward by two hours since
        assert!(right - clock.now().wall > Duration::from_secs(7_000));
        let mut now = clock.now();
        for _ in 0..10 {
            tokio::time::advance(LOOK).await;
            now = clock.now(); // a thread that is put aside between two readings misses its turn
        }
        assert_eq!(now.mono, Timestamp(10_000_000));
        assert!(now.wall.0.abs_diff(right.0 + 10_000_000) < 5_000_000, "{now:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_difference_below_a_step_is_left_alone() {
        let clock = Clock::start();
        let before = clock.0.anchor.fetch_sub(50_000, Relaxed) - 50_000;
        tokio::time::advance(LOOK).await;
        let _ = clock.now();
        assert_eq!(clock.0.anchor.load(Relaxed), before);
    }
}
