//! The page in Chromium: it calls a phone, is called by one, calls another page; they talk, either hangs up.

use crate::harness::baresip::{Baresip, Setup};
use crate::harness::browser::{self, Browser, Tab, Turn};
use crate::harness::ledger::Cdr;
use crate::harness::node::{Node, Settings};
use crate::harness::scratch::Scratch;

const ALICE_HERTZ: u32 = 440;
const BOB_HERTZ: u32 = 1_000;

/// A node with Bob's phone on it, and a browser in which Alice is signed in.
struct Stage {
    chromium: Browser,
    bob: Baresip,
    node: Node,
    _scratch: Scratch,
    _turn: Turn,
}

impl Stage {
    fn set(name: &str) -> Self {
        let (turn, scratch) = (browser::turn(), Scratch::new(name));
        let node = Node::start(&scratch, &Settings::default());
        let bob = phone_of_bob(&scratch, &node);
        let mut chromium = Browser::start(&scratch, "alice", ALICE_HERTZ);
        chromium.open("alice", node.http).sign_in("alice");
        Self { chromium, bob, node, _scratch: scratch, _turn: turn }
    }

    /// Alice's page and Bob's phone.
    fn parties(&mut self) -> (Tab<'_>, &mut Baresip) {
        (self.chromium.tab("alice"), &mut self.bob)
    }

    fn assert_told(&self, ended_by: &str) -> Cdr {
        let cdr = self.node.ledger().the_cdr();
        assert_told(&self.node, &cdr, ended_by);
        cdr
    }
}

pub(crate) fn phone_of_bob(scratch: &Scratch, node: &Node) -> Baresip {
    let registrar = Some(node.sip);
    let setup = Setup { user: "1002", registrar, password: "bob", transport: "udp", answers: false, hertz: BOB_HERTZ };
    let bob = Baresip::start(scratch, &setup);
    bob.registered();
    bob
}

/// The record and the events of one call that was talked in tell the same story.
fn assert_told(node: &Node, cdr: &Cdr, ended_by: &str) {
    assert_eq!((cdr.text("cause"), cdr.text("ended_by")), ("normal", ended_by));
    let times = ["started_at", "ringing_at", "answered_at", "ended_at"].map(|it| cdr.text(it));
    assert!(times.iter().all(|it| !it.is_empty()) && times.is_sorted(), "{times:?}");
    let events = node.ledger().events(cdr.call_id());
    assert!(events.iter().all(|it| it.correlation_id() == cdr.text("correlation_id")), "{events:?}");
    assert!(!cdr.text("user_id").is_empty() && !cdr.text("device_id").is_empty());
    node.assert_not_logged(&["1001", "1002"]);
}

#[test]
fn a_page_calls_a_phone_and_both_hear_each_other_until_the_page_hangs_up() {
    let mut stage = Stage::set("page-phone");
    let (mut alice, bob) = stage.parties();
    alice.dial("1002");
    bob.expect("CALL_INCOMING");
    alice.call_is("ringing");
    bob.answer();
    alice.call_is("talking");
    alice.hears(BOB_HERTZ);
    bob.hears(ALICE_HERTZ);
    assert!(alice.text("call-timer").is_some_and(|it| it.contains(':')));
    let stats = alice.stats();
    assert_eq!((stats["codec"].as_str(), stats["dtlsRole"].as_str()), (Some("audio/PCMU"), Some("client")), "{stats}");
    assert!(stats["cipher"].as_str().is_some_and(|it| it.contains("GCM")), "{stats}");
    alice.click("hang-up");
    bob.expect("CALL_CLOSED");
    alice.call_ended("normal");
    let cdr = stage.assert_told("caller");
    assert_eq!((cdr.text("caller"), cdr.text("callee")), ("1001", "1002"));
}

#[test]
fn a_page_calls_a_phone_that_hangs_up() {
    let mut stage = Stage::set("page-phone-ends");
    let (mut alice, bob) = stage.parties();
    alice.dial("1002");
    bob.expect("CALL_INCOMING");
    bob.answer();
    alice.call_is("talking");
    bob.hears(ALICE_HERTZ);
    bob.hang_up();
    alice.call_ended("normal");
    stage.assert_told("callee");
}

