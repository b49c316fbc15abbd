use std::time::Duration;

use super::{Call, CallInput, CallKind};
use crate::call::CallEffect;
use crate::cause::{Cause, SipStatus};
use crate::event::{FactBody, Side};
use crate::leg::{Leg, LegInput, LegKind, LegNews};
use crate::machine::{Machine, Notice, Stamp};
use crate::media::MediaNews;
use crate::ports::Signal;
use crate::track::{Track, TrackInput, TrackKind};
use crate::world::{CALLEE, CALLER, SECOND, World, leg, new_call, phone};

fn refused(code: u16) -> LegInput {
    let status = SipStatus::new(code).unwrap();
    LegInput::Refused { cause: Cause::from_sip(status), status: Some(status) }
}

#[test]
fn a_call_rings_is_answered_and_billed_from_answer_to_end() {
    let mut world = World::dialled(&[CALLEE]);
    world.pass(Duration::from_secs(1));
    world.leg_input(CALLEE, LegInput::Ringing);
    world.pass(Duration::from_secs(4));
    world.leg_input(CALLEE, LegInput::Answered(phone(5_000)));
    world.pass(Duration::from_secs(60));
    world.leg_input(CALLER, LegInput::HungUp(Cause::Normal));

    let names = ["started", "dialled", "ringing", "answered", "leg_ended", "ended", "leg_ended", "cdr"];
    assert_eq!(world.names(), names);
    assert_eq!(world.facts.iter().map(|fact| fact.number).collect::<Vec<_>>(), (1..=8).collect::<Vec<_>>());
    let record = world.record();
    assert_eq!(record.talk_ms, 60_000);
    assert_eq!((record.cause, record.ended_by), (Cause::Normal, Side::Caller));
    assert_eq!(record.ringing_at.map(|at| at - record.started_at), Some(Duration::from_secs(1)));
    assert_eq!(record.answered_at.map(|at| at - record.started_at), Some(Duration::from_secs(5)));
    assert!(record.legs.iter().all(|leg| leg.answered_at.is_some() && leg.cause == Some(Cause::Normal)));
    assert_eq!(world.last_said(CALLEE), Some(Signal::Bye(Cause::Normal)));
    assert!(!world.said(CALLER).contains(&&Signal::Bye(Cause::Normal)), "who hung up is not hung up on");
    assert!(world.call.is_ended());
}

#[test]
fn a_wall_clock_that_is_stepped_in_the_middle_of_a_call_bills_nobody_for_it() {
    for hours in [-2, 2] {
        let mut world = World::talking();
        world.now.wall.0 += hours * 3_600_000_000;
        world.pass(Duration::from_secs(60));
        world.leg_input(CALLER, LegInput::HungUp(Cause::Normal));
        assert_eq!(world.record().talk_ms, 60_000, "{hours} h");
    }
}

#[test]
fn the_answer_is_committed_before_the_caller_hears_it() {
    let mut world = World::dialled(&[CALLEE]);
    let mut call = world.call.clone();
    let stamp = Stamp { from: leg(CALLEE), number: 9 };
    let effects = call.handle(world.now, CallInput::Leg(stamp, LegNews::Answered(phone(5_000)))).unwrap();
    let committed = effects.iter().position(|it| matches!(it, CallEffect::Commit(_))).unwrap();
    let told = effects.iter().position(|it| matches!(it, CallEffect::TellLeg(_, LegInput::Answer(_)))).unwrap();
    assert!(committed < told);
    world.leg_input(CALLEE, LegInput::Answered(phone(5_000)));
    assert!(matches!(world.last_said(CALLER), Some(Signal::Answer(_))));
}

#[test]
fn the_session_description_is_kept_with_the_start_and_the_answer() {
    let world = World::talking();
    let kept: Vec<_> = world.facts.iter().filter_map(|fact| Some((fact.body.name(), fact.sdp.as_deref()?))).collect();
    assert_eq!(kept, [("started", "sdp of 4000"), ("answered", "sdp of 5000")]);
}

