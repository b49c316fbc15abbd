//! What became of events on their way to a webhook.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use tandem_core::id::{DeliveryId, WebhookId};
use tandem_core::webhook::{Delivery, DeliveryState};
use utoipa::{IntoParams, ToSchema};

use super::endpoints::is_there;
use super::{Admin, OfWebhook, named};
use crate::problem::{ErrorBody, Problem};
use crate::user_call::time;

/// Deliveries on a page unless asked otherwise.
const USUAL: u8 = 50;

/// Most on a page.
const MOST: u8 = 100;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct LogQuery {
    /// Only those: `pending`, `delivered`, `dead`.
    #[param(pattern = "^(pending|delivered|dead)$")]
    state: Option<String>,
    /// On this page; 50 unless asked otherwise.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u8>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^whd_[0-9a-f]{32}$")]
    cursor: Option<String>,
}

/// Some deliveries, the latest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct LogPage {
    deliveries: Vec<LogEntry>,
    /// For the next page; `null` when there is none.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// An event on its way.
#[derive(Serialize, ToSchema)]
pub(crate) struct LogEntry {
    id: String,
    /// The same whenever it is sent.
    event_id: String,
    event_type: String,
    /// `pending`, `delivered` or `dead`.
    #[schema(value_type = String)]
    state: DeliveryState,
    /// How often it was tried.
    attempts: u32,
    /// When it will be tried, while it is pending.
    #[schema(required)]
    next_at: Option<String>,
    /// The last answer's status.
    #[schema(required)]
    last_status: Option<u16>,
    /// What was wrong with the last try.
    #[schema(required)]
    last_error: Option<String>,
    created_at: String,
    #[schema(required)]
    delivered_at: Option<String>,
}

/// Events that go out again.
#[derive(Serialize, ToSchema)]
pub(crate) struct SentAgain {
    /// How many.
    deliveries: u64,
}

/// The log of deliveries to a webhook.
#[utoipa::path(get, path = "/api/v1/webhooks/{webhook_id}/deliveries", tag = "webhooks",
    operation_id = "list_webhook_deliveries", security(("bearer" = [])),
    params(("webhook_id" = String, Path, pattern = "^wh_[0-9a-f]{32}$"), LogQuery), responses(
    (status = 200, description = "A page of deliveries", body = LogPage),
    (status = 400, description = "`validation_error`", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: not an administrator", body = ErrorBody),
    (status = 404, description = "`webhook_not_found`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody, headers(("Retry-After" = u64, description = "Seconds"))),
))]
pub(crate) async fn deliveries(
    admin: Admin,
    id: OfWebhook,
    query: Result<Query<LogQuery>, QueryRejection>,
) -> Result<Json<LogPage>, Problem> {
    let unreadable = || Problem::invalid("state (pending, delivered, dead), limit (1 to 100) and cursor, once each");
    let Query(LogQuery { state, limit, cursor }) = query.map_err(|_| unreadable())?;
    let state = state.map(|it| DeliveryState::of(&it).ok_or_else(unreadable)).transpose()?;
    let before = cursor.map(|it| it.parse().map_err(|_| unreadable())).transpose()?;
    let limit = limit.unwrap_or(USUAL);
    if !(1..=MOST).contains(&limit) {
        return Err(unreadable());
    }
    let id = named(id)?;
    admin.webhooks().find(admin.tenant(), id).await?.ok_or(Problem::WebhookNotFound)?;
    let page = admin.webhooks().deliveries(admin.tenant(), id, state, before, limit).await?;
    let next_cursor = page.deliveries.last().filter(|_| page.more).map(|last| last.id.to_string());
    Ok(Json(LogPage { deliveries: page.deliveries.into_iter().map(LogEntry::from).collect(), next_cursor }))
}

/// Send an event again, whatever became of it.
#[utoipa::path(post, path = "/api/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver", tag = "webhooks",
    operation_id = "redeliver", security(("bearer" = [])), params(
        ("webhook_id" = String, Path, pattern = "^wh_[0-9a-f]{32}$"),
        ("delivery_id" = String, Path, pattern = "^whd_[0-9a-f]{32}$"),
    ), responses(
    (status = 202, description = "It is on its way again", body = SentAgain),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: not an administrator", body = ErrorBody),
    (status = 404, description = "`webhook_not_found`: no such webhook or delivery", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody, headers(("Retry-After" = u64, description = "Seconds"))),
))]
pub(crate) async fn redeliver(
    admin: Admin,
    ids: Result<Path<(WebhookId, DeliveryId)>, PathRejection>,
) -> Result<(StatusCode, Json<SentAgain>), Problem> {
    let (id, delivery) = named(ids)?;
    let again = admin.webhooks().redeliver(admin.tenant(), id, delivery).await.map_err(Problem::from);
    admin.noted("redeliver", &delivery, again.and_then(is_there))?;
    Ok((StatusCode::ACCEPTED, Json(SentAgain { deliveries: 1 })))
}

/// Send everything again that was given up.
#[utoipa::path(post, path = "/api/v1/webhooks/{webhook_id}/redeliver_dead", tag = "webhooks",
    operation_id = "redeliver_dead", security(("bearer" = [])),
    params(("webhook_id" = String, Path, pattern = "^wh_[0-9a-f]{32}$")), responses(
    (status = 202, description = "They are on their way again", body = SentAgain),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: not an administrator", body = ErrorBody),
    (status = 404, description = "`webhook_not_found`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody, headers(("Retry-After" = u64, description = "Seconds"))),
))]
pub(crate) async fn redeliver_dead(admin: Admin, id: OfWebhook) -> Result<(StatusCode, Json<SentAgain>), Problem> {
    let id = named(id)?;
    admin.webhooks().find(admin.tenant(), id).await?.ok_or(Problem::WebhookNotFound)?;
    let again = admin.webhooks().redeliver_dead(admin.tenant(), id).await.map_err(Problem::from);
    let deliveries = admin.noted("redeliver_dead", &id, again)?;
    Ok((StatusCode::ACCEPTED, Json(SentAgain { deliveries })))
}

impl From<Delivery> for LogEntry {
    fn from(it: Delivery) -> Self {
        Self {
            id: it.id.to_string(),
            event_id: it.event_id,
            event_type: it.event_type,
            next_at: (it.state == DeliveryState::Pending).then(|| time(it.next_at)),
            state: it.state,
            attempts: it.attempts,
            last_status: it.last_status,
            last_error: it.last_error,
            created_at: time(it.created_at),
            delivered_at: it.delivered_at.map(time),
        }
    }
}
