//! The audit: everything that is noted here goes through one door, and who may read what of it.

use std::net::IpAddr;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tandem_core::audit::{Action, Actor, AuditEvent, AuditFilter, Deed};
use tandem_core::id::Tenant;
use utoipa::{IntoParams, ToSchema};

use crate::api::Shared;
use crate::auth::Source;
use crate::bearer::Principal;
use crate::problem::{ErrorBody, Problem};
use crate::query::{parsed, time};
use crate::user_call;

/// Events on a page unless asked otherwise.
const USUAL: u16 = 100;

/// Most events on a page.
const MOST: u16 = 1_000;

/// What was noted; the composition root implements it over the database.
pub trait AuditTrail: Send + Sync + 'static {
    /// The events that a filter wants, the latest first.
    ///
    /// # Errors
    /// [`AuditUnavailable`].
    fn read<'a>(&'a self, filter: &'a AuditFilter) -> BoxFuture<'a, Result<Vec<AuditEvent>, AuditUnavailable>>;
}

/// It cannot be read now.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the audit cannot be read now")]
pub struct AuditUnavailable;

impl From<AuditUnavailable> for Problem {
    fn from(AuditUnavailable: AuditUnavailable) -> Self {
        Self::Unavailable
    }
}

impl Shared {
    /// Notes a deed: in the log, in the journal, and with that in the database and on the bus. Of too many refusals only
    /// some. Never waits.
    pub(crate) fn audit(&self, deed: Deed) {
        self.api.auditor.note(deed);
    }
}

impl Principal {
    /// A deed of him, in his tenant.
    pub(crate) fn deed(&self, action: Action, outcome: &'static str) -> Deed {
        Deed::new(self.tenant.clone(), Actor::User(self.user_id), action, outcome)
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditQuery {
    /// Only these deeds: `sign_in`, `request_refused`, …
    #[param(pattern = "^[a-z_]+$")]
    action: Option<String>,
    /// Only of him: `operator`, `user_…`, `nobody`, `system`, `trunk:<name>`.
    who: Option<String>,
    /// At this time or later.
    #[param(value_type = Option<String>, format = "date-time")]
    from: Option<String>,
    /// Before this time.
    #[param(value_type = Option<String>, format = "date-time")]
    to: Option<String>,
    /// Events on this page; 100 unless asked otherwise.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^audit_[0-9a-f]{32}$")]
    cursor: Option<String>,
}

/// The operator's question: of all tenants, unless he names one.
#[derive(Deserialize)]
pub(crate) struct OperatorsQuery {
    tenant: Option<String>,
    action: Option<String>,
    who: Option<String>,
    from: Option<String>,
    to: Option<String>,
    limit: Option<u16>,
    cursor: Option<String>,
}

/// Some of the audit, the latest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditPage {
    events: Vec<Noted>,
    /// For the next page; `null` when there is none.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// What somebody did, or was not let.
#[derive(Serialize, ToSchema)]
pub(crate) struct Noted {
    id: String,
    /// Whose matter it is.
    tenant: String,
    /// When, in UTC.
    at: String,
    /// `operator`, `user_…`, `nobody`, `system` or `trunk:<name>`.
    who: String,
    /// The address that it came from, when there is one.
    #[schema(value_type = Option<String>, required)]
    from: Option<IpAddr>,
    /// What.
    action: &'static str,
    /// To what: an id, or the route of a request.
    #[schema(required)]
    what: Option<String>,
    /// What became of it: a code.
    outcome: String,
    /// The call or request that it belongs to.
    #[schema(required)]
    correlation_id: Option<String>,
    /// So many more of its kind and source were left out since the one before.
    hushed: u64,
}

/// The audit of one's tenant, for his administrators.
#[utoipa::path(get, path = "/api/v1/audit", operation_id = "list_audit", tag = "audit", security(("bearer" = [])), params(AuditQuery), responses(
    (status = 200, description = "A page of events", body = AuditPage),
    (status = 400, description = "`validation_error`", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: not an administrator", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody, headers(("Retry-After" = u64, description = "Seconds"))),
))]
pub(crate) async fn list(
    State(shared): State<Shared>,
    principal: Principal,
    Source(from): Source,
    query: Result<Query<AuditQuery>, QueryRejection>,
) -> Result<Json<AuditPage>, Problem> {
    principal.require_admin()?;
    let Query(query) = query.map_err(|_| unreadable())?;
    let filter = query.filter(Some(principal.tenant.clone()))?;
    let page = read(&shared, filter).await?;
    shared.audit(principal.deed(Action::AuditRead, "read").from(from));
    Ok(Json(page))
}

