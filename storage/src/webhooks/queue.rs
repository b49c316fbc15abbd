//! The queue of deliveries: filled by the ledger, emptied by whoever sends.

use std::fmt;
use std::time::Duration;

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Alias, Expr, ExprTrait as _, LockType, Query};
use sea_orm::{ActiveValue, DbErr, QueryOrder, QuerySelect};
use tandem_core::id::{DeliveryId, WebhookId};
use tandem_core::pii::Pii;
use tandem_core::time::WallTime;
use tandem_core::webhook::{DeliveryState, Format, wants};
use uuid::Uuid;

use crate::batch::most_rows;
use crate::database::{QueryError, Storage, in_time};
use crate::entity::{event, webhook_delivery, webhook_endpoint};
use crate::outbox::NewEvent;
use crate::relay::traceparent;
use crate::time::now;

use webhook_delivery::Column as Row;
use webhook_endpoint::Column as Endpoint;

/// Queues events for the webhooks that want them. In the transaction that stores the events; may be repeated.
pub(crate) async fn enqueue(db: &impl ConnectionTrait, events: &[NewEvent]) -> Result<(), DbErr> {
    if events.is_empty() {
        return Ok(());
    }
    let mut tenants: Vec<&str> = events.iter().map(|event| event.tenant.as_str()).collect();
    tenants.sort_unstable();
    tenants.dedup();
    let enabled = webhook_endpoint::Entity::find().filter(Endpoint::Enabled.eq(true));
    let endpoints: Vec<(String, String, Json)> = enabled
        .filter(Endpoint::Tenant.is_in(tenants))
        .select_only()
        .columns([Endpoint::Id, Endpoint::Tenant, Endpoint::Events])
        // One that is deleted meanwhile would have its events refused, and facts set aside with them.
        .lock(LockType::KeyShare)
        .into_tuple()
        .all(db)
        .await?;
    let at = now().date_time();
    let mut rows = Vec::new();
    for (id, tenant, wanted) in endpoints {
        let wanted: Vec<String> = serde_json::from_value(wanted).unwrap_or_default();
        let wanted = events.iter().filter(|it| it.tenant == tenant && wants(&wanted, &it.event_type));
        rows.extend(wanted.map(|event| queued(event, &id, at)));
    }
    for rows in rows.chunks(most_rows::<webhook_delivery::Entity>()) {
        let rows = webhook_delivery::Entity::insert_many(rows.to_vec());
        let once = rows.on_conflict_do_nothing_on([Row::WebhookId, Row::Aggregate, Row::Seq]);
        once.exec_without_returning(db).await?;
    }
    Ok(())
}

fn queued(event: &NewEvent, webhook: &str, at: DateTimeUtc) -> webhook_delivery::ActiveModel {
    webhook_delivery::ActiveModel {
        id: ActiveValue::Set(DeliveryId::from_uuid(Uuid::now_v7()).to_string()),
        tenant: ActiveValue::Set(event.tenant.clone()),
        webhook_id: ActiveValue::Set(webhook.to_owned()),
        aggregate: ActiveValue::Set(event.aggregate.clone()),
        seq: ActiveValue::Set(event.seq),
        event_type: ActiveValue::Set(event.event_type.clone()),
        payload: ActiveValue::Set(None),
        state: ActiveValue::Set(DeliveryState::Pending.name().to_owned()),
        attempts: ActiveValue::Set(0),
        since: ActiveValue::Set(at),
        next_at: ActiveValue::Set(at),
        leased_until: ActiveValue::Set(None),
        last_status: ActiveValue::Set(None),
        last_error: ActiveValue::Set(None),
        created_at: ActiveValue::Set(at),
        delivered_at: ActiveValue::Set(None),
    }
}

/// A webhook that something is due for, with what it takes to send it. Not printable: it holds secrets.
#[derive(Clone)]
pub struct WebhookTarget {
    /// Which.
    pub id: WebhookId,
    /// Where requests go.
    pub url: Pii<String>,
    /// How they look.
    pub format: Format,
    /// What they are signed with: one, or while it is changed two, the new one first.
    pub secrets: Vec<Pii<String>>,
    /// Requests that failed since the last that did not.
    pub failures: u32,
}

/// A delivery that is ours until the lease is over.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// Which.
    pub id: DeliveryId,
    /// The event's id.
    pub event_id: String,
    /// The CloudEvent; `None` when the history has forgotten it.
    pub payload: Option<Pii<String>>,
    /// How often it was tried, with this time.
    pub attempts: u32,
    /// Since when it is tried.
    pub since: WallTime,
    /// The trace that the event belongs to, as the event itself says (W3C Trace Context).
    pub traceparent: Option<String>,
}

