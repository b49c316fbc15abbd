//! What certain clients do differently.

use livekit_protocol::ClientInfo;
use livekit_protocol::client_info::Sdk;

/// Which client it is, as far as that matters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Client {
    /// For logs: the SDK and its version.
    pub(crate) name: String,
    /// See [`Version`](crate::version::Version).
    pub(crate) protocol: i32,
}

impl Client {
    /// As it introduced itself.
    pub(crate) fn of(info: &ClientInfo) -> Self {
        let sdk = Sdk::try_from(info.sdk).unwrap_or(Sdk::Unknown).as_str_name();
        let version: String = info.version.chars().filter(|it| it.is_ascii_graphic()).take(32).collect();
        Self { name: format!("{sdk} {version}"), protocol: info.protocol }
    }
}
