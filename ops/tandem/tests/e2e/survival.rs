//! What breaks inside a talking call is not heard outside.

use std::time::Duration;

use tandem_actors::tree::Kind;

use crate::harness::line::Dialog;
use crate::harness::node::{Node, Settings};
use crate::harness::rtp::{RtpEnd, Stream};
use crate::harness::scratch::Scratch;
use crate::harness::survey::actors;
use crate::harness::ua::Ua;
use crate::harness::{SOON, eventually};

/// How long packets flow between two breaks: fifteen of them.
const PAUSE: u32 = 15;

/// Two phones that talk.
struct Talk {
    alice: Ua,
    bob: Ua,
    dialog: Dialog,
    near: Stream,
    far: Stream,
}

impl Talk {
    fn start(node: &Node) -> Self {
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
        let dialog = alice.caller_side(&call, &answer);
        let (near, far) = (near.talk(&answer.body), far.talk(&invite.body));
        near.wait_for(PAUSE);
        far.wait_for(PAUSE);
        Self { alice, bob, dialog, near, far }
    }

    /// Every packet arrived, and the call has one record, of the time that it took.
    fn end_well(mut self, node: &Node) {
        let view = eventually("all actors", SOON, || Some(node.calls()).filter(|it| it[0]["state"] == "talking"));
        assert_eq!(view.as_array().map(Vec::len), Some(1), "{view}");
        let (near, far) = self.near.finish(self.far);
        near.assert_nothing_lost(far.sent);
        far.assert_nothing_lost(near.sent);
        self.alice.bye(&self.dialog);
        self.bob.hung_up();
        let cdr = node.ledger().the_cdr();
        assert_eq!((cdr.text("cause"), cdr.text("ended_by")), ("normal", "caller"));
        let talked = u64::from(near.sent) * 20;
        let billed: u64 = cdr.number("talk_ms");
        assert!(billed.abs_diff(talked) < Duration::from_secs(5).as_millis() as u64, "{billed} ms of {talked} ms");
    }
}

/// Breaks a part, and waits until it was started again.
fn break_and_wait(node: &Node, id: &str, how: &str) {
    let count = || node.restarts().get(id).copied();
    let before = eventually("the part", SOON, count);
    node.break_actor(id, how);
    eventually(&format!("restart of {id} after {how}"), SOON, || count().filter(|now| *now > before));
}

#[test]
fn actors_of_a_talking_call_that_are_killed_panic_or_hang_lose_no_packet() {
    let scratch = Scratch::new("survival");
    let node = Node::start(&scratch, &Settings::default());
    let talk = Talk::start(&node);
    let actors = actors(&node);
    assert_eq!(actors.len(), 5, "a call, two legs, two tracks: {actors:?}");
    for how in ["kill", "panic", "hang"] {
        for id in &actors {
            break_and_wait(&node, id, how);
            talk.near.wait_for(PAUSE);
        }
    }
    talk.end_well(&node);
}

#[test]
fn whatever_stands_above_a_talking_call_is_killed_panics_or_hangs_and_no_packet_is_lost() {
    let scratch = Scratch::new("survival-standing");
    let node = Node::start(&scratch, &Settings::default());
    let talk = Talk::start(&node);
    let stands = |kind| !matches!(kind, Kind::Call | Kind::Leg | Kind::Track | Kind::Worker);
    let standing: Vec<_> = node.tree().into_iter().filter(|part| stands(part.kind)).map(|part| part.id).collect();
    for id in &standing {
        break_and_wait(&node, id, "kill");
    }
    for id in ["node", "edges", "edges/sip.0", "edges/http", "media/media.0", "calls.0", "legs.0/supervisor"] {
        break_and_wait(&node, id, "panic");
    }
    // Each takes as long as it is noticed; the crash drill hangs the others too.
    for id in ["node", "edges/sip.0", "legs.0/supervisor"] {
        break_and_wait(&node, id, "hang");
    }
    assert_eq!(node.metric("tandem_media_workers_rebuilt_total"), 0, "the threads outlive their services");
    talk.end_well(&node);
}

#[test]
fn a_media_thread_that_hangs_is_replaced_and_the_call_goes_on() {
    let scratch = Scratch::new("survival-thread");
    let node = Node::start(&scratch, &Settings::default());
    let mut talk = Talk::start(&node);
    let workers: Vec<_> = node.tree().into_iter().filter(|it| it.kind == Kind::Worker).map(|it| it.id).collect();
    for worker in &workers {
        break_and_wait(&node, worker, "hang");
        talk.near.wait_for(PAUSE);
        talk.far.wait_for(PAUSE);
    }
    talk.alice.bye(&talk.dialog);
    talk.bob.hung_up();
    assert_eq!(node.ledger().the_cdr().text("cause"), "normal");
}

#[test]
fn a_participant_that_panics_whenever_it_is_woken_leaves_its_peer_and_nothing_else_was_started_again() {
    let scratch = Scratch::new("survival-poison");
    let node = Node::start(&scratch, &Settings::default());
    let mut talk = Talk::start(&node);
    let before = node.restarts();
    let parts = node.tree();
    let poison = parts.iter().rfind(|part| part.kind == Kind::Leg).unwrap().id.clone();
    eventually("end of the leg", SOON, || {
        let is_there = node.restarts().contains_key(&poison);
        if is_there {
            node.try_break(&poison, "panic");
        }
        (!is_there).then_some(())
    });
    talk.alice.hung_up();
    talk.bob.hung_up();
    assert_eq!(node.ledger().the_cdr().text("cause"), "system_failure");
    for (id, restarts) in node.restarts() {
        assert_eq!(restarts, before[&id], "{id}");
    }
}
