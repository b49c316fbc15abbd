//! The events of a user over the WebSocket: what comes, in which order, after a gap, and what becomes of slow readers.

use std::time::Duration;

use serde_json::Value;

use crate::calls_api::Stage;
use crate::harness::api::Api;
use crate::harness::events::{Events, Next};
use crate::harness::node::{Node, Settings};
use crate::harness::rtp::RtpEnd;
use crate::harness::webrtc::Peer;
use crate::harness::{SOON, http};

/// A number that nobody has: a call that is over at once, in two events.
const NOBODY: &str = "1999";

/// Type and id of events.
fn told(frames: &[Value]) -> Vec<(&str, &str)> {
    frames.iter().map(|it| (it["type"].as_str().unwrap_or_default(), it["id"].as_str().unwrap_or_default())).collect()
}

/// Those of them that are facts of that call, as the outbox has them and in its order.
fn facts(node: &Node, call_id: &str, kinds: &[&str]) -> Vec<String> {
    let events = node.ledger().events(call_id);
    events.iter().filter(|it| kinds.contains(&it.kind())).map(|it| it.id().to_owned()).collect()
}

fn cursor(frame: &Value) -> &str {
    frame["cursor"].as_str().unwrap_or_else(|| panic!("no cursor in {frame}"))
}

