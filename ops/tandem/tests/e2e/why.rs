//! What an operator is told of a call: while it lives, when it is over, and when the node is not there any more.

use serde_json::Value;

use crate::calls_api::Stage;
use crate::harness::events::Events;
use crate::harness::node::{Node, Settings};
use crate::harness::rtp::RtpEnd;
use crate::harness::scratch::Scratch;
use crate::harness::ua::Ua;
use crate::harness::{SOON, eventually};

/// How long packets flow between two breaks: fifteen of them.
const PAUSE: u32 = 15;

/// That these stand in the text, in this order.
fn assert_tells(text: &str, wanted: &[&str]) {
    let mut rest = text;
    for it in wanted {
        let Some((_, after)) = rest.split_once(it) else { panic!("{it:?} is missing, or out of order, in\n{text}") };
        rest = after;
    }
}

fn assert_fits_a_screen(text: &str) {
    assert!(text.lines().count() <= 60, "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
}

/// Waits until the story of the only call is written.
fn kept(node: &Node) {
    let ledger = node.ledger();
    eventually("the story in the database", SOON, || (ledger.count("call_traces") == 1).then_some(()));
}

#[test]
fn the_story_of_a_call_through_a_broken_actor_and_broken_workers_is_told_on_one_screen() {
    let scratch = Scratch::new("why");
    let environment = vec![("TANDEM__MEDIA__WORKERS", String::from("2"))];
    let mut node = Node::start(&scratch, &Settings { environment, ..Settings::default() });
    let (mut alice, mut bob) = (Ua::new("1001", "alice", node.sip), Ua::new("1002", "bob", node.sip));
    alice.register();
    bob.register();
    let (near, far) = (RtpEnd::open(), RtpEnd::open());
    let call = alice.invite("1002", &near.sdp());
    let invite = bob.incoming("INVITE");
    bob.respond(&invite, 180, "");
    alice.progress(&call, 180);
    bob.respond(&invite, 200, &far.sdp());
    bob.incoming("ACK");
    let answer = alice.finally(&call, SOON);
    assert_eq!(answer.status(), Some(200), "{}", answer.text());
    let (near, far) = (near.talk(&answer.body), far.talk(&invite.body));
    near.wait_for(PAUSE);

    let seen = &node.calls()[0];
    let [id, callee] = [&seen["call_id"], &seen["legs"][1]["leg_id"]].map(|it| it.as_str().unwrap().to_owned());
    node.break_actor(&callee, "kill");
    for worker in ["worker.0", "worker.1"] {
        node.break_actor(worker, "panic");
    }
    let why = |node: &Node| node.command(&["why", &id]).unwrap();
    let live = eventually("the restart and the rebuild", SOON, || {
        Some(why(&node)).filter(|text| text.contains("another went on") && text.contains("in a new thread of worker"))
    });
    assert_tells(&live, &["INVITE sip:1002@", "180 Because", "It is not over."]);
    near.wait_for(PAUSE);
    let (near, far) = near.finish(far);
    near.assert_nothing_lost(far.sent);
    alice.bye(&alice.caller_side(&call, &answer));
    bob.hung_up();
    node.ledger().the_cdr();

    let steps = [
        "A  1001",
        "dials 1002",
        "B  1002",
        "A ──▶ │         INVITE sip:1002@",
        "│ ──▶ B   INVITE sip:1002@",
        "│ ◀── B   180 Because",
        "A ◀── │         180 Ringing",
        "│ ◀── B   200 Because (sdp)",
        "B answered",
        "A ◀── │         200 OK (sdp)",
        "B: its actor died (killed), another went on",
        "A ──▶ │         BYE",
        "the call is over: normal, by the caller",
        "End: the caller hung up (normal, by the caller). Talked",
        "Restarts: 1 of actors, 2 of legs' media",
        "Media of A:",
        "Media of B:",
    ];
    let assert_story = |text: &str| {
        assert_tells(text, &steps);
        for concurrent in [
            "A: its media goes on in a new thread of worker",
            "B: its media goes on in a new thread of worker",
            "A ──▶ │         ACK",
            "│ ──▶ B   BYE",
            "A ◀── │         200 OK (BYE)",
        ] {
            assert!(text.contains(concurrent), "{concurrent:?} is missing in\n{text}");
        }
        assert_fits_a_screen(text);
    };
    let told = eventually("the last words", SOON, || Some(why(&node)).filter(|text| text.contains("End: ")));
    assert_story(&told);
    kept(&node);
    assert_story(&why(&node));

    let full = node.command(&["why", &id, "--full"]).unwrap();
    assert_tells(&full, &["INVITE sip:1002@", "Call-ID: ", "uthorization:[hidden]", "v=0", "BYE sip:", "End: "]);
    let json: Value = serde_json::from_str(&node.command(&["why", &id, "--json"]).unwrap()).unwrap();
    assert_eq!((json["call_id"].as_str(), json["is_over"].as_bool()), (Some(id.as_str()), Some(true)));
    let credentials = call.invite.text().lines().find(|it| it.contains("uthorization: Digest")).unwrap().to_owned();
    let secret = credentials.split("response=\"").nth(1).unwrap().split('"').next().unwrap();
    assert!(secret.len() == 32 && !full.contains(secret) && !json.to_string().contains(secret), "{full}");

    let unknown = id.replace('0', "1");
    let complaint = node.command(&["why", &unknown]).unwrap_err();
    assert!(complaint.contains("tandem calls") && complaint.contains(&unknown), "{complaint}");
    assert!(node.command(&["why", "1001"]).unwrap_err().contains("does not look like call_"));
    node.assert_not_logged(&["1001", "1002"]);
    let audited = node.log().iter().filter(|line| line.contains("\"audit\"") && line.contains(&id)).count();
    assert!(audited >= 4, "each reading is in the audit log: {audited}");

    node.terminate();
    assert!(node.ended(SOON).success());
    let noted = || node.ledger().count("audit_events WHERE action = 'trace_read' AND who = 'operator'");
    let noted_before = noted();
    let without_a_node = why(&node);
    assert_eq!(noted(), noted_before + 1, "who reads it is noted there, too");
    assert!(without_a_node.starts_with("The node was not asked"), "{without_a_node}");
    assert_story(&without_a_node.lines().skip(2).map(|line| format!("{line}\n")).collect::<String>());
}

#[test]
fn the_story_of_a_clients_call_has_its_requests_its_offer_and_its_events() {
    let mut stage = Stage::set("why-api", &Settings::default());
    let events = Events::open(stage.node.http, &stage.alice.token, None);
    let talk = stage.talk();
    let id = talk.call.call_id.clone();
    stage.terminate(&id);
    stage.bob.hung_up();
    kept(&stage.node);
    let told = stage.node.command(&["why", &id]).unwrap();
    assert_tells(
        &told,
        &[
            "A  1001",
            "A ──▶ │         POST initiate 1002",
            "the call begins",
            "│ ──▶ B   INVITE sip:1002@",
            "A ◀── │         event call.ringing",
            "A ──▶ │         POST answer (sdp)",
            "A ◀── │         event call.answered",
            "A ──▶ │         POST terminate",
            "the call is over: normal, by the caller",
            "End: the caller hung up",
            "Nothing of it broke.",
        ],
    );
    for concurrent in ["200 our offer (sdp)", "│ ◀── B   200 Because (sdp)", "│ ──▶ B   BYE", "event call.ended"]
    {
        assert!(told.contains(concurrent), "{concurrent:?} is missing in\n{told}");
    }
    assert_fits_a_screen(&told);
    let full = stage.node.command(&["why", &id, "--full"]).unwrap();
    assert_tells(&full, &["a=ice-ufrag:", "a=ice-pwd:[hidden]", "POST answer", "a=ice-pwd:[hidden]", "End: "]);
    let password = talk.call.offer.lines().find_map(|it| it.strip_prefix("a=ice-pwd:")).unwrap();
    assert!(!full.contains(password) && !full.contains(&stage.alice.token));
    stage.node.assert_not_logged(&["1001", "1002", "alice", "bob"]);
    events.close();
}
