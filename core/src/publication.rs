//! One track that a participant publishes, as a pure state machine.
//!
//! ```text
//!  Idle ──Carry──▶ Carried, muted or not ──End──▶ Ended
//! ```
//!
//! # Invariants
//! * The media pool is told again after a loss: every command means the same the second time.
//! * `Ended` is final, and the last command is `StopReceiving` if anything was taken in.

use std::sync::Arc;

use smallvec::smallvec;

use crate::id::{ParticipantId, TrackId};
use crate::machine::{Effects, Machine, Notice, Rejected};
use crate::room::sfu::{ReceiveSpec, SfuCommand};
use crate::time::{Now, Timestamp};

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Publication {
    id: TrackId,
    participant: ParticipantId,
    state: State,
    is_muted: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum State {
    Idle,
    Carried(Arc<ReceiveSpec>),
    Ended,
}

/// What can happen to a published track.
#[derive(Clone, Debug, PartialEq)]
pub enum PublicationInput {
    /// It is negotiated: take it in from now on.
    Carry(Arc<ReceiveSpec>),
    /// Its publisher sends nothing, or again.
    Mute(bool),
    /// It is not published any more.
    End,
    /// From the shell.
    Notice(Notice<PublicationEffect, PublicationKind>),
}

/// Kinds of inputs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PublicationKind {
    /// What the participant ordered.
    Order,
    /// The end.
    End,
    /// The shell's.
    Notice,
}

/// What a published track wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum PublicationEffect {
    /// For the media pool.
    Media(SfuCommand),
    /// It is not carried any more: its participant must know.
    TellLost,
}

impl From<Notice<PublicationEffect, PublicationKind>> for PublicationInput {
    fn from(notice: Notice<PublicationEffect, PublicationKind>) -> Self {
        Self::Notice(notice)
    }
}

impl Publication {
    /// A track that carries nothing yet.
    #[must_use]
    pub const fn new(id: TrackId, participant: ParticipantId) -> Self {
        Self { id, participant, state: State::Idle, is_muted: false }
    }

    /// Whose it is.
    #[must_use]
    pub const fn participant(&self) -> ParticipantId {
        self.participant
    }

    /// Name of its state, for views.
    #[must_use]
    pub const fn state_name(&self) -> &'static str {
        match (&self.state, self.is_muted) {
            (State::Idle, _) => "idle",
            (State::Carried(_), false) => "carried",
            (State::Carried(_), true) => "muted",
            (State::Ended, _) => "ended",
        }
    }

    /// All that the pool must know: said anew after every change and after every loss.
    fn restate(&self) -> Effects<PublicationEffect> {
        let State::Carried(spec) = &self.state else { return Effects::new() };
        smallvec![
            PublicationEffect::Media(SfuCommand::Receive { track: self.id, spec: spec.clone() }),
            PublicationEffect::Media(SfuCommand::Mute { track: self.id, is_muted: self.is_muted }),
        ]
    }

    fn end(&mut self) -> Effects<PublicationEffect> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Carried(_) => smallvec![PublicationEffect::Media(SfuCommand::StopReceiving { track: self.id })],
            State::Idle | State::Ended => Effects::new(),
        }
    }

    fn lose(&mut self) -> Effects<PublicationEffect> {
        let mut out = self.end();
        out.push(PublicationEffect::TellLost);
        out
    }

    fn notice(&mut self, notice: &Notice<PublicationEffect, PublicationKind>) -> Effects<PublicationEffect> {
        match notice {
            Notice::Recovered { lost: PublicationKind::End } => self.end(),
            Notice::Recovered { .. } => self.restate(),
            Notice::Tick => Effects::new(),
            Notice::Refused { effect: PublicationEffect::TellLost, .. } => Effects::new(),
            Notice::Refused { .. } | Notice::GivenUp => self.lose(),
        }
    }
}

impl Machine for Publication {
    type Id = TrackId;
    type Input = PublicationInput;
    type Kind = PublicationKind;
    type Effect = PublicationEffect;

    fn handle(&mut self, _: Now, input: PublicationInput) -> Result<Effects<PublicationEffect>, Rejected> {
        Ok(match (&self.state, input) {
            (State::Ended, _) => Effects::new(),
            (_, PublicationInput::Carry(spec)) => {
                self.state = State::Carried(spec);
                self.restate()
            }
            (_, PublicationInput::Mute(is_muted)) => {
                self.is_muted = is_muted;
                self.restate()
            }
            (_, PublicationInput::End) => self.end(),
            (_, PublicationInput::Notice(notice)) => self.notice(&notice),
        })
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        None
    }

    fn is_ended(&self) -> bool {
        self.state == State::Ended
    }

    fn kind(input: &PublicationInput) -> PublicationKind {
        match input {
            PublicationInput::Carry(_) | PublicationInput::Mute(_) => PublicationKind::Order,
            PublicationInput::End => PublicationKind::End,
            PublicationInput::Notice(_) => PublicationKind::Notice,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use uuid::Uuid;

    use super::*;
    use crate::machine::Refusal;
    use crate::room::description::SectionKind;
    use crate::room::sfu::{TransportId, TransportRole};
    use crate::world::start;

    fn spec() -> Arc<ReceiveSpec> {
        let transport =
            TransportId { participant: ParticipantId::from_uuid(Uuid::from_u128(1)), role: TransportRole::Publisher };
        Arc::new(ReceiveSpec {
            transport,
            mid: "0".into(),
            kind: SectionKind::Audio,
            formats: Vec::new(),
            layers: Vec::new(),
            sources: Vec::new(),
            nack: false,
        })
    }

    fn track() -> Publication {
        Publication::new(TrackId::from_uuid(Uuid::from_u128(7)), ParticipantId::from_uuid(Uuid::from_u128(1)))
    }

    #[test]
    fn after_a_loss_the_pool_is_told_all_again_and_the_end_is_said_once() {
        let mut track = track();
        assert!(track.handle(start(), PublicationInput::Mute(true)).unwrap().is_empty());
        let told = track.handle(start(), PublicationInput::Carry(spec())).unwrap();
        let lost = Notice::Recovered { lost: PublicationKind::Order };
        assert_eq!(track.handle(start(), PublicationInput::Notice(lost)).unwrap(), told);
        assert!(matches!(told[1], PublicationEffect::Media(SfuCommand::Mute { is_muted: true, .. })));
        assert_eq!(track.handle(start(), PublicationInput::End).unwrap().len(), 1);
        assert!(track.is_ended() && track.handle(start(), PublicationInput::End).unwrap().is_empty());
    }

    #[test]
    fn a_track_that_the_pool_refuses_is_lost_and_its_participant_told() {
        let mut track = track();
        let told = track.handle(start(), PublicationInput::Carry(spec())).unwrap();
        let refused = Notice::Refused { effect: told[0].clone(), why: Refusal::Full };
        let out = track.handle(start(), PublicationInput::Notice(refused)).unwrap();
        assert_eq!(out.last(), Some(&PublicationEffect::TellLost));
        assert!(track.is_ended());
    }
}
