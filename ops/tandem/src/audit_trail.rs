//! The audit, over the database: what the HTTP edge asks for, and what the command line leaves there.

use std::sync::Arc;

use anyhow::Result;
use futures::future::BoxFuture;
use tandem_core::audit::{Action, Actor, AuditEvent, AuditFilter, Deed};
use tandem_core::id::Tenant;
use tandem_http::{AuditTrail, AuditUnavailable};
use tandem_storage::{Storage, node_id};
use tracing::warn;

use crate::config::Config;

/// See the module.
pub(crate) struct StoredAudit(pub(crate) Arc<Storage>);

impl AuditTrail for StoredAudit {
    fn read<'a>(&'a self, filter: &'a AuditFilter) -> BoxFuture<'a, Result<Vec<AuditEvent>, AuditUnavailable>> {
        Box::pin(async move {
            self.0.audit_events(filter).await.map_err(|error| {
                warn!(%error, "audit not read");
                AuditUnavailable
            })
        })
    }
}

/// Notes what somebody did on the command line, which has no journal.
///
/// # Errors
/// The database does not take it, or this node has no id.
pub(crate) async fn note(
    config: &Config,
    storage: &Storage,
    tenant: &Tenant,
    action: Action,
    what: impl std::fmt::Display,
) -> Result<()> {
    note_deed(config, storage, Deed::new(tenant.clone(), Actor::Operator, action, "done").of(what)).await
}

/// Notes a deed of somebody on the command line as he tells it.
///
/// # Errors
/// The database does not take it, or this node has no id.
pub(crate) async fn note_deed(config: &Config, storage: &Storage, deed: Deed) -> Result<()> {
    Ok(storage.note_audit(node_id(&config.storage.data_dir)?, deed).await?)
}
