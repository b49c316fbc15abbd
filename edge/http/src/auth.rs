//! Signing in and out over HTTP, and who one is.

use std::net::IpAddr;

use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, StatusCode, request::Parts};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tandem_core::audit::{Action, Actor, Deed};
use tandem_core::id::Tenant;
use tandem_core::metric::Counter;
use tandem_core::pii::Pii;
use tracing::debug;
use utoipa::ToSchema;

use crate::api::Shared;
use crate::bearer::Principal;
use crate::body::Body;
use crate::identity::{ACCESS_TOKEN_LIFE, Claims, Ended, Opened};
use crate::problem::{ErrorBody, Problem};
use crate::refused::Noted;
use crate::sign_in::SignedIn;

/// Longest name, password and token that are looked at, in characters.
const LONGEST: usize = 256;

/// Where a request came from; put there by the server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CameFrom(pub(crate) IpAddr);

/// Below `/api/v1/auth`; nobody is known yet.
pub(crate) fn routes() -> Router<Shared> {
    Router::new().route("/login", post(login)).route("/refresh", post(refresh)).route("/logout", post(logout))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    #[schema(value_type = String, min_length = 1, max_length = 256)]
    username: Pii<String>,
    #[schema(value_type = String, min_length = 1, max_length = 256, format = Password)]
    password: Pii<String>,
    /// Whose user; else the host's that is asked.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = "^[a-z0-9-]{1,32}$")]
    tenant: Option<Tenant>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefreshToken {
    #[schema(value_type = String, min_length = 1, max_length = 256)]
    refresh_token: Pii<String>,
}

/// A session that goes on.
#[derive(Serialize, ToSchema)]
pub(crate) struct Session {
    access_token: String,
    /// `Bearer`.
    token_type: &'static str,
    /// Seconds that the access token holds.
    expires_in: u64,
    /// Works once.
    #[schema(value_type = String)]
    refresh_token: Pii<String>,
    user: User,
}

/// Who one is.
#[derive(Serialize, ToSchema)]
pub(crate) struct User {
    user_id: String,
    #[schema(value_type = String)]
    name: Pii<String>,
    #[schema(value_type = String)]
    extension: Pii<String>,
    #[schema(value_type = Option<String>)]
    display_name: Option<Pii<String>>,
}

/// Sign in.
#[utoipa::path(post, path = "/api/v1/auth/login", tag = "identity", request_body = Login, responses(
    (status = 200, description = "Signed in", body = Session),
    (status = 400, description = "`validation_error`", body = ErrorBody),
    (status = 401, description = "`invalid_credentials`", body = ErrorBody),
    (status = 413, description = "`payload_too_large`", body = ErrorBody),
    (status = 429, description = "`rate_limited`", body = ErrorBody, headers(("Retry-After" = u64, description = "Seconds"))),
    (status = 503, description = "`unavailable`", body = ErrorBody, headers(("Retry-After" = u64, description = "Seconds"))),
))]
pub(crate) async fn login(
    State(shared): State<Shared>,
    Source(from): Source,
    headers: HeaderMap,
    body: Body<Login>,
) -> Result<Response, Problem> {
    let Body(Login { username, password, tenant }) = body;
    let tenant = tenant.unwrap_or_else(|| shared.tenant_of(&headers));
    let name = within("username", username.reveal())?;
    let password = within("password", password.reveal())?;
    let signed_in = if shared.api.tenants.tenants().is_enabled(&tenant) {
        shared.api.sign_ins.sign_in(&tenant, from, name, password).await
    } else {
        Err(Problem::InvalidCredentials)
    };
    match signed_in {
        Ok(signed_in) => {
            debug!(user_id = %signed_in.opened.user_id, device_id = %signed_in.opened.device_id, "signed in");
            shared.api.metrics.count(Counter::SignIns);
            shared.audit(deed(&signed_in, Action::SignIn, "password").from(from));
            Ok(session(signed_in))
        }
        Err(problem) => Ok(refused(&shared, tenant, from, problem)),
    }
}

