//! A user's own calls, from the database.

use std::sync::Arc;

use futures::future::BoxFuture;
use tandem_core::event::Side;
use tandem_core::id::{CallId, Tenant, UserId};
use tandem_http::{Direction, History, HistoryUnavailable, Page, UserCall};
use tandem_storage::{QueryError, Storage, UserCall as Stored};
use tracing::warn;

/// See the module.
pub(crate) struct StoredCalls(pub(crate) Arc<Storage>);

impl History for StoredCalls {
    fn page<'a>(
        &'a self,
        tenant: &'a Tenant,
        user: UserId,
        before: Option<CallId>,
        limit: u8,
    ) -> BoxFuture<'a, Result<Page, HistoryUnavailable>> {
        Box::pin(async move {
            let found = self.0.calls_of(tenant, user, before, u64::from(limit)).await.map_err(unavailable)?;
            Ok(Page { more: found.next.is_some(), calls: found.calls.into_iter().map(view).collect() })
        })
    }

    fn find<'a>(
        &'a self,
        tenant: &'a Tenant,
        user: UserId,
        call: CallId,
    ) -> BoxFuture<'a, Result<Option<UserCall>, HistoryUnavailable>> {
        Box::pin(async move { Ok(self.0.call_of(tenant, user, call).await.map_err(unavailable)?.map(view)) })
    }
}

fn unavailable(error: QueryError) -> HistoryUnavailable {
    warn!(%error, "history not read");
    HistoryUnavailable
}

fn view(stored: Stored) -> UserCall {
    let (direction, peer, peer_name) = match stored.side {
        Side::Caller => (Direction::Outgoing, stored.callee.unwrap_or(stored.dialled), stored.callee_name),
        Side::Callee | Side::System => (Direction::Incoming, stored.caller, stored.caller_name),
    };
    UserCall {
        call_id: stored.call_id,
        session_id: stored.session_id,
        correlation_id: stored.correlation_id,
        direction,
        peer,
        peer_name,
        is_dialled: true,
        started_at: stored.started_at,
        ringing_at: stored.ringing_at,
        answered_at: stored.answered_at,
        ended_at: stored.ended_at,
        cause: stored.cause,
        talked: stored.talked,
        sdp_offer: None,
    }
}
