//! Calls whose actors are killed, panic and are given up.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tandem_actors::PartId;
use tandem_actors::drill::How;
use tandem_actors::tree::Kind;
use tandem_core::cause::Cause;
use tandem_core::event::Side;
use tandem_core::id::TrackId;
use tandem_core::leg::LegInput;
use tandem_core::metric::Counter;
use tandem_core::ports::{CallPort, Signal};
use tokio::time::sleep;

use super::ANSWERED;
use super::world::{World, answer, until};

/// When in a call its actors are broken.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Dialled,
    Ringing,
    Talking,
}

/// A whole call, every actor of which is broken in one phase.
async fn broken_in(world: &World, n: u64, at: Phase, how: How) {
    let ids = world.call(n).unwrap();
    let callee = world.callee(ids.call).await;
    for phase in [Phase::Dialled, Phase::Ringing, Phase::Talking] {
        match phase {
            Phase::Dialled => {}
            Phase::Ringing => {
                world.tell(callee, LegInput::Ringing);
                until(|| !world.outside.signals(ids.caller).is_empty()).await;
            }
            Phase::Talking => {
                world.tell(callee, LegInput::Answered(answer()));
                until(|| world.outside.signals(ids.caller).len() == 2).await;
            }
        }
        if phase == at {
            let actors = world.calls.actors_of(ids.call);
            assert_eq!(actors.len(), 5, "a call, two legs, two tracks");
            for actor in actors {
                world.break_actor(actor, how).await;
            }
        }
    }
    world.tell(callee, LegInput::HungUp(Cause::Normal));
    world.until_empty().await;
    assert_eq!(world.outside.story(ids.call), ANSWERED, "{at:?} {how:?}");
    let cdr = world.outside.cdr(ids.call);
    assert_eq!((cdr.cause, cdr.ended_by), (Cause::Normal, Side::Callee));
    assert!(matches!(
        world.outside.signals(ids.caller)[..],
        [Signal::Ring, Signal::Answer(_), Signal::Bye(Cause::Normal)]
    ));
}

