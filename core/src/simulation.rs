//! A simulated day of calls: a heap of (time, call, what happens), drawn from one seed, so that a bad day can be replayed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use crate::call::{CallInput, CallKind};
use crate::cause::{Cause, SipStatus};
use crate::leg::{LegInput, LegKind};
use crate::machine::{Machine, Notice};
use crate::world::{CALLEE, CALLER, SECOND, World, new_call, phone, target};

/// What the world does to one call, in the order that a real one has it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Happening {
    Routed,
    Rings(u128),
    Answers(u128),
    Refuses(u128, u16),
    HangsUp(u128),
    GivesUp,
    /// The actor of the leg dies over something that nobody misses: nothing may change.
    Crash(u128),
    CallCrash,
    Repeat,
}

/// Marsaglia's xorshift64*: enough for a simulation, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % sides
    }
}

#[derive(Debug, Default, Eq, PartialEq)]
struct Day {
    answered: u64,
    refused: u64,
    given_up: u64,
    talked_ms: u64,
    fingerprint: u64,
}

/// When things happen to one call, in milliseconds after its start; and how long it will have talked.
fn fate(dice: &mut Dice) -> (Vec<(u64, Happening)>, Option<u64>) {
    use Happening::{Answers, CallCrash, Crash, GivesUp, HangsUp, Refuses, Repeat, Rings, Routed};
    let mut plan = vec![(0, Routed), (100 + dice.roll(900), Rings(CALLEE)), (100 + dice.roll(900), Rings(SECOND))];
    let answer = 2_000 + dice.roll(60_000);
    let talk = 1_000 + dice.roll(600_000);
    let winner = if dice.roll(2) == 0 { CALLEE } else { SECOND };
    let who_hangs_up = if dice.roll(2) == 0 { CALLER } else { winner };
    let talked = match dice.roll(10) {
        0 => {
            plan.extend([(answer, Refuses(CALLEE, 486)), (answer + dice.roll(500), Refuses(SECOND, 480))]);
            None
        }
        1 => {
            plan.push((answer, Refuses(winner, 603)));
            None
        }
        2 => {
            plan.push((answer, GivesUp));
            None
        }
        _ => {
            plan.extend([(answer, Answers(winner)), (answer + talk, HangsUp(who_hangs_up))]);
            Some(talk)
        }
    };
    for _ in 0..dice.roll(4) {
        let at = dice.roll(answer + talk);
        let what = match dice.roll(4) {
            0 => CallCrash,
            1 => Repeat,
            2 => Crash(CALLER),
            _ => Crash(winner),
        };
        plan.push((at, what));
    }
    (plan, talked)
}

fn happen(world: &mut World, what: Happening) {
    let refused = |code| {
        let status = SipStatus::new(code);
        LegInput::Refused { cause: status.map_or(Cause::Busy, Cause::from_sip), status }
    };
    match what {
        Happening::Routed => world.call_input(CallInput::Routed(Ok(vec![target(CALLEE), target(SECOND)]))),
        Happening::Rings(leg) => world.leg_input(leg, LegInput::Ringing),
        Happening::Answers(leg) => world.leg_input(leg, LegInput::Answered(phone(5_000))),
        Happening::Refuses(leg, code) => world.leg_input(leg, refused(code)),
        Happening::HangsUp(leg) => world.leg_input(leg, LegInput::HungUp(Cause::Normal)),
        Happening::GivesUp => world.leg_input(CALLER, LegInput::Cancelled),
        Happening::Crash(leg) => {
            world.leg_input(leg, LegInput::Notice(Notice::Recovered { lost: LegKind::Passing }));
        }
        Happening::CallCrash => {
            world.call_input(CallInput::Notice(Notice::Recovered { lost: CallKind::Passing }));
        }
        Happening::Repeat => world.repeat_last_news(),
    }
}

fn simulate(seed: u64, calls: usize) -> Day {
    let mut dice = Dice(seed);
    let mut worlds = Vec::new();
    let mut heap = BinaryHeap::new();
    for call in 0..calls {
        let (plan, talked) = fate(&mut dice);
        let begins = dice.roll(86_400_000);
        heap.extend(plan.into_iter().map(|(at, what)| Reverse((begins + at, call, what))));
        worlds.push((World::new(new_call()), begins, talked));
    }
    while let Some(Reverse((at, call, what))) = heap.pop() {
        let (world, begins, _) = &mut worlds[call];
        let elapsed = world.now.mono - crate::world::start().mono;
        world.pass(Duration::from_millis(at - *begins).saturating_sub(elapsed));
        happen(world, what);
    }
    worlds.into_iter().fold(Day::default(), |day, (world, _, talked)| day.count(&world, talked))
}

impl Day {
    fn count(mut self, world: &World, talked: Option<u64>) -> Self {
        assert!(world.call.is_ended() && world.legs.values().all(Machine::is_ended), "{}", world.call.state_name());
        let record = world.record();
        assert_eq!(record.answered_at.is_some(), talked.is_some());
        assert_eq!(record.talk_ms, talked.unwrap_or(0), "billed is what was talked");
        match record.cause {
            Cause::Normal => self.answered += 1,
            Cause::Cancelled => self.given_up += 1,
            Cause::Busy | Cause::Declined => self.refused += 1,
            other => panic!("nothing in this day ends with {other:?}"),
        }
        self.talked_ms += record.talk_ms;
        for fact in &world.facts {
            let next = fact.at.0.unsigned_abs() ^ u64::from(fact.number);
            self.fingerprint = self.fingerprint.rotate_left(5) ^ next;
        }
        self
    }
}

#[test]
fn a_simulated_day_bills_every_call_for_what_it_talked_and_is_the_same_day_again() {
    let seed = std::env::var("TANDEM_SIM_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_121);
    println!("TANDEM_SIM_SEED={seed}");
    let day = simulate(seed, 5_000);
    println!("{day:?}");
    assert_eq!(day.answered + day.refused + day.given_up, 5_000);
    assert!(day.answered > 3_000 && day.refused > 500 && day.given_up > 200);
    assert_eq!(simulate(seed, 5_000), day);
    assert_ne!(simulate(seed + 1, 5_000).fingerprint, day.fingerprint);
}
