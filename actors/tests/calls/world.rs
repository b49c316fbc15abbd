//! The world of the tests: ports in memory that keep what they are told.

use std::collections::HashMap;
use std::num::NonZeroU8;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use tandem_actors::PartId;
use tandem_actors::drill::How;
use tandem_actors::rooms::Policy;
use tandem_actors::{Calls, Clock, Config, Group, Node, Outside, Rooms, Service, ServiceError};
use tandem_core::call::NewCall;
use tandem_core::cause::Cause;
use tandem_core::cdr::Cdr;
use tandem_core::event::{Context, Fact, FactBody, Live};
use tandem_core::id::{CallId, CorrelationId, LegId, NodeId, Tenant};
use tandem_core::leg::{LegInput, Negotiation};
use tandem_core::location::BindingChange;
use tandem_core::machine::{Refusal, Stamp};
use tandem_core::media::{Carrier, LocalMedia, MediaCommand, MediaDescription};
use tandem_core::metric::{Gauge, Metrics};
use tandem_core::party::{Address, Identity, Party, Target, TrunkName};
use tandem_core::ports::{BusPort, CallPort, EdgePort, LedgerPort, MediaPort, PlanPort, Signal};
use tandem_core::quality::MediaReport;
use tandem_core::routing::Query;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub struct World {
    pub calls: Arc<Calls>,
    pub node: Node,
    pub metrics: Arc<Metrics>,
    pub outside: Arc<Recorder>,
}

#[derive(Default)]
pub struct Recorder {
    signals: Mutex<HashMap<LegId, Vec<Signal>>>,
    /// Highest number taken of each leg.
    taken: Mutex<HashMap<LegId, u64>>,
    released: Mutex<Vec<LegId>>,
    facts: Mutex<HashMap<CallId, Vec<Fact>>>,
    pub live: Mutex<Vec<Live>>,
    media: Mutex<HashMap<LegId, Vec<MediaCommand>>>,
    ports: AtomicU16,
    /// No port pair is left.
    pub is_media_full: AtomicBool,
    /// Nobody has the number.
    pub knows_nobody: AtomicBool,
    /// How often the ledger is to break over a fact: after it took it.
    pub ledger_breaks: AtomicU64,
    /// How often the media pool is to break over a command of a leg, before it takes it.
    pub media_breaks: Mutex<HashMap<LegId, AtomicU64>>,
    minted: AtomicU64,
    /// How many devices the callee has, less one.
    pub more_devices: AtomicU64,
}

impl EdgePort for Recorder {
    fn signal(&self, stamp: Stamp<LegId>, signal: Signal) -> Result<(), Refusal> {
        let mut taken = self.taken.lock();
        if taken.get(&stamp.from).is_none_or(|highest| *highest < stamp.number) {
            taken.insert(stamp.from, stamp.number);
            self.signals.lock().entry(stamp.from).or_default().push(signal);
        }
        Ok(())
    }

    fn release(&self, leg: LegId) {
        self.released.lock().push(leg);
    }
}

impl MediaPort for Recorder {
    fn open(&self, _: LegId, _: Carrier) -> Result<LocalMedia, Refusal> {
        if self.is_media_full.load(Relaxed) {
            return Err(Refusal::Full);
        }
        Ok(local(10_000 + 2 * self.ports.fetch_add(1, Relaxed)))
    }

    fn command(&self, owner: LegId, command: MediaCommand) -> Result<(), Refusal> {
        self.media_breaks.lock().get(&owner).into_iter().for_each(count_down);
        self.media.lock().entry(owner).or_default().push(command);
        Ok(())
    }

    fn release(&self, _: LegId) {}

    fn report(&self, _: LegId) -> Option<MediaReport> {
        None
    }
}

impl LedgerPort for Recorder {
    fn audit(&self, _: &tandem_core::audit::AuditEvent) {}

    fn commit(&self, fact: &Fact) {
        let mut facts = self.facts.lock();
        let facts = facts.entry(fact.call).or_default();
        if facts.iter().all(|known| known.number != fact.number) {
            facts.push(fact.clone());
        }
        count_down(&self.ledger_breaks);
    }

    fn bind(&self, _: &BindingChange) {}
}

