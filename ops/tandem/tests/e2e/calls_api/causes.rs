//! Every way in which a call to a phone fails: what the API says, what the event says, what is billed.

use super::{SHORTEST, Stage};
use crate::harness::api::refusal;
use crate::harness::node::Settings;

#[test]
fn a_call_that_fails_says_why() {
    let mut stage = Stage::set("api-causes", &Settings::default());
    for (answer, cause) in [(486, "busy"), (600, "busy"), (603, "declined"), (503, "congestion"), (488, "incompatible")]
    {
        let (call, invite) = stage.dial();
        stage.bob.respond(&invite, answer, "");
        stage.bob.incoming("ACK");
        stage.assert_over(&call.call_id, cause, "failed");
    }
    let (call, invite) = stage.dial();
    assert_eq!(stage.terminate(&call.call_id), 0);
    stage.cancelled(&invite);
    stage.assert_over(&call.call_id, "cancelled", "completed");
    stage.node.assert_not_logged(&["1001", "1002"]);
}

#[test]
fn a_call_that_nobody_answers_ends_when_the_phone_has_rung_long_enough() {
    let settings = Settings { ring_timeout: SHORTEST, ..Settings::default() };
    let mut stage = Stage::set("api-no-answer", &settings);
    let (call, invite) = stage.dial();
    let _peer = stage.answer(&call);
    stage.cancelled(&invite);
    stage.assert_over(&call.call_id, "no_answer", "failed");
}

#[test]
fn a_number_that_cannot_be_called_is_refused_at_once() {
    let mut stage = Stage::set("api-unreachable", &Settings::default());
    assert_eq!(refusal(&stage.alice.try_initiate("1999")), (404, "unknown_number"));
    assert_eq!(refusal(&stage.alice.try_initiate("1003")), (409, "unreachable"));
    // None of that keeps Alice from calling.
    for dialled in ["1002".to_owned(), format!("sip:1002@{}", stage.node.sip), " 1002 ".to_owned()] {
        let call = stage.alice.initiate(&dialled);
        let invite = stage.bob.incoming("INVITE");
        stage.bob.respond(&invite, 180, "");
        stage.state_is(&call.call_id, "ringing");
        stage.terminate(&call.call_id);
        stage.cancelled(&invite);
        stage.assert_over(&call.call_id, "cancelled", "completed");
    }
}
