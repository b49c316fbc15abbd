//! Whole calls from INVITE to BYE, SIP bytes in and out, without a socket: what one costs, and what of that is supervision.
//!
//! ```text
//!  phones ──bytes──▶ border ──▶ calls ──▶ ledger (journal, SQLite, outbox, bus)
//!     ◀───bytes────────┘   ◀──────┘
//! ```
//! Twice the same, but for *calls*: once the actors (slots, shells, supervisors), once the bare machines of core, each
//! input handled at once in the thread that brings it, nothing cloned, numbered for a restart, or guarded.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use tandem_actors::rooms::Policy;
use tandem_actors::{Auditor, Calls, Clock, Node, Outside, Rooms};
use tandem_core::account::{Account, Accounts};
use tandem_core::call::{Call, CallEffect, CallInput, NewCall};
use tandem_core::cause::Cause;
use tandem_core::id::{CallId, LegId, NodeId, Tenant, TrackId};
use tandem_core::leg::{Leg, LegEffect, LegInput};
use tandem_core::machine::{Machine as _, Refusal, Stamp};
use tandem_core::media::{Carrier, LocalMedia, MediaCommand};
use tandem_core::metric::{Counter, Metrics};
use tandem_core::party::{Address, Identity, Party, Target, TrunkName};
use tandem_core::ports::{AccountPort, CallPort, MediaPort, PlanPort};
use tandem_core::quality::MediaReport;
use tandem_core::routing::Query;
use tandem_core::tenancy::OneTenant;
use tandem_core::trace::Untraced;
use tandem_core::track::{Track, TrackEffect, TrackInput};
use tandem_sip::config::TrunkConfig;
use tandem_sip::{Deps, Registrar, Sip, SipConfig};
use tandem_storage::{Bus, Config, Ledger, Storage};
use tokio::sync::Notify;
use uuid::Uuid;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Calls of one measurement, and how many of them are under way at a time.
const CALLS: u64 = 10_000;
const AT_A_TIME: u64 = 50;

/// Measurements of each kind, in turn; the best counts.
const ROUNDS: usize = 3;

const CALLER: SocketAddr = address(10, 5060);
const CALLEE: SocketAddr = address(20, 5060);
const US: SocketAddr = address(1, 5060);

const fn address(last: u8, port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, last)), port)
}

/// Who decides about calls.
#[derive(Clone, Copy)]
enum Kind {
    Supervised,
    Bare,
}

/// What it took.
#[derive(Clone, Copy)]
struct Cost {
    /// Of all threads of the process, per call.
    cpu: Duration,
    /// Per call.
    wall: Duration,
}

