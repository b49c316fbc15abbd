//! Taking somebody's right back before his token ends.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{DeviceId, Tenant, UserId};
use crate::time::WallTime;

/// What is not to be let in any more.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Revoked {
    /// The token with this `jti`.
    Token(String),
    /// Every token of this user, also new ones.
    UserId(UserId),
    /// Every token of this session, also new ones.
    DeviceId(DeviceId),
}

/// One revocation, as it is stored and told to other nodes.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Revocation {
    /// Whose.
    pub tenant: Tenant,
    /// What.
    #[serde(flatten)]
    pub what: Revoked,
    /// Until when. Then it is forgotten.
    pub until: WallTime,
}

impl Revocation {
    /// How far ahead it may end: longer than any token lives.
    pub const LONGEST: Duration = Duration::from_secs(400 * 86_400);
}

impl Revoked {
    /// Its kind and which one, as text: `token`, `user_id` or `device_id`.
    #[must_use]
    pub fn parts(&self) -> (&'static str, String) {
        match self {
            Self::Token(id) => ("token", id.clone()),
            Self::UserId(user) => ("user_id", user.to_string()),
            Self::DeviceId(device) => ("device_id", device.to_string()),
        }
    }

    /// From those; `None` when they are none.
    #[must_use]
    pub fn of(kind: &str, value: &str) -> Option<Self> {
        match kind {
            "token" => Some(Self::Token(value.to_owned())),
            "user_id" => value.parse().ok().map(Self::UserId),
            "device_id" => value.parse().ok().map(Self::DeviceId),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    /// Golden: nodes tell it each other.
    #[test]
    fn its_text_is_what_other_nodes_read() {
        let text = r#"{"tenant":"default","token":"t1","until":"2026-09-21T14:13:20.000000Z"}"#;
        let until = WallTime(1_790_000_000_000_000);
        let of = |what| Revocation { tenant: Tenant::default_tenant(), what, until };
        let revocation = of(Revoked::Token("t1".to_owned()));
        assert_eq!(serde_json::to_string(&revocation).unwrap(), text);
        assert_eq!(serde_json::from_str::<Revocation>(text).unwrap(), revocation);
        let user = serde_json::to_value(of(Revoked::UserId(UserId::from_uuid(Uuid::from_u128(7))))).unwrap();
        assert_eq!(user["user_id"], "user_00000000000000000000000000000007");
    }

    #[test]
    fn its_parts_make_it_again() {
        let (user, device) = (UserId::from_uuid(Uuid::from_u128(7)), DeviceId::from_uuid(Uuid::from_u128(8)));
        for what in [Revoked::Token("t1".to_owned()), Revoked::UserId(user), Revoked::DeviceId(device)] {
            let (kind, value) = what.parts();
            assert_eq!(Revoked::of(kind, &value), Some(what));
        }
        assert_eq!((Revoked::of("tenant", "a"), Revoked::of("user_id", "dev_7")), (None, None));
    }
}
