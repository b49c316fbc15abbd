//! Webhooks themselves.

use std::fmt::Write;

use axum::Json;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use tandem_core::pii::Pii;
use tandem_core::webhook::{Format, Webhook, WebhookChange};
use utoipa::ToSchema;
use uuid::Uuid;

use super::port::NewWebhook;
use super::{Admin, OfWebhook, named};
use crate::body::Body;
use crate::problem::{ErrorBody, Problem};
use crate::user_call::time;

/// Longest URL, in characters.
const LONGEST_URL: usize = 2_048;

/// Most types of events that one webhook names.
const MOST_EVENTS: usize = 32;

/// Longest of their names.
const LONGEST_EVENT: usize = 64;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRequest {
    /// `https://…`; not at a private address.
    #[schema(value_type = String, min_length = 1, max_length = 2048)]
    url: Pii<String>,
    /// How requests look: `tandem`.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = "^tandem$")]
    format: Format,
    /// Types of events (`tandem.call.answered.v1`) or beginnings of them (`tandem.call`); all unless given.
    #[serde(default)]
    #[schema(max_items = 32)]
    events: Vec<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeRequest {
    /// `https://…`; not at a private address.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 2048)]
    url: Option<Pii<String>>,
    /// Types of events, or beginnings of them; none: all.
    #[schema(max_items = 32)]
    events: Option<Vec<String>>,
    /// Whether events are sent.
    enabled: Option<bool>,
}

/// A webhook.
#[derive(Serialize, ToSchema)]
pub(crate) struct Told {
    id: String,
    #[schema(value_type = String)]
    url: Pii<String>,
    /// How requests look.
    #[schema(value_type = String)]
    format: Format,
    /// Types of events, or beginnings of them; none: all.
    events: Vec<String>,
    /// Whether events are sent, and new ones queued.
    enabled: bool,
    /// Why it was switched off, if nobody did.
    #[schema(required)]
    disabled_reason: Option<String>,
    /// Requests that failed since the last that did not.
    failures: u32,
    created_at: String,
    /// What requests are signed with. Told once: when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    secret: Option<Pii<String>>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct AllTold {
    webhooks: Vec<Told>,
}

/// A new secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct NewSecret {
    /// What requests are signed with from now on; told once. The one before goes on beside it for a while.
    #[schema(value_type = String)]
    secret: Pii<String>,
}

/// An event that never happened is on its way.
#[derive(Serialize, ToSchema)]
pub(crate) struct TestSent {
    delivery_id: String,
}

/// Add a webhook.
#[utoipa::path(post, path = "/api/v1/webhooks", tag = "webhooks", operation_id = "add_webhook",
    security(("bearer" = [])), request_body = NewRequest, responses(
    (status = 201, description = "Added, with its secret", body = Told),
    (status = 400, description = "`validation_error`", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: not an administrator", body = ErrorBody),
    (status = 409, description = "`conflict`: too many", body = ErrorBody),
    (status = 413, description = "`payload_too_large`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody, headers(("Retry-After" = u64, description = "Seconds"))),
))]
pub(crate) async fn add(admin: Admin, Body(request): Body<NewRequest>) -> Result<(StatusCode, Json<Told>), Problem> {
    check_url(&admin, &request.url)?;
    check_events(&request.events)?;
    let secret = new_secret();
    let NewRequest { url, format, events } = request;
    let new = NewWebhook { tenant: admin.tenant().clone(), url, format, events, secret: secret.clone() };
    let added = admin.webhooks().add(new).await.map_err(Problem::from);
    let id = added.as_ref().map(|webhook| webhook.id.to_string()).unwrap_or_default();
    let added = admin.noted("add", &id, added)?;
    Ok((StatusCode::CREATED, Json(Told { secret: Some(secret), ..added.into() })))
}

/// One's tenant's webhooks.
#[utoipa::path(get, path = "/api/v1/webhooks", tag = "webhooks", operation_id = "list_webhooks",
    security(("bearer" = [])), responses(
    (status = 200, description = "All of them, the oldest first", body = AllTold),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: not an administrator", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody, headers(("Retry-After" = u64, description = "Seconds"))),
))]
pub(crate) async fn list(admin: Admin) -> Result<Json<AllTold>, Problem> {
    let webhooks = admin.webhooks().list(admin.tenant()).await?;
    Ok(Json(AllTold { webhooks: webhooks.into_iter().map(Told::from).collect() }))
}

/// One webhook.
#[utoipa::path(get, path = "/api/v1/webhooks/{webhook_id}", tag = "webhooks", operation_id = "find_webhook",
    security(("bearer" = [])), params(("webhook_id" = String, Path, pattern = "^wh_[0-9a-f]{32}$")), responses(
    (status = 200, description = "The webhook", body = Told),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: not an administrator", body = ErrorBody),
    (status = 404, description = "`webhook_not_found`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody, headers(("Retry-After" = u64, description = "Seconds"))),
))]
pub(crate) async fn find(admin: Admin, id: OfWebhook) -> Result<Json<Told>, Problem> {
    let found = admin.webhooks().find(admin.tenant(), named(id)?).await?;
    Ok(Json(found.ok_or(Problem::WebhookNotFound)?.into()))
}

