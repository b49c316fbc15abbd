//! The server API: Twirp over HTTP (version 7), in protobuf and JSON.
//!
//! ```text
//!  POST /twirp/livekit.RoomService/<method> ── token ── grant of the method ── RoomPort ──▶ answer in the same encoding
//!                                               401          403               404, 503
//! ```

mod call;
mod error;
mod rooms;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::post;

use crate::door::{open_to_all, token};
use crate::edge::Livekit;
use call::{Call, Encoding};
use error::{Code, Error};

/// Largest body of a request: a message of data, in JSON.
const LARGEST: usize = 1 << 20;

/// Services that this wire has and we have not.
const OTHERS: [&str; 8] = [
    "livekit.Egress",
    "livekit.Ingress",
    "livekit.SIP",
    "livekit.AgentDispatchService",
    "livekit.Connector",
    "livekit.PhoneNumberService",
    "livekit.CloudAgent",
    "livekit.AgentService",
];

/// The endpoints that are for servers.
pub(crate) fn routes() -> Router<Arc<Livekit>> {
    let methods = post(answer).options(|| async { StatusCode::OK }).fallback(|| async { Error::bad_route() });
    Router::new()
        .route("/twirp/{service}/{method}", methods)
        .layer(DefaultBodyLimit::max(LARGEST))
        .layer(map_response(open_to_all))
}

async fn answer(
    State(edge): State<Arc<Livekit>>,
    Path((service, method)): Path<(String, String)>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    dispatch(&edge, &service, &method, &headers, body).unwrap_or_else(Error::into_response)
}

fn dispatch(
    edge: &Livekit,
    service: &str,
    method: &str,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Error> {
    let encoding = Encoding::of(headers)?;
    let bearer = token(headers, "").and_then(|token| edge.keys.verify(&token).ok());
    let bearer = bearer.ok_or_else(|| Error::new(Code::Unauthenticated, "invalid or missing access token"))?;
    let body = body.map_err(|_| Error::new(Code::Malformed, "the body is too large, or was cut"))?;
    let call = Call { edge, bearer, encoding, body };
    match service {
        "livekit.RoomService" => rooms::dispatch(&call, method),
        other if OTHERS.contains(&other) => Err(Error::unimplemented(other, method)),
        _ => Err(Error::bad_route()),
    }
}
