//! What an access token says, and how (RFC 7519).

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tandem_core::account::Role;
use tandem_core::id::{DeviceId, Tenant, UserId};
use tandem_core::party::Number;
use tandem_core::pii::Pii;
use tandem_core::time::WallTime;
use uuid::Uuid;

/// How long an access token holds: what somebody who was signed out can still do.
pub const ACCESS_TOKEN_LIFE: Duration = Duration::from_secs(15 * 60);

/// `iss` and `aud`: by us, for us.
pub(super) const US: &str = "tandem";

/// Who asks, from where, and until when he may.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Claims {
    /// Whose user.
    pub tenant: Tenant,
    /// Who.
    pub user_id: UserId,
    /// The session: one browser or app.
    pub device_id: DeviceId,
    /// Sign-in name.
    pub name: Pii<String>,
    /// The number he is reached by.
    pub extension: Number,
    /// Shown to those he calls.
    pub display_name: Option<Pii<String>>,
    /// What he may do.
    pub role: Role,
    /// When the token ends. Whole seconds in the token.
    pub expires: WallTime,
}

/// The payload. Its text is a contract: other services read it.
#[derive(Serialize, Deserialize)]
pub(super) struct Payload {
    iss: String,
    aud: String,
    sub: UserId,
    tenant: Tenant,
    device_id: DeviceId,
    name: Pii<String>,
    ext: Number,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    display_name: Option<Pii<String>>,
    role: Role,
    iat: i64,
    exp: i64,
    jti: Uuid,
}

impl Payload {
    pub(super) fn new(claims: &Claims, now: WallTime, jti: Uuid) -> Self {
        let claims = claims.clone();
        Self {
            iss: US.to_owned(),
            aud: US.to_owned(),
            sub: claims.user_id,
            tenant: claims.tenant,
            device_id: claims.device_id,
            name: claims.name,
            ext: claims.extension,
            display_name: claims.display_name,
            role: claims.role,
            iat: seconds(now),
            exp: seconds(claims.expires),
            jti,
        }
    }

    pub(super) fn token_id(&self) -> Box<str> {
        self.jti.to_string().into()
    }

    pub(super) fn into_claims(self) -> Claims {
        Claims {
            tenant: self.tenant,
            user_id: self.sub,
            device_id: self.device_id,
            name: self.name,
            extension: self.ext,
            display_name: self.display_name,
            role: self.role,
            expires: WallTime(self.exp.saturating_mul(1_000_000)),
        }
    }
}

fn seconds(time: WallTime) -> i64 {
    time.0.div_euclid(1_000_000)
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    pub(crate) const NOW: WallTime = WallTime(1_790_000_000_000_000);

    pub(crate) fn claims() -> Claims {
        Claims {
            tenant: Tenant::default_tenant(),
            user_id: UserId::from_uuid(Uuid::from_u128(7)),
            device_id: DeviceId::from_uuid(Uuid::from_u128(8)),
            name: "alice".to_owned().into(),
            extension: "1001".to_owned().into(),
            display_name: Some("Alice".to_owned().into()),
            role: Role::User,
            expires: NOW + ACCESS_TOKEN_LIFE,
        }
    }

    /// Golden: other services read it.
    #[test]
    fn the_payload_is_what_integrators_were_promised() {
        let payload = Payload::new(&claims(), NOW, Uuid::from_u128(9));
        let expected = json!({
            "iss": "tandem",
            "aud": "tandem",
            "sub": "user_00000000000000000000000000000007",
            "tenant": "default",
            "device_id": "dev_00000000000000000000000000000008",
            "name": "alice",
            "ext": "1001",
            "display_name": "Alice",
            "role": "user",
            "iat": 1_790_000_000,
            "exp": 1_790_000_900,
            "jti": "00000000-0000-0000-0000-000000000009",
        });
        assert_eq!(serde_json::to_value(&payload).unwrap(), expected);
        assert_eq!(payload.into_claims(), claims());
        let nameless = Payload::new(&Claims { display_name: None, ..claims() }, NOW, Uuid::from_u128(9));
        assert_eq!(serde_json::to_value(nameless).unwrap().get("display_name"), None);
    }

    #[test]
    fn claims_are_not_printed_with_names_or_numbers() {
        let shown = format!("{:?}", claims());
        assert!(!shown.contains("alice") && !shown.contains("Alice") && !shown.contains("1001"), "{shown}");
    }
}