#[expect(clippy::print_stdout, reason = "a bench reports there")]
fn main() {
    let mut best = [None; 2];
    for _ in 0..ROUNDS {
        for (kind, best) in [Kind::Supervised, Kind::Bare].into_iter().zip(&mut best) {
            let cost = measure(kind);
            let is_better = best.is_none_or(|best: Cost| cost.cpu < best.cpu);
            *best = if is_better { Some(cost) } else { *best };
        }
    }
    for (name, cost) in ["supervised", "bare"].iter().zip(best).filter_map(|(name, cost)| Some((name, cost?))) {
        let (cpu, wall) = (cost.cpu.as_secs_f64(), cost.wall.as_secs_f64());
        println!(
            "setup_rate: {name}: {:.0} µs of CPU a call, {:.0} calls per core-second; {:.0} calls/s in real time",
            cpu * 1e6,
            1.0 / cpu,
            1.0 / wall
        );
        println!(r#"{{"bench":"setup_rate","calls":"{name}","cpu_us_per_call":{:.1}}}"#, cpu * 1e6);
    }
    if let [Some(supervised), Some(bare)] = best {
        let more = supervised.cpu.saturating_sub(bare.cpu);
        println!(
            "setup_rate: supervision: {} µs of CPU a call, {:.0} % of the whole",
            more.as_micros(),
            100.0 * more.as_secs_f64() / supervised.cpu.as_secs_f64()
        );
    }
}

/// One thread for everything but what SQLite does by itself, so that nothing is paid for thread switches that a busy node
/// would not pay.
#[expect(clippy::expect_used, reason = "a bench that cannot begin says so")]
fn measure(kind: Kind) -> Cost {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(run(kind)).expect("a node")
}

async fn run(kind: Kind) -> Result<Cost, Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let (metrics, clock) = (Arc::new(Metrics::default()), Clock::start());
    let config = Config { data_dir: folder.path().to_owned(), ..Config::default() };
    let storage = Storage::open(&config, metrics.clone()).await?;
    let bus = Bus::new(config.bus_capacity, metrics.clone());
    let ledger = Ledger::open(storage, bus.clone())?;
    let media: Arc<dyn MediaPort> = Arc::new(NoMedia);
    let plan: Arc<dyn PlanPort> = Arc::new(OneWay::default());

    let rate = std::num::NonZeroU32::MAX;
    let limits = tandem_actors::Config {
        max_calls: MAX_CALLS,
        calls_per_second: rate,
        tenant_calls_per_second: rate,
        trunk_calls_per_second: rate,
        shards: std::num::NonZeroU8::MIN,
        ..Default::default()
    };
    let rooms = Rooms::new(Policy::default(), clock.clone(), &metrics);
    let supervised = Calls::new(&limits, clock.clone(), metrics.clone());
    let bare = Arc::new(Bare::new(clock.clone()));
    let calls: Arc<dyn CallPort> = match kind {
        Kind::Supervised => supervised.clone(),
        Kind::Bare => bare.clone(),
    };
    let phones = Arc::new(Phones::default());
    let sip = border(calls, ledger.clone(), &metrics, &clock, phones.clone())?;
    let (edge, trace) = (Arc::new(sip.clone()), Arc::new(Untraced));
    let outside = Outside { edge, media, ledger: ledger.clone(), bus, plan, trace };
    match kind {
        Kind::Supervised => supervised.connect(outside),
        Kind::Bare => drop(bare.outside.set(outside)),
    }
    let node = Node::start(supervised, rooms, Vec::new()).await?;
    let (shard, writer, relay) = (sip.clone(), ledger.clone(), ledger);
    let tasks = [
        tokio::spawn(async move { shard.run_shard(0).await }),
        tokio::spawn(async move { writer.write_loop().await }),
        tokio::spawn(async move { relay.relay_loop().await }),
    ];

    // The first calls fill caches and tables.
    phones.make(&sip, AT_A_TIME * 10).await;
    let published = || metrics.counter(Counter::FactsPublished);
    settle(&metrics).await;
    let (cpu, start, before) = (cpu_time()?, Instant::now(), published());
    phones.make(&sip, CALLS).await;
    let wall = start.elapsed();
    settle(&metrics).await;
    let cpu = cpu_time()?.saturating_sub(cpu);
    assert!(published() - before >= CALLS * 5, "every call has its facts");
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    node.stop(Duration::ZERO).await;
    let calls = u32::try_from(CALLS)?;
    Ok(Cost { cpu: cpu / calls, wall: wall / calls })
}

const MAX_CALLS: std::num::NonZeroUsize = std::num::NonZeroUsize::MAX;

/// Until everything that was written down is published.
async fn settle(metrics: &Metrics) {
    while metrics.counter(Counter::FactsPublished) < metrics.counter(Counter::FactsCommitted) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// User and system time of this process: fields 14 and 15 of its `stat`, in hundredths of a second.
fn cpu_time() -> std::io::Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(')').map(|it| it.1).unwrap_or_default();
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).filter_map(|it| it.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 10))
}

