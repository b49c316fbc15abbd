//! A small world for the tests: one shard, core's own call and leg machines behind it, and phones that are only
//! addresses. Time is a number.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tandem_actors::{Auditor, Clock};
use tandem_core::account::{Account, Accounts, Ha1};
use tandem_core::call::{Call, CallEffect, CallInput, NewCall};
use tandem_core::cause::Cause;
use tandem_core::event::Fact;
use tandem_core::id::{CallId, DeviceId, LegId, NodeId, Tenant, TrackId, UserId};
use tandem_core::leg::{Leg, LegEffect, LegInput};
use tandem_core::location::{Binding, BindingChange, Flow, Transport};
use tandem_core::machine::{Machine, Notice, Refusal, Stamp};
use tandem_core::media::LocalMedia;
use tandem_core::metric::{Counter, Gauge, Metrics};
use tandem_core::party::{Address, Identity, Party, Target, TrunkName};
use tandem_core::ports::{AccountPort, CallPort, LedgerPort, Signal};
use tandem_core::tenancy::OneTenant;
use tandem_core::time::{Now, Timestamp, WallTime};
use uuid::Uuid;

use crate::addresses::Addresses;
use crate::config::SipConfig;
use crate::digest::Digest;
use crate::inbox::Input;
use crate::message::{Message, Start};
use crate::registrar::Registrar;
use crate::shard::Shard;
use crate::shared::Shared;

/// The caller. It is a trunk, so that nobody asks it for a password.
pub(crate) const A: &str = "192.0.2.10:5060";
/// A callee.
pub(crate) const B: &str = "192.0.2.20:5060";
/// Another device of the callee.
pub(crate) const C: &str = "192.0.2.30:5060";
/// A stranger.
pub(crate) const X: &str = "203.0.113.66:5060";
/// We.
pub(crate) const US: &str = "198.51.100.1:5060";

