use std::sync::Arc;
use std::time::Duration;

use super::{Birth, Leg, LegEffect, LegInput, LegKind, LegNews, Negotiation, Outgoing, Role};
use crate::cause::Cause;
use crate::machine::{Effects, Machine, Notice, Refusal};
use crate::media::{Carrier, MediaCommand, MediaNews};
use crate::ports::Signal;
use crate::time::Now;
use crate::track::TrackInput;
use crate::world::{CALLEE, CALLER, leg, local, new_call, phone, start, target, user};

fn callee() -> Leg {
    let call = new_call();
    let outgoing = Outgoing {
        target: target(CALLEE),
        caller: user("1001"),
        offer: phone(4_000),
        max_forwards: 69,
        ring_timeout: Duration::from_secs(90),
    };
    begun(CALLEE, Birth { call: call.call, context: call.context, role: Role::Callee(Box::new(outgoing)) })
}

fn caller(offer: bool) -> Leg {
    let call = new_call();
    let negotiation = if offer { call.negotiation } else { Negotiation::Late };
    begun(CALLER, Birth { call: call.call, context: call.context, role: Role::Caller(negotiation) })
}

fn begun(n: u128, birth: Birth) -> Leg {
    let mut leg = Leg::new(leg(n), Arc::new(birth));
    let effects = leg.handle(start(), LegInput::Start).unwrap();
    assert_eq!(effects.as_slice(), [LegEffect::OpenTrack(leg.track()), LegEffect::OpenMedia(Carrier::Rtp)]);
    leg
}

fn step(leg: &mut Leg, input: LegInput) -> Effects<LegEffect> {
    at(leg, start(), input)
}

fn at(leg: &mut Leg, now: Now, input: LegInput) -> Effects<LegEffect> {
    leg.handle(now, input).unwrap()
}

fn over(leg: &Leg, cause: Cause) -> [LegEffect; 2] {
    [LegEffect::TellTrack(leg.track(), TrackInput::End), LegEffect::TellCall(LegNews::Ended { cause, status: None })]
}

fn connected() -> Leg {
    let mut leg = callee();
    step(&mut leg, LegInput::MediaReady(local(10_000)));
    step(&mut leg, LegInput::Answered(phone(5_000)));
    leg
}

#[test]
fn a_callee_is_dialled_with_the_callers_formats_at_our_address() {
    let mut leg = callee();
    let effects = step(&mut leg, LegInput::MediaReady(local(10_000)));
    let [LegEffect::Signal(Signal::Invite(dial))] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(dial.offer.rtp, local(10_000).rtp);
    assert_eq!(dial.offer.codecs, phone(4_000).codecs);
    assert_eq!(dial.offer.text, None, "nothing of the caller's own text goes out");
}

#[test]
fn a_leg_that_rings_too_long_ends_with_no_answer() {
    let mut leg = callee();
    step(&mut leg, LegInput::MediaReady(local(10_000)));
    step(&mut leg, LegInput::Ringing);
    assert!(leg.handle(start().after(Duration::from_secs(89)), LegInput::Notice(Notice::Tick)).is_err());
    let late = start().after(Duration::from_secs(90));
    assert_eq!(leg.next_deadline(), Some(late.mono));
    let effects = at(&mut leg, late, LegInput::Notice(Notice::Tick));
    assert_eq!(effects[0], LegEffect::Signal(Signal::Cancel(Cause::NoAnswer)));
    assert_eq!(effects[1..], over(&leg, Cause::NoAnswer));
}

#[test]
fn an_answered_leg_carries_media_is_watched_and_tells_its_call() {
    let mut leg = callee();
    step(&mut leg, LegInput::MediaReady(local(10_000)));
    let effects = step(&mut leg, LegInput::Answered(phone(5_000)));
    let [LegEffect::TellTrack(_, TrackInput::Carry(spec)), LegEffect::Media(watch), LegEffect::TellCall(news)] =
        effects.as_slice()
    else {
        panic!("{effects:?}")
    };
    assert_eq!((spec.local.rtp, spec.remote.rtp), (local(10_000).rtp, local(5_000).rtp));
    assert_eq!(*watch, MediaCommand::Watch { leg: leg.id });
    assert_eq!(*news, LegNews::Answered(phone(5_000)));
}

#[test]
fn a_caller_is_answered_with_what_the_callee_took() {
    let mut leg = caller(true);
    step(&mut leg, LegInput::MediaReady(local(10_000)));
    let mut answer = (*phone(5_000)).clone();
    answer.codecs.retain(|codec| codec.name == "PCMA");
    let effects = step(&mut leg, LegInput::Answer(answer.into()));
    let answered = effects.iter().find_map(|it| match it {
        LegEffect::Signal(Signal::Answer(answer)) => Some(answer),
        _ => None,
    });
    let answered = answered.unwrap();
    assert_eq!(answered.codecs.iter().map(|codec| codec.payload_type).collect::<Vec<_>>(), [8]);
    assert_eq!(answered.rtp, local(10_000).rtp);
}

