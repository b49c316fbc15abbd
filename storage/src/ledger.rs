//! The way of a fact into the database: committed to the journal, then carried over in batches by one writer.
//!
//! ```text
//!  commit, bind ──▶ journal ──store_batch──▶ transaction ──▶ release ──▶ (relay)
//!                      ▲                          ├── failed: kept, tried again after 100 ms … 5 s
//!                      │                          └── refused for what is in it: halves, down to the one entry
//!                      │                              that is to blame ──▶ journal/poisoned, alarm
//! ```
//!
//! # Invariants
//! * An entry leaves the journal when the database has it, or else `journal/poisoned` has, unless that is full.
//! * No entry that the database refuses keeps another one from it.

use std::collections::HashSet;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tandem_core::audit::AuditEvent;
use tandem_core::event::Fact;
use tandem_core::id::NodeId;
use tandem_core::location::BindingChange;
use tandem_core::metric::{Counter, Fill, Histogram, Queue, Queues};
use tandem_core::ports::LedgerPort;
use tandem_core::trace::Place;
use tokio::sync::{Mutex, Notify};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout, timeout_at};

use crate::batch::{self, BatchError, Known};
use crate::bus::Bus;
use crate::database::Storage;
use crate::heartbeat::Heartbeat;
use crate::journal::{Entry, EntryRef, Journal, JournalError, Position};
use crate::node::node_id;
use crate::time::Waits;

/// Between two heartbeats, and two tries to write what the disk did not take.
const BEAT: Duration = Duration::from_secs(1);

/// The one writer. All its state is here, so the loops may be dropped at any await and begun again.
#[derive(Debug)]
pub struct Ledger {
    pub(crate) storage: Arc<Storage>,
    pub(crate) bus: Arc<Bus>,
    pub(crate) heartbeat: Heartbeat,
    /// Whose registrations it keeps.
    node: NodeId,
    pub(crate) journal: Journal,
    /// Locked by whoever writes: a loop that was killed may still be in its last step.
    writer: Mutex<Writer>,
    /// There may be something to publish.
    pub(crate) stored: Notify,
    /// Rows that were published and are still in the outbox. Locked by whoever publishes.
    pub(crate) published: Mutex<HashSet<i64>>,
}

#[derive(Debug, Default)]
struct Writer {
    position: Position,
    known: Known,
}

