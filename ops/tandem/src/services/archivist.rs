//! Deletes what is too old, in small steps: facts go first.

use std::sync::Arc;
use std::time::Duration;

use tandem_actors::{Clock, Service, ServiceError};
use tandem_storage::Storage;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// How often there is a look for it.
const LOOK: Duration = Duration::from_secs(60);

/// Between two steps.
const PAUSE: Duration = Duration::from_millis(50);

/// See the module.
pub(crate) struct Archivist {
    pub(crate) storage: Arc<Storage>,
    pub(crate) clock: Clock,
}

impl Archivist {
    async fn keep(&self) {
        loop {
            sleep(LOOK).await;
            while self.step().await {
                sleep(PAUSE).await;
            }
        }
    }

    /// Whether there is more.
    async fn step(&self) -> bool {
        let retired = self.storage.retain(self.clock.now().wall).await;
        let retired = retired.inspect_err(|error| {
            warn!(error = error as &dyn std::error::Error, "what is too old stays for now");
        });
        retired.is_ok_and(|retired| retired.has_more())
    }
}

impl Service for Archivist {
    fn name(&self) -> &str {
        "archivist"
    }

    async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<(), ServiceError> {
        stop.run_until_cancelled(self.keep()).await;
        Ok(())
    }
}
