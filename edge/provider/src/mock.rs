//! A provider that calls nobody: every number has its script. For development and for tests of what happens when a
//! provider is busy, slow or broken.
//!
//! # Invariants
//! * The same number does the same every time.
//! * At most [`CAPACITY`] legs; beyond that an invitation is refused as [`Refusal::Full`].

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tandem_core::cause::Cause;
use tandem_core::id::LegId;
use tandem_core::leg::LegInput;
use tandem_core::machine::{Refusal, Stamp};
use tandem_core::media::{LocalMedia, MediaDescription};
use tandem_core::metric::{Fill, Queue, Queues};
use tandem_core::party::Address;
use tandem_core::ports::{CallPort, Dial, EdgePort, Signal};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tracing::debug;

use crate::VoipProvider;
use crate::script::{Act, script};

/// Most legs at once.
const CAPACITY: usize = 10_000;

/// How long the queue is slept over when nothing is due: the wake-up of an earlier entry comes by itself.
const IDLE: Duration = Duration::from_secs(60);

/// See the module. [`run`](Self::run) must be running for anything to happen.
pub struct Mock {
    calls: Arc<dyn CallPort>,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    legs: HashMap<LegId, MediaDescription>,
    /// What is due, in order of time, and of invitation where that is the same.
    due: BTreeMap<(Instant, u64), (LegId, Act)>,
    number: u64,
}

impl Mock {
    /// One that tells these calls what happens.
    #[must_use]
    pub fn new(calls: Arc<dyn CallPort>) -> Arc<Self> {
        Arc::new(Self { calls, state: Mutex::default(), changed: Notify::new() })
    }

    /// Plays the scripts; never ends. What is due survives a run that was cut off.
    pub async fn run(&self) {
        loop {
            let next = self.play(Instant::now());
            tokio::select! {
                () = sleep_until(next) => {}
                () = self.changed.notified() => {}
            }
        }
    }

    /// Does what is due, and says when to look again.
    fn play(&self, now: Instant) -> Instant {
        while let Some((leg, input)) = self.next_due(now) {
            debug!(leg_id = %leg, input = input.name(), "mock provider");
            // Whom it cannot reach has ended, or sheds load: then its own timers end it.
            let _ = self.calls.tell_leg(leg, input);
        }
        self.state.lock().due.keys().next().map_or(now + IDLE, |(at, _)| *at)
    }

    fn next_due(&self, now: Instant) -> Option<(LegId, LegInput)> {
        let mut state = self.state.lock();
        loop {
            let entry = state.due.first_entry().filter(|entry| entry.key().0 <= now)?;
            let (leg, act) = entry.remove();
            if let Some(answer) = state.legs.get(&leg) {
                return Some((leg, input(act, answer)));
            }
        }
    }

    fn dial(&self, leg: LegId, dial: &Dial) -> Result<(), Refusal> {
        let Address::Trunk { number, .. } = &dial.target.address else { return Err(Refusal::Gone) };
        let mut state = self.state.lock();
        if state.legs.len() >= CAPACITY {
            return Err(Refusal::Full);
        }
        // It takes what it is offered, and wants media nowhere.
        let answer = dial.offer.relayed_at(&LocalMedia::NOWHERE);
        if state.legs.insert(leg, answer).is_some() {
            return Ok(()); // said again
        }
        let now = Instant::now();
        for (after, act) in script(number.reveal()) {
            state.number += 1;
            let key = (now + after, state.number);
            state.due.insert(key, (leg, act));
        }
        drop(state);
        self.changed.notify_one();
        Ok(())
    }
}

impl Queues for Mock {
    fn queues(&self) -> Vec<(Queue, Fill)> {
        vec![(Queue::ProviderLegs, Fill { depth: self.state.lock().legs.len(), capacity: CAPACITY })]
    }
}

impl EdgePort for Mock {
    fn signal(&self, stamp: Stamp<LegId>, signal: Signal) -> Result<(), Refusal> {
        match signal {
            Signal::Invite(dial) => self.dial(stamp.from, &dial),
            Signal::Cancel(_) | Signal::Bye(_) | Signal::Reject(_) => {
                self.release(stamp.from);
                Ok(())
            }
            Signal::Offer(_) | Signal::Ring | Signal::Progress(_) | Signal::Answer(_) => Ok(()),
        }
    }

