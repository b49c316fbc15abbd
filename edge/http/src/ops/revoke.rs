//! Taking tokens, users and devices back before their time.

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use tandem_core::audit::{Action, Actor, Deed};
use tandem_core::id::{DeviceId, Tenant, UserId};
use tandem_core::revocation::{Revocation, Revoked};
use tandem_core::time::WallTime;

use crate::api::Shared;
use crate::auth::CameFrom;
use crate::body::Body;
use crate::problem::Problem;

/// How far ahead a revocation may end: longer than any token lives.
const LATEST: Duration = Duration::from_secs(400 * 86_400);

/// Longest `jti`, in bytes.
const LONGEST_ID: usize = 256;

/// What is to be taken back: exactly one of the three.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RevokeRequest {
    /// Whose. Default `default`.
    tenant: Option<Tenant>,
    /// A token, by its `jti`.
    token: Option<String>,
    /// Every token of a user.
    user_id: Option<UserId>,
    /// Every token of a session.
    device_id: Option<DeviceId>,
    /// Until when; the end of the longest token is long enough.
    until: WallTime,
}

pub(super) async fn revoke(
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
        if self.until <= now || self.until > now + LATEST {
            return Err(Problem::invalid("until is in the future, 400 days at most"));
        }
        Ok(Revocation { tenant: self.tenant.unwrap_or_else(Tenant::default_tenant), what, until: self.until })
    }
}