impl BusPort for Recorder {
    fn publish(&self, event: &Live) {
        self.live.lock().push(event.clone());
    }
}

impl PlanPort for Recorder {
    fn look_up(&self, _: &Query) -> Result<Vec<Target>, Cause> {
        if self.knows_nobody.load(Relaxed) {
            return Err(Cause::UnknownNumber);
        }
        Ok((0..=self.more_devices.load(Relaxed)).map(|_| self.target()).collect())
    }
}

impl Recorder {
    fn target(&self) -> Target {
        let leg = LegId::from_uuid(Uuid::from_u64_pair(2, self.minted.fetch_add(1, Relaxed)));
        let (address, number) = ("127.0.0.1:5070".parse().unwrap(), CALLEE.to_owned().into());
        let address = Address::Trunk { address, number, prefix: None };
        Target { leg, party: party(CALLEE), address }
    }

    pub fn signals(&self, leg: LegId) -> Vec<Signal> {
        self.signals.lock().get(&leg).cloned().unwrap_or_default()
    }

    pub fn commands(&self, leg: LegId) -> Vec<MediaCommand> {
        self.media.lock().get(&leg).cloned().unwrap_or_default()
    }

    pub fn is_released(&self, leg: LegId) -> bool {
        self.released.lock().contains(&leg)
    }

    pub fn facts(&self, call: CallId) -> Vec<Fact> {
        self.facts.lock().get(&call).cloned().unwrap_or_default()
    }

    /// Names of a call's facts; they must be numbered without a gap.
    pub fn story(&self, call: CallId) -> Vec<&'static str> {
        let facts = self.facts(call);
        assert!(facts.iter().map(|fact| fact.number).eq(1..=facts.len() as u32), "{facts:?}");
        facts.iter().map(|fact| fact.body.name()).collect()
    }

    /// The record of a call that is over.
    pub fn cdr(&self, call: CallId) -> Cdr {
        let cdrs = self.facts(call).into_iter().filter_map(|fact| match fact.body {
            FactBody::CdrClosed(cdr) => Some(*cdr),
            _ => None,
        });
        let [cdr] = <[Cdr; 1]>::try_from(cdrs.collect::<Vec<_>>()).expect("one record");
        cdr
    }
}

/// Numbers that no log may show.
pub const CALLER: &str = "+4930111111";
pub const CALLEE: &str = "+4930222222";

