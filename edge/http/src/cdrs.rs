//! Billing records: a page of them, one of them, or all of them as a file.
//!
//! ```text
//!  /api/v1/cdrs      his own calls for a user, his tenant's for an admin ┐
//!  /api/v1/ops/cdrs  every tenant's for the operator                     ┴─▶ CdrFilter ─▶ Records
//! ```
//!
//! # Invariants
//! * What somebody may not see is no record: the same answer, by the same way.
//! * Whoever reads what is not his own is in the audit log.
//! * An export holds one batch in memory, however long it is.

mod csv;
mod export;
mod query;

use axum::extract::State;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::routing::get;
use axum::{Extension, Json, Router};
use futures::future::BoxFuture;
use serde::Serialize;
use tandem_core::audit::{Action, Actor, Deed};
use tandem_core::cdr::{Cdr, CdrCursor, CdrFilter};
use tandem_core::id::{CallId, Tenant};
use utoipa::ToSchema;

use self::query::CdrQuery;
use crate::api::Shared;
use crate::auth::CameFrom;
use crate::bearer::Principal;
use crate::clients::UserKey;
use crate::identity::Role;
use crate::problem::{ErrorBody, Problem};

pub(crate) use export::Exports;
pub(crate) use export::{__path_export, __path_export_for_operator};

/// Records on a page unless asked otherwise.
const USUAL: u16 = 100;

/// Billing records; the composition root implements it over the database.
pub trait Records: Send + Sync + 'static {
    /// Records that the filter lets through, the latest first: those after `after`, at most `limit` (1..=1000). Fewer
    /// than `limit`: there are no more.
    ///
    /// # Errors
    /// [`RecordsUnavailable`].
    fn page<'a>(
        &'a self,
        filter: &'a CdrFilter,
        after: Option<CdrCursor>,
        limit: u16,
    ) -> BoxFuture<'a, Result<Vec<Cdr>, RecordsUnavailable>>;
}

/// They cannot be read now.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("billing records cannot be read now")]
pub struct RecordsUnavailable;

impl From<RecordsUnavailable> for Problem {
    fn from(RecordsUnavailable: RecordsUnavailable) -> Self {
        Self::Unavailable
    }
}

/// Below `/api/v1/cdrs`.
pub(crate) fn routes() -> Router<Shared> {
    Router::new().route("/", get(list)).route("/export", get(export::export)).route("/{call_id}", get(find))
}

/// Below `/api/v1/ops/cdrs`.
pub(crate) fn operator_routes() -> Router<Shared> {
    Router::new()
        .route("/", get(list_for_operator))
        .route("/export", get(export::export_for_operator))
        .route("/{call_id}", get(find_for_operator))
}

/// Some records, the latest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct CdrList {
    #[schema(value_type = Vec<CdrDocument>)]
    cdrs: Vec<Cdr>,
    /// For the next page; `null` when there is none.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// Stands for [`Cdr`], whose own schema takes its place in the document.
#[derive(ToSchema)]
#[schema(as = Cdr)]
pub(crate) struct CdrDocument {}

/// Who asks.
enum Reader {
    User(Principal),
    Operator,
}

impl Reader {
    /// Which user he is, if he is one.
    fn key(&self) -> Option<UserKey> {
        match self {
            Self::User(principal) => Some(principal.key()),
            Self::Operator => None,
        }
    }

    /// Narrows a filter to what he may see.
    fn narrow(&self, filter: &mut CdrFilter) {
        if let Self::User(principal) = self {
            filter.tenant = Some(principal.tenant.clone());
            filter.seen_by = match principal.role {
                Role::Admin => None,
                Role::User => Some(principal.user_id),
            };
        }
    }

    /// What is noted of it, under the tenant whose records they are, if they are one's. `None`: one's own records are
    /// nobody else's business.
    fn deed(
        &self,
        CameFrom(from): CameFrom,
        action: Action,
        filter: &CdrFilter,
        outcome: &'static str,
    ) -> Option<Deed> {
        let who = match self {
            Self::User(principal) if principal.role == Role::User => return None,
            Self::User(principal) => Actor::User(principal.user_id),
            Self::Operator => Actor::Operator,
        };
        let tenant = filter.tenant.clone().unwrap_or_else(Tenant::operator);
        let deed = Deed::new(tenant, who, action, outcome).from(Some(from));
        Some(match filter.call_id {
            Some(call) => deed.of(call),
            None => deed,
        })
    }
}

/// Billing records of one's own calls; for an admin, of his tenant's. The latest first.
#[utoipa::path(get, path = "/api/v1/cdrs", operation_id = "list_cdrs", tag = "cdrs", security(("bearer" = [])),
    params(
        CdrQuery,
        ("limit" = Option<u16>, Query, description = "Records on this page; 100 unless asked otherwise", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before, with the same filters", pattern = "^[0-9a-f]{48}$"),
    ),
    responses(
        (status = 200, description = "A page of records", body = CdrList),
        (status = 400, description = "`validation_error`", body = ErrorBody),
        (status = 401, description = "`unauthorized`", body = ErrorBody),
        (status = 503, description = "`unavailable`", body = ErrorBody, headers(("Retry-After" = u64, description = "Seconds"))),
    ))]
