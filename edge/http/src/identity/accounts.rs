//! What signing in needs from the node.

use futures::future::BoxFuture;
use tandem_core::account::Role;
use tandem_core::id::{DeviceId, Tenant, UserId};
use tandem_core::party::Number;
use tandem_core::pii::Pii;
use tandem_core::time::WallTime;

use super::claims::{ACCESS_TOKEN_LIFE, Claims};

/// The node's users, their passwords and their sessions. Each answer takes a database and, for a password, a hash.
pub trait Accounts: Send + Sync + 'static {
    /// Opens a session for the user of that name, when the password is his. An unknown name takes as long as a wrong
    /// password.
    fn sign_in<'a>(
        &'a self,
        tenant: &'a Tenant,
        name: &'a str,
        password: &'a str,
    ) -> BoxFuture<'a, Result<Option<Opened>, Unavailable>>;

    /// Uses up a refresh token and goes on with the next one; `None` when it continues nothing. One that comes a second
    /// time revokes its session.
    fn refresh<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Option<Opened>, Unavailable>>;

    /// Revokes the session of a refresh token, and tells which; `None` when there is none that goes on.
    fn sign_out<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Option<Ended>, Unavailable>>;
}

/// A session that goes on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Opened {
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
    /// Works once. 64 characters of base64url.
    pub refresh_token: Pii<String>,
}

/// A session that ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ended {
    /// Whose user.
    pub tenant: Tenant,
    /// Who.
    pub user_id: UserId,
    /// The session.
    pub device_id: DeviceId,
}

/// Nothing can be said about a password or a token now: too many are being checked, or the database is away. To be
/// tried again.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("signing in is not possible at the moment")]
pub struct Unavailable;

impl Opened {
    /// What its access token says, from now on for [`ACCESS_TOKEN_LIFE`].
    #[must_use]
    pub fn claims(&self, now: WallTime) -> Claims {
        Claims {
            tenant: self.tenant.clone(),
            user_id: self.user_id,
            device_id: self.device_id,
            name: self.name.clone(),
            extension: self.extension.clone(),
            display_name: self.display_name.clone(),
            role: self.role,
            expires: now + ACCESS_TOKEN_LIFE,
        }
    }
}