/// Why a batch is still in the journal.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("journal cannot be read, or not be written aside")]
    Journal(#[from] std::io::Error),
    #[error("database does not answer")]
    Late(#[from] Elapsed),
    #[error(transparent)]
    Batch(#[from] BatchError),
}

/// Not all of the journal is in the database. It stays on disk, and is replayed at the next start.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{left} journal entries are not in the database yet")]
pub struct FlushError {
    /// How many are left.
    pub left: usize,
}

impl Ledger {
    /// Opens the journal beside the database, for the one process that is the node. Then [`recover`](Self::recover),
    /// then the loops.
    ///
    /// # Errors
    /// [`JournalError`]: another process has it, the folder is unusable, or the node does not know who it is.
    pub fn open(storage: Arc<Storage>, bus: Arc<Bus>) -> Result<Arc<Self>, JournalError> {
        let node = node_id(&storage.config.data_dir)?;
        let journal = Journal::open(&storage.config, storage.metrics.clone())?;
        let folder: PathBuf = storage.config.journal_dir();
        let heartbeat = Heartbeat::open(&folder).map_err(|source| JournalError::Io { folder, source })?;
        let metrics = storage.metrics.clone();
        let ledger = Arc::new(Self {
            storage,
            bus,
            heartbeat,
            node,
            journal,
            writer: Mutex::default(),
            stored: Notify::new(),
            published: Mutex::default(),
        });
        let owner = Arc::downgrade(&ledger);
        metrics.watch(owner);
        Ok(ledger)
    }

    /// Carries the journal into the database, and keeps the heartbeat. Never returns; drop it to stop.
    pub async fn write_loop(&self) {
        tokio::join!(self.beat_loop(), self.store_loop());
    }

    /// Waits until the journal is in the database; stores it itself if no loop does.
    ///
    /// # Errors
    /// [`FlushError`] when that is not done within `limit`.
    pub async fn flush(&self, limit: Duration) -> Result<(), FlushError> {
        let deadline = Instant::now() + limit;
        let mut waits = Waits::new();
        while self.journal.backlog() > 0 {
            self.journal.retry();
            let is_over = match timeout_at(deadline, self.store_batch()).await {
                Err(_) => true,
                // Either the database fails, or what is left waits for the disk.
                Ok(Err(_) | Ok(0)) => timeout_at(deadline, sleep(waits.after_failure())).await.is_err(),
                Ok(Ok(_)) => false,
            };
            if is_over {
                return Err(FlushError { left: self.journal.backlog() });
            }
        }
        Ok(())
    }

    /// `false` while the disk takes nothing: facts wait in memory, and no new call should be let in.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.journal.is_writable()
    }

    /// Stores one batch. Returns how many entries the journal had for it.
    pub(crate) async fn store_batch(&self) -> Result<usize, StoreError> {
        let mut writer = self.writer.lock().await;
        let batch = self.journal.read(writer.position, self.storage.config.batch)?;
        if !batch.entries.is_empty() {
            self.store_entries(&mut writer, &batch.entries).await?;
            self.stored.notify_one();
        }
        writer.position = batch.next;
        self.journal.release(batch.next, batch.frames);
        Ok(batch.frames)
    }

    /// Stores some entries, in one transaction unless the database refuses what is in one of them.
    async fn store_entries(&self, writer: &mut Writer, entries: &[Entry]) -> Result<(), StoreError> {
        let config = &self.storage.config;
        // Both ends have deadlines; this one is for a server that vanished without a word.
        let limit = config.acquire_timeout + config.statement_timeout;
        let mut parts = vec![entries];
        while let Some(part) = parts.pop() {
            let began = Instant::now();
            let storing = batch::store(&self.storage.writer, &writer.known, self.node, part);
            match (timeout(limit, storing).await?, part) {
                (Ok(stored), _) => {
                    self.storage.metrics.took(Histogram::LedgerCommit, began.elapsed());
                    let closed = stored.calls.iter().filter(|(_, call)| call.is_closed());
                    closed.for_each(|(call, _)| self.storage.settled(*call, Place::Database));
                    self.storage.metrics.add(Counter::FactsStored, stored.new_facts);
                    writer.remember(stored.calls);
                }
                (Err(error), [poison]) if error.is_refusal() => {
                    if !self.journal.set_aside(poison, &error)? {
                        self.storage.metrics.count(Counter::FactsPoisonedLost);
                    }
                    self.storage.metrics.count(Counter::FactsPoisoned);
                }
                (Err(error), _) if error.is_refusal() => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
                (Err(error), _) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn beat_loop(&self) {
        let mut ticks = interval(BEAT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.heartbeat.beat();
            self.journal.retry();
        }
    }

    async fn store_loop(&self) {
        let config = &self.storage.config;
        let (mut waits, mut is_away) = (Waits::new(), false);
        loop {
            match self.store_batch().await {
                Ok(entries) => {
                    if std::mem::take(&mut is_away) {
                        tracing::info!(backlog = self.journal.backlog(), "database takes facts again");
                    }
                    if entries < config.batch {
                        if entries == 0 {
                            self.journal.arrived().await;
                        }
                        sleep(config.batch_delay).await;
                    }
                }
                Err(error) => {
                    self.storage.metrics.count(Counter::LedgerRetries);
                    is_away = true;
                    let (wait, backlog) = (waits.after_failure(), self.journal.backlog());
                    let wait_ms = wait.as_millis();
                    tracing::error!(error = &error as &dyn Error, backlog, wait_ms, "batch not stored, kept for later");
                    sleep(wait).await;
                }
            }
        }
    }
}

impl Queues for Ledger {
    fn queues(&self) -> Vec<(Queue, Fill)> {
        vec![
            (Queue::JournalBytes, self.journal.waiting()),
            (Queue::BusEvents, self.bus.behind()),
            (Queue::SignIns, self.storage.passwords.busy()),
            (Queue::DatabaseConnections, self.storage.connections()),
        ]
    }
}

impl LedgerPort for Ledger {
    fn commit(&self, fact: &Fact) {
        self.journal.append(EntryRef::Fact(fact));
        self.storage.metrics.count(Counter::FactsCommitted);
    }

    fn bind(&self, change: &BindingChange) {
        self.journal.append(EntryRef::Binding(change));
        self.bus.bound(change);
    }

    fn audit(&self, event: &AuditEvent) {
        self.journal.append(EntryRef::Audit(event));
        self.storage.metrics.count(Counter::FactsCommitted);
    }
}

impl Writer {
    /// What was stored is what is known of calls that go on.
    fn remember(&mut self, calls: Known) {
        for (id, mut call) in calls {
            if call.is_closed() {
                self.known.remove(&id);
            } else {
                call.settle();
                self.known.insert(id, call);
            }
        }
    }
}
