//! Calls to the world outside, through a provider that is busy, slow or broken.

use super::{SHORTEST, Stage};
use crate::harness::ledger::Cdr;
use crate::harness::node::Settings;

#[test]
fn what_becomes_of_a_call_outside_is_told_as_the_provider_has_it() {
    let stage = Stage::set("api-provider", &Settings { provider: "mock", ..Settings::default() });
    for (last, cause) in [
        ("0486", "busy"),
        ("0603", "declined"),
        ("0404", "unknown_number"),
        ("0408", "timeout"),
        ("0503", "congestion"),
    ] {
        fails(&stage, last, cause);
    }
    assert_eq!(talk(&stage, "0200", |_| {}).text("ended_by"), "callee");
    let ended = talk(&stage, "0999", |call| _ = stage.terminate(call));
    assert_eq!(ended.text("ended_by"), "caller");
    stage.node.assert_not_logged(&[&number("0486")[1..], &number("0200")[1..], &number("0999")[1..], "1001"]);
}

#[test]
fn a_number_outside_that_rings_for_ever_is_given_up() {
    let settings = Settings { provider: "mock", ring_timeout: SHORTEST, ..Settings::default() };
    fails(&Stage::set("api-outside-rings", &settings), "0480", "no_answer");
}

/// A call that the provider does not bring to an answer.
fn fails(stage: &Stage, last: &str, cause: &str) {
    let number = number(last);
    let call = stage.alice.initiate(&number);
    let _peer = stage.answer(&call);
    stage.assert_over(&call.call_id, cause, "failed");
    let call = stage.alice.call(&call.call_id);
    assert_eq!((&call["peer"]["number"], &call["duration"]), (&number.into(), &0.0.into()), "{call}");
}

/// A number that is nobody's, for films; its last four digits say what the provider makes of it.
fn number(last: &str) -> String {
    format!("+44207946{last}")
}

/// A call that the provider answers, and somebody ends.
fn talk(stage: &Stage, last: &str, end: impl FnOnce(&str)) -> Cdr {
    let call = stage.alice.initiate(&number(last));
    let peer = stage.answer(&call);
    peer.connected();
    stage.state_is(&call.call_id, "talking");
    end(&call.call_id);
    stage.assert_over(&call.call_id, "normal", "completed");
    let cdrs = stage.node.ledger().cdrs();
    let cdr = cdrs.into_iter().find(|it| it.call_id() == call.call_id).unwrap();
    assert!(cdr.number("talk_ms") < 10_000, "{cdr:?}");
    assert_eq!((cdr.text("direction"), cdr.text("trunk_out"), cdr.number("answered")), ("outbound", "mock", 1));
    assert_eq!((cdr.text("callee_e164"), cdr.text("dialled_e164")), (number(last).as_str(), number(last).as_str()));
    assert_eq!(cdr.number("billable_seconds"), cdr.number("talk_ms").div_ceil(1_000));
    cdr
}
