//! Webhooks of tenants: added, changed, switched off, removed. A secret goes in and, but to sign, never out.

use std::fmt;

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue, DbErr, QueryOrder, TransactionTrait};
use tandem_core::id::{Tenant, WebhookId};
use tandem_core::pii::Pii;
use tandem_core::time::WallTime;
use tandem_core::webhook::{Format, Webhook, WebhookChange};
use uuid::Uuid;

use crate::database::{QueryError, Storage};
use crate::entity::webhook_endpoint::{ActiveModel, Column, Entity, Model};
use crate::time::now;

/// A webhook to be added. Not printable: it holds a secret.
pub struct NewWebhook {
    /// Whose.
    pub tenant: Tenant,
    /// Where requests go.
    pub url: Pii<String>,
    /// How they look.
    pub format: Format,
    /// Types of events, or beginnings of them; empty: all.
    pub events: Vec<String>,
    /// What requests are signed with.
    pub secret: Pii<String>,
}

/// Why a webhook was not added.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The tenant has as many as it may have.
    #[error("the tenant has too many webhooks")]
    TooMany,
    /// The database does not take it.
    #[error(transparent)]
    Query(#[from] QueryError),
}

impl From<DbErr> for WebhookError {
    fn from(error: DbErr) -> Self {
        Self::Query(error.into())
    }
}

impl Storage {
    /// Adds a webhook, unless its tenant has `most` already.
    ///
    /// # Errors
    /// [`WebhookError`].
    pub async fn add_webhook(&self, new: NewWebhook, most: u64) -> Result<Webhook, WebhookError> {
        let row = Model {
            id: WebhookId::from_uuid(Uuid::now_v7()).to_string(),
            tenant: new.tenant.to_string(),
            url: new.url.into_inner(),
            format: new.format.name().to_owned(),
            hmac_key: new.secret.into_inner(),
            old_hmac_key: None,
            old_hmac_key_until: None,
            events: new.events.into(),
            enabled: true,
            disabled_reason: None,
            failures: 0,
            rests_until: None,
            created_at: now().date_time(),
        };
        let transaction = self.writer.begin().await?;
        let others = Entity::find().filter(Column::Tenant.eq(&row.tenant)).count(&transaction).await?;
        if others >= most {
            return Err(WebhookError::TooMany);
        }
        Entity::insert(ActiveModel::from(row.clone())).exec_without_returning(&transaction).await?;
        transaction.commit().await?;
        Ok(webhook(row).ok_or(DAMAGED)?)
    }

    /// The webhooks of a tenant, or of all, the oldest first.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn list_webhooks(&self, tenant: Option<&Tenant>) -> Result<Vec<Webhook>, QueryError> {
        let mut rows = Entity::find().order_by_asc(Column::Id);
        if let Some(tenant) = tenant {
            rows = rows.filter(Column::Tenant.eq(tenant.as_str()));
        }
        let webhooks: Option<_> = rows.all(&self.reader).await?.into_iter().map(webhook).collect();
        webhooks.ok_or(DAMAGED)
    }

    /// One of a tenant's webhooks.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn webhook(&self, tenant: &Tenant, id: WebhookId) -> Result<Option<Webhook>, QueryError> {
        let row = of(tenant, id).one(&self.reader).await?;
        row.map(|row| webhook(row).ok_or(DAMAGED)).transpose()
    }

    /// Changes a webhook; `None` when the tenant has no such one.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn change_webhook(
        &self,
        tenant: &Tenant,
        id: WebhookId,
        change: WebhookChange,
    ) -> Result<Option<Webhook>, QueryError> {
        let Some(row) = of(tenant, id).one(&self.reader).await? else { return Ok(None) };
        let mut changed = ActiveModel { id: ActiveValue::Unchanged(row.id), ..Default::default() };
        if let Some(url) = change.url {
            changed.url = ActiveValue::Set(url.into_inner());
        }
        if let Some(events) = change.events {
            changed.events = ActiveValue::Set(events.into());
        }
        if let Some(enabled) = change.enabled {
            changed.enabled = ActiveValue::Set(enabled);
            changed.disabled_reason = ActiveValue::Set(None);
            changed.failures = ActiveValue::Set(0);
            changed.rests_until = ActiveValue::Set(None);
        }
        if changed.is_changed() {
            Entity::update_many().set(changed).filter(Column::Id.eq(id.to_string())).exec(&self.writer).await?;
        }
        let row = of(tenant, id).one(&self.writer).await?;
        row.map(|row| webhook(row).ok_or(DAMAGED)).transpose()
    }

    /// Removes a webhook with everything that was on its way there; whether there was one.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn remove_webhook(&self, tenant: &Tenant, id: WebhookId) -> Result<bool, QueryError> {
        let one =
            Entity::delete_many().filter(Column::Id.eq(id.to_string())).filter(Column::Tenant.eq(tenant.as_str()));
        Ok(one.exec(&self.writer).await?.rows_affected > 0)
    }

    /// From now on requests are signed with this secret, and until then with the one before as well; whether there is
    /// such a webhook.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn rotate_webhook_secret(
        &self,
        tenant: &Tenant,
        id: WebhookId,
        secret: Pii<String>,
        old_until: WallTime,
    ) -> Result<bool, QueryError> {
        let one =
            Entity::update_many().filter(Column::Id.eq(id.to_string())).filter(Column::Tenant.eq(tenant.as_str()));
        let changed = one
            .col_expr(Column::OldHmacKey, Expr::col(Column::HmacKey))
            .col_expr(Column::OldHmacKeyUntil, Expr::value(old_until.date_time()))
            .col_expr(Column::HmacKey, Expr::value(secret.into_inner()));
        Ok(changed.exec(&self.writer).await?.rows_affected > 0)
    }
}

const DAMAGED: QueryError = QueryError::Damaged { table: "webhook_endpoints" };

fn of(tenant: &Tenant, id: WebhookId) -> Select<Entity> {
    Entity::find_by_id(id.to_string()).filter(Column::Tenant.eq(tenant.as_str()))
}

fn webhook(row: Model) -> Option<Webhook> {
    Some(Webhook {
        id: row.id.parse().ok()?,
        tenant: row.tenant.parse().ok()?,
        url: row.url.into(),
        format: Format::of(&row.format)?,
        events: serde_json::from_value(row.events).ok()?,
        enabled: row.enabled,
        disabled_reason: row.disabled_reason,
        failures: row.failures.unsigned_abs(),
        created_at: row.created_at.into(),
    })
}

impl fmt::Debug for NewWebhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewWebhook").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}
