//! A user's calls: what lives, over what is stored.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use tandem_core::id::CallId;
use utoipa::{IntoParams, ToSchema};

use super::Named;
use crate::api::Shared;
use crate::bearer::Principal;
use crate::history::Page;
use crate::problem::{ErrorBody, Problem};
use crate::user_call::{Call, UserCall};

/// Calls on a page unless asked otherwise.
const USUAL: u8 = 20;

/// Most calls on a page.
const MOST: u8 = 100;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Calls on this page; 20 unless asked otherwise.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u8>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^call_[0-9a-f]{32}$")]
    cursor: Option<String>,
}

/// Some of one's calls, the latest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct CallList {
    calls: Vec<Call>,
    /// For the next page; `null` when there is none.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// One's own calls, the latest first.
#[utoipa::path(get, path = "/api/v1/calls", tag = "calls", security(("bearer" = [])), params(ListQuery), responses(
    (status = 200, description = "A page of calls", body = CallList),
    (status = 400, description = "`validation_error`", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody, headers(("Retry-After" = u64, description = "Seconds"))),
))]
pub(crate) async fn list(
    State(shared): State<Shared>,
    principal: Principal,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<CallList>, Problem> {
    let Query(query) = query.map_err(|_| Problem::invalid("limit: 1 to 100"))?;
    let limit = query.limit.unwrap_or(USUAL);
    if !(1..=MOST).contains(&limit) {
        return Err(Problem::invalid("limit: 1 to 100"));
    }
    let before = query.cursor.map(|cursor| cursor.parse::<CallId>()).transpose();
    let before = before.map_err(|_| Problem::invalid("cursor: as it came with the page before"))?;
    let api = &shared.api;
    let stored = api.history.page(&principal.tenant, principal.user_id, before, limit).await?;
    let live = api.clients.look(&principal.key(), |user| user.calls().cloned().collect()).unwrap_or_default();
    let page = merge(stored, live, before, limit.into());
    let now = api.clients.clock.now().wall;
    let next_cursor = page.calls.last().filter(|_| page.more).map(|call| call.call_id.to_string());
    Ok(Json(CallList { calls: page.calls.iter().map(|call| call.told(now)).collect(), next_cursor }))
}

/// One of one's own calls.
#[utoipa::path(get, path = "/api/v1/calls/{call_id}", tag = "calls", security(("bearer" = [])),
    params(("call_id" = String, Path)),
    responses(
        (status = 200, description = "The call", body = Call),
        (status = 401, description = "`unauthorized`", body = ErrorBody),
        (status = 404, description = "`call_not_found`", body = ErrorBody),
        (status = 503, description = "`unavailable`", body = ErrorBody, headers(("Retry-After" = u64, description = "Seconds"))),
    ))]
pub(crate) async fn find(
    State(shared): State<Shared>,
    principal: Principal,
    Named(call): Named,
) -> Result<Json<Call>, Problem> {
    let call = super::find(&shared.api, &principal, call).await?;
    Ok(Json(call.told(shared.api.clients.clock.now().wall)))
}

/// What lives takes the place of what is stored of it, or goes where it belongs. Ids rise with time.
fn merge(stored: Page, live: Vec<UserCall>, before: Option<CallId>, limit: usize) -> Page {
    // Below the last stored one is the next page's.
    let floor = stored.calls.last().filter(|_| stored.more).map(|call| call.call_id);
    let is_here = |call: &UserCall| {
        before.is_none_or(|before| call.call_id < before) && floor.is_none_or(|floor| call.call_id >= floor)
    };
    let mut calls: Vec<_> = live.into_iter().filter(is_here).collect();
    let only_stored = stored.calls.into_iter().filter(|it| calls.iter().all(|live| live.call_id != it.call_id));
    let only_stored: Vec<_> = only_stored.collect();
    calls.extend(only_stored);
    calls.sort_by_key(|call| std::cmp::Reverse(call.call_id));
    let more = stored.more || calls.len() > limit;
    calls.truncate(limit);
    Page { calls, more }
}

#[cfg(test)]
mod tests {
    use tandem_core::id::{CorrelationId, LegId};
    use tandem_core::time::WallTime;
    use uuid::Uuid;

    use super::*;
    use crate::user_call::Direction;

    fn call(n: u128, is_live: bool) -> UserCall {
        UserCall {
            call_id: CallId::from_uuid(Uuid::from_u128(n)),
            session_id: LegId::from_uuid(Uuid::from_u128(n)),
            correlation_id: CorrelationId::from_uuid(Uuid::from_u128(n)),
            direction: Direction::Outgoing,
            peer: String::from("101").into(),
            peer_name: None,
            is_dialled: is_live,
            started_at: WallTime(0),
            ringing_at: None,
            answered_at: None,
            ended_at: None,
            cause: None,
            talked: None,
            sdp_offer: None,
        }
    }

    fn page(numbers: &[u128], more: bool) -> Page {
        Page { calls: numbers.iter().map(|n| call(*n, false)).collect(), more }
    }

    fn merged(stored: Page, live: &[u128], before: Option<u128>, limit: usize) -> (Vec<(u128, bool)>, bool) {
        let live = live.iter().map(|n| call(*n, true)).collect();
        let before = before.map(|n| CallId::from_uuid(Uuid::from_u128(n)));
        let page = merge(stored, live, before, limit);
        (page.calls.iter().map(|it| (it.call_id.uuid().as_u128(), it.is_dialled)).collect(), page.more)
    }

    #[test]
    fn what_lives_comes_before_what_is_stored_of_it() {
        assert_eq!(merged(page(&[3, 2, 1], false), &[3], None, 10).0, [(3, true), (2, false), (1, false)]);
        assert_eq!(merged(page(&[2, 1], false), &[3], None, 10).0, [(3, true), (2, false), (1, false)]);
    }

    #[test]
    fn a_page_is_never_longer_than_asked_and_loses_nothing() {
        assert_eq!(merged(page(&[2, 1], false), &[3], None, 2), (vec![(3, true), (2, false)], true));
        assert_eq!(merged(page(&[1], false), &[3], Some(2), 2), (vec![(1, false)], false));
    }

    #[test]
    fn a_live_call_below_the_page_waits_for_the_next_one() {
        assert_eq!(merged(page(&[9, 8], true), &[3, 9], None, 5), (vec![(9, true), (8, false)], true));
    }
}
