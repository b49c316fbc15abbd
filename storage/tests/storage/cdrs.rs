//! Billing records as they are asked for.

use std::time::Duration;

use tandem_core::cause::Cause;
use tandem_core::cdr::{CdrCursor, CdrFilter, CdrFold, Direction, Route};
use tandem_core::event::{Fact, FactBody, Side};
use tandem_core::id::{DeviceId, Tenant, UserId};
use tandem_core::party::{Identity, Party, TrunkName};

use super::support::{Home, Process, at, call_id, fact, leg, node, uuid};

fn user(n: u128) -> UserId {
    UserId::from_uuid(uuid(n))
}

fn ours(n: u128) -> Party {
    let identity = Identity::User { user_id: user(n), device_id: DeviceId::from_uuid(uuid(100 + n)) };
    Party { number: (1_000 + n).to_string().into(), name: None, identity }
}

fn outside(number: &str) -> Party {
    let identity = Identity::Trunk { trunk: TrunkName("world".into()) };
    Party { number: number.to_owned().into(), name: None, identity }
}

/// Starts at that second; answered after 3 s, unless nobody talks.
fn call(n: u128, second: i64, tenant: &str, caller: Party, (dialled, callee): (&str, Party), talk: i64) -> Vec<Fact> {
    let tenant: Tenant = tenant.parse().unwrap();
    let cause = if talk > 0 { Cause::Normal } else { Cause::Busy };
    let over = |leg_id| FactBody::LegEnded { leg_id, cause, sip_status: None, rang_at: None, media: None };
    let mut bodies = vec![
        (0, FactBody::Started { leg_id: leg(n, 1), caller, dialled: dialled.to_owned().into() }),
        (0, FactBody::Dialled { leg_id: leg(n, 2), callee, route: Some(Route::Extension) }),
    ];
    if talk > 0 {
        bodies.push((3, FactBody::Answered { leg_id: leg(n, 2) }));
    }
    bodies.push((3 + talk, FactBody::Ended { cause, by: Side::Callee }));
    bodies.extend([(3 + talk, over(leg(n, 1))), (3 + talk, over(leg(n, 2)))]);
    let mut facts: Vec<Fact> =
        (1..).zip(bodies).map(|(number, (after, body))| fact(n, number, second + after, body)).collect();
    facts.iter_mut().for_each(|fact| fact.context.tenant = tenant.clone());
    let mut fold = CdrFold::begin(&facts[0]).unwrap();
    facts.iter().for_each(|fact| fold.apply(fact));
    let record = FactBody::CdrClosed(Box::new(fold.record(node())));
    let last = Fact { number: fold.next_number(), body: record, ..facts.last().unwrap().clone() };
    facts.push(last);
    facts
}

async fn five(home: &Home) -> Process {
    let process = home.open().await;
    process.commit(&call(1, 10, "default", ours(1), ("1002", ours(2)), 60));
    process.commit(&call(2, 20, "default", ours(1), ("030123456", outside("+4930123456")), 30));
    process.commit(&call(3, 30, "default", outside("+4940123456"), ("1001", ours(1)), 0));
    process.commit(&call(4, 40, "acme", ours(3), ("1004", ours(4)), 10));
    // At the same moment as the one before.
    process.commit(&call(5, 40, "default", ours(2), ("1005", ours(5)), 10));
    process.store().await;
    process
}

#[tokio::test]
async fn a_filter_lets_through_what_it_says_and_the_latest_comes_first() {
    let home = Home::new();
    let process = five(&home).await;
    let all = CdrFilter::default;
    let number = |text: &str| Some(text.to_owned().into());
    for (filter, expected) in [
        (all(), vec![5, 4, 3, 2, 1]),
        (CdrFilter { tenant: Some("default".parse().unwrap()), ..all() }, vec![5, 3, 2, 1]),
        (CdrFilter { tenant: Some("nobody".parse().unwrap()), ..all() }, vec![]),
        (CdrFilter { seen_by: Some(user(1)), ..all() }, vec![3, 2, 1]),
        (CdrFilter { seen_by: Some(user(2)), user_id: Some(user(1)), ..all() }, vec![1]),
        (CdrFilter { from: Some(at(20)), to: Some(at(40)), ..all() }, vec![3, 2]),
        (CdrFilter { caller: number("1001"), ..all() }, vec![2, 1]),
        (CdrFilter { callee: number("+4930123456"), ..all() }, vec![2]),
        (CdrFilter { callee: number("030123456"), ..all() }, vec![2]),
        (CdrFilter { number: number("1001"), ..all() }, vec![3, 2, 1]),
        (CdrFilter { trunk: Some(TrunkName("world".into())), ..all() }, vec![3, 2]),
        (CdrFilter { cause: Some(Cause::Busy), ..all() }, vec![3]),
        (CdrFilter { answered: Some(true), ..all() }, vec![5, 4, 2, 1]),
        (CdrFilter { answered: Some(false), ..all() }, vec![3]),
        (CdrFilter { direction: Some(Direction::Inbound), ..all() }, vec![3]),
        (CdrFilter { direction: Some(Direction::Outbound), ..all() }, vec![2]),
        (CdrFilter { min_duration: Some(Duration::from_secs(30)), ..all() }, vec![2, 1]),
        (CdrFilter { call_id: Some(call_id(4)), ..all() }, vec![4]),
        (CdrFilter { call_id: Some(call_id(4)), tenant: Some(Tenant::default_tenant()), ..all() }, vec![]),
        (CdrFilter { correlation_id: Some(fact(2, 1, 0, ended()).context.correlation_id), ..all() }, vec![2]),
    ] {
        let found = process.storage.cdrs(&filter, None, 100).await.unwrap();
        let found: Vec<_> = found.iter().map(|it| it.call_id).collect();
        assert_eq!(found, expected.iter().map(|n| call_id(*n)).collect::<Vec<_>>(), "{filter:?}");
    }
}

const fn ended() -> FactBody {
    FactBody::Ended { cause: Cause::Normal, by: Side::Caller }
}

#[tokio::test]
async fn pages_join_without_a_gap_though_new_records_come_between_them() {
    let home = Home::new();
    let process = five(&home).await;
    let (mut seen, mut after) = (Vec::new(), None);
    for n in 6.. {
        let page = process.storage.cdrs(&CdrFilter::default(), after, 2).await.unwrap();
        seen.extend(page.iter().map(|it| it.call_id));
        after = page.last().map(CdrCursor::from);
        if page.len() < 2 {
            break;
        }
        process.commit(&call(n, 50, "default", ours(1), ("1002", ours(2)), 1));
        process.store().await;
    }
    assert_eq!(seen, [5, 4, 3, 2, 1].map(call_id));
}

#[tokio::test]
async fn a_record_comes_back_with_all_that_it_had() {
    let home = Home::new();
    let process = five(&home).await;
    let facts = call(2, 20, "default", ours(1), ("030123456", outside("+4930123456")), 30);
    let Some(FactBody::CdrClosed(record)) = facts.last().map(|fact| &fact.body) else { panic!("no record") };
    assert_eq!(record.billable_seconds, 30);
    assert_eq!(record.dialled_e164.as_ref().map(|it| it.reveal().as_str()), Some("+4930123456"));
    assert_eq!(process.storage.cdr(call_id(2)).await.unwrap().as_ref(), Some(&**record));
}
