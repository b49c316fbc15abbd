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
use crate::entity::outbox_shard::{
    self,
    Column::{HeldBy, HeldUntil},
};
use crate::outbox::SHARDS;
use crate::relay::{Ask, DEADLINE, Row, is_free, publish};
use crate::stream;
use crate::time::{Waits, later, now};

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
    /// Events that no stream takes as they are, and those that would come behind later ones of their call.
    pub refused: u64,
    /// Events that are older than the stream keeps them: left out, since they would be gone at once or outlive younger ones.
    pub too_old: u64,
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
    /// Somebody else has stopped the relays, or took them over: two at a time would mix their events.
    #[error("another replay is under way, or died less than a minute ago: `tandem outbox` shows whose")]
    Held,
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
            return self.pages(storage, bus, None, &mut told).await;
        }
        let nats = Nats::connect(bus, storage.metrics.clone()).await?;
        nats.check_server().await?;
        let mut hold = Hold::take(storage).await?;
        let outcome = match stream::make_facts(&nats).await {
            Ok(()) => self.pages(storage, bus, Some((&nats, &mut hold)), &mut told).await,
            Err(error) => Err(error.into()),
        };
        let released = hold.release(storage).await;
        let done = outcome?;
        released?;
        Ok(done)
    }

    async fn pages(
        &self,
        storage: &Storage,
        bus: &BusConfig,
        mut to: Option<(&Nats, &mut Hold)>,
        told: &mut impl FnMut(&Replayed),
    ) -> Result<Replayed, ReplayError> {
        let oldest =
            WallTime(now().0.saturating_sub(i64::try_from(bus.stream_max_age.as_micros()).unwrap_or(i64::MAX)));
        let too_old = self.wanted().filter(Column::CreatedAt.lt(oldest.date_time())).count(&storage.reader);
        let mut done = Replayed { too_old: too_old.await.map_err(QueryError::from)?, ..Replayed::default() };
        let mut after = match &self.from {
            Some(ReplayFrom::Event(aggregate, seq)) => Some((aggregate.clone(), seq.saturating_sub(1))),
            _ => None,
        };
        loop {
            let rows = self.page(storage, oldest, after.as_ref()).await?;
            let Some(last) = rows.last() else { return Ok(done) };
            let (count, end) = (rows.len() as u64, (last.aggregate.clone(), last.seq));
            if let Some((nats, hold)) = &mut to {
                send(storage, nats, hold, rows, &mut done).await?;
            }
            done.seen += count;
            done.last = Some(format!("{}.{}", end.0, end.1));
            after = Some(end);
            told(&done);
        }
    }

    /// Everything that is asked for, but for where it goes on.
    fn wanted(&self) -> Select<Entity> {
        let mut events = Entity::find().filter(is_published());
        if let Some(ReplayFrom::Time(from)) = &self.from {
            events = events.filter(Column::CreatedAt.gte(from.date_time()));
        }
        if let Some(to) = self.to {
            events = events.filter(Column::CreatedAt.lt(to.date_time()));
        }
        if let Some(tenant) = &self.tenant {
            events = events.filter(Column::Tenant.eq(tenant.as_str()));
        }
        events
    }

    async fn page(
        &self,
        storage: &Storage,
        oldest: WallTime,
        after: Option<&(String, i32)>,
    ) -> Result<Vec<Row>, QueryError> {
        let mut events = self
            .wanted()
            .filter(Column::CreatedAt.gte(oldest.date_time()))
            .select_only()
            .columns([Column::Aggregate, Column::Seq, Column::Subject, Column::Payload, Column::CreatedAt])
            // A place in the queue, which it has none of any more.
            .expr_as(Expr::val(0_i64).cast_as("bigint"), "id");
        if let Some((aggregate, seq)) = after {
            let later = Condition::all().add(Column::Aggregate.eq(aggregate)).add(Column::Seq.gt(*seq));
            events = events.filter(Condition::any().add(Column::Aggregate.gt(aggregate)).add(later));
        }
        let events = events.order_by_asc(Column::Aggregate).order_by_asc(Column::Seq).limit(PAGE);
        let mut rows: Vec<Row> = events.into_model().all(&storage.reader).await?;
        // A call is not looked at in halves, unless it fills a page.
        if let (Some(first), Some(last), PAGE) = (rows.first(), rows.last(), rows.len() as u64)
            && first.aggregate != last.aggregate
        {
            let begun = last.aggregate.clone();
            rows.retain(|row| row.aggregate != begun);
        }
        Ok((0..).zip(rows).map(|(id, row)| Row { id, ..row }).collect())
    }
}

/// Publishes a page, in the face of leaders that die.
async fn send(
    storage: &Storage,
    nats: &Nats,
    hold: &mut Hold,
    mut rows: Vec<Row>,
    done: &mut Replayed,
) -> Result<(), ReplayError> {
    let mut waits = Waits::new();
    let deadline = Instant::now() + PATIENCE;
    loop {
        hold.renew(storage).await?;
        let outcome = publish(nats, rows.clone(), Ask::Order).await;
        done.were_there += outcome.were_there as u64;
        done.published += outcome.published.len().saturating_sub(outcome.were_there) as u64;
        done.refused += outcome.refused.len() as u64;
        rows.retain(|row| !outcome.published.contains(&row.id) && !outcome.refused.iter().any(|(id, _)| *id == row.id));
        match outcome.failure {
            None if rows.is_empty() => return Ok(()),
            // Those behind one that is refused go on without it.
            None => {}
            Some(why) if Instant::now() > deadline => return Err(ReplayError::NotPublished(why)),
            Some(_) => sleep(waits.after_failure()).await,
        }
    }
}

/// The relays of all nodes stand still while this is renewed.
struct Hold {
    by: String,
    renewed: Instant,
}

impl Hold {
    async fn take(storage: &Storage) -> Result<Self, ReplayError> {
        let hold = Self { by: format!("replay {}", Uuid::now_v7().simple()), renewed: Instant::now() };
        let backend = storage.writer.get_database_backend();
        // Where shards are locked, this waits until each is free.
        if !hold.set(storage, is_free(backend)).await? {
            hold.release(storage).await?;
            return Err(ReplayError::Held);
        }
        if backend != DatabaseBackend::Postgres && storage.outbox_sizes().await?.waiting > 0 {
            // A batch may be under way.
            sleep(DEADLINE).await;
        }
        Ok(hold)
    }

    /// Says it again, when it is time.
    async fn renew(&mut self, storage: &Storage) -> Result<(), ReplayError> {
        if self.renewed.elapsed() > RENEW {
            if !self.set(storage, HeldBy.eq(&self.by)).await? {
                return Err(ReplayError::Held);
            }
            self.renewed = Instant::now();
        }
        Ok(())
    }

    async fn release(&self, storage: &Storage) -> Result<(), QueryError> {
        let free = outbox_shard::Entity::update_many()
            .col_expr(HeldUntil, Expr::value(Option::<DateTimeUtc>::None))
            .col_expr(HeldBy, Expr::value(Option::<String>::None));
        free.filter(HeldBy.eq(&self.by)).exec(&storage.writer).await?;
        Ok(())
    }

    /// Holds these; returns whether these are all.
    async fn set(&self, storage: &Storage, these: Expr) -> Result<bool, QueryError> {
        let until = later(storage.writer.get_database_backend(), HOLD);
        let held = outbox_shard::Entity::update_many()
            .col_expr(HeldUntil, until)
            .col_expr(HeldBy, Expr::value(self.by.as_str()));
        Ok(held.filter(these).exec(&storage.writer).await?.rows_affected == u64::from(SHARDS.unsigned_abs()))
    }
}
