//! What a node does before anything else: stores what its journal still has, and ends the calls that died with it.

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{QueryOrder, QuerySelect};
use tandem_core::cdr::CdrFold;
use tandem_core::event::Fact;
use tandem_core::id::NodeId;
use tandem_core::ports::LedgerPort;

use crate::database::{QueryError, Storage};
use crate::entity::{call, event};
use crate::ledger::{Ledger, StoreError};

/// Why a node cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// The journal does not get into the database.
    #[error("journal not replayed")]
    Replay(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What calls are open cannot be found out.
    #[error(transparent)]
    Query(#[from] QueryError),
}

impl Ledger {
    /// Replays the journal, then ends every call of this node that has no record yet, with cause `node_lost`. Before
    /// the loops and before the first call. Returns how many calls it ended; a second time that is none.
    ///
    /// # Errors
    /// [`RecoveryError`]: nothing is lost, try again.
    pub async fn recover(&self, node: NodeId) -> Result<usize, RecoveryError> {
        if let Err(error) = self.journal.readmit() {
            tracing::error!(%error, "entries that were set aside are not tried again");
        }
        self.replay().await?;
        let mut ended = 0;
        for call in self.storage.open_calls(node).await? {
            let facts = match self.storage.facts_of(&call).await {
                Ok(facts) => facts,
                // One damaged call is no reason for a node not to start.
                Err(QueryError::Damaged { .. }) => Vec::new(),
                Err(error) => return Err(error.into()),
            };
            let Some(owed) = self.owed(&facts, node) else {
                tracing::error!(call_id = call, "facts of an open call are damaged, it stays open");
                continue;
            };
            owed.iter().for_each(|fact| self.commit(fact));
            ended += 1;
        }
        self.replay().await?;
        if ended > 0 {
            tracing::warn!(calls = ended, "calls that died with the node were ended");
        }
        Ok(ended)
    }

    /// What a call still owes: its end at the last sign of life, and its record.
    fn owed(&self, facts: &[Fact], node: NodeId) -> Option<Vec<Fact>> {
        let (first, rest) = facts.split_first()?;
        let mut fold = CdrFold::begin(first)?;
        rest.iter().for_each(|fact| fold.apply(fact));
        let last = rest.last().unwrap_or(first).at;
        Some(fold.close_lost(self.heartbeat.previous().map_or(last, |beat| beat.max(last)), node))
    }

    async fn replay(&self) -> Result<(), RecoveryError> {
        let failed = |error: StoreError| RecoveryError::Replay(Box::new(error));
        while self.store_batch().await.map_err(failed)? > 0 {}
        Ok(())
    }
}

impl Storage {
    /// Ids of the node's calls that have no record. Worded as the index `calls_open` is.
    async fn open_calls(&self, node: NodeId) -> Result<Vec<String>, QueryError> {
        let open = call::Entity::find().select_only().column(call::Column::Id);
        let open = open.filter(call::Column::NodeId.eq(node.to_string())).filter(Expr::col(call::Column::Closed).not());
        Ok(open.into_tuple().all(&self.reader).await?)
    }

    /// The facts of a call, in order.
    pub(crate) async fn facts_of(&self, call: &str) -> Result<Vec<Fact>, QueryError> {
        let rows = event::Entity::find().select_only().column(event::Column::Payload);
        let rows = rows.filter(event::Column::Aggregate.eq(call)).order_by_asc(event::Column::Seq);
        let texts: Vec<String> = rows.into_tuple().all(&self.reader).await?;
        let facts = texts.iter().map(|text| Fact::from_event(text));
        facts.collect::<Result<_, _>>().map_err(|_| QueryError::Damaged { table: "events" })
    }
}
