//! Settings of the rooms' edge.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tandem_core::id::Tenant;
use tandem_core::pii::Pii;
use tandem_core::room::signal::RoomWish;

/// The `[rooms]` section.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Who may sign tokens and drive the server API. Default nobody: then there are no rooms. With `--dev` there is
    /// `devkey` with the secret `secret` besides.
    pub key: Vec<ApiKey>,
    /// Whether a join begins a room that is not there. Default true.
    pub auto_create: bool,
    /// Participants that a room takes at most, unless it or the token says less. Default none: as many as come.
    pub max_participants: Option<u32>,
    /// After how long a room ends to which nobody came. Default 300 s.
    #[serde(with = "humantime_serde")]
    pub empty_timeout: Duration,
    /// After how long a room ends that everybody left. Default 20 s.
    #[serde(with = "humantime_serde")]
    pub departure_timeout: Duration,
    /// Whether the server API may unmute what a participant muted. Default false: it only mutes.
    pub remote_unmute: bool,
    /// Sockets of participants at a time; more are refused with 503. Default 8192.
    pub connections: usize,
    /// Signals that may wait for one socket; one more and it is cut. Default 1024, at least 16.
    pub signal_queue: usize,
    /// Messages of data that may wait to be passed on; of further ones the lossy are dropped, and who sends reliable ones
    /// is cut. Default 4096, at least 16.
    pub data_queue: usize,
    /// Bytes of reliable messages that are kept for each participant, to be sent again when he comes back. Default 262144.
    pub replay_bytes: usize,
}

/// A key, its secret, and whose it is.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// What tokens call it (`iss`).
    pub key: String,
    /// What they are signed with (HS256).
    pub secret: Pii<String>,
    /// Whose rooms it opens. Default `default`.
    #[serde(default = "Tenant::default_tenant")]
    pub tenant: Tenant,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            key: Vec::new(),
            auto_create: true,
            max_participants: None,
            empty_timeout: Duration::from_secs(300),
            departure_timeout: Duration::from_secs(20),
            remote_unmute: false,
            connections: 8_192,
            signal_queue: 1_024,
            data_queue: 4_096,
            replay_bytes: 262_144,
        }
    }
}

impl Config {
    /// How a room is to be: as the wire says, where 0 says nothing, else as it is configured here.
    pub(crate) fn wish(&self, seats: u32, empty_timeout: u32, departure_timeout: u32, metadata: &str) -> RoomWish {
        let seconds = |told: u32, else_: Duration| if told == 0 { else_ } else { Duration::from_secs(told.into()) };
        RoomWish {
            seats: (seats > 0).then_some(seats),
            empty_timeout: Some(seconds(empty_timeout, self.empty_timeout)),
            departure_timeout: Some(seconds(departure_timeout, self.departure_timeout)),
            metadata: metadata.into(),
        }
    }

    /// With the key of a development node.
    #[must_use]
    pub fn for_development(mut self) -> Self {
        let tenant = Tenant::default_tenant();
        self.key.push(ApiKey { key: "devkey".into(), secret: Pii::new("secret".into()), tenant });
        self
    }
}
