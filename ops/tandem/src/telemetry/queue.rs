//! What waits for the collector, bounded: nobody waits for it, and what has no room is counted.
//!
//! ```text
//!  offer ─▶ ┌ queue ┐ ── batches ──▶ export, with a deadline ── failed: 1 s, 2 s, 4 s later again, then dropped
//!  full: dropped, counted
//! ```
//!
//! # Invariants
//! * Every item that was offered is exported or counted in `tandem_otlp_dropped_total`, but for those that a collector
//!   took without saying so.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_sdk::error::OTelSdkResult;
use tandem_core::metric::{Fill, Metrics, Queue, Queues, Signal};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Most items in one request.
const BATCH: usize = 512;

/// How long items are gathered that are fewer.
const GATHER: Duration = Duration::from_millis(200);

/// How long one request may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// How often a batch is tried.
const TRIES: u32 = 4;

/// Before it is tried for the second time; doubles each time.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Waiting<T> {
    sender: Sender<T>,
    signal: Signal,
    metrics: Arc<Metrics>,
}

/// The other end.
pub(super) struct Outlet<T> {
    receiver: Receiver<T>,
    signal: Signal,
    metrics: Arc<Metrics>,
    is_away: bool,
}

/// For `capacity` items.
pub(super) fn queue<T: Send + 'static>(
    signal: Signal,
    capacity: usize,
    metrics: &Arc<Metrics>,
) -> (Arc<Waiting<T>>, Outlet<T>) {
    let (sender, receiver) = mpsc::channel(capacity);
    let waiting = Arc::new(Waiting { sender, signal, metrics: metrics.clone() });
    let owner = Arc::downgrade(&waiting);
    metrics.watch(owner);
    (waiting, Outlet { receiver, signal, metrics: metrics.clone(), is_away: false })
}

impl<T> Waiting<T> {
    /// Takes an item, or counts it.
    pub(super) fn offer(&self, item: T) {
        if self.sender.try_send(item).is_err() {
            self.metrics.otlp_dropped(self.signal, 1);
        }
    }
}

impl<T> fmt::Debug for Waiting<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Waiting({})", self.signal.name())
    }
}

impl<T: Send + 'static> Queues for Waiting<T> {
    fn queues(&self) -> Vec<(Queue, Fill)> {
        let capacity = self.sender.max_capacity();
        let queue = match self.signal {
            Signal::Traces => Queue::OtlpSpans,
            Signal::Logs | Signal::Metrics => Queue::OtlpLogs,
        };
        vec![(queue, Fill { depth: capacity - self.sender.capacity(), capacity })]
    }
}

impl<T: Clone> Outlet<T> {
    /// Exports until it is stopped, and then once what is left.
    pub(super) async fn export<F>(mut self, stop: CancellationToken, export: impl Fn(Vec<T>) -> F)
    where
        F: Future<Output = OTelSdkResult>,
    {
        while let Some(batch) = stop.run_until_cancelled(self.next()).await {
            if batch.is_empty() {
                return;
            }
            self.send(batch, &stop, &export).await;
        }
        self.receiver.close();
        loop {
            let mut batch = Vec::new();
            if self.receiver.recv_many(&mut batch, BATCH).await == 0 {
                return;
            }
            self.send(batch, &stop, &export).await;
        }
    }

    /// Empty when nobody is left to offer anything. May be dropped while it waits: then nothing was taken.
    async fn next(&mut self) -> Vec<T> {
        if self.receiver.len() < BATCH {
            sleep(GATHER).await;
        }
        let mut batch = Vec::new();
        self.receiver.recv_many(&mut batch, BATCH).await;
        batch
    }

