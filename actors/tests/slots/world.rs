//! The world of the tests: a recording port that drops repeats by number, and that can be full, break or stall.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use ractor::{Actor, ActorRef};
use tandem_actors::Clock;
use tandem_actors::directory::{Directory, Handle, Limits};
use tandem_actors::ports::{Fault, FaultPoint, Ports};
use tandem_actors::root::{Listen, Root};
use tandem_actors::slot::{SendError, Slot};
use tandem_core::machine::{Exit, Machine, Refusal, Stamp};
use tandem_core::metric::{Counter, Gauge, Metrics};

use super::toy::{Call, CallEffect, CallId, CallInput, Leg, LegEffect, LegId, LegInput};

#[derive(Default)]
pub struct World {
    calls: OnceLock<Arc<Directory<Call>>>,
    legs: OnceLock<Arc<Directory<Leg>>>,
    pub metrics: Arc<Metrics>,
    pub taken: Mutex<HashMap<LegId, Taken>>,
    pub bills: Mutex<Vec<CallEffect>>,
    pub gone: Mutex<Vec<(LegId, Exit)>>,
    /// How often a shell was woken.
    pub wakes: AtomicU64,
    /// One effect in so many is taken, and then the port panics. 0: none.
    pub break_after_taking: AtomicU32,
    /// One effect in so many takes 50 µs. 0: none.
    pub slow: AtomicU32,
    pub full: Mutex<HashSet<LegId>>,
    /// How often the port is to panic before it takes something.
    pub broken: Mutex<HashMap<LegId, u32>>,
    pub faults: Mutex<HashMap<(LegId, Point), u32>>,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Point {
    PanicAtStart,
    HangAtWake,
}

/// What a receiver of effects keeps of each sender: one number.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    pub effects: Vec<LegEffect>,
    pub next: u64,
    pub repeats: u64,
    pub holes: u64,
}

fn one_in(odds: &AtomicU32) -> bool {
    let odds = odds.load(Relaxed);
    odds != 0 && rand::random_range(0..odds) == 0
}

impl Ports<Leg> for World {
    fn perform(&self, stamp: Stamp<LegId>, effect: LegEffect) -> Result<(), Refusal> {
        if one_in(&self.slow) {
            std::thread::sleep(Duration::from_micros(50));
        }
        if self.full.lock().contains(&stamp.from) {
            return Err(Refusal::Full);
        }
        assert!(!count_down(&self.broken, stamp.from), "test: broken port");
        {
            let mut taken = self.taken.lock();
            let taken = taken.entry(stamp.from).or_default();
            if stamp.number < taken.next {
                taken.repeats += 1;
            } else {
                taken.holes += u64::from(stamp.number > taken.next);
                taken.next = stamp.number + 1;
                taken.effects.push(effect);
            }
        }
        if let LegEffect::Tell(news) = effect {
            let call = self.legs().find(stamp.from).map(|leg| leg.slot().view(|leg| leg.call));
            let call = call.and_then(|call| self.calls().find(call)).ok_or(Refusal::Gone)?;
            call.send(CallInput::Leg(stamp, news)).map_err(Refusal::from)?;
        }
        assert!(!one_in(&self.break_after_taking), "test: port broke after taking");
        Ok(())
    }

    fn gone(&self, id: LegId, last: &Leg, exit: Exit) {
        self.gone.lock().push((id, exit));
        if let (Exit::GivenUp, Some(call)) = (exit, self.calls().find(last.call)) {
            call.slot().notify(CallInput::LegLost(id));
        }
    }

    fn fault(&self, id: LegId, at: FaultPoint) -> Fault {
        self.wakes.fetch_add(u64::from(at == FaultPoint::Wake), Relaxed);
        let (point, fault) = match at {
            FaultPoint::Start => (Point::PanicAtStart, Fault::Panic),
            FaultPoint::Wake => (Point::HangAtWake, Fault::Hang),
        };
        if count_down(&self.faults, (id, point)) { fault } else { Fault::None }
    }
}

