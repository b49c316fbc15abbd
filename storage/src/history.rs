//! What a user sees of his calls.

use std::collections::HashMap;
use std::time::Duration;

use sea_orm::entity::prelude::*;
use sea_orm::{QueryOrder, QuerySelect, QueryTrait};
use tandem_core::cause::Cause;
use tandem_core::event::Side;
use tandem_core::id::{CallId, CorrelationId, LegId, Tenant, UserId};
use tandem_core::party::Number;
use tandem_core::pii::Pii;
use tandem_core::time::WallTime;

use crate::database::{QueryError, Storage};
use crate::entity::call::{self, CallStatus};
use crate::entity::{cdr, leg};
use crate::projection::{CALLEE, CALLER};
use crate::record;

/// Most calls on a page.
pub const LARGEST_PAGE: u64 = 100;

/// A call of a user, from his side.
#[derive(Clone, Debug, PartialEq)]
pub struct UserCall {
    /// Which call.
    pub call_id: CallId,
    /// The one id that explains everything.
    pub correlation_id: CorrelationId,
    /// His leg: the calling one when he called himself, else the one that answered, else the latest.
    pub session_id: LegId,
    /// Which side his leg is on.
    pub side: Side,
    /// Where it stands.
    pub status: CallStatus,
    /// Who called.
    pub caller: Number,
    /// His name, when he has one.
    pub caller_name: Option<Pii<String>>,
    /// Who answered; else who was tried last; nobody when there was no way to anybody.
    pub callee: Option<Number>,
    /// His name, when he has one.
    pub callee_name: Option<Pii<String>>,
    /// What was dialled, as it came.
    pub dialled: Number,
    /// When the caller was let in.
    pub started_at: WallTime,
    /// When the first device rang.
    pub ringing_at: Option<WallTime>,
    /// When it was answered.
    pub answered_at: Option<WallTime>,
    /// When it ended.
    pub ended_at: Option<WallTime>,
    /// Once it is over: how long it is billed for, in whole milliseconds. Zero when it was never answered.
    pub talked: Option<Duration>,
    /// Why it ended.
    pub cause: Option<Cause>,
}

/// Some calls of a user, the latest first.
#[derive(Clone, Debug, PartialEq)]
pub struct UserCalls {
    /// The calls.
    pub calls: Vec<UserCall>,
    /// Where the next page begins; `None` on the last one. New calls do not move it.
    pub next: Option<CallId>,
}

impl Storage {
    /// A page of a user's calls, the latest first: those that began before `before`, up to `limit` (1 to
    /// [`LARGEST_PAGE`], what is beyond counts as that).
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn calls_of(
        &self,
        tenant: &Tenant,
        user: UserId,
        before: Option<CallId>,
        limit: u64,
    ) -> Result<UserCalls, QueryError> {
        let limit = limit.clamp(1, LARGEST_PAGE);
        // Ids are minted in the order of time.
        let mut ids: Vec<String> = leg::Entity::find()
            .select_only()
            .column(leg::Column::CallId)
            .distinct()
            .filter(leg::Column::UserId.eq(user.to_string()))
            .filter(leg::Column::Tenant.eq(tenant.as_str()))
            .apply_if(before, |legs, before| legs.filter(leg::Column::CallId.lt(before.to_string())))
            .order_by_desc(leg::Column::CallId)
            .limit(limit + 1)
            .into_tuple()
            .all(&self.reader)
            .await?;
        let page = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_more = ids.len() > page;
        ids.truncate(page);
        let calls = self.seen_by(tenant, user, ids).await?;
        let next = if has_more { calls.last().map(|call| call.call_id) } else { None };
        Ok(UserCalls { calls, next })
    }

