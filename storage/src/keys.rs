//! The keys that access tokens are signed with: ES256 (P-256), one line of generations for all nodes on the database.
//!
//! ```text
//!  1 signs ─ rotate ─ 1 signs, 2 is published ─ 3 minutes ─ 2 signs, 1 verifies ─ an hour ─ 1 is gone
//! ```
//!
//! # Invariants
//! * The oldest key that is not retired signs, so nobody signs with a key that another node has not heard of.
//! * A generation has one key: of nodes that make it at once, one does.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::Expr;
use sea_orm::{Condition, QueryOrder, QuerySelect};
use tandem_core::time::WallTime;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::database::{QueryError, Storage};
use crate::entity::signing_key::{ActiveModel, Column, Entity, Model};
use crate::time::now;

/// How long a key still signs after its successor was made. Nodes look for keys every minute.
const NOTICE: Duration = Duration::from_secs(180);

/// How long a retired key still verifies: longer than any access token lives.
const MEMORY: Duration = Duration::from_secs(3_600);

/// One key pair. Never printed.
#[derive(Clone, Eq, PartialEq)]
pub struct SigningKey {
    /// Its name in tokens.
    pub kid: String,
    /// The private key as PKCS#8 (RFC 5958) in DER, with the public one in it.
    pub pkcs8: Zeroizing<Vec<u8>>,
    /// From when on it only verifies.
    pub retired_at: Option<WallTime>,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The database does not have them.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// No key pair can be made.
    #[error("no key pair")]
    NotMade,
}

impl From<DbErr> for KeyError {
    fn from(error: DbErr) -> Self {
        Self::Query(error.into())
    }
}

impl Storage {
    /// The keys that hold: the first signs, all verify. Makes one when there is none.
    ///
    /// # Errors
    /// [`KeyError`].
    pub async fn signing_keys(&self) -> Result<Vec<SigningKey>, KeyError> {
        // Read before the keys are: a node that makes one in between has made what this one would.
        let newest = self.newest_generation().await?;
        let keys = self.holding_keys().await?;
        if keys.first().is_some_and(|key| !key.is_retired(now())) {
            return Ok(keys);
        }
        self.add_signing_key(newest + 1).await?;
        Ok(self.holding_keys().await?)
    }

    /// Makes a key that will sign in three minutes' time, when every node knows it; those before it only verify from then
    /// on. Nobody has to sign in again.
    ///
    /// # Errors
    /// [`KeyError`].
    pub async fn rotate_signing_key(&self) -> Result<(), KeyError> {
        let newest = self.newest_generation().await? + 1;
        self.add_signing_key(newest).await?;
        let (from, gone) = ((now() + NOTICE).date_time(), before(MEMORY).date_time());
        let older = Entity::update_many().filter(Column::Generation.lt(newest)).filter(Column::RetiredAt.is_null());
        older.col_expr(Column::RetiredAt, Expr::value(from)).exec(&self.writer).await?;
        Entity::delete_many().filter(Column::RetiredAt.lt(gone)).exec(&self.writer).await?;
        Ok(())
    }

    async fn holding_keys(&self) -> Result<Vec<SigningKey>, DbErr> {
        let holds =
            Condition::any().add(Column::RetiredAt.is_null()).add(Column::RetiredAt.gt(before(MEMORY).date_time()));
        let rows = Entity::find().filter(holds).order_by_asc(Column::Generation).all(&self.reader).await?;
        let mut keys: Vec<_> = rows.into_iter().map(SigningKey::from).collect();
        let now = now();
        keys.sort_by_key(|key| key.is_retired(now));
        Ok(keys)
    }

    async fn newest_generation(&self) -> Result<i32, DbErr> {
        let newest = Entity::find().select_only().column_as(Column::Generation.max(), "newest");
        let newest: Option<Option<i32>> = newest.into_tuple().one(&self.reader).await?;
        Ok(newest.flatten().unwrap_or(0))
    }

    /// Makes a generation's key, unless another node just did.
    async fn add_signing_key(&self, generation: i32) -> Result<(), KeyError> {
        let pair =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &aws_lc_rs::rand::SystemRandom::new());
        let pair = pair.map_err(|_| KeyError::NotMade)?;
        let kid = Uuid::now_v7().simple().to_string();
        let created_at = now().date_time();
        let row = Model { kid, generation, pkcs8: pair.as_ref().to_vec(), created_at, retired_at: None };
        Entity::insert_many([ActiveModel::from(row)])
            .on_conflict_do_nothing_on([Column::Generation])
            .exec_without_returning(&self.writer)
            .await?;
        Ok(())
    }
}

fn before(span: Duration) -> WallTime {
    WallTime(now().0.saturating_sub(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
}

impl SigningKey {
    fn is_retired(&self, now: WallTime) -> bool {
        self.retired_at.is_some_and(|at| at <= now)
    }
}

impl From<Model> for SigningKey {
    fn from(row: Model) -> Self {
        Self { kid: row.kid, pkcs8: Zeroizing::new(row.pkcs8), retired_at: row.retired_at.map(Into::into) }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}
