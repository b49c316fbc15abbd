//! Tests of callers that want our offer at once: browsers.

use std::sync::Arc;

use super::{ANSWER_TIMEOUT, Birth, Leg, LegEffect, LegInput, LegNews, Negotiation, Role};
use crate::cause::Cause;
use crate::id::CallId;
use crate::machine::{Effects, Machine, Notice};
use crate::media::{Carrier, LocalMedia, MediaCommand, MediaDescription, PeerDescription};
use crate::ports::Signal;
use crate::track::TrackInput;
use crate::world::{CALLEE, CALLER, SECOND, World, client, leg, local, new_call, phone, start, target};

fn peer() -> LocalMedia {
    let peer = PeerDescription {
        ufrag: "abcd".into(),
        password: String::from("0123456789012345678901").into(),
        fingerprint: [7; 32],
        ssrc: Some(1),
    };
    LocalMedia { peer: Some(Arc::new(peer)), ..local(7_882) }
}

fn proposal() -> Arc<MediaDescription> {
    Arc::new(MediaDescription::proposal(true))
}

fn caller() -> Leg {
    let call = new_call();
    let birth = Birth { call: call.call, context: call.context, role: Role::Caller(Negotiation::AtOnce) };
    let mut leg = Leg::new(leg(CALLER), Arc::new(birth));
    let effects = leg.handle(start(), LegInput::Start).unwrap();
    assert_eq!(effects[1], LegEffect::OpenMedia(Carrier::Peer(CallId::from_uuid(new_call().call.uuid()))));
    leg
}

fn step(leg: &mut Leg, input: LegInput) -> Effects<LegEffect> {
    leg.handle(start(), input).unwrap()
}

/// One that made its offer.
fn awaiting() -> Leg {
    let mut leg = caller();
    step(&mut leg, LegInput::MediaReady(peer()));
    step(&mut leg, LegInput::Propose(proposal()));
    leg
}

#[test]
fn the_offer_goes_out_when_both_the_peer_and_the_proposal_are_there_in_any_order() {
    let inputs = [LegInput::MediaReady(peer()), LegInput::Propose(proposal())];
    for order in [[0, 1], [1, 0]] {
        let mut leg = caller();
        assert!(step(&mut leg, inputs[order[0]].clone()).is_empty());
        let effects = step(&mut leg, inputs[order[1]].clone());
        let [LegEffect::Signal(Signal::Offer(offer))] = effects.as_slice() else { panic!("{effects:?}") };
        assert_eq!((offer.rtp, &offer.peer), (peer().rtp, &peer().peer));
        assert_eq!(offer.codecs, proposal().codecs);
    }
}

#[test]
fn it_connects_when_both_have_answered_in_any_order() {
    let inputs = [LegInput::Completed(phone(9)), LegInput::Answer(phone(5_000))];
    for order in [[0, 1], [1, 0]] {
        let mut leg = awaiting();
        step(&mut leg, inputs[order[0]].clone());
        assert_ne!(leg.state_name(), "connected");
        let effects = step(&mut leg, inputs[order[1]].clone());
        assert_eq!(leg.state_name(), "connected");
        let spec = |effect: &LegEffect| matches!(effect, LegEffect::TellTrack(_, TrackInput::Carry(_)));
        assert!(spec(&effects[0]));
        assert!(matches!(effects[1], LegEffect::Signal(Signal::Answer(_))));
        assert_eq!(effects[2], LegEffect::Media(MediaCommand::Watch { leg: leg.id }));
        assert_eq!(leg.next_deadline(), None);
    }
}

#[test]
fn an_offer_that_is_not_answered_in_time_ends_the_leg_whether_the_callee_answered_or_not() {
    for callee_is_faster in [false, true] {
        let mut leg = awaiting();
        if callee_is_faster {
            step(&mut leg, LegInput::Answer(phone(5_000)));
        }
        let late = start().after(ANSWER_TIMEOUT);
        assert_eq!(leg.next_deadline(), Some(late.mono));
        let effects = leg.handle(late, LegInput::Notice(Notice::Tick)).unwrap();
        assert_eq!(effects[0], LegEffect::Signal(Signal::Reject(Cause::Timeout)));
        assert_eq!(effects.last(), Some(&LegEffect::TellCall(LegNews::Ended { cause: Cause::Timeout, status: None })));
    }
}