/// Change a webhook.
#[utoipa::path(patch, path = "/api/v1/webhooks/{webhook_id}", tag = "webhooks", operation_id = "change_webhook",
    security(("bearer" = [])), params(("webhook_id" = String, Path, pattern = "^wh_[0-9a-f]{32}$")),
    request_body = ChangeRequest, responses(
    (status = 200, description = "Changed", body = Told),
    (status = 400, description = "`validation_error`", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: not an administrator", body = ErrorBody),
    (status = 404, description = "`webhook_not_found`", body = ErrorBody),
    (status = 413, description = "`payload_too_large`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody, headers(("Retry-After" = u64, description = "Seconds"))),
))]
pub(crate) async fn change(
    admin: Admin,
    id: OfWebhook,
    Body(request): Body<ChangeRequest>,
) -> Result<Json<Told>, Problem> {
    let id = named(id)?;
    request.url.as_ref().map_or(Ok(()), |url| check_url(&admin, url))?;
    request.events.as_ref().map_or(Ok(()), |events| check_events(events))?;
    let ChangeRequest { url, events, enabled } = request;
    let changed = admin.webhooks().change(admin.tenant(), id, WebhookChange { url, events, enabled }).await;
    let changed = changed.map_err(Problem::from).and_then(|it| it.ok_or(Problem::WebhookNotFound));
    Ok(Json(admin.noted("change", &id, changed)?.into()))
}

/// Remove a webhook, with everything that was on its way there.
#[utoipa::path(delete, path = "/api/v1/webhooks/{webhook_id}", tag = "webhooks", operation_id = "remove_webhook",
    security(("bearer" = [])), params(("webhook_id" = String, Path, pattern = "^wh_[0-9a-f]{32}$")), responses(
    (status = 204, description = "Removed"),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: not an administrator", body = ErrorBody),
    (status = 404, description = "`webhook_not_found`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody, headers(("Retry-After" = u64, description = "Seconds"))),
))]
pub(crate) async fn remove(admin: Admin, id: OfWebhook) -> Result<StatusCode, Problem> {
    let id = named(id)?;
    let removed = admin.webhooks().remove(admin.tenant(), id).await.map_err(Problem::from).and_then(is_there);
    admin.noted("remove", &id, removed)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Send an event that never happened, to see whether it arrives.
#[utoipa::path(post, path = "/api/v1/webhooks/{webhook_id}/test", tag = "webhooks", operation_id = "test_webhook",
    security(("bearer" = [])), params(("webhook_id" = String, Path, pattern = "^wh_[0-9a-f]{32}$")), responses(
    (status = 202, description = "It is on its way", body = TestSent),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: not an administrator", body = ErrorBody),
    (status = 404, description = "`webhook_not_found`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody, headers(("Retry-After" = u64, description = "Seconds"))),
))]
pub(crate) async fn test(admin: Admin, id: OfWebhook) -> Result<(StatusCode, Json<TestSent>), Problem> {
    let id = named(id)?;
    admin.webhooks().find(admin.tenant(), id).await?.ok_or(Problem::WebhookNotFound)?;
    let delivery_id = admin.webhooks().test(admin.tenant(), id).await?.to_string();
    Ok((StatusCode::ACCEPTED, Json(TestSent { delivery_id })))
}

/// Make a new secret.
#[utoipa::path(post, path = "/api/v1/webhooks/{webhook_id}/rotate_secret", tag = "webhooks",
    operation_id = "rotate_webhook_secret", security(("bearer" = [])),
    params(("webhook_id" = String, Path, pattern = "^wh_[0-9a-f]{32}$")), responses(
    (status = 200, description = "The new secret; the old one signs as well for a while", body = NewSecret),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: not an administrator", body = ErrorBody),
    (status = 404, description = "`webhook_not_found`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody, headers(("Retry-After" = u64, description = "Seconds"))),
))]
pub(crate) async fn rotate_secret(admin: Admin, id: OfWebhook) -> Result<Json<NewSecret>, Problem> {
    let (id, secret) = (named(id)?, new_secret());
    let rotated = admin.webhooks().rotate_secret(admin.tenant(), id, secret.clone()).await;
    admin.noted("rotate_secret", &id, rotated.map_err(Problem::from).and_then(is_there))?;
    Ok(Json(NewSecret { secret }))
}

pub(super) fn is_there(is: bool) -> Result<(), Problem> {
    if is { Ok(()) } else { Err(Problem::WebhookNotFound) }
}

fn check_url(admin: &Admin, url: &Pii<String>) -> Result<(), Problem> {
    if url.reveal().len() > LONGEST_URL {
        return Err(Problem::invalid(format!("url is longer than {LONGEST_URL} characters")));
    }
    admin.webhooks().check_url(url.reveal()).map_err(|why| Problem::invalid(format!("url: {why}")))
}

fn check_events(events: &[String]) -> Result<(), Problem> {
    let is_type = |it: &String| {
        (1..=LONGEST_EVENT).contains(&it.len())
            && it.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_'))
    };
    if events.len() <= MOST_EVENTS && events.iter().all(is_type) {
        return Ok(());
    }
    Err(Problem::invalid("events: up to 32 types of events, each up to 64 of a-z, 0-9, '.' and '_'"))
}

/// 244 random bits.
fn new_secret() -> Pii<String> {
    let mut secret = String::from("whsec_");
    for half in [Uuid::new_v4(), Uuid::new_v4()] {
        let _infallible = write!(secret, "{}", half.simple());
    }
    secret.into()
}

impl From<Webhook> for Told {
    fn from(webhook: Webhook) -> Self {
        Self {
            id: webhook.id.to_string(),
            url: webhook.url,
            format: webhook.format,
            events: webhook.events,
            enabled: webhook.enabled,
            disabled_reason: webhook.disabled_reason,
            failures: webhook.failures,
            created_at: time(webhook.created_at),
            secret: None,
        }
    }
}
