//! Who may register and call: what the border knows of a user. Passwords are never here, only digests of them.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{DeviceId, Tenant, UserId};
use crate::party::Number;

/// One set of SIP credentials.
#[derive(Clone, Eq, PartialEq)]
pub struct Account {
    /// Whose tenant.
    pub tenant: Tenant,
    /// Whose.
    pub user_id: UserId,
    /// These credentials.
    pub device_id: DeviceId,
    /// The number it registers, and its digest user name.
    pub extension: Number,
    /// Shown to those it calls.
    pub display_name: Option<String>,
    /// `H(user:realm:password)` in lower-case hex, one per algorithm (RFC 7616).
    pub ha1: Ha1,
}

/// What somebody may do.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Call, and see his own calls.
    #[default]
    User,
    /// See and change what belongs to his tenant.
    Admin,
}

impl Role {
    /// As rows and tokens have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
        }
    }
}

/// A text that is no role.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a role: user or admin")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        [Self::User, Self::Admin].into_iter().find(|it| it.name() == text).ok_or(UnknownRole)
    }
}

/// The digests of one password, in lower-case hex.
#[derive(Clone, Eq, PartialEq)]
pub struct Ha1 {
    /// MD5, 32 digits.
    pub md5: String,
    /// SHA-256, 64 digits.
    pub sha256: String,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("user_id", &self.user_id)
            .field("device_id", &self.device_id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Ha1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// All accounts of a node, by tenant and digest user name. Read per request, replaced as a whole.
#[derive(Clone, Debug, Default)]
pub struct Accounts(HashMap<(Tenant, String), Arc<Account>>);

impl Accounts {
    /// From what the database has.
    #[must_use]
    pub fn new(accounts: impl IntoIterator<Item = Account>) -> Self {
        let key = |it: &Account| (it.tenant.clone(), it.extension.reveal().clone());
        Self(accounts.into_iter().map(|it| (key(&it), Arc::new(it))).collect())
    }

    /// The account of this tenant that signs with this user name.
    #[must_use]
    pub fn find(&self, tenant: &Tenant, user_name: &str) -> Option<&Arc<Account>> {
        self.0.get(&(tenant.clone(), user_name.to_owned()))
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Account>> {
        self.0.values()
    }
}
