//! Webhooks of a tenant, for its administrators: where events go, what became of them, what is sent again.

mod deliveries;
mod endpoints;
mod port;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRef, Path};
use axum::http::request::Parts;
use axum::routing::{get, post};
use serde::de::DeserializeOwned;
use tandem_core::id::{Tenant, WebhookId};
use tracing::info;

use crate::api::Shared;
use crate::auth::CameFrom;
use crate::bearer::Principal;
use crate::identity::Role;
use crate::problem::Problem;

pub(crate) use deliveries::{
    __path_deliveries, __path_redeliver, __path_redeliver_dead, deliveries, redeliver, redeliver_dead,
};
pub(crate) use endpoints::{
    __path_add, __path_change, __path_find, __path_list, __path_remove, __path_rotate_secret, __path_test, add, change,
    find, list, remove, rotate_secret, test,
};
pub use port::{DeliveryPage, NewWebhook, WebhookRefused, Webhooks};

/// Below `/api/v1/webhooks`; for who is known.
pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/", get(list).post(add))
        .route("/{webhook_id}", get(find).patch(change).delete(remove))
        .route("/{webhook_id}/test", post(test))
        .route("/{webhook_id}/rotate_secret", post(rotate_secret))
        .route("/{webhook_id}/deliveries", get(deliveries))
        .route("/{webhook_id}/deliveries/{delivery_id}/redeliver", post(redeliver))
        .route("/{webhook_id}/redeliver_dead", post(redeliver_dead))
}

/// An administrator, and his tenant's webhooks.
pub(crate) struct Admin {
    shared: Shared,
    principal: Principal,
    from: Option<CameFrom>,
}

impl Admin {
    fn webhooks(&self) -> &dyn Webhooks {
        &*self.shared.api.webhooks
    }

    fn tenant(&self) -> &Tenant {
        &self.principal.tenant
    }

    fn note(&self, action: &'static str, what: &dyn std::fmt::Display, outcome: Option<&Problem>) {
        let outcome = outcome.map_or("done", Problem::code);
        let (who, tenant) = (self.principal.user_id, self.tenant());
        let from = self.from.map(|from| from.0.to_string()).unwrap_or_default();
        info!(target: "audit", %who, %tenant, from, action, %what, outcome, "webhook");
    }

    /// Something that was done to a webhook, in the audit whatever became of it.
    fn noted<T>(
        &self,
        action: &'static str,
        what: &dyn std::fmt::Display,
        outcome: Result<T, Problem>,
    ) -> Result<T, Problem> {
        self.note(action, what, outcome.as_ref().err());
        outcome
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Admin
where
    Shared: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let principal = Principal::from_request_parts(parts, state).await?;
        if principal.role != Role::Admin {
            return Err(Problem::NotAdmin);
        }
        let from = parts.extensions.get::<CameFrom>().copied();
        Ok(Self { shared: Shared::from_ref(state), principal, from })
    }
}

/// What is named in a path. Whatever is no id names nothing.
fn named<T: DeserializeOwned>(path: Result<Path<T>, PathRejection>) -> Result<T, Problem> {
    path.map(|Path(named)| named).map_err(|_| Problem::WebhookNotFound)
}

/// A webhook in a path.
type OfWebhook = Result<Path<WebhookId>, PathRejection>;
