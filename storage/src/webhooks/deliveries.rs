//! The log of deliveries, and what is sent again.

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Expr, Query};
use sea_orm::{QueryOrder, QuerySelect, UpdateMany};
use tandem_core::id::{DeliveryId, Tenant, WebhookId};
use tandem_core::time::WallTime;
use tandem_core::webhook::{Delivery, DeliveryState};
use uuid::Uuid;

use crate::database::{QueryError, Storage};
use crate::entity::webhook_delivery::{ActiveModel, Column, Entity, Model};
use crate::time::now;

/// Deliveries that one call of `prune_deliveries` deletes: a moment of the writer's time.
const PRUNED_AT_ONCE: u64 = 1_000;

/// Some deliveries of a webhook, the latest first.
#[derive(Clone, Debug, Default)]
pub struct DeliveryPage {
    /// These.
    pub deliveries: Vec<Delivery>,
    /// There are older ones.
    pub more: bool,
}

impl Storage {
    /// Deliveries to a webhook of a tenant with an id below `before`, or all of them: the latest first.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn deliveries(
        &self,
        tenant: &Tenant,
        webhook: WebhookId,
        state: Option<DeliveryState>,
        before: Option<DeliveryId>,
        limit: u8,
    ) -> Result<DeliveryPage, QueryError> {
        let mut rows = Entity::find().filter(Column::WebhookId.eq(webhook.to_string()));
        rows = rows.filter(Column::Tenant.eq(tenant.as_str())).order_by_desc(Column::Id).limit(u64::from(limit) + 1);
        if let Some(state) = state {
            rows = rows.filter(Column::State.eq(state.name()));
        }
        if let Some(before) = before {
            rows = rows.filter(Column::Id.lt(before.to_string()));
        }
        let mut rows = rows.all(&self.reader).await?;
        let more = rows.len() > usize::from(limit);
        rows.truncate(limit.into());
        let deliveries: Option<_> = rows.into_iter().map(delivery).collect();
        Ok(DeliveryPage { deliveries: deliveries.ok_or(DAMAGED)?, more })
    }

    /// Queues an event that never happened, to see whether it arrives.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn add_test_delivery(
        &self,
        tenant: &Tenant,
        webhook: WebhookId,
        payload: impl FnOnce(&str) -> String,
    ) -> Result<DeliveryId, QueryError> {
        let (uuid, at) = (Uuid::now_v7(), now().date_time());
        let (id, aggregate) = (DeliveryId::from_uuid(uuid), format!("test_{}", uuid.simple()));
        let row = Model {
            id: id.to_string(),
            tenant: tenant.to_string(),
            webhook_id: webhook.to_string(),
            payload: Some(payload(&aggregate)),
            aggregate,
            seq: 1,
            event_type: String::from("tandem.webhook.test.v1"),
            state: DeliveryState::Pending.name().to_owned(),
            attempts: 0,
            since: at,
            next_at: at,
            leased_until: None,
            last_status: None,
            last_error: None,
            created_at: at,
            delivered_at: None,
        };
        Entity::insert(ActiveModel::from(row)).exec_without_returning(&self.writer).await?;
        Ok(id)
    }

    /// Sends a delivery of a tenant again, whatever became of it; whether there is such a one.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn redeliver(&self, tenant: &Tenant, webhook: WebhookId, id: DeliveryId) -> Result<bool, QueryError> {
        let one = again(tenant, webhook).filter(Column::Id.eq(id.to_string()));
        Ok(one.exec(&self.writer).await?.rows_affected > 0)
    }

    /// Sends everything again that was given up; says how many.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn redeliver_dead(&self, tenant: &Tenant, webhook: WebhookId) -> Result<u64, QueryError> {
        let dead = again(tenant, webhook).filter(Column::State.eq(DeliveryState::Dead.name()));
        Ok(dead.exec(&self.writer).await?.rows_affected)
    }

    /// Deletes what was delivered or given up and was queued before then, up to 1000; says how many.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn prune_deliveries(&self, before: WallTime) -> Result<u64, QueryError> {
        let old = Query::select()
            .column(Column::Id)
            .from(Entity)
            .and_where(Column::CreatedAt.lt(before.date_time()))
            .and_where(Column::State.ne(DeliveryState::Pending.name()))
            .limit(PRUNED_AT_ONCE)
            .to_owned();
        let old = Entity::delete_many().filter(Column::Id.in_subquery(old));
        Ok(old.exec(&self.writer).await?.rows_affected)
    }
}

const DAMAGED: QueryError = QueryError::Damaged { table: "webhook_deliveries" };

fn again(tenant: &Tenant, webhook: WebhookId) -> UpdateMany<Entity> {
    let at = now().date_time();
    Entity::update_many()
        .filter(Column::Tenant.eq(tenant.as_str()))
        .filter(Column::WebhookId.eq(webhook.to_string()))
        .col_expr(Column::State, Expr::value(DeliveryState::Pending.name()))
        .col_expr(Column::Attempts, Expr::value(0))
        .col_expr(Column::Since, Expr::value(at))
        .col_expr(Column::NextAt, Expr::value(at))
}

fn delivery(row: Model) -> Option<Delivery> {
    Some(Delivery {
        id: row.id.parse().ok()?,
        webhook_id: row.webhook_id.parse().ok()?,
        event_id: format!("{}.{}", row.aggregate, row.seq),
        event_type: row.event_type,
        state: DeliveryState::of(&row.state)?,
        attempts: row.attempts.unsigned_abs(),
        next_at: row.next_at.into(),
        last_status: row.last_status.map(i16::unsigned_abs),
        last_error: row.last_error,
        created_at: row.created_at.into(),
        delivered_at: row.delivered_at.map(Into::into),
    })
}
