//! The one way of an event into the outbox.

use sea_orm::{ActiveValue, ConnectionTrait, DbErr, EntityTrait, TryInsertResult};

use crate::entity::outbox::{ActiveModel, Column, Entity};
use crate::time::now;

/// An event on its way out.
pub(crate) struct NewEvent {
    pub(crate) tenant: String,
    pub(crate) aggregate: String,
    pub(crate) seq: i32,
    pub(crate) correlation_id: Option<String>,
    pub(crate) event_type: String,
    pub(crate) subject: String,
    pub(crate) payload: String,
}

/// Appends events; one that is there already is no second one. Returns how many are new.
pub(crate) async fn append(db: &impl ConnectionTrait, events: Vec<NewEvent>) -> Result<u64, DbErr> {
    let rows = events.into_iter().map(|event| ActiveModel {
        id: ActiveValue::NotSet,
        tenant: ActiveValue::Set(event.tenant),
        aggregate: ActiveValue::Set(event.aggregate),
        seq: ActiveValue::Set(event.seq),
        correlation_id: ActiveValue::Set(event.correlation_id.unwrap_or_default()),
        event_type: ActiveValue::Set(event.event_type),
        subject: ActiveValue::Set(event.subject),
        payload: ActiveValue::Set(event.payload),
        fact: ActiveValue::Set(String::new()),
        created_at: ActiveValue::Set(now().date_time()),
        published_at: ActiveValue::Set(None),
    });
    let new = Entity::insert_many(rows)
        .on_conflict_do_nothing_on([Column::Aggregate, Column::Seq])
        .exec_without_returning(db)
        .await?;
    Ok(if let TryInsertResult::Inserted(rows) = new { rows } else { 0 })
}
