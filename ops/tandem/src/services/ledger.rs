//! The loops of the ledger as services: the ledger itself keeps what must survive them.

use std::sync::Arc;
use std::time::Duration;

use tandem_actors::{Calls, Service, ServiceError};
use tandem_storage::Ledger;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

/// How long the last facts may take on their way into the database. What is late is replayed at the next start.
const LAST_FACTS: Duration = Duration::from_secs(4);

/// How often the disk is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// From the journal into the database; when it stops, all of it.
pub(crate) struct LedgerWriter(pub(crate) Arc<Ledger>);

/// From the outbox onto the bus.
pub(crate) struct Relay(pub(crate) Arc<Ledger>);

/// Lets no call in while its record could not be written.
pub(crate) struct DiskWatch {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) calls: Arc<Calls>,
}

impl Service for LedgerWriter {
    fn name(&self) -> &str {
        "ledger.writer"
    }

    async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<(), ServiceError> {
        stop.run_until_cancelled(self.0.write_loop()).await;
        Ok(self.0.flush(LAST_FACTS).await?)
    }
}

impl Service for Relay {
    fn name(&self) -> &str {
        "bus.relay"
    }

    async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<(), ServiceError> {
        stop.run_until_cancelled(self.0.relay_loop()).await;
        Ok(())
    }
}

impl Service for DiskWatch {
    fn name(&self) -> &str {
        "ledger.disk"
    }

    async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<(), ServiceError> {
        stop.run_until_cancelled(self.watch()).await;
        Ok(())
    }
}

impl DiskWatch {
    async fn watch(&self) {
        let mut was_writable = true;
        loop {
            let is_writable = self.ledger.is_writable();
            match (was_writable, is_writable) {
                (true, false) => error!("disk takes nothing, no new calls"),
                (false, true) => info!("disk takes facts again"),
                _ => {}
            }
            self.calls.door().bar(!is_writable);
            was_writable = is_writable;
            tokio::time::sleep(LOOK).await;
        }
    }
}
