//! From the outbox to the bus: in order, at least once, and into a stream once.
//!
//! ```text
//!  without NATS   outbox ──▶ bus inside the process
//!  with NATS      outbox shard 0…15 ──lock its row──▶ read 500 ──▶ publish, all acknowledged ──▶ delete, unlock
//! ```
//! A relay takes the shard that waited longest and that no other relay has. On PostgreSQL it holds the lock of the
//! shard's row meanwhile, so that one that dies lets go of it with its connection; SQLite has one relay.
//!
//! # Invariants
//! * One batch of a shard is under way at a time, whichever node it is on: a call's events stay in their order.
//! * A row goes when its event is acknowledged; an event that is published again is known by its id, or, when the
//!   stream may have forgotten that ([`BusConfig::duplicate_window`](crate::BusConfig)), is looked for first.
//! * No commit and no call waits for the bus.

mod publish;
mod shard;

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use futures::future::join_all;
use parking_lot::Mutex;
use sea_orm::entity::prelude::*;
use sea_orm::{DatabaseBackend, DbErr, JoinType, QueryOrder, QuerySelect, TransactionTrait};
use tandem_core::metric::{Counter, Gauge};
use tokio::time::{sleep, timeout};

use crate::bus::{BusError, Nats, PublishedEvent};
use crate::database::Storage;
use crate::entity::{event, outbox};
use crate::ledger::Ledger;
use crate::outbox::SHARDS;
use crate::time::{Waits, now};

pub(crate) use publish::{Ask, DEADLINE, Outcome, Row, publish, traceparent};
pub(crate) use shard::is_free;

/// Rows that are published at a time inside the process.
const LOCAL_BATCH: u64 = 1_000;
/// Relays of a node that work at the same time, where shards can be locked.
pub(crate) const RELAYS: u32 = 4;
/// Between two looks for rows that nobody told of: those of other nodes.
const LOOK: Duration = Duration::from_secs(1);
/// Between two looks at how much there is.
const MEASURE: Duration = Duration::from_secs(5);

/// How long a turn may take, with all that is asked of the database: a server that vanished says nothing for ever.
const TURN: Duration = Duration::from_secs(60);

/// What the relays of a process know.
#[derive(Debug, Default)]
pub(crate) struct Certain {
    /// Of each shard whether all that was ever sent there was acknowledged.
    shards: Mutex<[bool; SHARDS as usize]>,
    /// The bus was found in order, and complaints of before were withdrawn.
    bus: AtomicBool,
}

/// Why a batch is still in the outbox.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RelayError {
    #[error("database")]
    Database(#[from] DbErr),
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error("not published: {0}")]
    NotPublished(String),
    #[error("no answer in time")]
    Late,
    #[error(
        "other nodes of this database publish to NATS, and this one has no `bus.nats_url`: its events are left to them"
    )]
    NotOurs,
}

impl Ledger {
    /// Publishes what was stored, and with NATS all else that goes out or comes in there. Never returns; drop it to
    /// stop.
    pub async fn relay_loop(&self) {
        let Some(nats) = self.bus.nats() else { return self.local_loop().await };
        let is_shared = self.storage.writer.get_database_backend() == DatabaseBackend::Postgres;
        let certain = Certain::default();
        let relays = (0..if is_shared { RELAYS } else { 1 }).map(|_| self.shard_loop(nats, &certain));
        tokio::join!(
            join_all(relays),
            self.bus.live_loop(),
            self.bus.state_loop(&self.storage, &self.journal),
            self.measure_loop()
        );
    }

    async fn shard_loop(&self, nats: &Nats, certain: &Certain) {
        let mut waits = Waits::new();
        loop {
            match timeout(TURN, self.relay_shard(nats, certain)).await.unwrap_or(Err(RelayError::Late)) {
                // There may be more, and others who wait.
                Ok(true) => self.stored.notify_one(),
                Ok(false) => drop(timeout(LOOK, self.stored.notified()).await),
                Err(error) => {
                    self.storage.metrics.count(Counter::PublishFailures);
                    let wait = waits.after_failure();
                    tracing::error!(error = &error as &dyn Error, wait_ms = wait.as_millis(), "outbox is not relayed");
                    sleep(wait).await;
                }
            }
        }
    }

    /// Publishes a batch of whichever shard can be had. Returns whether there was one.
    async fn relay_shard(&self, nats: &Nats, certain: &Certain) -> Result<bool, RelayError> {
        if let Err(error) = nats.ready(&self.storage).await {
            certain.bus.store(false, Relaxed);
            shard::failed(&self.storage.relay, None, &told(&error)).await?;
            return Err(error.into());
        }
        if !certain.bus.swap(true, Relaxed) {
            shard::recovered(&self.storage.relay).await?;
        }
        let locking = self.storage.writer.get_database_backend() == DatabaseBackend::Postgres;
        let (shard, outcome, done) = if locking {
            let lock = self.storage.relay.begin().await?;
            let Some(shard) = shard::take(&lock).await? else { return Ok(false) };
            let (outcome, done) = certain.publish(&self.storage, nats, shard, shard::rows(&lock, shard).await?).await;
            shard::settle(&lock, shard, &outcome).await?;
            lock.commit().await?;
            (shard, outcome, done)
        } else {
            let Some(shard) = shard::take(&self.storage.reader).await? else { return Ok(false) };
            let (outcome, done) =
                certain.publish(&self.storage, nats, shard, shard::rows(&self.storage.reader, shard).await?).await;
            let transaction = self.storage.relay.begin().await?;
            shard::settle(&transaction, shard, &outcome).await?;
            transaction.commit().await?;
            (shard, outcome, done)
        };
        // Only now: rows that were published and are still there may be published again.
        certain.set(shard, done);
        self.storage.metrics.add(Counter::FactsPublished, outcome.published.len() as u64);
        self.storage.metrics.add(Counter::EventsRefused, outcome.refused.len() as u64);
        for (row, why) in &outcome.refused {
            tracing::error!(row, why, "the bus refuses an event");
        }
        match outcome.failure {
            Some(why) => Err(RelayError::NotPublished(why)),
            None => Ok(true),
        }
    }