#[test]
fn a_caller_hears_of_his_call_in_the_order_of_its_facts() {
    let mut stage = Stage::set("events-outgoing", &Settings::default());
    let mut events = Events::open(stage.node.http, &stage.alice.token, None);
    assert_eq!(events.seen[0]["calls"], Value::Array(vec![]));
    let (call, invite) = stage.dial();
    let id = &call.call_id;
    let _peer = stage.answer(&call);
    stage.state_is(id, "ringing");
    stage.bob.respond(&invite, 200, &RtpEnd::open().sdp());
    stage.bob.incoming("ACK");
    stage.state_is(id, "talking");
    // Whoever comes in the middle of it finds it.
    let late = Events::open(stage.node.http, &stage.alice.token, None);
    assert_eq!(late.seen[0]["calls"][0]["call_id"], id.as_str());
    assert_eq!(late.seen[0]["calls"][0]["state"], "talking");
    stage.terminate(id);
    stage.bob.hung_up();
    events.expect("call.ended");
    stage.assert_over(id, "normal", "completed");
    let told = told(&events.seen[1..]);
    let kinds: Vec<_> = told.iter().map(|it| it.0).collect();
    assert_eq!(kinds, ["call.dialling", "call.ringing", "call.answered", "call.ended"]);
    let ids: Vec<_> = told.iter().map(|it| it.1).collect();
    assert_eq!(ids, facts(&stage.node, id, &["started", "ringing", "answered", "ended"]));
    assert!(ids.iter().all(|it| it.strip_prefix(id.as_str()).is_some_and(|it| it.starts_with('.'))), "{ids:?}");
    let states: Vec<_> = events.seen[1..].iter().map(|it| it["call"]["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["dialling", "ringing", "talking", "ended"]);
    let correlation = stage.node.ledger().the_cdr().text("correlation_id").to_owned();
    for frame in &events.seen[1..] {
        assert_eq!(
            (&frame["call"]["call_id"], &frame["correlation_id"]),
            (&id.as_str().into(), &correlation.as_str().into())
        );
        assert!(frame["time"].as_str().is_some_and(|it| it.ends_with('Z')), "{frame}");
    }
    assert_eq!(stage.alice.call(id), events.seen[4]["call"], "the same call, however it is asked for");
}

#[test]
fn a_callee_hears_of_a_call_with_what_he_needs_to_take_it() {
    let mut stage = Stage::set("events-incoming", &Settings::default());
    let mut tabs = [(); 2].map(|()| Events::open(stage.node.http, &stage.alice.token, None));
    let mut other = Events::open(stage.node.http, &Api::sign_in(stage.node.http, "carol").token, None);
    let outgoing = stage.bob.invite("1001", &RtpEnd::open().sdp());
    let incoming = tabs[0].expect("call.incoming");
    let id = incoming["call"]["call_id"].as_str().unwrap();
    assert!(incoming["call"]["session_id"].as_str().is_some_and(|it| it.starts_with("leg_")), "{incoming}");
    assert_eq!(incoming["id"].as_str().map(str::len), Some(36), "a UUID: {incoming}");
    let peer = Peer::answer(incoming["call"]["sdp_offer"].as_str().unwrap());
    tabs[0].expect("call.ringing");
    assert_eq!(stage.alice.answer(id, &peer.sdp).0, 200);
    assert_eq!(stage.bob.finally(&outgoing, SOON).status(), Some(200));
    stage.terminate(id);
    stage.bob.hung_up();
    tabs.iter_mut().for_each(|tab| _ = tab.expect("call.ended"));
    stage.assert_over(id, "normal", "completed");
    let events = told(&tabs[0].seen[1..]);
    assert_eq!(events, told(&tabs[1].seen[1..]), "all his tabs hear the same");
    let kinds: Vec<_> = events.iter().map(|it| it.0).collect();
    assert_eq!(kinds, ["call.incoming", "call.ringing", "call.answered", "call.ended"]);
    let ids: Vec<_> = events[1..].iter().map(|it| it.1).collect();
    assert_eq!(ids, facts(&stage.node, id, &["ringing", "answered", "ended"]));
    let has_offer: Vec<_> = tabs[0].seen[1..].iter().map(|it| it["call"]["sdp_offer"].is_string()).collect();
    assert_eq!(has_offer, [true, true, false, false], "only while it waits for an answer");
    assert!(matches!(other.next(Duration::from_millis(300)), Next::Silence), "nobody else hears of it");
}

#[test]
fn a_reader_that_comes_back_with_his_cursor_has_missed_nothing() {
    let stage = Stage::set("events-cursor", &Settings::default());
    let (http, token) = (stage.node.http, &stage.alice.token);
    let mut steady = Events::open(http, token, None);
    let mut here = cursor(&steady.seen[0]).to_owned();
    let mut patchy = Vec::new();
    for round in 0..6 {
        // Some go while nobody is there, some while somebody is.
        (0..round).for_each(|_| _ = stage.alice.try_initiate(NOBODY));
        let mut events = Events::open(http, token, Some(&here));
        assert_eq!((&events.seen[0]["type"], cursor(&events.seen[0])), (&Value::from("resumed"), here.as_str()));
        stage.alice.try_initiate(NOBODY);
        (0..round * 2 + 1).for_each(|_| _ = events.next_frame());
        here = cursor(events.seen.last().unwrap()).to_owned();
        patchy.extend(events.seen.drain(1..));
    }
    // The last event of the last call is missing still.
    let mut events = Events::open(http, token, Some(&here));
    while patchy.len() < 2 * (15 + 6) {
        patchy.push(events.next_frame());
    }
    patchy.iter().for_each(|_| _ = steady.next_frame());
    assert_eq!(patchy, steady.seen[1..]);
    assert!(matches!(steady.next(Duration::from_millis(300)), Next::Silence));
}

#[test]
fn a_cursor_that_is_too_old_or_of_another_node_gets_a_snapshot() {
    let mut stage = Stage::set("events-too-old", &Settings::default());
    let first = Events::open(stage.node.http, &stage.alice.token, None);
    let old = cursor(&first.seen[0]).to_owned();
    let snapshot = |stage: &Stage, cursor: &str| {
        let events = Events::open(stage.node.http, &stage.alice.token, Some(cursor));
        assert_eq!(events.seen[0]["type"], "snapshot", "{cursor}: {}", events.seen[0]);
    };
    for nonsense in ["00000000-1", "x", "-", "0", "%00", &"9".repeat(40)] {
        snapshot(&stage, nonsense);
    }
    assert_eq!(Events::open(stage.node.http, &stage.alice.token, Some(&old)).seen[0]["type"], "resumed");
    // 260 events; 256 are kept.
    (0..130).for_each(|_| assert_eq!(stage.alice.try_initiate(NOBODY).0, 404));
    snapshot(&stage, &old);
    let recent = cursor(&Events::open(stage.node.http, &stage.alice.token, None).seen[0]).to_owned();
    assert_eq!(Events::open(stage.node.http, &stage.alice.token, Some(&recent)).seen[0]["type"], "resumed");
    stage.node.kill();
    stage.node.restart();
    stage.alice = Api::sign_in(stage.node.http, "alice");
    snapshot(&stage, &recent);
}

#[test]
fn only_who_has_a_token_hears_anything_and_the_log_does_not_have_it() {
    let mut stage = Stage::set("events-token", &Settings::default());
    let http = stage.node.http;
    for bad in ["", "x.y.z", &format!("{}x", stage.alice.token)] {
        assert_eq!(Events::try_open(http, bad, None).err(), Some(401), "{bad}");
    }
    let plain = http::request(http, "GET", "/api/v1/events", &stage.alice.token, "").unwrap();
    assert_eq!(plain.0, 426, "{}", plain.1);
    let mut events = Events::open(http, &stage.alice.token, None);
    let (call, invite) = stage.dial();
    stage.terminate(&call.call_id);
    stage.cancelled(&invite);
    events.expect("call.ended");
    for line in stage.node.log() {
        assert!(!line.contains(&stage.alice.token) && !line.contains("access_token"), "{line}");
    }
    stage.node.terminate();
    match events.next(SOON) {
        Next::Closed(Some((1001, _))) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_slow_reader_is_cut_and_the_others_go_on() {
    // One user, who begins more calls than are good for him.
    let calls = ["TANDEM__CALLS__CALLS_PER_SECOND", "TANDEM__CALLS__TENANT_CALLS_PER_SECOND"];
    let requests = ["TANDEM__HTTP__REQUESTS_PER_SECOND_IP", "TANDEM__HTTP__REQUESTS_PER_SECOND_TENANT"];
    let his = ["TANDEM__CALLS__USER_CALLS_PER_SECOND", "TANDEM__HTTP__REQUESTS_PER_SECOND_USER"];
    let rates = calls.into_iter().chain(requests).chain(his);
    let environment = rates.map(|rate| (rate, String::from("100000"))).collect();
    let stage = Stage::set("events-slow", &Settings { environment, ..Settings::default() });
    let mut slow = Events::open_slow(stage.node.http, &stage.alice.token);
    let mut quick = Events::open(stage.node.http, &stage.alice.token, None);
    let mut calls = 0;
    while stage.node.metric("tandem_clients_cut_total") == 0 {
        assert!(calls < 5_000, "never too slow");
        for _ in 0..20 {
            assert_eq!(stage.alice.try_initiate(NOBODY).0, 404);
            quick.expect("call.ended");
        }
        calls += 20;
    }
    let closed = loop {
        match slow.next(SOON) {
            Next::Frame(_) => {}
            other => break other,
        }
    };
    match closed {
        Next::Closed(Some((4008, reason))) => assert_eq!(reason, "too slow"),
        other => panic!("{other:?} after {} frames", slow.seen.len()),
    }
    // What it had was in order, and it can go on where it was.
    assert_eq!(slow.seen[1..], quick.seen[1..slow.seen.len()]);
    stage.alice.try_initiate(NOBODY);
    quick.expect("call.ended");
    assert_eq!(quick.seen.len(), 1 + 2 * (calls + 1));
    println!("{calls} calls until the slow reader was cut, who had {} frames by then", slow.seen.len());
}
