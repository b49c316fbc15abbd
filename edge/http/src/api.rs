//! All routes, and what every request goes through.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use parking_lot::Mutex;
use serde::Serialize;
use tandem_actors::Auditor;
use tandem_core::admission::Damper;
use tandem_core::id::Tenant;
use tandem_core::metric::Metrics;
use tandem_core::ports::TenantPort;
use tracing::warn;

use crate::audit::AuditTrail;
use crate::body::LARGEST;
use crate::cdrs::{Exports, Records};
use crate::clients::Clients;
use crate::config::Config;
use crate::history::History;
use crate::identity::{Gate, Revoker};
use crate::limits::Limits;
use crate::metrics::exposition;
use crate::operator::{NotReady, Operator};
use crate::problem::{Door, Problem, as_asked};
use crate::sign_in::SignIns;
use crate::token::OperatorToken;
use crate::trace::Traces;
use crate::webhooks::Webhooks;
use crate::{audit, auth, bearer, calls, cdrs, events, ice, limits, openapi, ops, page, refused, requests, webhooks};

/// What the endpoints need.
#[derive(Clone)]
pub struct Api {
    /// The node's counts.
    pub metrics: Arc<Metrics>,
    /// The node itself.
    pub operator: Arc<dyn Operator>,
    /// Who may ask it.
    pub token: OperatorToken,
    /// Whether parts may be broken on purpose.
    pub may_break: bool,
    /// Legs and event streams of browsers.
    pub clients: Arc<Clients>,
    /// Who may sign in.
    pub sign_ins: Arc<SignIns>,
    /// Whose token is good.
    pub gate: Arc<Gate>,
    /// Takes tokens back.
    pub revoker: Arc<dyn Revoker>,
    /// Who is told of events.
    pub webhooks: Arc<dyn Webhooks>,
    /// Calls that are over.
    pub history: Arc<dyn History>,
    /// Billing records.
    pub records: Arc<dyn Records>,
    /// Why calls went as they did.
    pub traces: Arc<dyn Traces>,
    /// Whose a request is.
    pub tenants: Arc<dyn TenantPort>,
    /// Where deeds are noted.
    pub auditor: Arc<Auditor>,
    /// What was noted.
    pub audit: Arc<dyn AuditTrail>,
    /// Hosts that are ours in `sip:user@host`: names or addresses, without a port.
    pub domains: Arc<[String]>,
    /// How long a callee may ring.
    pub ring_timeout: Duration,
    /// What others serve on the same port, within the same limits.
    pub beside: Router,
}

/// [`Api`] with its settings, as handlers get it.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Inside>);

pub(crate) struct Inside {
    pub(crate) api: Api,
    pub(crate) config: Config,
    /// Log lines of requests without a valid token.
    pub(crate) refusals: Mutex<Damper>,
    /// Exports of billing records that run.
    pub(crate) exports: Arc<Exports>,
    pub(crate) limits: Limits,
}

impl std::ops::Deref for Shared {
    type Target = Inside;

    fn deref(&self) -> &Inside {
        &self.0
    }
}

impl Shared {
    /// Whose host a request was sent to.
    pub(crate) fn tenant_of(&self, headers: &HeaderMap) -> Tenant {
        self.tenant_of_host(headers.get(HOST))
    }

    /// Whose a `Host` header is.
    pub(crate) fn tenant_of_host(&self, host: Option<&HeaderValue>) -> Tenant {
        let host = host.and_then(|host| host.to_str().ok());
        self.api.tenants.tenants().of_host(host.unwrap_or_default())
    }
}

/// All routes.
pub fn router(api: Api, config: &Config) -> Router {
    let timeout = config.request_timeout;
    let exports = Arc::default();
    let limits = Limits::new(config, api.clients.clock.now().mono);
    let refusals = Mutex::default();
    let shared = Shared(Arc::new(Inside { api, config: config.clone(), refusals, exports, limits }));
    let beside = shared.api.beside.clone();
    Router::new()
        .merge(beside.with_state(()))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/.well-known/jwks.json", get(auth::jwks))
        .route("/api/openapi.json", get(openapi::document))
        .merge(openapi::browser())
        .nest("/api/v1/ops", ops::routes(&shared))
        .nest("/api/v1/auth", auth::routes())
        .route("/api/v1/events", get(events::events))
        .nest("/api/v1", behind(Door::Api, &shared, known_routes()))
        .nest("/api/v1/webhooks", behind(Door::Api, &shared, webhooks::routes()))
        .nest("/api/v1/calls", behind(Door::Api, &shared, calls::routes()))
        .nest("/api/v1/cdrs", behind(Door::Api, &shared, cdrs::routes()))
        .nest("/api/calls", behind(Door::Calls, &shared, calls::routes()))
        .fallback(page::page)
        .method_not_allowed_fallback(|| async { Problem::MethodNotAllowed })
        .layer(from_fn(move |request, next| limited(timeout, request, next)))
        .layer(from_fn_with_state(shared.clone(), limits::by_address))
        .layer(from_fn_with_state(shared.clone(), refused::noted))
        .layer(DefaultBodyLimit::max(config.body_limit.min(LARGEST)))
        .layer(from_fn(as_asked))
        .layer(from_fn_with_state(shared.clone(), requests::measured))
        .with_state(shared)
}

/// Below `/api/v1`, for who is known.
fn known_routes() -> Router<Shared> {
    auth::known_routes().merge(ice::routes()).route("/audit", get(audit::list))
}

/// For who carries a valid token.
fn behind(door: Door, shared: &Shared, routes: Router<Shared>) -> Router<Shared> {
    routes.route_layer(from_fn_with_state((shared.clone(), door), bearer::admit))
}

async fn limited(timeout: Duration, request: Request, next: Next) -> Response {
    tokio::time::timeout(timeout, next.run(request)).await.unwrap_or_else(|_| Problem::TimedOut.into_response())
}

async fn readyz(State(shared): State<Shared>) -> Response {
    let missing = shared.api.operator.not_ready();
    let status = if missing.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready: missing.is_empty(), missing })).into_response()
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    missing: Vec<NotReady>,
}

async fn metrics(State(shared): State<Shared>) -> Response {
    match exposition(&shared.api.metrics) {
        Ok(text) => ([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            warn!(%error, "metrics not exported");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
