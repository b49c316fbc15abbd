//! Breaks actors on purpose. For tests and for an operator's drill on a development node; nothing here runs otherwise.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;
use tandem_core::id::{CallId, LegId, TrackId};
use uuid::Uuid;

use super::Calls;
use super::sharded::{Part, Sharded};
use super::wires::Wires;
use crate::ports::{Fault, FaultPoint, Ports};

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

/// How an actor is to be broken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum How {
    /// By a kill signal.
    Kill,
    /// By a panic when it is woken, which is done at once.
    Panic,
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
            CallActor::Call(id) => self.calls.break_shell(id, how, &self.drill),
            CallActor::Leg(id) => self.legs.break_shell(id, how, &self.drill),
            CallActor::Track(id) => self.tracks.break_shell(id, how, &self.drill),
        }
    }
}

impl<M: Part> Sharded<M>
where
    Wires: Ports<M>,
{
    fn break_shell(&self, id: M::Id, how: How, drill: &Drill) -> bool {
        let Some(handle) = self.find(id) else { return false };
        let slot = handle.slot();
        match (how, slot.shell()) {
            (_, None) => return false,
            (How::Kill, Some(shell)) => shell.kill(),
            (How::Panic, Some(_)) => {
                drill.arm(M::actor(id));
                slot.rouse();
            }
        }
        true
    }
}

/// Who is to panic when woken.
#[derive(Default)]
pub(super) struct Drill {
    /// How many there are, so that nobody takes the lock when there are none.
    armed: AtomicUsize,
    victims: Mutex<HashSet<CallActor>>,
}

impl Drill {
    fn arm(&self, who: CallActor) {
        let mut victims = self.victims.lock();
        victims.insert(who);
        self.armed.store(victims.len(), Relaxed);
    }

    pub(super) fn fault(&self, who: CallActor, at: FaultPoint) -> Fault {
        if at != FaultPoint::Wake || self.armed.load(Relaxed) == 0 {
            return Fault::None;
        }
        let mut victims = self.victims.lock();
        let is_victim = victims.remove(&who);
        self.armed.store(victims.len(), Relaxed);
        if is_victim { Fault::Panic } else { Fault::None }
    }
}
