//! Live events to and from NATS: worth something now, so dropped and counted when they cannot go now.

use std::error::Error;
use std::sync::Arc;

use async_nats::connection::State;
use futures::StreamExt as _;
use tandem_core::metric::{Counter, Metrics};
use tokio::sync::{Mutex, mpsc};
use tokio::time::sleep;

use super::nats::Nats;
use super::{Bus, PublishedEvent};
use crate::time::Waits;

/// Live events that wait for the connection; more are dropped.
const WAITING: usize = 4_096;
/// What nodes tell each other of identities: tokens revoked, users gone.
const IDENTITY: &str = "tandem.v1.*.live.identity.>";

/// Live events on their way out.
#[derive(Debug)]
pub(super) struct Live {
    waiting: mpsc::Sender<Arc<PublishedEvent>>,
    /// Locked by whoever sends; a loop that was dropped left the rest here.
    queue: Mutex<mpsc::Receiver<Arc<PublishedEvent>>>,
}

impl Live {
    pub(super) fn new() -> Self {
        let (waiting, queue) = mpsc::channel(WAITING);
        Self { waiting, queue: Mutex::new(queue) }
    }

    /// `false` when it was dropped.
    pub(super) fn push(&self, event: Arc<PublishedEvent>) -> bool {
        self.waiting.try_send(event).is_ok()
    }

    /// Sends what was pushed. Never returns.
    pub(super) async fn send_loop(&self, nats: &Nats, metrics: &Metrics) {
        let mut queue = self.queue.lock().await;
        while let Some(event) = queue.recv().await {
            let is_up = nats.client.connection_state() == State::Connected;
            let payload = event.payload.clone().into_bytes();
            // Waits while the socket takes nothing; then the queue fills, and what comes is dropped there.
            if !is_up || nats.client.publish(event.subject.clone(), payload.into()).await.is_err() {
                metrics.count(Counter::LiveDropped);
            }
        }
    }
}

/// Puts what other nodes say of identities onto the bus of this one. Never returns.
pub(super) async fn receive_loop(nats: &Nats, bus: &Bus) {
    let mut waits = Waits::new();
    loop {
        match nats.client.subscribe(IDENTITY).await {
            Ok(mut messages) => {
                while let Some(message) = messages.next().await {
                    let Ok(payload) = String::from_utf8(message.payload.into()) else { continue };
                    bus.send(PublishedEvent { subject: message.subject.to_string(), payload });
                }
            }
            Err(error) => tracing::error!(error = &error as &dyn Error, "other nodes are not heard"),
        }
        sleep(waits.after_failure()).await;
    }
}
