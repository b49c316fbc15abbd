//! The SIP border as the node sees it: sockets, shards, and the loops that a supervisor keeps running.
//!
//! # Invariants
//! * All state is here. Each loop may be dropped at any await and started again, and nothing is lost.
//! * What comes in waits in bounded queues; what goes out is never waited for.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tandem_actors::Auditor;
use tandem_core::id::{LegId, NodeId};
use tandem_core::location::{Flow, Transport};
use tandem_core::machine::{Refusal, Stamp};
use tandem_core::metric::{Counter, Fill, Gauge, Metrics, Queue, Queues};
use tandem_core::ports::{AccountPort, CallPort, EdgePort, Signal, TenantPort};
use tandem_core::time::{Now, Timestamp};
use tandem_core::trace::{Subject, TracePort, Way};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::addresses::Addresses;
use crate::config::{BadConfig, SipConfig};
use crate::digest::Digest;
use crate::exchange::Transmit;
use crate::framing::is_keep_alive;
use crate::guard::{Admission, Guard};
use crate::header::Name;
use crate::inbox::{Inbox, Input, Unsent};
use crate::message::{Malformed, Message};
use crate::registrar::Registrar;
use crate::shard::{Shard, malformed_answer, place_of_call_id, place_of_leg, sip_entry, turn_away};
use crate::shared::{Shared, SourceTrunk};
use crate::transport::tcp::{Connections, Receiver};
use crate::transport::udp::{UdpEnd, Wire};

/// How long a nonce may be used.
const NONCE_LIFETIME: Duration = Duration::from_secs(300);

/// How often expired bindings are looked for.
const EXPIRY: Duration = Duration::from_secs(1);

/// How long a shard's loop waits for the one before it.
const TAKEN: Duration = Duration::from_millis(10);

/// Tells the moment on both clocks.
pub type Clock = Arc<dyn Fn() -> Now + Send + Sync>;

/// What the border needs of the world.
pub struct Deps {
    /// Where calls go.
    pub calls: Arc<dyn CallPort>,
    /// Who may register and call.
    pub accounts: Arc<dyn AccountPort>,
    /// Where our users are.
    pub registrar: Arc<Registrar>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where the messages of calls are noted.
    pub trace: Arc<dyn TracePort>,
    /// The node's clock.
    pub clock: Clock,
    /// Whose a request is.
    pub tenants: Arc<dyn TenantPort>,
    /// Where refusals are noted.
    pub auditor: Arc<Auditor>,
    /// This process.
    pub node: NodeId,
}

