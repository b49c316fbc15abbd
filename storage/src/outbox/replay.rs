//! The stream of facts out of the database: what was published before, again, where it is gone.
//!
//! ```text
//!  hold the relays ──▶ make the stream ──▶ history in order, what the stream has left out ──▶ let go ──▶ (relays: the rest)
//! ```
//!
//! # Invariants
//! * Meanwhile nothing else is published, so the events of a call stay in their order. New facts wait in the outbox.
//! * What is in the outbox is none of its business. Run twice, it publishes nothing the second time.

use std::time::Duration;

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{Condition, DatabaseBackend, QueryOrder, QuerySelect};
use tandem_core::id::Tenant;
use tandem_core::time::WallTime;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::backlog::is_published;
use crate::bus::{BusConfig, BusError, Nats};
use crate::database::{QueryError, Storage};
use crate::entity::event::{Column, Entity};
use crate::entity::outbox_shard;
use crate::relay::{DEADLINE, Row, publish};
use crate::stream;
use crate::time::{Waits, now};

/// Events that are read and published at a time.
const PAGE: u64 = 1_000;
/// For how long the relays stand still, unless that is said again.
const HOLD: Duration = Duration::from_secs(60);
/// How often it is said again.
const RENEW: Duration = Duration::from_secs(15);
/// How long a bus that is away is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is to be published again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Replay {
    /// From where; all of it unless said.
    pub from: Option<ReplayFrom>,
    /// What happened before this.
    pub to: Option<WallTime>,
    /// Of one tenant; of all unless said.
    pub tenant: Option<Tenant>,
    /// Only counts.
    pub dry_run: bool,
}

/// Where a replay begins.
#[derive(Clone, Debug, PartialEq)]
pub enum ReplayFrom {
    /// With what was stored then.
    Time(WallTime),
    /// With this event, `<aggregate>.<n>`, in the order of ids: where one that was interrupted goes on.
    Event(String, i32),
}

/// How far it is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Replayed {
    /// Events looked at.
    pub seen: u64,
    /// Events published.
    pub published: u64,
    /// Events that the stream had.
    pub were_there: u64,
    /// Events that no stream takes as they are.
    pub refused: u64,
    /// The last one looked at.
    pub last: Option<String>,
}

/// Why it stopped. The last event that [`Replayed`] told of is where to go on.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The bus cannot be used.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The database does not answer.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The bus does not take events any more.
    #[error("not published: {0}")]
    NotPublished(String),
}

impl Replay {
    /// Does it. `told` hears of every step.
    ///
    /// # Errors
    /// [`ReplayError`]. It may be begun again: what is there is left out.
    pub async fn run(
        &self,
        storage: &Storage,
        bus: &BusConfig,
        mut told: impl FnMut(&Replayed),
    ) -> Result<Replayed, ReplayError> {
        if self.dry_run {
            return self.pages(storage, None, &mut told).await;
        }
        let nats = Nats::connect(bus, storage.metrics.clone()).await?;
        nats.check_server().await?;
        let hold = Hold::take(storage).await?;
        stream::make_facts(&nats).await?;
        let outcome = self.pages(storage, Some((&nats, &hold)), &mut told).await;
        hold.release(storage).await?;
        outcome
    }

    async fn pages(
        &self,
        storage: &Storage,
        to: Option<(&Nats, &Hold)>,
        told: &mut impl FnMut(&Replayed),
    ) -> Result<Replayed, ReplayError> {
        let mut done = Replayed::default();
        let mut after = match &self.from {
            Some(ReplayFrom::Event(aggregate, seq)) => Some((aggregate.clone(), seq.saturating_sub(1))),
            _ => None,
        };
        let mut renewed = Instant::now();
        loop {
            let rows = self.page(storage, after.as_ref()).await?;
            let Some(last) = rows.last() else { return Ok(done) };
            let (count, end) = (rows.len() as u64, (last.aggregate.clone(), last.seq));
            if let Some((nats, hold)) = to {
                if renewed.elapsed() > RENEW {
                    hold.set(storage, Some(now() + HOLD)).await?;
                    renewed = Instant::now();
                }
                send(nats, rows, &mut done).await?;
            }
            done.seen += count;
            done.last = Some(format!("{}.{}", end.0, end.1));
            after = Some(end);
            told(&done);
        }
    }

