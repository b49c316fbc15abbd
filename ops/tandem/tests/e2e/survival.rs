//! What breaks inside a talking call is not heard outside.

use std::time::Duration;

use crate::harness::node::{Node, Settings};
use crate::harness::rtp::RtpEnd;
use crate::harness::scratch::Scratch;
use crate::harness::survey::actors;
use crate::harness::ua::Ua;
use crate::harness::{SOON, eventually};

/// How long packets flow between two breaks: fifteen of them.
const PAUSE: u32 = 15;

#[test]
fn killed_and_panicked_actors_of_a_talking_call_lose_no_packet() {
    let scratch = Scratch::new("survival");
    let node = Node::start(&scratch, &Settings::default());
    let (mut alice, mut bob) = (Ua::new("1001", "alice", node.sip), Ua::new("1002", "bob", node.sip));
    alice.register();
    bob.register();
    let (near, far) = (RtpEnd::open(), RtpEnd::open());
    let call = alice.invite("1002", &near.sdp());
    let invite = bob.incoming("INVITE");
    bob.respond(&invite, 200, &far.sdp());
    bob.incoming("ACK");
    let answer = alice.finally(&call, SOON);
    assert_eq!(answer.status(), Some(200), "{}", answer.text());
    let (near, far) = (near.talk(&answer.body), far.talk(&invite.body));
    near.wait_for(PAUSE);
    far.wait_for(PAUSE);

    let actors = actors(&node);
    assert_eq!(actors.len(), 5, "a call, two legs, two tracks: {actors:?}");
    for how in ["kill", "panic"] {
        for id in &actors {
            node.break_actor(id, how);
            near.wait_for(PAUSE);
        }
    }
    let view = eventually("all actors", SOON, || Some(node.calls()).filter(|it| it[0]["state"] == "talking"));
    assert_eq!(view.as_array().map(Vec::len), Some(1), "{view}");
    let (near, far) = near.finish(far);
    near.assert_nothing_lost(far.sent);
    far.assert_nothing_lost(near.sent);

    alice.bye(&alice.caller_side(&call, &answer));
    bob.hung_up();
    let cdr = node.ledger().the_cdr();
    assert_eq!((cdr.text("cause"), cdr.text("ended_by")), ("normal", "caller"));
    let talked = u64::from(near.sent) * 20;
    let billed: u64 = cdr.number("talk_ms");
    assert!(billed.abs_diff(talked) < Duration::from_secs(5).as_millis() as u64, "{billed} ms of {talked} ms");
}