/// Why there is no border.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A value is out of its range.
    #[error(transparent)]
    Config(#[from] BadConfig),
    /// An address cannot be bound.
    #[error("sip.udp or sip.tcp cannot be bound")]
    Bind(#[from] io::Error),
}

/// The SIP border. Clones are the same border.
#[derive(Clone)]
pub struct Sip(Arc<Border>);

struct Border {
    shared: Arc<Shared>,
    clock: Clock,
    shards: Vec<(Inbox, Mutex<Shard>)>,
    guard: Mutex<Guard>,
    udp: Vec<UdpEnd>,
    tcp: Vec<TcpListener>,
    connections: Arc<Connections>,
}

impl Sip {
    /// Binds all sockets. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// A value is out of its range, or an address cannot be bound.
    pub fn new(config: SipConfig, deps: Deps) -> Result<Self, SetupError> {
        config.check()?;
        let buffer = config.limits.receive_buffer;
        let udp = config.udp.iter().map(|it| UdpEnd::bind(*it, buffer)).collect::<io::Result<_>>()?;
        let tcp = config.tcp.iter().map(|it| listen(*it)).collect::<io::Result<_>>()?;
        Ok(Self::assemble(config, deps, udp, tcp))
    }

    /// A border without sockets, to be measured or simulated: what it sends to anybody goes to `wire`, what comes is
    /// given to [`take`](Self::take). It believes that its address is `local`.
    ///
    /// # Errors
    /// A value is out of its range.
    pub fn wired(config: SipConfig, deps: Deps, local: SocketAddr, wire: Wire) -> Result<Self, SetupError> {
        config.check()?;
        Ok(Self::assemble(config, deps, vec![UdpEnd::wired(local, wire)], Vec::new()))
    }

    /// A datagram has come, by whatever way.
    pub fn take(&self, from: SocketAddr, bytes: Bytes) {
        let Some(end) = self.0.udp.first() else { return };
        let flow = Flow { transport: Transport::Udp, local: end.local(), remote: from, connection: 0 };
        self.0.datagram(flow, bytes);
    }

    fn assemble(config: SipConfig, deps: Deps, udp: Vec<UdpEnd>, tcp: Vec<TcpListener>) -> Self {
        let Deps { calls, accounts, registrar, metrics, trace, clock, tenants, auditor, node } = deps;
        let guard = Guard::new(&config.limits.guard, clock().mono);
        // High, so that no number of an earlier process means one of ours.
        let first = u64::from(rand::random::<u32>()) << 31 | 1;
        let connections = Arc::new(Connections::new(config.limits.clone(), metrics.clone(), first));
        let digest = Digest::new(config.realm.clone(), rand::random(), NONCE_LIFETIME);
        let trunks = config.trunk.iter().map(SourceTrunk::of).collect();
        let shared = Arc::new(Shared {
            addresses: Addresses::new(config.announce),
            locals: udp.iter().map(UdpEnd::local).collect(),
            digest: Mutex::new(digest),
            is_door_closed: AtomicBool::new(false),
            config,
            calls,
            accounts,
            metrics,
            trace,
            registrar,
            tenants,
            auditor,
            node,
            trunks,
        });
        let shard = |index| {
            let inbox = Inbox::new(shared.config.limits.queue);
            (inbox, Mutex::new(Shard::new(index, shared.clone(), rand::random())))
        };
        let shards = (0..shared.config.shards.max(1)).map(shard).collect();
        let metrics = shared.metrics.clone();
        let border = Arc::new(Border { shared, clock, shards, guard: Mutex::new(guard), udp, tcp, connections });
        let owner = Arc::downgrade(&border);
        metrics.watch(owner);
        Self(border)
    }

    /// How many shards there are: [`run_shard`](Self::run_shard) is for each.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.0.shards.len()
    }

    /// Where datagrams are taken, as bound.
    pub fn udp_addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.0.udp.iter().map(UdpEnd::local)
    }

    /// Where connections are taken, as bound.
    pub fn tcp_addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.0.tcp.iter().filter_map(|it| it.local_addr().ok())
    }

    /// From now on new calls are refused with 503.
    pub fn close_door(&self) {
        self.0.shared.is_door_closed.store(true, Relaxed);
    }

    /// Reads all sockets, for ever.
    pub async fn run_listeners(&self) {
        let mut tasks = JoinSet::new();
        for index in 0..self.0.udp.len() {
            let border = self.0.clone();
            tasks.spawn(async move {
                let Some(end) = border.udp.get(index) else { return };
                end.run(|flow, bytes| border.datagram(flow, bytes)).await;
            });
        }
        for index in 0..self.0.tcp.len() {
            let border = self.0.clone();
            tasks.spawn(async move {
                let Some(listener) = border.tcp.get(index) else { return };
                border.connections.accept(listener, &border).await;
            });
        }
        // None ends by itself: one that does has broken, and all begin again.
        tasks.join_next().await;
    }

    /// Handles what falls to one shard, for ever. At most one such loop may run for each.
    pub async fn run_shard(&self, index: usize) {
        let border = &*self.0;
        let Some((inbox, shard)) = border.shards.get(index) else { return };
        loop {
            // A loop before this one, killed, may be in its last step, or hang there: what it took is before what comes.
            let turn = shard.try_lock().map(|mut shard| border.turn(inbox, &mut shard));
            let Some((out, deadline)) = turn else {
                tokio::time::sleep(TAKEN).await;
                continue;
            };
            out.into_iter().for_each(|transmit| border.send(inbox, &transmit));
            // A loop that always finds more would otherwise never be heard of, and hear of nothing.
            tokio::task::yield_now().await;
            let wait = deadline.map_or(Duration::MAX, |at| at - (border.clock)().mono);
            let _ = tokio::time::timeout(wait, inbox.filled()).await;
        }
    }

    /// Ends bindings whose time is over, for ever.
    pub async fn run_expiry(&self) {
        loop {
            tokio::time::sleep(EXPIRY).await;
            self.0.shared.registrar.expire((self.0.clock)().wall);
        }
    }
}

