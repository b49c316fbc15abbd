//! Days of calls in a world where everything breaks: real machines, wired as the node wires them, under a seed.
//!
//! ```text
//!  far ends ──news──▶ edge ─▶ ┌ slots of Call · Leg · Track ┐ ─▶ pool, ledger, plan, edge ──signals──▶ far ends
//!   late, lost, twice         └ shells die at every point   ┘    full, gone, broken
//! ```
//!
//! A seed that fails is played again with a trail of its call, and says how to play only it:
//! `TANDEM_SIM_SEED=… cargo test -p tandem-core --test sim`. More of them: `cargo xtask sim --seeds N --from S`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::unreachable)]
#![allow(clippy::print_stdout, unreachable_pub, missing_docs, reason = "a test that fails by panicking")]

mod audit;
mod dice;
mod far;
mod pool;
mod script;
mod shell;
mod slot;
mod wires;
mod world;

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use world::{Tally, World};

/// Seeds of a run, unless `TANDEM_SIM_SEEDS` says otherwise.
const SEEDS: u64 = 300;
/// Calls of a seed.
const CALLS: u32 = 500;

thread_local! {
    /// Where this thread panicked last.
    static PLACE: std::cell::RefCell<String> = const { std::cell::RefCell::new(String::new()) };
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// One day, or why it is none.
fn play(seed: u64, keeps_trails: bool) -> Result<Tally, String> {
    let mut world = World::new(seed, CALLS, keeps_trails);
    match catch_unwind(AssertUnwindSafe(|| world.run())) {
        Ok(()) => Ok(world.tally),
        Err(broken) => {
            let text = broken.downcast_ref::<String>().cloned();
            let text = text.or_else(|| broken.downcast_ref::<&str>().map(|it| (*it).to_owned()));
            Err(format!("{}\n  at {}\n{}", text.unwrap_or_default(), PLACE.take(), world.trail()))
        }
    }
}

#[test]
fn whatever_breaks_every_call_ends_once_is_billed_for_what_it_talked_and_leaves_nothing() {
    let only = number("TANDEM_SIM_SEED");
    let from = only.or_else(|| number("TANDEM_SIM_FROM")).unwrap_or(1);
    let until = from + if only.is_some() { 1 } else { number("TANDEM_SIM_SEEDS").unwrap_or(SEEDS) };
    let next = AtomicU64::new(from);
    let play_some = || {
        let seeds = std::iter::from_fn(|| Some(next.fetch_add(1, Relaxed)).filter(|seed| *seed < until));
        seeds.map(|seed| (seed, play(seed, false))).collect::<Vec<_>>()
    };
    // The replay tells it.
    std::panic::set_hook(Box::new(|broken| PLACE.set(broken.location().map(ToString::to_string).unwrap_or_default())));
    let mut days: Vec<_> = std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(play_some)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    days.sort_by_key(|(seed, _)| *seed);
    let mut sum = Tally::default();
    days.iter().filter_map(|(_, day)| day.as_ref().ok()).for_each(|day| sum.add(day));
    let failed: Vec<_> = days.iter().filter_map(|(seed, day)| Some((*seed, day.as_ref().err()?))).collect();
    let replay = failed.first().map(|(seed, _)| (seed, play(*seed, true).unwrap_err()));
    drop(std::panic::take_hook());
    // Past the capture of the test: whoever changes a machine wants to see that the world still happens.
    let _written = writeln!(std::io::stderr(), "simulated {} seeds: {sum:?}", until - from);
    if let Some((seed, why)) = replay {
        let first = |why: &str| why.lines().next().unwrap_or_default().to_owned();
        let all: Vec<_> = failed.iter().take(20).map(|(seed, why)| format!("  {seed}: {}", first(why))).collect();
        println!("{} seeds fail:\n{}", failed.len(), all.join("\n"));
        panic!("{why}\nTANDEM_SIM_SEED={seed} cargo test -p tandem-core --test sim");
    }
}

#[test]
fn the_same_seed_is_the_same_day_again() {
    let day = play(1, false);
    assert!(day.as_ref().is_ok_and(|it| it.calls > 100), "{day:?}");
    assert_eq!(play(1, true), day);
    assert_ne!(play(2, false).map(|it| it.fingerprint), day.map(|it| it.fingerprint));
}

impl Tally {
    fn add(&mut self, more: &Self) {
        self.calls += more.calls;
        self.refused_at_door += more.refused_at_door;
        self.answered += more.answered;
        self.crashes += more.crashes;
        self.given_up += more.given_up;
        self.refusals += more.refusals;
        self.messages_lost += more.messages_lost;
        self.media_lost += more.media_lost;
        self.probes += more.probes;
        self.events += more.events;
        self.fingerprint ^= more.fingerprint;
    }
}
