//! Settings of webhooks.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use tandem_core::webhook::Patience;

/// The `[webhooks]` section.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WebhooksConfig {
    /// Whether webhooks may be `http://`. Default false; with `--dev` they may.
    pub(crate) allow_http: bool,
    /// Whether they may be at addresses that are not public: this machine, private networks. Default false; with
    /// `--dev` they may.
    pub(crate) allow_private: bool,
    /// Longest time of one request. Default `10s`, range `100ms`..=`1m`.
    #[serde(with = "humantime_serde")]
    pub(crate) timeout: Duration,
    /// Pause before a request is tried a second time; each further one is twice as long. Default `5s`, at least `10ms`.
    #[serde(with = "humantime_serde")]
    pub(crate) retry_first: Duration,
    /// Longest of these pauses. Default `1h`.
    #[serde(with = "humantime_serde")]
    pub(crate) retry_longest: Duration,
    /// How long it is tried. Then the delivery is dead until somebody sends it again. Default `24h`, at most `7d`.
    #[serde(with = "humantime_serde")]
    pub(crate) give_up: Duration,
    /// How often the database is asked for what is due. Default `200ms`, range `10ms`..=`1m`.
    #[serde(with = "humantime_serde")]
    pub(crate) poll: Duration,
    /// Most requests at a time. Default 256, range 1..=4096.
    pub(crate) parallel: usize,
    /// Most requests to one webhook at a time, each of another resource. Default 8, range 1..=64.
    pub(crate) per_endpoint: usize,
    /// Most webhooks of a tenant. Default 20.
    pub(crate) per_tenant: u64,
    /// How long deliveries are kept that are delivered or dead. Default `7d`, at least `1h`.
    #[serde(with = "humantime_serde")]
    pub(crate) keep: Duration,
    /// How long the old secret goes on signing after a new one was made. Default `24h`.
    #[serde(with = "humantime_serde")]
    pub(crate) secret_overlap: Duration,
}

impl Default for WebhooksConfig {
    fn default() -> Self {
        let hour = Duration::from_secs(3_600);
        Self {
            allow_http: false,
            allow_private: false,
            timeout: Duration::from_secs(10),
            retry_first: Duration::from_secs(5),
            retry_longest: hour,
            give_up: hour * 24,
            poll: Duration::from_millis(200),
            parallel: 256,
            per_endpoint: 8,
            per_tenant: 20,
            keep: hour * 24 * 7,
            secret_overlap: hour * 24,
        }
    }
}

impl WebhooksConfig {
    /// Whether every value is in its range.
    ///
    /// # Errors
    /// The first that is not.
    pub(crate) fn check(&self) -> Result<()> {
        let (ms, minute, hour) = (Duration::from_millis(1), Duration::from_secs(60), Duration::from_secs(3_600));
        ensure!((ms * 100..=minute).contains(&self.timeout), "webhooks.timeout must be in 100ms..=1m");
        ensure!(self.retry_first >= ms * 10, "webhooks.retry_first: at least 10ms");
        ensure!(self.give_up <= hour * 168, "webhooks.give_up: at most 7d");
        ensure!((ms * 10..=minute).contains(&self.poll), "webhooks.poll must be in 10ms..=1m");
        ensure!((1..=4_096).contains(&self.parallel), "webhooks.parallel must be in 1..=4096");
        ensure!((1..=64).contains(&self.per_endpoint), "webhooks.per_endpoint must be in 1..=64");
        ensure!(self.keep >= hour, "webhooks.keep: at least 1h");
        Ok(())
    }

    pub(super) const fn patience(&self) -> Patience {
        Patience { first: self.retry_first, longest: self.retry_longest, give_up: self.give_up }
    }
}
