//! One medium of one participant, as a pure state machine.
//!
//! ```text
//!  Idle ──Carry──▶ Attached ──Bridge──▶ Attached, bridged ──End──▶ Ended
//! ```
//!
//! # Invariants
//! * The media pool is told again after a loss: every command means the same the second time.
//! * `Ended` is final, and the last command is `Detach` if anything was attached.

use smallvec::smallvec;

use crate::id::{LegId, TrackId};
use crate::machine::{Effects, Machine, Notice, Rejected};
use crate::media::{MediaCommand, TrackSpec};
use crate::time::{Now, Timestamp};

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    id: TrackId,
    leg: LegId,
    state: State,
}

#[derive(Clone, Debug, PartialEq)]
enum State {
    Idle { bridge: Option<TrackId> },
    Attached { spec: TrackSpec, bridge: Option<TrackId> },
    Ended,
}

/// What can happen to a track.
#[derive(Clone, Debug, PartialEq)]
pub enum TrackInput {
    /// Its leg has negotiated: carry this from now on.
    Carry(TrackSpec),
    /// Send what comes in to that track.
    Bridge(TrackId),
    /// Its leg is over.
    End,
    /// From the shell.
    Notice(Notice<TrackEffect, TrackKind>),
}

/// Kinds of inputs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TrackKind {
    /// What the leg ordered.
    Order,
    /// The end.
    End,
    /// The shell's.
    Notice,
}

/// What a track wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum TrackEffect {
    /// For the media pool.
    Media(MediaCommand),
    /// Its media is gone: the leg must know.
    TellLost,
}

impl From<Notice<TrackEffect, TrackKind>> for TrackInput {
    fn from(notice: Notice<TrackEffect, TrackKind>) -> Self {
        Self::Notice(notice)
    }
}

impl Track {
    /// A track that carries nothing yet.
    #[must_use]
    pub const fn new(id: TrackId, leg: LegId) -> Self {
        Self { id, leg, state: State::Idle { bridge: None } }
    }

    /// The leg it belongs to.
    #[must_use]
    pub const fn leg(&self) -> LegId {
        self.leg
    }

    /// Name of its state, for views.
    #[must_use]
    pub const fn state_name(&self) -> &'static str {
        match self.state {
            State::Idle { .. } => "idle",
            State::Attached { bridge: None, .. } => "attached",
            State::Attached { bridge: Some(_), .. } => "bridged",
            State::Ended => "ended",
        }
    }

    fn carry(&mut self, spec: TrackSpec, bridge: Option<TrackId>) -> Effects<TrackEffect> {
        self.state = State::Attached { spec, bridge };
        self.restate()
    }

    fn bridge(&mut self, to: TrackId) -> Effects<TrackEffect> {
        match &mut self.state {
            State::Idle { bridge } | State::Attached { bridge, .. } => *bridge = Some(to),
            State::Ended => {}
        }
        self.restate()
    }

    /// All that the pool must know: said anew after every change and after every loss.
    fn restate(&self) -> Effects<TrackEffect> {
        let State::Attached { spec, bridge } = &self.state else { return Effects::new() };
        let attach = MediaCommand::Attach { track: self.id, spec: spec.clone() };
        let bridge = bridge.map(|to| MediaCommand::Bridge { track: self.id, to });
        std::iter::once(attach).chain(bridge).map(TrackEffect::Media).collect()
    }

    fn end(&mut self) -> Effects<TrackEffect> {
        let was = std::mem::replace(&mut self.state, State::Ended);
        match was {
            State::Attached { .. } => smallvec![TrackEffect::Media(MediaCommand::Detach { track: self.id })],
            State::Idle { .. } | State::Ended => Effects::new(),
        }
    }

    fn lose(&mut self) -> Effects<TrackEffect> {
        let mut out = self.end();
        out.push(TrackEffect::TellLost);
        out
    }

    /// What holds after every input. Checked there in debug builds: by every test, and by the simulator.
    pub fn check_invariants(&self) {
        debug_assert!(self.next_deadline().is_none(), "a track arms no timer");
        if let State::Attached { spec, bridge } = &self.state {
            debug_assert!(spec.leg == self.leg, "a track is carried by its own leg");
            debug_assert!(*bridge != Some(self.id), "a track is not bridged to itself");
        }
    }
}

impl Machine for Track {
    type Id = TrackId;
    type Input = TrackInput;
    type Kind = TrackKind;
    type Effect = TrackEffect;