fn border(
    calls: Arc<dyn CallPort>,
    ledger: Arc<Ledger>,
    metrics: &Arc<Metrics>,
    clock: &Clock,
    phones: Arc<Phones>,
) -> Result<Sip, Box<dyn std::error::Error>> {
    let carrier = TrunkConfig {
        name: String::from("world"),
        tenant: Tenant::default_tenant(),
        sources: vec![CALLER.ip().to_string().parse()?, CALLEE.ip().to_string().parse()?],
        address: CALLEE,
        prefixes: vec![String::from("+")],
    };
    let config = SipConfig { shards: 1, trunk: vec![carrier], ..SipConfig::default() };
    let node = NodeId::from_uuid(Uuid::from_u128(1));
    let auditor = Auditor::new(ledger.clone(), node, clock.clone());
    let registrar = Registrar::new(config.registration.clone(), ledger, metrics.clone());
    let clock = clock.clone();
    let deps = Deps {
        calls,
        accounts: Arc::new(Nobody(Accounts::new(Vec::new()))),
        registrar: Arc::new(registrar),
        metrics: metrics.clone(),
        trace: Arc::new(Untraced),
        clock: Arc::new(move || clock.now()),
        tenants: Arc::new(OneTenant),
        auditor: Arc::new(auditor),
        node,
    };
    Ok(Sip::wired(config, deps, US, Arc::new(move |to, bytes| phones.hear(to, bytes)))?)
}

// ── phones ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/// Callers and callees. They do just what is needed, for their time counts too.
#[derive(Default)]
struct Phones {
    heard: Mutex<VecDeque<(SocketAddr, Bytes)>>,
    news: Notify,
    begun: AtomicU64,
}

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n\
                   m=audio 40000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n";

impl Phones {
    fn hear(&self, to: SocketAddr, bytes: &Bytes) {
        self.heard.lock().push_back((to, bytes.clone()));
        self.news.notify_one();
    }

    /// Makes calls until that many are over.
    async fn make(&self, sip: &Sip, calls: u64) {
        let (mut begun, mut over) = (0, 0);
        while over < calls {
            while begun < calls && begun - over < AT_A_TIME {
                begun += 1;
                sip.take(CALLER, self.invite());
            }
            let Some((to, bytes)) = self.heard.lock().pop_front() else {
                self.news.notified().await;
                continue;
            };
            let text = String::from_utf8_lossy(&bytes);
            over += u64::from(self.answer(sip, to, &text));
        }
    }

    /// Whether that was the end of a call.
    fn answer(&self, sip: &Sip, to: SocketAddr, text: &str) -> bool {
        let is_of_invite = header(text, "CSeq").ends_with("INVITE");
        if text.starts_with("INVITE") {
            let contact = format!("Contact: <sip:world@{CALLEE}>\r\nContent-Type: application/sdp\r\n");
            sip.take(to, response(text, &contact, SDP));
        } else if text.starts_with("BYE") {
            sip.take(to, response(text, "", ""));
        } else if text.starts_with("SIP/2.0 200") && is_of_invite {
            sip.take(to, request("ACK", 1, text));
            sip.take(to, request("BYE", 2, text));
        } else if text.starts_with("SIP/2.0 200") {
            return true;
        } else {
            assert!(text.starts_with("SIP/2.0 1") || text.starts_with("ACK"), "{text}");
        }
        false
    }

    fn invite(&self) -> Bytes {
        let n = self.begun.fetch_add(1, Relaxed);
        format!(
            "INVITE sip:+4930123456@{US} SIP/2.0\r\nVia: SIP/2.0/UDP {CALLER};branch=z9hG4bKi{n}\r\nMax-Forwards: 70\r\n\
             From: <sip:+4930654321@{CALLER}>;tag=c{n}\r\nTo: <sip:+4930123456@{US}>\r\nCall-ID: call-{n}\r\n\
             CSeq: 1 INVITE\r\nContact: <sip:caller@{CALLER}>\r\nContent-Type: application/sdp\r\n\
             Content-Length: {}\r\n\r\n{SDP}",
            SDP.len()
        )
        .into()
    }
}

