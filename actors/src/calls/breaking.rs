//! The actors of a call, each under a name by which it can be broken.

use std::fmt;
use std::str::FromStr;

use tandem_core::id::{CallId, LegId, TrackId};
use uuid::Uuid;

use super::Calls;
use crate::drill::How;

/// One actor of a call.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum CallActor {
    /// The call's own.
    Call(CallId),
    /// That of a leg.
    Leg(LegId),
    /// That of a track.
    Track(TrackId),
}

impl CallActor {
    pub(super) const fn uuid(self) -> Uuid {
        match self {
            Self::Call(id) => id.uuid(),
            Self::Leg(id) => id.uuid(),
            Self::Track(id) => id.uuid(),
        }
    }
}

impl fmt::Display for CallActor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(id) => id.fmt(f),
            Self::Leg(id) => id.fmt(f),
            Self::Track(id) => id.fmt(f),
        }
    }
}

/// That this is no id of a call, a leg or a track.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no actor of a call")]
pub struct NoCallActor;

impl FromStr for CallActor {
    type Err = NoCallActor;

    fn from_str(text: &str) -> Result<Self, NoCallActor> {
        let call = text.parse().map(Self::Call);
        let other = || text.parse().map(Self::Leg).or_else(|_| text.parse().map(Self::Track));
        call.or_else(|_| other()).map_err(|_| NoCallActor)
    }
}

impl Calls {
    /// Every actor of a call that is there now: its own, its legs', their tracks'. Empty when it is over.
    #[must_use]
    pub fn actors_of(&self, call: CallId) -> Vec<CallActor> {
        let Some(slot) = self.calls.find(call) else { return Vec::new() };
        let legs: Vec<LegId> = slot.slot().view(|call| call.legs().collect());
        let legs = legs.into_iter().filter(|leg| self.legs.find(*leg).is_some());
        let parts = legs.flat_map(|leg| {
            let track = TrackId::audio_of(leg);
            let track = self.tracks.find(track).map(|_| CallActor::Track(track));
            [Some(CallActor::Leg(leg)), track]
        });
        std::iter::once(CallActor::Call(call)).chain(parts.flatten()).collect()
    }

    /// Breaks an actor; its slot, and the call, go on. Each time is charged to the slot as any failure: the fourth in 30 s
    /// (a track: in 10 s) gives it up. Whether there was such an actor.
    pub fn break_actor(&self, who: CallActor, how: How) -> bool {
        match who {
            CallActor::Call(id) => self.calls.find(id).is_some_and(|it| it.slot().break_shell(how)),
            CallActor::Leg(id) => self.legs.find(id).is_some_and(|it| it.slot().break_shell(how)),
            CallActor::Track(id) => self.tracks.find(id).is_some_and(|it| it.slot().break_shell(how)),
        }
    }
}