#[test]
fn whoever_hangs_up_before_the_callee_answered_gives_the_call_up() {
    for agreed in [false, true] {
        let mut leg = awaiting();
        if agreed {
            step(&mut leg, LegInput::Completed(phone(9)));
        }
        let effects = step(&mut leg, LegInput::HungUp(Cause::Normal));
        assert_eq!(
            effects.last(),
            Some(&LegEffect::TellCall(LegNews::Ended { cause: Cause::Cancelled, status: None }))
        );
    }
}

#[test]
fn a_call_that_the_callee_answered_first_is_hung_up_and_not_given_up() {
    let mut leg = awaiting();
    step(&mut leg, LegInput::Answer(phone(5_000)));
    let effects = step(&mut leg, LegInput::HungUp(Cause::Normal));
    assert_eq!(effects.last(), Some(&LegEffect::TellCall(LegNews::Ended { cause: Cause::Normal, status: None })));
}

#[test]
fn without_audio_in_common_it_ends_and_is_told() {
    let mut leg = awaiting();
    step(&mut leg, LegInput::Completed(phone(9)));
    let mut opus = MediaDescription::proposal(false);
    opus.codecs.truncate(1);
    let effects = step(&mut leg, LegInput::Answer(Arc::new(opus)));
    assert_eq!(effects[0], LegEffect::Signal(Signal::Reject(Cause::Incompatible)));
}

#[test]
fn a_second_answer_is_refused() {
    let mut leg = awaiting();
    step(&mut leg, LegInput::Completed(phone(9)));
    assert!(leg.handle(start(), LegInput::Completed(phone(9))).is_err());
}

#[test]
fn a_phone_and_a_page_are_each_offered_what_they_speak() {
    let world = World::from_browser(vec![target(CALLEE), client(SECOND)]);
    let offered = |n| {
        let [Signal::Invite(dial)] = world.said(n)[..] else { panic!("{:?}", world.said(n)) };
        dial.offer.codecs.iter().map(|codec| codec.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(offered(CALLEE), ["PCMU", "PCMA", "telephone-event"]);
    assert_eq!(offered(SECOND), ["PCMU", "PCMA", "opus", "telephone-event", "telephone-event"]);
    assert!(matches!(world.said(CALLER)[..], [Signal::Offer(_)]));
}

#[test]
fn between_pages_opus_comes_first() {
    let world = World::from_browser(vec![client(CALLEE)]);
    let [Signal::Offer(offer)] = world.said(CALLER)[..] else { panic!("{:?}", world.said(CALLER)) };
    assert_eq!(offer.codecs[0].name, "opus");
}

#[test]
fn a_caller_that_never_answers_our_offer_takes_the_callee_along() {
    let mut world = World::from_browser(vec![target(CALLEE)]);
    world.leg_input(CALLEE, LegInput::Ringing);
    world.pass(ANSWER_TIMEOUT);
    assert_eq!(world.last_said(CALLEE), Some(Signal::Cancel(Cause::Timeout)));
    assert_eq!(world.cause(), Cause::Timeout);
}

#[test]
fn a_page_that_answers_talks_to_the_phone() {
    let mut world = World::from_browser(vec![target(CALLEE)]);
    world.leg_input(CALLER, LegInput::Completed(phone(9)));
    world.leg_input(CALLEE, LegInput::Answered(phone(5_000)));
    assert!(matches!(world.last_said(CALLER), Some(Signal::Answer(_))));
    world.leg_input(CALLER, LegInput::HungUp(Cause::Normal));
    assert_eq!((world.cause(), world.last_said(CALLEE)), (Cause::Normal, Some(Signal::Bye(Cause::Normal))));
}
