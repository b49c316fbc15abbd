//! Users and their credentials. Passwords are digested and hashed here and kept nowhere.

use md5::Md5;
use sea_orm::entity::prelude::*;
use sea_orm::{Condition, DbErr, QueryOrder, QuerySelect, SqlErr, TransactionTrait};
use sha2::{Digest, Sha256};
use tandem_core::account::{Account, Ha1, Role};
use tandem_core::id::{DeviceId, Tenant, UserId};
use tandem_core::party::Number;
use tandem_core::pii::Pii;
use tandem_core::time::WallTime;
use uuid::Uuid;

use crate::database::{QueryError, Storage, in_time};
use crate::entity::{device, tenant, user};
use crate::passwords::HashError;
use crate::time::now;

/// Somebody to be added. Not printable: it holds a password.
#[derive(Clone, Copy)]
pub struct NewUser<'a> {
    /// Whose.
    pub tenant: &'a Tenant,
    /// Sign-in name, unique in the tenant.
    pub name: &'a str,
    /// The number its devices register, and their digest user name. Unique in the tenant.
    pub extension: &'a str,
    /// Shown to those it calls.
    pub display_name: Option<&'a str>,
    /// Goes into the digests and the hash.
    pub password: &'a str,
    /// The digest realm that devices will be challenged with. Another realm needs new digests.
    pub realm: &'a str,
    /// What he may do.
    pub role: Role,
}

/// One user.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// Which user.
    pub user_id: UserId,
    /// Whose.
    pub tenant: Tenant,
    /// Sign-in name.
    pub name: Pii<String>,
    /// The number it is reached by.
    pub extension: Number,
    /// Shown to those it calls.
    pub display_name: Option<Pii<String>>,
    /// What he may do.
    pub role: Role,
    /// When it was added.
    pub created_at: WallTime,
}

/// Differs whenever an account was added, changed or removed, by whatever process.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct AccountsVersion {
    accounts: i64,
    changed_at: Option<WallTime>,
}

