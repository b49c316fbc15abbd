//! A message or a packet that breaks the code costs its own call, and a flood of them costs nobody else anything.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use crate::harness::line::Line;
use crate::harness::node::{Node, Settings};
use crate::harness::ports;
use crate::harness::rtp::{Numbered, RtpEnd, Stream, destination};
use crate::harness::scratch::Scratch;
use crate::harness::ua::Ua;
use crate::harness::wire::Message;
use crate::harness::{SOON, eventually};

/// Call-IDs with this in them break the code.
const MARK: &str = "poison";

/// Packets with this SSRC do.
const SSRC: u32 = 0xdead_10cc;

/// Messages of a flood: within what one source may send at once.
const FLOOD: i64 = 300;

/// Panics that the log takes per second.
const PER_SECOND: u64 = 5;

/// How long packets flow before and after something breaks.
const PAUSE: u32 = 25;

fn node(scratch: &Scratch) -> Node {
    let environment =
        vec![("TANDEM__SIP__BREAK_ON", String::from(MARK)), ("TANDEM__MEDIA__BREAK_ON", SSRC.to_string())];
    Node::start(scratch, &Settings { environment, ..Settings::default() })
}

/// A call between two phones, answered: both ends, the answer and the INVITE as the callee got it.
fn call(alice: &mut Ua, bob: &mut Ua) -> (RtpEnd, RtpEnd, Message, Message) {
    let (near, far) = (RtpEnd::open(), RtpEnd::open());
    let call = alice.invite("1002", &near.sdp());
    let invite = bob.incoming("INVITE");
    bob.respond(&invite, 200, &far.sdp());
    bob.incoming("ACK");
    let answer = alice.finally(&call, SOON);
    assert_eq!(answer.status(), Some(200), "{}", answer.text());
    (near, far, answer, invite)
}

fn talk((near, far, answer, invite): (RtpEnd, RtpEnd, Message, Message)) -> (Stream, Stream) {
    let (near, far) = (near.talk(&answer.body), far.talk(&invite.body));
    near.wait_for(PAUSE);
    far.wait_for(PAUSE);
    (near, far)
}

fn assert_undisturbed(node: &Node, (near, far): (Stream, Stream)) {
    near.wait_for(PAUSE);
    far.wait_for(PAUSE);
    let (near, far) = near.finish(far);
    near.assert_nothing_lost(far.sent);
    far.assert_nothing_lost(near.sent);
    for counter in ["tandem_media_workers_rebuilt_total", "tandem_shells_restarted_total"] {
        assert_eq!(node.metric(counter), 0, "{counter}");
    }
    assert_eq!(node.metric("tandem_services_restarted_total"), 0);
}

#[test]
fn a_flood_of_messages_that_break_the_code_reaches_neither_the_log_nor_other_calls() {
    let scratch = Scratch::new("poison-sip");
    let node = node(&scratch);
    let (mut alice, mut bob) = (Ua::new("1001", "alice", node.sip), Ua::new("1002", "bob", node.sip));
    alice.register();
    bob.register();
    let before = call(&mut alice, &mut bob);
    let before = talk(before);
    let address = ports::address();
    let (socket, line) = (
        UdpSocket::bind(address).unwrap(),
        Line { user: String::from("1001"), address, server: node.sip, domain: None },
    );
    let begin = Instant::now();
    for n in 0..FLOOD {
        let mut invite = line.invite("1002");
        let call_id = format!("{MARK}{n}");
        invite.headers.iter_mut().filter(|it| it.0 == "Call-ID").for_each(|it| it.1.clone_from(&call_id));
        socket.send_to(invite.text().as_bytes(), node.sip).unwrap();
        // Slower than a limit of the source: this is about those that get in.
        std::thread::sleep(Duration::from_millis(3));
    }
    let broke = || (node.metric("tandem_sip_panics_total") == FLOOD).then_some(());
    eventually("a panic for each of them", SOON, broke);
    let seconds = begin.elapsed().as_secs() + 2;
    let logged = node.log().iter().filter(|line| line.contains("\"panic\"")).count() as u64;
    assert!((1..=PER_SECOND * seconds).contains(&logged), "{logged} panics logged in {seconds} s");
    assert!(node.log().iter().all(|line| !line.contains(MARK)), "what somebody sent is quoted");

    let after = call(&mut alice, &mut bob);
    assert_undisturbed(&node, talk(after));
    assert_undisturbed(&node, before);
}

#[test]
fn a_packet_that_breaks_the_code_ends_its_own_call_and_no_other() {
    let scratch = Scratch::new("poison-rtp");
    let node = node(&scratch);
    let (mut alice, mut bob) = (Ua::new("1001", "alice", node.sip), Ua::new("1002", "bob", node.sip));
    alice.register();
    bob.register();
    let other = call(&mut alice, &mut bob);
    let other = talk(other);
    let (near, _far, answer, _) = call(&mut alice, &mut bob);
    let to = destination(&answer.body);
    near.socket.send_to(Numbered::of(1).number(0), to).unwrap();
    near.socket.send_to(Numbered::of(SSRC).number(1), to).unwrap();
    // Both sides of that call are hung up, and of no other.
    let own = [alice.hung_up(), bob.hung_up()];
    assert!(own[0].header("Call-ID") == answer.header("Call-ID"), "{}", own[0].text());
    let ended = eventually("a record", SOON, || node.ledger().cdrs().pop());
    assert_eq!(ended.text("ended_by"), "system");
    assert_eq!(node.metric("tandem_calls_active"), 1);
    assert_undisturbed(&node, other);
}
