//! What closes the door, and that those inside do not notice.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use crate::harness::node::{Node, Settings, Trunk};
use crate::harness::scratch::Scratch;
use crate::harness::sipp::{Sipp, Tally};
use crate::harness::{SOON, eventually, http, ports};

const NUMBER: &str = "+4930123456";

/// Segments of the journal that lie on a disk without room: one is tried a second.
const FULL: std::ops::RangeInclusive<u32> = 2..=900;

/// A node whose trunk calls from 127.0.0.2 and takes calls at a SIPp of its own, with these settings added.
fn node_with(scratch: &Scratch, callee: &Sipp, settings: &str) -> Node {
    let trunk = Trunk { caller: carrier(), callee: callee.address };
    let mut node = Node::start(scratch, &Settings { trunk: Some(trunk), ..Settings::default() });
    node.kill();
    let file = scratch.folder("node").join("tandem.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{settings}\n{text}")).unwrap();
    node.restart();
    node
}

fn carrier() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), ports::block(2)))
}

fn call(scratch: &Scratch, node: &Node, calls: u32, hold: Duration) -> Sipp {
    Sipp::caller_at(scratch, carrier(), node.sip, NUMBER, calls, 5, hold)
}

fn is_ready(node: &Node) -> bool {
    http::request(node.http, "GET", "/readyz", "", "").is_some_and(|it| it.0 == 200)
}

fn segments(journal: &Path) -> impl Iterator<Item = std::path::PathBuf> {
    FULL.map(|number| journal.join(format!("{number:012}.journal")))
}

#[test]
fn a_full_disk_closes_the_door_keeps_the_calls_inside_and_bills_them_when_there_is_room_again() {
    let scratch = Scratch::new("disk");
    let callee = Sipp::callee(&scratch);
    let node = node_with(&scratch, &callee, "[storage]\nsegment_bytes = 4096\n");
    let journal = scratch.folder("node").join("var/journal");
    // What is written after the first segment finds no room.
    segments(&journal).for_each(|segment| std::os::unix::fs::symlink("/dev/full", segment).unwrap());
    let inside = call(&scratch, &node, 1, Duration::from_secs(30));
    eventually("the first call", SOON, || (node.metric("tandem_calls_answered_total") == 1).then_some(()));
    let filling = call(&scratch, &node, 8, Duration::from_millis(100));
    eventually("a closed door", SOON, || (!is_ready(&node)).then_some(()));
    filling.finish(SOON);
    assert_eq!(node.metric("tandem_calls_active"), 1, "the call inside goes on");

    let refused = node.metric("tandem_calls_refused_at_door_total");
    assert_eq!(call(&scratch, &node, 2, Duration::ZERO).finish(SOON), Tally { successful: 0, failed: 2 });
    assert_eq!(node.metric("tandem_calls_refused_at_door_total"), refused + 2);
    assert!(node.metric("tandem_queue_depth{queue=\"journal_bytes\"}") > 0);
    assert_eq!(inside.finish(SOON * 4), Tally { successful: 1, failed: 0 });

    segments(&journal).for_each(|segment| drop(std::fs::remove_file(segment)));
    eventually("an open door", SOON, || is_ready(&node).then_some(()));
    assert_eq!(call(&scratch, &node, 1, Duration::ZERO).finish(SOON), Tally { successful: 1, failed: 0 });
    let started = u64::try_from(node.metric("tandem_calls_started_total")).unwrap();
    let ledger = node.ledger();
    eventually("a CDR for every call", SOON, || (ledger.count("cdrs") == started).then_some(()));
}

#[test]
fn every_queue_of_a_running_node_is_bounded_and_says_how_full_it_is() {
    let scratch = Scratch::new("queues");
    let node = Node::start(&scratch, &Settings { provider: "mock", ..Settings::default() });
    let (_, text) = http::request(node.http, "GET", "/metrics", "", "").unwrap();
    let of = |family: &str| -> Vec<(String, f64)> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(&format!("{family}{{queue=\"")));
        lines
            .map(|line| line.split_once("\"} ").unwrap())
            .map(|(name, it)| (name.into(), it.parse().unwrap()))
            .collect()
    };
    let (depths, capacities) = (of("tandem_queue_depth"), of("tandem_queue_capacity"));
    assert_eq!(depths.len(), 18);
    for ((name, depth), (of_capacity, capacity)) in depths.iter().zip(&capacities) {
        assert_eq!(name, of_capacity);
        // These are as many as there are calls, or readers: none now.
        let comes_and_goes = ["call_inboxes", "leg_inboxes", "track_inboxes", "sip_writes", "event_frames"];
        assert!(*capacity > 0.0 || comes_and_goes.contains(&name.as_str()), "{name}");
        assert!(depth <= capacity, "{name}: {depth} of {capacity}");
    }
}