/// Runs until told to stop.
struct Idle(&'static str);

impl Service for Idle {
    fn name(&self) -> &str {
        self.0
    }

    async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<(), ServiceError> {
        stop.cancelled().await;
        Ok(())
    }
}

/// A call and its caller's leg.
#[derive(Clone, Copy)]
pub struct Ids {
    pub call: CallId,
    pub caller: LegId,
}

impl World {
    pub async fn start() -> Self {
        Self::with(&Config { shards: NonZeroU8::new(3).unwrap(), ..Config::default() }).await
    }

    /// With groups of services that only run.
    pub async fn with_services() -> Self {
        let edges = Group::new("edges").with(Arc::new(Idle("sip.0"))).with(Arc::new(Idle("http")));
        let ledger = Group::new("ledger").with(Arc::new(Idle("ledger.writer")));
        Self::of(&Config { shards: NonZeroU8::new(3).unwrap(), ..Config::default() }, vec![ledger, edges]).await
    }

    pub async fn with(config: &Config) -> Self {
        Self::of(config, Vec::new()).await
    }

    async fn of(config: &Config, groups: Vec<Group>) -> Self {
        quiet();
        let metrics = Arc::<Metrics>::default();
        let clock = Clock::start();
        let calls = Calls::new(config, clock.clone(), metrics.clone());
        let rooms = Rooms::new(Policy { shards: config.shards, ..Policy::default() }, clock, &metrics);
        let outside = Arc::<Recorder>::default();
        calls.connect(Outside {
            edge: outside.clone(),
            media: outside.clone(),
            ledger: outside.clone(),
            bus: outside.clone(),
            trace: Arc::new(tandem_core::trace::Untraced),
            plan: outside.clone(),
        });
        let node = Node::start(calls.clone(), rooms, groups).await.unwrap();
        Self { calls, node, metrics, outside }
    }

    /// A caller comes in.
    pub fn call(&self, n: u64) -> Result<Ids, Cause> {
        let ids = ids(n);
        self.calls.open_call(new_call(ids)).map(|()| ids)
    }

    /// The callee's first leg, once it was invited.
    pub async fn callee(&self, call: CallId) -> LegId {
        let dialled = || {
            self.outside.facts(call).iter().find_map(|fact| match fact.body {
                FactBody::Dialled { leg_id, .. } => Some(leg_id),
                _ => None,
            })
        };
        until(|| dialled().is_some_and(|leg| !self.outside.signals(leg).is_empty())).await;
        dialled().unwrap()
    }

    pub fn tell(&self, leg: LegId, input: LegInput) {
        self.calls.tell_leg(leg, input).unwrap();
    }

    /// A call whose parties talk, and its callee.
    pub async fn talking(&self, n: u64) -> (Ids, LegId) {
        let ids = self.call(n).unwrap();
        let callee = self.callee(ids.call).await;
        self.tell(callee, LegInput::Ringing);
        self.tell(callee, LegInput::Answered(answer()));
        until(|| matches!(self.outside.signals(ids.caller).last(), Some(Signal::Answer(_)))).await;
        (ids, callee)
    }

    /// Breaks an actor, and waits until another is in its place.
    pub async fn break_actor(&self, who: PartId, how: How) {
        let before = self.restarts();
        until(|| self.calls.break_actor(who, how)).await;
        until(|| self.restarts() > before).await;
    }

    pub fn restarts(&self) -> u64 {
        use tandem_core::metric::Counter::{ShellsRestarted, SlotsGivenUp};
        self.metrics.counter(ShellsRestarted) + self.metrics.counter(SlotsGivenUp)
    }

    /// Until no call, leg or track is left, and nobody holds a permit.
    pub async fn until_empty(&self) {
        self.until_empty_within(20).await;
    }

    pub async fn until_empty_within(&self, seconds: u64) {
        let gauges = [Gauge::CallsActive, Gauge::LegsActive, Gauge::TracksActive];
        until_within(seconds, || gauges.iter().all(|gauge| self.metrics.gauge(*gauge) == 0)).await;
        assert_eq!(self.calls.door().calls(), 0);
    }
}

pub fn ids(n: u64) -> Ids {
    Ids { call: CallId::from_uuid(Uuid::from_u64_pair(0, n)), caller: LegId::from_uuid(Uuid::from_u64_pair(1, n)) }
}

pub fn new_call(ids: Ids) -> NewCall {
    let context = Context {
        tenant: Tenant::default_tenant(),
        correlation_id: CorrelationId::from_uuid(ids.call.uuid()),
        node: NodeId::from_uuid(Uuid::nil()),
    };
    NewCall {
        call: ids.call,
        leg: ids.caller,
        context,
        caller: party(CALLER),
        dialled: CALLEE.to_owned().into(),
        negotiation: Negotiation::Offered(answer()),
        max_forwards: 69,
        ring_timeout: Duration::from_secs(90),
    }
}

fn party(number: &str) -> Party {
    let identity = Identity::Trunk { trunk: TrunkName("test".into()) };
    Party { number: number.to_owned().into(), name: None, identity }
}

fn local(port: u16) -> LocalMedia {
    LocalMedia::pair(([127, 0, 0, 1], port).into(), ([127, 0, 0, 1], port + 1).into())
}

/// Breaks as often as it was told to.
fn count_down(breaks: &AtomicU64) {
    let left = breaks.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
    assert!(left.is_err(), "drill: broken port");
}

/// What phones offer and answer here.
pub fn answer() -> Arc<MediaDescription> {
    Arc::new(MediaDescription::basic(&local(40_000)))
}

pub async fn until(happened: impl Fn() -> bool) {
    until_within(20, happened).await;
}

async fn until_within(seconds: u64, happened: impl Fn() -> bool) {
    for _ in 0..seconds * 1_000 {
        if happened() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("does not happen");
}

/// Panics that the tests make on purpose are not worth a backtrace each.
fn quiet() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !info.payload_as_str().is_some_and(|text| text.starts_with("drill:")) {
                loud(info);
            }
        }));
    });
}