#[test]
fn each_refusal_reaches_the_caller_as_it_was_meant() {
    for (code, cause) in [
        (486, Cause::Busy),
        (603, Cause::Declined),
        (404, Cause::UnknownNumber),
        (480, Cause::Unreachable),
        (408, Cause::Timeout),
        (488, Cause::Incompatible),
        (503, Cause::Congestion),
    ] {
        let mut world = World::dialled(&[CALLEE]);
        world.leg_input(CALLEE, refused(code));
        assert_eq!(world.last_said(CALLER), Some(Signal::Reject(cause)), "{code}");
        assert_eq!(world.cause(), cause, "{code}");
        assert_eq!(world.record().talk_ms, 0);
        assert_eq!(world.record().legs[1].sip_status, Some(code));
        assert!(world.call.is_ended());
    }
}

#[test]
fn a_number_that_the_plan_does_not_know_is_refused_before_anybody_rings() {
    let mut world = World::new(new_call());
    assert!(world.looked_up);
    world.call_input(CallInput::Routed(Err(Cause::UnknownNumber)));
    assert_eq!(world.last_said(CALLER), Some(Signal::Reject(Cause::UnknownNumber)));
    assert_eq!(world.names(), ["started", "ended", "leg_ended", "cdr"]);
}

#[test]
fn an_account_without_a_device_is_unreachable() {
    let mut world = World::new(new_call());
    world.call_input(CallInput::Routed(Ok(Vec::new())));
    assert_eq!(world.last_said(CALLER), Some(Signal::Reject(Cause::Unreachable)));
}

#[test]
fn a_caller_that_gives_up_cancels_the_callee() {
    let mut world = World::dialled(&[CALLEE]);
    world.leg_input(CALLEE, LegInput::Ringing);
    world.leg_input(CALLER, LegInput::Cancelled);
    assert_eq!(world.last_said(CALLEE), Some(Signal::Cancel(Cause::Cancelled)));
    assert_eq!((world.cause(), world.record().ended_by), (Cause::Cancelled, Side::Caller));
}

#[test]
fn nobody_answers_in_time() {
    let mut world = World::dialled(&[CALLEE]);
    world.leg_input(CALLEE, LegInput::Ringing);
    world.pass(Duration::from_secs(89));
    assert!(!world.call.is_ended());
    world.pass(Duration::from_secs(1));
    assert_eq!(world.last_said(CALLEE), Some(Signal::Cancel(Cause::NoAnswer)));
    assert_eq!(world.last_said(CALLER), Some(Signal::Reject(Cause::NoAnswer)));
    assert_eq!(world.cause(), Cause::NoAnswer);
}

#[test]
fn the_first_device_to_answer_wins_and_the_others_are_cancelled() {
    let mut world = World::dialled(&[CALLEE, SECOND]);
    world.leg_input(CALLEE, LegInput::Ringing);
    world.leg_input(SECOND, LegInput::Ringing);
    world.leg_input(SECOND, LegInput::Answered(phone(5_000)));
    assert_eq!(world.last_said(CALLEE), Some(Signal::Cancel(Cause::AnsweredElsewhere)));
    assert_eq!(world.names().iter().filter(|name| **name == "ringing").count(), 1, "the first ring counts");
    world.leg_input(SECOND, LegInput::HungUp(Cause::Normal));
    let record = world.record();
    assert_eq!((record.cause, record.ended_by), (Cause::Normal, Side::Callee));
    assert_eq!(record.legs[1].cause, Some(Cause::AnsweredElsewhere));
    assert!(record.legs[1].answered_at.is_none() && record.legs[2].answered_at.is_some());
}

#[test]
fn a_second_answer_that_crossed_our_cancel_changes_nothing() {
    let mut world = World::dialled(&[CALLEE, SECOND]);
    world.leg_input(CALLEE, LegInput::Answered(phone(5_000)));
    world.leg_input(SECOND, LegInput::Answered(phone(6_000)));
    assert_eq!(world.names().iter().filter(|name| **name == "answered").count(), 1);
}

#[test]
fn one_busy_device_does_not_stop_the_other_from_ringing() {
    let mut world = World::dialled(&[CALLEE, SECOND]);
    world.leg_input(CALLEE, refused(486));
    assert!(world.said(CALLER).is_empty());
    world.leg_input(SECOND, refused(480));
    assert_eq!(world.last_said(CALLER), Some(Signal::Reject(Cause::Busy)), "busy says more than unreachable");
}

