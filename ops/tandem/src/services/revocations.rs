//! Follows what is revoked, wherever: from the bus at once, and from the database what the bus did not bring.

use std::sync::Arc;
use std::time::Duration;

use tandem_actors::{Clock, Service, ServiceError};
use tandem_core::metric::{Gauge, Metrics};
use tandem_http::identity::Revocations;
use tandem_storage::{Bus, PublishedEvent, Storage};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// How often the database is asked: the longest that a revocation of a node which the bus has lost is unknown here.
const LOOK: Duration = Duration::from_secs(30);

/// See the module.
pub(crate) struct RevocationKeeper {
    pub(crate) storage: Arc<Storage>,
    pub(crate) revocations: Arc<Revocations>,
    pub(crate) bus: Arc<Bus>,
    pub(crate) clock: Clock,
    pub(crate) metrics: Arc<Metrics>,
}

impl RevocationKeeper {
    async fn keep(&self) -> Result<(), ServiceError> {
        // First to listen, then to read: nothing falls between.
        let mut events = self.bus.subscribe();
        loop {
            self.storage.prune_revocations().await?;
            self.load().await?;
            // A bus that lost events of ours, or is gone, is made up for by the database.
            let _due = tokio::time::timeout(LOOK, self.listen(&mut events)).await;
        }
    }

    /// Takes over what the database has.
    ///
    /// # Errors
    /// The database does not answer.
    pub(crate) async fn load(&self) -> Result<(), ServiceError> {
        self.revocations.apply(self.storage.load_revocations().await?);
        self.revocations.prune(self.clock.now().wall);
        self.note();
        Ok(())
    }

    /// Until something was missed.
    async fn listen(&self, events: &mut Receiver<Arc<PublishedEvent>>) {
        loop {
            match events.recv().await {
                Ok(event) => {
                    if let Some(revocation) = event.revocation() {
                        self.revocations.apply([revocation]);
                        self.note();
                    }
                }
                Err(RecvError::Lagged(missed)) => {
                    warn!(missed, "bus too fast, revocations read from the database");
                    return;
                }
                Err(RecvError::Closed) => return std::future::pending().await,
            }
        }
    }

    fn note(&self) {
        self.metrics.set(Gauge::Revocations, i64::try_from(self.revocations.len()).unwrap_or(i64::MAX));
    }
}

impl Service for RevocationKeeper {
    fn name(&self) -> &str {
        "revocations"
    }

    async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<(), ServiceError> {
        stop.run_until_cancelled(self.keep()).await.unwrap_or(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tandem_core::id::{NodeId, Tenant};
    use tandem_core::revocation::{Revocation, Revoked};
    use tandem_http::identity::Revoker;
    use tandem_storage::Config;
    use uuid::Uuid;

    use super::*;
    use crate::revoker::StoredRevoker;

    struct NodeInside {
        keeper: Arc<RevocationKeeper>,
        revoker: StoredRevoker,
    }

    /// A node over this database and bus.
    async fn node(folder: &tempfile::TempDir, bus: &Arc<Bus>) -> NodeInside {
        let config = Config { data_dir: folder.path().to_owned(), ..Config::default() };
        let metrics = Arc::new(Metrics::default());
        let storage = Storage::open(&config, metrics.clone()).await.unwrap();
        let revocations = Arc::new(Revocations::default());
        let revoker = StoredRevoker {
            storage: storage.clone(),
            revocations: revocations.clone(),
            bus: bus.clone(),
            node: NodeId::from_uuid(Uuid::from_u128(1)),
        };
        let (bus, clock) = (bus.clone(), Clock::start());
        let keeper = Arc::new(RevocationKeeper { storage, revocations, bus, clock, metrics });
        NodeInside { keeper, revoker }
    }

    fn revocation(token: &str, ends_in: Duration) -> Revocation {
        let until = Clock::start().now().wall + ends_in;
        Revocation { tenant: Tenant::default_tenant(), what: Revoked::Token(token.to_owned()), until }
    }

    async fn until(node: &NodeInside, count: usize) {
        let seen = async {
            while node.keeper.revocations.len() != count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), seen).await.expect("in time");
    }

    #[tokio::test]
    async fn every_node_on_the_bus_knows_at_once_and_one_that_starts_later_too() {
        let folder = tempfile::tempdir().unwrap();
        let bus = Bus::new(64, Arc::default());
        let (here, there) = (node(&folder, &bus).await, node(&folder, &bus).await);
        let listening = tokio::spawn(there.keeper.clone().run(CancellationToken::new()));
        let hour = Duration::from_secs(3_600);
        here.revoker.revoke(&revocation("before", hour)).await.unwrap();
        until(&there, 1).await;
        here.revoker.revoke(&revocation("t1", hour)).await.unwrap();
        assert_eq!(here.keeper.revocations.len(), 2);
        until(&there, 2).await;
        // It comes again, shorter and longer.
        for ends_in in [Duration::from_secs(60), hour * 2] {
            here.revoker.revoke(&revocation("t1", ends_in)).await.unwrap();
        }
        listening.abort();
        let restarted = node(&folder, &Bus::new(1, Arc::default())).await;
        restarted.keeper.load().await.unwrap();
        assert_eq!(restarted.keeper.revocations.len(), 2);
        assert_eq!(restarted.keeper.metrics.gauge(Gauge::Revocations), 2);
        let stored = restarted.keeper.storage.load_revocations().await.unwrap();
        let longest = stored.iter().map(|it| it.until).max().unwrap();
        assert!(longest > Clock::start().now().wall + hour, "the later time holds");
    }

    #[tokio::test]
    async fn what_has_ended_is_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let node = node(&folder, &Bus::new(1, Arc::default())).await;
        node.revoker.revoke(&revocation("over", Duration::ZERO)).await.unwrap();
        node.revoker.revoke(&revocation("lasting", Duration::from_secs(3_600))).await.unwrap();
        assert_eq!(node.keeper.storage.prune_revocations().await.unwrap(), 1);
        node.keeper.load().await.unwrap();
        assert_eq!(node.keeper.revocations.len(), 1);
    }
}