    fn release(&self, leg: LegId) {
        self.state.lock().legs.remove(&leg);
    }
}

impl VoipProvider for Mock {
    fn carries(&self, leg: LegId) -> bool {
        self.state.lock().legs.contains_key(&leg)
    }
}

fn input(act: Act, answer: &MediaDescription) -> LegInput {
    match act {
        Act::Ring => LegInput::Ringing,
        Act::Answer => LegInput::Answered(Arc::new(answer.clone())),
        Act::Refuse(cause) => LegInput::Refused { cause, status: None },
        Act::HangUp => LegInput::HungUp(Cause::Normal),
    }
}

#[cfg(test)]
mod tests {
    use tandem_core::call::NewCall;
    use tandem_core::event::Context;
    use tandem_core::id::{CallId, CorrelationId, NodeId, Tenant, TrackId};
    use tandem_core::party::{Identity, Party, Target, TrunkName};
    use uuid::Uuid;

    use super::*;

    #[derive(Default)]
    struct Told(Mutex<Vec<&'static str>>);

    impl CallPort for Told {
        fn open_call(&self, _: NewCall) -> Result<(), Cause> {
            Err(Cause::Overload)
        }

        fn tell_leg(&self, _: LegId, input: LegInput) -> Result<(), Refusal> {
            self.0.lock().push(input.name());
            Ok(())
        }

        fn track_lost(&self, _: TrackId) -> Result<(), Refusal> {
            Err(Refusal::Gone)
        }
    }

    fn leg(n: u128) -> LegId {
        LegId::from_uuid(Uuid::from_u128(n))
    }

    fn invite(number: &str) -> Signal {
        let id = Uuid::from_u128(7);
        let identity = Identity::Trunk { trunk: TrunkName("mock".into()) };
        let party = Party { number: number.to_owned().into(), name: None, identity };
        let address =
            Address::Trunk { address: ([0, 0, 0, 0], 0).into(), number: number.to_owned().into(), prefix: None };
        Signal::Invite(Arc::new(Dial {
            context: Context {
                tenant: Tenant::default_tenant(),
                correlation_id: CorrelationId::from_uuid(id),
                node: NodeId::from_uuid(id),
            },
            call: CallId::from_uuid(id),
            caller: party.clone(),
            target: Target { leg: leg(1), party, address },
            offer: Arc::new(MediaDescription::basic(&LocalMedia::NOWHERE)),
            max_forwards: 69,
        }))
    }

    async fn played(number: &str, seconds: u64, then: impl FnOnce(&Mock)) -> Vec<&'static str> {
        let told = Arc::new(Told::default());
        let mock = Mock::new(told.clone());
        let stamp = Stamp { from: leg(1), number: 0 };
        mock.signal(stamp, invite(number)).unwrap();
        mock.signal(stamp, invite(number)).unwrap();
        then(&mock);
        let _ = tokio::time::timeout(Duration::from_secs(seconds), mock.run()).await;
        told.0.lock().clone()
    }

    #[tokio::test(start_paused = true)]
    async fn a_number_plays_its_script_once_however_often_it_is_invited() {
        assert_eq!(played("+15550000486", 5, |_| {}).await, ["ringing", "refused"]);
        assert_eq!(played("+15550001234", 5, |_| {}).await, ["ringing", "answered"]);
        assert_eq!(played("+15550000200", 5, |_| {}).await, ["ringing", "answered", "hung_up"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_leg_that_was_let_go_of_hears_nothing_more() {
        let stamp = Stamp { from: leg(1), number: 1 };
        let told = played("+15550001234", 5, |mock| mock.signal(stamp, Signal::Cancel(Cause::Cancelled)).unwrap());
        assert!(told.await.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn it_carries_a_leg_from_its_invitation_to_its_release() {
        let mock = Mock::new(Arc::new(Told::default()));
        assert!(!mock.carries(leg(1)));
        mock.signal(Stamp { from: leg(1), number: 0 }, invite("+15550001234")).unwrap();
        assert!(mock.carries(leg(1)));
        mock.release(leg(1));
        mock.release(leg(1));
        assert!(!mock.carries(leg(1)));
    }
}
