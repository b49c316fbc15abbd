//! Measures every request: how many, with what outcome, how long.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;

use crate::api::Shared;

/// Route of what no route is for: the page and its files, and what is not there.
const OTHER: &str = "other";

/// Around everything. An event stream counts until it is one.
pub(crate) async fn measured(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = name(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let route = route.as_ref().map_or(OTHER, MatchedPath::as_str);
    shared.api.metrics.request(method, route, response.status().as_u16(), began.elapsed());
    response
}

/// Whoever asks may make methods up.
const fn name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