/// See the module.
pub(crate) struct World {
    pub(crate) now: Now,
    pub(crate) shard: Shard,
    pub(crate) shared: Arc<Shared>,
    pub(crate) switch: Arc<Switch>,
    pub(crate) ledger: Arc<Notes>,
    inboxes: HashMap<SocketAddr, VecDeque<Message>>,
    /// Every byte that was sent to an address.
    pub(crate) sent: HashMap<SocketAddr, Vec<u8>>,
    pub(crate) ladder: String,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut SipConfig)) -> Self {
        Self::of(&["1001", "1002"], change)
    }

    /// These users, with their names as passwords.
    pub(crate) fn with_people(users: &[&str]) -> Self {
        Self::of(users, |_| {})
    }

    fn of(users: &[&str], change: impl FnOnce(&mut SipConfig)) -> Self {
        let trunk = crate::config::TrunkConfig {
            name: String::from("a"),
            tenant: Tenant::default_tenant(),
            sources: vec!["192.0.2.10".parse().unwrap()],
            address: A.parse().unwrap(),
            prefixes: vec![],
        };
        let mut config = SipConfig { shards: 1, trunk: vec![trunk], ..SipConfig::default() };
        change(&mut config);
        let metrics = Arc::new(Metrics::default());
        let switch = Arc::new(Switch::default());
        let ledger = Arc::new(Notes::default());
        let trunks = config.trunk.iter().map(crate::shared::SourceTrunk::of).collect();
        let node = NodeId::from_uuid(Uuid::from_u128(1));
        let registrar = Registrar::new(config.registration.clone(), ledger.clone(), metrics.clone());
        let shared = Arc::new(Shared {
            addresses: Addresses::new(None),
            locals: vec![US.parse().unwrap()],
            digest: Mutex::new(Digest::new(config.realm.clone(), [7; 32], Duration::from_secs(300))),
            is_door_closed: AtomicBool::new(false),
            config,
            calls: switch.clone(),
            accounts: Arc::new(People(Accounts::new(users.iter().map(|it| account(it))))),
            metrics,
            trace: Arc::new(tandem_core::trace::Untraced),
            registrar: Arc::new(registrar),
            tenants: Arc::new(OneTenant),
            auditor: Arc::new(Auditor::new(ledger.clone(), node, Clock::start())),
            node,
            trunks,
        });
        let now = Now { mono: Timestamp(0), wall: WallTime(1_700_000_000_000_000) };
        let shard = Shard::new(0, shared.clone(), 42);
        let (inboxes, sent, ladder) = Default::default();
        let mut world = Self { now, shard, shared, switch, ledger, inboxes, sent, ladder };
        world.route("1002", &[B]);
        world
    }

    /// What is dialled goes there.
    pub(crate) fn route(&mut self, dialled: &str, devices: &[&str]) {
        let devices = devices.iter().map(|it| it.parse().unwrap()).collect();
        self.switch.0.lock().routes.insert(dialled.to_owned(), devices);
    }

    /// A phone sends something, line ends as they come.
    pub(crate) fn send(&mut self, from: &str, text: &str) {
        let text = text.replace("\r\n", "\n").replace('\n', "\r\n");
        self.send_bytes(from, Bytes::from(text));
    }

    pub(crate) fn send_bytes(&mut self, from: &str, bytes: Bytes) {
        let flow = flow(from);
        if let Ok(message) = Message::read(&bytes) {
            self.note(&format!("{} ──▶ us", name(flow.remote)), &message);
        }
        self.shard.handle(self.now, Input::Datagram(flow, bytes));
        self.run();
    }

    /// The next message that a phone got.
    pub(crate) fn take(&mut self, at: &str) -> Option<Message> {
        self.inboxes.get_mut(&at.parse().unwrap())?.pop_front()
    }

    /// The next message that a phone got, skipping 100.
    pub(crate) fn got(&mut self, at: &str) -> Message {
        loop {
            let message = self.take(at).unwrap_or_else(|| panic!("nothing more for {at}:\n{}", self.ladder));
            if message.status() != Some(100) {
                return message;
            }
        }
    }

    pub(crate) fn status(&mut self, at: &str) -> u16 {
        self.got(at).status().expect("a response")
    }

    /// All that a phone got and nobody looked at.
    pub(crate) fn rest(&mut self, at: &str) -> Vec<String> {
        let inbox = self.inboxes.remove(&at.parse().unwrap()).unwrap_or_default();
        inbox.iter().map(summary).collect()
    }

    pub(crate) fn count(&self, counter: Counter) -> u64 {
        self.shared.metrics.counter(counter)
    }

    /// Whether nothing is remembered of anybody.
    pub(crate) fn is_idle(&self) -> bool {
        self.shared.metrics.gauge(Gauge::SipTransactions) == 0 && self.shared.metrics.gauge(Gauge::SipDialogs) == 0
    }

    /// Sends without looking at what comes back.
    pub(crate) fn send_unseen(&mut self, from: &str, bytes: Bytes) {
        self.shard.handle(self.now, Input::Datagram(flow(from), bytes));
        self.shard.take_out();
    }

    /// From now on messages of this Call-ID break the code.
    pub(crate) fn breaks_at(&mut self, call_id: &str) {
        self.shard.break_on(call_id);
    }

    /// Time passes; all that is due happens when it is.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now.mono + time;
        while let Some(at) = self.next_deadline().filter(|at| *at <= end) {
            self.now = self.now.after(at - self.now.mono);
            self.shard.tick(self.now);
            self.switch.tick(self.now);
            self.run();
        }
        self.now = self.now.after(end - self.now.mono);
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.shard.next_deadline().into_iter().chain(self.switch.next_deadline()).min()
    }

    /// Until nothing is to be done at this moment.
    pub(crate) fn run(&mut self) {
        loop {
            self.switch.0.lock().now = self.now;
            for transmit in self.shard.take_out() {
                let remote = transmit.flow.remote;
                let message = Message::read(&transmit.bytes).expect("what we send is well-formed");
                self.note(&format!("us ──▶ {}", name(remote)), &message);
                self.sent.entry(remote).or_default().extend_from_slice(&transmit.bytes);
                self.inboxes.entry(remote).or_default().push_back(message);
            }
            let Some(work) = self.switch.0.lock().out.pop_front() else { break };
            match work {
                Out::Signal(stamp, signal) => self.shard.handle(self.now, Input::Signal(stamp, signal)),
                Out::Release(leg) => self.shard.handle(self.now, Input::Release(leg)),
            }
        }
        // Gauges move here.
        self.shard.tick(self.now);
    }

    fn note(&mut self, way: &str, message: &Message) {
        let millis = self.now.mono.0 / 1_000;
        let _ = writeln!(self.ladder, "{:02}.{:03} {way:9}  {}", millis / 1_000, millis % 1_000, summary(message));
    }
}

