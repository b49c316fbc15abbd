//! Who signs in with which password.

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::Expr;
use tandem_core::id::{Tenant, UserId};
use tandem_core::metric::Counter;

use crate::accounts::{User, digests, listed};
use crate::database::{QueryError, Storage};
use crate::entity::{device, user};
use crate::passwords::HashError;

/// Why it cannot be said whether a password is right.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// Not now: too many sign in at once.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The database does not say.
    #[error(transparent)]
    Query(#[from] QueryError),
}

impl From<DbErr> for SignInError {
    fn from(error: DbErr) -> Self {
        Self::Query(error.into())
    }
}

impl Storage {
    /// The user of that name, when the password is his. An unknown name takes as long as a wrong password.
    ///
    /// # Errors
    /// [`SignInError`].
    pub async fn verify_password(
        &self,
        tenant: &Tenant,
        name: &str,
        password: &str,
    ) -> Result<Option<User>, SignInError> {
        let users = user::Entity::find().filter(user::Column::Tenant.eq(tenant.as_str()));
        // PostgreSQL knows no text with a NUL, and calls it an error to ask for one.
        let name = name.replace('\0', "\u{fffd}");
        let row = users.filter(user::Column::Name.eq(name)).one(&self.reader).await?;
        let is_right = match &row {
            Some(row) if row.password_hash.is_none() => self.adopt(row, password).await?,
            row => {
                let hash = row.as_ref().and_then(|it| it.password_hash.as_deref());
                self.counted(self.passwords.check(password, hash).await)?
            }
        };
        Ok(row.filter(|_| is_right).map(known).transpose()?)
    }

    /// A user by id; `None` when there is none in this tenant.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn user(&self, tenant: &Tenant, user_id: UserId) -> Result<Option<User>, QueryError> {
        let users = user::Entity::find_by_id(user_id.to_string()).filter(user::Column::Tenant.eq(tenant.as_str()));
        users.one(&self.reader).await?.map(known).transpose()
    }

    fn counted<T>(&self, hashed: Result<T, HashError>) -> Result<T, HashError> {
        if let Err(HashError::Busy) = hashed {
            self.metrics.count(Counter::SignInsBusy);
        }
        hashed
    }

    /// For a user who was added before there were hashes: the digests say whether the password is his, and then he
    /// gets one. The work is the same either way.
    async fn adopt(&self, row: &user::Model, password: &str) -> Result<bool, SignInError> {
        let hash = self.counted(self.passwords.hash(password).await)?;
        let devices = device::Entity::find().filter(device::Column::UserId.eq(&row.id)).all(&self.reader).await?;
        let is_of = |it: &device::Model| digests(&it.extension, &it.realm, password).sha256 == it.ha1_sha256;
        if !devices.iter().any(is_of) {
            return Ok(false);
        }
        let missing = user::Entity::update_many().filter(user::Column::Id.eq(&row.id));
        let missing = missing.filter(user::Column::PasswordHash.is_null());
        missing.col_expr(user::Column::PasswordHash, Expr::value(hash)).exec(&self.writer).await?;
        Ok(true)
    }
}

fn known(row: user::Model) -> Result<User, QueryError> {
    listed(row).ok_or(QueryError::Damaged { table: "users" })
}
