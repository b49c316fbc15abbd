//! What must hold for any order of inputs to a call and its legs, crashes and repeats included.

use std::time::Duration;

use proptest::prelude::*;

use crate::call::{CallInput, CallKind, NewCall};
use crate::cause::{Cause, SipStatus};
use crate::cdr::CdrFold;
use crate::event::FactBody;
use crate::leg::{LegInput, LegKind, LegNews, Negotiation};
use crate::machine::{Machine, Notice, Stamp};
use crate::media::{MediaDescription, MediaNews};
use crate::ports::Signal;
use crate::world::{CALLEE, CALLER, SECOND, World, client, leg, new_call, phone, target};

#[derive(Clone, Debug)]
enum Action {
    /// To so many of the callee's devices, the second of which is a page if so.
    Route(usize, bool),
    NoRoute(Cause),
    Leg(u128, LegInput),
    /// The shell of a leg died over an input.
    LegLost(u128, LegKind),
    CallLost(CallKind),
    LegGivenUp(u128),
    CallGivenUp,
    /// A crashed leg says something again.
    Repeat(u128, u64),
    End(Cause),
    Pass(u64),
}

fn any_leg() -> impl Strategy<Value = u128> {
    prop_oneof![Just(CALLER), Just(CALLEE), Just(SECOND)]
}

fn any_cause() -> impl Strategy<Value = Cause> {
    prop::sample::select(Cause::ALL.to_vec())
}

fn leg_input() -> impl Strategy<Value = LegInput> {
    prop_oneof![
        4 => Just(LegInput::Ringing),
        4 => Just(LegInput::Answered(phone(5_000))),
        2 => Just(LegInput::EarlyMedia(phone(5_002))),
        2 => (300u16..700).prop_map(|code| {
            let status = SipStatus::new(code);
            LegInput::Refused { cause: status.map_or(Cause::Busy, Cause::from_sip), status }
        }),
        1 => Just(LegInput::Cancelled),
        2 => any_cause().prop_map(LegInput::HungUp),
        1 => any_cause().prop_map(LegInput::Broken),
        1 => any_cause().prop_map(LegInput::HangUp),
        1 => Just(LegInput::Media(MediaNews::Silent)),
        1 => Just(LegInput::Media(MediaNews::Digit { digit: '5', duration_ms: 100 })),
        1 => Just(LegInput::TrackLost),
        2 => Just(LegInput::Completed(phone(4_000))),
        1 => Just(LegInput::Propose(std::sync::Arc::new(MediaDescription::proposal(true)))),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => (0usize..3, any::<bool>()).prop_map(|(devices, page)| Action::Route(devices, page)),
        1 => any_cause().prop_map(Action::NoRoute),
        24 => (any_leg(), leg_input()).prop_map(|(leg, input)| Action::Leg(leg, input)),
        2 => (any_leg(), prop::sample::select(vec![LegKind::Vital, LegKind::Final, LegKind::Passing]))
            .prop_map(|(leg, kind)| Action::LegLost(leg, kind)),
        1 => prop::sample::select(vec![CallKind::Vital, CallKind::Passing, CallKind::LegOver(leg(CALLEE))])
            .prop_map(Action::CallLost),
        1 => any_leg().prop_map(Action::LegGivenUp),
        1 => Just(Action::CallGivenUp),
        2 => (any_leg(), 0u64..6).prop_map(|(leg, number)| Action::Repeat(leg, number)),
        1 => any_cause().prop_map(Action::End),
        4 => (0u64..100).prop_map(Action::Pass),
    ]
}

/// A phone that offers, one that wants our offer with the answer, or a browser.
fn any_call() -> impl Strategy<Value = NewCall> {
    let negotiation = prop_oneof![
        2 => Just(new_call().negotiation),
        1 => Just(Negotiation::Late),
        2 => Just(Negotiation::AtOnce),
    ];
    negotiation.prop_map(|negotiation| NewCall { negotiation, ..new_call() })
}

fn play(world: &mut World, action: Action) {
    match action {
        Action::Route(devices, page) => {
            let second = if page { client(SECOND) } else { target(SECOND) };
            let targets = [target(CALLEE), second].into_iter().take(devices).collect();
            world.call_input(CallInput::Routed(Ok(targets)));
        }
        Action::NoRoute(cause) => world.call_input(CallInput::Routed(Err(cause))),
        Action::Leg(n, input) => world.leg_input(n, input),
        Action::LegLost(n, lost) => world.leg_input(n, LegInput::Notice(Notice::Recovered { lost })),
        Action::CallLost(lost) => world.call_input(CallInput::Notice(Notice::Recovered { lost })),
        Action::LegGivenUp(n) => {
            world.leg_input(n, LegInput::Notice(Notice::GivenUp));
            world.call_input(CallInput::LegLost(leg(n)));
        }
        Action::CallGivenUp => world.call_input(CallInput::Notice(Notice::GivenUp)),
        Action::Repeat(n, number) => {
            let news = LegNews::Ended { cause: Cause::Normal, status: None };
            if world.legs.get(&leg(n)).is_some_and(|leg| leg.is_ended()) {
                world.call_input(CallInput::Leg(Stamp { from: leg(n), number }, news));
            }
        }
        Action::End(cause) => world.call_input(CallInput::End(cause)),
        Action::Pass(seconds) => world.pass(Duration::from_secs(seconds)),
    }
}

