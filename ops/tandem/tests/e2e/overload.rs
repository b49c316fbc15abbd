//! Twice as many calls as are let in: who is in notices nothing, who is not is told so and when to come again.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::harness::holdings::{self, Holdings};
use crate::harness::node::{Node, Settings, Trunk};
use crate::harness::rtp::{RtpEnd, Stream};
use crate::harness::scratch::Scratch;
use crate::harness::sipp::Sipp;
use crate::harness::ua::Ua;
use crate::harness::{SOON, ports};

/// What limits the rate of calls.
const LIMIT: &str = "TANDEM__CALLS__CALLS_PER_SECOND";

/// Seconds' worth of calls that are let in at once after a calm.
const BURST: f64 = 2.0;

/// How long each call talks.
const HOLD: Duration = Duration::from_secs(1);

/// Calls that talk all the time, beside those that come and go.
const TALKS: usize = 3;

#[test]
fn at_twice_the_rate_that_is_let_in_for_ten_seconds_nobody_who_is_in_notices() {
    overload("overload", 40, 10);
}

#[test]
#[ignore = "takes two minutes"]
fn at_twice_the_rate_that_is_let_in_for_a_minute_nobody_who_is_in_notices() {
    // Transactions last 32 s: in the second half as many go as come.
    holdings::assert_steady(&overload("long-overload", 150, 60), 300);
}

/// What SIPp saw of one rate.
#[derive(Debug)]
struct Seen {
    answered: usize,
    refused: usize,
    /// Seconds in which something was sent again.
    uneasy: usize,
    seconds: f64,
    resident_kib: Vec<u64>,
}

/// Offers a quarter of what is let in, then twice as much; gives resident memory, second by second, of the latter.
fn overload(name: &str, admitted: u32, seconds: u32) -> Vec<u64> {
    let scratch = Scratch::new(name);
    let callee = Sipp::callee(&scratch);
    let from = carrier();
    let settings = Settings {
        media_ports: 4_000,
        trunk: Some(Trunk { caller: from, callee: callee.address }),
        environment: vec![(LIMIT, admitted.to_string())],
        ..Settings::default()
    };
    let node = Node::start_alone(&scratch, &settings);
    let talks = talk(&node);
    let calm = offer(&scratch, &node, admitted / 4, seconds);
    let storm = offer(&scratch, &node, admitted * 2, seconds);
    eprintln!("calm: {calm:?}; storm: {storm:?}");
    assert_eq!(calm.refused, 0);
    let offered = (admitted * 2 * seconds) as usize;
    // Every one was either answered or refused as it should be: SIPp's failures have been looked at.
    assert_eq!(storm.answered + storm.refused, offered);
    assert!(storm.refused > 0 && storm.answered > offered / 4, "{storm:?}");
    assert!(storm.answered as f64 <= f64::from(admitted) * (storm.seconds + BURST), "{storm:?}");
    // A machine that is elsewhere for a moment costs a second or two; what comes of the load would come in each.
    assert!(storm.uneasy <= calm.uneasy + seconds as usize / 2, "{storm:?}, in calm {calm:?}");
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
    let begin = Instant::now();
    let (mut resident_kib, mut due) = (Vec::new(), begin);
    while caller.is_running() {
        resident_kib.push(Holdings::of(node.pid()).resident_kib);
        due += Duration::from_secs(1);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    let (seconds, lines) = (begin.elapsed().as_secs_f64(), caller.logged());
    let count = |what: &str| lines.iter().filter(|line| line.as_str() == what).count();
    let (answered, refused, uneasy) = (count("answered"), count("refused"), caller.uneasy_seconds());
    let tally = caller.finish(SOON);
    assert_eq!(tally.failed, 0, "{tally:?}");
    Seen { answered, refused, uneasy, seconds, resident_kib }
}