/// Why a user was not added.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// Its name or its extension is taken.
    #[error("name or extension is taken")]
    AlreadyExists,
    /// There is no hash of its password: too many are being made, or there is no randomness.
    #[error("password cannot be hashed")]
    NotHashed(#[from] HashError),
    /// The database does not take it.
    #[error("database")]
    Database(#[source] DbErr),
}

impl From<DbErr> for AccountError {
    fn from(error: DbErr) -> Self {
        match error.sql_err() {
            Some(SqlErr::UniqueConstraintViolation(_)) => Self::AlreadyExists,
            _ => Self::Database(error),
        }
    }
}

impl Storage {
    /// Adds a user with one set of credentials. Takes the time of a hash, some 30 ms.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn add_user(&self, new: NewUser<'_>) -> Result<UserId, AccountError> {
        if self.is_taken(&new).await? {
            return Err(AccountError::AlreadyExists);
        }
        let hash = self.passwords.hash(new.password).await?;
        let at = now().date_time();
        let (user_id, device_id) = (UserId::from_uuid(Uuid::now_v7()), DeviceId::from_uuid(Uuid::now_v7()));
        let digests = new.digests();
        let tenant = tenant::Model { id: new.tenant.to_string(), created_at: at, enabled: true };
        let user = user::Model {
            id: user_id.to_string(),
            tenant: new.tenant.to_string(),
            name: new.name.to_owned(),
            display_name: new.display_name.map(str::to_owned),
            extension: new.extension.to_owned(),
            password_hash: Some(hash),
            created_at: at,
            updated_at: at,
            role: new.role.name().to_owned(),
        };
        let device = device::Model {
            id: device_id.to_string(),
            tenant: new.tenant.to_string(),
            user_id: user_id.to_string(),
            extension: new.extension.to_owned(),
            realm: new.realm.to_owned(),
            ha1_md5: digests.md5,
            ha1_sha256: digests.sha256,
            created_at: at,
            updated_at: at,
        };
        let tenants = tenant::Entity::insert_many([tenant::ActiveModel::from(tenant)]).on_conflict_do_nothing();
        in_time(async {
            let transaction = self.writer.begin().await?;
            tenants.exec_without_returning(&transaction).await?;
            user::Entity::insert(user::ActiveModel::from(user)).exec_without_returning(&transaction).await?;
            device::Entity::insert(device::ActiveModel::from(device)).exec_without_returning(&transaction).await?;
            transaction.commit().await
        })
        .await?;
        Ok(user_id)
    }

    /// Spares the hash of somebody who is there. Only the unique indexes are sure.
    async fn is_taken(&self, new: &NewUser<'_>) -> Result<bool, DbErr> {
        let same = Condition::any().add(user::Column::Name.eq(new.name)).add(user::Column::Extension.eq(new.extension));
        let users = user::Entity::find().filter(user::Column::Tenant.eq(new.tenant.as_str())).filter(same);
        Ok(users.count(&self.reader).await? > 0)
    }

    /// Every user, by tenant and extension.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn list_users(&self) -> Result<Vec<User>, QueryError> {
        let users = user::Entity::find().order_by_asc(user::Column::Tenant).order_by_asc(user::Column::Extension);
        let users: Option<_> = users.all(&self.reader).await?.into_iter().map(listed).collect();
        users.ok_or(QueryError::Damaged { table: "users" })
    }

    /// Every set of credentials.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn load_accounts(&self) -> Result<Vec<Account>, QueryError> {
        let names = user::Entity::find().select_only().columns([user::Column::Id, user::Column::DisplayName]);
        let names: Vec<(String, Option<String>)> = names.into_tuple().all(&self.reader).await?;
        let mut names: std::collections::HashMap<_, _> = names.into_iter().collect();
        let devices = device::Entity::find().all(&self.reader).await?;
        let accounts: Option<_> = devices
            .into_iter()
            .map(|row| {
                let display_name = names.remove(&row.user_id).flatten();
                account(row, display_name)
            })
            .collect();
        accounts.ok_or(QueryError::Damaged { table: "devices" })
    }

    /// Whether [`load_accounts`](Self::load_accounts) would say something new. Whoever changes a user touches its
    /// devices.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn accounts_version(&self) -> Result<AccountsVersion, QueryError> {
        let row: Option<(i64, Option<DateTimeUtc>)> = device::Entity::find()
            .select_only()
            .column_as(device::Column::Id.count(), "accounts")
            .column_as(device::Column::UpdatedAt.max(), "changed_at")
            .into_tuple()
            .one(&self.reader)
            .await?;
        let (accounts, changed_at) = row.unwrap_or_default();
        Ok(AccountsVersion { accounts, changed_at: changed_at.map(Into::into) })
    }
}

impl NewUser<'_> {
    /// What is stored of the password (RFC 7616, 3.4.2): `H(user:realm:password)`.
    #[must_use]
    pub fn digests(&self) -> Ha1 {
        digests(self.extension, self.realm, self.password)
    }
}

pub(crate) fn digests(extension: &str, realm: &str, password: &str) -> Ha1 {
    let text = format!("{extension}:{realm}:{password}");
    Ha1 { md5: hex(&Md5::digest(&text)), sha256: hex(&Sha256::digest(&text)) }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn listed(row: user::Model) -> Option<User> {
    Some(User {
        user_id: row.id.parse().ok()?,
        tenant: row.tenant.parse().ok()?,
        name: row.name.into(),
        extension: row.extension.into(),
        display_name: row.display_name.map(Into::into),
        role: row.role.parse().ok()?,
        created_at: row.created_at.into(),
    })
}

fn account(row: device::Model, display_name: Option<String>) -> Option<Account> {
    Some(Account {
        tenant: row.tenant.parse().ok()?,
        user_id: row.user_id.parse().ok()?,
        device_id: row.id.parse().ok()?,
        extension: row.extension.into(),
        display_name,
        ha1: Ha1 { md5: row.ha1_md5, sha256: row.ha1_sha256 },
    })
}
