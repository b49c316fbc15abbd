//! Every refusal of the API goes into the audit: by route and code, never with what was asked for.

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::HOST;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use tandem_core::audit::{Action, Actor, Deed};
use tandem_core::id::Tenant;

use crate::api::Shared;
use crate::auth::CameFrom;
use crate::bearer::Principal;
use crate::problem::{ErrorBody, Problem};

/// In a response: the audit knows of it already.
#[derive(Clone, Copy)]
pub(crate) struct Noted;

/// Around every route.
pub(crate) async fn noted(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    // Not the path, which holds whatever somebody has put there.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let (method, host) = (request.method().clone(), request.headers().get(HOST).cloned());
    let from = request.extensions().get::<CameFrom>().map(|CameFrom(from)| *from);
    let mut response = next.run(request).await;
    let action = match response.status() {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Action::RequestRefused,
        StatusCode::TOO_MANY_REQUESTS => Action::LimitHit,
        _ => return response,
    };
    if response.extensions_mut().remove::<Noted>().is_some() {
        return response;
    }
    let principal = response.extensions().get::<Principal>();
    let route = route.as_ref().map_or("", MatchedPath::as_str);
    let (tenant, who) = match principal {
        Some(principal) => (principal.tenant.clone(), Actor::User(principal.user_id)),
        None if route.starts_with("/api/v1/ops") => (Tenant::operator(), Actor::Nobody),
        None => (shared.tenant_of_host(host.as_ref()), Actor::Nobody),
    };
    let code = response.extensions().get::<ErrorBody>().map_or(Problem::Unauthorized.code(), ErrorBody::code);
    shared.audit(Deed::new(tenant, who, action, code).from(from).of(format_args!("{} {route}", name(&method))));
    response
}

/// One of the known ones: a stranger may write what he likes there.
fn name(method: &Method) -> &str {
    match method.as_str() {
        known @ ("GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "HEAD" | "OPTIONS") => known,
        _ => "OTHER",
    }
}
