//! The section `[bus]` of the configuration.

use std::path::PathBuf;
use std::time::Duration;

use async_nats::ServerAddr;
use serde::{Deserialize, Serialize};
use tandem_core::pii::Pii;

use crate::config::OutOfRange;

/// How events leave the node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BusConfig {
    /// NATS servers with JetStream, 2.11 or later: `nats://host:4222` or `tls://host:4222`, several separated by
    /// commas. Default none: events stay in the process.
    pub nats_url: Option<Pii<String>>,
    /// File with the credentials for NATS, as `nsc` writes it. Default none: what the URL says.
    pub credentials: Option<PathBuf>,
    /// On how many servers each message of a stream is. Default 1, one of 1, 3, 5.
    pub stream_replicas: usize,
    /// How long a stream keeps what happened; the database keeps it longer. Default `72h`, range `1h`..=`72h`.
    #[serde(with = "humantime_serde")]
    pub stream_max_age: Duration,
    /// For how long a stream knows an event again. After a longer outage the node compares before it publishes.
    /// Default `2m`, range `1s`..=`1h`.
    #[serde(with = "humantime_serde")]
    pub duplicate_window: Duration,
}

impl Default for BusConfig {
    fn default() -> Self {
        Self {
            nats_url: None,
            credentials: None,
            stream_replicas: 1,
            stream_max_age: Duration::from_secs(72 * 3_600),
            duplicate_window: Duration::from_secs(120),
        }
    }
}

impl BusConfig {
    /// Says whether every value is in its range.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check(&self) -> Result<(), OutOfRange> {
        let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3_600));
        for (in_range, key, range) in [
            (self.servers().is_some(), "nats_url", "URLs of NATS servers, separated by commas"),
            ([1, 3, 5].contains(&self.stream_replicas), "stream_replicas", "1, 3, 5"),
            ((hour..=hour * 72).contains(&self.stream_max_age), "stream_max_age", "1h..=72h"),
            ((second..=hour).contains(&self.duplicate_window), "duplicate_window", "1s..=1h"),
        ] {
            if !in_range {
                return Err(OutOfRange { key, range });
            }
        }
        Ok(())
    }

    /// The servers; none when events stay in the process, `None` when a URL is none.
    pub(crate) fn servers(&self) -> Option<Vec<ServerAddr>> {
        let urls = self.nats_url.as_ref().map(|it| it.reveal().as_str()).unwrap_or_default();
        urls.split(',').map(str::trim).filter(|it| !it.is_empty()).map(|it| it.parse().ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_configuration_of_a_bus_is_named_and_a_password_is_not_shown() {
        let url = |text: &str| BusConfig { nats_url: Some(text.to_owned().into()), ..BusConfig::default() };
        let config = url("nats://user:secret@localhost:4222, tls://other");
        assert_eq!(config.check(), Ok(()));
        assert_eq!(config.servers().unwrap().len(), 2);
        assert!(!format!("{config:?}").contains("secret"));
        assert_eq!(BusConfig::default().servers(), Some(Vec::new()));
        let minute = Duration::from_secs(60);
        for (wrong, key) in [
            (url("nats://:nowhere:"), "nats_url"),
            (BusConfig { stream_replicas: 2, ..BusConfig::default() }, "stream_replicas"),
            (BusConfig { stream_max_age: minute, ..BusConfig::default() }, "stream_max_age"),
            (BusConfig { duplicate_window: minute * 61, ..BusConfig::default() }, "duplicate_window"),
        ] {
            assert_eq!(wrong.check().unwrap_err().key, key);
        }
    }
}
