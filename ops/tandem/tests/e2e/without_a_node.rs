//! The tools by themselves: what they say about a node is only worth what they say about each other.

use std::time::Duration;

use crate::harness::baresip::{Baresip, Setup};
use crate::harness::rtp::RtpEnd;
use crate::harness::scratch::Scratch;
use crate::harness::sipp::{Sipp, Tally};
use crate::harness::ua::Ua;
use crate::harness::{SOON, eventually, ports};

fn phone(user: &'static str, answers: bool, hertz: u32) -> Setup {
    Setup { user, registrar: None, password: "none", transport: "udp", answers, hertz }
}

#[test]
fn two_phones_that_call_each_other_directly_hear_each_others_tone() {
    let scratch = Scratch::new("direct");
    let mut alice = Baresip::start(&scratch, &phone("1001", false, 440));
    let mut bob = Baresip::start(&scratch, &phone("1002", false, 1_000));
    alice.dial(&format!("sip:1002@{}", bob.address));
    bob.expect("CALL_INCOMING");
    alice.expect("CALL_RINGING");
    bob.answer();
    alice.expect("CALL_ESTABLISHED");
    alice.hears(1_000);
    bob.hears(440);
    bob.hang_up();
    alice.expect("CALL_CLOSED");
    bob.expect("CALL_CLOSED");
}

#[test]
fn sipp_calls_sipp_and_counts() {
    let scratch = Scratch::new("sipp");
    let callee = Sipp::callee(&scratch);
    let caller = Sipp::caller(&scratch, callee.address, "49301234567", 50, 50, Duration::from_millis(100));
    assert_eq!(caller.finish(SOON * 2), Tally { successful: 50, failed: 0 });
}

#[test]
fn the_numbered_caller_logs_what_is_answered_and_survives_a_peer_that_dies() {
    let scratch = Scratch::new("numbered");
    let mut callee = Sipp::callee(&scratch);
    let numbers: Vec<String> = (0..200).map(|n| format!("+4930{}", 200_000 + n)).collect();
    let (from, hold) = (ports::address(), Duration::from_millis(300));
    let mut caller = Sipp::scripted(&scratch, from, callee.address, "numbered_caller.xml", &numbers, 50, hold);
    eventually("answers", SOON, || (caller.logged().len() >= 60).then_some(()));
    callee.kill();
    let answered = caller.logged();
    assert!(answered.len() < numbers.len() && answered.iter().all(|it| numbers.contains(it)), "{answered:?}");
    caller.kill();
}

#[test]
fn a_scripted_phone_talks_to_another_and_no_packet_is_lost() {
    let address = ports::address();
    let mut alice = Ua::new("1001", "none", address);
    let mut bob = Ua::at(address, "1002", "none", alice.line.address);
    let (near, far) = (RtpEnd::open(), RtpEnd::open());
    let ring = std::thread::spawn(move || {
        let invite = bob.incoming("INVITE");
        bob.respond(&invite, 180, "");
        (bob, invite)
    });
    let call = alice.invite("1002", &near.sdp());
    alice.progress(&call, 180);
    let (mut bob, invite) = ring.join().unwrap();
    bob.respond(&invite, 200, &far.sdp());
    let answer = alice.finally(&call, SOON);
    assert_eq!(answer.status(), Some(200));
    bob.incoming("ACK");
    let (near, far) = (near.talk(&answer.body), far.talk(&invite.body));
    near.wait_for(50);
    far.wait_for(50);
    let (near, far) = near.finish(far);
    near.assert_nothing_lost(far.sent);
    far.assert_nothing_lost(near.sent);
}

#[test]
fn a_scripted_phone_gives_up_on_a_real_one_is_refused_by_it_and_hangs_up_on_it() {
    let scratch = Scratch::new("scripted");
    let mut real = Baresip::start(&scratch, &phone("1002", false, 440));
    let mut alice = Ua::new("1001", "none", real.address);
    let media = RtpEnd::open();
    let ring = |alice: &mut Ua, real: &mut Baresip| {
        let call = alice.invite("1002", &media.sdp());
        alice.progress(&call, 180);
        real.expect("CALL_INCOMING");
        call
    };

    let call = ring(&mut alice, &mut real);
    alice.cancel(&call);
    assert_eq!(alice.finally(&call, SOON).status(), Some(487));
    real.expect("CALL_CLOSED");

    let call = ring(&mut alice, &mut real);
    real.hang_up();
    assert_eq!(alice.finally(&call, SOON).status(), Some(486));

    let call = ring(&mut alice, &mut real);
    real.answer();
    let answer = alice.finally(&call, SOON);
    assert_eq!(answer.status(), Some(200));
    real.expect("CALL_ESTABLISHED");
    alice.bye(&alice.caller_side(&call, &answer));
    real.expect("CALL_CLOSED");
}
