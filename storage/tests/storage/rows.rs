//! What facts become.

use tandem_core::event::FactBody;
use tandem_core::location::BindingChange;
use tandem_core::metric::{Counter, Gauge};
use tandem_core::ports::LedgerPort;
use tandem_core::time::WallTime;
use tandem_storage::CallStatus;

use super::bus::{Running, drained, stored};
use super::support::{Heard, Home, binding, call_id, line, talked};

const FAR: WallTime = WallTime(4_000_000_000_000_000);

#[tokio::test]
async fn a_complete_call_is_a_row_that_a_person_can_read() {
    let home = Home::new();
    let process = home.open().await;
    process.commit(&talked(1));
    process.store().await;

    let columns = "call_id, correlation_id, user_id, device_id, caller, callee, dialled, started_at, ringing_at, \
        answered_at, ended_at, talk_ms, cause, q850, ended_by";
    assert_eq!(
        home.select(&format!("SELECT {} FROM cdrs", line(columns))).await,
        ["call_000000000000000000000000ca110001|00000000000000000000000000c00001|\
            user_0000000000000000000000000000000b|dev_0000000000000000000000000000000c|1001|1002|1002|\
            2026-09-21T14:13:20.123456+00:00|2026-09-21T14:13:21.123456+00:00|\
            2026-09-21T14:13:23.123456+00:00|2026-09-21T14:14:23.123456+00:00|60000|normal|16|callee"]
    );
    let call = line("session_id, status, callee, cause, sdp_offer, sdp_answer, last_fact");
    assert_eq!(
        home.select(&format!("SELECT {call} FROM calls")).await,
        ["leg_00000000000000000000000000000011|completed|1002|normal|v=0 offer|v=0 answer|8"]
    );
    let legs = line("side, number, name, trunk, answered_at, cause");
    assert_eq!(
        home.select(&format!("SELECT {legs} FROM legs ORDER BY id")).await,
        [
            "caller|1001|Alice|2026-09-21T14:13:23.123456+00:00|normal",
            "callee|1002|out|2026-09-21T14:13:23.123456+00:00|normal"
        ]
    );
    assert_eq!(home.select("SELECT DISTINCT tenant FROM events").await, ["default"]);
}

#[tokio::test]
async fn the_record_that_is_read_is_the_record_that_was_closed() {
    let home = Home::new();
    let process = home.open().await;
    let facts = talked(1);
    process.commit(&facts);
    process.store().await;

    let FactBody::CdrClosed(closed) = &facts[7].body else { panic!("the last fact is the record") };
    assert_eq!(process.storage.cdr(call_id(1)).await.unwrap().as_ref(), Some(&**closed));
    assert_eq!(process.storage.cdr(call_id(2)).await.unwrap(), None);
    let read = process.storage.facts(call_id(1)).await.unwrap();
    assert_eq!(read.iter().map(|fact| fact.number).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(read[7], facts[7]);
}

#[tokio::test]
async fn the_status_follows_the_facts_whether_they_come_in_one_batch_or_in_many() {
    let home = Home::new();
    let process = home.open().await;
    for (first, second) in talked(1).iter().zip(talked(2)) {
        process.commit(&[first.clone(), second]);
        process.store().await;
        let status = process.storage.recent_calls(10).await.unwrap().iter().map(|call| call.status).collect::<Vec<_>>();
        let expected = match first.number {
            1 => CallStatus::Initialized,
            2..=3 => CallStatus::Connecting,
            4..=6 => CallStatus::Active,
            _ => CallStatus::Completed,
        };
        assert_eq!(status, [expected; 2], "after fact {}", first.number);
    }
    // Offer and answer came with their own batches, and are still there.
    assert_eq!(
        home.select("SELECT concat_ws('|', sdp_offer, sdp_answer) FROM calls").await,
        ["v=0 offer|v=0 answer"; 2]
    );
    assert_eq!(home.select("SELECT cast(count(*) AS text) FROM legs WHERE cause = 'normal'").await, ["4"]);
}

#[tokio::test]
async fn facts_committed_again_whole_or_in_part_are_no_second_facts() {
    let home = Home::new();
    let process = home.open().await;
    let facts = talked(1);
    process.commit(&facts);
    process.commit(&facts);
    process.store().await;
    let all = "SELECT concat(status, last_fact, (SELECT count(*) FROM calls WHERE closed), (SELECT count(*) FROM legs), \
        (SELECT count(*) FROM cdrs), (SELECT count(*) FROM events)) FROM calls";
    let once = ["completed81218"];
    assert_eq!(home.select(all).await, once);
    process.commit(&facts[..2]);
    process.store().await;
    assert_eq!(home.select(all).await, once);
    assert_eq!(process.metrics.counter(Counter::FactsCommitted), 18);
    assert_eq!(process.metrics.counter(Counter::FactsStored), 8);
    assert_eq!(process.metrics.gauge(Gauge::JournalBacklog), 0);
}

#[tokio::test]
async fn the_facts_of_a_call_are_published_in_order_and_once() {
    let home = Home::new();
    let process = home.open().await;
    let mut bus = Heard::of(&home, &process);
    let (first, second) = (talked(1), talked(2));
    let running = Running::begin(&process);
    for (one, other) in first.iter().zip(&second) {
        process.commit(&[one.clone(), other.clone()]);
        tokio::task::yield_now().await;
    }
    stored(&process).await;
    drained(&process).await;
    drop(running);
    let seen = bus.all().await;
    assert_eq!(seen.len(), 16);
    for facts in [&first, &second] {
        let call = facts[0].call.to_string();
        let of_call: Vec<_> = seen.iter().filter(|event| event.subject.contains(&call)).collect();
        let expected: Vec<_> = facts.iter().map(|fact| serde_json::to_string(&fact.cloud_event()).unwrap()).collect();
        assert_eq!(of_call.iter().map(|event| &event.payload).collect::<Vec<_>>(), expected.iter().collect::<Vec<_>>());
        assert_eq!(of_call[7].subject, format!("tandem.v1.default.cdr.{call}"));
    }
    assert_eq!(home.select("SELECT cast(count(*) AS text) FROM outbox").await, ["0"]);
    assert_eq!(process.metrics.counter(Counter::FactsPublished), 16);
}

#[tokio::test]
async fn the_bindings_that_hold_are_loaded_again() {
    let home = Home::new();
    let process = home.open().await;
    let kept = binding("sip:1001@127.0.0.1:5062", FAR);
    let removed = binding("sip:1001@127.0.0.1:5064", FAR);
    let expired = binding("sip:1001@127.0.0.1:5066", WallTime(1_000_000));
    for binding in [&kept, &removed, &expired] {
        process.ledger.bind(&BindingChange::Bound(binding.clone()));
    }
    let refreshed = tandem_core::location::Binding { cseq: kept.cseq + 1, ..kept };
    process.ledger.bind(&BindingChange::Bound(refreshed.clone()));
    process.store().await;
    let unbound = BindingChange::Unbound {
        tenant: removed.tenant.clone(),
        extension: removed.extension.clone(),
        contact: removed.contact.clone(),
    };
    process.ledger.bind(&unbound);
    process.store().await;
    assert_eq!(process.storage.load_bindings(process.node).await.unwrap(), [refreshed]);
}
