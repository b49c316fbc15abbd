//! Sign-ins that go on without the password: each has one refresh token at a time, and every use makes the next one.
//!
//! ```text
//!  token = family (128 random bits, the same for the whole session) ‖ secret (256 random bits, new every time)
//!  kept:   SHA-256 of the family, SHA-256 of the whole current token
//! ```
//!
//! # Invariants
//! * A token works once. Any older one of its family, however old, says that somebody copied it: the session is
//!   revoked, for the thief and for the owner. Only who once held a token of the family can do that.
//! * A session ends [`SESSION_LIFE`] after its sign-in, used or not.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Expr, Query};
use sha2::{Digest, Sha256};
use tandem_core::id::{DeviceId, Tenant, UserId};
use uuid::Uuid;

use crate::accounts::{User, hex};
use crate::database::{QueryError, Storage};
use crate::entity::session::{ActiveModel, Column, Entity, Model};
use crate::time::now;

/// From a sign-in to the next one with the password: 30 days, as OWASP's ASVS wants it.
pub const SESSION_LIFE: Duration = Duration::from_secs(30 * 24 * 3_600);

/// Sessions that one call of `prune_sessions` deletes: a moment of the writer's time.
const PRUNED_AT_ONCE: u64 = 1_000;

const FAMILY: usize = 16;
const SECRET: usize = 32;

/// What continues a session: 64 characters of base64url. Never printed.
#[derive(Clone, Eq, PartialEq)]
pub struct RefreshToken(String);

/// A session that ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClosedSession {
    /// Whose user.
    pub tenant: Tenant,
    /// Who.
    pub user_id: UserId,
    /// Which.
    pub device_id: DeviceId,
}

/// What is kept of a token.
#[derive(Eq, PartialEq)]
struct Hashes {
    family: String,
    whole: String,
}

impl Storage {
    /// Opens a session for a user who proved who he is.
    ///
    /// # Errors
    /// [`QueryError::Database`], also when there is no such user.
    pub async fn open_session(&self, tenant: &Tenant, user: UserId) -> Result<(DeviceId, RefreshToken), QueryError> {
        let (token, hashes) = RefreshToken::of(rand::random());
        let (device_id, at) = (DeviceId::from_uuid(Uuid::now_v7()), now());
        let row = Model {
            id: device_id.to_string(),
            tenant: tenant.to_string(),
            user_id: user.to_string(),
            family_hash: hashes.family,
            refresh_hash: hashes.whole,
            created_at: at.date_time(),
            expires_at: (at + SESSION_LIFE).date_time(),
            revoked_at: None,
        };
        Entity::insert(ActiveModel::from(row)).exec_without_returning(&self.writer).await?;
        Ok((device_id, token))
    }

    /// Uses up a token: who it is, and the next one. `None` when it continues nothing, for whatever reason.
    ///
    /// # Errors
    /// [`QueryError`]; the token is used up when the answer is lost.
    pub async fn refresh_session(&self, token: &str) -> Result<Option<(DeviceId, User, RefreshToken)>, QueryError> {
        let Some((family, used)) = RefreshToken::parse(token) else { return Ok(None) };
        let open = Entity::find().filter(Column::FamilyHash.eq(&used.family)).filter(Column::RevokedAt.is_null());
        let open = open.filter(Column::ExpiresAt.gt(now().date_time()));
        let Some(row) = open.one(&self.reader).await? else { return Ok(None) };
        let (next, hashes) = RefreshToken::of(family);
        // Of two that come at once, one finds the token it has.
        let current = Entity::update_many().filter(Column::Id.eq(&row.id)).filter(Column::RefreshHash.eq(&used.whole));
        let current = current.filter(Column::RevokedAt.is_null());
        let next_hash = Expr::value(hashes.whole);
        if current.col_expr(Column::RefreshHash, next_hash).exec(&self.writer).await?.rows_affected == 0 {
            tracing::warn!(device_id = row.id, user_id = row.user_id, "refresh token used again, session revoked");
            self.end_family(&used.family).await?;
            return Ok(None);
        }
        let damaged = QueryError::Damaged { table: "sessions" };
        let (Ok(tenant), Ok(user), Ok(device_id)) = (row.tenant.parse(), row.user_id.parse(), row.id.parse()) else {
            return Err(damaged);
        };
        Ok(self.user(&tenant, user).await?.map(|user| (device_id, user, next)))
    }

    /// Ends the session of a token, and tells which; `None` when there is none that goes on.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn close_session(&self, token: &str) -> Result<Option<ClosedSession>, QueryError> {
        let Some((_, hashes)) = RefreshToken::parse(token) else { return Ok(None) };
        let open = Entity::find().filter(Column::FamilyHash.eq(&hashes.family)).filter(Column::RevokedAt.is_null());
        let Some(row) = open.one(&self.reader).await? else { return Ok(None) };
        self.end_family(&hashes.family).await?;
        match (row.tenant.parse(), row.user_id.parse(), row.id.parse()) {
            (Ok(tenant), Ok(user_id), Ok(device_id)) => Ok(Some(ClosedSession { tenant, user_id, device_id })),
            _ => Err(QueryError::Damaged { table: "sessions" }),
        }
    }

    /// Deletes sessions that have expired, up to 1000; says how many.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn prune_sessions(&self) -> Result<u64, QueryError> {
        let expired = Query::select()
            .column(Column::Id)
            .from(Entity)
            .and_where(Column::ExpiresAt.lte(now().date_time()))
            .limit(PRUNED_AT_ONCE)
            .to_owned();
        let expired = Entity::delete_many().filter(Column::Id.in_subquery(expired));
        Ok(expired.exec(&self.writer).await?.rows_affected)
    }

    async fn end_family(&self, family: &str) -> Result<(), QueryError> {
        let open = Entity::update_many().filter(Column::FamilyHash.eq(family)).filter(Column::RevokedAt.is_null());
        open.col_expr(Column::RevokedAt, Expr::value(now().date_time())).exec(&self.writer).await?;
        Ok(())
    }
}

impl RefreshToken {
    /// The next token of a family.
    fn of(family: [u8; FAMILY]) -> (Self, Hashes) {
        let secret: [u8; SECRET] = rand::random();
        let whole = [&family[..], &secret[..]].concat();
        let hashes = Hashes { family: hash(&family), whole: hash(&whole) };
        (Self(BASE64.encode(whole)), hashes)
    }

    /// The family of what may be a token, and what would be kept of it.
    fn parse(text: &str) -> Option<([u8; FAMILY], Hashes)> {
        let whole: [u8; FAMILY + SECRET] = BASE64.decode(text).ok()?.try_into().ok()?;
        let family = *whole.first_chunk()?;
        Some((family, Hashes { family: hash(&family), whole: hash(&whole) }))
    }

    /// For the one who signed in, and nobody else.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

fn hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}
