//! What a user sees of his calls.

use std::time::Duration;

use sea_orm::{ConnectionTrait, Statement, TransactionTrait};
use tandem_core::cause::Cause;
use tandem_core::cdr::CdrFold;
use tandem_core::event::{Fact, FactBody, Side};
use tandem_core::id::{DeviceId, Tenant, UserId};
use tandem_core::party::{Identity, Party};
use tandem_storage::{CallStatus, Engine, UserCall};

use super::ENGINE;
use super::support::{Home, Process, at, call_id, fact, leg, node, on, talked, uuid};

/// The callee's leg that this is, from 1; the answering one and its second, or nobody.
type Answer = Option<(u128, i64)>;

fn user(n: u128) -> UserId {
    UserId::from_uuid(uuid(n))
}

fn party(n: u128) -> Party {
    let identity = Identity::User { user_id: user(n), device_id: DeviceId::from_uuid(uuid(n)) };
    Party { number: n.to_string().into(), name: Some(format!("user {n}").into()), identity }
}

/// User `caller` calls; the devices of `callees` ring one after the other, one may answer, and it ends after 60 s.
fn call(n: u128, caller: u128, callees: &[u128], answer: Answer, cause: Cause) -> Vec<Fact> {
    let mut bodies =
        vec![(0, FactBody::Started { leg_id: leg(n, 0), caller: party(caller), dialled: "77".to_owned().into() })];
    for (&callee, n_leg) in callees.iter().zip(1..) {
        bodies.push((1, FactBody::Dialled { leg_id: leg(n, n_leg), callee: party(callee), route: None }));
    }
    if let Some((n_leg, second)) = answer {
        bodies.push((second, FactBody::Answered { leg_id: leg(n, n_leg) }));
    }
    bodies.push((60, FactBody::Ended { cause, by: Side::Caller }));
    let mut facts: Vec<_> = (1..).zip(bodies).map(|(number, (second, body))| fact(n, number, second, body)).collect();
    let mut fold = CdrFold::begin(&facts[0]).unwrap();
    facts.iter().for_each(|fact| fold.apply(fact));
    facts.push(fact(n, fold.next_number(), 60, FactBody::CdrClosed(Box::new(fold.record(node())))));
    facts
}

async fn with(home: &Home, calls: &[Vec<Fact>]) -> Process {
    let process = home.open().await;
    calls.iter().for_each(|facts| process.commit(facts));
    process.store().await;
    process
}

async fn one(process: &Process, who: u128, n: u128) -> Option<UserCall> {
    process.storage.call_of(&Tenant::default_tenant(), user(who), call_id(n)).await.unwrap()
}

#[tokio::test]
async fn each_side_sees_the_call_from_his_own() {
    let home = Home::new();
    let process = with(&home, &[call(1, 5, &[6, 6], Some((1, 20)), Cause::Normal)]).await;
    let caller = one(&process, 5, 1).await.unwrap();
    let expected = UserCall {
        call_id: call_id(1),
        correlation_id: caller.correlation_id,
        session_id: leg(1, 0),
        side: Side::Caller,
        status: CallStatus::Completed,
        caller: "5".to_owned().into(),
        caller_name: Some("user 5".to_owned().into()),
        callee: Some("6".to_owned().into()),
        callee_name: Some("user 6".to_owned().into()),
        dialled: "77".to_owned().into(),
        started_at: at(0),
        ringing_at: None,
        answered_at: Some(at(20)),
        ended_at: Some(at(60)),
        talked: Some(Duration::from_secs(40)),
        cause: Some(Cause::Normal),
    };
    assert_eq!(caller, expected);
    let callee = one(&process, 6, 1).await.unwrap();
    assert_eq!(callee, UserCall { session_id: leg(1, 1), side: Side::Callee, ..expected });
}

#[tokio::test]
async fn a_call_that_is_not_his_is_none_like_one_that_is_not() {
    let home = Home::new();
    let process = with(&home, &[call(1, 5, &[6], None, Cause::Busy), talked(2)]).await;
    assert_eq!(one(&process, 7, 1).await, None);
    assert_eq!(one(&process, 5, 2).await, None);
    assert_eq!(one(&process, 5, 3).await, None);
    let other = "other".parse().unwrap();
    assert_eq!(process.storage.call_of(&other, user(5), call_id(1)).await.unwrap(), None);
    assert_eq!(process.storage.calls_of(&other, user(5), None, 10).await.unwrap().calls, []);
}

