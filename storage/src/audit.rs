//! The audit: rows and events of it, and who may read which.

use sea_orm::entity::prelude::*;
use sea_orm::{ConnectionTrait, DbErr, QueryOrder, QuerySelect, QueryTrait, TransactionTrait};
use tandem_core::audit::{AuditEvent, AuditFilter, Deed};
use tandem_core::id::{AuditId, NodeId};
use uuid::Uuid;

use crate::database::{QueryError, Storage, in_time};
use crate::entity::audit_event::{ActiveModel, Column, Entity, Model};
use crate::outbox::{self, NewEvent};
use crate::time::now;

/// Most events on a page.
pub const LARGEST_AUDIT_PAGE: u64 = 1_000;

impl Storage {
    /// Events of the audit, the latest first: up to `limit` (1 to [`LARGEST_AUDIT_PAGE`], what is beyond counts as that).
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn audit_events(&self, filter: &AuditFilter) -> Result<Vec<AuditEvent>, QueryError> {
        let AuditFilter { tenant, action, who, from, to, before, limit } = filter;
        let rows = Entity::find()
            .apply_if(tenant.as_ref(), |rows, tenant| rows.filter(Column::Tenant.eq(tenant.as_str())))
            .apply_if(*action, |rows, action| rows.filter(Column::Action.eq(action.name())))
            .apply_if(who.as_ref(), |rows, who| rows.filter(Column::Who.eq(who.to_string())))
            .apply_if(*from, |rows, from| rows.filter(Column::At.gte(from.date_time())))
            .apply_if(*to, |rows, to| rows.filter(Column::At.lt(to.date_time())))
            .apply_if(*before, |rows, before| rows.filter(Column::Id.lt(before.to_string())))
            // Ids are minted in the order of time.
            .order_by_desc(Column::Id)
            .limit((*limit).clamp(1, LARGEST_AUDIT_PAGE));
        let events: Option<_> = rows.all(&self.reader).await?.into_iter().map(noted).collect();
        events.ok_or(QueryError::Damaged { table: "audit_events" })
    }

    /// Notes a deed at once, for a process that has no journal: the command line.
    ///
    /// # Errors
    /// [`QueryError`]; nothing was noted.
    pub async fn note_audit(&self, node: NodeId, deed: Deed) -> Result<(), QueryError> {
        let noted = AuditEvent { id: AuditId::from_uuid(Uuid::now_v7()), node, at: now(), hushed: 0, deed };
        let published = event(&noted).map_err(|error| DbErr::Json(error.to_string()))?;
        in_time(async {
            let transaction = self.writer.begin().await?;
            store(&transaction, &[&noted]).await?;
            outbox::append(&transaction, vec![published]).await?;
            Ok(transaction.commit().await?)
        })
        .await
    }
}

/// Writes rows. May be repeated.
pub(crate) async fn store(db: &impl ConnectionTrait, events: &[&AuditEvent]) -> Result<(), DbErr> {
    let rows = events.iter().map(|event| ActiveModel::from(row(event)));
    Entity::insert_many(rows).on_conflict_do_nothing().exec_without_returning(db).await?;
    Ok(())
}

/// What is kept and published of it.
pub(crate) fn event(event: &AuditEvent) -> Result<NewEvent, serde_json::Error> {
    Ok(NewEvent {
        tenant: event.deed.tenant.to_string(),
        aggregate: event.id.to_string(),
        seq: 1,
        correlation_id: event.deed.correlation_id.map(|id| id.to_string()),
        event_type: event.deed.action.event_type().to_owned(),
        subject: event.subject(),
        payload: serde_json::to_string(&event.cloud_event())?,
    })
}

fn row(event: &AuditEvent) -> Model {
    let deed = &event.deed;
    Model {
        id: event.id.to_string(),
        tenant: deed.tenant.to_string(),
        node_id: event.node.to_string(),
        at: event.at.date_time(),
        who: deed.who.to_string(),
        from_address: deed.from.map(|from| from.to_string()),
        action: deed.action.name().to_owned(),
        what: deed.what.clone(),
        outcome: deed.outcome.to_string(),
        correlation_id: deed.correlation_id.map(|id| id.to_string()),
        hushed: i64::try_from(event.hushed).unwrap_or(i64::MAX),
    }
}

fn noted(row: Model) -> Option<AuditEvent> {
    let deed = Deed {
        tenant: row.tenant.parse().ok()?,
        who: row.who.parse().ok()?,
        from: row.from_address.map(|from| from.parse()).transpose().ok()?,
        action: row.action.parse().ok()?,
        what: row.what,
        outcome: row.outcome.into(),
        correlation_id: row.correlation_id.map(|id| id.parse()).transpose().ok()?,
    };
    Some(AuditEvent {
        id: row.id.parse().ok()?,
        node: row.node_id.parse().ok()?,
        at: row.at.into(),
        hushed: u64::try_from(row.hushed).ok()?,
        deed,
    })
}