    fn handle(&mut self, _: Now, input: TrackInput) -> Result<Effects<TrackEffect>, Rejected> {
        let out = match (&self.state, input) {
            (State::Ended, _) => Effects::new(),
            (State::Idle { bridge } | State::Attached { bridge, .. }, TrackInput::Carry(spec)) => {
                let bridge = *bridge;
                self.carry(spec, bridge)
            }
            (_, TrackInput::Bridge(to)) => self.bridge(to),
            (_, TrackInput::End) => self.end(),
            (_, TrackInput::Notice(notice)) => match notice {
                // What is lost or not taken leaves the leg with media that it does not know of. `Gone` too: a leg that
                // released its port hears nothing any more, and one that did not must not talk on unheard.
                Notice::Recovered { lost: TrackKind::Order } | Notice::Refused { .. } | Notice::GivenUp => self.lose(),
                Notice::Recovered { lost: TrackKind::End } => self.end(),
                Notice::Recovered { lost: TrackKind::Notice } => self.restate(),
                Notice::Tick => return Err(Rejected { input: "tick", state: self.state_name() }),
            },
        };
        self.check_invariants();
        Ok(out)
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        None
    }

    fn is_ended(&self) -> bool {
        self.state == State::Ended
    }

    fn kind(input: &TrackInput) -> TrackKind {
        match input {
            TrackInput::Carry(_) | TrackInput::Bridge(_) => TrackKind::Order,
            TrackInput::End => TrackKind::End,
            // Who does not hear what was lost has lost it still.
            TrackInput::Notice(Notice::Recovered { lost }) => *lost,
            TrackInput::Notice(_) => TrackKind::Notice,
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::machine::Refusal;
    use crate::world::{CALLEE, leg, phone, start};

    fn spec() -> TrackSpec {
        TrackSpec { leg: leg(CALLEE), local: phone(10_000), remote: phone(5_000) }
    }

    fn track() -> Track {
        Track::new(TrackId::audio_of(leg(CALLEE)), leg(CALLEE))
    }

    fn other() -> TrackId {
        TrackId::from_uuid(Uuid::from_u128(9))
    }

    fn step(track: &mut Track, input: TrackInput) -> Effects<TrackEffect> {
        track.handle(start(), input).unwrap()
    }

    #[test]
    fn a_bridge_may_come_before_what_it_carries() {
        let mut track = track();
        assert!(step(&mut track, TrackInput::Bridge(other())).is_empty());
        let effects = step(&mut track, TrackInput::Carry(spec()));
        let told = [
            TrackEffect::Media(MediaCommand::Attach { track: track.id, spec: spec() }),
            TrackEffect::Media(MediaCommand::Bridge { track: track.id, to: other() }),
        ];
        assert_eq!(effects.as_slice(), told);
        assert_eq!(track.state_name(), "bridged");
    }

    #[test]
    fn an_end_detaches_once() {
        let mut track = track();
        step(&mut track, TrackInput::Carry(spec()));
        let effects = step(&mut track, TrackInput::End);
        assert_eq!(effects.as_slice(), [TrackEffect::Media(MediaCommand::Detach { track: track.id })]);
        assert!(step(&mut track, TrackInput::End).is_empty() && track.is_ended());
    }

    #[test]
    fn a_lost_order_and_a_command_that_is_not_taken_are_told_to_the_leg() {
        let attach = TrackEffect::Media(MediaCommand::Attach { track: track().id, spec: spec() });
        for notice in [
            Notice::Recovered { lost: TrackKind::Order },
            Notice::Refused { effect: attach.clone(), why: Refusal::Full },
            Notice::Refused { effect: attach, why: Refusal::Gone },
            Notice::GivenUp,
        ] {
            let mut track = track();
            step(&mut track, TrackInput::Carry(spec()));
            let effects = step(&mut track, TrackInput::Notice(notice));
            assert_eq!(effects.last(), Some(&TrackEffect::TellLost));
            assert!(track.is_ended());
        }
    }

    #[test]
    fn a_lost_notice_is_made_good_by_saying_everything_again() {
        let mut track = track();
        step(&mut track, TrackInput::Carry(spec()));
        let effects = step(&mut track, TrackInput::Notice(Notice::Recovered { lost: TrackKind::Notice }));
        assert!(matches!(effects.as_slice(), [TrackEffect::Media(MediaCommand::Attach { .. })]));
    }
}
