//! A node with a switch of a few lines behind its border.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tandem_actors::{Auditor, Clock};
use tandem_core::account::Account;
use tandem_core::call::NewCall;
use tandem_core::cause::Cause;
use tandem_core::event::Fact;
use tandem_core::id::{LegId, NodeId, Tenant, TrackId};
use tandem_core::leg::LegInput;
use tandem_core::location::BindingChange;
use tandem_core::machine::{Refusal, Stamp};
use tandem_core::media::{LocalMedia, MediaDescription};
use tandem_core::metric::Metrics;
use tandem_core::party::{Address, Identity, Party, Target, TrunkName};
use tandem_core::ports::{AccountPort, CallPort, Dial, EdgePort, LedgerPort, Signal};
use tandem_core::tenancy::OneTenant;
use tandem_core::time::{Now, Timestamp, WallTime};
use tandem_core::trace::{Entry, Subject, TracePort, Way, What};
use tandem_sip::config::TrunkConfig;
use tandem_sip::{Deps, Registrar, Sip, SipConfig};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// A network of loopback addresses that nobody else has.
pub(crate) struct Network(u32);

impl Network {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let process = std::process::id() % 2_048;
        Self(u32::from(Ipv4Addr::new(127, 64, 0, 0)) + (process * 32 + NEXT.fetch_add(1, Relaxed) % 32) * 128)
    }

    /// The `n`th address of it, 0..=127.
    pub(crate) fn ip(&self, n: u32) -> IpAddr {
        Ipv4Addr::from(self.0 + n).into()
    }

    pub(crate) fn at(&self, n: u32, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip(n), port)
    }
}

/// The border on address 1 of a network, running.
pub(crate) struct Node {
    pub(crate) network: Network,
    pub(crate) us: SocketAddr,
    pub(crate) sip: Sip,
    pub(crate) switch: Arc<Switch>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) notes: Arc<Notes>,
    pub(crate) tasks: Vec<JoinHandle<()>>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Node {
    pub(crate) fn start(change: impl FnOnce(&mut SipConfig)) -> Self {
        let network = Network::new();
        let us = network.at(1, 5060);
        let mut config = SipConfig { udp: vec![us], tcp: vec![us], shards: 2, ..SipConfig::default() };
        config.limits.message_timeout = Duration::from_millis(400);
        change(&mut config);
        let metrics = Arc::new(Metrics::default());
        let switch = Arc::new(Switch::default());
        let notes = Arc::new(Notes::default());
        let registrar = Arc::new(Registrar::new(config.registration.clone(), Arc::new(Nowhere), metrics.clone()));
        let node = NodeId::from_uuid(Uuid::from_u128(1));
        let start = Instant::now();
        let clock = move || {
            let passed = start.elapsed();
            Now { mono: Timestamp(0) + passed, wall: WallTime(1_700_000_000_000_000) + passed }
        };
        let deps = Deps {
            calls: switch.clone(),
            accounts: Arc::new(Nowhere),
            registrar,
            metrics: metrics.clone(),
            trace: notes.clone(),
            clock: Arc::new(clock),
            tenants: Arc::new(OneTenant),
            auditor: Arc::new(Auditor::new(Arc::new(Nowhere), node, Clock::start())),
            node,
        };
        let sip = Sip::new(config, deps).unwrap();
        assert!(switch.edge.set(sip.clone()).is_ok());
        let mut node = Self { network, us, sip, switch, metrics, notes, tasks: Vec::new() };
        node.run();
        node
    }

    /// Starts all loops, as a supervisor does again and again.
    pub(crate) fn run(&mut self) {
        for index in 0..self.sip.shards() {
            let sip = self.sip.clone();
            self.tasks.push(tokio::spawn(async move { sip.run_shard(index).await }));
        }
        let sip = self.sip.clone();
        self.tasks.push(tokio::spawn(async move { sip.run_listeners().await }));
        let sip = self.sip.clone();
        self.tasks.push(tokio::spawn(async move { sip.run_expiry().await }));
    }
}

/// Whoever sends from this range is a trunk.
pub(crate) fn trunk(range: &str) -> TrunkConfig {
    let address = "127.0.0.1:9".parse().unwrap();
    TrunkConfig {
        name: String::from("t"),
        tenant: Tenant::default_tenant(),
        sources: vec![range.parse().unwrap()],
        address,
        prefixes: vec![],
    }
}

/// A phone that is a datagram socket.
pub(crate) struct Phone(pub(crate) UdpSocket);

impl Phone {
    pub(crate) async fn at(address: SocketAddr) -> Self {
        Self(UdpSocket::bind(address).await.unwrap())
    }

    pub(crate) async fn send(&self, to: SocketAddr, text: &str) {
        self.0.send_to(text.as_bytes(), to).await.unwrap();
    }

    /// The next message, if it comes in time.
    pub(crate) async fn get_within(&self, time: Duration) -> Option<String> {
        let mut buffer = vec![0; 65_535];
        let (length, _) = tokio::time::timeout(time, self.0.recv_from(&mut buffer)).await.ok()?.unwrap();
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    }

    /// The next message but 100.
    pub(crate) async fn get(&self) -> String {
        loop {
            let text = self.get_within(Duration::from_secs(5)).await.expect("a message in time");
            if !text.starts_with("SIP/2.0 100") {
                return text;
            }
        }
    }
}

