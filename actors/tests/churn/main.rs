//! Alone in its process, because it measures it.

#![allow(unreachable_pub, missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout, reason = "tests")]
#![allow(dead_code, reason = "shares its toys with others")]

#[path = "../slots/toy.rs"]
mod toy;
#[path = "../slots/world.rs"]
mod world;

use tandem_actors::directory::Limits;
use tandem_core::machine::Notice;
use tandem_core::metric::Gauge;
use toy::{CallId, CallInput, Leg, LegId, LegInput};
use world::{World, until};

fn alive_tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_legs_come_and_go_without_a_trace() {
    let world = World::start(Limits::CALL).await;
    let idle = alive_tasks();
    let mut sizes = Vec::new();
    for round in 0..24u64 {
        let (call, legs) = world.call(round, &[]);
        drop(legs);
        let legs: Vec<_> =
            (0..10_000).map(|n| world.legs().open(LegId(round * 10_000 + n), Leg::new(CallId(round)))).collect();
        legs.iter().for_each(|leg| leg.send(LegInput::Dial).unwrap());
        until(|| legs.iter().all(|leg| leg.slot().backlog() == 0)).await;
        assert!(alive_tasks() >= idle + 20_000, "a shell and an alarm each");
        legs.iter().for_each(|leg| leg.send(LegInput::Hangup).unwrap());
        until(|| world.legs().is_empty()).await;
        call.slot().notify(CallInput::Notice(Notice::GivenUp));
        until(|| world.calls().is_empty()).await;
        drop(legs);
        until(|| alive_tasks() == idle).await;
        let supervisor = world.legs().supervisor().unwrap();
        until(|| supervisor.get_children().is_empty()).await;
        assert_eq!(world.metrics.gauge(Gauge::LegsActive), 0);
        assert_eq!(world.taken.lock().len(), 10_000);
        *world.taken.lock() = Default::default();
        *world.gone.lock() = Default::default();
        sizes.push(resident_kib());
    }
    println!("resident KiB after each round: {sizes:?}");
    // What the allocator holds goes up and down by 10 MiB and more: the least of the last rounds against the most of
    // earlier ones. Between them at least 70,000 legs came and went: a leak of a quarter of a kilobyte a leg shows.
    let least = sizes[18..].iter().min().copied().unwrap_or_default();
    let most = sizes[6..12].iter().max().copied().unwrap_or_default();
    let growth = least.saturating_sub(most);
    assert!(growth < 16 * 1_024, "70,000 legs left {growth} KiB");
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