#[test]
fn a_phone_calls_a_page_and_both_hear_each_other_until_the_page_hangs_up() {
    let mut stage = Stage::set("phone-page");
    let (mut alice, bob) = stage.parties();
    bob.dial("1001");
    alice.click("accept");
    bob.expect("CALL_ESTABLISHED");
    alice.call_is("talking");
    alice.hears(BOB_HERTZ);
    bob.hears(ALICE_HERTZ);
    alice.click("hang-up");
    bob.expect("CALL_CLOSED");
    alice.call_ended("normal");
    let cdr = stage.assert_told("callee");
    assert_eq!((cdr.text("caller"), cdr.text("callee")), ("1002", "1001"));
}

#[test]
fn a_phone_calls_a_page_and_hangs_up() {
    let mut stage = Stage::set("phone-page-ends");
    let (mut alice, bob) = stage.parties();
    bob.dial("1001");
    alice.click("accept");
    bob.expect("CALL_ESTABLISHED");
    alice.call_is("talking");
    alice.hears(BOB_HERTZ);
    bob.hang_up();
    alice.call_ended("normal");
    stage.assert_told("caller");
}

#[test]
fn a_page_calls_a_page_in_opus_and_both_hear_each_other() {
    let (_turn, scratch) = (browser::turn(), Scratch::new("page-page"));
    let node = Node::start(&scratch, &Settings::default());
    let mut hers = Browser::start(&scratch, "alice", ALICE_HERTZ);
    let mut his = Browser::start(&scratch, "bob", BOB_HERTZ);
    let (mut alice, mut bob) = (hers.open("alice", node.http), his.open("bob", node.http));
    alice.sign_in("alice");
    bob.sign_in("bob");
    alice.dial("1002");
    bob.click("accept");
    alice.call_is("talking");
    bob.call_is("talking");
    alice.hears(BOB_HERTZ);
    bob.hears(ALICE_HERTZ);
    assert_eq!(alice.stats()["codec"], "audio/opus");
    bob.click("hang-up");
    alice.call_ended("normal");
    bob.call_ended("normal");
    assert_told(&node, &node.ledger().the_cdr(), "callee");
}

#[test]
fn several_tabs_ring_and_the_first_that_accepts_has_the_call() {
    let (_turn, scratch) = (browser::turn(), Scratch::new("tabs"));
    let node = Node::start(&scratch, &Settings::default());
    let mut bob = phone_of_bob(&scratch, &node);
    let mut chromium = Browser::start(&scratch, "alice", ALICE_HERTZ);
    chromium.open("one", node.http).sign_in("alice");
    // The second tab finds the session of the first.
    chromium.open("two", node.http).is_online();
    bob.dial("1001");
    for tab in ["one", "two"] {
        chromium.tab(tab).attribute_is("incoming", "role", "alertdialog");
    }
    chromium.tab("two").click("accept");
    bob.expect("CALL_ESTABLISHED");
    chromium.tab("two").call_is("talking");
    chromium.tab("one").is_gone("incoming");
    bob.hears(ALICE_HERTZ);
    chromium.tab("two").click("hang-up");
    bob.expect("CALL_CLOSED");
    assert_told(&node, &node.ledger().the_cdr(), "callee");
}

#[test]
fn a_page_is_used_with_the_keyboard_alone() {
    let (_turn, scratch) = (browser::turn(), Scratch::new("keyboard"));
    let node = Node::start(&scratch, &Settings::default());
    let mut bob = phone_of_bob(&scratch, &node);
    let mut chromium = Browser::start(&scratch, "alice", ALICE_HERTZ);
    let mut alice = chromium.open("alice", node.http);
    alice.fill("sign-in-name", "alice");
    alice.press("Tab");
    alice.write("alice");
    alice.press("Enter");
    alice.is_online();
    alice.fill("number", "1002");
    alice.press("Enter");
    bob.expect("CALL_INCOMING");
    bob.answer();
    alice.call_is("talking");
    bob.hang_up();
    alice.call_ended("normal");
    bob.dial("1001");
    // The panel has the focus, and no button of it: a key that was meant for something else takes no call.
    alice.attribute_is("incoming", "role", "alertdialog");
    alice.press("Tab");
    alice.press("Enter");
    bob.expect("CALL_ESTABLISHED");
    alice.call_is("talking");
    bob.hang_up();
    alice.call_ended("normal");
}
