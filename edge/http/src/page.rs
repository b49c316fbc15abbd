//! The web client, from within the binary.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use rust_embed::{Embed, EmbeddedFile};

use crate::problem::Problem;

/// What was built in `edge/web`, or what to do when nothing was.
#[derive(Embed)]
#[folder = "../web/dist"]
struct Files;

/// Where paths have their content in their name.
const HASHED: &str = "assets/";

const INDEX: &str = "index.html";

/// Scripts, styles and connections of our own only; sound from the peer connection.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; connect-src 'self' ws: wss:; media-src 'self' blob:; img-src 'self' data:; object-src 'none'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
);

/// Whatever no route has: a file of the page, the page itself for a browser that asks for one of its own paths, nothing.
pub(crate) async fn page(request: Request) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    if ![Method::GET, Method::HEAD].contains(request.method()) || path.starts_with("api/") {
        return Problem::NotFound.into_response();
    }
    let path = if path.is_empty() { INDEX } else { path };
    match Files::get(path) {
        Some(file) => serve(path, file, request.headers()),
        None if wants_page(path, request.headers()) => match Files::get(INDEX) {
            Some(file) => serve(INDEX, file, request.headers()),
            None => Problem::NotFound.into_response(),
        },
        None => Problem::NotFound.into_response(),
    }
}

fn wants_page(path: &str, headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    !path.starts_with(HASHED) && accept.is_some_and(|accept| accept.contains("text/html"))
}

fn serve(path: &str, file: EmbeddedFile, asked: &HeaderMap) -> Response {
    let hash: String = file.metadata.sha256_hash().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let etag = format!("\"{hash}\"");
    let is_known = asked.get_all(IF_NONE_MATCH).iter().any(|known| known.to_str().is_ok_and(|it| it.contains(&etag)));
    let kept = if path.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let kind = file.metadata.mimetype().to_owned();
        ([(CONTENT_TYPE, kind)], Body::from(file.data.into_owned())).into_response()
    };
    let headers = response.headers_mut();
    headers.extend(HeaderValue::from_str(&etag).map(|etag| (ETAG, etag)));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(kept));
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
