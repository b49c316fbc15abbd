//! The one shell for every machine, and its supervisor: as `actors/src/{shell,supervise}.rs`, but dying at every point.

use std::time::Duration;

use tandem_core::machine::{Exit, Stamp};
use tandem_core::restart::Verdict;

use crate::slot::Next;
use crate::wires::Wired;
use crate::world::{Part, What, World};

/// Steps after which a machine does not come to rest any more.
const SPINS: usize = 10_000;

/// The shell looks into its slot; it may die of being looked at.
pub(crate) fn wake<M: Wired>(world: &mut World, call: u32, n: usize) {
    let Some(slot) = M::slot(world, call, n) else { return };
    if slot.is_down {
        return;
    }
    slot.wake();
    if crashes::<M>(world, call, n, "before an input") {
        return die::<M>(world, call, n);
    }
    work::<M>(world, call, n, true);
}

fn work<M: Wired>(world: &mut World, call: u32, n: usize, may_break: bool) {
    for _ in 0..SPINS {
        let now = world.now();
        let Some(slot) = M::slot(world, call, n) else { return };
        match slot.next(now.mono) {
            Next::Rest => return rest::<M>(world, call, n),
            Next::Perform(number, effect) => {
                if crashes::<M>(world, call, n, "before a port took an effect") {
                    return die::<M>(world, call, n);
                }
                let told = if world.keeps_trails { M::tell(&effect) } else { String::new() };
                let answer = M::perform(world, call, n, Stamp { from: M::id(call, n), number }, effect);
                world.note(call, || format!("{:?} does #{number} {told}{}", M::part(n), refused(answer)));
                if crashes::<M>(world, call, n, "after a port took an effect") {
                    return die::<M>(world, call, n);
                }
                if let Some(slot) = M::slot(world, call, n) {
                    slot.performed(answer);
                }
            }
            Next::Handle(input) => {
                if may_break && crashes::<M>(world, call, n, "over an input") {
                    world.note(call, || format!("{:?} loses {}", M::part(n), M::name(&input)));
                    return die::<M>(world, call, n);
                }
                handle::<M>(world, call, n, input);
            }
        }
    }
    panic!("{:?} of call {call} does not come to rest", M::part(n));
}

fn refused<E: std::fmt::Debug>(answer: Result<(), E>) -> String {
    answer.err().map_or_else(String::new, |why| format!(" — refused: {why:?}"))
}

fn handle<M: Wired>(world: &mut World, call: u32, n: usize, input: M::Input) {
    let now = world.now();
    let kind = M::kind_name(&input);
    let name = if world.keeps_trails { M::name(&input) } else { String::new() };
    let Some(slot) = M::slot(world, call, n) else { return };
    let before = slot.machine.clone();
    let mut after = before.clone();
    let outcome = after.handle(now, input);
    if let Ok(effects) = &outcome {
        M::audit(world, call, n, (&before, &after), kind, effects);
    }
    let rejected = outcome.as_ref().err().map_or_else(String::new, |rejected| format!(" — {rejected}"));
    world.note(call, || format!("{:?} hears {name}{rejected}", M::part(n)));
    if let Some(slot) = M::slot(world, call, n) {
        slot.handled(outcome.ok().map(|effects| (after, effects)));
    }
}

/// Nothing to do: sets the alarm, or leaves.
fn rest<M: Wired>(world: &mut World, call: u32, n: usize) {
    let late = if world.dice.chance(500) { world.dice.millis(1, 500) } else { Duration::from_micros(100) };
    let now = world.mono;
    let Some(slot) = M::slot(world, call, n) else { return };
    slot.is_awake = false;
    if slot.closed.is_some() {
        if !std::mem::replace(&mut slot.is_leaving, true) {
            let after = Duration::from_micros(50 + world.dice.roll(300));
            world.after(after, call, What::Remove(M::part(n)));
        }
        return;
    }
    let Some(deadline) = slot.machine.next_deadline() else { return slot.alarm = None };
    if !slot.alarm.is_some_and(|at| now < at && at <= deadline) {
        let goes_off = (deadline - now).max(Duration::from_millis(1)) + late;
        slot.alarm = Some(now + goes_off);
        world.slow(call, late);
        world.after(goes_off, call, What::Wake(M::part(n)));
    }
}

fn crashes<M: Wired>(world: &mut World, call: u32, n: usize, when: &str) -> bool {
    let crash = world.calls.get(&call).map_or(0, |it| it.faults.crash);
    let dies = world.dice.chance(crash);
    if dies {
        world.tally.crashes += 1;
        world.trouble(call, || format!("the shell of {:?} dies {when}", M::part(n)));
    }
    dies
}

/// It died, or hangs until the watchdog finds out.
fn die<M: Wired>(world: &mut World, call: u32, n: usize) {
    let hangs = world.dice.chance(500);
    let after =
        if hangs { world.dice.millis(2_000, 4_000) } else { Duration::from_micros(20 + world.dice.roll(2_000)) };
    if let Some(slot) = M::slot(world, call, n) {
        slot.is_down = true;
        slot.alarm = None;
        world.slow(call, after);
        world.after(after, call, What::Restart(M::part(n)));
    }
}

/// The supervisor answers a death.
pub(crate) fn restart<M: Wired>(world: &mut World, call: u32, n: usize) {
    let now = world.mono;
    let Some(slot) = M::slot(world, call, n) else { return };
    if !slot.is_down {
        return;
    }
    if slot.is_done() {
        return remove::<M>(world, call, n);
    }
    if slot.closed != Some(Exit::GivenUp) && slot.charge(now) == Verdict::Restart {
        let poison = slot.take_over();
        slot.is_awake = false;
        abandon::<M>(world, call, n, poison);
        return world.wake::<M>(call, n);
    }
    world.tally.given_up += 1;
    world.note(call, || format!("!! {:?} is given up", M::part(n)));
    // As often as it takes: each time costs what was in hand.
    for round in 0.. {
        let Some(slot) = M::slot(world, call, n) else { return };
        let poison = slot.seize(round == 0);
        abandon::<M>(world, call, n, poison);
        work::<M>(world, call, n, false);
        if M::slot(world, call, n).is_none_or(|slot| slot.is_done()) {
            break;
        }
    }
    remove::<M>(world, call, n);
}

fn abandon<M: Wired>(world: &mut World, call: u32, n: usize, poison: Option<M::Effect>) {
    if let Some(poison) = poison {
        world.note(call, || format!("{:?} gives up {}", M::part(n), M::tell(&poison)));
        M::abandoned(world, call, n, &poison);
    }
}

/// Takes a slot that is done off the directory.
pub(crate) fn remove<M: Wired>(world: &mut World, call: u32, n: usize) {
    let Some(slot) = M::take(world, call, n) else { return };
    let exit = slot.closed.unwrap_or(Exit::Ended);
    world.note(call, || format!("{:?} is gone: {exit:?}", M::part(n)));
    M::gone(world, call, n, &slot.machine, exit);
    if M::part(n) == Part::Call {
        world.note(call, || String::from("permit returned"));
    }
}
