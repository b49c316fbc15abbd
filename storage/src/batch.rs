//! Journal entries to rows: one transaction per batch, a few statements each, however many entries there are.

use std::collections::{HashMap, HashSet};

use sea_orm::entity::prelude::*;
use sea_orm::{DatabaseConnection, DbErr, Iterable as _, TransactionTrait};
use tandem_core::event::{Fact, FactBody};
use tandem_core::id::{CallId, NodeId};

use crate::database::is_refusal;
use crate::entity::{call, cdr, leg};
use crate::journal::Entry;
use crate::outbox::NewEvent;
use crate::projection::{self, Projection};
use crate::{audit, bindings, outbox, record, webhooks};

/// Calls that are not closed, as they are in the database.
pub(crate) type Known = HashMap<CallId, Projection>;

/// What a batch came to.
#[derive(Debug)]
pub(crate) struct Stored {
    /// Every call that it touched.
    pub(crate) calls: Known,
    /// Facts that the database did not have yet.
    pub(crate) new_facts: u64,
}

/// Why a batch was not stored. Nothing of it was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BatchError {
    #[error("database")]
    Database(#[from] DbErr),
    #[error("fact has no JSON")]
    Json(#[from] serde_json::Error),
}

impl BatchError {
    /// Whether it would be the same again, for what is in the entries.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Database(error) => is_refusal(error),
            Self::Json(_) => true,
        }
    }
}

/// Stores all of some entries of a node, or none. May be repeated.
pub(crate) async fn store(
    db: &DatabaseConnection,
    known: &Known,
    node: NodeId,
    entries: &[Entry],
) -> Result<Stored, BatchError> {
    let (mut facts, mut changes, mut deeds) = (Vec::new(), Vec::new(), Vec::new());
    for entry in entries {
        match entry {
            Entry::Fact(fact) => facts.push(&**fact),
            Entry::Binding(change) => changes.push(&**change),
            Entry::Audit(event) => deeds.push(&**event),
        }
    }
    let calls = project(load(db, known, &facts).await?, &facts);
    let events = facts.iter().map(|fact| event(fact)).chain(deeds.iter().map(|deed| audit::event(deed)));
    let events = events.collect::<Result<Vec<_>, _>>()?;
    let records = facts.iter().filter_map(|fact| match &fact.body {
        FactBody::CdrClosed(cdr) => Some(record::row(cdr).map(cdr::ActiveModel::from)),
        _ => None,
    });
    let records = records.collect::<Result<Vec<_>, _>>()?;

    let transaction = db.begin().await?;
    projection::upsert(&transaction, calls.values()).await?;
    // A record has many columns; a batch of nothing but records has more values than a statement takes.
    for records in records.chunks(most_rows::<cdr::Entity>()) {
        let records = cdr::Entity::insert_many(records.to_vec()).on_conflict_do_nothing();
        records.exec_without_returning(&transaction).await?;
    }
    webhooks::enqueue(&transaction, &events).await?;
    let new_facts = outbox::append(&transaction, events).await?;
    bindings::store(&transaction, node, &changes).await?;
    audit::store(&transaction, &deeds).await?;
    transaction.commit().await?;
    Ok(Stored { calls, new_facts })
}

/// How many rows of a table fit into one statement: SQLite takes 32,766 values, PostgreSQL twice as many.
pub(crate) fn most_rows<E: EntityTrait>() -> usize {
    32_766 / E::Column::iter().count().max(1)
}

/// The touched calls as they were before: from memory, else from the database.
async fn load(db: &DatabaseConnection, known: &Known, facts: &[&Fact]) -> Result<Known, DbErr> {
    let (mut calls, mut missing) = (Known::new(), HashMap::new());
    for id in facts.iter().map(|fact| fact.call).collect::<HashSet<_>>() {
        match known.get(&id) {
            Some(call) => drop(calls.insert(id, call.clone())),
            None => drop(missing.insert(id.to_string(), id)),
        }
    }
    if missing.is_empty() {
        return Ok(calls);
    }
    let rows = call::Entity::find().filter(call::Column::Id.is_in(missing.keys())).all(db).await?;
    if rows.is_empty() {
        return Ok(calls);
    }
    let legs = leg::Entity::find().filter(leg::Column::CallId.is_in(rows.iter().map(|row| &row.id)));
    let mut legs_of: HashMap<String, Vec<leg::Model>> = HashMap::new();
    for leg in legs.all(db).await? {
        legs_of.entry(leg.call_id.clone()).or_default().push(leg);
    }
    for row in rows {
        let legs = legs_of.remove(&row.id).unwrap_or_default();
        if let Some(id) = missing.get(&row.id) {
            calls.insert(*id, Projection::of(row, legs));
        }
    }
    Ok(calls)
}

fn project(mut calls: Known, facts: &[&Fact]) -> Known {
    for fact in facts {
        if let Some(call) = calls.get_mut(&fact.call) {
            call.apply(fact);
        } else if let Some(call) = Projection::begin(fact) {
            calls.insert(fact.call, call);
        } else {
            tracing::error!(call_id = %fact.call, number = fact.number, "fact of a call that never began");
        }
    }
    calls
}

/// What is kept and published of a fact. Its session description is not: the call's row has it.
fn event(fact: &Fact) -> Result<NewEvent, serde_json::Error> {
    Ok(NewEvent {
        tenant: fact.context.tenant.to_string(),
        aggregate: fact.call.to_string(),
        seq: projection::number(fact),
        correlation_id: Some(fact.context.correlation_id.to_string()),
        event_type: fact.body.event_type().to_owned(),
        subject: fact.subject(),
        payload: serde_json::to_string(&fact.cloud_event())?,
    })
}
