//! The clocks: the wall for what storage itself writes down, the other one for waits.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use sea_orm::DatabaseBackend;
use sea_orm::sea_query::Expr;
use tandem_core::restart::BackOff;
use tandem_core::time::{Timestamp, WallTime};
use tokio::time::Instant;

/// Wait after the first failure of the database.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// Longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Now, in whole microseconds: what PostgreSQL keeps.
pub(crate) fn now() -> WallTime {
    wall(SystemTime::now())
}

/// A file's time.
pub(crate) fn wall(time: SystemTime) -> WallTime {
    DateTime::<Utc>::from(time).into()
}

/// So much later than now, in a statement: by the clock of the database where several machines share it.
pub(crate) fn later(backend: DatabaseBackend, by: Duration) -> Expr {
    match backend {
        DatabaseBackend::Postgres => Expr::cust(format!("clock_timestamp() + interval '{} seconds'", by.as_secs())),
        _ => Expr::value((now() + by).date_time()),
    }
}

/// How long a loop waits after each failure: [`FIRST_WAIT`], doubled up to [`LONGEST_WAIT`], which is also how long
/// nothing must fail for it to begin anew.
pub(crate) struct Waits {
    start: Instant,
    back_off: BackOff,
}

impl Waits {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), back_off: BackOff::new(FIRST_WAIT, LONGEST_WAIT) }
    }

    pub(crate) fn after_failure(&mut self) -> Duration {
        let since = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.back_off.delay(Timestamp(since))
    }
}