/// Everybody gives up in the end.
fn finish(world: &mut World) {
    world.leg_input(CALLER, LegInput::Cancelled);
    world.leg_input(CALLER, LegInput::HungUp(Cause::Normal));
    world.pass(Duration::from_secs(200));
    world.pass(Duration::from_secs(10));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn a_call_ends_once_and_bills_once_whatever_happens(actions in prop::collection::vec(action(), 0..40), call in any_call()) {
        let mut world = World::new(call);
        for action in actions {
            play(&mut world, action);
            prop_assert!(!world.call.is_ended() || world.names().last() == Some(&"cdr"));
        }
        finish(&mut world);

        prop_assert!(world.call.is_ended(), "still {}", world.call.state_name());
        prop_assert!(world.legs.values().all(Machine::is_ended));
        let numbers: Vec<_> = world.facts.iter().map(|fact| fact.number).collect();
        prop_assert_eq!(numbers, (1..=u32::try_from(world.facts.len()).unwrap()).collect::<Vec<_>>());
        let count = |name| world.names().iter().filter(|it| **it == name).count();
        prop_assert_eq!((count("started"), count("ended"), count("cdr")), (1, 1, 1));
        prop_assert!(count("answered") <= 1 && count("ringing") <= 1);
        prop_assert_eq!(world.names().first().copied(), Some("started"));
        prop_assert_eq!(world.names().last().copied(), Some("cdr"));

        // A browser hears of an answer only when both sides have made theirs, and gets one offer.
        let offers = world.said(CALLER).iter().filter(|it| matches!(it, Signal::Offer(_))).count();
        prop_assert!(offers <= 1);
        let record = world.record();
        prop_assert_eq!(record.answered_at.is_some(), count("answered") == 1);
        prop_assert!(record.answered_at.is_some() || record.talk_ms == 0);
        prop_assert!(record.legs.len() == count("dialled") + 1);
    }

    /// Whoever has the facts has the record: folding them anew gives what the call wrote.
    #[test]
    fn the_record_is_a_fold_of_the_facts(actions in prop::collection::vec(action(), 0..40), call in any_call()) {
        let mut world = World::new(call);
        actions.into_iter().for_each(|action| play(&mut world, action));
        finish(&mut world);
        let mut fold = CdrFold::begin(&world.facts[0]).unwrap();
        for fact in world.facts.iter().flat_map(|fact| [fact, fact]) {
            fold.apply(fact);
        }
        prop_assert!(fold.is_closed());
        prop_assert_eq!(fold.record(new_call().context.node), world.record());
    }

    /// A node may die at any moment: what is owed is exactly what is missing.
    #[test]
    fn a_call_cut_off_anywhere_gets_exactly_one_end_and_one_record(
        actions in prop::collection::vec(action(), 0..40),
        cut in 1usize..20,
        call in any_call(),
    ) {
        let mut world = World::new(call);
        actions.into_iter().for_each(|action| play(&mut world, action));
        finish(&mut world);
        let kept = &world.facts[..cut.min(world.facts.len())];
        let mut fold = CdrFold::begin(&kept[0]).unwrap();
        kept.iter().for_each(|fact| fold.apply(fact));
        let owed = fold.close_lost(world.now.wall, new_call().context.node);
        let all: Vec<_> = kept.iter().chain(&owed).collect();
        prop_assert_eq!(all.iter().filter(|fact| matches!(fact.body, FactBody::CdrClosed(_))).count(), 1);
        prop_assert_eq!(all.iter().filter(|fact| matches!(fact.body, FactBody::Ended { .. })).count(), 1);
        let numbers: Vec<_> = all.iter().map(|fact| fact.number).collect();
        prop_assert_eq!(numbers, (1..=u32::try_from(all.len()).unwrap()).collect::<Vec<_>>());
        let FactBody::CdrClosed(record) = &all.last().unwrap().body else { panic!("no record") };
        prop_assert!(record.legs.iter().all(|leg| leg.ended_at.is_some()));
    }
}
