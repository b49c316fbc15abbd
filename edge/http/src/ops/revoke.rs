//! Taking tokens, users and devices back before their time.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use tandem_core::audit::{Action, Actor, Deed};
use tandem_core::id::{DeviceId, Tenant, UserId};
use tandem_core::revocation::{Revocation, Revoked};
use tandem_core::time::WallTime;
use utoipa::ToSchema;

use crate::api::Shared;
use crate::auth::CameFrom;
use crate::body::Body;
use crate::problem::{ErrorBody, Problem};

/// Longest `jti`, in bytes.
const LONGEST_ID: usize = 256;

/// What is to be taken back: exactly one of the three.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeRequest {
    /// Whose. Never guessed: a revocation for the wrong tenant revokes nothing.
    #[schema(value_type = String, pattern = "^[a-z0-9-]{1,32}$")]
    tenant: Tenant,
    /// A token, by its `jti`.
    #[schema(min_length = 1, max_length = 256)]
    token: Option<String>,
    /// Every token of a user.
    #[schema(value_type = Option<String>, pattern = "^user_[0-9a-f]{32}$")]
    user_id: Option<UserId>,
    /// Every token of a session.
    #[schema(value_type = Option<String>, pattern = "^dev_[0-9a-f]{32}$")]
    device_id: Option<DeviceId>,
    /// Until when; the end of the longest token is long enough.
    #[schema(value_type = String, format = "date-time")]
    until: WallTime,
}

/// Take a token, a user or a session back before its time.
#[utoipa::path(post, path = "/api/v1/ops/revocations", operation_id = "revoke", tag = "ops", security(("operator" = [])),
    request_body = RevokeRequest,
    responses(
        (status = 204, description = "It is not let in any more, on any node"),
        (status = 400, description = "`validation_error`", body = ErrorBody),
        (status = 401, description = "`unauthorized`", body = ErrorBody),
        (status = 413, description = "`payload_too_large`", body = ErrorBody),
        (status = 503, description = "`unavailable`", body = ErrorBody, headers(("Retry-After" = u64, description = "Seconds"))),
    ))]
pub(crate) async fn revoke(
    State(shared): State<Shared>,
    Extension(from): Extension<CameFrom>,
    Body(request): Body<RevokeRequest>,
) -> Result<StatusCode, Problem> {
    let revocation = request.checked(shared.api.clients.clock.now().wall)?;
    let outcome = shared.api.revoker.revoke(&revocation).await.map_err(Problem::from);
    shared.audit(deed(&revocation, from, &outcome));
    outcome.map(|()| StatusCode::NO_CONTENT)
}

/// The operator took something back, or tried to.
fn deed(revocation: &Revocation, CameFrom(from): CameFrom, outcome: &Result<(), Problem>) -> Deed {
    let outcome = outcome.as_ref().map_or_else(Problem::code, |()| "revoked");
    let (kind, id) = revocation.what.parts();
    let deed = Deed::new(revocation.tenant.clone(), Actor::Operator, Action::TokenRevoked, outcome);
    deed.from(Some(from)).of(format_args!("{kind} {id}"))
}

impl RevokeRequest {
    fn checked(self, now: WallTime) -> Result<Revocation, Problem> {
        let what = match (self.token, self.user_id, self.device_id) {
            (Some(token), None, None) if (1..=LONGEST_ID).contains(&token.len()) => Revoked::Token(token),
            (None, Some(user), None) => Revoked::UserId(user),
            (None, None, Some(device)) => Revoked::DeviceId(device),
            _ => return Err(Problem::invalid("one of token (1 to 256 characters), user_id and device_id")),
        };
        if self.until <= now || self.until > now + Revocation::LONGEST {
            return Err(Problem::invalid("until is in the future, 400 days at most"));
        }
        Ok(Revocation { tenant: self.tenant, what, until: self.until })
    }
}
