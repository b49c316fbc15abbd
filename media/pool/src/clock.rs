//! The pool's clock: one for all workers, so that a rebuilt one can compare its time with its predecessor's.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tandem_core::time::{Now, Timestamp, WallTime};

#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// The instant of timestamp 0, give or take a microsecond.
    pub(crate) fn epoch(&self) -> Instant {
        self.start
    }

    /// Microseconds, from 1.
    pub(crate) fn mono(&self) -> Timestamp {
        Timestamp(1 + u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX - 1))
    }

    pub(crate) fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
        Now { mono: self.mono(), wall: WallTime(i64::try_from(wall).unwrap_or(i64::MAX)) }
    }
}
