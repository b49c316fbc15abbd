//! Which user somebody is whom another issuer vouches for: remembered from the first time on.

use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue, DbErr, SqlErr, TransactionTrait};
use tandem_core::account::Role;
use tandem_core::id::{DeviceId, Tenant, UserId};
use uuid::Uuid;

use crate::accounts::{User, hex, listed};
use crate::database::{QueryError, Storage, in_time};
use crate::entity::{device, external_identity, tenant, user};
use crate::time::now;

/// Somebody whom an issuer vouches for.
#[derive(Clone, Copy)]
pub struct ExternalIdentity<'a> {
    /// Whose user.
    pub tenant: &'a Tenant,
    /// Who vouches. Up to 255 characters.
    pub issuer: &'a str,
    /// What the issuer knows him by, and the name of the user that he is or becomes. Up to 256 characters.
    pub subject: &'a str,
    /// The number he gets when he becomes one.
    pub extension: Option<&'a str>,
    /// Shown to those he calls, when he becomes one.
    pub display_name: Option<&'a str>,
    /// Whether he becomes a user when there is none of that name.
    pub provision: bool,
    /// The digest realm of its devices.
    pub realm: &'a str,
}

/// Why somebody is no user.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// There is no such tenant, or no such user and he may not become one.
    #[error("nobody is known by this identity")]
    Unknown,
    /// He would become one, but nobody says with which number.
    #[error("the identity has no extension that can be dialled")]
    NoExtension,
    /// The number that he would get is somebody else's.
    #[error("extension is taken")]
    Taken,
    /// The database does not say.
    #[error(transparent)]
    Query(#[from] QueryError),
}

impl From<DbErr> for IdentityError {
    fn from(error: DbErr) -> Self {
        match error.sql_err() {
            Some(SqlErr::UniqueConstraintViolation(_)) => Self::Taken,
            _ => Self::Query(error.into()),
        }
    }
}

impl Storage {
    /// The user that somebody is: the one he was before, else the one of that name, else a new one if he may become one.
    /// Who becomes a user has no password: he signs in where he did, and his phones get credentials elsewhere.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub async fn external_user(&self, who: &ExternalIdentity<'_>) -> Result<User, IdentityError> {
        if let Some(user) = self.mapped(who).await? {
            return Ok(user);
        }
        let tenants = tenant::Entity::find_by_id(who.tenant.to_string());
        if tenants.count(&self.reader).await? == 0 {
            return Err(IdentityError::Unknown);
        }
        let users = user::Entity::find().filter(user::Column::Tenant.eq(who.tenant.as_str()));
        if let Some(row) = users.filter(user::Column::Name.eq(who.subject)).one(&self.reader).await? {
            who.map(&self.writer, &row.id).await?;
            return known(row);
        }
        if !who.provision {
            return Err(IdentityError::Unknown);
        }
        match self.provision(who).await {
            // Of two first requests at once, or at two nodes, one made him.
            Err(IdentityError::Taken) => self.mapped(who).await?.ok_or(IdentityError::Taken),
            made => made,
        }
    }

    async fn mapped(&self, who: &ExternalIdentity<'_>) -> Result<Option<User>, IdentityError> {
        let key = (who.tenant.to_string(), who.issuer.to_owned(), who.subject.to_owned());
        let Some(mapped) = external_identity::Entity::find_by_id(key).one(&self.reader).await? else { return Ok(None) };
        let user = user::Entity::find_by_id(mapped.user_id).one(&self.reader).await?;
        user.map(known).transpose()
    }

    async fn provision(&self, who: &ExternalIdentity<'_>) -> Result<User, IdentityError> {
        let extension = who.extension.filter(|it| is_dialable(it)).ok_or(IdentityError::NoExtension)?;
        let (user_id, device_id, at) =
            (UserId::from_uuid(Uuid::now_v7()), DeviceId::from_uuid(Uuid::now_v7()), now().date_time());
        let row = user::Model {
            id: user_id.to_string(),
            tenant: who.tenant.to_string(),
            name: who.subject.to_owned(),
            display_name: who.display_name.map(str::to_owned),
            extension: extension.to_owned(),
            password_hash: None,
            role: Role::User.name().to_owned(),
            created_at: at,
            updated_at: at,
        };
        // Digests of no password: nobody can register until somebody sets one.
        let device = device::Model {
            id: device_id.to_string(),
            tenant: who.tenant.to_string(),
            user_id: user_id.to_string(),
            extension: extension.to_owned(),
            realm: who.realm.to_owned(),
            ha1_md5: hex(&rand::random::<[u8; 16]>()),
            ha1_sha256: hex(&rand::random::<[u8; 32]>()),
            created_at: at,
            updated_at: at,
        };
        in_time(async {
            let transaction = self.writer.begin().await?;
            user::Entity::insert(user::ActiveModel::from(row.clone())).exec_without_returning(&transaction).await?;
            device::Entity::insert(device::ActiveModel::from(device)).exec_without_returning(&transaction).await?;
            who.map(&transaction, &row.id).await?;
            transaction.commit().await
        })
        .await?;
        known(row)
    }
}

impl ExternalIdentity<'_> {
    async fn map(&self, db: &impl ConnectionTrait, user_id: &str) -> Result<(), DbErr> {
        let row = external_identity::ActiveModel {
            tenant: ActiveValue::Set(self.tenant.to_string()),
            issuer: ActiveValue::Set(self.issuer.to_owned()),
            subject: ActiveValue::Set(self.subject.to_owned()),
            user_id: ActiveValue::Set(user_id.to_owned()),
            created_at: ActiveValue::Set(now().date_time()),
        };
        let rows = external_identity::Entity::insert_many([row]).on_conflict_do_nothing();
        rows.exec_without_returning(db).await.map(drop)
    }
}

fn is_dialable(extension: &str) -> bool {
    let is_dialable = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_' | '*');
    (1..=64).contains(&extension.len()) && extension.chars().all(is_dialable)
}

fn known(row: user::Model) -> Result<User, IdentityError> {
    listed(row).ok_or(IdentityError::Query(QueryError::Damaged { table: "users" }))
}