/// 200 to a request.
fn response(request: &str, more: &str, body: &str) -> Bytes {
    let line = |name| header(request, name);
    let (via, from, to) = (line("Via"), line("From"), line("To"));
    let tag = if to.contains(";tag=") { "" } else { ";tag=callee" };
    format!(
        "SIP/2.0 200 OK\r\nVia: {via}\r\nFrom: {from}\r\nTo: {to}{tag}\r\nCall-ID: {}\r\nCSeq: {}\r\n{more}\
         Content-Length: {}\r\n\r\n{body}",
        line("Call-ID"),
        line("CSeq"),
        body.len()
    )
    .into()
}

/// A request of the caller in the dialog that this answer began.
fn request(method: &str, number: u32, answer: &str) -> Bytes {
    let line = |name| header(answer, name);
    let contact = line("Contact");
    let target = contact.split_once('<').and_then(|it| it.1.split_once('>')).map_or(contact, |it| it.0);
    let (call_id, from, to) = (line("Call-ID"), line("From"), line("To"));
    format!(
        "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {CALLER};branch=z9hG4bK{method}{call_id}\r\nMax-Forwards: 70\r\n\
         From: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {number} {method}\r\nContent-Length: 0\r\n\r\n"
    )
    .into()
}

/// The first value of a header, as our border writes its name.
fn header<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap_or_default()
}

// ── the world ────────────────────────────────────────────────────────────────────────────────────────────────────────

struct Nobody(Accounts);

impl AccountPort for Nobody {
    fn find(&self, tenant: &Tenant, user_name: &str) -> Option<Arc<Account>> {
        self.0.find(tenant, user_name).cloned()
    }
}

struct NoMedia;

impl MediaPort for NoMedia {
    fn open(&self, _: LegId, _: Carrier) -> Result<LocalMedia, Refusal> {
        Ok(LocalMedia::pair(address(1, 10_000), address(1, 10_001)))
    }

    fn command(&self, _: LegId, _: MediaCommand) -> Result<(), Refusal> {
        Ok(())
    }

    fn release(&self, _: LegId) {}

    fn report(&self, _: LegId) -> Option<MediaReport> {
        None
    }
}

/// Every number is the carrier's.
#[derive(Default)]
struct OneWay(AtomicU64);

impl PlanPort for OneWay {
    fn look_up(&self, query: &Query) -> Result<Vec<Target>, Cause> {
        let number = || query.dialled.clone();
        let minted = 0x5000_0000_0000 + u128::from(self.0.fetch_add(1, Relaxed));
        Ok(vec![Target {
            leg: LegId::from_uuid(Uuid::from_u128(minted)),
            party: Party {
                number: number(),
                name: None,
                identity: Identity::Trunk { trunk: TrunkName("world".into()) },
            },
            address: Address::Trunk { address: CALLEE, number: number(), prefix: None },
        }])
    }
}

// ── calls without actors ─────────────────────────────────────────────────────────────────────────────────────────────

/// The machines of core and what they want of the world, nothing else: whoever brings an input handles it.
struct Bare {
    clock: Clock,
    outside: OnceLock<Outside>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    calls: HashMap<CallId, Call>,
    legs: HashMap<LegId, (Leg, u64)>,
    tracks: HashMap<TrackId, Track>,
    /// What one machine has to say to another.
    said: VecDeque<Said>,
}

enum Said {
    Call(CallId, CallInput),
    Leg(LegId, LegInput),
    Track(TrackId, TrackInput),
}

impl CallPort for Bare {
    fn open_call(&self, call: NewCall) -> Result<(), Cause> {
        let (id, state) = (call.call, &mut *self.state.lock());
        state.calls.insert(id, Call::new(call));
        self.run(state, Said::Call(id, CallInput::Start));
        Ok(())
    }

