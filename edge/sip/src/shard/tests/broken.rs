//! Code that breaks: whoever it was about is told, and nobody else notices.

use std::time::Duration;

use tandem_core::cause::Cause;
use tandem_core::id::LegId;
use tandem_core::leg::LegInput;
use tandem_core::metric::Counter;

use super::probes::{invite, times};
use crate::agent::Agent;
use crate::header::Name;
use crate::message::{Message, Method};
use crate::world::{A, Ask, B, Talk, World, reply, sdp, tag_of};

#[test]
fn a_message_that_breaks_the_code_ends_its_own_call_and_no_other() {
    let mut world = World::with(|config| config.break_on = Some(String::from("drill")));
    world.send(A, &invite());
    let ours = world.got(B);
    world.send(B, &reply(&ours, 200, B, &sdp("192.0.2.20")));
    let answer = world.got(A);
    world.send(A, &Ask { method: "ACK", branch: "ack", to_tag: &tag_of(&answer), ..Ask::default() }.text());
    world.rest(A);
    world.send(A, &Ask { call_id: "drill", branch: "d", body: &sdp("192.0.2.10"), ..Ask::default() }.text());
    assert_eq!(world.count(Counter::SipPanics), 1);
    assert!(world.rest(A).is_empty());
    world.send(A, &Ask { method: "OPTIONS", cseq: 2, branch: "o", to_tag: &tag_of(&answer), ..Ask::default() }.text());
    assert_eq!(world.status(A), 200, "the other call goes on");
}

#[test]
fn a_call_whose_message_breaks_the_code_is_hung_up_on_both_sides() {
    let mut talk = Talk::new();
    talk.world.breaks_at("call-a");
    talk.caller(&Ask { method: "OPTIONS", cseq: 2, branch: "o", ..Ask::default() });
    assert_eq!(talk.world.count(Counter::SipPanics), 1);
    assert!(times(&talk.world, "us ──▶ A   BYE").len() == 1 && times(&talk.world, "us ──▶ B   BYE").len() == 1);
    let lost = talk.world.switch.0.lock().told.iter().any(|(_, it)| *it == LegInput::Broken(Cause::SignallingLost));
    assert!(lost);
}

/// A call to B, and a Call-ID of ours that breaks the code from now on.
fn ringing_into_a_drill() -> (World, Message) {
    let mut world = World::new();
    world.send(A, &invite());
    let ours = world.got(B);
    world.breaks_at(std::str::from_utf8(ours.headers.call_id().unwrap()).unwrap());
    (world, ours)
}

#[test]
fn a_first_sign_of_the_callee_that_breaks_the_code_is_answered_with_cancel() {
    let (mut world, ours) = ringing_into_a_drill();
    world.send(B, &reply(&ours, 180, B, ""));
    assert_eq!(world.count(Counter::SipPanics), 1);
    assert_eq!(world.got(B).method(), Some(&Method::Cancel));
    let lost = world.switch.0.lock().told.iter().any(|(_, it)| *it == LegInput::Broken(Cause::SignallingLost));
    assert!(lost && world.status(A) >= 500, "the caller knows");
    world.send(A, &Ask { method: "ACK", ..Ask::default() }.text());
    world.breaks_at("no more");
    world.send(B, &reply(&ours, 487, B, ""));
    assert_eq!(world.got(B).method(), Some(&Method::Ack));
    world.pass(Duration::from_secs(70));
    assert!(world.is_idle());
}

#[test]
fn whatever_breaks_the_code_again_and_again_nothing_stays_of_it() {
    for answers in [&[180, 180, 487][..], &[180, 180, 200, 200], &[100], &[200, 200], &[486], &[]] {
        let (mut world, ours) = ringing_into_a_drill();
        for status in answers {
            world.send(B, &reply(&ours, *status, B, ""));
        }
        world.pass(Duration::from_secs(200));
        assert!(world.is_idle(), "{answers:?}\n{}", world.ladder);
    }
}

#[test]
fn a_callee_that_gave_no_sign_when_the_code_broke_is_cancelled_at_its_first() {
    let mut world = World::new();
    world.send(A, &invite());
    let ours = world.got(B);
    let call_id = String::from_utf8(ours.headers.call_id().unwrap().to_vec()).unwrap();
    world.breaks_at(&call_id);
    let from = String::from_utf8(ours.headers.first(&Name::From).unwrap().to_vec()).unwrap();
    let our_tag = from.split("tag=").nth(1).unwrap().to_owned();
    let text = Ask { from: B, method: "OPTIONS", call_id: &call_id, to_tag: &our_tag, ..Ask::default() }.text();
    world.send(B, &text);
    assert_eq!(world.count(Counter::SipPanics), 1);
    world.breaks_at("no more");
    assert!(world.take(B).is_none(), "no CANCEL before a provisional response");
    world.send(B, &reply(&ours, 180, B, ""));
    assert_eq!(world.got(B).method(), Some(&Method::Cancel));
    world.pass(Duration::from_secs(70));
    assert!(world.is_idle());
}

