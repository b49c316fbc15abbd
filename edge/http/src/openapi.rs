//! The API as OpenAPI describes it, and a page to read it with.

use std::sync::LazyLock;

use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::{Json, Router};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};
use tandem_core::cdr::Cdr;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApi as Document, RefOr};
use utoipa::{Modify, OpenApi};
use utoipa_swagger_ui::SwaggerUi;

use crate::api::Shared;
use crate::{audit, auth, calls, cdrs, events, ice, webhooks};

/// Where the document is.
const PATH: &str = "/api/openapi.json";

/// The page of the document has its styles in itself.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'",
);

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tandem",
        description = "Calls for browsers. Every refusal is `{\"error\": \"code\", \"message\": \"text\"}`, or RFC 9457 for \
            those who ask for `application/problem+json`."
    ),
    paths(
        auth::login,
        auth::refresh,
        auth::logout,
        auth::me,
        auth::jwks,
        calls::initiate,
        calls::terminate,
        calls::list,
        calls::find,
        calls::answer,
        calls::reject,
        calls::candidates,
        cdrs::list,
        cdrs::find,
        cdrs::export,
        ice::ice_servers,
        audit::list,
        events::events,
        webhooks::add,
        webhooks::list,
        webhooks::find,
        webhooks::change,
        webhooks::remove,
        webhooks::test,
        webhooks::rotate_secret,
        webhooks::deliveries,
        webhooks::redeliver,
        webhooks::redeliver_dead
    ),
    modifiers(&Additions)
)]
struct Described;

struct Additions;

impl Modify for Additions {
    fn modify(&self, document: &mut Document) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        let old: Vec<_> = document
            .paths
            .paths
            .iter()
            .filter_map(|(path, item)| {
                Some((format!("/api/calls{}", path.strip_prefix("/api/v1/calls")?), item.clone()))
            })
            .collect();
        let limited = document.paths.paths.get("/api/v1/auth/login").and_then(|item| item.post.as_ref());
        let limited = limited.and_then(|login| login.responses.responses.get("429").cloned());
        document.paths.paths.extend(old.into_iter().map(|(path, item)| (path, at_the_old_place(item))));
        let every = document.paths.paths.iter_mut().filter(|(path, _)| path.starts_with("/api/"));
        for (operation, limited) in every.flat_map(|(_, item)| operations(item)).zip(std::iter::repeat(limited)) {
            // Whatever it is, too many of it are refused.
            if let Some(limited) = limited {
                operation.responses.responses.entry(String::from("429")).or_insert(limited);
            }
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, post, put, patch, delete, .. } = item;
    [get, post, put, patch, delete].into_iter().flatten()
}

/// The same, but for who is not known: 403 in place of 401.
fn at_the_old_place(mut item: PathItem) -> PathItem {
    for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
        refuse_with_403(operation);
    }
    item
}

fn refuse_with_403(operation: &mut Operation) {
    operation.operation_id = operation.operation_id.take().map(|id| format!("{id}_unversioned"));
    let responses = &mut operation.responses.responses;
    if let Some(mut refusal) = responses.remove("401") {
        if let RefOr::T(refusal) = &mut refusal {
            refusal.description = String::from("`unauthorized`, `forbidden`");
        }
        responses.insert(String::from("403"), refusal);
    }
}

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let mut document = serde_json::to_value(Described::openapi()).unwrap_or_default();
    if let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) {
        schemas.extend(of_core());
    }
    document
});

/// Schemas of what core has and the API shows as it is: one source for events and answers.
fn of_core() -> Map<String, Value> {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    let mut schemas = settings.into_generator();
    schemas.subschema_for::<Cdr>();
    schemas.take_definitions(true)
}

/// The API as OpenAPI 3.1 describes it.
#[must_use]
pub fn openapi() -> &'static Value {
    &DOCUMENT
}

/// The document.
pub(crate) async fn document() -> Json<&'static Value> {
    Json(&DOCUMENT)
}

/// The page, without anything from elsewhere.
pub(crate) fn browser() -> Router<Shared> {
    let config = utoipa_swagger_ui::Config::from(PATH).validator_url("none");
    Router::new().merge(SwaggerUi::new("/api/docs").config(config)).layer(from_fn(with_policy))
}

async fn with_policy(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, POLICY);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_core_describes_takes_the_place_of_nothing_but_its_stand_in() {
        let ours = Described::openapi().components.unwrap().schemas;
        let both: Vec<_> = of_core().into_iter().map(|(name, _)| name).filter(|name| ours.contains_key(name)).collect();
        assert_eq!(both, ["Cdr"]);
    }

    #[test]
    fn every_operation_has_an_id_of_its_own_and_both_places_have_the_same() {
        let mut ids: Vec<_> = Described::openapi()
            .paths
            .paths
            .values()
            .flat_map(|item| [&item.get, &item.post, &item.patch, &item.delete])
            .flatten()
            .map(|operation| operation.operation_id.clone().unwrap())
            .collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!((ids.len(), all), (35, 35));
    }

    #[test]
    fn every_operation_of_the_api_may_be_refused_because_too_many_came() {
        let mut document = Described::openapi();
        for (path, item) in document.paths.paths.iter_mut().filter(|(path, _)| path.starts_with("/api/")) {
            for operation in operations(item) {
                assert!(operation.responses.responses.contains_key("429"), "{path}");
            }
        }
    }
}
