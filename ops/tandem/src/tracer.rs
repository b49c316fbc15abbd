//! The notes of every call that lives, until they are written.
//!
//! ```text
//!  begin ─▶ ┌─ calls ─┐ ◀─ note (by call, or by leg) · hear (facts)
//!           └────┬────┘
//!  end ─────▶ ended, bounded ── some seconds later ──▶ written, forgotten
//! ```
//!
//! # Invariants
//! * A note waits for nobody but another note of the same part of the table.
//! * All notes together take no more than `limit` bytes, give or take the facts of the calls that there are; what is not
//!   noted is counted.
//! * A call that ended is forgotten: written or not.

mod media;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use dashmap::DashMap;
use parking_lot::Mutex;
use tandem_actors::Clock;
use tandem_core::event::{Fact, FactBody};
use tandem_core::id::{CallId, CorrelationId, LegId};
use tandem_core::metric::{Counter, Metrics};
use tandem_core::time::Timestamp;
use tandem_core::trace::{Entry, Story, Subject, TracePort, Trail, What};

pub(crate) use media::ReportedMedia;

/// What a call takes before anything is noted of it, in bytes.
const BASE: usize = 1_024;

/// Calls that ended and are not written yet. More: their notes are lost. Some seconds at 3,000 calls a second.
const ENDED: usize = 20_000;

/// See the module.
pub(crate) struct Tracer {
    calls: DashMap<CallId, Traced>,
    legs: DashMap<LegId, CallId>,
    ended: Mutex<VecDeque<(Timestamp, CallId)>>,
    held: AtomicUsize,
    limit: usize,
    clock: Clock,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Traced {
    trail: Trail,
    legs: Vec<LegId>,
    correlation: Option<CorrelationId>,
    is_over: bool,
}

impl Tracer {
    /// That takes `limit` bytes at most.
    pub(crate) fn new(limit: usize, clock: Clock, metrics: Arc<Metrics>) -> Self {
        let (calls, legs, ended, held) = Default::default();
        Self { calls, legs, ended, held, limit, clock, metrics }
    }

    /// A fact that was journalled. The record repeats what the others say.
    pub(crate) fn hear(&self, fact: &Fact) {
        match &fact.body {
            FactBody::CdrClosed(_) => return,
            FactBody::Dialled { leg_id, .. } => self.add_leg(fact.call, *leg_id),
            FactBody::Started { .. } => {
                if let Some(mut traced) = self.calls.get_mut(&fact.call) {
                    traced.correlation = Some(fact.context.correlation_id);
                }
            }
            FactBody::Ringing { .. }
            | FactBody::Answered { .. }
            | FactBody::LegEnded { .. }
            | FactBody::Ended { .. } => {}
        }
        self.take(fact.call, || Entry::of_fact(fact));
    }

    /// The story of a call up to now. `None`: it is not here.
    pub(crate) fn story(&self, call: CallId) -> Option<Story> {
        let traced = self.calls.get(&call)?;
        traced.trail.story(traced.is_over)
    }

    /// Calls that are here with this id. Looks at all of them.
    pub(crate) fn correlated(&self, id: CorrelationId) -> Vec<CallId> {
        self.calls.iter().filter(|it| it.correlation == Some(id)).map(|it| *it.key()).collect()
    }

    /// The legs of a call.
    pub(crate) fn legs_of(&self, call: CallId) -> Vec<LegId> {
        self.calls.get(&call).map(|traced| traced.legs.clone()).unwrap_or_default()
    }

    /// Calls that ended at least so long ago, the first ones first, at most so many. They stay until forgotten.
    pub(crate) fn ended(&self, ago: Duration, most: usize) -> Vec<CallId> {
        let now = self.clock.now().mono;
        let ended = self.ended.lock();
        ended.iter().take_while(|(at, _)| *at + ago <= now).take(most).map(|(_, call)| *call).collect()
    }

    /// Forgets the first calls that ended, so many of them.
    pub(crate) fn forget_ended(&self, count: usize) {
        let forgotten: Vec<_> = {
            let mut ended = self.ended.lock();
            let count = count.min(ended.len());
            ended.drain(..count).collect()
        };
        forgotten.iter().for_each(|(_, call)| self.forget(*call));
    }

