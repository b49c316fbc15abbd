//! What an operator may set.

use std::num::{NonZeroU8, NonZeroUsize};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Limits of the node's calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Calls at the same time; one more is refused with `overload`. At least 1, default 2,500: what the default range of media ports carries.
    pub max_calls: NonZeroUsize,
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
            shards: cores(),
            drain_timeout: Duration::from_secs(30),
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
        assert_eq!(parse(serde_json::json!({ "max_call": 5 })), None);
    }
}
