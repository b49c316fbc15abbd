//! All records that a filter lets through, as one file that is written while it is read.

use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures::stream::try_unfold;
use parking_lot::Mutex;
use tandem_core::audit::Action;
use tandem_core::cdr::{Cdr, CdrCursor, CdrFilter};
use tracing::warn;

use super::query::{CdrQuery, Form};
use super::{Reader, Records, csv};
use crate::api::Shared;
use crate::auth::CameFrom;
use crate::bearer::Principal;
use crate::clients::UserKey;
use crate::problem::{ErrorBody, Problem};

/// Most exports at a time; one more is refused.
const EXPORTS: usize = 4;

/// Of one tenant, so that none keeps the others out.
const OF_A_TENANT: usize = 2;

/// Records in memory at a time: some megabytes for all exports together.
const BATCH: u16 = 500;

/// Exports on their way, each with whose it is; the operator's are nobody's. A user has one at a time.
#[derive(Default)]
pub(crate) struct Exports(Mutex<Vec<Option<UserKey>>>);

/// A place among them, given back when it is dropped.
struct Place {
    exports: Arc<Exports>,
    whose: Option<UserKey>,
}

impl Exports {
    /// `None`: there are too many.
    fn begin(self: &Arc<Self>, whose: Option<UserKey>) -> Option<Place> {
        let mut running = self.0.lock();
        let of_the_tenant = |(tenant, _): &UserKey| running.iter().flatten().filter(|it| it.0 == *tenant).count();
        let is_crowded = whose.as_ref().is_some_and(|it| of_the_tenant(it) >= OF_A_TENANT);
        if running.len() >= EXPORTS || is_crowded || (whose.is_some() && running.contains(&whose)) {
            return None;
        }
        running.push(whose.clone());
        Some(Place { exports: self.clone(), whose })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut running = self.exports.0.lock();
        if let Some(at) = running.iter().position(|it| *it == self.whose) {
            running.swap_remove(at);
        }
    }
}

type Broken = Box<dyn std::error::Error + Send + Sync>;

/// An export on its way. Dropped with the connection, and with it the place.
struct Export {
    records: Arc<dyn Records>,
    filter: CdrFilter,
    form: Form,
    /// What is to be written next; `None`: it is over.
    page: Option<Vec<Cdr>>,
    is_first: bool,
    _place: Place,
}

/// The same records as a file, without pages. It is complete when its last chunk has come, and broken off when the
/// database goes away.
#[utoipa::path(get, path = "/api/v1/cdrs/export", operation_id = "export_cdrs", tag = "cdrs", security(("bearer" = [])),
    params(
        CdrQuery,
        ("format" = Option<String>, Query, description = "`csv`, or `jsonl`: one record as JSON on each line. `csv` unless asked otherwise", pattern = "^(csv|jsonl)$"),
    ),
    responses(
        (status = 200, description = "The file, the latest record first", content((String = "text/csv"), (String = "application/x-ndjson"))),
        (status = 400, description = "`validation_error`", body = ErrorBody),
        (status = 401, description = "`unauthorized`", body = ErrorBody),
        (status = 503, description = "`unavailable`: too many exports at a time (one of a user, two of a tenant), or no database", body = ErrorBody, headers(("Retry-After" = u64, description = "Seconds"))),
    ))]
pub(crate) async fn export(
    State(shared): State<Shared>,
    principal: Principal,
    Extension(from): Extension<CameFrom>,
    query: CdrQuery,
) -> Result<Response, Problem> {
    begin(&shared, Reader::User(principal), from, query.for_tenant()?).await
}

