//! Fetches the keys of the external issuer of tokens.

use std::sync::Arc;

use tandem_actors::{Service, ServiceError};
use tandem_http::identity::Issuer;
use tokio_util::sync::CancellationToken;

/// See the module.
pub(crate) struct IssuerKeeper(pub(crate) Arc<Issuer>);

impl Service for IssuerKeeper {
    fn name(&self) -> &str {
        "issuer"
    }

    async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<(), ServiceError> {
        stop.run_until_cancelled(self.0.keep()).await;
        Ok(())
    }
}
