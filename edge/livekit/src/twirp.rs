//! The server API.

use std::sync::Arc;

use axum::Router;

use crate::edge::Livekit;

/// placeholder
pub(crate) fn routes() -> Router<Arc<Livekit>> {
    Router::new()
}
