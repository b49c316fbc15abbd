//! Twice as many calls as are let in: who is in notices nothing, who is not is told so and when to come again.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::harness::holdings::Holdings;
use crate::harness::node::{Node, Settings, Trunk};
use crate::harness::rtp::{RtpEnd, Stream};
use crate::harness::scratch::Scratch;
use crate::harness::sipp::Sipp;
use crate::harness::ua::Ua;
use crate::harness::{SOON, ports};

/// What limits the rate of calls. With [`HOLD`] as long as it is, so many calls at once are so many a second.
const LIMIT: &str = "TANDEM__CALLS__MAX_CALLS";

/// How long each call talks.
const HOLD: Duration = Duration::from_secs(1);

/// Calls that talk all the time, beside those that come and go.
const TALKS: usize = 3;

/// What the allocator holds goes up and down by as much.
const NOISE_KIB: u64 = 16 * 1_024;

/// Messages that are sent again because the machine was elsewhere, of a thousand calls.
const STRAY_PERMILLE: u64 = 5;

#[test]
fn at_twice_the_rate_that_is_let_in_for_ten_seconds_nobody_who_is_in_notices() {
    overload("overload", 40, 10);
}

#[test]
#[ignore = "takes two minutes"]
fn at_twice_the_rate_that_is_let_in_for_a_minute_nobody_who_is_in_notices() {
    let sizes = overload("long-overload", 150, 60);
    // In the last 28 s as many transactions go as come.
    let late = &sizes[sizes.len().saturating_sub(28)..];
    let (earlier, later) = late.split_at(late.len() / 2);
    let most = earlier.iter().max().copied().unwrap_or_default();
    let least = later.iter().min().copied().unwrap_or_default();
    println!("resident KiB: {sizes:?}");
    assert!(least < most + NOISE_KIB, "{} KiB more", least - most);
}

/// What SIPp saw of one rate.
#[derive(Debug)]
struct Seen {
    answered: usize,
    refused: usize,
    sent_again: u64,
    resident_kib: Vec<u64>,
}

/// Offers half of what is let in, then twice as much; gives resident memory, second by second, of the latter.
fn overload(name: &str, admitted: u32, seconds: u32) -> Vec<u64> {
    let scratch = Scratch::new(name);
    let callee = Sipp::callee(&scratch);
    let from = carrier();
    let settings = Settings {
        media_ports: 4_000,
        trunk: Some(Trunk { caller: from, callee: callee.address }),
        environment: vec![(LIMIT, (admitted + TALKS as u32).to_string())],
        ..Settings::default()
    };
    let node = Node::start_alone(&scratch, &settings);
    let talks = talk(&node);
    let calm = offer(&scratch, &node, admitted / 2, seconds);
    let storm = offer(&scratch, &node, admitted * 2, seconds);
    eprintln!("calm: {} answered, {} sent again; storm: {storm:?}", calm.answered, calm.sent_again);
    assert_eq!(calm.refused, 0);
    let offered = (admitted * 2 * seconds) as usize;
    // Every one was either answered or refused as it should be: SIPp's failures have been looked at.
    assert_eq!(storm.answered + storm.refused, offered);
    assert!(storm.refused > offered / 4 && storm.answered > offered / 4, "{storm:?}");
    let stray = storm.answered as u64 * STRAY_PERMILLE / 1_000;
    assert!(
        storm.sent_again <= calm.sent_again + stray,
        "{} sent again, in calm {}",
        storm.sent_again,
        calm.sent_again
    );
    for (near, far) in talks {
        let (near, far) = near.finish(far);
        near.assert_nothing_lost(far.sent);
        far.assert_nothing_lost(near.sent);
    }
    storm.resident_kib
}

/// Calls with sound in both directions.
fn talk(node: &Node) -> Vec<(Stream, Stream)> {
    let (mut alice, mut bob) = (Ua::new("1001", "alice", node.sip), Ua::new("1002", "bob", node.sip));
    bob.register();
    let mut one = || {
        let (near, far) = (RtpEnd::open(), RtpEnd::open());
        let call = alice.invite("1002", &near.sdp());
        let invite = bob.incoming("INVITE");
        bob.respond(&invite, 200, &far.sdp());
        bob.incoming("ACK");
        let answer = alice.finally(&call, SOON);
        assert_eq!(answer.status(), Some(200), "{}", answer.text());
        (near.talk(&answer.body), far.talk(&invite.body))
    };
    (0..TALKS).map(|_| one()).collect()
}

/// An address that is the trunk's.
fn carrier() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 2], ports::block(2)))
}

fn offer(scratch: &Scratch, node: &Node, rate: u32, seconds: u32) -> Seen {
    let numbers = vec![String::from("+4930123456"); (rate * seconds) as usize];
    let mut caller = Sipp::scripted(scratch, carrier(), node.sip, "overload_caller.xml", &numbers, rate, HOLD);
    let (mut resident_kib, mut due) = (Vec::new(), Instant::now());
    while caller.is_running() {
        resident_kib.push(Holdings::of(node.pid()).resident_kib);
        due += Duration::from_secs(1);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    let lines = caller.logged();
    let count = |what: &str| lines.iter().filter(|line| line.as_str() == what).count();
    let (answered, refused, sent_again) = (count("answered"), count("refused"), caller.sent_again());
    let tally = caller.finish(SOON);
    assert_eq!(tally.failed, 0, "{tally:?}");
    Seen { answered, refused, sent_again, resident_kib }
}
