//! From the click to the INVITE: what we add before the phone hears of a call. Prints its figures.

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use crate::harness::api::Api;
use crate::harness::node::{Node, Settings};
use crate::harness::scratch::Scratch;
use crate::harness::ua::Ua;
use crate::harness::{SOON, eventually};

/// Measured calls; some more come before them.
const CALLS: usize = 300;

/// Before those that count: pages of memory and paths of code are touched.
const WARM_UP: usize = 20;

/// What 95 of 100 calls are to stay under; the test allows ten times that.
const TARGET: Duration = Duration::from_millis(20);

#[test]
#[ignore = "a drill: in release, with the machine for itself"]
fn an_invite_leaves_within_a_moment_of_the_click() {
    let scratch = Scratch::new("click");
    // Ports rest after a call.
    let settings = Settings { media_ports: 2_000, ..Settings::default() };
    let node = Node::start_alone(&scratch, &settings);
    let alice = Api::sign_in(node.http, "alice");
    let mut bob = Ua::new("1002", "bob", node.sip);
    bob.register();
    let (heard, hears) = channel();
    let (refuse, refused) = channel();
    std::thread::spawn(move || {
        for _ in 0..WARM_UP + CALLS {
            let invite = bob.incoming("INVITE");
            let at = Instant::now();
            heard.send(at).unwrap();
            // Not while Alice has no response yet.
            refused.recv().unwrap();
            bob.respond(&invite, 486, "");
            bob.incoming("ACK");
        }
    });
    let mut took = Vec::new();
    for _ in 0..WARM_UP + CALLS {
        let click = Instant::now();
        let call = alice.initiate("1002");
        let at = hears.recv_timeout(SOON).expect("an INVITE");
        took.push(at - click);
        refuse.send(()).unwrap();
        eventually("the end of the call", SOON, || (alice.call(&call.call_id)["state"] == "ended").then_some(()));
    }
    let mut took = took.split_off(WARM_UP);
    took.sort();
    let [p50, p95, p99] = [50, 95, 99].map(|percent| took[CALLS * percent / 100 - 1]);
    println!("from the request to the INVITE at the phone, {CALLS} calls: p50 {p50:?}, p95 {p95:?}, p99 {p99:?}");
    assert!(p95 < 10 * TARGET, "{p95:?}");
}
