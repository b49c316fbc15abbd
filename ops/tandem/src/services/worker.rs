//! A media worker as a service: a thread that is replaced when it panics or hangs, and given up when it does so too often.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use tandem_actors::{Clock, Service, ServiceError};
use tandem_core::restart::{Budget, Verdict};
use tandem_media::Pool;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

/// A worker turns at least twice a second. One that has not for this long hangs.
const PATIENCE: Duration = Duration::from_secs(2);

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
    budget: Mutex<Budget>,
    is_given_up: AtomicBool,
}

/// Why a thread ended that should not have.
#[derive(Debug, thiserror::Error)]
enum WorkerError {
    #[error("thread panicked")]
    Panicked,
    #[error("thread hangs")]
    Hung,
    #[error("thread cannot work")]
    Io(#[from] io::Error),
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
                budget: Mutex::default(),
                is_given_up: AtomicBool::new(false),
            })
        })
    }

    /// Works on a thread of its own until the pool is stopped.
    async fn work(&self, stop: &CancellationToken) -> Result<(), WorkerError> {
        let (done, mut ended) = oneshot::channel();
        let (pool, worker) = (self.pool.clone(), self.worker);
        // A panic drops the sender. If nobody waits any more, the supervisor has replaced us.
        thread::Builder::new().name(self.name.clone()).spawn(move || drop(done.send(pool.work(worker))))?;
        tokio::select! {
            outcome = &mut ended => return outcome.map_err(|_| WorkerError::Panicked)?.map_err(Into::into),
            () = self.hangs() => return Err(WorkerError::Hung),
            () = stop.cancelled() => self.pool.stop(),
        }
        ended.await.map_err(|_| WorkerError::Panicked)?.map_err(Into::into)
    }

    /// Returns when the thread has not turned for a while.
    async fn hangs(&self) {
        let mut turns = self.pool.turns(self.worker);
        loop {
            tokio::time::sleep(PATIENCE).await;
            let now = self.pool.turns(self.worker);
            if now == turns {
                return;
            }
            turns = now;
        }
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