#[tokio::test(start_paused = true)]
async fn whatever_actor_of_a_call_is_broken_in_whatever_phase_nobody_notices() {
    let world = World::start().await;
    let mut n = 0;
    for at in [Phase::Dialled, Phase::Ringing, Phase::Talking] {
        for how in [How::Kill, How::Panic, How::Hang] {
            n += 1;
            broken_in(&world, n, at, how).await;
        }
    }
    assert_eq!(world.metrics.counter(Counter::ShellsRestarted), 9 * 5);
    assert_eq!(world.metrics.counter(Counter::SlotsGivenUp), 0);
    assert_eq!(world.metrics.counter(Counter::InputsRejected), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn actors_killed_at_random_moments_of_many_calls_change_no_record() {
    let world = Arc::new(World::start().await);
    let calls: Vec<_> = (0..200u64)
        .map(|n| {
            let world = world.clone();
            tokio::spawn(async move {
                let ids = world.call(n).unwrap();
                let callee = world.callee(ids.call).await;
                // Each actor once or twice: the fourth time in 30 s would give it up.
                let victims = world.calls.actors_of(ids.call);
                let killer = async {
                    for who in victims.iter().chain(&victims).filter(|_| rand::random()) {
                        world.calls.break_actor(*who, if rand::random() { How::Kill } else { How::Panic });
                        sleep(Duration::from_micros(rand::random_range(0..2_000))).await;
                    }
                };
                let talk = async {
                    world.tell(callee, LegInput::Ringing);
                    sleep(Duration::from_micros(rand::random_range(0..5_000))).await;
                    world.tell(callee, LegInput::Answered(answer()));
                    until(|| world.outside.story(ids.call).contains(&"answered")).await;
                    until(|| matches!(world.outside.signals(ids.caller).last(), Some(Signal::Answer(_)))).await;
                    world.tell(callee, LegInput::HungUp(Cause::Normal));
                };
                tokio::join!(killer, talk);
                ids
            })
        })
        .collect();
    let mut all = Vec::new();
    for call in calls {
        all.push(call.await.unwrap());
    }
    world.until_empty().await;
    assert!(world.metrics.counter(Counter::ShellsRestarted) > 200);
    assert_eq!(world.metrics.counter(Counter::SlotsGivenUp), 0);
    for ids in all {
        assert_eq!(world.outside.story(ids.call), ANSWERED);
        let cdr = world.outside.cdr(ids.call);
        assert_eq!((cdr.cause, cdr.ended_by), (Cause::Normal, Side::Callee));
    }
}

/// Breaks an actor as often as it takes.
async fn give_up(world: &World, who: PartId) {
    for _ in 0..4 {
        world.break_actor(who, How::Panic).await;
    }
    assert_eq!(world.metrics.counter(Counter::SlotsGivenUp), 1);
}

#[tokio::test(start_paused = true)]
async fn a_leg_that_is_given_up_ends_its_call_with_a_record_and_touches_no_other() {
    let world = World::start().await;
    let (ids, callee) = world.talking(1).await;
    let (other, other_callee) = world.talking(2).await;
    give_up(&world, PartId::Leg(callee)).await;
    until(|| world.calls.snapshot().len() == 1).await;
    assert_eq!(world.outside.cdr(ids.call).cause, Cause::SystemFailure);
    for leg in [ids.caller, callee] {
        assert_eq!(world.outside.signals(leg).last(), Some(&Signal::Bye(Cause::SystemFailure)));
        assert!(world.outside.is_released(leg));
    }
    world.tell(other_callee, LegInput::HungUp(Cause::Normal));
    world.until_empty().await;
    assert_eq!(world.outside.story(other.call), ANSWERED);
}

#[tokio::test(start_paused = true)]
async fn a_track_that_is_given_up_ends_its_call_for_want_of_media() {
    let world = World::start().await;
    let (ids, callee) = world.talking(1).await;
    give_up(&world, PartId::Track(TrackId::audio_of(callee))).await;
    world.until_empty().await;
    assert_eq!(world.outside.cdr(ids.call).cause, Cause::MediaLost);
    assert_eq!(world.outside.signals(callee).last(), Some(&Signal::Bye(Cause::MediaLost)));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_has_its_record_and_leaves_no_leg_behind() {
    let world = World::start().await;
    let (ids, callee) = world.talking(1).await;
    give_up(&world, PartId::Call(ids.call)).await;
    world.until_empty().await;
    assert_eq!(world.outside.cdr(ids.call).cause, Cause::SystemFailure);
    for leg in [ids.caller, callee] {
        assert_eq!(world.outside.signals(leg).last(), Some(&Signal::Bye(Cause::SystemFailure)));
    }
}

#[tokio::test(start_paused = true)]
async fn killed_supervisors_and_roots_of_all_shards_come_back_and_the_call_goes_on() {
    let world = World::start().await;
    let (ids, callee) = world.talking(1).await;
    let tree = world.node.tree();
    let all = |kind| tree.view().into_iter().filter(move |part| part.kind == kind);
    assert_eq!(all(Kind::Root).count(), 18, "six kinds in three shards");
    assert!(all(Kind::Supervisor).all(|it| tree.break_part(&it.id, How::Kill)));
    sleep(Duration::from_millis(200)).await;
    assert!(all(Kind::Supervisor).all(|it| (it.state.as_str(), it.restarts) == ("running", 1)));
    assert!(all(Kind::Root).all(|it| tree.break_part(&it.id, How::Kill)));
    until(|| world.metrics.counter(Counter::ServicesRestarted) == 18).await;
    world.tell(callee, LegInput::HungUp(Cause::Normal));
    world.until_empty().await;
    assert_eq!(world.outside.story(ids.call), ANSWERED);
    let (second, _) = world.talking(2).await;
    world.tell(second.caller, LegInput::HungUp(Cause::Normal));
    world.until_empty().await;
    assert_eq!(world.outside.cdr(second.call).cause, Cause::Normal);
}

#[tokio::test(start_paused = true)]
async fn nobody_can_break_what_is_not_there() {
    let world = World::start().await;
    let (ids, callee) = world.talking(1).await;
    world.tell(callee, LegInput::HungUp(Cause::Normal));
    world.until_empty().await;
    assert!(world.calls.actors_of(ids.call).is_empty());
    assert!(!world.calls.break_actor(PartId::Leg(callee), How::Panic));
    assert_eq!(world.restarts(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_breaks_over_a_fact_is_offered_it_again_and_has_it_once() {
    let world = World::start().await;
    let (ids, callee) = world.talking(1).await;
    world.outside.ledger_breaks.store(1, Relaxed);
    world.tell(callee, LegInput::HungUp(Cause::Normal));
    world.until_empty().await;
    assert_eq!(world.outside.ledger_breaks.load(Relaxed), 0);
    assert_eq!(world.outside.story(ids.call), ANSWERED);
    assert_eq!((world.outside.cdr(ids.call).cause, world.metrics.ended_for(Cause::Normal)), (Cause::Normal, 1));
}

#[tokio::test(start_paused = true)]
async fn a_media_pool_that_breaks_once_is_told_again_and_twice_costs_the_call_its_media() {
    for (breaks, cause) in [(1, Cause::Normal), (3, Cause::MediaLost)] {
        // Both the leg and its track have something to say to it: three times is twice for one of them.
        let world = World::start().await;
        let ids = world.call(1).unwrap();
        let callee = world.callee(ids.call).await;
        world.outside.media_breaks.lock().insert(callee, breaks.into());
        world.tell(callee, LegInput::Answered(answer()));
        sleep(Duration::from_secs(1)).await;
        let _gone = world.calls.tell_leg(callee, LegInput::HungUp(Cause::Normal));
        world.until_empty().await;
        assert_eq!(world.outside.cdr(ids.call).cause, cause, "{breaks}");
    }
}
