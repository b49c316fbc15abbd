//! Slots, shells and supervision with toy machines.

#![allow(unreachable_pub, missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout, reason = "tests")]

mod alarm;
mod faults;
mod kills;
mod toy;
mod world;

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tandem_actors::directory::Limits;
use tandem_actors::slot::{Done, Rest, SendError, Slot, Step};
use tandem_core::metric::{Counter, Gauge};
use tandem_core::time::Timestamp;
use tokio::time::sleep;
use toy::{CallEffect, CallId, Cause, Leg, LegEffect, LegId, LegInput, LegState, News, RING_TIMEOUT};
use world::{World, kill, settled, until};

fn alive_tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

#[tokio::test(start_paused = true)]
async fn the_first_leg_to_answer_wins_and_the_call_is_billed_once() {
    let world = World::start(Limits::CALL).await;
    let (call, legs) = world.call(1, &[10, 11]);
    until(|| world.legs().len() == 2).await;
    world.leg(legs[0]).send(LegInput::Ringing).unwrap();
    let first = world.leg(legs[0]);
    first.send(LegInput::Answered).unwrap();
    until(|| world.legs().len() == 1).await;
    sleep(Duration::from_secs(60)).await;
    first.send(LegInput::Hangup).unwrap();
    until(|| world.calls().is_empty() && world.legs().is_empty()).await;
    assert_eq!(*world.bills.lock(), [CallEffect::Bill { answered: true }]);
    assert_eq!(
        world.taken(legs[1]).effects,
        [LegEffect::Invite, LegEffect::Bye, LegEffect::Tell(News::Ended(Cause::Normal))]
    );
    let LegEffect::Bill { talked, .. } = world.taken(legs[0]).effects[4] else { panic!("no bill") };
    assert_eq!(talked.as_secs(), 60);
    assert!(matches!(first.send(LegInput::Hangup), Err(SendError::Gone(_))));
    assert!(call.slot().shell().is_none(), "a handle keeps no actor");
}

#[tokio::test(start_paused = true)]
async fn inputs_may_come_before_the_actor_and_wake_it_once() {
    let world = World::asleep(Limits::CALL);
    let leg = world.legs().open(LegId(1), Leg::new(CallId(1)));
    for number in 0..200 {
        leg.send(LegInput::Digit { by: 0, number }).unwrap();
    }
    assert!(leg.slot().shell().is_none());
    world.wake_up().await;
    settled(leg.slot()).await;
    assert_eq!(leg.slot().view(|leg| (leg.digits[0], leg.disorder)), (200, 0));
    // 200 digits, 200 effects, 64 steps a burst: the first wake and what the shell sends itself.
    assert_eq!(world.wakes.load(Relaxed), 7);
    for number in 200..220 {
        leg.send(LegInput::Digit { by: 0, number }).unwrap();
    }
    settled(leg.slot()).await;
    assert_eq!(world.wakes.load(Relaxed), 8);
}

#[tokio::test(start_paused = true)]
async fn what_a_port_answers_at_once_comes_before_what_waits() {
    let world = World::asleep(Limits::CALL);
    let leg = world.legs().open(LegId(1), Leg::new(CallId(1)));
    leg.send(LegInput::Ringing).unwrap();
    leg.slot().reply(LegInput::Dial);
    world.wake_up().await;
    settled(leg.slot()).await;
    assert_eq!(world.taken(LegId(1)).effects[0], LegEffect::Invite);
    assert!(matches!(leg.slot().view(|leg| leg.state), LegState::Ringing { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_full_inbox_refuses_and_rejected_inputs_and_open_slots_are_counted() {
    let world = World::asleep(Limits { inbox: 2, ..Limits::CALL });
    let leg = world.legs().open(LegId(1), Leg::new(CallId(1)));
    leg.send(LegInput::Ringing).unwrap();
    leg.send(LegInput::Answered).unwrap();
    assert!(matches!(leg.send(LegInput::Hangup), Err(SendError::Full(LegInput::Hangup))));
    world.wake_up().await;
    settled(leg.slot()).await;
    assert_eq!((world.counted(Counter::InputsRejected), world.metrics.gauge(Gauge::LegsActive)), (2, 1));
    leg.slot().notify(LegInput::Hangup);
    until(|| world.metrics.gauge(Gauge::LegsActive) == 0).await;
}

#[test]
fn an_earlier_supervisor_can_neither_appoint_nor_seize() {
    let slot = Slot::new(LegId(1), Leg::new(CallId(1)), 8);
    let late = slot.appoint(1).unwrap();
    slot.appoint(2).unwrap();
    assert!(slot.appoint(1).is_none() && slot.seize(1, None).is_none());
    assert!(matches!(slot.advance(late, Timestamp(0), Done::Woken), Step::Rest(Rest::Overtaken)));
}

#[tokio::test(start_paused = true)]
async fn there_is_one_alarm_and_it_follows_the_deadline() {
    let world = World::start(Limits::CALL).await;
    let idle = alive_tasks();
    let (_, legs) = world.call(1, &[10]);
    until(|| world.taken(LegId(10)).next == 1).await;
    let leg = world.leg(legs[0]);
    let with_shells = idle + 2;
    assert_eq!(alive_tasks(), with_shells + 1, "one alarm");
    for number in 0..100 {
        leg.send(LegInput::Digit { by: 0, number }).unwrap();
        settled(leg.slot()).await;
    }
    assert_eq!(alive_tasks(), with_shells + 1, "still one");
    sleep(RING_TIMEOUT / 2).await;
    kill(leg.slot());
    until(|| leg.slot().shells() == 2).await;
    sleep(Duration::from_millis(1)).await;
    assert_eq!(alive_tasks(), with_shells + 1, "the dead shell's is gone, the new shell has its own");
    sleep(RING_TIMEOUT / 2 - Duration::from_secs(1)).await;
    assert!(!leg.slot().view(|leg| leg.state == LegState::Ended));
    sleep(Duration::from_secs(1)).await;
    until(|| world.calls().is_empty()).await;
    assert_eq!(world.taken(legs[0]).effects.last(), Some(&LegEffect::Tell(News::Ended(Cause::NoAnswer))));
    assert_eq!(alive_tasks(), idle);

    let (_, legs) = world.call(2, &[20]);
    until(|| world.taken(LegId(20)).next == 1).await;
    world.leg(legs[0]).send(LegInput::Answered).unwrap();
    settled(world.leg(legs[0]).slot()).await;
    sleep(Duration::from_millis(1)).await;
    assert_eq!(alive_tasks(), with_shells, "no deadline, no alarm");
    assert_ne!(world.leg(legs[0]).slot().view(|leg| leg.state), LegState::Connected { since: Timestamp(0) });
}