#[test]
fn a_caller_without_an_offer_gets_ours_and_answers_it_with_its_ack() {
    let mut leg = caller(false);
    step(&mut leg, LegInput::MediaReady(local(10_000)));
    let effects = step(&mut leg, LegInput::Answer(phone(5_000)));
    assert!(matches!(effects[0], LegEffect::Signal(Signal::Answer(_))), "nothing to carry yet: {effects:?}");
    let effects = step(&mut leg, LegInput::Completed(phone(4_000)));
    assert!(matches!(effects.as_slice(), [LegEffect::TellTrack(_, TrackInput::Carry(_))]));
}

#[test]
fn whatever_ends_a_leg_here_is_said_in_the_way_its_state_wants() {
    let hang_up = || LegInput::HangUp(Cause::Shutdown);
    let mut preparing = callee();
    assert_eq!(step(&mut preparing, hang_up()).as_slice(), over(&preparing, Cause::Shutdown));

    let mut dialled = callee();
    step(&mut dialled, LegInput::MediaReady(local(10_000)));
    assert_eq!(step(&mut dialled, hang_up())[0], LegEffect::Signal(Signal::Cancel(Cause::Shutdown)));

    let mut offered = caller(true);
    assert_eq!(step(&mut offered, hang_up())[0], LegEffect::Signal(Signal::Reject(Cause::Shutdown)));

    let mut connected = connected();
    assert_eq!(step(&mut connected, hang_up())[0], LegEffect::Signal(Signal::Bye(Cause::Shutdown)));
}

#[test]
fn what_the_far_end_said_is_not_said_back() {
    let mut cancelled = caller(true);
    assert_eq!(step(&mut cancelled, LegInput::Cancelled).as_slice(), over(&cancelled, Cause::Cancelled));
    let mut hung_up = connected();
    assert_eq!(step(&mut hung_up, LegInput::HungUp(Cause::Normal)).as_slice(), over(&hung_up, Cause::Normal));
}

#[test]
fn an_ended_leg_ignores_everything_and_arms_no_timer() {
    let mut leg = connected();
    step(&mut leg, LegInput::HungUp(Cause::Normal));
    for input in [LegInput::Ringing, LegInput::HangUp(Cause::Normal), LegInput::TrackLost, LegInput::Start] {
        assert!(step(&mut leg, input).is_empty());
    }
    assert!(leg.is_ended() && leg.next_deadline().is_none());
}

#[test]
fn lost_media_ends_the_leg() {
    for input in [LegInput::TrackLost, LegInput::Media(MediaNews::Silent), LegInput::Media(MediaNews::Broken)] {
        let mut leg = connected();
        assert_eq!(step(&mut leg, input)[0], LegEffect::Signal(Signal::Bye(Cause::MediaLost)));
    }
}

#[test]
fn each_refused_effect_has_its_consequence() {
    let refused = |effect, why| LegInput::Notice(Notice::Refused { effect, why });
    let mut no_ports = callee();
    assert_eq!(
        step(&mut no_ports, refused(LegEffect::OpenMedia(Carrier::Rtp), Refusal::Full)).as_slice(),
        over(&no_ports, Cause::Overload)
    );

    let mut rings_unheard = caller(true);
    assert!(step(&mut rings_unheard, refused(LegEffect::Signal(Signal::Ring), Refusal::Full)).is_empty());

    let mut stuck_worker = connected();
    let watch = LegEffect::Media(MediaCommand::Watch { leg: leg(CALLEE) });
    assert_eq!(
        step(&mut stuck_worker, refused(watch, Refusal::Full))[0],
        LegEffect::Signal(Signal::Bye(Cause::MediaLost))
    );

    let mut orphan = connected();
    let news = LegEffect::TellCall(LegNews::Ringing);
    assert_eq!(
        step(&mut orphan, refused(news, Refusal::Gone))[0],
        LegEffect::Signal(Signal::Bye(Cause::SystemFailure))
    );
}

#[test]
fn a_lost_input_ends_the_leg_unless_nobody_misses_it() {
    for (lost, cause) in [(LegKind::Vital, Cause::SystemFailure), (LegKind::Final, Cause::SignallingLost)] {
        let mut leg = connected();
        let effects = step(&mut leg, LegInput::Notice(Notice::Recovered { lost }));
        assert_eq!(effects[0], LegEffect::Signal(Signal::Bye(cause)));
    }
    let mut leg = connected();
    assert!(step(&mut leg, LegInput::Notice(Notice::Recovered { lost: LegKind::Passing })).is_empty());
}

#[test]
fn what_does_not_apply_is_rejected_with_both_names() {
    let mut leg = connected();
    let rejected = leg.handle(start(), LegInput::Ring).unwrap_err();
    assert_eq!(rejected.to_string(), "ring does not apply in state connected");
}
