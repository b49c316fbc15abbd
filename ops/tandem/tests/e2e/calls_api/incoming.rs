//! A phone calls somebody who is signed in with a client that is no browser.

use serde_json::{Value, json};

use super::{Stage, milliseconds};
use crate::harness::api::{Api, CALLS, refusal};
use crate::harness::events::Events;
use crate::harness::node::Settings;
use crate::harness::rtp::RtpEnd;
use crate::harness::ua::Outgoing;
use crate::harness::webrtc::Peer;
use crate::harness::{SOON, eventually};

/// Bob's phone calls Alice, whose client hears of it.
fn ring(stage: &mut Stage, events: &mut Events, end: &RtpEnd) -> (Outgoing, Value) {
    let outgoing = stage.bob.invite("1001", &end.sdp());
    let call = events.expect("call.incoming")["call"].clone();
    assert_eq!((call["direction"].as_str(), call["state"].as_str()), (Some("incoming"), Some("ringing")), "{call}");
    assert_eq!(
        (call["status"].as_str(), call["peer"]["number"].as_str()),
        (Some("connecting"), Some("1002")),
        "{call}"
    );
    stage.bob.progress(&outgoing, 180);
    (outgoing, call)
}

fn text<'a>(call: &'a Value, name: &str) -> &'a str {
    call[name].as_str().unwrap_or_else(|| panic!("no {name} in {call}"))
}

#[test]
fn a_phone_calls_a_client_that_accepts_and_no_packet_is_lost() {
    let mut stage = Stage::set("api-accepts", &Settings::default());
    let mut events = Events::open(stage.node.http, &stage.alice.token, None);
    let end = RtpEnd::open();
    let (outgoing, call) = ring(&mut stage, &mut events, &end);
    let (id, session) = (text(&call, "call_id"), text(&call, "session_id"));
    let peer = Peer::answer(text(&call, "sdp_offer"));
    let carol = Api::sign_in(stage.node.http, "carol");
    assert_eq!(refusal(&carol.answer(id, &peer.sdp)), (404, "call_not_found"), "somebody else's call");
    assert_eq!(refusal(&stage.alice.answer(id, "hello")), (400, "invalid_sdp"), "and it still rings");
    let answer = json!({ "sdp_answer": peer.sdp, "session_id": session });
    let (status, answered) = stage.alice.post(&format!("{CALLS}/{id}/answer"), &answer);
    assert_eq!((status, answered["status"].as_str()), (200, Some("active")), "{answered}");
    assert_eq!(refusal(&stage.alice.answer(id, &peer.sdp)), (409, "call_already_active"));
    assert_eq!(refusal(&stage.alice.post(&format!("{CALLS}/{id}/reject"), &json!({}))), (409, "call_already_active"));
    let told = stage.bob.finally(&outgoing, SOON);
    assert_eq!(told.status(), Some(200), "{}", told.text());
    let (near, far) = (peer.talk(), end.talk(&told.body));
    near.wait_for(50);
    far.wait_for(50);
    let (near, far) = near.finish(far);
    near.assert_nothing_lost(far.sent);
    far.assert_nothing_lost(near.sent);
    let dialog = stage.bob.caller_side(&outgoing, &told);
    stage.bob.bye(&dialog);
    let ended = events.expect("call.ended")["call"].clone();
    assert_eq!((text(&ended, "cause"), text(&ended, "status")), ("normal", "completed"));
    stage.assert_over(id, "normal", "completed");
    let cdr = stage.node.ledger().the_cdr();
    assert_eq!((cdr.text("caller"), cdr.text("callee"), cdr.text("ended_by")), ("1002", "1001", "caller"));
    assert!(milliseconds(&ended["duration"]).abs_diff(cdr.number("talk_ms")) <= 1, "{ended} {cdr:?}");
    stage.node.assert_not_logged(&["1001", "1002"]);
}

#[test]
fn a_client_declines_by_either_way() {
    let mut stage = Stage::set("api-declines", &Settings::default());
    let mut events = Events::open(stage.node.http, &stage.alice.token, None);
    for way in ["reject", "terminate"] {
        let (outgoing, call) = ring(&mut stage, &mut events, &RtpEnd::open());
        let id = text(&call, "call_id");
        let (status, told) = match way {
            "reject" => stage.alice.post(&format!("{CALLS}/{id}/reject"), &json!({})),
            _ => stage.alice.terminate(id),
        };
        assert_eq!((status, told["status"].as_str()), (200, Some("failed")), "{way}: {told}");
        assert_eq!(stage.bob.finally(&outgoing, SOON).status(), Some(603), "{way}");
        assert_eq!(events.expect("call.ended")["call"]["cause"], "declined", "{way}");
        stage.assert_over(id, "declined", "failed");
        let late = Peer::answer(text(&call, "sdp_offer"));
        assert_eq!(refusal(&stage.alice.answer(id, &late.sdp)), (409, "call_ended"), "{way}");
    }
}

#[test]
fn a_client_that_went_away_is_called_no_more() {
    let mut stage = Stage::set("api-gone", &Settings::default());
    let mut events = Events::open(stage.node.http, &stage.alice.token, None);
    let (outgoing, _) = ring(&mut stage, &mut events, &RtpEnd::open());
    stage.bob.cancel(&outgoing);
    assert_eq!(stage.bob.finally(&outgoing, SOON).status(), Some(487));
    assert_eq!(events.expect("call.ended")["call"]["cause"], "cancelled");
    events.close();
    let node = &stage.node;
    eventually("that nobody is there", SOON, || (node.metric("tandem_clients_connected") == 0).then_some(()));
    let outgoing = stage.bob.invite("1001", &RtpEnd::open().sdp());
    assert_eq!(stage.bob.finally(&outgoing, SOON).status(), Some(480));
}
