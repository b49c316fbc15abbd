//! What the effects of calls, legs and tracks mean to the world: as `actors/src/calls/wires.rs` wires them.

use tandem_core::call::{Call, CallEffect, CallInput};
use tandem_core::cause::Cause;
use tandem_core::id::{CallId, LegId, TrackId};
use tandem_core::leg::{Leg, LegEffect, LegInput, LegKind, LegNews};
use tandem_core::machine::{Effects, Exit, Machine, Notice, Refusal, Stamp};
use tandem_core::ports::Signal;
use tandem_core::track::{Track, TrackEffect, TrackInput};
use uuid::Uuid;

use crate::audit::Audit;
use crate::slot::Slot;
use crate::world::{CallWorld, Part, World};
use crate::{far, pool, script};

/// A machine and what its effects are wired to.
pub(crate) trait Wired: Machine {
    fn part(n: usize) -> Part;
    fn id(call: u32, n: usize) -> Self::Id;
    fn place(it: &mut CallWorld, n: usize) -> &mut Option<Slot<Self>>;
    fn perform(
        world: &mut World,
        call: u32,
        n: usize,
        stamp: Stamp<Self::Id>,
        effect: Self::Effect,
    ) -> Result<(), Refusal>;
    fn gone(world: &mut World, call: u32, n: usize, last: &Self, exit: Exit);
    /// Two shells died over it, and nobody will do it any more.
    fn abandoned(_: &mut World, _: u32, _: usize, _: &Self::Effect) {}
    fn audit(
        world: &mut World,
        call: u32,
        n: usize,
        change: (&Self, &Self),
        input: &str,
        effects: &Effects<Self::Effect>,
    );
    /// For what the end of a leg depends on.
    fn kind_name(_: &Self::Input) -> &'static str {
        ""
    }
    fn name(input: &Self::Input) -> String;
    fn tell(effect: &Self::Effect) -> String;

    fn slot(world: &mut World, call: u32, n: usize) -> Option<&mut Slot<Self>> {
        Self::place(world.calls.get_mut(&call)?, n).as_mut()
    }

    fn take(world: &mut World, call: u32, n: usize) -> Option<Slot<Self>> {
        Self::place(world.calls.get_mut(&call)?, n).take()
    }

    /// The second time it is the first one's slot.
    fn open(world: &mut World, call: u32, n: usize, machine: Self) {
        if let Some(it) = world.calls.get_mut(&call) {
            Self::place(it, n).get_or_insert_with(|| Slot::new(machine));
            world.wake::<Self>(call, n);
        }
    }

    /// Below the limit of its inbox.
    fn send(world: &mut World, call: u32, n: usize, input: Self::Input) -> Result<(), Refusal> {
        let limit = world.calls.get(&call).map_or(0, |it| it.faults.inbox);
        let sent = Self::slot(world, call, n).ok_or(Refusal::Gone)?.push(input, limit);
        if sent == Err(Refusal::Full) {
            world.tally.refusals += 1;
            world.trouble(call, || format!("the inbox of {:?} is full", Self::part(n)));
        }
        world.wake::<Self>(call, n);
        sent
    }

    fn reply(world: &mut World, call: u32, n: usize, input: Self::Input) {
        if let Some(slot) = Self::slot(world, call, n) {
            slot.reply(input);
            world.wake::<Self>(call, n);
        }
    }
}

/// Ids say where they belong: sixteen to a call, the caller's leg first.
pub(crate) fn call_id(call: u32) -> CallId {
    CallId::from_uuid(Uuid::from_u128(u128::from(call) << 4))
}

pub(crate) fn leg_id(call: u32, n: usize) -> LegId {
    LegId::from_uuid(Uuid::from_u128((u128::from(call) << 4) + n as u128 + 1))
}

pub(crate) fn place_of(leg: LegId) -> usize {
    usize::try_from(leg.uuid().as_u128() & 15).unwrap() - 1
}

impl Wired for Call {
    fn part(_: usize) -> Part {
        Part::Call
    }

    fn id(call: u32, _: usize) -> CallId {
        call_id(call)
    }

    fn place(it: &mut CallWorld, _: usize) -> &mut Option<Slot<Self>> {
        &mut it.call
    }

    fn perform(world: &mut World, call: u32, _: usize, _: Stamp<CallId>, effect: CallEffect) -> Result<(), Refusal> {
        match effect {
            CallEffect::Commit(fact) => Audit::commit(world, call, fact),
            CallEffect::Publish(_) => {}
            CallEffect::LookUp(_) => {
                let targets = script::look_up(world, call);
                Self::reply(world, call, 0, CallInput::Routed(targets));
            }
            CallEffect::OpenLeg(_, leg) | CallEffect::TellLeg(leg, LegInput::Start) if place_of(leg) == 0 => {}
            CallEffect::OpenLeg(machine, leg) => Leg::open(world, call, place_of(leg), *machine),
            CallEffect::TellLeg(leg, input @ LegInput::HangUp(_)) => world.notify::<Leg>(call, place_of(leg), input),
            CallEffect::TellLeg(leg, input) => match Leg::send(world, call, place_of(leg), input) {
                Err(Refusal::Gone) => {}
                outcome => return outcome,
            },
        }
        Ok(())
    }

    fn gone(world: &mut World, call: u32, _: usize, last: &Self, exit: Exit) {
        let cause = if exit == Exit::Ended { Cause::Normal } else { Cause::SystemFailure };
        for leg in std::iter::once(last.birth().leg).chain(last.legs()) {
            world.notify::<Leg>(call, place_of(leg), LegInput::HangUp(cause));
        }
        assert!(world.permits.remove(&call), "a permit is returned once");
    }

