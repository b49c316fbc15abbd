//! Where data is kept, and how much of it is handled at once.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::database::{DatabaseUrl, Engine};

/// The storage section of the configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Folder of the journal, the node's id and, unless told otherwise, the database. Default `var`.
    pub data_dir: PathBuf,
    /// The database, as a URL: `sqlite://path`, or `postgres://user:password@host:port/database` with parameters as
    /// libpq has them (`sslmode=verify-full`, `application_name`, …). Default: the file `tandem.db` in `data_dir`.
    pub database_url: Option<DatabaseUrl>,
    /// File that holds the password for PostgreSQL, instead of the URL. Default none.
    pub database_password_file: Option<PathBuf>,
    /// Connections that read. Default 4, range 1..=64.
    pub readers: u32,
    /// Connections that write to PostgreSQL; to SQLite there is one. Default 4, range 1..=64.
    pub writers: u32,
    /// How long a start waits for a PostgreSQL that does not answer before it gives up. Default `1m`, range `0s`..=`1h`.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// How long a question waits for a free connection, or for PostgreSQL to be there again. Default `5s`, range
    /// `100ms`..=`1m`.
    #[serde(with = "humantime_serde")]
    pub acquire_timeout: Duration,
    /// How long PostgreSQL may work on one statement. Default `30s`, range `100ms`..=`10m`.
    #[serde(with = "humantime_serde")]
    pub statement_timeout: Duration,
    /// How long a statement waits for another process that holds SQLite. Default `5s`, range `10ms`..=`1m`.
    #[serde(with = "humantime_serde")]
    pub busy_timeout: Duration,
    /// How long the events of calls that are over stay in the history. Default `3months`, range from `1h`.
    #[serde(with = "humantime_serde")]
    pub keep_events: Option<Duration>,
    /// How long calls that are over stay in the users' lists. Default for ever, range from `1h`.
    #[serde(with = "humantime_serde")]
    pub keep_calls: Option<Duration>,
    /// How long billing records stay in the database. Default for ever, range from `1h`.
    #[serde(with = "humantime_serde")]
    pub keep_cdrs: Option<Duration>,
    /// How long the audit stays in the database. Default `1year`, range from `1h`.
    #[serde(with = "humantime_serde")]
    pub keep_audit: Option<Duration>,
    /// Folder that billing records are written to before they are deleted, as JSON Lines in gzip. Default none: they
    /// are only deleted.
    pub archive_dir: Option<PathBuf>,
    /// Most journal entries in one transaction. Default 500, range 1..=1000.
    pub batch: usize,
    /// How long the first entry of a batch waits for more. Default `5ms`, range `0s`..=`1s`.
    #[serde(with = "humantime_serde")]
    pub batch_delay: Duration,
    /// Size at which a journal segment is closed and the next one begun, in bytes. Default 8 MiB, range 4 KiB..=1 GiB.
    pub segment_bytes: u64,
    /// Most that is kept in memory while the disk takes nothing, in bytes. Default 64 MiB, range 0..=1 GiB. Entries
    /// beyond it are lost, and said to be.
    pub waiting_bytes: usize,
    /// Events that a slow subscriber of the bus may be behind before it loses the oldest. Default 4096, range
    /// 1..=1048576.
    pub bus_capacity: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("var"),
            database_url: None,
            database_password_file: None,
            readers: 4,
            writers: 4,
            connect_timeout: Duration::from_secs(60),
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
            busy_timeout: Duration::from_secs(5),
            keep_events: Some(Duration::from_secs(3 * 2_630_016)),
            keep_calls: None,
            keep_cdrs: None,
            keep_audit: Some(Duration::from_secs(31_557_600)),
            archive_dir: None,
            batch: 500,
            batch_delay: Duration::from_millis(5),
            segment_bytes: 8 << 20,
            waiting_bytes: 64 << 20,
            bus_capacity: 4_096,
        }
    }
}

/// A value outside its range.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{key} must be in {range}")]
pub struct OutOfRange {
    /// Which key.
    pub key: &'static str,
    /// What it may be.
    pub range: &'static str,
}

impl Config {
    /// Says whether every value is in its range.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check(&self) -> Result<(), OutOfRange> {
        let (ms, second, minute) = (Duration::from_millis(10), Duration::from_secs(1), Duration::from_secs(60));
        let tenth = Duration::from_millis(100);
        let is_long = |keep: Option<Duration>| keep.is_none_or(|keep| keep >= 60 * minute);
        let is_known = self.database_url.as_ref().is_none_or(|url| url.engine().is_some());
        for (in_range, key, range) in [
            (is_known, "database_url", "sqlite://… or postgres://…"),
            ((1..=64).contains(&self.readers), "readers", "1..=64"),
            ((1..=64).contains(&self.writers), "writers", "1..=64"),
            (self.connect_timeout <= 60 * minute, "connect_timeout", "0s..=1h"),
            ((tenth..=minute).contains(&self.acquire_timeout), "acquire_timeout", "100ms..=1m"),
            ((tenth..=10 * minute).contains(&self.statement_timeout), "statement_timeout", "100ms..=10m"),
            ((ms..=minute).contains(&self.busy_timeout), "busy_timeout", "10ms..=1m"),
            (is_long(self.keep_events), "keep_events", "1h.."),
            (is_long(self.keep_calls), "keep_calls", "1h.."),
            (is_long(self.keep_cdrs), "keep_cdrs", "1h.."),
            (is_long(self.keep_audit), "keep_audit", "1h.."),
            ((1..=1_000).contains(&self.batch), "batch", "1..=1000"),
            (self.batch_delay <= second, "batch_delay", "0s..=1s"),
            ((4 << 10..=1 << 30).contains(&self.segment_bytes), "segment_bytes", "4 KiB..=1 GiB"),
            (self.waiting_bytes <= 1 << 30, "waiting_bytes", "0..=1 GiB"),
            ((1..=1 << 20).contains(&self.bus_capacity), "bus_capacity", "1..=1048576"),
        ] {
            if !in_range {
                return Err(OutOfRange { key, range });
            }
        }
        Ok(())
    }

    /// What it says the database is.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.database_url.as_ref().and_then(DatabaseUrl::engine).unwrap_or(Engine::Sqlite)
    }

    pub(crate) fn journal_dir(&self) -> PathBuf {
        self.data_dir.join("journal")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_in_range_and_a_batch_of_none_is_not() {
        assert_eq!(Config::default().check(), Ok(()));
        let config = Config { batch: 0, ..Config::default() };
        assert_eq!(config.check().unwrap_err().key, "batch");
    }
}
