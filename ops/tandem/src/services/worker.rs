//! A media worker as a service: a thread that is replaced when it panics or hangs, and given up when it does so too often.
//! The thread outlives the service: whoever comes after it watches over the same one.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use futures::FutureExt;
use futures::future::Shared;
use parking_lot::Mutex;
use tandem_actors::tree::{Kind, PartView};
use tandem_actors::{Clock, Service, ServiceError};
use tandem_core::restart::{Budget, Verdict};
use tandem_core::time::Timestamp;
use tandem_media::Pool;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

/// A worker turns at least twice a second. One that has not at this many looks in a row, half a second apart, hangs.
const PATIENCE: u8 = 4;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// Threads that one worker may use up in [`WINDOW`] beyond its first.
const RESTARTS: usize = 3;

/// See [`RESTARTS`].
const WINDOW: Duration = Duration::from_secs(60);

/// See the module.
pub(crate) struct MediaWorker {
    name: String,
    pool: Arc<Pool>,
    worker: usize,
    clock: Clock,
    thread: Mutex<Option<Thread>>,
    /// Its turns at the last look, and at how many looks in a row they were the same. Outlives the service as the thread
    /// does, or whoever breaks the one would give the other more time to hang.
    looks: Mutex<(Option<u64>, u8)>,
    budget: Mutex<Budget>,
    is_given_up: AtomicBool,
}

/// A thread that was begun.
#[derive(Clone)]
struct Thread {
    began: Timestamp,
    /// What it returned. A panic drops the sender.
    ended: Shared<oneshot::Receiver<Result<(), Arc<io::Error>>>>,
}

/// Why a thread ended that should not have.
#[derive(Debug, thiserror::Error)]
enum WorkerError {
    #[error("thread panicked")]
    Panicked,
    #[error("thread hangs")]
    Hung,
    #[error("thread cannot work")]
    Io(#[from] Arc<io::Error>),
}

impl MediaWorker {
    /// One for each worker of a pool.
    pub(crate) fn all(pool: &Arc<Pool>, clock: &Clock) -> impl Iterator<Item = Arc<Self>> {
        (0..pool.workers()).map(|worker| {
            Arc::new(Self {
                name: format!("media.{worker}"),
                pool: pool.clone(),
                worker,
                clock: clock.clone(),
                thread: Mutex::default(),
                looks: Mutex::default(),
                budget: Mutex::default(),
                is_given_up: AtomicBool::new(false),
            })
        })
    }

    /// Its thread, in group `group`, as the tree has it.
    pub(crate) fn view(&self, group: &str) -> PartView {
        let began = self.thread.lock().as_ref().map(|thread| thread.began);
        let age = began.map_or(Duration::ZERO, |began| self.clock.now().mono - began);
        let state = match began {
            Some(_) => "running",
            None if self.is_given_up.load(Relaxed) => "given up",
            None => "waiting",
        };
        let id = format!("worker.{}", self.worker);
        PartView {
            name: id.clone(),
            id,
            kind: Kind::Worker,
            parent: Some(format!("{group}/{}", self.name)),
            owner: None,
            state: state.to_owned(),
            age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
            restarts: u32::try_from(self.pool.threads(self.worker).unwrap_or(0).saturating_sub(1)).unwrap_or(u32::MAX),
            inbox: self.pool.waiting(self.worker),
        }
    }

    /// Watches over its thread until the pool is stopped.
    async fn work(&self, stop: &CancellationToken) -> Result<(), WorkerError> {
        let ended = self.thread()?.ended;
        let outcome = tokio::select! {
            outcome = ended.clone() => outcome.map_err(|_| WorkerError::Panicked).and_then(|it| Ok(it?)),
            () = self.hangs() => Err(WorkerError::Hung),
            () = stop.cancelled() => {
                self.pool.stop();
                ended.await.map_err(|_| WorkerError::Panicked).and_then(|it| Ok(it?))
            }
        };
        *self.thread.lock() = None;
        *self.looks.lock() = (None, 0);
        outcome
    }

    /// The thread that an earlier run has begun, or else another.
    fn thread(&self) -> Result<Thread, WorkerError> {
        let mut thread = self.thread.lock();
        if let Some(running) = &*thread {
            return Ok(running.clone());
        }
        let (done, ended) = oneshot::channel();
        let (pool, worker) = (self.pool.clone(), self.worker);
        let work = move || drop(done.send(pool.work(worker).map_err(Arc::new)));
        thread::Builder::new().name(self.name.clone()).spawn(work).map_err(Arc::new)?;
        Ok(thread.insert(Thread { began: self.clock.now().mono, ended: ended.shared() }).clone())
    }

    /// Returns when the thread has not turned for a while.
    async fn hangs(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            if self.look() >= PATIENCE {
                return;
            }
        }
    }

    /// At how many looks in a row, this one included, the thread has not turned.
    fn look(&self) -> u8 {
        let mut looks = self.looks.lock();
        let turns = self.pool.turns(self.worker);
        *looks = (turns, if looks.0 == turns { looks.1.saturating_add(1) } else { 0 });
        looks.1
    }

    /// Counts a failure, and gives the worker up when there were too many.
    fn charge(&self) {
        let verdict = self.budget.lock().charge(self.clock.now().mono, RESTARTS, WINDOW);
        if verdict == Verdict::GiveUp {
            error!(worker = self.worker, "media worker given up");
            self.is_given_up.store(true, Relaxed);
            self.pool.give_up(self.worker);
        }
    }
}

impl Service for MediaWorker {
    fn name(&self) -> &str {
        &self.name
    }

    async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<(), ServiceError> {
        // At once: a back-off would be heard.
        while !self.is_given_up.load(Relaxed) {
            let Err(error) = self.work(&stop).await else { return Ok(()) };
            warn!(worker = self.worker, error = &error as &dyn std::error::Error, "media worker broke");
            self.charge();
        }
        stop.cancelled().await;
        Ok(())
    }
}