    fn abandoned(world: &mut World, call: u32, _: usize, effect: &CallEffect) {
        if let CallEffect::Commit(fact) = effect {
            world.calls.get_mut(&call).unwrap().audit.abandon(fact.number);
        }
    }

    fn audit(world: &mut World, call: u32, _: usize, change: (&Self, &Self), _: &str, effects: &Effects<CallEffect>) {
        Audit::of_call(world, call, change, effects);
    }

    fn name(input: &CallInput) -> String {
        let text = format!("{input:?}");
        text.chars().take(160).collect()
    }

    fn tell(effect: &CallEffect) -> String {
        match effect {
            CallEffect::Commit(fact) => format!("Commit {} {}", fact.number, fact.body.name()),
            CallEffect::OpenLeg(_, leg) => format!("OpenLeg {}", place_of(*leg)),
            CallEffect::TellLeg(leg, input) => format!("TellLeg {} {}", place_of(*leg), input.name()),
            CallEffect::LookUp(_) => "LookUp".into(),
            CallEffect::Publish(_) => "Publish".into(),
        }
    }
}

impl Wired for Leg {
    fn part(n: usize) -> Part {
        Part::Leg(n)
    }

    fn id(call: u32, n: usize) -> LegId {
        leg_id(call, n)
    }

    fn place(it: &mut CallWorld, n: usize) -> &mut Option<Slot<Self>> {
        &mut it.legs[n]
    }

    fn perform(world: &mut World, call: u32, n: usize, stamp: Stamp<LegId>, effect: LegEffect) -> Result<(), Refusal> {
        match effect {
            LegEffect::OpenMedia(_) => {
                let local = pool::open(world, call, n)?;
                Self::reply(world, call, n, LegInput::MediaReady(local));
            }
            LegEffect::Media(command) => pool::command(world, call, n, command)?,
            LegEffect::Signal(signal) => far::signal(world, call, n, stamp, signal)?,
            LegEffect::OpenTrack(track) => Track::open(world, call, n, Track::new(track, stamp.from)),
            LegEffect::TellTrack(_, TrackInput::End) => world.notify::<Track>(call, n, TrackInput::End),
            LegEffect::TellTrack(_, input) => Track::send(world, call, n, input)?,
            LegEffect::TellCall(news @ LegNews::Ended { .. }) => {
                Call::slot(world, call, 0).ok_or(Refusal::Gone)?;
                world.notify::<Call>(call, 0, CallInput::Leg(stamp, news));
            }
            LegEffect::TellCall(news) => Call::send(world, call, 0, CallInput::Leg(stamp, news))?,
        }
        Ok(())
    }

    fn gone(world: &mut World, call: u32, n: usize, _: &Self, _: Exit) {
        world.notify::<Track>(call, n, TrackInput::End);
        Audit::leg_gone(world, call, n);
        let it = world.calls.get_mut(&call).unwrap();
        (it.dialogs[n], it.ports[n]) = (None, None);
        world.notify::<Call>(call, 0, CallInput::LegLost(leg_id(call, n)));
    }

    fn abandoned(world: &mut World, call: u32, n: usize, effect: &LegEffect) {
        if let LegEffect::Signal(_) = effect {
            far::refused(world, call, n);
        }
    }

    fn audit(
        world: &mut World,
        call: u32,
        n: usize,
        change: (&Self, &Self),
        input: &str,
        effects: &Effects<LegEffect>,
    ) {
        Audit::of_leg(world, call, n, change, input, effects);
    }

    fn kind_name(input: &LegInput) -> &'static str {
        let LegInput::Notice(notice) = input else { return input.name() };
        match notice {
            Notice::Refused { effect: LegEffect::Signal(Signal::Invite(_)), .. } => "refused invite",
            Notice::Refused { effect: LegEffect::Signal(Signal::Ring | Signal::Progress(_)), .. }
            | Notice::Refused { effect: LegEffect::TellCall(LegNews::Digit(_)), .. }
            | Notice::Recovered { lost: LegKind::Passing }
            | Notice::Tick => "notice",
            Notice::Refused { .. } => "refused effect",
            Notice::Recovered { .. } => "lost",
            Notice::GivenUp => "given up",
        }
    }

    fn name(input: &LegInput) -> String {
        match input {
            LegInput::Notice(notice) => format!("{notice:?}").chars().take(100).collect(),
            other => other.name().to_owned(),
        }
    }

    fn tell(effect: &LegEffect) -> String {
        format!("{effect:?}").chars().take(100).collect()
    }
}

impl Wired for Track {
    fn part(n: usize) -> Part {
        Part::Track(n)
    }

    fn id(call: u32, n: usize) -> TrackId {
        TrackId::audio_of(leg_id(call, n))
    }

    fn place(it: &mut CallWorld, n: usize) -> &mut Option<Slot<Self>> {
        &mut it.tracks[n]
    }

    fn perform(world: &mut World, call: u32, n: usize, _: Stamp<TrackId>, effect: TrackEffect) -> Result<(), Refusal> {
        match effect {
            TrackEffect::Media(command) => pool::command(world, call, n, command),
            TrackEffect::TellLost => {
                world.notify::<Leg>(call, n, LegInput::TrackLost);
                Ok(())
            }
        }
    }

    fn gone(world: &mut World, call: u32, n: usize, _: &Self, _: Exit) {
        world.notify::<Leg>(call, n, LegInput::TrackLost);
    }

    fn audit(world: &mut World, call: u32, n: usize, change: (&Self, &Self), _: &str, effects: &Effects<TrackEffect>) {
        Audit::of_track(world, call, n, change, effects);
    }

    fn name(input: &TrackInput) -> String {
        format!("{input:?}").chars().take(60).collect()
    }

    fn tell(effect: &TrackEffect) -> String {
        format!("{effect:?}").chars().take(60).collect()
    }
}