#[test]
fn a_caller_whose_ack_breaks_the_code_still_gets_a_bye() {
    let mut world = World::new();
    world.send(A, &invite());
    let ours = world.got(B);
    world.send(B, &reply(&ours, 200, B, &sdp("192.0.2.20")));
    let to_tag = tag_of(&world.got(A));
    world.breaks_at("call-a");
    let ack = Ask { method: "ACK", branch: "ack", to_tag: &to_tag, ..Ask::default() }.text();
    world.send(A, &ack);
    assert_eq!(times(&world, "us ──▶ A   BYE").len(), 0, "not before the ACK");
    world.breaks_at("no more");
    world.send(A, &ack);
    assert_eq!(times(&world, "us ──▶ A   BYE").len(), 1);
}

#[test]
fn a_caller_whose_acks_break_the_code_every_time_is_hung_up_without_one() {
    let mut world = World::new();
    world.send(A, &invite());
    let ours = world.got(B);
    world.send(B, &reply(&ours, 200, B, &sdp("192.0.2.20")));
    let to_tag = tag_of(&world.got(A));
    world.breaks_at("call-a");
    let ack = Ask { method: "ACK", branch: "ack", to_tag: &to_tag, ..Ask::default() }.text();
    world.send(A, &ack);
    world.send(A, &ack);
    assert_eq!(times(&world, "us ──▶ A   BYE").len(), 1);
}

#[test]
fn a_leg_that_is_full_hears_later_that_its_signalling_broke() {
    let mut talk = Talk::new();
    talk.world.breaks_at("call-a");
    talk.world.switch.0.lock().is_full = 3;
    talk.caller(&Ask { method: "OPTIONS", cseq: 2, branch: "o", ..Ask::default() });
    assert!(!talk.world.switch.told().contains(&"broken"));
    talk.world.pass(Duration::from_secs(1));
    assert!(talk.world.switch.told().contains(&"broken"));
    assert!(!times(&talk.world, "us ──▶ B   BYE").is_empty(), "the other side is hung up");
}

#[test]
fn a_leg_without_a_way_to_its_callee_hears_that_even_if_it_has_no_room_yet() {
    let mut world = World::new();
    world.route("1002", &["[2001:db8::1]:5060"]);
    world.switch.0.lock().is_full = 3;
    world.send(A, &invite());
    assert!(world.switch.told().is_empty());
    world.pass(Duration::from_secs(1));
    assert_eq!(world.switch.told(), ["refused"]);
    assert_eq!(world.status(A), 480);
    world.send(A, &Ask { method: "ACK", ..Ask::default() }.text());
    world.pass(Duration::from_secs(40));
    assert!(world.is_idle());
}

#[test]
fn a_callee_that_rings_for_nobody_is_cancelled() {
    let mut world = World::new();
    world.send(A, &invite());
    let ours = world.got(B);
    world.shard.agents.clear();
    world.send(B, &reply(&ours, 180, B, ""));
    assert_eq!(world.got(B).method(), Some(&Method::Cancel));
    world.pass(Duration::from_secs(40));
    assert!(world.shard.exchanges.alarms() == 0 && world.take(A).is_some());
}

#[test]
fn a_leg_whose_dialling_broke_hears_that_as_soon_as_it_has_room() {
    let mut world = World::new();
    world.send(A, &invite());
    let context = world.switch.0.lock().born[0].context.clone();
    let leg = LegId::from_uuid(uuid::Uuid::from_u128(9));
    world.switch.0.lock().is_full = 1;
    world.shard.agents.insert(leg, Agent::unborn(leg, context, 0));
    world.shard.in_hand.leg = Some(leg);
    world.shard.broke(world.now);
    assert!(world.switch.0.lock().told.is_empty());
    world.pass(Duration::from_secs(1));
    assert_eq!(world.switch.0.lock().told, [(leg, LegInput::Broken(Cause::SignallingLost))]);
    assert!(!world.shard.agents.contains_key(&leg), "and nothing is left of it");
}