/// Go on with a session.
#[utoipa::path(post, path = "/api/v1/auth/refresh", tag = "identity", request_body = RefreshToken, responses(
    (status = 200, description = "Goes on; the old refresh token is used up", body = Session),
    (status = 400, description = "`validation_error`", body = ErrorBody),
    (status = 401, description = "`invalid_refresh_token`", body = ErrorBody),
    (status = 413, description = "`payload_too_large`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody, headers(("Retry-After" = u64, description = "Seconds"))),
))]
pub(crate) async fn refresh(
    State(shared): State<Shared>,
    Source(from): Source,
    headers: HeaderMap,
    body: Body<RefreshToken>,
) -> Result<Response, Problem> {
    let token = within("refresh_token", body.0.refresh_token.reveal())?;
    match shared.api.sign_ins.refresh(token).await {
        Ok(signed_in) if shared.api.tenants.tenants().is_enabled(&signed_in.opened.tenant) => {
            debug!(user_id = %signed_in.opened.user_id, device_id = %signed_in.opened.device_id, "session goes on");
            Ok(session(signed_in))
        }
        Ok(signed_in) => Ok(refused(&shared, signed_in.opened.tenant, from, Problem::InvalidRefreshToken)),
        Err(problem) => Ok(refused(&shared, shared.tenant_of(&headers), from, problem)),
    }
}

/// Sign out.
#[utoipa::path(post, path = "/api/v1/auth/logout", tag = "identity", request_body = RefreshToken, responses(
    (status = 204, description = "Signed out, or was not signed in"),
    (status = 400, description = "`validation_error`", body = ErrorBody),
    (status = 413, description = "`payload_too_large`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody, headers(("Retry-After" = u64, description = "Seconds"))),
))]
pub(crate) async fn logout(
    State(shared): State<Shared>,
    Source(from): Source,
    body: Body<RefreshToken>,
) -> Result<StatusCode, Problem> {
    let ended = shared.api.sign_ins.sign_out(within("refresh_token", body.0.refresh_token.reveal())?).await?;
    if let Some(Ended { tenant, user_id, device_id }) = ended {
        debug!(%user_id, %device_id, "signed out");
        shared.audit(Deed::new(tenant, Actor::User(user_id), Action::SignOut, "ended").of(device_id).from(from));
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Who one is.
#[utoipa::path(get, path = "/api/v1/me", tag = "identity", security(("bearer" = [])), responses(
    (status = 200, description = "The user", body = User),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
))]
pub(crate) async fn me(principal: Principal) -> Json<User> {
    Json(user(&principal))
}

/// The keys that access tokens are checked with (RFC 7517).
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "identity", responses(
    (status = 200, description = "Public keys", body = serde_json::Value),
))]
pub(crate) async fn jwks(State(shared): State<Shared>) -> impl IntoResponse {
    ([(CACHE_CONTROL, "public, max-age=300")], Json(shared.api.sign_ins.tokens().jwks()))
}

/// Below `/api/v1`; for who is known.
pub(crate) fn known_routes() -> Router<Shared> {
    Router::new().route("/me", get(me))
}

/// Where it came from, if the server knows.
pub(crate) struct Source(pub(crate) Option<IpAddr>);

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for Source {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(parts.extensions.get::<CameFrom>().map(|from| from.0)))
    }
}

/// What somebody did who has a session.
fn deed(signed_in: &SignedIn, action: Action, outcome: &'static str) -> Deed {
    let Opened { tenant, user_id, device_id, .. } = &signed_in.opened;
    Deed::new(tenant.clone(), Actor::User(*user_id), action, outcome).of(device_id)
}

/// A refusal that is noted as one of signing in, when it is one.
fn refused(shared: &Shared, tenant: Tenant, from: Option<IpAddr>, problem: Problem) -> Response {
    let code = problem.code();
    let is_wrong = matches!(problem, Problem::InvalidCredentials | Problem::InvalidRefreshToken);
    let mut response = problem.into_response();
    if is_wrong {
        shared.audit(Deed::new(tenant, Actor::Nobody, Action::SignInRefused, code).from(from));
        response.extensions_mut().insert(Noted);
    }
    response
}

fn session(SignedIn { access_token, opened }: SignedIn) -> Response {
    let session = Session {
        access_token,
        token_type: "Bearer",
        expires_in: ACCESS_TOKEN_LIFE.as_secs(),
        user: User {
            user_id: opened.user_id.to_string(),
            name: opened.name,
            extension: opened.extension,
            display_name: opened.display_name,
        },
        refresh_token: opened.refresh_token,
    };
    ([(CACHE_CONTROL, "no-store")], Json(session)).into_response()
}

fn user(claims: &Claims) -> User {
    User {
        user_id: claims.user_id.to_string(),
        name: claims.name.clone(),
        extension: claims.extension.clone(),
        display_name: claims.display_name.clone(),
    }
}

fn within<'a>(name: &str, text: &'a str) -> Result<&'a str, Problem> {
    match text.chars().count() {
        0 => Err(Problem::invalid(format!("{name} is required"))),
        1..=LONGEST => Ok(text),
        _ => Err(Problem::invalid(format!("{name} is longer than {LONGEST} characters"))),
    }
}