impl Storage {
    /// Webhooks that are switched on, do not rest and have deliveries due, those that fail least first.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn due_webhooks(&self, now: WallTime) -> Result<Vec<WebhookTarget>, QueryError> {
        // One row of an index for each webhook, however many are due.
        let due = Query::select()
            .expr(Expr::value(1))
            .from(webhook_delivery::Entity)
            .and_where(
                Expr::col((webhook_delivery::Entity, Row::WebhookId)).equals((webhook_endpoint::Entity, Endpoint::Id)),
            )
            .and_where(is_pending())
            .and_where(Row::NextAt.lte(now.date_time()))
            .to_owned();
        let due = webhook_endpoint::Entity::find()
            .filter(Endpoint::Enabled.eq(true))
            .filter(Endpoint::RestsUntil.is_null().or(Endpoint::RestsUntil.lte(now.date_time())))
            .filter(Expr::exists(due))
            .order_by_asc(Endpoint::Failures)
            .order_by_asc(Endpoint::Id);
        let rows = in_time(due.all(&self.reader)).await?;
        let targets: Option<_> = rows.into_iter().map(|row| target(row, now)).collect();
        targets.ok_or(QueryError::Damaged { table: "webhook_endpoints" })
    }

    /// Takes up to `most` deliveries to a webhook that are due, of each resource the earliest. They are ours for `lease`.
    ///
    /// # Errors
    /// [`QueryError`]; what was claimed by then is free again after its lease.
    pub async fn claim_deliveries(
        &self,
        webhook: WebhookId,
        most: u64,
        now: WallTime,
        lease: Duration,
    ) -> Result<Vec<Claimed>, QueryError> {
        let (at, until) = (now.date_time(), (now + lease).date_time());
        let mine = webhook_delivery::Entity::find().filter(Row::WebhookId.eq(webhook.to_string()));
        let rows = mine
            .filter(is_pending())
            .filter(Row::NextAt.lte(at))
            .filter(Row::LeasedUntil.is_null().or(Row::LeasedUntil.lte(at)))
            .filter(Expr::exists(earlier()).not())
            .order_by_asc(Row::NextAt)
            .order_by_asc(Row::Id)
            .limit(most);
        let rows = in_time(rows.all(&self.reader)).await?;
        let mut claimed = Vec::new();
        for row in rows {
            // Of two nodes that found it, one finds it still free.
            let taken = webhook_delivery::Entity::update_many()
                .filter(Row::Id.eq(&row.id))
                .filter(Row::State.eq(DeliveryState::Pending.name()))
                .filter(Row::LeasedUntil.is_null().or(Row::LeasedUntil.lte(at)))
                .filter(Row::Attempts.eq(row.attempts))
                .col_expr(Row::LeasedUntil, Expr::value(until))
                .col_expr(Row::Attempts, Expr::col(Row::Attempts).add(1));
            let taken = in_time(taken.exec(&self.writer)).await?;
            if taken.rows_affected > 0 {
                claimed.push(in_time(self.filled(row)).await?);
            }
        }
        Ok(claimed)
    }

    async fn filled(&self, row: webhook_delivery::Model) -> Result<Claimed, QueryError> {
        let payload = match row.payload {
            Some(payload) => Some(payload),
            None => {
                let key = (row.aggregate.clone(), row.seq);
                event::Entity::find_by_id(key).one(&self.reader).await?.map(|event| event.payload)
            }
        };
        Ok(Claimed {
            id: row.id.parse().map_err(|_| QueryError::Damaged { table: "webhook_deliveries" })?,
            event_id: format!("{}.{}", row.aggregate, row.seq),
            traceparent: payload.as_deref().and_then(traceparent),
            payload: payload.map(Pii::new),
            attempts: row.attempts.unsigned_abs() + 1,
            since: row.since.into(),
        })
    }

    /// How many deliveries wait, and how many were given up.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn count_deliveries(&self) -> Result<(u64, u64), QueryError> {
        let of = |state: DeliveryState| webhook_delivery::Entity::find().filter(Row::State.eq(state.name()));
        let pending = in_time(of(DeliveryState::Pending).count(&self.reader)).await?;
        Ok((pending, in_time(of(DeliveryState::Dead).count(&self.reader)).await?))
    }
}

/// In the words of the index of what is pending: a parameter would hide that it is meant.
pub(super) fn is_pending() -> Expr {
    Expr::col((webhook_delivery::Entity, Row::State)).eq(Expr::cust("'pending'"))
}

/// One before it of the same resource to the same webhook, that is not settled.
fn earlier() -> sea_orm::sea_query::SelectStatement {
    let before = Alias::new("before");
    let same = |column: Row| Expr::col((before.clone(), column)).equals((webhook_delivery::Entity, column));
    Query::select()
        .expr(Expr::value(1))
        .from_as(webhook_delivery::Entity, before.clone())
        .and_where(same(Row::WebhookId))
        .and_where(same(Row::Aggregate))
        .and_where(Expr::col((before.clone(), Row::Seq)).lt(Expr::col((webhook_delivery::Entity, Row::Seq))))
        .and_where(Expr::col((before, Row::State)).eq(DeliveryState::Pending.name()))
        .to_owned()
}

fn target(row: webhook_endpoint::Model, now: WallTime) -> Option<WebhookTarget> {
    let old = row.old_hmac_key.filter(|_| row.old_hmac_key_until.is_some_and(|until| until > now.date_time()));
    Some(WebhookTarget {
        id: row.id.parse().ok()?,
        url: row.url.into(),
        format: Format::of(&row.format)?,
        secrets: std::iter::once(row.hmac_key).chain(old).map(Pii::new).collect(),
        failures: row.failures.unsigned_abs(),
    })
}

impl fmt::Debug for WebhookTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookTarget").field("id", &self.id).finish_non_exhaustive()
    }
}
