//! Everything that the calls API refuses: what no call can be begun with, who is not let in, calls that are not there,
//! and what comes too early, too late or twice.

use serde_json::{Value, json};

use super::Stage;
use crate::harness::api::{Api, CALLS, refusal};
use crate::harness::http;
use crate::harness::node::Settings;
use crate::harness::rtp::RtpEnd;
use crate::harness::webrtc::Peer;

/// Every place of the API.
const PLACES: [(&str, &str); 7] = [
    ("POST", "/initiate"),
    ("POST", "/terminate"),
    ("GET", ""),
    ("GET", "/call_0192f0c0000070008000000000000000"),
    ("POST", "/call_0192f0c0000070008000000000000000/answer"),
    ("POST", "/call_0192f0c0000070008000000000000000/reject"),
    ("POST", "/call_0192f0c0000070008000000000000000/candidates"),
];

/// Ids that no call has.
const MISSING: [&str; 3] = ["call_0192f0c0000070008000000000000000", "call_", "leg_0192f0c0000070008000000000000000"];

#[test]
fn what_is_not_valid_is_refused_with_the_reason() {
    let stage = Stage::set("api-invalid", &Settings::default());
    let initiate = |body: &str| stage.alice.request("POST", &format!("{CALLS}/initiate"), body);
    let (long, required) = (format!(r#"{{"phone_number":"{}"}}"#, "1".repeat(65)), "phone_number is required");
    for (body, reason) in [
        ("{}", required),
        (r#"{"phone_number":""}"#, required),
        (r#"{"phone_number":" "}"#, required),
        (r#"{"phone_number":"++"}"#, "phone_number"),
        (r#"{"phone_number":"+49;ext=1"}"#, "phone_number"),
        (r#"{"phone_number":"1002\r\nVia: x"}"#, "phone_number"),
        (r#"{"phone_number":"sip:1002@elsewhere.example"}"#, "phone_number"),
        (r#"{"phone_number":"sip:1002"}"#, "phone_number"),
        (&long, "phone_number"),
        (r#"{"phone_number":1002}"#, "body"),
        (r#"{"phone_number":null}"#, "body"),
        (r#"{"phone_number":"1002","more":1}"#, "more"),
        (r#"{"phone_number":"1002""#, "body"),
        ("1002", "body"),
        ("", "body"),
    ] {
        let told = initiate(body);
        assert_eq!(refusal(&told), (400, "validation_error"), "{body}: {told:?}");
        let message = told.1["message"].as_str().unwrap();
        assert!(message.contains(reason), "{body}: {message}");
    }
    let oversize = initiate(&json!({ "phone_number": "1".repeat(70_000) }).to_string());
    assert_eq!(refusal(&oversize), (413, "payload_too_large"));
    let terminate = |body: &str| stage.alice.request("POST", &format!("{CALLS}/terminate"), body);
    for body in ["{}", r#"{"call_id":7}"#, "{"] {
        assert_eq!(refusal(&terminate(body)), (400, "validation_error"), "{body}");
    }
    assert_eq!(terminate("{}").1["message"], "call_id is required");
    for query in ["limit=0", "limit=101", "limit=x", "limit=-1", "cursor=x"] {
        assert_eq!(refusal(&stage.alice.get(&format!("{CALLS}?{query}"))), (400, "validation_error"), "{query}");
    }
    assert_eq!(refusal(&stage.alice.get(&format!("{CALLS}/initiate"))).0, 405);
    assert_eq!(stage.node.ledger().count("events WHERE aggregate LIKE 'call_%'"), 0, "nothing of it was a call");
}

#[test]
fn nobody_without_a_valid_token_gets_in() {
    let stage = Stage::set("api-tokens", &Settings::default());
    let (claims, signature) = stage.alice.token.rsplit_once('.').unwrap();
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    let forged = format!("{claims}.{first}{}", &signature[1..]);
    // alg none, sub user_0, exp 1
    let expired = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1c2VyXzAiLCJleHAiOjF9.";
    let tokens = [None, Some(""), Some("Bearer"), Some("Bearer "), Some("Bearer x.y.z"), Some("Basic YTpi")];
    let mut headers: Vec<Option<String>> = tokens.into_iter().map(|it| it.map(str::to_owned)).collect();
    headers.extend([&forged, expired, claims].map(|it| Some(format!("Bearer {it}"))));
    for (root, expected) in [("/api/calls", 403), (CALLS, 401)] {
        for (method, path) in PLACES {
            for header in &headers {
                let header: Vec<_> = header.iter().map(|it| ("authorization", it.as_str())).collect();
                let told = http::exchange(stage.node.http, method, &format!("{root}{path}"), &header, "{}").unwrap();
                assert_eq!(told.status, expected, "{method} {root}{path} {header:?}: {}", told.body);
                let body: Value = serde_json::from_str(&told.body).unwrap();
                assert_eq!(body, json!({ "error": "unauthorized", "message": "Authentication required" }));
            }
        }
    }
}

#[test]
fn somebody_elses_call_is_no_call() {
    let mut stage = Stage::set("api-foreign", &Settings::default());
    let (call, invite) = stage.dial();
    let peer = Peer::answer(&call.offer);
    let carol = Api::sign_in(stage.node.http, "carol");
    let everything = |id: &str| {
        [
            carol.get(&format!("{CALLS}/{id}")),
            carol.answer(id, &peer.sdp),
            carol.post(&format!("{CALLS}/{id}/reject"), &json!({})),
            carol.post(&format!("{CALLS}/{id}/candidates"), &json!({})),
            carol.terminate(id),
        ]
    };
    let foreign = everything(&call.call_id);
    assert!(foreign.iter().all(|it| refusal(it) == (404, "call_not_found")), "{foreign:?}");
    for id in MISSING {
        assert_eq!(everything(id), foreign, "{id}");
    }
    // Nothing of that has touched it.
    assert_eq!(stage.alice.answer(&call.call_id, &peer.sdp).0, 200);
    stage.terminate(&call.call_id);
    stage.cancelled(&invite);
}

#[test]
fn a_call_is_answered_once_by_its_caller_and_not_by_what_is_no_answer() {
    let mut stage = Stage::set("api-answers", &Settings::default());
    let (call, invite) = stage.dial();
    let peer = Peer::answer(&call.offer);
    let without =
        |start: &str| -> String { peer.sdp.split_inclusive("\r\n").filter(|it| !it.starts_with(start)).collect() };
    for (what, sdp) in [
        ("nothing", String::new()),
        ("noise", String::from("hello")),
        ("no fingerprint", without("a=fingerprint:")),
        ("no ICE user", without("a=ice-ufrag:")),
        ("no ICE password", without("a=ice-pwd:")),
        ("no multiplexing", without("a=rtcp-mux")),
        ("no section", without("m=")),
        ("no codec of ours", peer.sdp.replace("RTP/SAVPF 0", "RTP/SAVPF 9").replace("rtpmap:0 PCMU", "rtpmap:9 G722")),
        ("the server is to begin", peer.sdp.replace("setup:active", "setup:passive")),
        ("another section", peer.sdp.replace("a=mid:0", "a=mid:1")),
        ("a plain phone", RtpEnd::open().sdp()),
        ("our own offer", call.offer.clone()),
    ] {
        assert_eq!(refusal(&stage.alice.answer(&call.call_id, &sdp)), (400, "invalid_sdp"), "{what}\n{sdp}");
    }
    let path = format!("{CALLS}/{}/answer", call.call_id);
    for body in [json!({}), json!({ "sdp_answer": 1 }), json!({ "sdp_answer": peer.sdp, "more": 1 })] {
        assert_eq!(refusal(&stage.alice.post(&path, &body)), (400, "validation_error"), "{body}");
    }
    let other_session = json!({ "sdp_answer": peer.sdp, "session_id": "leg_0192f0c0000070008000000000000000" });
    assert_eq!(refusal(&stage.alice.post(&path, &other_session)), (404, "call_not_found"));
    let candidates = format!("{CALLS}/{}/candidates", call.call_id);
    for body in [json!({}), json!({ "candidates": [{ "candidate": "", "sdpMid": "0" }] }), json!({ "candidates": [] })]
    {
        assert_eq!(stage.alice.post(&candidates, &body).0, 204, "{body}");
    }
    assert_eq!(refusal(&stage.alice.post(&format!("{CALLS}/{}/reject", call.call_id), &json!({}))).0, 404, "his own");

    let session = json!({ "sdp_answer": peer.sdp, "session_id": call.session_id });
    let (status, answered) = stage.alice.post(&path, &session);
    assert_eq!((status, answered["status"].as_str()), (200, Some("connecting")), "{answered}");
    assert_eq!(refusal(&stage.alice.post(&path, &session)), (409, "call_already_active"));
    let end = RtpEnd::open();
    stage.bob.respond(&invite, 200, &end.sdp());
    stage.bob.incoming("ACK");
    let (near, far) = (peer.talk(), end.talk(&invite.body));
    near.wait_for(10);
    far.wait_for(10);
    assert_eq!(refusal(&stage.alice.post(&path, &session)), (409, "call_already_active"));
    stage.terminate(&call.call_id);
    stage.bob.hung_up();
    assert_eq!(refusal(&stage.alice.post(&path, &session)), (409, "call_ended"));
}
