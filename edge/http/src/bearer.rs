//! Lets in who carries a valid access token, and says who that is.

use std::ops::Deref;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tandem_core::metric::Counter;
use tracing::warn;

use crate::api::Shared;
use crate::clients::UserKey;
use crate::identity::{Barred, Claims, NotMapped, Proven, Role};
use crate::problem::{Door, Problem};

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) struct Principal(Arc<Proven>);

impl Principal {
    pub(crate) fn key(&self) -> UserKey {
        (self.tenant.clone(), self.user_id)
    }

    /// Whether he may see and change what belongs to his tenant.
    pub(crate) fn require_admin(&self) -> Result<(), Problem> {
        if self.role == Role::Admin { Ok(()) } else { Err(Problem::NotAdmin) }
    }

    /// What let him in.
    pub(crate) fn proven(&self) -> &Proven {
        &self.0
    }
}

impl Deref for Principal {
    type Target = Claims;

    fn deref(&self) -> &Claims {
        &self.0.claims
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Principal {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or(Problem::Unauthenticated(Door::Api))
    }
}

/// Before every route that wants a [`Principal`].
pub(crate) async fn admit(State((shared, door)): State<(Shared, Door)>, mut request: Request, next: Next) -> Response {
    match verify(&shared, door, token(request.headers())).await {
        Ok(principal) => {
            request.extensions_mut().insert(principal.clone());
            let mut response = match shared.admit(&principal) {
                Ok(()) => next.run(request).await,
                Err(problem) => problem.into_response(),
            };
            // For the audit, which stands further out.
            response.extensions_mut().insert(principal);
            response
        }
        Err(problem) => problem.into_response(),
    }
}

/// Who carries this token.
pub(crate) async fn verify(shared: &Shared, door: Door, token: Option<&str>) -> Result<Principal, Problem> {
    let refused = |why: &dyn std::fmt::Display| {
        shared.api.metrics.count(Counter::ApiRefused);
        let now = shared.api.clients.clock.now().mono;
        if let Some(hushed) = shared.refusals.lock().admit(now) {
            warn!(why = %why, hushed, "request refused");
        }
    };
    let Some(token) = token else {
        refused(&"no token");
        return Err(Problem::Unauthenticated(door));
    };
    let proven = shared.api.gate.admit(token).await.map_err(|barred| {
        refused(&barred);
        match barred {
            Barred::Token(_) | Barred::Revoked => Problem::Unauthenticated(door),
            Barred::NotMapped(NotMapped::Unavailable) | Barred::KeysUnavailable => Problem::Unavailable,
            Barred::NotMapped(why) => Problem::NotMapped(why),
        }
    })?;
    Ok(Principal(proven))
}

/// The token in `Authorization: Bearer …`.
pub(crate) fn token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