/// The records of all tenants, or of one, as a file, without pages.
#[utoipa::path(get, path = "/api/v1/ops/cdrs/export", operation_id = "export_all_cdrs", tag = "ops", security(("operator" = [])),
    params(
        CdrQuery,
        ("tenant" = Option<String>, Query, description = "Only of this tenant", pattern = "^[a-z0-9-]{1,32}$"),
        ("format" = Option<String>, Query, description = "`csv`, or `jsonl`: one record as JSON on each line. `csv` unless asked otherwise", pattern = "^(csv|jsonl)$"),
    ),
    responses(
        (status = 200, description = "The file, the latest record first", content((String = "text/csv"), (String = "application/x-ndjson"))),
        (status = 400, description = "`validation_error`", body = ErrorBody),
        (status = 401, description = "`unauthorized`", body = ErrorBody),
        (status = 503, description = "`unavailable`", body = ErrorBody, headers(("Retry-After" = u64, description = "Seconds"))),
    ))]
pub(crate) async fn export_for_operator(
    State(shared): State<Shared>,
    Extension(from): Extension<CameFrom>,
    query: CdrQuery,
) -> Result<Response, Problem> {
    begin(&shared, Reader::Operator, from, query).await
}

async fn begin(shared: &Shared, reader: Reader, from: CameFrom, query: CdrQuery) -> Result<Response, Problem> {
    let form = query.form()?;
    let mut filter = query.filter()?;
    reader.narrow(&mut filter);
    let place = shared.exports.begin(reader.key()).ok_or(Problem::Unavailable)?;
    let records = shared.api.records.clone();
    // A database that is away is a refusal, not half a file.
    let first = records.page(&filter, None, BATCH).await;
    let outcome = if first.is_ok() { "begun" } else { "unavailable" };
    reader.deed(from, Action::CdrExport, &filter, outcome).into_iter().for_each(|deed| shared.audit(deed));
    let export = Export { records, filter, form, page: Some(first?), is_first: true, _place: place };
    let (kind, name) = match form {
        Form::Csv => ("text/csv; charset=utf-8; header=present", "attachment; filename=\"cdrs.csv\""),
        Form::JsonLines => ("application/x-ndjson", "attachment; filename=\"cdrs.jsonl\""),
    };
    let headers = [(CONTENT_TYPE, kind), (CONTENT_DISPOSITION, name), (CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(try_unfold(export, Export::next))).into_response())
}

impl Export {
    /// The next part of the file; the batch after it is read when this one is taken.
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, Broken> {
        let Some(page) = self.page.take() else { return Ok(None) };
        let part = self.write(&page)?;
        self.is_first = false;
        let after = page.last().filter(|_| page.len() >= usize::from(BATCH)).map(CdrCursor::from);
        if let Some(after) = after {
            let next = self.records.page(&self.filter, Some(after), BATCH).await;
            self.page = Some(next.inspect_err(|_| warn!("export of billing records broken off"))?);
        }
        Ok(Some((part.into(), self)))
    }

    fn write(&self, page: &[Cdr]) -> Result<Vec<u8>, Broken> {
        match self.form {
            Form::Csv => Ok(csv::csv(page, self.is_first)?),
            Form::JsonLines => {
                let mut lines = Vec::new();
                for record in page {
                    serde_json::to_writer(&mut lines, record)?;
                    lines.push(b'\n');
                }
                Ok(lines)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tandem_core::id::UserId;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn neither_a_user_nor_a_tenant_keeps_the_others_out() {
        let exports = Arc::new(Exports::default());
        let user = |tenant: &str, n| Some((tenant.parse().unwrap(), UserId::from_uuid(Uuid::from_u128(n))));
        let first = exports.begin(user("acme", 1)).unwrap();
        assert!(exports.begin(user("acme", 1)).is_none(), "one of a user");
        let _second = exports.begin(user("acme", 2)).unwrap();
        assert!(exports.begin(user("acme", 3)).is_none(), "two of a tenant");
        let _third = exports.begin(user("globex", 1)).unwrap();
        let operators = exports.begin(None).unwrap();
        assert!(exports.begin(None).is_none() && exports.begin(user("globex", 2)).is_none(), "four of all");
        drop(operators);
        let _his = [exports.begin(None).unwrap()];
        drop(first);
        assert!(exports.begin(user("acme", 3)).is_some());
    }
}