/// The audit of all tenants, or of one, for the operator.
#[utoipa::path(get, path = "/api/v1/ops/audit", operation_id = "list_all_audit", tag = "ops", security(("operator" = [])),
    params(AuditQuery, ("tenant" = Option<String>, Query, description = "Only of this tenant", pattern = "^[a-z0-9-]{1,32}$")),
    responses(
        (status = 200, description = "A page of events", body = AuditPage),
        (status = 400, description = "`validation_error`", body = ErrorBody),
        (status = 401, description = "`unauthorized`", body = ErrorBody),
        (status = 503, description = "`unavailable`", body = ErrorBody, headers(("Retry-After" = u64, description = "Seconds"))),
    ))]
pub(crate) async fn list_all(
    State(shared): State<Shared>,
    Source(from): Source,
    query: Result<Query<OperatorsQuery>, QueryRejection>,
) -> Result<Json<AuditPage>, Problem> {
    let Query(OperatorsQuery { tenant, action, who, from: since, to, limit, cursor }) =
        query.map_err(|_| unreadable())?;
    let tenant = parsed::<Tenant>("tenant", "[a-z0-9-]{1,32}", tenant)?;
    let query = AuditQuery { action, who, from: since, to, limit, cursor };
    let page = read(&shared, query.filter(tenant.clone())?).await?;
    let whose = tenant.unwrap_or_else(Tenant::operator);
    shared.audit(Deed::new(whose, Actor::Operator, Action::AuditRead, "read").from(from));
    Ok(Json(page))
}

async fn read(shared: &Shared, filter: AuditFilter) -> Result<AuditPage, Problem> {
    let (limit, wanted) = (usize::try_from(filter.limit).unwrap_or(usize::MAX), filter.limit.saturating_add(1));
    let mut events = shared.api.audit.read(&AuditFilter { limit: wanted, ..filter }).await?;
    let has_more = events.len() > limit;
    events.truncate(limit);
    let next_cursor = events.last().filter(|_| has_more).map(|event| event.id.to_string());
    Ok(AuditPage { events: events.into_iter().map(Noted::from).collect(), next_cursor })
}

impl AuditQuery {
    fn filter(self, tenant: Option<Tenant>) -> Result<AuditFilter, Problem> {
        let limit = self.limit.unwrap_or(USUAL);
        if !(1..=MOST).contains(&limit) {
            return Err(unreadable());
        }
        Ok(AuditFilter {
            tenant,
            action: parsed("action", "a name of the documentation", self.action)?,
            who: parsed("who", "operator, user_…, nobody, system or trunk:<name>", self.who)?,
            from: time("from", self.from)?,
            to: time("to", self.to)?,
            before: parsed("cursor", "as it came with the page before", self.cursor)?,
            limit: limit.into(),
        })
    }
}

impl From<AuditEvent> for Noted {
    fn from(AuditEvent { id, node: _, at, hushed, deed }: AuditEvent) -> Self {
        let Deed { tenant, who, from, action, what, outcome, correlation_id } = deed;
        Self {
            id: id.to_string(),
            tenant: tenant.to_string(),
            at: user_call::time(at),
            who: who.to_string(),
            from,
            action: action.name(),
            what,
            outcome: outcome.into_owned(),
            correlation_id: correlation_id.map(|id| id.to_string()),
            hushed,
        }
    }
}

fn unreadable() -> Problem {
    Problem::invalid(format!("limit: 1 to {MOST}; every parameter once"))
}
