//! What breaks from within: inputs, ports, starts; what hangs, what spins, and what is given up.

use std::time::Duration;

use tandem_actors::directory::Limits;
use tandem_core::machine::Exit;
use tandem_core::metric::Counter;
use tokio::time::sleep;

use super::toy::{CallEffect, CallInput, Cause, LegEffect, LegId, LegInput, News, RING_TIMEOUT};
use super::world::{Point, World, send, settled, until};

#[tokio::test]
async fn a_panicking_input_is_lost_alone() {
    let world = World::start(Limits::CALL).await;
    let (call, legs) = world.call(1, &[10]);
    until(|| world.legs().len() == 1).await;
    let leg = world.leg(legs[0]);
    for number in 0..1_000 {
        if number == 500 {
            send(&leg, LegInput::Break).await;
        }
        send(&leg, LegInput::Digit { by: 0, number }).await;
    }
    settled(leg.slot()).await;
    assert_eq!(leg.slot().view(|leg| (leg.digits[0], leg.disorder, leg.lost)), (1_000, 0, 1));
    assert_eq!(leg.slot().shells(), 2);
    let taken = world.taken(legs[0]);
    assert_eq!((taken.next, taken.holes, taken.repeats), (1_001, 0, 0)); // the INVITE and the digits
    assert_eq!(call.slot().shells(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_last_effects_of_an_ended_leg_survive_its_shell() {
    let world = World::start(Limits::CALL).await;
    let (_, legs) = world.call(1, &[10]);
    until(|| world.taken(LegId(10)).next == 1).await;
    world.broken.lock().insert(legs[0], 1);
    world.leg(legs[0]).send(LegInput::Hangup).unwrap();
    until(|| world.calls().is_empty()).await;
    assert_eq!(world.taken(legs[0]).effects[1..], [LegEffect::Bye, LegEffect::Tell(News::Ended(Cause::Normal))]);
}

#[tokio::test(start_paused = true)]
async fn a_poison_leg_is_given_up_alone_and_its_call_is_told() {
    let world = World::start(Limits::CALL).await;
    let (call, legs) = world.call(1, &[10, 11]);
    until(|| world.legs().len() == 2).await;
    let (poison, sibling) = (world.leg(legs[0]), world.leg(legs[1]));
    poison.send(LegInput::Answered).unwrap();
    (0..4).for_each(|_| poison.send(LegInput::Break).unwrap());
    until(|| world.gone.lock().contains(&(legs[0], Exit::GivenUp))).await;
    settled(call.slot()).await;
    let ended = News::Ended(Cause::SystemFailure);
    assert!(matches!(
        world.taken(legs[0]).effects[1..],
        [LegEffect::Tell(News::Answered), LegEffect::Bye, LegEffect::Bill { .. }, LegEffect::Tell(news)] if news == ended
    ));
    assert_eq!((poison.slot().shells(), call.slot().shells(), sibling.slot().shells()), (5, 1, 1));
    assert_eq!(world.gone.lock().len(), 2, "the sibling lost to the answer, as always");
    assert_eq!(*world.bills.lock(), [CallEffect::Bill { answered: true }]);
    assert_eq!((world.counted(Counter::ShellsRestarted), world.counted(Counter::SlotsGivenUp)), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn a_leg_that_even_breaks_when_given_up_is_gone_and_its_call_is_told() {
    let world = World::start(Limits::CALL).await;
    let (call, legs) = world.call(1, &[10, 11]);
    until(|| world.legs().len() == 2).await;
    let sibling = world.leg(legs[1]);
    world.leg(legs[0]).send(LegInput::Poison).unwrap();
    world.leg(legs[0]).send(LegInput::Hangup).unwrap();
    until(|| world.gone.lock().contains(&(legs[0], Exit::GivenUp))).await;
    settled(call.slot()).await;
    sibling.send(LegInput::Hangup).unwrap();
    until(|| world.calls().is_empty()).await;
    assert_eq!((call.slot().shells(), sibling.slot().shells()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_leg_whose_port_breaks_while_it_is_given_up_still_says_its_last_words() {
    let world = World::start(Limits::CALL).await;
    let (call, legs) = world.call(1, &[10]);
    until(|| world.taken(LegId(10)).next == 1).await;
    world.broken.lock().insert(legs[0], 4);
    let leg = world.leg(legs[0]);
    leg.send(LegInput::Break).unwrap();
    leg.send(LegInput::Digit { by: 0, number: 0 }).unwrap(); // broken twice, and not offered again
    leg.send(LegInput::Digit { by: 0, number: 1 }).unwrap(); // the budget is spent, and it breaks once more
    until(|| world.gone.lock().contains(&(legs[0], Exit::GivenUp))).await;
    settled(call.slot()).await;
    let ended = LegEffect::Tell(News::Ended(Cause::SystemFailure));
    assert_eq!(world.taken(legs[0]).effects[1..], [LegEffect::Bye, ended]);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_breaks_after_its_input_breaks_its_shell_and_not_the_supervisor() {
    let world = World::start(Limits::CALL).await;
    let (_, legs) = world.call(1, &[10]);
    until(|| world.taken(LegId(10)).next == 1).await;
    let (leg, supervisor) = (world.leg(legs[0]), world.legs().supervisor().unwrap());
    leg.send(LegInput::Sour).unwrap();
    leg.send(LegInput::Digit { by: 0, number: 0 }).unwrap();
    settled(leg.slot()).await;
    sleep(Duration::from_secs(10)).await;
    assert_eq!(leg.slot().view(|leg| (leg.lost, leg.digits[0])), (1, 1), "the machine before it is still there");
    assert_eq!(leg.slot().shells(), 2);
    assert_eq!(world.legs().supervisor().unwrap().get_id(), supervisor.get_id());
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_pre_start_is_charged_like_any_other() {
    let world = World::start(Limits { patience: Duration::from_secs(3_600), ..Limits::CALL }).await;
    world.faults.lock().insert((LegId(10), Point::PanicAtStart), 2);
    world.faults.lock().insert((LegId(11), Point::PanicAtStart), 9);
    let (call, legs) = world.call(1, &[10, 11]);
    until(|| world.gone.lock().contains(&(legs[1], Exit::GivenUp))).await;
    let leg = world.leg(legs[0]);
    settled(leg.slot()).await;
    assert_eq!((leg.slot().shells(), call.slot().shells()), (3, 1), "the third one started");
    assert_eq!(world.taken(legs[0]).effects, [LegEffect::Invite]);
}

#[tokio::test(start_paused = true)]
async fn a_full_port_comes_back_as_an_input_and_a_broken_one_after_two_tries() {
    let world = World::start(Limits::CALL).await;
    let (_, legs) = world.call(1, &[10]);
    until(|| world.taken(LegId(10)).next == 1).await;
    let leg = world.leg(legs[0]);
    world.full.lock().insert(legs[0]);
    leg.send(LegInput::Digit { by: 0, number: 0 }).unwrap();
    settled(leg.slot()).await;
    assert_eq!((leg.slot().view(|leg| leg.refused), leg.slot().shells()), (1, 1));
    world.full.lock().clear();
    world.broken.lock().insert(legs[0], 2);
    leg.send(LegInput::Digit { by: 0, number: 1 }).unwrap();
    until(|| leg.slot().shells() == 3).await;
    leg.send(LegInput::Digit { by: 0, number: 2 }).unwrap();
    settled(leg.slot()).await;
    assert_eq!(leg.slot().view(|leg| (leg.refused, leg.disorder)), (2, 0));
    assert_eq!(world.taken(legs[0]).next, 4, "numbers of refused effects are not used again");
}

#[tokio::test(start_paused = true)]
async fn a_hanging_shell_is_replaced() {
    let world = World::start(Limits::CALL).await;
    let (_, legs) = world.call(1, &[10]);
    until(|| world.taken(LegId(10)).next == 1).await;
    let leg = world.leg(legs[0]);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(leg.slot().shells(), 1, "an idle one is not");
    world.faults.lock().insert((legs[0], Point::HangAtWake), 1);
    let start = tokio::time::Instant::now();
    leg.send(LegInput::Digit { by: 0, number: 0 }).unwrap();
    settled(leg.slot()).await;
    assert!((2..=4).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    assert_eq!(leg.slot().view(|leg| (leg.digits[0], leg.lost)), (1, 0));
    assert_eq!(leg.slot().shells(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_alarm_that_is_lost_with_its_shell_still_rings() {
    let world = World::start(Limits::CALL).await;
    let (_, legs) = world.call(1, &[10]);
    until(|| world.taken(LegId(10)).next == 1).await;
    sleep(RING_TIMEOUT - Duration::from_secs(1)).await;
    world.faults.lock().insert((legs[0], Point::HangAtWake), 1);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(world.taken(legs[0]).next, 1, "the shell hangs, and no input waits");
    sleep(Duration::from_secs(6)).await;
    assert_eq!(world.taken(legs[0]).effects[2], LegEffect::Tell(News::Ended(Cause::NoAnswer)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spinning_shell_is_overtaken_and_what_it_brings_is_thrown_away() {
    let world = World::start(Limits { patience: Duration::from_millis(50), ..Limits::CALL }).await;
    let (_, legs) = world.call(1, &[10]);
    until(|| world.taken(LegId(10)).next == 1).await;
    let leg = world.leg(legs[0]);
    let supervisor = world.legs().supervisor().unwrap();
    let start = std::time::Instant::now();
    leg.send(LegInput::Break).unwrap(); // the spinning input is the first of a new shell
    leg.send(LegInput::Spin(Duration::from_secs(3))).unwrap();
    leg.send(LegInput::Digit { by: 0, number: 0 }).unwrap();
    until(|| world.taken(legs[0]).next == 2).await;
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    sleep(Duration::from_secs(3)).await;
    assert_eq!(leg.slot().view(|leg| (leg.digits[0], leg.disorder, leg.lost)), (1, 0, 2));
    assert_eq!(world.taken(legs[0]).effects, [LegEffect::Invite, LegEffect::Digit { by: 0, number: 0 }]);
    assert_eq!(leg.slot().shells(), 3);
    assert_eq!(world.legs().supervisor().unwrap().get_id(), supervisor.get_id(), "nobody else waited behind it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_supervisor_stuck_behind_a_spinning_shell_is_replaced() {
    let world = World::start(Limits { patience: Duration::from_millis(50), ..Limits::CALL }).await;
    let (call, _) = world.call(1, &[]);
    until(|| call.slot().shells() == 1).await;
    let start = std::time::Instant::now();
    call.send(CallInput::Dial(LegId(10))).unwrap(); // wakes the legs' supervisor ...
    call.send(CallInput::Spin(Duration::from_secs(6))).unwrap(); // ... and blocks the thread that would run it
    until(|| world.taken(LegId(10)).next == 1).await;
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    until(|| call.slot().shells() == 2).await;
    sleep(Duration::from_secs(4)).await;
    assert_eq!(world.leg(LegId(10)).slot().backlog(), 0);
}
