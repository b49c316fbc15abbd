//! The way of a fact into the database: committed to the journal, then carried over in batches by one writer.
//!
//! ```text
//!  commit, bind ──▶ journal ──store_batch──▶ transaction ──▶ release ──▶ (relay)
//!                      ▲                          └── failed: kept, tried again after 100 ms … 5 s
//! ```

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tandem_core::event::Fact;
use tandem_core::location::BindingChange;
use tandem_core::metric::{Counter, Fill, Histogram, Queue, Queues};
use tandem_core::ports::LedgerPort;
use tandem_core::trace::Place;
use tokio::sync::{Mutex, Notify};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout_at};

use crate::batch::{self, BatchError, Known};
use crate::bus::Bus;
use crate::database::Storage;
use crate::heartbeat::Heartbeat;
use crate::journal::{EntryRef, Journal, JournalError, Position};
use crate::time::Waits;

/// Between two heartbeats, and two tries to write what the disk did not take.
const BEAT: Duration = Duration::from_secs(1);

/// The one writer. All its state is here, so the loops may be dropped at any await and begun again.
#[derive(Debug)]
pub struct Ledger {
    pub(crate) storage: Arc<Storage>,
    pub(crate) bus: Arc<Bus>,
    pub(crate) heartbeat: Heartbeat,
    journal: Journal,
    /// Locked by whoever writes: a loop that was killed may still be in its last step.
    writer: Mutex<Writer>,
    /// There may be something to publish.
    pub(crate) stored: Notify,
    /// Id of the last outbox row that was published. Locked by whoever publishes.
    pub(crate) published: Mutex<i64>,
}

#[derive(Debug, Default)]
struct Writer {
    position: Position,
    known: Known,
}

/// Why a batch is still in the journal.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("journal cannot be read")]
    Journal(#[from] std::io::Error),
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
    /// [`JournalError`]: another process has it, or the folder is unusable.
    pub fn open(storage: Arc<Storage>, bus: Arc<Bus>) -> Result<Arc<Self>, JournalError> {
        let journal = Journal::open(&storage.config, storage.metrics.clone())?;
        let folder: PathBuf = storage.config.journal_dir();
        let heartbeat = Heartbeat::open(&folder).map_err(|source| JournalError::Io { folder, source })?;
        let metrics = storage.metrics.clone();
        let ledger = Arc::new(Self {
            storage,
            bus,
            heartbeat,
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
            let began = Instant::now();
            let stored = batch::store(&self.storage.writer, &writer.known, &batch.entries).await?;
            self.storage.metrics.took(Histogram::LedgerCommit, began.elapsed());
            self.storage.metrics.add(Counter::FactsStored, stored.new_facts);
            let closed = stored.calls.iter().filter(|(_, call)| call.is_closed());
            closed.for_each(|(call, _)| self.storage.settled(*call, Place::Database));
            writer.remember(stored.calls);
            self.stored.notify_one();
        }
        writer.position = batch.next;
        self.journal.release(batch.next, batch.frames);
        Ok(batch.frames)
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
        let mut waits = Waits::new();
        loop {
            match self.store_batch().await {
                Ok(entries) => {
                    if entries < config.batch {
                        if entries == 0 {
                            self.journal.arrived().await;
                        }
                        sleep(config.batch_delay).await;
                    }
                }
                Err(error) => {
                    self.storage.metrics.count(Counter::LedgerRetries);
                    let wait = waits.after_failure();
                    tracing::error!(error = &error as &dyn Error, wait_ms = wait.as_millis(), "batch not stored, kept");
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