impl EdgePort for Sip {
    fn signal(&self, stamp: Stamp<LegId>, signal: Signal) -> Result<(), Refusal> {
        let (inbox, _) = self.0.shard_of(stamp.from).ok_or(Refusal::Gone)?;
        inbox.push_signal(stamp, signal).map_err(|_| Refusal::Full)
    }

    fn release(&self, leg: LegId) {
        if let Some((inbox, _)) = self.0.shard_of(leg) {
            inbox.push_release(leg);
        }
    }
}

impl Queues for Border {
    fn queues(&self) -> Vec<(Queue, Fill)> {
        let limits = &self.shared.config.limits;
        let known = usize::try_from(self.shared.metrics.gauge(Gauge::SipTransactions)).unwrap_or(0);
        let shards = self.shards.iter().flat_map(|(inbox, _)| {
            let [messages, signals] = inbox.fills();
            [(Queue::SipMessages, messages), (Queue::SipSignals, signals)]
        });
        let [connections, writes] = self.connections.fills();
        let others = [
            (Queue::SipTransactions, Fill { depth: known, capacity: limits.transactions }),
            (Queue::SipConnections, connections),
            (Queue::SipWrites, writes),
        ];
        shards.chain(others).collect()
    }
}

impl Border {
    fn shard_of(&self, leg: LegId) -> Option<&(Inbox, Mutex<Shard>)> {
        self.shards.get(place_of_leg(leg, self.shards.len()))
    }

    fn datagram(&self, flow: Flow, bytes: Bytes) {
        if is_keep_alive(&bytes) {
            return;
        }
        if !self.admits(flow.remote.ip()) {
            return self.turn_away(flow, &bytes);
        }
        let place = place_of_call_id(call_id_of(&bytes), self.shards.len());
        let Some((inbox, _)) = self.shards.get(place) else { return };
        if let Err(Input::Datagram(flow, bytes)) = inbox.push_message(Input::Datagram(flow, bytes)) {
            self.shared.metrics.count(Counter::SipOverload);
            self.turn_away(flow, &bytes);
        }
    }

    fn turn_away(&self, flow: Flow, datagram: &Bytes) {
        if let Some(answer) = turn_away(&self.shared, flow, datagram) {
            self.dispatch(&answer);
        }
    }

    /// Handles a batch. Gives what is to be sent, and when to come back at the latest.
    fn turn(&self, inbox: &Inbox, shard: &mut Shard) -> (Vec<Transmit>, Option<Timestamp>) {
        let mut batch = Vec::new();
        inbox.take(&mut batch);
        batch.into_iter().for_each(|input| shard.handle((self.clock)(), input));
        shard.tick((self.clock)());
        (shard.take_out(), shard.next_deadline())
    }

    /// Sends. A request of ours that could not be sent fails at once.
    fn send(&self, inbox: &Inbox, transmit: &Transmit) {
        if self.dispatch(transmit) {
            self.note_sent(transmit);
        } else if let (Some(key), Transport::Tcp) = (transmit.about, transmit.flow.transport) {
            // When there is no room, its transaction times out.
            let _ = inbox.push_message(Input::Unsent(Unsent(key)));
        }
    }

