//! Follows the keys that sign access tokens, and removes sign-in sessions that have expired.

use std::sync::Arc;
use std::time::Duration;

use tandem_actors::{Service, ServiceError};
use tandem_http::identity::Tokens;
use tandem_storage::Storage;
use tokio_util::sync::CancellationToken;

use crate::identity::signing_keys;

/// How often: another node's new key verifies here as soon.
const LOOK: Duration = Duration::from_secs(60);

/// See the module.
pub(crate) struct SessionKeeper {
    pub(crate) storage: Arc<Storage>,
    pub(crate) tokens: Arc<Tokens>,
}

impl SessionKeeper {
    async fn keep(&self) -> Result<(), ServiceError> {
        loop {
            tokio::time::sleep(LOOK).await;
            self.tokens.replace(signing_keys(&self.storage).await?)?;
            self.storage.prune_sessions().await?;
        }
    }
}

impl Service for SessionKeeper {
    fn name(&self) -> &str {
        "sessions"
    }

    async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<(), ServiceError> {
        stop.run_until_cancelled(self.keep()).await.unwrap_or(Ok(()))
    }
}
