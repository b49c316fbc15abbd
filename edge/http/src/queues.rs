//! How full the server is, for the node's metrics.

use std::sync::Arc;

use tandem_core::metric::{Fill, Gauge, Metrics, Queue, Queues};
use tokio::sync::Semaphore;

use crate::api::Api;
use crate::clients::Clients;
use crate::config::Config;

/// Connections, event streams and what waits for their readers. Asked for as long as the server runs.
pub(crate) struct Fullness {
    permits: Arc<Semaphore>,
    connections: usize,
    streams: usize,
    clients: Arc<Clients>,
    metrics: Arc<Metrics>,
}

impl Fullness {
    /// `permits`: one for each connection that may still come.
    pub(crate) fn watched(api: &Api, config: &Config, permits: Arc<Semaphore>) -> Arc<Self> {
        let (connections, streams) = (config.connections, config.streams);
        let this = Self { permits, connections, streams, clients: api.clients.clone(), metrics: api.metrics.clone() };
        let (this, metrics) = (Arc::new(this), api.metrics.clone());
        let owner = Arc::downgrade(&this);
        metrics.watch(owner);
        this
    }
}

impl Queues for Fullness {
    fn queues(&self) -> Vec<(Queue, Fill)> {
        let free = self.permits.available_permits().min(self.connections);
        let streams = usize::try_from(self.metrics.gauge(Gauge::ClientsConnected)).unwrap_or(0);
        vec![
            (Queue::HttpConnections, Fill { depth: self.connections - free, capacity: self.connections }),
            (Queue::EventStreams, Fill { depth: streams, capacity: self.streams }),
            (Queue::EventFrames, self.clients.waiting()),
        ]
    }
}