    /// Tells how much there is, for the metrics.
    async fn measure_loop(&self) {
        loop {
            if let Ok(Ok(sizes)) = timeout(TURN, self.storage.outbox_sizes()).await {
                let oldest = sizes.oldest.map_or(Duration::ZERO, |it| now() - it);
                let metrics = &self.storage.metrics;
                metrics.set(Gauge::OutboxDepth, sizes.waiting);
                metrics.set(Gauge::OutboxOldestSeconds, i64::try_from(oldest.as_secs()).unwrap_or(i64::MAX));
                metrics.set(Gauge::OutboxRefused, sizes.refused);
            }
            sleep(MEASURE).await;
        }
    }

    async fn local_loop(&self) {
        let mut waits = Waits::new();
        loop {
            match timeout(TURN, self.relay_locally()).await.unwrap_or(Err(RelayError::Late)) {
                Ok(0) => self.stored.notified().await,
                Ok(_) => {}
                Err(error) => {
                    let wait = waits.after_failure();
                    tracing::error!(error = &error as &dyn Error, wait_ms = wait.as_millis(), "outbox is not relayed");
                    sleep(wait).await;
                }
            }
        }
    }

    /// Publishes one batch inside the process and takes it out of the outbox. Returns how many rows it had.
    async fn relay_locally(&self) -> Result<usize, RelayError> {
        let is_shared = self.storage.writer.get_database_backend() == DatabaseBackend::Postgres;
        if is_shared && shard::is_for_nats(&self.storage.reader).await? {
            return Err(RelayError::NotOurs);
        }
        let mut published = self.published.lock().await;
        let rows: Vec<(i64, String, String)> = outbox::Entity::find()
            .select_only()
            .column(outbox::Column::Id)
            .columns([event::Column::Subject, event::Column::Payload])
            .join(JoinType::InnerJoin, to_event())
            .order_by_asc(outbox::Column::Id)
            .limit(LOCAL_BATCH)
            .into_tuple()
            .all(&self.storage.reader)
            .await?;
        let ids: Vec<i64> = rows.iter().map(|(id, ..)| *id).collect();
        if ids.is_empty() {
            return Ok(0);
        }
        for (id, subject, payload) in rows {
            // Published before, and not taken out because the loop was dropped in between.
            if !published.contains(&id) {
                self.storage.published(&subject);
                self.bus.send(PublishedEvent { subject, payload });
                self.storage.metrics.count(Counter::FactsPublished);
                published.insert(id);
            }
        }
        let relayed = ids.len();
        outbox::Entity::delete_many().filter(outbox::Column::Id.is_in(ids)).exec(&self.storage.writer).await?;
        published.clear();
        Ok(relayed)
    }
}

impl Certain {
    /// Publishes a batch; looks first what the stream has of it, if anything of it may have been sent before. Returns
    /// also whether all of it went well.
    async fn publish(&self, storage: &Storage, nats: &Nats, shard: i16, rows: Vec<Row>) -> (Outcome, bool) {
        let oldest = rows.iter().map(|row| row.created_at).min().unwrap_or_default();
        // Another relay may have had it: half a window is left for clocks and for the publishing itself.
        let is_old = now() - oldest.into() >= nats.config.duplicate_window / 2;
        let compare = is_old || !self.shards.lock().get(usize::from(shard.unsigned_abs())).is_some_and(|it| *it);
        self.set(shard, false);
        let records: Vec<(i64, String)> =
            rows.iter().filter(|row| row.subject.contains(".cdr.")).map(|row| (row.id, row.subject.clone())).collect();
        let outcome = publish(nats, rows, if compare { Ask::Known } else { Ask::Nothing }).await;
        let is_told = |(id, _): &&(i64, String)| outcome.published.contains(id);
        records.iter().filter(is_told).for_each(|(_, subject)| storage.published(subject));
        let done = outcome.failure.is_none();
        (outcome, done)
    }

    fn set(&self, shard: i16, certain: bool) {
        if let Some(it) = self.shards.lock().get_mut(usize::from(shard.unsigned_abs())) {
            *it = certain;
        }
    }
}

/// Every row of the outbox has its event.
pub(crate) fn to_event() -> RelationDef {
    use {event::Column as Event, outbox::Column as Outbox};
    outbox::Entity::belongs_to(event::Entity)
        .from((Outbox::Aggregate, Outbox::Seq))
        .to((Event::Aggregate, Event::Seq))
        .into()
}

/// An error with its causes, in one line.
fn told(error: &dyn Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