pub(crate) async fn list(
    State(shared): State<Shared>,
    principal: Principal,
    Extension(from): Extension<CameFrom>,
    query: CdrQuery,
) -> Result<Json<CdrList>, Problem> {
    page(&shared, Reader::User(principal), from, query.for_tenant()?).await
}

/// Billing records of all tenants, or of one. The latest first.
#[utoipa::path(get, path = "/api/v1/ops/cdrs", operation_id = "list_all_cdrs", tag = "ops", security(("operator" = [])),
    params(
        CdrQuery,
        ("tenant" = Option<String>, Query, description = "Only of this tenant", pattern = "^[a-z0-9-]{1,32}$"),
        ("limit" = Option<u16>, Query, description = "Records on this page; 100 unless asked otherwise", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before, with the same filters", pattern = "^[0-9a-f]{48}$"),
    ),
    responses(
        (status = 200, description = "A page of records", body = CdrList),
        (status = 400, description = "`validation_error`", body = ErrorBody),
        (status = 401, description = "`unauthorized`", body = ErrorBody),
        (status = 503, description = "`unavailable`", body = ErrorBody, headers(("Retry-After" = u64, description = "Seconds"))),
    ))]
pub(crate) async fn list_for_operator(
    State(shared): State<Shared>,
    Extension(from): Extension<CameFrom>,
    query: CdrQuery,
) -> Result<Json<CdrList>, Problem> {
    page(&shared, Reader::Operator, from, query).await
}

async fn page(shared: &Shared, reader: Reader, from: CameFrom, query: CdrQuery) -> Result<Json<CdrList>, Problem> {
    let (after, limit) = query.place()?;
    let limit = limit.unwrap_or(USUAL);
    let mut filter = query.filter()?;
    reader.narrow(&mut filter);
    let found = shared.api.records.page(&filter, after, limit).await;
    let outcome = if found.is_ok() { "read" } else { "unavailable" };
    reader.deed(from, Action::CdrRead, &filter, outcome).into_iter().for_each(|deed| shared.audit(deed));
    let cdrs = found?;
    let is_full = cdrs.len() >= usize::from(limit);
    let next_cursor = cdrs.last().filter(|_| is_full).map(|last| CdrCursor::from(last).to_string());
    Ok(Json(CdrList { cdrs, next_cursor }))
}

/// The billing record of one of one's own calls; for an admin, of his tenant's.
#[utoipa::path(get, path = "/api/v1/cdrs/{call_id}", operation_id = "find_cdr", tag = "cdrs", security(("bearer" = [])),
    params(("call_id" = String, Path)),
    responses(
        (status = 200, description = "The record", body = CdrDocument),
        (status = 401, description = "`unauthorized`", body = ErrorBody),
        (status = 404, description = "`call_not_found`: also while the call lives", body = ErrorBody),
        (status = 503, description = "`unavailable`", body = ErrorBody, headers(("Retry-After" = u64, description = "Seconds"))),
    ))]
pub(crate) async fn find(
    State(shared): State<Shared>,
    principal: Principal,
    Extension(from): Extension<CameFrom>,
    Named(call): Named,
) -> Result<Json<Cdr>, Problem> {
    one(&shared, Reader::User(principal), from, call).await
}

/// The billing record of a call.
#[utoipa::path(get, path = "/api/v1/ops/cdrs/{call_id}", operation_id = "find_any_cdr", tag = "ops", security(("operator" = [])),
    params(("call_id" = String, Path, pattern = "^call_[0-9a-f]{32}$")),
    responses(
        (status = 200, description = "The record", body = CdrDocument),
        (status = 401, description = "`unauthorized`", body = ErrorBody),
        (status = 404, description = "`call_not_found`: also while the call lives", body = ErrorBody),
        (status = 503, description = "`unavailable`", body = ErrorBody, headers(("Retry-After" = u64, description = "Seconds"))),
    ))]
pub(crate) async fn find_for_operator(
    State(shared): State<Shared>,
    Extension(from): Extension<CameFrom>,
    Named(call): Named,
) -> Result<Json<Cdr>, Problem> {
    one(&shared, Reader::Operator, from, call).await
}

async fn one(shared: &Shared, reader: Reader, from: CameFrom, call: CallId) -> Result<Json<Cdr>, Problem> {
    let mut filter = CdrFilter { call_id: Some(call), ..CdrFilter::default() };
    reader.narrow(&mut filter);
    let found = shared.api.records.page(&filter, None, 1).await;
    let outcome = match &found {
        Ok(found) if found.is_empty() => "not_found",
        Ok(_) => "read",
        Err(_) => "unavailable",
    };
    // The operator named no tenant, and it is his whose call it is.
    if let Some(cdr) = found.iter().flatten().next() {
        filter.tenant = Some(cdr.tenant.clone());
    }
    reader.deed(from, Action::CdrRead, &filter, outcome).into_iter().for_each(|deed| shared.audit(deed));
    found?.pop().map(Json).ok_or(Problem::CallNotFound)
}

/// The call that a path names. What is no id of a call names none.
pub(crate) struct Named(CallId);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await.map_err(|_| Problem::CallNotFound)?;
        path.parse().map(Self).map_err(|_| Problem::CallNotFound)
    }
}
