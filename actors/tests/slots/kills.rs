//! Kills at any moment: of shells, of supervisors, of roots, under load.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tandem_actors::directory::{Handle, Limits};
use tandem_core::metric::Counter;
use tokio::time::sleep;

use super::toy::{CallEffect, CallId, Leg, LegId, LegInput};
use super::world::{World, kill, send, settled, until};

/// Restarts as often as it takes, and no watchdog that would cover up a lost wake.
fn forgiving() -> Limits {
    Limits { restarts: 1_000_000, patience: Duration::from_secs(3_600), ..Limits::CALL }
}

async fn a_while() {
    for _ in 0..rand::random_range(0..20) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wake_is_never_lost() {
    let world = World::start(forgiving()).await;
    let (_, legs) = world.call(1, &[10]);
    until(|| world.taken(LegId(10)).next == 1).await;
    let leg = world.leg(legs[0]);
    // Each input is sent the moment the one before was handled: just when the shell goes to sleep.
    for number in 0..10_000 {
        leg.send(LegInput::Digit { by: 0, number }).unwrap();
        let start = std::time::Instant::now();
        while leg.slot().view(|leg| leg.digits[0]) <= number {
            assert!(start.elapsed() < Duration::from_secs(5), "nobody woke for {number}");
            std::hint::spin_loop();
        }
    }
}

/// Four senders, `digits` each, over four legs, while `disturb` does what it likes.
async fn under_load(world: &Arc<World>, digits: u64, break_odds: u32, disturb: impl AsyncFn(&[Handle<Leg>])) -> u64 {
    let (_, ids) = world.call(1, &[10, 11, 12, 13]);
    until(|| ids.iter().all(|id| world.legs().find(*id).is_some())).await;
    let legs: Vec<_> = ids.iter().map(|id| world.leg(*id)).collect();
    let senders: Vec<_> = (0..4u8)
        .map(|by| {
            let legs = legs.clone();
            tokio::spawn(async move {
                let mut broken = 0;
                for number in 0..digits / 4 {
                    for leg in &legs {
                        send(leg, LegInput::Digit { by, number }).await;
                        if break_odds != 0 && rand::random_range(0..break_odds) == 0 {
                            send(leg, LegInput::Break).await;
                            broken += 1;
                        }
                    }
                }
                broken
            })
        })
        .collect();
    while senders.iter().any(|sender| !sender.is_finished()) {
        disturb(&legs).await;
    }
    let mut broken = 0;
    for sender in senders {
        broken += sender.await.unwrap();
    }
    let (mut lost, mut repeats) = (0, 0);
    for (leg, id) in legs.iter().zip(ids) {
        settled(leg.slot()).await;
        let seen = leg.slot().view(Leg::clone);
        assert_eq!((seen.digits, seen.disorder), ([digits / 4; 4], 0), "each input once, in its sender's order");
        let taken = world.taken(id);
        assert_eq!((taken.next, taken.holes), (1 + digits, 0), "each effect once, in order");
        lost += seen.lost;
        repeats += taken.repeats;
    }
    assert_eq!(lost, broken);
    repeats
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_at_random_moments_lose_and_repeat_nothing() {
    let world = World::start(forgiving()).await;
    let repeats = under_load(&world, 25_000, 0, async |legs| {
        kill(legs[rand::random_range(0..4)].slot());
        a_while().await;
    })
    .await;
    assert!(world.counted(Counter::ShellsRestarted) > 0);
    assert_eq!(repeats, 0, "a kill never comes between an effect and its removal");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_broken_inputs_and_ports_too_only_the_broken_inputs_are_lost() {
    let world = World::start(forgiving()).await;
    world.break_after_taking.store(500, Relaxed);
    let repeats = under_load(&world, 25_000, 500, async |legs| {
        kill(legs[rand::random_range(0..4)].slot());
        a_while().await;
    })
    .await;
    assert!(repeats > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_supervisor_loses_nothing_and_adopts_every_slot() {
    let world = World::start(forgiving()).await;
    world.slow.store(100, Relaxed);
    let others: Vec<_> = (100..1_100).map(|id| world.legs().open(LegId(id), Leg::new(CallId(1)))).collect();
    until(|| others.iter().all(|leg| leg.slot().shells() == 1)).await;
    under_load(&world, 25_000, 0, async |_| {
        let supervisor = world.legs().supervisor().unwrap();
        supervisor.kill();
        until(|| world.legs().supervisor().unwrap().get_id() != supervisor.get_id()).await;
        sleep(Duration::from_millis(rand::random_range(0..30))).await;
    })
    .await;
    others.iter().for_each(|leg| leg.send(LegInput::Digit { by: 0, number: 0 }).unwrap());
    for leg in &others {
        settled(leg.slot()).await;
    }
    let supervisor = world.legs().supervisor().unwrap();
    until(|| supervisor.get_children().len() == 1_004).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shell_at_work_when_its_supervisor_dies_brings_its_work_home() {
    let world = World::start(Limits::CALL).await;
    let (_, legs) = world.call(1, &[10]);
    until(|| world.taken(LegId(10)).next == 1).await;
    let leg = world.leg(legs[0]);
    leg.send(LegInput::Spin(Duration::from_millis(50))).unwrap();
    sleep(Duration::from_millis(10)).await;
    world.legs().supervisor().unwrap().kill();
    until(|| leg.slot().shells() == 2).await;
    settled(leg.slot()).await;
    assert_eq!(leg.slot().view(|leg| leg.lost), 0);
    assert_eq!(world.taken(legs[0]).next, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_root_makes_its_supervisor_give_up_nobody_and_miss_nobody() {
    let world = World::asleep(Limits { patience: Duration::from_secs(3_600), ..Limits::CALL });
    let opener = tokio::spawn({
        let world = world.clone();
        async move {
            let mut legs = Vec::new();
            for id in 0..10_000 {
                legs.push(world.legs().open(LegId(id), Leg::new(CallId(1))));
                if id % 10 == 0 {
                    a_while().await;
                }
            }
            legs
        }
    });
    while !opener.is_finished() {
        let root = world.wake_legs().await;
        a_while().await;
        root.kill();
        root.wait(None).await.unwrap();
    }
    world.wake_legs().await;
    let legs = opener.await.unwrap();
    legs.iter().for_each(|leg| leg.send(LegInput::Digit { by: 0, number: 0 }).unwrap());
    for leg in &legs {
        settled(leg.slot()).await;
    }
    assert_eq!(world.gone.lock().len(), 0);
    let supervisor = world.legs().supervisor().unwrap();
    until(|| supervisor.get_children().len() == legs.len()).await;
}

#[tokio::test(start_paused = true)]
async fn a_killed_call_leaves_its_legs_alone() {
    let world = World::start(Limits::CALL).await;
    let (call, legs) = world.call(1, &[10]);
    until(|| world.legs().len() == 1).await;
    let leg = world.leg(legs[0]);
    settled(leg.slot()).await;
    kill(call.slot());
    until(|| call.slot().shells() == 2).await;
    leg.send(LegInput::Answered).unwrap();
    leg.send(LegInput::Hangup).unwrap();
    until(|| world.calls().is_empty()).await;
    assert_eq!(leg.slot().shells(), 1);
    assert_eq!(*world.bills.lock(), [CallEffect::Bill { answered: true }]);
}
