//! The one way of an event into the database: its history, and its place in the queue to the bus.
//!
//! ```text
//!  append ──▶ events (for ever, one row per event)
//!         └─▶ outbox (until the bus has it) ── shard by aggregate ──▶ relay
//! ```
//!
//! # Invariants
//! * Both rows are made in the transaction of what the event tells, or neither.
//! * `(aggregate, seq)` names an event for ever: a repeated one is no second event, and is not published again.
//! * The events of an aggregate are in one shard, in their order.

pub(crate) mod backlog;
pub(crate) mod replay;

use std::collections::HashSet;

use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue, DbErr, TryInsertResult};

use crate::entity::{event, outbox};
use crate::time::now;

/// Parts of the outbox that are relayed independently of each other: rows 0..SHARDS of `outbox_shards`.
pub(crate) const SHARDS: i16 = 16;

/// An event that is to be kept and published.
#[derive(Clone, Debug)]
pub(crate) struct NewEvent {
    /// Whose.
    pub(crate) tenant: String,
    /// What it is told of (`call_…`, `audit_…`); up to 48 bytes.
    pub(crate) aggregate: String,
    /// The how-manieth of its aggregate, from 1.
    pub(crate) seq: i32,
    /// The id that explains a call, where there is one.
    pub(crate) correlation_id: Option<String>,
    /// CloudEvents type with its version.
    pub(crate) event_type: String,
    /// Where it is published: `tandem.v1.<tenant>.…`.
    pub(crate) subject: String,
    /// CloudEvents 1.0 in JSON. Its `id` is `<aggregate>.<seq>`.
    pub(crate) payload: String,
}

/// Keeps some events and queues them for the bus. Those of one aggregate come in their order. Returns how many were
/// new.
pub(crate) async fn append(db: &impl ConnectionTrait, events: Vec<NewEvent>) -> Result<u64, DbErr> {
    let created_at = now().date_time();
    let mut places: Vec<(String, i32)> = events.iter().map(|it| (it.aggregate.clone(), it.seq)).collect();
    let rows = events.into_iter().map(|it| event::ActiveModel {
        aggregate: ActiveValue::Set(it.aggregate),
        seq: ActiveValue::Set(it.seq),
        tenant: ActiveValue::Set(it.tenant),
        correlation_id: ActiveValue::Set(it.correlation_id),
        event_type: ActiveValue::Set(it.event_type),
        subject: ActiveValue::Set(it.subject),
        payload: ActiveValue::Set(it.payload),
        created_at: ActiveValue::Set(created_at),
    });
    let stored = event::Entity::insert_many(rows)
        .on_conflict_do_nothing_on([event::Column::Aggregate, event::Column::Seq])
        .exec_with_returning_keys(db)
        .await?;
    // In no order that a database promises.
    let TryInsertResult::Inserted(new) = stored else { return Ok(0) };
    let mut new: HashSet<(String, i32)> = new.into_iter().collect();
    let count = new.len() as u64;
    places.retain(|place| new.remove(place));
    let waiting = places.into_iter().map(|(aggregate, seq)| outbox::ActiveModel {
        shard: ActiveValue::Set(shard(&aggregate)),
        aggregate: ActiveValue::Set(aggregate),
        seq: ActiveValue::Set(seq),
        created_at: ActiveValue::Set(created_at),
        ..Default::default()
    });
    outbox::Entity::insert_many(waiting).exec_without_returning(db).await?;
    Ok(count)
}

/// Which shard relays an aggregate. For ever the same, or the order of a call that is on its way would break.
pub(crate) fn shard(aggregate: &str) -> i16 {
    // Less than SHARDS, whatever the hash.
    i16::try_from(crc32fast::hash(aggregate.as_bytes()) % SHARDS.unsigned_abs() as u32).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aggregate_has_one_shard_for_ever_and_calls_are_spread_over_all_of_them() {
        assert_eq!(shard("call_0000000000000000000000000000ca11"), 3);
        let used: HashSet<i16> = (0..500).map(|n| shard(&format!("call_{n:032x}"))).collect();
        assert_eq!(used, (0..SHARDS).collect());
    }
}
