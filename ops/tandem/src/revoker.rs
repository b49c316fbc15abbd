//! Taking tokens back on every node: into the database, into memory here, and over the bus into everybody else's.

use std::error::Error;
use std::sync::Arc;

use futures::future::BoxFuture;
use tandem_core::event::Live;
use tandem_core::id::NodeId;
use tandem_core::ports::BusPort;
use tandem_core::revocation::Revocation;
use tandem_http::identity::{Revocations, Revoker, Unavailable};
use tandem_storage::{Bus, Storage};
use tracing::error;

/// See the module.
pub(crate) struct StoredRevoker {
    pub(crate) storage: Arc<Storage>,
    pub(crate) revocations: Arc<Revocations>,
    pub(crate) bus: Arc<Bus>,
    pub(crate) node: NodeId,
}

impl Revoker for StoredRevoker {
    fn revoke<'a>(&'a self, revocation: &'a Revocation) -> BoxFuture<'a, Result<(), Unavailable>> {
        Box::pin(async move {
            // Where the database is away, it holds here and on who hears of it, and whoever asked is told to ask again.
            self.revocations.apply([revocation.clone()]);
            self.bus.publish(&Live::Revoked { node: self.node, revocation: revocation.clone() });
            self.storage.revoke(revocation).await.map_err(|error| {
                error!(error = &error as &dyn Error, "revocation not stored");
                Unavailable
            })
        })
    }
}
