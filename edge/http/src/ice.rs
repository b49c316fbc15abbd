//! Which ICE servers clients are to use.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::Shared;
use crate::config::IceServer;
use crate::problem::ErrorBody;

/// Below `/api/v1`.
pub(crate) fn routes() -> Router<Shared> {
    Router::new().route("/ice-servers", get(ice_servers))
}

/// As `RTCConfiguration` of WebRTC has them.
#[derive(Serialize, ToSchema)]
pub(crate) struct IceServers {
    ice_servers: Vec<IceServer>,
}

/// ICE servers for clients. None unless configured: the server is ICE-lite and has a public candidate.
#[utoipa::path(get, path = "/api/v1/ice-servers", tag = "calls", security(("bearer" = [])), responses(
    (status = 200, description = "The servers", body = IceServers),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
))]
pub(crate) async fn ice_servers(State(shared): State<Shared>) -> Json<IceServers> {
    Json(IceServers { ice_servers: shared.config.ice_servers.clone() })
}