pub(crate) fn flow(from: &str) -> Flow {
    Flow { transport: Transport::Udp, local: US.parse().unwrap(), remote: from.parse().unwrap(), connection: 0 }
}

/// One line of a ladder; tags, branches and ports left out.
pub(crate) fn summary(message: &Message) -> String {
    let body = if message.body.is_empty() { "" } else { " (sdp)" };
    let cseq = message.headers.cseq().expect("a CSeq");
    match &message.start {
        Start::Request { method, uri } => {
            let user = uri.user_text().map_or_else(String::new, |user| format!("{user}@"));
            let reason =
                message.headers.reasons().find_map(|it| it.cause).map_or_else(String::new, |it| format!(" cause {it}"));
            format!("{method} {user}{}{body}{reason}", host_name(uri.host()))
        }
        Start::Response { status, reason } => {
            format!("{status} {}, {}{body}", String::from_utf8_lossy(reason), cseq.method)
        }
    }
}

fn host_name(host: &str) -> &str {
    match host {
        "192.0.2.10" => "A",
        "192.0.2.20" => "B",
        "192.0.2.30" => "C",
        "198.51.100.1" => "us",
        other => other,
    }
}

fn name(address: SocketAddr) -> String {
    host_name(&address.ip().to_string()).to_owned()
}

/// A call that both sides have answered and acknowledged.
pub(crate) struct Talk {
    pub(crate) world: World,
    /// Our answer to the caller.
    pub(crate) answer: Message,
    /// Our INVITE to the callee.
    pub(crate) ours: Message,
}

impl Talk {
    pub(crate) fn new() -> Self {
        let mut world = World::new();
        world.send(A, &Ask { body: &sdp("192.0.2.10"), ..Ask::default() }.text());
        let ours = world.got(B);
        world.send(B, &reply(&ours, 200, B, &sdp("192.0.2.20")));
        let answer = world.got(A);
        world.got(B);
        let mut talk = Self { world, answer, ours };
        talk.caller(&Ask { method: "ACK", branch: "ack", ..Ask::default() });
        talk
    }

    /// Our tag towards the caller.
    pub(crate) fn to_tag(&self) -> String {
        tag_of(&self.answer)
    }

    /// The caller asks something in the dialog.
    pub(crate) fn caller(&mut self, ask: &Ask<'_>) {
        let to_tag = self.to_tag();
        self.world.send(A, &Ask { to_tag: &to_tag, ..*ask }.text());
    }

    /// The callee asks something in its dialog.
    pub(crate) fn callee(&mut self, method: &str, extra: &str) {
        let line = |name| String::from_utf8_lossy(self.ours.headers.first(&name).unwrap()).into_owned();
        let text = format!(
            "{method} sip:us@198.51.100.1 SIP/2.0\nVia: SIP/2.0/UDP {B};branch=z9hG4bKb{method}\nMax-Forwards: 70\n\
             From: {};tag=btag\nTo: {}\nCall-ID: {}\nCSeq: 1 {method}\n{extra}Content-Length: 0\n\n",
            line(crate::header::Name::To),
            line(crate::header::Name::From),
            line(crate::header::Name::CallId),
        );
        self.world.send(B, &text);
    }
}

/// The To tag of a message.
pub(crate) fn tag_of(message: &Message) -> String {
    String::from_utf8(message.headers.to().unwrap().tag().unwrap().to_vec()).unwrap()
}

/// A session description of a phone.
pub(crate) fn sdp(ip: &str) -> String {
    format!("v=0\no=- 1 1 IN IP4 {ip}\ns=-\nc=IN IP4 {ip}\nt=0 0\nm=audio 40000 RTP/AVP 0 8\n")
}

/// A request of a phone.
#[derive(Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub(crate) from: &'a str,
    pub(crate) method: &'a str,
    pub(crate) uri: &'a str,
    pub(crate) call_id: &'a str,
    pub(crate) branch: &'a str,
    pub(crate) cseq: u32,
    pub(crate) to_tag: &'a str,
    pub(crate) extra: &'a str,
    pub(crate) body: &'a str,
}

