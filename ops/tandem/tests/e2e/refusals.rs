//! Every way in which a call can fail: what the caller is told, what the event says, what is billed.

use std::time::Duration;

use crate::harness::SOON;
use crate::harness::ledger::{Cdr, Event};
use crate::harness::node::{Node, Settings};
use crate::harness::rtp::RtpEnd;
use crate::harness::scratch::Scratch;
use crate::harness::ua::Ua;
use crate::harness::wire::Message;

/// A node with Alice on it, who calls.
struct Stage {
    node: Node,
    alice: Ua,
    offer: String,
    _media: RtpEnd,
    _scratch: Scratch,
}

impl Stage {
    fn set(name: &str, settings: &Settings) -> Self {
        let scratch = Scratch::new(name);
        let node = Node::start(&scratch, settings);
        let mut alice = Ua::new("1001", "alice", node.sip);
        alice.register();
        let media = RtpEnd::open();
        Self { node, alice, offer: media.sdp(), _media: media, _scratch: scratch }
    }

    fn bob(&self) -> Ua {
        let mut bob = Ua::new("1002", "bob", self.node.sip);
        bob.register();
        bob
    }

    /// That the caller was told `status`, and everybody else `cause`. Gives the events' kinds.
    fn assert_refused(&self, told: &Message, status: u16, cause: &str) -> Vec<String> {
        assert_eq!(told.status(), Some(status), "{}", told.text());
        let (cdr, events) = self.told();
        assert_eq!(cdr.text("cause"), cause);
        assert_eq!((cdr.text("caller"), cdr.text("answered_at")), ("1001", ""));
        let end = events.iter().find(|it| it.kind() == "ended").unwrap();
        assert_eq!(end.text("cause"), cause);
        self.node.assert_not_logged(&["1001", "1002"]);
        events.iter().map(|it| it.kind().to_owned()).collect()
    }

    fn told(&self) -> (Cdr, Vec<Event>) {
        let cdr = self.node.ledger().the_cdr();
        let events = self.node.ledger().events(cdr.call_id());
        (cdr, events)
    }
}

/// Bob's phone rings, and then says `status`.
fn refused_by_bob(name: &str, status: u16, cause: &str) {
    let mut stage = Stage::set(name, &Settings::default());
    let mut bob = stage.bob();
    let call = stage.alice.invite("1002", &stage.offer);
    let invite = bob.incoming("INVITE");
    bob.respond(&invite, 180, "");
    stage.alice.progress(&call, 180);
    bob.respond(&invite, status, "");
    bob.incoming("ACK");
    let told = stage.alice.finally(&call, SOON);
    let kinds = stage.assert_refused(&told, status, cause);
    assert!(kinds.contains(&"ringing".to_owned()), "{kinds:?}");
}

#[test]
fn a_busy_callee() {
    refused_by_bob("busy", 486, "busy");
}

#[test]
fn a_callee_that_declines() {
    refused_by_bob("declined", 603, "declined");
}

#[test]
fn a_callee_that_does_not_answer() {
    let settings = Settings { ring_timeout: Duration::from_secs(5), ..Settings::default() };
    let mut stage = Stage::set("no-answer", &settings);
    let mut bob = stage.bob();
    let call = stage.alice.invite("1002", &stage.offer);
    let invite = bob.incoming("INVITE");
    bob.respond(&invite, 180, "");
    cancelled(&mut bob, &invite);
    let told = stage.alice.finally(&call, SOON);
    stage.assert_refused(&told, 480, "no_answer");
}

#[test]
fn a_number_that_nobody_has() {
    let mut stage = Stage::set("unknown", &Settings::default());
    let call = stage.alice.invite("1999", &stage.offer);
    let told = stage.alice.finally(&call, SOON);
    stage.assert_refused(&told, 404, "unknown_number");
}

#[test]
fn a_caller_that_gives_up() {
    let mut stage = Stage::set("cancelled", &Settings::default());
    let mut bob = stage.bob();
    let call = stage.alice.invite("1002", &stage.offer);
    let invite = bob.incoming("INVITE");
    bob.respond(&invite, 180, "");
    stage.alice.progress(&call, 180);
    stage.alice.cancel(&call);
    cancelled(&mut bob, &invite);
    let told = stage.alice.finally(&call, SOON);
    stage.assert_refused(&told, 487, "cancelled");
}

#[test]
fn a_callee_that_is_not_registered() {
    let mut stage = Stage::set("unregistered", &Settings::default());
    let call = stage.alice.invite("1002", &stage.offer);
    let told = stage.alice.finally(&call, SOON);
    stage.assert_refused(&told, 480, "unreachable");
}

/// Registered, then gone without a word. The longest wait of SIP (timer B, 32 s) is the node's.
#[test]
fn a_callee_whose_device_is_dead() {
    let mut stage = Stage::set("dead", &Settings::default());
    drop(stage.bob());
    let call = stage.alice.invite("1002", &stage.offer);
    let told = stage.alice.finally(&call, Duration::from_secs(60));
    stage.assert_refused(&told, 408, "timeout");
}

#[test]
fn two_devices_ring_and_the_one_that_is_slower_is_told_who_was_faster() {
    let mut stage = Stage::set("two-devices", &Settings::default());
    let (mut desk, mut pocket) = (stage.bob(), stage.bob());
    let media = RtpEnd::open();
    let call = stage.alice.invite("1002", &stage.offer);
    let (at_desk, in_pocket) = (desk.incoming("INVITE"), pocket.incoming("INVITE"));
    desk.respond(&at_desk, 180, "");
    pocket.respond(&in_pocket, 180, "");
    stage.alice.progress(&call, 180);
    pocket.respond(&in_pocket, 200, &media.sdp());
    pocket.incoming("ACK");
    let reason = cancelled(&mut desk, &at_desk);
    assert!(reason.contains("cause=26") || reason.contains("cause=200"), "{reason}");
    let answer = stage.alice.finally(&call, SOON);
    assert_eq!(answer.status(), Some(200));
    let dialog = stage.alice.caller_side(&call, &answer);
    stage.alice.bye(&dialog);
    pocket.hung_up();
    let (cdr, events) = stage.told();
    assert_eq!((cdr.text("cause"), cdr.text("callee")), ("normal", "1002"));
    let causes: Vec<&str> = events.iter().filter(|it| it.kind() == "leg_ended").map(|it| it.text("cause")).collect();
    assert_eq!(causes.len(), 3, "{events:?}");
    assert_eq!(causes.first(), Some(&"answered_elsewhere"));
}

/// Takes a CANCEL as a phone does, and gives its reason.
fn cancelled(phone: &mut Ua, invite: &Message) -> String {
    let cancel = phone.incoming("CANCEL");
    phone.respond(&cancel, 200, "");
    phone.respond(invite, 487, "");
    phone.incoming("ACK");
    cancel.all("Reason").collect()
}
