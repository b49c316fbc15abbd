//! What an operator may set.

use std::num::{NonZeroU8, NonZeroU32, NonZeroUsize};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tandem_core::admission::CallRates;

/// Limits of the node's calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Calls at the same time; one more is refused with `overload`. At least 1, default 2,500: what the default range of media ports carries.
    pub max_calls: NonZeroUsize,
    /// Calls that may begin in a second, all together; twice as many at once. One more is refused: 503, to be tried again
    /// in a second. At least 1, default 1,000: what one core sets up.
    pub calls_per_second: NonZeroU32,
    /// The same for one tenant's calls; refused with 429 over HTTP. At least 1, default 1,000: most nodes have one tenant.
    pub tenant_calls_per_second: NonZeroU32,
    /// The same for one user, whatever he calls with; refused with 429 over HTTP. At least 1, default 250: a PBX, a
    /// dialler or a load generator may be signed in as one user. People need less than 1; lower it where there are only
    /// people.
    pub user_calls_per_second: NonZeroU32,
    /// The same for the calls from one trunk. At least 1, default 1,000: a carrier often is the only one.
    pub trunk_calls_per_second: NonZeroU32,
    /// Into how many shards the actors of calls, legs and tracks are divided, each under a supervisor of its own.
    /// 1..=255, default: the number of cores.
    pub shards: NonZeroU8,
    /// How long live calls may go on once the node is told to stop; then they are ended. Default 30 s, 0 s ends them at
    /// once.
    #[serde(with = "humantime_serde")]
    pub drain_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_calls: NonZeroUsize::new(2_500).unwrap_or(NonZeroUsize::MIN),
            calls_per_second: NonZeroU32::MIN.saturating_add(999),
            tenant_calls_per_second: NonZeroU32::MIN.saturating_add(999),
            user_calls_per_second: NonZeroU32::MIN.saturating_add(249),
            trunk_calls_per_second: NonZeroU32::MIN.saturating_add(999),
            shards: cores(),
            drain_timeout: Duration::from_secs(30),
        }
    }
}

impl Config {
    /// How many calls may begin in a second.
    pub(crate) const fn rates(&self) -> CallRates {
        CallRates {
            node: self.calls_per_second,
            tenant: self.tenant_calls_per_second,
            user: self.user_calls_per_second,
            trunk: self.trunk_calls_per_second,
        }
    }
}

fn cores() -> NonZeroU8 {
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    NonZeroU8::try_from(cores).unwrap_or(NonZeroU8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: serde_json::Value) -> Option<Config> {
        serde_json::from_value(json).ok()
    }

    #[test]
    fn what_is_not_said_is_the_default_and_what_makes_no_sense_is_refused() {
        let config = parse(serde_json::json!({ "max_calls": 5, "drain_timeout": "1m" })).unwrap();
        let expected = Config { drain_timeout: Duration::from_secs(60), ..Config::default() };
        assert_eq!(config, Config { max_calls: NonZeroUsize::new(5).unwrap(), ..expected });
        assert_eq!(parse(serde_json::json!({ "max_calls": 0 })), None);
        assert_eq!(parse(serde_json::json!({ "shards": 256 })), None);
        assert_eq!(parse(serde_json::json!({ "user_calls_per_second": 0 })), None);
        assert_eq!(parse(serde_json::json!({ "max_call": 5 })), None);
    }
}
