//! Calls with the real machines and ports in memory: what they do undisturbed, and at the door.

#![allow(unreachable_pub, missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod broken;
mod standing;
mod world;

use std::num::NonZeroUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tandem_actors::calls::LegView;
use tandem_actors::{Calls, Clock, Config};
use tandem_core::cause::Cause;
use tandem_core::event::Side;
use tandem_core::id::TrackId;
use tandem_core::leg::LegInput;
use tandem_core::machine::Refusal;
use tandem_core::media::{MediaCommand, MediaNews};
use tandem_core::metric::Counter;
use tandem_core::ports::{CallPort, Signal};
use tokio::time::{Instant, sleep};
use world::{World, ids, new_call, until};

/// Facts of a call that was answered and hung up by the callee.
const ANSWERED: [&str; 8] = ["started", "dialled", "ringing", "answered", "leg_ended", "ended", "leg_ended", "cdr"];

#[tokio::test(start_paused = true)]
async fn a_call_rings_is_answered_and_ends_with_its_facts_in_order_and_one_record() {
    let world = World::start().await;
    let (ids, callee) = world.talking(1).await;
    sleep(Duration::from_secs(60)).await;
    world.tell(callee, LegInput::HungUp(Cause::Normal));
    world.until_empty().await;
    assert_eq!(world.outside.story(ids.call), ANSWERED);
    let cdr = world.outside.cdr(ids.call);
    assert_eq!((cdr.cause, cdr.ended_by, cdr.talk_ms / 1_000), (Cause::Normal, Side::Callee, 60));
    assert!(matches!(
        world.outside.signals(ids.caller)[..],
        [Signal::Ring, Signal::Answer(_), Signal::Bye(Cause::Normal)]
    ));
    assert!(matches!(world.outside.signals(callee)[..], [Signal::Invite(_)]));
    let bridged = MediaCommand::Bridge { track: TrackId::audio_of(callee), to: TrackId::audio_of(ids.caller) };
    assert!(world.outside.commands(callee).contains(&bridged));
    assert!(world.outside.is_released(ids.caller) && world.outside.is_released(callee));
    let counted = [Counter::CallsStarted, Counter::CallsAnswered].map(|what| world.metrics.counter(what));
    assert_eq!((counted, world.metrics.ended_for(Cause::Normal)), ([1, 1], 1));
    assert_eq!(world.metrics.counter(Counter::InputsRejected), 0);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_cancels_at_once_is_heard() {
    let world = World::start().await;
    let ids = world.call(1).unwrap();
    world.tell(ids.caller, LegInput::Cancelled); // no actor has started yet
    world.until_empty().await;
    assert_eq!(world.outside.cdr(ids.call).cause, Cause::Cancelled);
    assert_eq!(world.calls.tell_leg(ids.caller, LegInput::Cancelled), Err(Refusal::Gone));
}

#[tokio::test(start_paused = true)]
async fn the_first_of_two_devices_wins_and_the_other_is_cancelled() {
    let world = World::start().await;
    world.outside.more_devices.store(1, Relaxed);
    let (ids, winner) = world.talking(1).await;
    until(|| world.outside.story(ids.call).contains(&"leg_ended")).await;
    let cdr_legs: Vec<_> = world.calls.snapshot()[0].legs.iter().map(|leg| leg.leg_id).collect();
    let loser = *cdr_legs.iter().find(|leg| ![ids.caller, winner].contains(leg)).unwrap();
    assert_eq!(world.outside.signals(loser).last(), Some(&Signal::Cancel(Cause::AnsweredElsewhere)));
    world.tell(ids.caller, LegInput::HungUp(Cause::Normal));
    world.until_empty().await;
    assert_eq!(world.outside.cdr(ids.call).ended_by, Side::Caller);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_reached_or_carried_is_refused_with_its_cause() {
    let world = World::start().await;
    world.outside.knows_nobody.store(true, Relaxed);
    let unknown = world.call(1).unwrap();
    world.until_empty().await;
    assert_eq!(world.outside.signals(unknown.caller), [Signal::Reject(Cause::UnknownNumber)]);
    assert_eq!(world.outside.story(unknown.call), ["started", "ended", "leg_ended", "cdr"]);
    world.outside.knows_nobody.store(false, Relaxed);
    world.outside.is_media_full.store(true, Relaxed);
    let no_room = world.call(2).unwrap();
    world.until_empty().await;
    assert_eq!(world.outside.signals(no_room.caller), [Signal::Reject(Cause::Overload)]);
    assert_eq!(world.outside.cdr(no_room.call).cause, Cause::Overload);
}

#[tokio::test(start_paused = true)]
async fn a_callee_that_never_answers_rings_until_its_time_is_over() {
    let world = World::start().await;
    let start = Instant::now();
    let ids = world.call(1).unwrap();
    let callee = world.callee(ids.call).await;
    world.tell(callee, LegInput::Ringing);
    world.until_empty_within(100).await;
    assert_eq!(start.elapsed().as_secs(), 90);
    assert_eq!(world.outside.signals(callee).last(), Some(&Signal::Cancel(Cause::NoAnswer)));
    assert_eq!(world.outside.cdr(ids.call).cause, Cause::NoAnswer);
}

#[tokio::test(start_paused = true)]
async fn a_digit_is_published_and_a_lost_track_ends_the_call() {
    let world = World::start().await;
    let (ids, callee) = world.talking(1).await;
    world.tell(callee, LegInput::Media(MediaNews::Digit { digit: '5', duration_ms: 100 }));
    until(|| world.outside.live.lock().len() == 1).await;
    world.calls.track_lost(TrackId::audio_of(callee)).unwrap();
    world.until_empty().await;
    assert_eq!(world.outside.cdr(ids.call).cause, Cause::MediaLost);
    assert_eq!(world.outside.signals(callee).last(), Some(&Signal::Bye(Cause::MediaLost)));
    assert_eq!(world.calls.track_lost(TrackId::audio_of(callee)), Err(Refusal::Gone));
}

#[tokio::test(start_paused = true)]
async fn the_view_shows_every_call_with_its_legs_and_tracks() {
    let world = World::start().await;
    assert!(world.calls.snapshot().is_empty());
    let (first, callee) = world.talking(1).await;
    sleep(Duration::from_secs(1)).await;
    let second = world.call(2).unwrap();
    world.callee(second.call).await;
    let views = world.calls.snapshot();
    assert_eq!(
        views.iter().map(|view| (view.call_id, view.state)).collect::<Vec<_>>(),
        [(first.call, "talking"), (second.call, "dialling")]
    );
    assert!(views[0].since < views[1].since);
    let leg = |leg_id| LegView { leg_id, state: Some("connected"), track: Some("bridged") };
    assert_eq!(views[0].legs, [leg(first.caller), leg(callee)]);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_let_in_above_the_limit_or_before_the_world_is_there() {
    let config = Config { max_calls: NonZeroUsize::MIN, ..Config::default() };
    let unconnected = Calls::new(&config, Clock::start(), std::sync::Arc::default());
    assert_eq!(unconnected.open_call(new_call(ids(1))), Err(Cause::Overload));
    let world = World::with(&config).await;
    let first = world.call(1).unwrap();
    assert_eq!(world.call(2).map(|_| ()), Err(Cause::Overload));
    assert_eq!(world.calls.tell_leg(ids(2).caller, LegInput::Cancelled), Err(Refusal::Gone));
    world.tell(first.caller, LegInput::Cancelled);
    world.until_empty().await;
    world.call(2).unwrap();
    assert_eq!(world.metrics.counter(Counter::CallsRefusedAtDoor), 1);
}

#[tokio::test(start_paused = true)]
async fn a_drained_node_lets_calls_end_by_themselves_and_then_ends_them() {
    let world = World::start().await;
    let (patient, callee) = world.talking(1).await;
    let (stubborn, _) = world.talking(2).await;
    let ringing = world.call(3).unwrap();
    world.callee(ringing.call).await;
    let (calls, outside, start) = (world.calls.clone(), world.outside.clone(), Instant::now());
    let hang_up = async {
        sleep(Duration::from_secs(10)).await;
        assert_eq!(calls.open_call(new_call(ids(4))), Err(Cause::Shutdown));
        calls.tell_leg(callee, LegInput::HungUp(Cause::Normal)).unwrap();
    };
    let (left, ()) = tokio::join!(world.node.stop(Duration::from_secs(30)), hang_up);
    assert_eq!((left, start.elapsed().as_secs()), (0, 30));
    assert_eq!(outside.cdr(patient.call).cause, Cause::Normal);
    for ids in [stubborn, ringing] {
        assert_eq!(outside.cdr(ids.call).cause, Cause::Shutdown);
    }
    assert_eq!(outside.signals(stubborn.caller).last(), Some(&Signal::Bye(Cause::Shutdown)));
    assert_eq!(outside.signals(ringing.caller), [Signal::Reject(Cause::Shutdown)]);
}

#[tokio::test(start_paused = true)]
async fn a_drained_node_does_not_wait_for_calls_that_are_over() {
    let world = World::start().await;
    let (ids, _) = world.talking(1).await;
    world.tell(ids.caller, LegInput::HungUp(Cause::Normal));
    let start = Instant::now();
    assert_eq!(world.calls.drain(Duration::from_secs(30)).await, 0);
    assert!(start.elapsed() < Duration::from_secs(1));
}
