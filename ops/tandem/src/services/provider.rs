//! The mock provider as a service.

use std::sync::Arc;

use tandem_actors::{Service, ServiceError};
use tandem_provider::Mock;
use tokio_util::sync::CancellationToken;

/// See the module.
pub(crate) struct MockProvider(pub(crate) Arc<Mock>);

impl Service for MockProvider {
    fn name(&self) -> &str {
        "provider.mock"
    }

    async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<(), ServiceError> {
        stop.run_until_cancelled(self.0.run()).await;
        Ok(())
    }
}
