//! The loop: what is due, to whom, and what became of it.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tandem_actors::{Clock, Service, ServiceError};
use tandem_core::id::WebhookId;
use tandem_core::metric::{Counter, Gauge, Metrics};
use tandem_core::webhook::FAILING;
use tandem_storage::{Claimed, Outcome, QueryError, Storage, WebhookTarget};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use uuid::Uuid;

use super::config::WebhooksConfig;
use super::send::{Sender, Unsent};

/// How much longer than its request a claim holds.
const LEASE: Duration = Duration::from_secs(20);

/// How often old deliveries are removed, and all are counted.
const TIDY: Duration = Duration::from_secs(30);

/// Between two looks, however much there is to do.
const BREATH: Duration = Duration::from_millis(5);

/// See the module.
pub(crate) struct WebhookEngine {
    storage: Arc<Storage>,
    config: WebhooksConfig,
    sender: Arc<Sender>,
    clock: Clock,
    metrics: Arc<Metrics>,
}

impl WebhookEngine {
    /// # Errors
    /// The HTTP client cannot be made.
    pub(crate) fn new(
        storage: Arc<Storage>,
        config: WebhooksConfig,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Result<Self, reqwest::Error> {
        let sender = Arc::new(Sender::new(&config)?);
        Ok(Self { storage, config, sender, clock, metrics })
    }

    async fn deliver(self: Arc<Self>) -> Result<(), ServiceError> {
        let mut sending: JoinSet<WebhookId> = JoinSet::new();
        let mut busy: HashMap<WebhookId, usize> = HashMap::new();
        let mut tidy_at = Instant::now();
        loop {
            if tidy_at <= Instant::now() {
                self.tidy().await?;
                tidy_at = Instant::now() + TIDY;
            }
            self.clone().begin(&mut sending, &mut busy).await?;
            let _due = timeout(self.config.poll, async {
                match sending.join_next().await {
                    Some(done) => settled(&mut busy, done.ok()),
                    None => std::future::pending().await,
                }
            })
            .await;
            while let Some(done) = sending.try_join_next() {
                settled(&mut busy, done.ok());
            }
            // A task that died has not said whose it was.
            if sending.is_empty() {
                busy.clear();
            }
            sleep(BREATH).await;
        }
    }

    /// Sends what is due and there is room for.
    async fn begin(
        self: Arc<Self>,
        sending: &mut JoinSet<WebhookId>,
        busy: &mut HashMap<WebhookId, usize>,
    ) -> Result<(), QueryError> {
        let now = self.clock.now().wall;
        for target in self.storage.due_webhooks(now).await? {
            let at_once = if target.failures >= FAILING { 1 } else { self.config.per_endpoint };
            let used = busy.get(&target.id).copied().unwrap_or(0);
            let room = at_once.saturating_sub(used).min(self.config.parallel.saturating_sub(sending.len()));
            if room == 0 {
                continue;
            }
            let lease = self.config.timeout + LEASE;
            for claimed in self.storage.claim_deliveries(target.id, room as u64, now, lease).await? {
                *busy.entry(target.id).or_default() += 1;
                sending.spawn(self.clone().attempt(target.clone(), claimed));
            }
        }
        Ok(())
    }

    async fn attempt(self: Arc<Self>, target: WebhookTarget, claimed: Claimed) -> WebhookId {
        let (webhook_id, delivery_id) = (target.id, claimed.id);
        self.metrics.count(Counter::WebhookRequests);
        let sent = self.sender.send(&target, &claimed, self.clock.now().wall.0 / 1_000_000).await;
        let outcome = match sent {
            Ok(status) => Outcome::Delivered { status },
            Err(Unsent { status, error, gone }) => {
                self.metrics.count(Counter::WebhookRequestsFailed);
                let spread = f64::from(Uuid::new_v4().as_bytes().first().copied().unwrap_or(0)) / 255.0;
                let patience = self.config.patience();
                let next_at = patience.next(claimed.attempts, claimed.since, self.clock.now().wall, spread);
                if next_at.is_none() {
                    self.metrics.count(Counter::WebhookDeliveriesDead);
                    warn!(%webhook_id, %delivery_id, attempts = claimed.attempts, error, "event not delivered, given up");
                }
                if gone {
                    info!(%webhook_id, "webhook is gone, switched off");
                }
                Outcome::Failed { status, error, next_at, gone }
            }
        };
        let rest = |failures| self.config.patience().rest(failures, self.clock.now().wall);
        match self.storage.settle_delivery(webhook_id, &claimed, &outcome, rest).await {
            Ok(true) => {}
            Ok(false) => debug!(%webhook_id, %delivery_id, "somebody else has the delivery by now"),
            Err(error) => {
                warn!(%webhook_id, %delivery_id, error = &error as &dyn Error, "delivery not settled, it is repeated");
            }
        }
        webhook_id
    }

    async fn tidy(&self) -> Result<(), QueryError> {
        let now = self.clock.now().wall;
        let before = |age: Duration| tandem_core::time::WallTime(now.0 - i64::try_from(age.as_micros()).unwrap_or(0));
        self.storage.prune_deliveries(before(self.config.keep)).await?;
        let given_up = self.storage.give_up_deliveries(before(self.config.give_up)).await?;
        self.metrics.add(Counter::WebhookDeliveriesDead, given_up);
        let (pending, dead) = self.storage.count_deliveries().await?;
        self.metrics.set(Gauge::WebhookDeliveriesPending, i64::try_from(pending).unwrap_or(i64::MAX));
        self.metrics.set(Gauge::WebhookDeliveriesDead, i64::try_from(dead).unwrap_or(i64::MAX));
        Ok(())
    }
}

fn settled(busy: &mut HashMap<WebhookId, usize>, whose: Option<WebhookId>) {
    if let Some(count) = whose.and_then(|id| busy.get_mut(&id)) {
        *count = count.saturating_sub(1);
    }
    busy.retain(|_, count| *count > 0);
}

impl Service for WebhookEngine {
    fn name(&self) -> &str {
        "webhooks"
    }

    async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<(), ServiceError> {
        stop.run_until_cancelled(self.deliver()).await.unwrap_or(Ok(()))
    }
}

#[cfg(test)]
mod tests;
