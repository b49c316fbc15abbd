//! What an operator sees of the calls.

use schemars::JsonSchema;
use serde::Serialize;
use tandem_core::call::Call;
use tandem_core::id::{CallId, CorrelationId, LegId, TrackId};
use tandem_core::leg::Leg;
use tandem_core::time::{Timestamp, WallTime};
use tandem_core::track::Track;

use super::Calls;
use crate::drill::How;
use crate::part::PartId;
use crate::slot::Slot;
use crate::tree::{PartView, Standing};

/// One call as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct CallView {
    /// Which.
    pub call_id: CallId,
    /// The id that everything about it carries.
    pub correlation_id: CorrelationId,
    /// Name of its state.
    pub state: &'static str,
    /// When it was let in; in JSON microseconds since 1970.
    pub since: Option<WallTime>,
    /// Its legs, the caller's first.
    pub legs: Vec<LegView>,
}

/// One leg as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct LegView {
    /// Which.
    pub leg_id: LegId,
    /// Name of its state; `None` when it is gone.
    pub state: Option<&'static str>,
    /// Name of its track's state; `None` when that is gone.
    pub track: Option<&'static str>,
}

impl Calls {
    /// Every call that is not over, the oldest first.
    #[must_use]
    pub fn snapshot(&self) -> Vec<CallView> {
        let mut views: Vec<_> = self.calls.slots().map(|slot| self.view(&slot)).collect();
        views.sort_unstable_by_key(|view| view.call_id);
        views
    }

    /// What stands as long as the node: roots and supervisors.
    pub(crate) fn standing(&self) -> Vec<Standing> {
        self.calls.standing().chain(self.legs.standing()).chain(self.tracks.standing()).collect()
    }

    /// Every call, leg and track: owners before what they own.
    pub(crate) fn parts(&self, now: Timestamp) -> impl Iterator<Item = PartView> {
        self.calls.parts(now).chain(self.legs.parts(now)).chain(self.tracks.parts(now))
    }

    /// Every actor of a call that is there now: its own, its legs', their tracks'. Empty when it is over.
    #[must_use]
    pub fn actors_of(&self, call: CallId) -> Vec<PartId> {
        let Some(slot) = self.calls.find(call) else { return Vec::new() };
        let legs: Vec<LegId> = slot.slot().view(|call| call.legs().collect());
        let legs = legs.into_iter().filter(|leg| self.legs.find(*leg).is_some());
        let parts = legs.flat_map(|leg| {
            let track = TrackId::audio_of(leg);
            let track = self.tracks.find(track).map(|_| PartId::Track(track));
            [Some(PartId::Leg(leg)), track]
        });
        std::iter::once(PartId::Call(call)).chain(parts.flatten()).collect()
    }

    /// Breaks an actor; its slot, and the call, go on. Each time is charged to the slot as any failure: the fourth in 30 s
    /// (a track: in 10 s) gives it up. Whether there was such an actor.
    pub fn break_actor(&self, who: PartId, how: How) -> bool {
        match who {
            PartId::Call(id) => self.calls.find(id).is_some_and(|it| it.slot().break_shell(how)),
            PartId::Leg(id) => self.legs.find(id).is_some_and(|it| it.slot().break_shell(how)),
            PartId::Track(id) => self.tracks.find(id).is_some_and(|it| it.slot().break_shell(how)),
            PartId::Conference(_) | PartId::Participant(_) => false,
        }
    }

    fn view(&self, slot: &Slot<Call>) -> CallView {
        let (correlation_id, state, legs) = slot.view(|call| {
            let legs: Vec<_> = call.legs().collect();
            (call.birth().context.correlation_id, call.state_name(), legs)
        });
        let legs = legs.into_iter().map(|leg| self.leg_view(leg)).collect();
        CallView { call_id: slot.id(), correlation_id, state, since: self.door.since(slot.id()), legs }
    }

    fn leg_view(&self, leg_id: LegId) -> LegView {
        let track = self.tracks.find(TrackId::audio_of(leg_id));
        LegView {
            leg_id,
            state: self.legs.find(leg_id).map(|leg| leg.slot().view(Leg::state_name)),
            track: track.map(|track| track.slot().view(Track::state_name)),
        }
    }
}
