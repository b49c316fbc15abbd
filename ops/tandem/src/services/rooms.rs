//! Passes on what participants of rooms send each other.

use std::sync::Arc;

use tandem_actors::{Service, ServiceError};
use tandem_livekit::Livekit;
use tokio_util::sync::CancellationToken;

/// See the module.
pub(crate) struct RoomRelay(pub(crate) Arc<Livekit>);

impl Service for RoomRelay {
    fn name(&self) -> &str {
        "rooms"
    }

    async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<(), ServiceError> {
        stop.run_until_cancelled(self.0.relay()).await;
        Ok(())
    }
}