impl Default for Ask<'_> {
    fn default() -> Self {
        let (from, method, uri) = (A, "INVITE", "sip:1002@198.51.100.1");
        Self { from, method, uri, call_id: "call-a", branch: "1", cseq: 1, to_tag: "", extra: "", body: "" }
    }
}

impl Ask<'_> {
    pub(crate) fn text(&self) -> String {
        let Self { from, method, uri, call_id, branch, cseq, to_tag, extra, body } = self;
        let to_tag = if to_tag.is_empty() { String::new() } else { format!(";tag={to_tag}") };
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\n" };
        let body = body.replace('\n', "\r\n");
        format!(
            "{method} {uri} SIP/2.0\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{branch}\nMax-Forwards: 70\n\
             From: \"Alice A\" <sip:alice@a.example>;tag=atag\nTo: <sip:1002@a-calls.example>{to_tag}\n\
             Call-ID: {call_id}\nCSeq: {cseq} {method}\nContact: <sip:alice@{from}>\n{extra}{kind}\
             Content-Length: {}\n\n{body}",
            body.len()
        )
    }
}

/// What a phone answers to a request of ours.
pub(crate) fn reply(request: &Message, status: u16, at: &str, body: &str) -> String {
    let mut response = Message::response_to(request, status);
    if status > 100 {
        response.headers.tag_to("btag");
    }
    response.headers.push(crate::header::Name::Contact, format!("<sip:bob@{at}>"));
    if !body.is_empty() {
        response.headers.push(crate::header::Name::ContentType, "application/sdp");
        response.body = Bytes::from(body.replace('\n', "\r\n"));
    }
    String::from_utf8(response.to_bytes().to_vec()).unwrap()
}

pub(crate) fn account(number: &str) -> Account {
    use md5::Digest as _;
    let text = format!("{number}:tandem:{number}");
    let hex = |bytes: &[u8]| bytes.iter().map(|it| format!("{it:02x}")).collect::<String>();
    Account {
        tenant: Tenant::default_tenant(),
        user_id: UserId::from_uuid(Uuid::from_u128(11)),
        device_id: DeviceId::from_uuid(Uuid::from_u128(12)),
        extension: number.to_owned().into(),
        display_name: None,
        ha1: Ha1 { md5: hex(&md5::Md5::digest(&text)), sha256: hex(&sha2::Sha256::digest(&text)) },
    }
}

struct People(Accounts);

impl AccountPort for People {
    fn find(&self, tenant: &Tenant, user_name: &str) -> Option<Arc<Account>> {
        self.0.find(tenant, user_name).cloned()
    }
}

/// What the ledger was told.
#[derive(Default)]
pub(crate) struct Notes(pub(crate) Mutex<Vec<BindingChange>>);

impl LedgerPort for Notes {
    fn audit(&self, _: &tandem_core::audit::AuditEvent) {}

    fn commit(&self, _: &Fact) {}

    fn bind(&self, change: &BindingChange) {
        self.0.lock().push(change.clone());
    }
}

/// Core's machines, without shells: an input is handled at once.
#[derive(Default)]
pub(crate) struct Switch(pub(crate) Mutex<State>);

#[derive(Default)]
pub(crate) struct State {
    now: Now,
    /// New calls are refused with this.
    pub(crate) refuses: Option<Cause>,
    /// How many inputs are refused for want of room.
    pub(crate) is_full: usize,
    pub(crate) calls: BTreeMap<CallId, Call>,
    pub(crate) legs: BTreeMap<LegId, Leg>,
    pub(crate) born: Vec<NewCall>,
    pub(crate) told: Vec<(LegId, LegInput)>,
    routes: HashMap<String, Vec<SocketAddr>>,
    /// What is dialled goes to a registered device.
    pub(crate) bindings: HashMap<String, Arc<Binding>>,
    numbers: HashMap<LegId, u64>,
    minted: u128,
    out: VecDeque<Out>,
}

enum Out {
    Signal(Stamp<LegId>, Signal),
    Release(LegId),
}