    fn forget(&self, call: CallId) {
        let Some((_, gone)) = self.calls.remove(&call) else { return };
        for leg in &gone.legs {
            self.legs.remove(leg);
        }
        self.held.fetch_sub(BASE + gone.trail.bytes(), Relaxed);
    }

    fn add_leg(&self, call: CallId, leg: LegId) {
        let Some(mut traced) = self.calls.get_mut(&call) else { return };
        if !traced.legs.contains(&leg) {
            traced.legs.push(leg);
            self.legs.insert(leg, call);
        }
    }

    /// The entry is made only for a call that is here.
    fn take(&self, call: CallId, entry: impl FnOnce() -> Entry) {
        let Some(mut traced) = self.calls.get_mut(&call) else { return };
        let entry = entry();
        let is_message = matches!(entry.what, What::Message { .. });
        if is_message && self.held.load(Relaxed) >= self.limit {
            self.metrics.count(Counter::TraceNotesDropped);
            return traced.trail.drop_one();
        }
        let before = traced.trail.bytes();
        traced.trail.take(entry);
        let after = traced.trail.bytes();
        // The tail of a trail may lose more than it got.
        if after >= before {
            self.held.fetch_add(after - before, Relaxed);
        } else {
            self.held.fetch_sub(before - after, Relaxed);
        }
    }
}

impl TracePort for Tracer {
    fn note(&self, about: Subject, mut entry: Entry) {
        match about {
            Subject::Call(call) => self.take(call, || entry),
            Subject::Leg(leg) => {
                let Some(call) = self.legs.get(&leg).map(|call| *call) else { return };
                entry.leg = Some(leg);
                self.take(call, || entry);
            }
        }
    }

    fn follows(&self, leg: LegId) -> bool {
        self.legs.contains_key(&leg)
    }

    fn begin(&self, call: CallId, leg: LegId) {
        if self.held.load(Relaxed) >= self.limit {
            return self.metrics.count(Counter::TracesDropped);
        }
        if !self.calls.contains_key(&call) {
            self.calls.insert(call, Traced::default());
            self.held.fetch_add(BASE, Relaxed);
            self.add_leg(call, leg);
        }
    }

    fn end(&self, call: CallId) {
        let is_here = self.calls.get_mut(&call).map(|mut traced| traced.is_over = true).is_some();
        if !is_here {
            return;
        }
        let mut ended = self.ended.lock();
        if ended.len() < ENDED {
            return ended.push_back((self.clock.now().mono, call));
        }
        drop(ended);
        self.metrics.count(Counter::TracesDropped);
        self.forget(call);
    }
}

#[cfg(test)]
mod tests {
    use tandem_core::event::Context;
    use tandem_core::id::{NodeId, Tenant};
    use tandem_core::party::{Identity, Party, TrunkName};
    use tandem_core::time::WallTime;
    use tandem_core::trace::{LIMIT, Way};
    use uuid::Uuid;

    use super::*;

    fn call(n: u128) -> CallId {
        CallId::from_uuid(Uuid::from_u128(n))
    }

    fn leg(n: u128) -> LegId {
        LegId::from_uuid(Uuid::from_u128(n))
    }

    fn party() -> Party {
        let identity = Identity::Trunk { trunk: TrunkName("world".into()) };
        Party { number: String::from("1001").into(), name: None, identity }
    }

    fn fact(n: u128, number: u32, body: FactBody) -> Fact {
        let context = Context {
            tenant: Tenant::default_tenant(),
            correlation_id: CorrelationId::from_uuid(Uuid::from_u128(n)),
            node: NodeId::from_uuid(Uuid::from_u128(1)),
        };
        Fact { context, call: call(n), number, at: WallTime(0), caused_by: None, sdp: Some("v=0".into()), body }
    }

