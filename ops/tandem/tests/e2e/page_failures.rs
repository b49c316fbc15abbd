//! Every way in which a call of a page can fail: what the page shows, what the API says, what the event says, what is
//! billed.

use std::time::Duration;

use crate::harness::api::Api;
use crate::harness::browser::{self, Browser, Turn};
use crate::harness::node::{Node, Settings};
use crate::harness::rtp::RtpEnd;
use crate::harness::scratch::Scratch;
use crate::harness::ua::Ua;

/// A node, and a browser in which Alice is signed in.
struct Stage {
    chromium: Browser,
    node: Node,
    _scratch: Scratch,
    _turn: Turn,
}

impl Stage {
    fn set(name: &str, settings: &Settings) -> Self {
        let (turn, scratch) = (browser::turn(), Scratch::new(name));
        let node = Node::start(&scratch, settings);
        let mut chromium = Browser::start(&scratch, "alice", 440);
        chromium.open("alice", node.http).sign_in("alice");
        Self { chromium, node, _scratch: scratch, _turn: turn }
    }

    fn bob(&self) -> Ua {
        let mut bob = Ua::new("1002", "bob", self.node.sip);
        bob.register();
        bob
    }

    /// That the page, the API, the event and the record all say `cause`.
    fn assert_ended(&mut self, cause: &str, status: &str) {
        self.chromium.tab("alice").call_ended(cause);
        self.assert_told(cause, status);
    }

    fn assert_told(&self, cause: &str, status: &str) {
        let cdr = self.node.ledger().the_cdr();
        assert_eq!(cdr.text("cause"), cause);
        let events = self.node.ledger().events(cdr.call_id());
        assert_eq!(events.iter().find(|it| it.kind() == "ended").unwrap().text("cause"), cause);
        let (code, call) = Api::sign_in(self.node.http, "alice").get(&format!("/api/calls/{}", cdr.call_id()));
        assert_eq!(code, 200, "{call}");
        assert_eq!((call["cause"].as_str(), call["status"].as_str()), (Some(cause), Some(status)), "{call}");
        self.node.assert_not_logged(&["1001", "1002"]);
    }
}

/// Bob's phone rings, and then says `status`.
fn refused_by_bob(name: &str, status: u16, cause: &str) {
    let mut stage = Stage::set(name, &Settings::default());
    let mut bob = stage.bob();
    stage.chromium.tab("alice").dial("1002");
    let invite = bob.incoming("INVITE");
    bob.respond(&invite, 180, "");
    stage.chromium.tab("alice").call_is("ringing");
    bob.respond(&invite, status, "");
    bob.incoming("ACK");
    stage.assert_ended(cause, "failed");
}

#[test]
fn a_page_calls_a_busy_phone() {
    refused_by_bob("page-busy", 486, "busy");
}

#[test]
fn a_page_calls_a_phone_that_declines() {
    refused_by_bob("page-declined", 603, "declined");
}

#[test]
fn a_page_calls_a_number_that_nobody_has() {
    let mut stage = Stage::set("page-unknown", &Settings::default());
    stage.chromium.tab("alice").dial("1999");
    stage.assert_ended("unknown_number", "failed");
}

#[test]
fn a_page_calls_a_phone_that_nobody_answers() {
    let settings = Settings { ring_timeout: Duration::from_secs(5), ..Settings::default() };
    let mut stage = Stage::set("page-no-answer", &settings);
    let mut bob = stage.bob();
    stage.chromium.tab("alice").dial("1002");
    let invite = bob.incoming("INVITE");
    bob.respond(&invite, 180, "");
    stage.chromium.tab("alice").call_is("ringing");
    let cancel = bob.incoming("CANCEL");
    bob.respond(&cancel, 200, "");
    bob.respond(&invite, 487, "");
    stage.assert_ended("no_answer", "failed");
}

#[test]
fn a_page_gives_up_while_it_rings() {
    let mut stage = Stage::set("page-cancel", &Settings::default());
    let mut bob = stage.bob();
    stage.chromium.tab("alice").dial("1002");
    let invite = bob.incoming("INVITE");
    bob.respond(&invite, 180, "");
    stage.chromium.tab("alice").call_is("ringing");
    stage.chromium.tab("alice").click("hang-up");
    let cancel = bob.incoming("CANCEL");
    bob.respond(&cancel, 200, "");
    bob.respond(&invite, 487, "");
    stage.assert_ended("cancelled", "completed");
}

/// Alice's page talks to Bob's scripted phone, which hears her.
fn talking(name: &str) -> (Stage, Ua, crate::harness::rtp::Stream) {
    let mut stage = Stage::set(name, &Settings::default());
    let mut bob = stage.bob();
    stage.chromium.tab("alice").dial("1002");
    let invite = bob.incoming("INVITE");
    let end = RtpEnd::open();
    bob.respond(&invite, 200, &end.sdp());
    bob.incoming("ACK");
    stage.chromium.tab("alice").call_is("talking");
    let stream = end.talk(&invite.body);
    stream.wait_for(20);
    (stage, bob, stream)
}

#[test]
fn a_browser_that_is_killed_in_a_call_ends_it_as_media_lost() {
    let (mut stage, mut bob, _stream) = talking("page-killed");
    stage.chromium.crash();
    let bye = bob.incoming("BYE");
    bob.respond(&bye, 200, "");
    stage.assert_told("media_lost", "completed");
}

#[test]
fn a_page_that_is_loaded_anew_in_a_call_shows_it_again_and_can_end_it() {
    let (mut stage, mut bob, _stream) = talking("page-reloaded");
    let mut alice = stage.chromium.tab("alice");
    alice.reload();
    alice.attribute_is("call-elsewhere", "data-lost", "true");
    alice.click("hang-up-elsewhere");
    let bye = bob.incoming("BYE");
    bob.respond(&bye, 200, "");
    stage.chromium.tab("alice").is_gone("call-elsewhere");
    stage.assert_told("normal", "completed");
}

#[test]
fn a_callee_declines_in_the_page() {
    let mut stage = Stage::set("page-declines", &Settings::default());
    let mut bob = stage.bob();
    let end = RtpEnd::open();
    let call = bob.invite("1001", &end.sdp());
    bob.progress(&call, 180);
    stage.chromium.tab("alice").click("decline");
    let told = bob.finally(&call, crate::harness::SOON);
    assert_eq!(told.status(), Some(603), "{}", told.text());
    stage.assert_told("declined", "failed");
}

#[test]
fn a_caller_that_gives_up_silences_the_page() {
    let mut stage = Stage::set("page-missed", &Settings::default());
    let mut bob = stage.bob();
    let end = RtpEnd::open();
    let call = bob.invite("1001", &end.sdp());
    bob.progress(&call, 180);
    stage.chromium.tab("alice").attribute_is("incoming", "role", "alertdialog");
    bob.cancel(&call);
    stage.chromium.tab("alice").is_gone("incoming");
    stage.assert_told("cancelled", "completed");
}