    fn tell_leg(&self, leg: LegId, input: LegInput) -> Result<(), Refusal> {
        let state = &mut *self.state.lock();
        if !state.legs.contains_key(&leg) {
            return Err(Refusal::Gone);
        }
        self.run(state, Said::Leg(leg, input));
        Ok(())
    }

    fn track_lost(&self, _: TrackId) -> Result<(), Refusal> {
        Ok(())
    }
}

impl Bare {
    fn new(clock: Clock) -> Self {
        Self { clock, outside: OnceLock::new(), state: Mutex::default() }
    }

    fn run(&self, state: &mut State, first: Said) {
        state.said.push_back(first);
        while let Some(said) = state.said.pop_front() {
            match said {
                Said::Call(id, input) => self.call(state, id, input),
                Said::Leg(id, input) => self.leg(state, id, input),
                Said::Track(id, input) => self.track(state, id, input),
            }
        }
    }

    fn call(&self, state: &mut State, id: CallId, input: CallInput) {
        let (Some(call), Some(outside)) = (state.calls.get_mut(&id), self.outside.get()) else { return };
        let Ok(effects) = call.handle(self.clock.now(), input) else { return };
        let is_ended = call.is_ended();
        for effect in effects {
            match effect {
                CallEffect::OpenLeg(leg, id) => drop(state.legs.insert(id, (*leg, 0))),
                CallEffect::TellLeg(leg, input) => state.said.push_back(Said::Leg(leg, input)),
                CallEffect::LookUp(query) => {
                    let routed = CallInput::Routed(outside.plan.look_up(&query));
                    state.said.push_back(Said::Call(id, routed));
                }
                CallEffect::Commit(fact) => outside.ledger.commit(&fact),
                CallEffect::Publish(live) => outside.bus.publish(&live),
            }
        }
        if is_ended {
            state.calls.remove(&id);
        }
    }

    fn leg(&self, state: &mut State, id: LegId, input: LegInput) {
        let (Some((leg, number)), Some(outside)) = (state.legs.get_mut(&id), self.outside.get()) else { return };
        let Ok(effects) = leg.handle(self.clock.now(), input) else { return };
        let (is_ended, call, track) = (leg.is_ended(), leg.call(), leg.track());
        let first = *number;
        *number += effects.len() as u64;
        for (number, effect) in (first..).zip(effects) {
            let stamp = Stamp { from: id, number };
            match effect {
                LegEffect::OpenMedia(carrier) => {
                    if let Ok(local) = outside.media.open(id, carrier) {
                        state.said.push_back(Said::Leg(id, LegInput::MediaReady(local)));
                    }
                }
                LegEffect::Media(command) => _ = outside.media.command(id, command),
                LegEffect::Signal(signal) => _ = outside.edge.signal(stamp, signal),
                LegEffect::OpenTrack(track) => drop(state.tracks.insert(track, Track::new(track, id))),
                LegEffect::TellTrack(track, input) => state.said.push_back(Said::Track(track, input)),
                LegEffect::TellCall(news) => state.said.push_back(Said::Call(call, CallInput::Leg(stamp, news))),
            }
        }
        if is_ended && state.legs.remove(&id).is_some() {
            state.said.push_back(Said::Track(track, TrackInput::End));
            outside.edge.release(id);
            outside.media.release(id);
        }
    }

    fn track(&self, state: &mut State, id: TrackId, input: TrackInput) {
        let (Some(track), Some(outside)) = (state.tracks.get_mut(&id), self.outside.get()) else { return };
        let Ok(effects) = track.handle(self.clock.now(), input) else { return };
        let (is_ended, leg) = (track.is_ended(), track.leg());
        for effect in effects {
            match effect {
                TrackEffect::Media(command) => _ = outside.media.command(leg, command),
                TrackEffect::TellLost => state.said.push_back(Said::Leg(leg, LegInput::TrackLost)),
            }
        }
        if is_ended {
            state.tracks.remove(&id);
        }
    }
}