    async fn page(&self, storage: &Storage, after: Option<&(String, i32)>) -> Result<Vec<Row>, QueryError> {
        let mut events = Entity::find()
            .select_only()
            .columns([Column::Aggregate, Column::Seq, Column::Subject, Column::Payload, Column::CreatedAt])
            // A place in the queue, which it has none of any more.
            .expr_as(Expr::val(0_i64).cast_as("bigint"), "id")
            .filter(is_published());
        if let Some((aggregate, seq)) = after {
            let later = Condition::all().add(Column::Aggregate.eq(aggregate)).add(Column::Seq.gt(*seq));
            events = events.filter(Condition::any().add(Column::Aggregate.gt(aggregate)).add(later));
        }
        if let Some(ReplayFrom::Time(from)) = &self.from {
            events = events.filter(Column::CreatedAt.gte(from.date_time()));
        }
        if let Some(to) = self.to {
            events = events.filter(Column::CreatedAt.lt(to.date_time()));
        }
        if let Some(tenant) = &self.tenant {
            events = events.filter(Column::Tenant.eq(tenant.as_str()));
        }
        let events = events.order_by_asc(Column::Aggregate).order_by_asc(Column::Seq).limit(PAGE);
        let rows: Vec<Row> = events.into_model().all(&storage.reader).await?;
        Ok((0..).zip(rows).map(|(id, row)| Row { id, ..row }).collect())
    }
}

/// Publishes a page, in the face of leaders that die.
async fn send(nats: &Nats, rows: Vec<Row>, done: &mut Replayed) -> Result<(), ReplayError> {
    let (mut rows, mut waits) = (rows, Waits::new());
    let deadline = Instant::now() + PATIENCE;
    loop {
        let outcome = publish(nats, rows.clone(), true).await;
        done.were_there += outcome.were_there as u64;
        done.published += outcome.published.len().saturating_sub(outcome.were_there) as u64;
        done.refused += outcome.refused.len() as u64;
        let Some(why) = outcome.failure else { return Ok(()) };
        if Instant::now() > deadline {
            return Err(ReplayError::NotPublished(why));
        }
        rows.retain(|row| !outcome.published.contains(&row.id) && !outcome.refused.iter().any(|(id, _)| *id == row.id));
        sleep(waits.after_failure()).await;
    }
}

/// The relays of all nodes stand still while this is renewed.
struct Hold {
    by: String,
}

impl Hold {
    async fn take(storage: &Storage) -> Result<Self, QueryError> {
        let hold = Self { by: format!("replay {}", Uuid::now_v7().simple()) };
        // Where shards are locked, this waits until each is free.
        hold.set(storage, Some(now() + HOLD)).await?;
        let is_locked = storage.writer.get_database_backend() == DatabaseBackend::Postgres;
        if !is_locked && storage.outbox_sizes().await?.waiting > 0 {
            // A batch may be under way.
            sleep(DEADLINE).await;
        }
        Ok(hold)
    }

    async fn release(&self, storage: &Storage) -> Result<(), QueryError> {
        self.set(storage, None).await
    }

    async fn set(&self, storage: &Storage, until: Option<WallTime>) -> Result<(), QueryError> {
        use outbox_shard::Column::{HeldBy, HeldUntil};
        let by = until.map(|_| self.by.clone());
        let held = outbox_shard::Entity::update_many()
            .col_expr(HeldUntil, Expr::value(until.map(WallTime::date_time)))
            .col_expr(HeldBy, Expr::value(by));
        held.exec(&storage.writer).await?;
        Ok(())
    }
}
