//! Taking tokens back on every node: into the database, into memory here, and over the bus into everybody else's.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tandem_core::event::Live;
use tandem_core::id::NodeId;
use tandem_core::ports::BusPort;
use tandem_core::revocation::Revocation;
use tandem_http::identity::{Revocations, Revoker, Unavailable};
use tandem_storage::{Bus, Storage};
use tokio::time::timeout;
use tracing::error;

/// How long the database may take before the others are told without it.
const STORED_IN: Duration = Duration::from_secs(3);

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
            self.revocations.apply([revocation.clone()]);
            let stored = timeout(STORED_IN, self.storage.revoke(revocation)).await;
            // Told only now: a node that starts listens first and reads then, and finds it in one of the two. Where the
            // database is away it holds on who hears of it, and whoever asked is told to ask again.
            self.bus.publish(&Live::Revoked { node: self.node, revocation: revocation.clone() });
            match stored {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => {
                    error!(error = &error as &dyn Error, "revocation not stored");
                    Err(Unavailable)
                }
                Err(_) => {
                    error!("revocation not stored in time");
                    Err(Unavailable)
                }
            }
        })
    }
}
