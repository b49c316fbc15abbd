//! Two phones register, one calls the other, they talk, either hangs up; and the ledger knows it.

use crate::harness::baresip::{Baresip, Setup};
use crate::harness::ledger::Cdr;
use crate::harness::node::{Node, Settings};
use crate::harness::scratch::Scratch;

const ALICE_HERTZ: u32 = 440;
const BOB_HERTZ: u32 = 1_000;

/// Two registered phones.
pub(crate) fn phones(scratch: &Scratch, node: &Node, transport: &'static str) -> (Baresip, Baresip) {
    let registrar = Some(node.sip);
    let setup = |user, password, hertz| Setup { user, registrar, password, transport, answers: false, hertz };
    let alice = Baresip::start(scratch, &setup("1001", "alice", ALICE_HERTZ));
    let bob = Baresip::start(scratch, &setup("1002", "bob", BOB_HERTZ));
    alice.registered();
    bob.registered();
    (alice, bob)
}

/// Alice calls Bob, he answers, and each hears the other.
pub(crate) fn talk(alice: &mut Baresip, bob: &mut Baresip) {
    alice.dial("1002");
    bob.expect("CALL_INCOMING");
    alice.expect("CALL_RINGING");
    bob.answer();
    alice.expect("CALL_ESTABLISHED");
    alice.hears(BOB_HERTZ);
    bob.hears(ALICE_HERTZ);
}

/// The record, the events and the log of one call that was talked in tell the same story.
fn assert_told(node: &Node, cdr: &Cdr) {
    assert_eq!(cdr.text("cause"), "normal");
    assert_eq!((cdr.text("caller"), cdr.text("callee")), ("1001", "1002"));
    let times = ["started_at", "ringing_at", "answered_at", "ended_at"].map(|it| cdr.text(it));
    assert!(times.iter().all(|it| !it.is_empty()) && times.is_sorted(), "{times:?}");
    let (call, correlation) = (cdr.call_id(), cdr.text("correlation_id"));
    let events = node.ledger().events(call);
    let kinds: Vec<&str> = events.iter().map(|it| it.kind()).collect();
    assert_eq!(kinds, ["started", "dialled", "ringing", "answered", "leg_ended", "ended", "leg_ended", "closed"]);
    assert!(events.iter().all(|it| it.correlation_id() == correlation), "{events:?}");
    let lines: Vec<String> = node.log().into_iter().filter(|line| line.contains(call)).collect();
    assert!(!lines.is_empty(), "the log knows nothing of {call}");
    assert!(lines.iter().all(|line| line.contains(correlation)), "{lines:#?}");
    node.assert_not_logged(&["1001", "1002", "alice", "bob"]);
}

#[test]
fn two_phones_talk_over_udp_until_the_callee_hangs_up() {
    let scratch = Scratch::new("udp");
    let node = Node::start(&scratch, &Settings::default());
    let (mut alice, mut bob) = phones(&scratch, &node, "udp");
    talk(&mut alice, &mut bob);
    bob.hang_up();
    alice.expect("CALL_CLOSED");
    let cdr = node.ledger().the_cdr();
    assert_eq!(cdr.text("ended_by"), "callee");
    assert_told(&node, &cdr);
}

#[test]
fn two_phones_talk_over_tcp_until_the_caller_hangs_up() {
    let scratch = Scratch::new("tcp");
    let node = Node::start(&scratch, &Settings::default());
    let (mut alice, mut bob) = phones(&scratch, &node, "tcp");
    talk(&mut alice, &mut bob);
    alice.hang_up();
    bob.expect("CALL_CLOSED");
    let cdr = node.ledger().the_cdr();
    assert_eq!(cdr.text("ended_by"), "caller");
    assert_told(&node, &cdr);
}

#[test]
fn a_phone_that_is_unplugged_in_a_call_ends_it_as_media_lost() {
    let scratch = Scratch::new("unplugged");
    let settings = Settings { silence_timeout: std::time::Duration::from_secs(3), ..Settings::default() };
    let node = Node::start(&scratch, &settings);
    let (mut alice, mut bob) = phones(&scratch, &node, "udp");
    talk(&mut alice, &mut bob);
    bob.kill();
    alice.expect("CALL_CLOSED");
    let cdr = node.ledger().the_cdr();
    assert_eq!((cdr.text("cause"), cdr.text("ended_by")), ("media_lost", "system"));
    let events = node.ledger().events(cdr.call_id());
    let end = events.iter().find(|it| it.kind() == "ended").unwrap();
    assert_eq!(end.text("cause"), "media_lost");
}