#[test]
fn a_device_that_declines_declines_for_all() {
    let mut world = World::dialled(&[CALLEE, SECOND]);
    world.leg_input(SECOND, LegInput::Ringing);
    world.leg_input(CALLEE, refused(603));
    assert_eq!(world.last_said(CALLER), Some(Signal::Reject(Cause::Declined)));
    assert!(matches!(world.last_said(SECOND), Some(Signal::Cancel(_))));
}

#[test]
fn early_media_of_the_first_device_reaches_the_caller_once() {
    let mut world = World::dialled(&[CALLEE, SECOND]);
    world.leg_input(CALLEE, LegInput::EarlyMedia(phone(5_000)));
    world.leg_input(SECOND, LegInput::EarlyMedia(phone(6_000)));
    let progress = world.said(CALLER).into_iter().filter(|signal| matches!(signal, Signal::Progress(_))).count();
    assert_eq!(progress, 1);
}

#[test]
fn a_leg_that_falls_silent_ends_the_call_as_media_lost() {
    let mut world = World::talking();
    world.pass(Duration::from_secs(40));
    world.leg_input(CALLEE, LegInput::Media(MediaNews::Silent));
    assert_eq!((world.cause(), world.record().ended_by), (Cause::MediaLost, Side::System));
    assert_eq!(world.last_said(CALLER), Some(Signal::Bye(Cause::MediaLost)));
    assert_eq!(world.last_said(CALLEE), Some(Signal::Bye(Cause::MediaLost)));
    assert_eq!(world.record().talk_ms, 40_000);
}

#[test]
fn without_a_codec_in_common_the_caller_is_refused_and_the_callee_hung_up() {
    let mut world = World::dialled(&[CALLEE]);
    let mut answer = (*phone(5_000)).clone();
    answer.codecs.retain(|codec| codec.is_telephone_event());
    world.leg_input(CALLEE, LegInput::Answered(answer.into()));
    assert_eq!(world.last_said(CALLER), Some(Signal::Reject(Cause::Incompatible)));
    assert_eq!(world.last_said(CALLEE), Some(Signal::Bye(Cause::Incompatible)));
}

#[test]
fn a_call_that_the_node_ends_says_so_to_both() {
    let mut world = World::talking();
    world.call_input(CallInput::End(Cause::Shutdown));
    assert_eq!(world.last_said(CALLER), Some(Signal::Bye(Cause::Shutdown)));
    assert_eq!(world.last_said(CALLEE), Some(Signal::Bye(Cause::Shutdown)));
    assert_eq!(world.cause(), Cause::Shutdown);
}

#[test]
fn repeated_news_of_a_crashed_leg_is_no_second_answer() {
    let mut world = World::talking();
    let facts = world.facts.len();
    let stamp = Stamp { from: leg(CALLEE), number: 0 };
    world.call_input(CallInput::Leg(stamp, LegNews::Ended { cause: Cause::Normal, status: None }));
    assert_eq!(world.facts.len(), facts);
}

#[test]
fn a_given_up_call_hangs_up_and_closes_its_record_at_once() {
    let mut world = World::talking();
    world.call_input(CallInput::Notice(Notice::GivenUp));
    assert_eq!(world.last_said(CALLER), Some(Signal::Bye(Cause::SystemFailure)));
    assert_eq!(world.last_said(CALLEE), Some(Signal::Bye(Cause::SystemFailure)));
    assert_eq!(world.cause(), Cause::SystemFailure);
    assert!(world.record().legs.iter().all(|leg| leg.ended_at.is_some()), "the record leaves no leg open");
}