fn count_down<K: Eq + Hash>(left: &Mutex<HashMap<K, u32>>, key: K) -> bool {
    left.lock().get_mut(&key).filter(|left| **left > 0).map(|left| *left -= 1).is_some()
}

impl Ports<Call> for World {
    fn perform(&self, stamp: Stamp<CallId>, effect: CallEffect) -> Result<(), Refusal> {
        match effect {
            CallEffect::Open(id) => {
                self.legs().open(id, Leg::new(stamp.from)).send(LegInput::Dial).map_err(Refusal::from)
            }
            CallEffect::Hangup(id) => {
                self.legs().find(id).ok_or(Refusal::Gone)?.send(LegInput::Hangup).map_err(Refusal::from)
            }
            CallEffect::Bill { .. } => {
                self.bills.lock().push(effect);
                Ok(())
            }
        }
    }

    fn gone(&self, _: CallId, _: &Call, _: Exit) {}
}

impl World {
    /// A world without actors.
    pub fn asleep(limits: Limits) -> Arc<Self> {
        quiet();
        let world = Arc::new(Self::default());
        let (clock, metrics) = (Clock::start(), world.metrics.clone());
        let calls = Directory::new(world.clone(), clock.clone(), metrics.clone(), limits, Gauge::CallsActive);
        let _ = world.calls.set(calls);
        let _ = world.legs.set(Directory::new(world.clone(), clock, metrics, limits, Gauge::LegsActive));
        world
    }

    pub async fn start(limits: Limits) -> Arc<Self> {
        let world = Self::asleep(limits);
        world.wake_up().await;
        world
    }

    pub async fn wake_up(&self) {
        Actor::spawn(None, Root(self.calls().clone()), ()).await.unwrap();
        self.wake_legs().await;
    }

    pub async fn wake_legs(&self) -> ActorRef<Listen> {
        Actor::spawn(None, Root(self.legs().clone()), ()).await.unwrap().0
    }

    pub fn calls(&self) -> &Arc<Directory<Call>> {
        self.calls.get().unwrap()
    }

    pub fn legs(&self) -> &Arc<Directory<Leg>> {
        self.legs.get().unwrap()
    }

    /// A call with these legs, all dialled.
    pub fn call(&self, id: u64, legs: &[u64]) -> (Handle<Call>, Vec<LegId>) {
        let call = self.calls().open(CallId(id), Call::default());
        let legs: Vec<_> = legs.iter().map(|leg| LegId(*leg)).collect();
        legs.iter().for_each(|leg| call.send(CallInput::Dial(*leg)).unwrap());
        (call, legs)
    }

    pub fn leg(&self, id: LegId) -> Handle<Leg> {
        self.legs().find(id).unwrap()
    }

    pub fn counted(&self, what: Counter) -> u64 {
        self.metrics.counter(what)
    }

    pub fn taken(&self, id: LegId) -> Taken {
        self.taken.lock().get(&id).cloned().unwrap_or_default()
    }
}

/// Until nothing waits in the slot.
pub async fn settled<M: Machine>(slot: &Slot<M>) {
    until(|| slot.backlog() == 0).await;
}

pub async fn until(happened: impl Fn() -> bool) {
    for _ in 0..20_000 {
        if happened() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("does not happen");
}

/// Sends, and waits when the inbox is full.
pub async fn send(leg: &Handle<Leg>, mut input: LegInput) {
    loop {
        input = match leg.send(input) {
            Ok(()) => return,
            Err(SendError::Full(back)) => back,
            Err(SendError::Gone(_)) => panic!("gone"),
        };
        tokio::task::yield_now().await;
    }
}

pub fn kill<M: Machine>(slot: &Slot<M>) {
    if let Some(shell) = slot.shell() {
        shell.kill();
    }
}

/// Panics that the tests make on purpose are not worth a backtrace each.
fn quiet() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let text = info.payload_as_str().unwrap_or_default();
            if !text.starts_with("test:") && !text.starts_with("drill:") {
                loud(info);
            }
        }));
    });
}
