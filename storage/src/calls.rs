//! What operators ask about calls that are, and calls that were.

use sea_orm::entity::prelude::*;
use sea_orm::{QueryOrder, QuerySelect};
use tandem_core::cause::Cause;
use tandem_core::cdr::Cdr;
use tandem_core::event::Fact;
use tandem_core::id::{CallId, CorrelationId};
use tandem_core::party::Number;
use tandem_core::time::WallTime;

use crate::database::{QueryError, Storage};
use crate::entity::call::{self, CallStatus};
use crate::entity::cdr;
use crate::record;

/// One call in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct RecentCall {
    /// Which call.
    pub call_id: CallId,
    /// The one id that explains everything.
    pub correlation_id: CorrelationId,
    /// Who called.
    pub caller: Number,
    /// Who answered; else who was tried last; nobody when there was no way to anybody.
    pub callee: Option<Number>,
    /// What was dialled, as it came.
    pub dialled: Number,
    /// Where it stands.
    pub status: CallStatus,
    /// When the caller was let in.
    pub started_at: WallTime,
    /// When it was answered.
    pub answered_at: Option<WallTime>,
    /// When it ended.
    pub ended_at: Option<WallTime>,
    /// Why it ended.
    pub cause: Option<Cause>,
}

impl Storage {
    /// The last `limit` calls, the latest first.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn recent_calls(&self, limit: u64) -> Result<Vec<RecentCall>, QueryError> {
        let rows = call::Entity::find().order_by_desc(call::Column::StartedAt).limit(limit).all(&self.reader).await?;
        let calls: Option<_> = rows.into_iter().map(recent).collect();
        calls.ok_or(QueryError::Damaged { table: "calls" })
    }

    /// Calls with this correlation id, the first one first, at most `limit`.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn calls_correlated(&self, id: CorrelationId, limit: u64) -> Result<Vec<CallId>, QueryError> {
        let ids = call::Entity::find().select_only().column(call::Column::Id);
        let ids = ids.filter(call::Column::CorrelationId.eq(id.to_string())).order_by_asc(call::Column::Id);
        let ids: Vec<String> = ids.limit(limit).into_tuple().all(&self.reader).await?;
        let ids: Result<_, _> = ids.iter().map(|id| id.parse()).collect();
        ids.map_err(|_| QueryError::Damaged { table: "calls" })
    }

    /// The billing record of a call, once it is over.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn cdr(&self, call: CallId) -> Result<Option<Cdr>, QueryError> {
        let row = cdr::Entity::find_by_id(call.to_string()).one(&self.reader).await?;
        row.map(|row| record::of(row).ok_or(QueryError::Damaged { table: "cdrs" })).transpose()
    }

    /// Everything that happened to a call, in order; nothing when it is unknown. Session descriptions are left out.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn facts(&self, call: CallId) -> Result<Vec<Fact>, QueryError> {
        self.facts_of(&call.to_string()).await
    }
}

fn recent(row: call::Model) -> Option<RecentCall> {
    Some(RecentCall {
        call_id: row.id.parse().ok()?,
        correlation_id: row.correlation_id.parse().ok()?,
        caller: row.caller.into(),
        callee: row.callee.map(Into::into),
        dialled: row.dialled.into(),
        status: row.status,
        started_at: row.started_at.into(),
        answered_at: row.answered_at.map(Into::into),
        ended_at: row.ended_at.map(Into::into),
        cause: match row.cause {
            Some(name) => Some(record::cause(&name)?),
            None => None,
        },
    })
}
