//! The calls, legs and tracks of one node, as edges and media see them: where news goes in.
//!
//! ```text
//!  edge, media ── CallPort ──▶ slots of calls · legs · tracks ── effects ──▶ [`Outside`]
//! ```
//!
//! # Repeats
//! A crash may offer an effect again, with the same stamp. What that means to each receiver:
//! * `EdgePort::signal` gets the stamp and drops what is not above the highest number it took from that leg.
//! * `MediaPort` gets no stamp: every command, and `open`, means the same the second time.
//! * `LedgerPort::commit` knows a fact by its call and number.
//! * `BusPort::publish` may repeat a live event; nobody may count them.
//! * `PlanPort::look_up` may be asked twice; the call takes the first answer.
//! * A call drops repeated news of a leg by its stamp. Legs and tracks take the same order twice without harm.

mod view;
mod wires;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tandem_core::call::{Call, CallInput, NewCall};
use tandem_core::cause::Cause;
use tandem_core::id::{LegId, TrackId};
use tandem_core::leg::{Birth, Leg, LegInput, Role};
use tandem_core::machine::Refusal;
use tandem_core::media::MediaNews;
use tandem_core::metric::{Fill, Gauge, Metrics, Queue, Queues};
use tandem_core::ports::{BusPort, CallPort, EdgePort, LedgerPort, MediaPort, PlanPort};
use tandem_core::trace::TracePort;
use tandem_core::track::Track;
use tokio::time::sleep;

pub use view::{CallView, LegView};

use crate::clock::Clock;
use crate::config::Config;
use crate::directory::Limits;
use crate::door::Door;
use crate::keeper::{Keeper, Member};
use crate::sharded::Sharded;
use wires::Wires;

/// How long calls that were told to end may take. One second more than a call waits for its legs.
const LAST_CALLS: Duration = Duration::from_secs(6);

/// What the effects of calls, legs and tracks go to.
#[derive(Clone)]
pub struct Outside {
    /// Signals to the far ends.
    pub edge: Arc<dyn EdgePort>,
    /// Port pairs and packets.
    pub media: Arc<dyn MediaPort>,
    /// Facts.
    pub ledger: Arc<dyn LedgerPort>,
    /// Live events.
    pub bus: Arc<dyn BusPort>,
    /// Routes.
    pub plan: Arc<dyn PlanPort>,
    /// Notes for the stories of calls.
    pub trace: Arc<dyn TracePort>,
}

/// See the module. Works as soon as it is connected and its actors were started by a [`Node`](crate::Node).
pub struct Calls {
    calls: Sharded<Call>,
    legs: Sharded<Leg>,
    tracks: Sharded<Track>,
    door: Door,
    outside: OnceLock<Outside>,
    clock: Clock,
    metrics: Arc<Metrics>,
}

impl Calls {
    /// Without a single call, and refusing all until it is [connected](Self::connect): edges and media want this port
    /// before they can offer theirs.
    #[must_use]
    pub fn new(config: &Config, clock: Clock, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new_cyclic(|me| {
            let wires = Arc::new(Wires(me.clone()));
            let (shards, at) = (config.shards, (&clock, &metrics));
            Self {
                calls: Sharded::new("calls", shards, &wires, at, Limits::CALL, Gauge::CallsActive),
                legs: Sharded::new("legs", shards, &wires, at, Limits::CALL, Gauge::LegsActive),
                tracks: Sharded::new("tracks", shards, &wires, at, Limits::TRACK, Gauge::TracksActive),
                door: Door::new(config, clock.now(), metrics.clone()),
                outside: OnceLock::new(),
                clock: clock.clone(),
                metrics: metrics.clone(),
            }
        })
    }

    /// Joins the calls to the world. Once: a second world is not taken.
    pub fn connect(&self, outside: Outside) {
        if self.outside.set(outside).is_err() {
            tracing::error!("calls are connected already");
        }
    }

    /// Who may come in.
    #[must_use]
    pub const fn door(&self) -> &Door {
        &self.door
    }

    /// Lets no new call in, gives live ones `timeout`, then ends them with [`Cause::Shutdown`] and waits for that some
    /// seconds. Gives the number of calls that are still there: 0 unless something is broken.
    pub async fn drain(&self, timeout: Duration) -> usize {
        self.door.drain();
        if tokio::time::timeout(timeout, self.emptied()).await.is_err() {
            tracing::info!(calls = self.door.calls(), "ending the calls that are left");
            self.calls.slots().for_each(|call| call.notify(CallInput::End(Cause::Shutdown)));
            let _late = tokio::time::timeout(LAST_CALLS, self.emptied()).await;
        }
        self.door.calls()
    }

    async fn emptied(&self) {
        while self.door.calls() > 0 || self.legs.len() > 0 || self.tracks.len() > 0 {
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// One that counts and measures time as they do.
    pub(crate) fn keeper(&self, members: Vec<Arc<dyn Member>>) -> Keeper {
        Keeper { vitals: Arc::default(), members, clock: self.clock.clone(), metrics: self.metrics.clone() }
    }

    pub(crate) const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// What a node keeps running for them.
    pub(crate) fn members(&self) -> Vec<Arc<dyn Member>> {
        self.calls.members().chain(self.legs.members()).chain(self.tracks.members()).collect()
    }
}

impl Queues for Calls {
    fn queues(&self) -> Vec<(Queue, Fill)> {
        vec![
            (Queue::Calls, self.door.fill()),
            (Queue::CallInboxes, self.calls.fill()),
            (Queue::LegInboxes, self.legs.fill()),
            (Queue::TrackInboxes, self.tracks.fill()),
        ]
    }
}

impl CallPort for Calls {
    /// Files the call and the caller's leg, both with their start before them, and only then has shells appointed: the
    /// edge may tell the leg of a CANCEL at once, and neither of the two misses a word of the other.
    fn open_call(&self, new: NewCall) -> Result<(), Cause> {
        let Some(outside) = self.outside.get() else { return Err(Cause::Overload) };
        self.door.admit(&new, self.clock.now())?;
        outside.trace.begin(new.call, new.leg);
        let role = Role::Caller(new.negotiation.clone());
        let birth = Birth { call: new.call, context: new.context.clone(), role };
        let (call, leg) = (new.call, new.leg);
        let call_slot = self.calls.file(call, Call::new(new));
        let leg_slot = self.legs.file(leg, Leg::new(leg, Arc::new(birth)));
        call_slot.slot().notify(CallInput::Start);
        leg_slot.slot().notify(LegInput::Start);
        self.calls.staff(call);
        self.legs.staff(leg);
        Ok(())
    }

    fn tell_leg(&self, leg: LegId, input: LegInput) -> Result<(), Refusal> {
        let leg = self.legs.find(leg).ok_or(Refusal::Gone)?;
        if let LegInput::Media(MediaNews::Broken | MediaNews::Silent) = input {
            leg.slot().notify(input); // said once, and it ends the leg
            return Ok(());
        }
        Ok(leg.send(input)?)
    }

    /// The leg is told, and ends its track. Above the limit of its inbox: this is said once.
    fn track_lost(&self, track: TrackId) -> Result<(), Refusal> {
        let leg = self.tracks.find(track).ok_or(Refusal::Gone)?.slot().view(Track::leg);
        self.legs.find(leg).ok_or(Refusal::Gone)?.slot().notify(LegInput::TrackLost);
        Ok(())
    }
}