    /// When it stops, a batch is tried once.
    async fn send<F>(&mut self, batch: Vec<T>, stop: &CancellationToken, export: &impl Fn(Vec<T>) -> F)
    where
        F: Future<Output = OTelSdkResult>,
    {
        let (count, signal) = (batch.len() as u64, self.signal.name());
        let mut wait = FIRST_WAIT;
        for _ in 0..TRIES {
            let why = match timeout(DEADLINE, export(batch.clone())).await {
                Ok(Ok(())) => {
                    self.metrics.otlp_exported(self.signal, count);
                    if std::mem::take(&mut self.is_away) {
                        info!(signal, "the collector takes telemetry again");
                    }
                    return;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => String::from("no answer in time"),
            };
            if !std::mem::replace(&mut self.is_away, true) {
                warn!(
                    signal,
                    why, "the collector does not take telemetry; calls go on, and what is dropped is counted"
                );
            }
            if stop.run_until_cancelled(sleep(wait)).await.is_none() {
                break;
            }
            wait *= 2;
        }
        self.metrics.otlp_dropped(self.signal, count);
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_sdk::error::OTelSdkError;
    use parking_lot::Mutex;

    use super::*;

    /// Runs an outlet until its queue is empty.
    async fn run(
        offered: u32,
        capacity: usize,
        answer: impl Fn(usize) -> Option<OTelSdkResult>,
    ) -> (Vec<u32>, Arc<Metrics>) {
        let metrics = Arc::new(Metrics::default());
        let (waiting, outlet) = queue(Signal::Traces, capacity, &metrics);
        (0..offered).for_each(|n| waiting.offer(n));
        let (taken, tried) = (Mutex::new(Vec::new()), Mutex::new(0));
        let export = |batch: Vec<u32>| {
            let answer = answer(*tried.lock());
            *tried.lock() += 1;
            if let Some(Ok(())) = answer {
                taken.lock().extend(batch);
            }
            async move {
                match answer {
                    Some(answer) => answer,
                    None => std::future::pending().await,
                }
            }
        };
        let (stop, is_done) = (CancellationToken::new(), || {
            let done = metrics.otlp(Signal::Traces);
            done.0 + done.1 == u64::from(offered)
        });
        let watched = async {
            while !is_done() {
                sleep(Duration::from_millis(100)).await;
            }
            stop.cancel();
        };
        tokio::join!(outlet.export(stop.clone(), export), watched);
        (taken.into_inner(), metrics)
    }

    #[tokio::test(start_paused = true)]
    async fn what_there_is_no_room_for_is_counted_and_the_rest_arrives_in_order() {
        let (taken, metrics) = run(1_500, 1_000, |_| Some(Ok(()))).await;
        assert_eq!(taken, (0..1_000).collect::<Vec<_>>());
        assert_eq!(metrics.otlp(Signal::Traces), (1_000, 500));
    }

    #[tokio::test(start_paused = true)]
    async fn a_collector_that_refuses_or_hangs_for_a_while_loses_nothing() {
        let refused = || Some(Err(OTelSdkError::InternalFailure(String::from("no"))));
        let (taken, metrics) = run(10, 1_000, |nth| match nth {
            0 => refused(),
            1 => None,
            _ => Some(Ok(())),
        })
        .await;
        assert_eq!((taken.len(), metrics.otlp(Signal::Traces)), (10, (10, 0)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_collector_that_is_gone_costs_what_was_meant_for_it_and_nothing_else() {
        let (taken, metrics) = run(600, 1_000, |_| None).await;
        assert_eq!((taken.len(), metrics.otlp(Signal::Traces)), (0, (0, 600)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_when_the_node_stops_is_sent_once() {
        let metrics = Arc::new(Metrics::default());
        let (waiting, outlet) = queue(Signal::Logs, 1_000, &metrics);
        (0..700).for_each(|n| waiting.offer(n));
        let stop = CancellationToken::new();
        stop.cancel();
        outlet.export(stop, |_: Vec<u32>| async { Ok(()) }).await;
        assert_eq!(metrics.otlp(Signal::Logs), (700, 0));
        waiting.offer(1);
        assert_eq!(metrics.otlp(Signal::Logs), (700, 1), "nobody takes it any more");
    }
}
