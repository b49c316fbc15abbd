//! All records that a filter lets through, as one file that is written while it is read.

use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures::stream::try_unfold;
use tandem_core::cdr::{Cdr, CdrCursor, CdrFilter};
use tokio::sync::OwnedSemaphorePermit;
use tracing::warn;

use super::query::{CdrQuery, Form};
use super::{Reader, Records, csv};
use crate::api::Shared;
use crate::auth::CameFrom;
use crate::bearer::Principal;
use crate::problem::{ErrorBody, Problem};

/// Most exports at a time; one more is refused.
pub(crate) const EXPORTS: usize = 4;

/// Records in memory at a time: some megabytes for all exports together.
const BATCH: u16 = 500;

type Broken = Box<dyn std::error::Error + Send + Sync>;

/// An export on its way. Dropped with the connection, and with it the permit.
struct Export {
    records: Arc<dyn Records>,
    filter: CdrFilter,
    form: Form,
    /// What is to be written next; `None`: it is over.
    page: Option<Vec<Cdr>>,
    is_first: bool,
    _permit: OwnedSemaphorePermit,
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
        (status = 503, description = "`unavailable`: too many exports at a time, or no database", body = ErrorBody, headers(("Retry-After" = u64, description = "Seconds"))),
    ))]
pub(crate) async fn export(
    State(shared): State<Shared>,
    principal: Principal,
    Extension(from): Extension<CameFrom>,
    query: CdrQuery,
) -> Result<Response, Problem> {
    begin(&shared, Reader::User(principal), from, query.for_tenant()?).await
}

pub(super) async fn export_for_operator(
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
    let permit = shared.exports.clone().try_acquire_owned().map_err(|_| Problem::Unavailable)?;
    let records = shared.api.records.clone();
    // A database that is away is a refusal, not half a file.
    let first = records.page(&filter, None, BATCH).await;
    reader.audit(from, "export_cdrs", &filter, if first.is_ok() { "begun" } else { "unavailable" });
    let export = Export { records, filter, form, page: Some(first?), is_first: true, _permit: permit };
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