impl CallPort for Switch {
    fn open_call(&self, call: NewCall) -> Result<(), Cause> {
        let mut state = self.0.lock();
        if let Some(cause) = state.refuses {
            return Err(cause);
        }
        state.born.push(call.clone());
        let id = call.call;
        state.calls.insert(id, Call::new(call));
        state.call(id, CallInput::Start);
        Ok(())
    }

    fn tell_leg(&self, leg: LegId, input: LegInput) -> Result<(), Refusal> {
        let mut state = self.0.lock();
        if state.is_full > 0 {
            state.is_full -= 1;
            return Err(Refusal::Full);
        }
        state.told.push((leg, input.clone()));
        if !state.legs.contains_key(&leg) {
            return Err(Refusal::Gone);
        }
        state.leg(leg, input);
        Ok(())
    }

    fn track_lost(&self, _: TrackId) -> Result<(), Refusal> {
        Ok(())
    }
}

impl Switch {
    fn tick(&self, now: Now) {
        let mut state = self.0.lock();
        state.now = now;
        let due = |at: Option<Timestamp>| at.is_some_and(|at| at <= now.mono);
        let legs: Vec<_> = state.legs.iter().filter(|(_, it)| due(it.next_deadline())).map(|(id, _)| *id).collect();
        legs.into_iter().for_each(|leg| state.leg(leg, LegInput::Notice(Notice::Tick)));
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.0.lock().legs.values().filter_map(Leg::next_deadline).min()
    }

    /// What legs were told, by name.
    pub(crate) fn told(&self) -> Vec<&'static str> {
        self.0.lock().told.iter().map(|(_, input)| input.name()).collect()
    }
}

impl State {
    fn call(&mut self, id: CallId, input: CallInput) {
        let Some(mut call) = self.calls.get(&id).cloned() else { return };
        let Ok(effects) = call.handle(self.now, input) else { return };
        self.calls.insert(id, call);
        for effect in effects {
            match effect {
                CallEffect::OpenLeg(leg, leg_id) => drop(self.legs.insert(leg_id, *leg)),
                CallEffect::TellLeg(leg, input) => self.leg(leg, input),
                CallEffect::LookUp(query) => {
                    let targets = self.targets(query.dialled.reveal());
                    self.call(id, CallInput::Routed(targets));
                }
                CallEffect::Commit(_) | CallEffect::Publish(_) => {}
            }
        }
    }

    fn targets(&mut self, dialled: &str) -> Result<Vec<Target>, Cause> {
        let devices = self.routes.get(dialled).cloned().ok_or(Cause::UnknownNumber)?;
        let binding = self.bindings.get(dialled).cloned();
        let mut target = |address| {
            self.minted += 1;
            let identity = Identity::Trunk { trunk: TrunkName("out".into()) };
            Target {
                leg: LegId::from_uuid(Uuid::from_u128(0xb000 + self.minted)),
                party: Party { number: dialled.to_owned().into(), name: None, identity },
                address: binding.clone().map_or_else(
                    || Address::Trunk { address, number: dialled.to_owned().into(), prefix: None },
                    Address::Contact,
                ),
            }
        };
        Ok(devices.into_iter().map(&mut target).collect())
    }

    pub(crate) fn leg(&mut self, id: LegId, input: LegInput) {
        let Some(mut leg) = self.legs.get(&id).cloned() else { return };
        let Ok(effects) = leg.handle(self.now, input) else { return };
        let (is_over, call) = (leg.is_ended(), leg.call());
        self.legs.insert(id, leg);
        for effect in effects {
            let number = self.numbers.entry(id).or_default();
            let stamp = Stamp { from: id, number: *number };
            *number += 1;
            match effect {
                LegEffect::OpenMedia(_) => {
                    let port = 10_000 + u16::try_from(*number).unwrap();
                    let at = |port| SocketAddr::from(([198, 51, 100, 1], port));
                    self.leg(id, LegInput::MediaReady(LocalMedia::pair(at(port), at(port + 1))));
                }
                LegEffect::Signal(signal) => self.out.push_back(Out::Signal(stamp, signal)),
                LegEffect::TellCall(news) => self.call(call, CallInput::Leg(stamp, news)),
                LegEffect::Media(_) | LegEffect::OpenTrack(_) | LegEffect::TellTrack(..) => {}
            }
        }
        if is_over && self.legs.remove(&id).is_some() {
            self.out.push_back(Out::Release(id));
        }
    }
}