/// A request with what every request needs.
pub(crate) fn request(method: &str, us: SocketAddr, from: SocketAddr, cseq: u32, to_tag: &str, body: &str) -> String {
    let transport = if from.port() == 5060 { "UDP" } else { "TCP" };
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!(
        "{method} sip:1002@{us} SIP/2.0\r\nVia: SIP/2.0/{transport} {from};branch=z9hG4bK{method}{cseq}\r\nMax-Forwards: 70\r\n\
         From: <sip:a@{from}>;tag=a\r\nTo: <sip:1002@{us}>{to_tag}\r\nCall-ID: {from}\r\nCSeq: {cseq} {method}\r\n\
         Contact: <sip:a@{from}>\r\n{kind}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub(crate) fn header<'a>(text: &'a str, name: &str) -> &'a str {
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {text}"));
    line[name.len() + 1..].trim()
}

/// A response to a request of ours.
pub(crate) fn response(request: &str, status: &str, contact: SocketAddr, body: &str) -> String {
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!(
        "SIP/2.0 {status}\r\nVia: {}\r\nFrom: {}\r\nTo: {};tag=b\r\nCall-ID: {}\r\nCSeq: {}\r\nContact: <sip:b@{contact}>\r\n\
         {kind}Content-Length: {}\r\n\r\n{body}",
        header(request, "Via"),
        header(request, "From"),
        header(request, "To"),
        header(request, "Call-ID"),
        header(request, "CSeq"),
        body.len()
    )
}

pub(crate) fn sdp(ip: IpAddr) -> String {
    format!("v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n")
}

struct Nowhere;

impl LedgerPort for Nowhere {
    fn audit(&self, _: &tandem_core::audit::AuditEvent) {}
    fn commit(&self, _: &Fact) {}
    fn bind(&self, _: &BindingChange) {}
}

impl AccountPort for Nowhere {
    fn find(&self, _: &Tenant, _: &str) -> Option<Arc<Account>> {
        None
    }
}

/// What was noted of legs: which one in the order of the first notes, which way, whether again, and what.
#[derive(Default)]
pub(crate) struct Notes(Mutex<Vec<(LegId, Entry)>>);

impl TracePort for Notes {
    fn note(&self, about: Subject, entry: Entry) {
        let Subject::Leg(leg) = about else { panic!("{about:?}") };
        self.0.lock().push((leg, entry));
    }
}

impl Notes {
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut legs = Vec::new();
        let notes = self.0.lock();
        let line = |(leg, entry): &(LegId, Entry)| {
            let place = legs.iter().position(|it| it == leg).unwrap_or(legs.len());
            if place == legs.len() {
                legs.push(*leg);
            }
            let What::Message { direction, is_repeat, text, .. } = &entry.what else { return format!("{entry:?}") };
            let (way, again) = (if *direction == Way::In { ">" } else { "<" }, if *is_repeat { "again " } else { "" });
            format!("{place} {way} {again}{}", text.summary().split(" sip:").next().unwrap())
        };
        notes.iter().map(line).collect()
    }
}

/// Connects two legs and knows nothing else. Without a way to the callee nobody has the number.
#[derive(Default)]
pub(crate) struct Switch {
    pub(crate) edge: OnceLock<Sip>,
    pub(crate) callee: Mutex<Option<SocketAddr>>,
    /// The other leg.
    pairs: Mutex<HashMap<LegId, LegId>>,
    numbers: AtomicU32,
}

impl Switch {
    fn say(&self, leg: LegId, signal: Signal) {
        let stamp = Stamp { from: leg, number: self.numbers.fetch_add(1, Relaxed).into() };
        self.edge.get().unwrap().signal(stamp, signal).unwrap();
    }

    fn other(&self, leg: LegId) -> Option<LegId> {
        self.pairs.lock().get(&leg).copied()
    }

    fn part(&self, leg: LegId, goodbye: impl FnOnce(LegId)) {
        let Some(other) = self.other(leg) else { return };
        self.pairs.lock().retain(|it, _| *it != leg && *it != other);
        goodbye(other);
        for leg in [leg, other] {
            self.edge.get().unwrap().release(leg);
        }
    }
}

impl CallPort for Switch {
    fn open_call(&self, call: NewCall) -> Result<(), Cause> {
        let callee = self.callee.lock().ok_or(Cause::UnknownNumber)?;
        let other = LegId::from_uuid(Uuid::from_u128(0xb000 + u128::from(self.numbers.fetch_add(1, Relaxed))));
        self.pairs.lock().extend([(call.leg, other), (other, call.leg)]);
        let identity = Identity::Trunk { trunk: TrunkName("out".into()) };
        let party = Party { number: call.dialled.clone(), name: None, identity };
        let address = Address::Trunk { address: callee, number: call.dialled, prefix: None };
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        self.say(
            other,
            Signal::Invite(Arc::new(Dial {
                context: call.context,
                call: call.call,
                caller: call.caller,
                target: Target { leg: other, party, address },
                offer: Arc::new(MediaDescription::basic(&LocalMedia::pair(at(10_000), at(10_001)))),
                max_forwards: call.max_forwards,
            })),
        );
        Ok(())
    }

    fn tell_leg(&self, leg: LegId, input: LegInput) -> Result<(), Refusal> {
        let other = self.other(leg).ok_or(Refusal::Gone)?;
        match input {
            LegInput::Ringing => self.say(other, Signal::Ring),
            LegInput::Answered(media) => self.say(other, Signal::Answer(media)),
            LegInput::Refused { cause, .. } => self.part(leg, |other| self.say(other, Signal::Reject(cause))),
            LegInput::Cancelled => self.part(leg, |other| self.say(other, Signal::Cancel(Cause::Cancelled))),
            LegInput::HungUp(cause) | LegInput::Broken(cause) => {
                self.part(leg, |other| self.say(other, Signal::Bye(cause)));
            }
            _ => {}
        }
        Ok(())
    }

    fn track_lost(&self, _: TrackId) -> Result<(), Refusal> {
        Ok(())
    }
}