    /// Call `n` with legs `n` and `n + 1`, which has begun.
    fn begin(tracer: &Tracer, n: u128) {
        tracer.begin(call(n), leg(n));
        let (caller, dialled) = (party(), String::from("1002").into());
        tracer.hear(&fact(n, 1, FactBody::Started { leg_id: leg(n), caller, dialled }));
        tracer.hear(&fact(n, 2, FactBody::Dialled { leg_id: leg(n + 1), callee: party(), route: None }));
    }

    fn say(tracer: &Tracer, n: u128, size: usize) {
        let line = "x".repeat(size);
        tracer.note(Subject::Leg(leg(n)), Entry::of_api(WallTime(1), Way::In, &line, None));
    }

    fn tracer(limit: usize) -> (Tracer, Arc<Metrics>) {
        let metrics = Arc::new(Metrics::default());
        (Tracer::new(limit, Clock::start(), metrics.clone()), metrics)
    }

    #[tokio::test]
    async fn what_is_noted_of_a_leg_is_told_of_its_call_and_of_no_other() {
        let (tracer, _) = tracer(1 << 20);
        begin(&tracer, 10);
        begin(&tracer, 20);
        [10, 11, 11, 20, 99].into_iter().for_each(|n| say(&tracer, n, 1));
        let story = tracer.story(call(10)).unwrap();
        let legs: Vec<_> = story.entries.iter().filter_map(|entry| entry.leg).collect();
        assert_eq!(legs, [leg(10), leg(11), leg(11)]);
        assert_eq!(story.entries.len(), 5);
        assert_eq!(tracer.legs_of(call(20)), [leg(20), leg(21)]);
        assert_eq!(tracer.correlated(CorrelationId::from_uuid(Uuid::from_u128(20))), [call(20)]);
        assert!(tracer.follows(leg(21)) && !tracer.follows(leg(99)));
        assert_eq!(tracer.story(call(99)), None);
        let text = serde_json::to_string(&story).unwrap();
        assert!(!text.contains("v=0"), "a fact's session description belongs to its row: {text}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_ended_waits_to_be_written_and_nothing_is_left_of_it_then() {
        let (tracer, _) = tracer(1 << 20);
        for n in [10, 20] {
            begin(&tracer, n);
            tracer.end(call(n));
            tokio::time::advance(Duration::from_secs(2)).await;
        }
        tracer.end(call(30));
        let seconds = Duration::from_secs;
        assert_eq!(tracer.ended(seconds(3), 9), [call(10)]);
        assert_eq!(tracer.ended(seconds(0), 1), [call(10)]);
        assert_eq!(tracer.ended(seconds(0), 9), [call(10), call(20)]);
        assert!(tracer.story(call(20)).unwrap().is_over);
        say(&tracer, 21, 5);
        tracer.forget_ended(9);
        assert_eq!((tracer.calls.len(), tracer.legs.len(), tracer.held.load(Relaxed)), (0, 0, 0));
        assert_eq!(tracer.ended(seconds(0), 9), []);
    }

    #[tokio::test]
    async fn all_calls_together_take_no_more_than_they_may() {
        let (tracer, metrics) = tracer(LIMIT);
        for n in (0..4_000).step_by(10) {
            begin(&tracer, n);
            (0..50).for_each(|_| say(&tracer, n, 500));
        }
        let held = tracer.held.load(Relaxed);
        assert!(held < LIMIT + 4_096, "{held}");
        let traced = tracer.calls.len() as u64;
        assert_eq!(metrics.counter(Counter::TracesDropped), 400 - traced);
        assert!(metrics.counter(Counter::TraceNotesDropped) > 0);
        assert!(traced > 0 && tracer.legs.len() == 2 * tracer.calls.len());
    }

    #[tokio::test]
    async fn calls_that_nobody_writes_are_forgotten_in_the_end() {
        let (tracer, metrics) = tracer(1 << 30);
        let calls = ENDED as u128 + 5;
        for n in 0..calls {
            tracer.begin(call(n), leg(n));
            tracer.end(call(n));
        }
        assert_eq!(tracer.calls.len(), ENDED);
        assert_eq!(metrics.counter(Counter::TracesDropped), 5);
    }
}
