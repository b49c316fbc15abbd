//! A call that succeeds, from the first request to the bill; and what a node that stops or dies makes of one.

use std::time::Duration;

use serde_json::Value;

use super::{Stage, milliseconds};
use crate::harness::api::{Api, refusal};
use crate::harness::node::Settings;
use crate::harness::rtp::RtpEnd;
use crate::harness::webrtc::Peer;
use crate::harness::{SOON, eventually};

#[test]
fn a_client_calls_a_phone_no_packet_is_lost_and_every_record_agrees() {
    let mut stage = Stage::set("api-life", &Settings::default());
    let call = stage.alice.initiate("1002");
    let invite = stage.bob.incoming("INVITE");
    let id = call.call_id.as_str();
    let seen = stage.alice.call(id);
    assert_eq!((seen["status"].as_str(), seen["direction"].as_str()), (Some("connecting"), Some("outgoing")), "{seen}");
    assert_eq!(seen["session_id"], call.session_id.as_str());
    stage.bob.respond(&invite, 180, "");
    let ringing = stage.state_is(id, "ringing");
    assert_eq!(ringing["peer"]["number"], "1002", "{ringing}");
    let peer = stage.answer(&call);
    let end = RtpEnd::open();
    stage.bob.respond(&invite, 200, &end.sdp());
    stage.bob.incoming("ACK");
    assert_eq!(stage.state_is(id, "talking")["status"], "active");
    let (near, far) = (peer.talk(), end.talk(&invite.body));
    near.wait_for(75);
    far.wait_for(75);
    let (near, far) = near.finish(far);
    near.assert_nothing_lost(far.sent);
    far.assert_nothing_lost(near.sent);

    let duration = stage.terminate(id);
    stage.bob.hung_up();
    assert_eq!(stage.terminate(id), duration, "ended twice");
    let over = stage.state_is(id, "ended");
    assert_eq!((over["status"].as_str(), over["cause"].as_str()), (Some("completed"), Some("normal")), "{over}");
    assert_eq!(milliseconds(&over["duration"]), duration);
    let cdr = stage.node.ledger().the_cdr();
    assert_eq!((cdr.call_id(), cdr.text("cause"), cdr.text("ended_by")), (id, "normal", "caller"));
    assert_eq!((cdr.text("caller"), cdr.text("callee")), ("1001", "1002"));
    let billed = cdr.number("talk_ms");
    assert!(billed.abs_diff(duration) <= 1, "{billed} ms billed, {duration} ms told");
    let talked = u64::from(near.sent) * 20;
    assert!(duration + 100 > talked, "{duration} ms told, {talked} ms sent");
    assert_eq!(over["correlation_id"].as_str(), Some(cdr.text("correlation_id")));
    let history = stage.alice.calls();
    assert_eq!(history.len(), 1, "{history:?}");
    assert_eq!(history[0], over);
}

#[test]
fn the_history_has_every_call_once_the_latest_first_page_by_page() {
    let mut stage = Stage::set("api-history", &Settings::default());
    let mut calls = Vec::new();
    for _ in 0..3 {
        let (call, invite) = stage.dial();
        assert_eq!(stage.terminate(&call.call_id), 0, "never answered");
        stage.cancelled(&invite);
        stage.assert_over(&call.call_id, "cancelled", "completed");
        calls.insert(0, call.call_id);
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let (status, page) = stage.alice.get(&format!("/api/calls?limit=2{cursor}"));
        assert_eq!(status, 200, "{page}");
        seen.extend(page["calls"].as_array().unwrap().iter().map(|it| it["call_id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, calls);
    assert!(Api::sign_in(stage.node.http, "carol").calls().is_empty(), "somebody else's history");
}

#[test]
fn a_call_that_the_phone_ended_is_over_for_whoever_ends_it_then() {
    let mut stage = Stage::set("api-bye", &Settings::default());
    let (call, invite) = stage.dial();
    let end = RtpEnd::open();
    // The phone is faster than the client.
    stage.bob.respond(&invite, 200, &end.sdp());
    stage.bob.incoming("ACK");
    let peer = stage.answer(&call);
    stage.state_is(&call.call_id, "talking");
    let (near, far) = (peer.talk(), end.talk(&invite.body));
    near.wait_for(20);
    far.wait_for(20);
    let dialog = stage.bob.callee_side(&invite);
    stage.bob.bye(&dialog);
    stage.assert_over(&call.call_id, "normal", "completed");
    let cdr = stage.node.ledger().the_cdr();
    assert_eq!(cdr.text("ended_by"), "callee");
    assert!(stage.terminate(&call.call_id).abs_diff(cdr.number("talk_ms")) <= 1);
    assert_eq!(refusal(&stage.alice.answer(&call.call_id, "")), (409, "call_ended"));
}

#[test]
fn an_offer_that_nobody_answers_is_withdrawn() {
    let mut stage = Stage::set("api-unanswered", &Settings::default());
    let (call, invite) = stage.dial();
    assert!(stage.bob.is_spared("CANCEL", Duration::from_secs(10)), "the client has 15 s");
    stage.cancelled(&invite);
    stage.assert_over(&call.call_id, "timeout", "failed");
    let late = Peer::answer(&call.offer);
    assert_eq!(refusal(&stage.alice.answer(&call.call_id, &late.sdp)), (409, "call_ended"));
    // And it does not keep its user from calling again.
    let (again, invite) = stage.dial();
    stage.terminate(&again.call_id);
    stage.cancelled(&invite);
}

#[test]
fn a_node_that_stops_takes_no_new_calls_and_lets_the_old_ones_end() {
    let mut stage = Stage::set("api-drain", &Settings::default());
    let talk = stage.talk();
    stage.node.terminate();
    let carol = Api::sign_in(stage.node.http, "carol");
    let refused = eventually("a refusal", SOON, || {
        let asked = carol.exchange("POST", "/api/calls/initiate", &[], r#"{"phone_number":"1003"}"#);
        (asked.status == 503).then_some(asked)
    });
    let body: Value = serde_json::from_str(&refused.body).unwrap();
    assert_eq!(body["error"], "call_initiation_failed", "{body}");
    assert!(refused.header("retry-after").is_some_and(|it| it.parse::<u64>().is_ok_and(|it| it > 0)), "{refused:?}");
    talk.near.wait_for(20);
    talk.far.wait_for(20);
    stage.terminate(&talk.call.call_id);
    stage.bob.hung_up();
    assert!(stage.node.ended(SOON).success());
    let cdr = stage.node.ledger().the_cdr();
    assert_eq!(cdr.text("cause"), "normal");
}

#[test]
fn a_call_that_its_node_died_with_is_over_when_the_node_is_back() {
    let mut stage = Stage::set("api-kill-9", &Settings::default());
    let talk = stage.talk();
    stage.node.kill();
    stage.node.restart();
    let id = &talk.call.call_id;
    let cdr = stage.node.ledger().the_cdr();
    assert_eq!((cdr.call_id(), cdr.text("cause")), (id.as_str(), "node_lost"));
    stage.alice = Api::sign_in(stage.node.http, "alice");
    stage.assert_over(id, "node_lost", "completed");
    assert_eq!(stage.alice.calls().len(), 1);
    assert!(stage.terminate(id).abs_diff(cdr.number("talk_ms")) <= 1);
    assert_eq!(refusal(&stage.alice.answer(id, "")), (409, "call_ended"));
    // The user is not caught in it.
    stage.bob = crate::harness::ua::Ua::new("1002", "bob", stage.node.sip);
    stage.bob.register();
    let again = stage.talk();
    stage.terminate(&again.call.call_id);
}