    /// One call of a user; `None` when there is none or it is somebody else's, in the same time.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn call_of(&self, tenant: &Tenant, user: UserId, call: CallId) -> Result<Option<UserCall>, QueryError> {
        let his = leg::Entity::find()
            .filter(leg::Column::CallId.eq(call.to_string()))
            .filter(leg::Column::UserId.eq(user.to_string()))
            .filter(leg::Column::Tenant.eq(tenant.as_str()));
        if his.count(&self.reader).await? == 0 {
            return Ok(None);
        }
        Ok(self.seen_by(tenant, user, vec![call.to_string()]).await?.pop())
    }

    /// Calls that a user has a leg in, the latest first.
    async fn seen_by(&self, tenant: &Tenant, user: UserId, ids: Vec<String>) -> Result<Vec<UserCall>, QueryError> {
        let calls = call::Entity::find().filter(call::Column::Id.is_in(&ids)).order_by_desc(call::Column::Id);
        let calls = calls.filter(call::Column::Tenant.eq(tenant.as_str()));
        let calls = calls.all(&self.reader).await?;
        let legs = leg::Entity::find().filter(leg::Column::CallId.is_in(&ids));
        let mut legs_of: HashMap<String, Vec<leg::Model>> = HashMap::new();
        for leg in legs.all(&self.reader).await? {
            legs_of.entry(leg.call_id.clone()).or_default().push(leg);
        }
        let talked = cdr::Entity::find().select_only().columns([cdr::Column::CallId, cdr::Column::TalkMs]);
        let talked = talked.filter(cdr::Column::CallId.is_in(&ids)).into_tuple().all(&self.reader);
        let talked: HashMap<String, i64> = talked.await?.into_iter().collect();

        let user = user.to_string();
        let seen: Option<_> = calls
            .into_iter()
            .map(|call| {
                let (legs, billed) = (legs_of.remove(&call.id).unwrap_or_default(), talked.get(&call.id).copied());
                seen(call, &legs, billed, &user)
            })
            .collect();
        seen.ok_or(QueryError::Damaged { table: "calls" })
    }
}

fn seen(call: call::Model, legs: &[leg::Model], billed_ms: Option<i64>, user: &str) -> Option<UserCall> {
    let on = |side: &'static str| legs.iter().filter(move |leg| leg.side == side);
    let speaker = |leg: &&leg::Model| (leg.answered_at.is_some(), leg.id.clone());
    let caller = on(CALLER).next();
    let callee = on(CALLEE).max_by_key(speaker);
    let is_his = |leg: &&leg::Model| leg.user_id.as_deref() == Some(user);
    let his = on(CALLER).find(is_his).or_else(|| on(CALLEE).filter(is_his).max_by_key(speaker))?;
    let name = |leg: Option<&leg::Model>| leg.and_then(|it| it.name.clone()).map(Pii::new);
    let (answered_at, ended_at) = (call.answered_at.map(WallTime::from), call.ended_at.map(WallTime::from));
    Some(UserCall {
        call_id: call.id.parse().ok()?,
        correlation_id: call.correlation_id.parse().ok()?,
        session_id: his.id.parse().ok()?,
        side: record::side(&his.side)?,
        status: call.status,
        caller: call.caller.into(),
        caller_name: name(caller),
        callee: call.callee.map(Into::into),
        callee_name: name(callee),
        dialled: call.dialled.into(),
        started_at: call.started_at.into(),
        ringing_at: call.ringing_at.map(Into::into),
        answered_at,
        ended_at,
        talked: ended_at.map(|end| talked(billed_ms, answered_at, end)),
        cause: match call.cause {
            Some(name) => Some(record::cause(&name)?),
            None => None,
        },
    })
}

/// As the record has it; while there is none, as the wall clock has it.
fn talked(billed_ms: Option<i64>, answered_at: Option<WallTime>, ended_at: WallTime) -> Duration {
    match billed_ms {
        Some(ms) => Duration::from_millis(u64::try_from(ms).unwrap_or(0)),
        None => answered_at.map_or(Duration::ZERO, |answered| ended_at - answered),
    }
}
