//! What closes the door, and that those inside do not notice.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use crate::harness::node::{Node, Settings, Trunk};
use crate::harness::rtp::RtpEnd;
use crate::harness::scratch::Scratch;
use crate::harness::sipp::{Sipp, Tally};
use crate::harness::ua::Ua;
use crate::harness::{SOON, eventually, http, ports};

const NUMBER: &str = "+4930123456";

/// Segments of the journal that lie on a disk without room: one is tried a second.
const FULL: std::ops::RangeInclusive<u32> = 2..=900;

fn carrier() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), ports::block(2)))
}

fn call(scratch: &Scratch, node: &Node, calls: u32) -> Tally {
    let hold = Duration::from_millis(100);
    Sipp::caller_at(scratch, carrier(), node.sip, NUMBER, calls, 5, hold).finish(SOON)
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
    let node = Node::start(
        &scratch,
        &Settings {
            trunk: Some(Trunk { caller: carrier(), callee: callee.address }),
            silence_timeout: SOON * 10,
            environment: vec![("TANDEM__STORAGE__SEGMENT_BYTES", String::from("4096"))],
            ..Settings::default()
        },
    );
    let (mut alice, mut bob) = (Ua::new("1001", "alice", node.sip), Ua::new("1002", "bob", node.sip));
    bob.register();
    let journal = scratch.folder("node").join("var/journal");
    // What is written after the first segment finds no room.
    segments(&journal).for_each(|segment| std::os::unix::fs::symlink("/dev/full", segment).unwrap());
    let inside = alice.invite("1002", &RtpEnd::open().sdp());
    let invite = bob.incoming("INVITE");
    bob.respond(&invite, 200, &RtpEnd::open().sdp());
    bob.incoming("ACK");
    let answer = alice.finally(&inside, SOON);
    assert_eq!(answer.status(), Some(200), "{}", answer.text());
    // Those that begin before the door is closed are let in.
    call(&scratch, &node, 8);
    eventually("a closed door", SOON, || (!is_ready(&node)).then_some(()));
    eventually("the call inside goes on", SOON, || (node.metric("tandem_calls_active") == 1).then_some(()));

    let refused = node.metric("tandem_calls_refused_at_door_total");
    assert_eq!(call(&scratch, &node, 2), Tally { successful: 0, failed: 2 });
    assert_eq!(node.metric("tandem_calls_refused_at_door_total"), refused + 2);
    assert!(node.metric("tandem_queue_depth{queue=\"journal_bytes\"}") > 0);
    alice.bye(&alice.caller_side(&inside, &answer));
    bob.hung_up();

    segments(&journal).for_each(|segment| drop(std::fs::remove_file(segment)));
    eventually("an open door", SOON, || is_ready(&node).then_some(()));
    assert_eq!(call(&scratch, &node, 1), Tally { successful: 1, failed: 0 });
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
    assert_eq!(depths.len(), capacities.len());
    assert!(!depths.is_empty());
    for ((name, depth), (of_capacity, capacity)) in depths.iter().zip(&capacities) {
        assert_eq!(name, of_capacity);
        // These are as many as there are calls, participants or readers: none now.
        let of_calls = ["call_inboxes", "leg_inboxes", "track_inboxes", "sip_writes", "event_frames"];
        let of_rooms = ["conference_inboxes", "participant_inboxes", "publication_inboxes"];
        // And this node tells no collector.
        let comes_and_goes = [&of_calls[..], &of_rooms, &["otlp_spans", "otlp_logs"]].concat();
        assert!(*capacity > 0.0 || comes_and_goes.contains(&name.as_str()), "{name}");
        assert!(depth <= capacity, "{name}: {depth} of {capacity}");
    }
}
