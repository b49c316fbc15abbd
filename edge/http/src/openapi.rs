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
use tandem_actors::calls::CallView;
use tandem_actors::tree::PartView;
use tandem_core::cdr::Cdr;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApi as Document, RefOr};
use utoipa::{Modify, OpenApi};
use utoipa_swagger_ui::SwaggerUi;

use crate::api::Shared;
use crate::{audit, auth, calls, cdrs, correlation, events, ice, ops, trace, webhooks};

/// Where the document is.
const PATH: &str = "/api/openapi.json";

/// Where the operator's are.
const OPERATORS: &str = "/api/v1/ops/";

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
        webhooks::redeliver_dead,
        ops::calls,
        ops::tree,
        ops::break_part,
        ops::revoke::revoke,
        trace::trace,
        correlation::correlation,
        cdrs::list_for_operator,
        cdrs::find_for_operator,
        cdrs::export_for_operator,
        audit::list_all
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
        let about =
            "The operator's token: the node makes it at its first start, in `operator.token` of its data folder";
        let operator = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(about)).build();
        components.add_security_scheme("operator", SecurityScheme::Http(operator));
        let old: Vec<_> = document
            .paths
            .paths
            .iter()
            .filter_map(|(path, item)| {
                Some((format!("/api/calls{}", path.strip_prefix("/api/v1/calls")?), item.clone()))
            })
            .collect();
        let login = document.paths.paths.get("/api/v1/auth/login").and_then(|item| item.post.as_ref());
        let of_login = |status| login.and_then(|login| login.responses.responses.get(status).cloned());
        let (limited, unavailable) = (of_login("429"), of_login("503"));
        let forbidden = of_login("401").map(|mut refusal| {
            if let RefOr::T(refusal) = &mut refusal {
                refusal.description =
                    String::from("`forbidden`: an issuer vouches for nobody who is known or let in here");
            }
            refusal
        });
        document.paths.paths.extend(old.into_iter().map(|(path, item)| (path, at_the_old_place(item))));
        let every = document.paths.paths.iter_mut().filter(|(path, _)| path.starts_with("/api/"));
        // Whatever it is, too many of it are refused. A token may be good and yet nobody's, or not be checked now.
        let refusals = [("429", limited, false), ("403", forbidden, true), ("503", unavailable, true)];
        let every = every.flat_map(|(path, item)| operations(item).map(|it| (path.starts_with(OPERATORS), it)));
        for (is_operators, operation) in every {
            let responses = &mut operation.responses.responses;
            // The operator is known or he is not: nobody vouches for him.
            let may_be = |status: &str| !(is_operators && status == "403");
            let all = refusals.iter().filter(|it| !it.2 || (operation.security.is_some() && may_be(it.0)));
            for (status, refusal, _) in all {
                if let Some(refusal) = refusal {
                    responses.entry((*status).to_owned()).or_insert_with(|| refusal.clone());
                }
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

/// Schemas of what core and actors have and the API shows as it is: one source for events and answers.
fn of_core() -> Map<String, Value> {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    let mut schemas = settings.into_generator();
    schemas.subschema_for::<Cdr>();
    schemas.subschema_for::<CallView>();
    schemas.subschema_for::<PartView>();
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
        assert_eq!(both, ["CallView", "Cdr", "PartView"]);
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
        assert_eq!((ids.len(), all), (45, 45));
    }

    #[test]
    fn every_operation_of_the_api_may_be_refused_in_the_ways_that_all_have_in_common() {
        let mut document = Described::openapi();
        for (path, item) in document.paths.paths.iter_mut().filter(|(path, _)| path.starts_with("/api/")) {
            for operation in operations(item) {
                let may_be = |status| operation.responses.responses.contains_key(status);
                assert!(may_be("429"), "{path}");
                let is_operators = path.starts_with(OPERATORS);
                assert!(operation.security.is_none() || (is_operators || may_be("403")) && may_be("503"), "{path}");
            }
        }
    }
}
