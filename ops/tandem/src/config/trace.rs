//! What is kept of the stories of calls.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

/// The `[trace]` section.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TraceConfig {
    /// Whose stories are kept when they are over: those of `all` calls, of `failed` ones (ended by anything but a hang-up or a
    /// caller who gave up, or something of it broke), or `none`. Default `all`.
    pub(crate) keep: Keep,
    /// How long. Default `7days`, range `1h`..=`1year`.
    #[serde(with = "humantime_serde")]
    pub(crate) retention: Duration,
    /// Most that the stories of live calls take in memory together, in bytes. Above it messages, and then calls, are left
    /// out. Default 256 MiB, range 1 MiB..=64 GiB.
    pub(crate) memory_bytes: usize,
}

/// Which stories are kept.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Keep {
    #[default]
    All,
    Failed,
    None,
}

impl Default for TraceConfig {
    fn default() -> Self {
        let retention = Duration::from_secs(7 * 24 * 3_600);
        Self { keep: Keep::All, retention, memory_bytes: 256 << 20 }
    }
}

impl TraceConfig {
    /// Says whether every value is in its range.
    pub(crate) fn check(&self) -> Result<()> {
        let hour = Duration::from_secs(3_600);
        ensure!((hour..=hour * 24 * 366).contains(&self.retention), "trace.retention: 1h to 1year");
        ensure!((1 << 20..=64 << 30).contains(&self.memory_bytes), "trace.memory_bytes: 1 MiB to 64 GiB");
        Ok(())
    }
}
