//! Billing records, from the database.

use std::sync::Arc;

use futures::future::BoxFuture;
use tandem_core::cdr::{Cdr, CdrCursor, CdrFilter};
use tandem_http::{Records, RecordsUnavailable};
use tandem_storage::Storage;
use tracing::warn;

/// See the module.
pub(crate) struct StoredRecords(pub(crate) Arc<Storage>);

impl Records for StoredRecords {
    fn page<'a>(
        &'a self,
        filter: &'a CdrFilter,
        after: Option<CdrCursor>,
        limit: u16,
    ) -> BoxFuture<'a, Result<Vec<Cdr>, RecordsUnavailable>> {
        Box::pin(async move {
            self.0.cdrs(filter, after, limit.into()).await.map_err(|error| {
                warn!(%error, "billing records not read");
                RecordsUnavailable
            })
        })
    }
}