#[test]
fn a_call_given_up_before_it_began_still_has_a_record() {
    let mut call = super::Call::new(new_call());
    let effects = call.handle(crate::world::start(), CallInput::Notice(Notice::GivenUp)).unwrap();
    let facts: Vec<_> = effects
        .iter()
        .filter_map(|it| match it {
            CallEffect::Commit(fact) => Some(fact.body.name()),
            _ => None,
        })
        .collect();
    assert_eq!(facts, ["started", "ended", "leg_ended", "cdr"]);
    let hung_up = |it: &CallEffect| matches!(it, CallEffect::TellLeg(to, LegInput::HangUp(_)) if *to == leg(CALLER));
    assert!(call.is_ended() && effects.iter().any(hung_up));
}

#[test]
fn each_lost_input_ends_the_call_or_is_not_missed() {
    for (lost, ends) in [
        (CallKind::Vital, true),
        (CallKind::LegOver(leg(CALLEE)), true),
        (CallKind::LegOver(leg(SECOND)), false),
        (CallKind::Passing, false),
    ] {
        let mut world = World::talking();
        world.call_input(CallInput::Notice(Notice::Recovered { lost }));
        assert_eq!(world.call.is_ended(), ends, "{lost:?}");
        assert!(!ends || world.cause() == Cause::SystemFailure);
    }
}

#[test]
fn a_lost_start_refuses_the_caller() {
    let mut world = World::new(new_call());
    world.call = super::Call::new(new_call());
    world.facts.clear();
    world.legs.clear();
    world.call_input(CallInput::Notice(Notice::Recovered { lost: CallKind::Start }));
    assert_eq!(world.last_said(CALLER), Some(Signal::Reject(Cause::SystemFailure)));
    assert_eq!(world.cause(), Cause::SystemFailure);
}

#[test]
fn an_ending_call_does_not_wait_for_ever_for_a_leg() {
    let mut world = World::talking();
    world.legs.remove(&leg(CALLEE));
    world.leg_input(CALLER, LegInput::HungUp(Cause::Normal));
    assert!(!world.call.is_ended());
    world.pass(Duration::from_secs(5));
    assert!(world.call.is_ended());
    assert_eq!(world.names().last(), Some(&"cdr"));
}

#[test]
fn an_effect_that_its_leg_could_not_take_ends_that_leg() {
    let mut world = World::talking();
    let effect = CallEffect::TellLeg(leg(CALLEE), LegInput::Bridge(leg(CALLER)));
    world.call_input(CallInput::Notice(Notice::Refused { effect, why: crate::machine::Refusal::Gone }));
    assert!(world.call.is_ended());
    assert!(
        world
            .facts
            .iter()
            .any(|fact| matches!(&fact.body, FactBody::LegEnded { leg_id, .. } if *leg_id == leg(CALLEE)))
    );
}

#[test]
fn an_answer_of_a_leg_that_was_written_off_is_too_late() {
    let mut world = World::dialled(&[CALLEE, SECOND]);
    let effect = CallEffect::TellLeg(leg(CALLEE), LegInput::Start);
    let refused = Notice::Refused { effect, why: crate::machine::Refusal::Crashed };
    // Not through `call_input`: the answer is on its way before the leg hears that it is hung up.
    let effects = world.call.handle(world.now, CallInput::Notice(refused)).unwrap();
    assert!(matches!(effects.last(), Some(CallEffect::TellLeg(_, LegInput::HangUp(_)))));
    let answered = LegNews::Answered(phone(5_000));
    let late = CallInput::Leg(Stamp { from: leg(CALLEE), number: 9 }, answered);
    assert!(world.call.handle(world.now, late).is_err());
    assert_eq!(world.call.state_name(), "dialling");
}

#[test]
fn who_does_not_hear_what_was_lost_has_lost_it_still() {
    let legs = [CallKind::Start, CallKind::Vital, CallKind::LegOver(leg(CALLEE)), CallKind::Passing];
    for lost in legs {
        assert_eq!(Call::kind(&CallInput::Notice(Notice::Recovered { lost })), lost);
    }
    for lost in [LegKind::Vital, LegKind::Final, LegKind::Passing] {
        assert_eq!(Leg::kind(&LegInput::Notice(Notice::Recovered { lost })), lost);
    }
    for lost in [TrackKind::Order, TrackKind::End, TrackKind::Notice] {
        assert_eq!(Track::kind(&TrackInput::Notice(Notice::Recovered { lost })), lost);
    }
}