#[tokio::test]
async fn who_calls_himself_sees_one_call_as_its_caller() {
    let home = Home::new();
    let process = with(&home, &[call(1, 5, &[5], Some((1, 2)), Cause::Normal)]).await;
    let page = process.storage.calls_of(&Tenant::default_tenant(), user(5), None, 10).await.unwrap();
    assert_eq!((page.calls.len(), page.next), (1, None));
    assert_eq!((page.calls[0].session_id, page.calls[0].side), (leg(1, 0), Side::Caller));
}

#[tokio::test]
async fn an_ended_call_is_completed_when_it_was_answered_or_its_caller_gave_up() {
    for (answer, cause, status) in [
        (Some((1, 2)), Cause::Normal, CallStatus::Completed),
        (Some((1, 2)), Cause::MediaLost, CallStatus::Completed),
        (None, Cause::Cancelled, CallStatus::Completed),
        (None, Cause::Declined, CallStatus::Failed),
        (None, Cause::NoAnswer, CallStatus::Failed),
        (None, Cause::Timeout, CallStatus::Failed),
    ] {
        let home = Home::new();
        let process = with(&home, &[call(1, 5, &[6], answer, cause)]).await;
        let call = one(&process, 5, 1).await.unwrap();
        assert_eq!((call.status, call.cause), (status, Some(cause)));
        assert_eq!(call.talked, Some(Duration::from_secs(if answer.is_some() { 58 } else { 0 })), "{cause:?}");
    }
}

#[tokio::test]
async fn a_call_that_goes_on_is_there_and_has_not_talked_yet() {
    let home = Home::new();
    let process = with(&home, &[talked(1)[..1].to_vec()]).await;
    let call = one(&process, 11, 1).await.unwrap();
    assert_eq!((call.status, call.ended_at, call.talked), (CallStatus::Initialized, None, None));
    assert_eq!((call.callee, call.callee_name), (None, None));
}

#[tokio::test]
async fn pages_join_without_gap_or_repeat_while_calls_are_added() {
    let home = Home::new();
    let calls: Vec<_> = (1..=7).map(|n| call(n, 5, &[6, 6], None, Cause::Busy)).collect();
    let process = with(&home, &calls).await;
    let (tenant, mut before, mut seen, mut added) = (Tenant::default_tenant(), None, Vec::new(), 8);
    loop {
        let page = process.storage.calls_of(&tenant, user(6), before, 3).await.unwrap();
        seen.extend(page.calls.iter().map(|call| call.call_id));
        process.commit(&call(added, 5, &[6], None, Cause::Busy));
        process.store().await;
        added += 1;
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(seen, [7, 6, 5, 4, 3, 2, 1].map(call_id));
    let limits = async |limit| process.storage.calls_of(&tenant, user(6), None, limit).await.unwrap().calls.len();
    assert_eq!((limits(0).await, limits(u64::MAX).await), (1, 10));
    let exactly = process.storage.calls_of(&tenant, user(6), None, 10).await.unwrap();
    assert_eq!((exactly.calls.len(), exactly.next), (10, None));
}

#[tokio::test]
async fn a_page_is_read_along_the_index_and_not_sorted() {
    let home = Home::new();
    drop(home.open().await);
    let db = home.other_program().await.begin().await.unwrap();
    let page = "SELECT DISTINCT call_id FROM legs WHERE user_id = 'user_1' AND tenant = 'default' \
        AND call_id < 'call_7' ORDER BY call_id DESC LIMIT 21";
    // An empty table is quicker read as a whole, if that is allowed.
    let plan = on("EXPLAIN QUERY PLAN", "SET enable_seqscan = off; SET enable_bitmapscan = off; EXPLAIN");
    let (plan, set) = plan.rsplit_once("; ").map_or((plan.as_str(), ""), |(set, plan)| (plan, set));
    db.execute_unprepared(set).await.unwrap();
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), format!("{plan} {page}"))).await;
    let plan: Vec<String> =
        rows.unwrap().iter().map(|row| row.try_get("", &on("detail", "QUERY PLAN")).unwrap()).collect();
    match ENGINE {
        Engine::Sqlite => assert_eq!(plan, ["SEARCH legs USING INDEX legs_user_id (user_id=? AND call_id<?)"]),
        Engine::Postgres => {
            let plan = plan.join("\n");
            assert!(plan.contains("Index Scan Backward using legs_user_id") && !plan.contains("Sort"), "{plan}");
        }
    }
}