    /// For the story of the leg's call.
    fn note_sent(&self, transmit: &Transmit) {
        let trace = &self.shared.trace;
        let Some(leg) = transmit.leg.filter(|leg| trace.follows(*leg)) else { return };
        let at = (self.clock)().wall;
        let entry = sip_entry(at, Way::Out, transmit.flow, &transmit.bytes, transmit.is_repeat);
        trace.note(Subject::Leg(leg), entry);
    }

    fn dispatch(&self, transmit: &Transmit) -> bool {
        let Transmit { flow, bytes, .. } = transmit;
        match flow.transport {
            Transport::Tcp => self.connections.send(flow, bytes),
            Transport::Udp => {
                let end = self.udp.iter().find(|end| end.local() == flow.local);
                // A binding from before a restart may name a socket that is configured away.
                let end = end.or_else(|| self.udp.iter().find(|end| end.local().is_ipv4() == flow.remote.is_ipv4()));
                let is_sent = end.is_some_and(|end| end.send(flow.remote, bytes));
                if !is_sent {
                    self.shared.metrics.count(Counter::SipOverload);
                }
                is_sent
            }
        }
    }
}

impl Receiver for Border {
    fn admits(&self, source: IpAddr) -> bool {
        let now = (self.clock)().mono;
        let mut guard = self.guard.lock();
        let admission = if self.shared.is_peer(source) { guard.admit_peer(now) } else { guard.admit(source, now) };
        if admission != Admission::Granted {
            self.shared.metrics.count(Counter::SipLimited);
        }
        admission == Admission::Granted
    }

    fn receive(&self, flow: Flow, message: Box<Message>) -> Result<(), Box<Message>> {
        let place = place_of_call_id(message.headers.call_id().map_or(&[], Bytes::as_ref), self.shards.len());
        let Some((inbox, _)) = self.shards.get(place) else { return Ok(()) };
        match inbox.push_message(Input::Framed(flow, message)) {
            Err(Input::Framed(_, message)) => {
                self.shared.metrics.count(Counter::SipOverload);
                Err(message)
            }
            _ => Ok(()),
        }
    }

    fn refuse(&self, flow: Flow, malformed: &Malformed) -> Option<Bytes> {
        self.shared.metrics.count(Counter::SipMalformed);
        malformed_answer(flow, malformed).map(|transmit| transmit.bytes)
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1_024)?;
    TcpListener::from_std(socket.into())
}

/// The Call-ID of a datagram, found without reading the rest. Nothing if there is none: the same shard for all such.
fn call_id_of(datagram: &[u8]) -> &[u8] {
    let mut rest = datagram;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
        rest = rest.get(at + 1..).unwrap_or_default();
        let Some(colon) = rest.iter().take(16).position(|byte| *byte == b':') else { continue };
        let (name, value) = rest.split_at_checked(colon).unwrap_or_default();
        let name = name.trim_ascii_end();
        if name.eq_ignore_ascii_case(Name::CallId.as_bytes()) || name.eq_ignore_ascii_case(b"i") {
            let value = value.get(1..).unwrap_or_default().trim_ascii_start();
            let end = value.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(value.len());
            return value.get(..end).unwrap_or_default().trim_ascii_end();
        }
    }
    &[]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_id_is_found_however_it_is_written() {
        for datagram in [
            "BYE sip:a SIP/2.0\r\nVia: x\r\nCall-ID: abc@h\r\n\r\n",
            "BYE sip:a SIP/2.0\r\ni:abc@h  \r\n\r\n",
            "BYE sip:a SIP/2.0\r\ncall-id  :\r\n  abc@h\r\nTo: x\r\n\r\n",
        ] {
            assert_eq!(call_id_of(datagram.as_bytes()), b"abc@h", "{datagram}");
        }
        assert_eq!(call_id_of(b"BYE sip:a SIP/2.0\r\nVia: x\r\n\r\n"), b"");
        assert_eq!(call_id_of(b""), b"");
    }
}
