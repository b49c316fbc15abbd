//! Many short calls, and nothing is left of them.

use std::time::{Duration, Instant};

use crate::drill::Desk;
use crate::harness::eventually;
use crate::harness::holdings::{self, Holdings};
use crate::harness::node::{Node, Settings, Trunk};
use crate::harness::scratch::Scratch;
use crate::harness::sipp::{Sipp, Tally};

/// A finished call's transactions stay 32 s (64 × T1); the rest is patience with a loaded machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// What counts calls and what belongs to them.
const GAUGES: [&str; 6] = [
    "tandem_calls_active",
    "tandem_legs_active",
    "tandem_tracks_active",
    "tandem_sip_transactions",
    "tandem_sip_dialogs",
    "tandem_journal_backlog",
];

/// Ports rest after a call, but not for a minute.
const PORTS: &str = "tandem_media_ports_used";

/// Threads of the runtime may come and go.
/// What one call in a hundred leaves behind shows all the same.
const SPARE: usize = 8;

#[test]
fn two_thousand_short_calls_leave_no_actor_no_descriptor_no_thread_and_no_port() {
    churn("churn", 2_000, 100);
}

#[test]
#[ignore = "takes three minutes"]
fn twenty_thousand_short_calls_leave_nothing_and_memory_does_not_grow() {
    // While the first of them last, transactions fill up; in the second half as many go as come.
    holdings::assert_steady(&churn("long-churn", 20_000, 200), 200);
}

/// Resident memory in KiB, second by second, while they come and go.
fn churn(name: &str, calls: u32, rate: u32) -> Vec<u64> {
    let scratch = Scratch::new(name);
    let callee = Sipp::callee(&scratch);
    let from = std::net::SocketAddr::from(([127, 0, 0, 2], crate::harness::ports::block(2)));
    let trunk = Some(Trunk { caller: from, callee: callee.address });
    let node = Node::start_alone(&scratch, &Settings { media_ports: 2_000, trunk, ..Settings::default() });
    let desk = Desk::of(&node);
    // The first calls make what then stays: connections, tables, threads.
    let one = |calls| Sipp::caller_at(&scratch, from, node.sip, "+4930123456", calls, rate, Duration::ZERO);
    assert_eq!(one(100).finish(PATIENCE), Tally { successful: 100, failed: 0 });
    eventually("an idle node", PATIENCE, || desk.is_idle().then_some(()));
    let (before, idle) = (Holdings::of(node.pid()), desk.tree().unwrap().len());

    let mut caller = one(calls);
    let (mut sizes, mut due) = (Vec::new(), Instant::now());
    while caller.is_running() {
        sizes.push(Holdings::of(node.pid()).resident_kib);
        due += Duration::from_secs(1);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    assert_eq!(caller.finish(PATIENCE), Tally { successful: calls.into(), failed: 0 });
    let is_idle = || GAUGES.iter().chain([&PORTS]).all(|it| node.metric(it) == 0) && desk.is_idle();
    eventually("nothing left of the calls", PATIENCE, || is_idle().then_some(()));
    assert_eq!(desk.tree().unwrap().len(), idle, "actors");
    let after = Holdings::of(node.pid());
    eprintln!("before {before:?}, after {after:?}");
    assert!(after.descriptors <= before.descriptors + SPARE, "{before:?} {after:?}");
    assert!(after.threads <= before.threads + SPARE as u64, "{before:?} {after:?}");
    assert_eq!(node.ledger().count("cdrs"), u64::from(calls) + 100);
    sizes
}
