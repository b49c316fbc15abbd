//! What breaks inside a talking call of a page is not heard outside. Prints its figures.

use std::time::Duration;

use serde_json::Value;

use crate::harness::browser::{self, Browser, Tab};
use crate::harness::node::{Node, Settings};
use crate::harness::rtp::RtpEnd;
use crate::harness::scratch::Scratch;
use crate::harness::survey::actors;
use crate::harness::ua::Ua;

/// Longest gap in either direction that a worker's death may make; the test allows ten times that.
const GAP: Duration = Duration::from_millis(200);

/// How long packets flow between two breaks.
const PAUSE: u32 = 15;

#[test]
fn a_page_and_a_phone_hear_nothing_of_what_breaks() {
    let (_turn, scratch) = (browser::turn(), Scratch::new("page-survival"));
    let environment = vec![("TANDEM__MEDIA__WORKERS", String::from("2"))];
    let node = Node::start(&scratch, &Settings { environment, ..Settings::default() });
    let mut bob = Ua::new("1002", "bob", node.sip);
    bob.register();
    let mut chromium = Browser::start(&scratch, "alice", 440);
    let mut alice = chromium.open("alice", node.http);
    alice.sign_in("alice");
    alice.dial("1002");
    let invite = bob.incoming("INVITE");
    let end = RtpEnd::open();
    bob.respond(&invite, 200, &end.sdp());
    bob.incoming("ACK");
    alice.call_is("talking");
    let stream = end.talk(&invite.body);
    stream.wait_for(PAUSE);
    let before = settled(&mut alice);

    let actors = actors(&node);
    assert_eq!(actors.len(), 5, "a call, two legs, two tracks: {actors:?}");
    for how in ["kill", "panic"] {
        for id in &actors {
            node.break_actor(id, how);
            stream.wait_for(PAUSE);
        }
    }
    let after_actors = settled(&mut alice);
    assert_eq!(after_actors["lost"], before["lost"], "the page lost packets: {before} {after_actors}");
    let actors_gap = stream.longest_gap();

    for worker in 0..2 {
        node.break_actor(&format!("worker.{worker}"), "panic");
        stream.wait_for(5 * PAUSE);
    }
    let after_worker = settled(&mut alice);
    let gap = stream.longest_gap();
    println!(
        "page and phone: longest gap at the phone {} ms over {} broken actors, {} ms over both media workers; \
         the page lost {} of {} packets, concealed {} samples",
        actors_gap.as_millis(),
        2 * actors.len(),
        gap.as_millis(),
        after_worker["lost"],
        after_worker["received"],
        after_worker["concealed"],
    );
    assert!(gap < 10 * GAP, "{gap:?}");
    assert_eq!(after_worker["peers"], 1, "no second offer: {after_worker}");
    assert_eq!(after_worker["state"], "connected");
    assert!(number(&after_worker, "received") > number(&after_actors, "received") + 20, "{after_worker}");

    alice.click("hang-up");
    let bye = bob.incoming("BYE");
    bob.respond(&bye, 200, "");
    alice.call_ended("normal");
    let cdr = node.ledger().the_cdr();
    assert_eq!((cdr.text("cause"), cdr.text("ended_by")), ("normal", "caller"));
    assert_eq!(node.metric("tandem_peers_connected_total"), 1, "one handshake");
    assert_ne!(node.metric("tandem_peers_rebuilt_total"), 0, "the peer's worker was broken");
}

/// The page's counts, when they have been still for a moment.
fn settled(tab: &mut Tab<'_>) -> Value {
    std::thread::sleep(Duration::from_millis(500));
    tab.stats()
}

fn number(stats: &Value, name: &str) -> u64 {
    stats[name].as_u64().unwrap_or_default()
}
