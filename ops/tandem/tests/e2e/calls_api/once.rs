//! Whatever is asked several times at once, or again, is done once.

use std::thread;

use serde_json::{Value, json};

use super::Stage;
use crate::harness::api::{Api, Begun, CALLS, refusal};
use crate::harness::node::Settings;

/// Status and body of a call with an Idempotency-Key.
fn with_key(api: &Api, key: &str, number: &str) -> (u16, Value) {
    let body = json!({ "phone_number": number }).to_string();
    let answer = api.exchange("POST", &format!("{CALLS}/initiate"), &[("idempotency-key", key)], &body);
    (answer.status, serde_json::from_str(&answer.body).unwrap())
}

/// What ten clients of the same user get at the same moment.
fn ten_times(ask: impl Fn() -> (u16, Value) + Sync) -> Vec<(u16, Value)> {
    thread::scope(|scope| {
        let asking: Vec<_> = (0..10).map(|_| scope.spawn(&ask)).collect();
        asking.into_iter().map(|it| it.join().unwrap()).collect()
    })
}

/// That Bob's phone had one INVITE, and the node one call.
fn assert_one_call(stage: &mut Stage) {
    let invite = stage.bob.incoming("INVITE");
    stage.bob.respond(&invite, 180, "");
    assert!(stage.bob.is_spared("INVITE", std::time::Duration::from_secs(1)), "a second INVITE");
    let calls = stage.node.calls();
    assert_eq!(calls.as_array().map(Vec::len), Some(1), "{calls}");
    stage.terminate(calls[0]["call_id"].as_str().unwrap());
    stage.cancelled(&invite);
}

#[test]
fn a_key_begins_one_call_however_often_and_for_one_number_only() {
    let mut stage = Stage::set("api-key", &Settings::default());
    let answers = ten_times(|| with_key(&stage.alice, "first", "1002"));
    assert!(answers.iter().all(|it| *it == answers[0] && it.0 == 200), "{answers:?}");
    assert_eq!(with_key(&stage.alice, "first", "1002"), answers[0], "later");
    assert_eq!(refusal(&with_key(&stage.alice, "first", "1003")), (409, "idempotency_conflict"));
    assert_eq!(refusal(&with_key(&stage.alice, "second", "1002")), (409, "call_already_active"));
    assert_one_call(&mut stage);
    let call = Begun::read(&answers[0].1).call_id;
    stage.assert_over(&call, "cancelled", "completed");
    assert_eq!(with_key(&stage.alice, "first", "1002").1["call_id"], call.as_str(), "it was that call, and is over");
    // A key is its user's own, and what failed may be tried again.
    let carol = Api::sign_in(stage.node.http, "carol");
    assert_eq!(refusal(&with_key(&carol, "first", "1003")), (409, "unreachable"));
    assert_eq!(refusal(&with_key(&carol, "first", "1003")), (409, "unreachable"));
    for bad in ["", &"k".repeat(256)] {
        assert_eq!(refusal(&with_key(&stage.alice, bad, "1002")), (400, "validation_error"), "{bad}");
    }
}

#[test]
fn a_user_makes_one_call_at_a_time_however_hard_he_tries() {
    let mut stage = Stage::set("api-race", &Settings::default());
    let answers = ten_times(|| stage.alice.try_initiate("1002"));
    let begun = answers.iter().filter(|it| it.0 == 200).count();
    assert_eq!(begun, 1, "{answers:?}");
    let refused = answers.iter().filter(|it| it.0 != 200);
    assert!(refused.map(refusal).all(|it| it == (409, "call_already_active")), "{answers:?}");
    assert_one_call(&mut stage);
}

#[test]
fn several_ends_of_one_call_tell_the_same() {
    let mut stage = Stage::set("api-ends", &Settings::default());
    let talk = stage.talk();
    let ends = ten_times(|| stage.alice.terminate(&talk.call.call_id));
    assert!(ends.iter().all(|it| *it == ends[0] && it.0 == 200), "{ends:?}");
    stage.bob.hung_up();
    assert!(stage.bob.is_spared("BYE", std::time::Duration::from_millis(700)), "a second BYE");
    assert_eq!(stage.node.ledger().the_cdr().text("cause"), "normal");
}
