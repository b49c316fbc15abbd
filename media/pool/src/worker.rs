//! One worker: an engine between an epoll and the black boxes.
//!
//! # Invariants
//! * What one leg's step breaks ends that leg here; everything else unwinds to whoever supervises the thread.
//! * In one turn, each socket is read for one burst: a flood on one delays the others by no more than that.
//! * Before a packet leaves, the worker knows that its seat is still its own.

mod legs;
mod messages;
mod rooms;
mod shared;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use tandem_core::id::LegId;
use tandem_core::leg::LegInput;
use tandem_core::machine::Refusal;
use tandem_core::media::MediaNews;
use tandem_core::metric::Counter;
use tandem_core::time::Timestamp;
use tandem_engine::peer::SEAL_OVERHEAD;
use tandem_engine::{Engine, Settings, Socket, SocketKind, TICK, Transmit};
use tracing::warn;

use crate::black_box::BlackBox;
use crate::config::Config;
use crate::pool::Pool;
use crate::seat::Seat;
use crate::shared_port::{JOINED, READS, SharedPort};
use rooms::RoomsHere;

/// Readiness that one turn takes from the kernel.
const EVENTS: usize = 1_024;

/// Packets of one leg's socket in one turn.
const BURST: usize = 32;

/// A datagram larger than this is no voice.
const PACKET: usize = 2_048;

/// News that wait for room in an inbox. Beyond that digits are lost; there are never that many.
pub(crate) const UNTOLD: usize = 4_096;

/// How long a worker sleeps when it carries nothing: so long may a stop or a watchdog have to wait.
const IDLE: Duration = Duration::from_millis(400);

/// The token of wakes; sockets of legs have twice their place, and one more for RTCP.
const WAKE: Token = Token(usize::MAX);

/// The token of the peers' socket.
const SHARED: Token = Token(usize::MAX - 1);

/// See the module.
pub(crate) struct Worker<'a> {
    pool: &'a Pool,
    seat: &'a Seat,
    index: usize,
    generation: u64,
    poll: Poll,
    engine: Engine,
    places: Vec<Option<Arc<BlackBox>>>,
    free: Vec<usize>,
    legs: HashMap<LegId, usize>,
    /// Sockets that had more than a burst: epoll will not name them again.
    unfinished: Vec<Socket>,
    /// The same of the peers' socket.
    is_shared_unfinished: bool,
    untold: VecDeque<(LegId, MediaNews)>,
    /// Legs that broke here and do not know it yet.
    broken: VecDeque<Arc<BlackBox>>,
    /// A datagram, and room for what sealing adds.
    buffer: Box<[u8; PACKET + SEAL_OVERHEAD]>,
    /// What one read of the peers' socket brought.
    batch: Box<[u8]>,
    rooms: RoomsHere,
    forwarded: u64,
    next_tick: Timestamp,
}

impl<'a> Worker<'a> {
    /// Takes the seat, and takes in every leg that lives there, but for the one that the last thread died over.
    pub(crate) fn start(pool: &'a Pool, seat: &'a Seat, index: usize) -> io::Result<Self> {
        if pool.config.pin {
            pin(index);
        }
        let poll = Poll::new()?;
        if let Some(shared) = pool.shared_ports.get(index) {
            let fd = shared.socket().as_raw_fd();
            poll.registry().register(&mut SourceFd(&fd), SHARED, Interest::READABLE)?;
        }
        let (generation, culprit) = seat.occupy(Waker::new(poll.registry(), WAKE)?);
        if generation > 1 {
            pool.metrics.count(Counter::MediaWorkersRebuilt);
            warn!(worker = index, generation, "media worker rebuilt");
        }
        let Config { silence_timeout, peer_silence_timeout, break_on, .. } = pool.config;
        let settings = Settings { silence_timeout, peer_silence_timeout, break_on };
        let mut worker = Self {
            pool,
            seat,
            index,
            generation,
            poll,
            engine: Engine::new(settings, rand::random()),
            places: Vec::new(),
            free: Vec::new(),
            legs: HashMap::new(),
            unfinished: Vec::new(),
            is_shared_unfinished: false,
            untold: VecDeque::new(),
            broken: VecDeque::new(),
            buffer: Box::new([0; PACKET + SEAL_OVERHEAD]),
            batch: vec![0; READS * JOINED].into(),
            rooms: RoomsHere::new(pool),
            forwarded: 0,
            next_tick: pool.clock.mono(),
        };
        worker.take_over(culprit);
        Ok(worker)
    }

    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        while !self.pool.is_stopped() {
            let timeout = self.timeout();
            match self.poll.poll(&mut events, Some(timeout)) {
                Err(interrupted) if interrupted.kind() == io::ErrorKind::Interrupted => continue,
                outcome => outcome?,
            }
            if !self.seat.is_held_by(self.generation) {
                return Ok(());
            }
            self.seat.turn();
            if self.seat.takes_break() {
                break_down();
            }
            if self.seat.takes_hang() {
                self.watch().hang(self.pool);
            }
            // First, for what is new may be spoken to already.
            self.reconcile_noted();
            self.read(&events);
            self.tick();
            self.tick_rooms();
            self.tell();
            self.tell_rooms();
            self.count();
        }
        Ok(())
    }

    fn timeout(&self) -> Duration {
        if !self.unfinished.is_empty() || self.is_shared_unfinished {
            return Duration::ZERO;
        }
        let is_idle = self.legs.is_empty() && self.untold.is_empty() && self.broken.is_empty();
        let now = self.pool.clock.mono();
        let legs = if is_idle { IDLE } else { self.next_tick - now };
        legs.min(self.rooms.timeout(now))
    }

    // ── packets ──────────────────────────────────────────────────────────────────────────────────────────────────

    fn read(&mut self, events: &Events) {
        let mut has_shared = std::mem::take(&mut self.is_shared_unfinished);
        for socket in std::mem::take(&mut self.unfinished) {
            self.read_socket(socket);
        }
        for event in events {
            match event.token() {
                WAKE => {}
                SHARED => has_shared = true,
                token => self.read_socket(socket_of(token)),
            }
        }
        if has_shared {
            self.read_shared();
        }
    }

    fn read_socket(&mut self, socket: Socket) {
        let Some(found) = self.places.get(socket.place).and_then(Clone::clone) else { return };
        let Some(pair) = found.pair() else { return };
        let now = self.pool.clock.mono();
        for _ in 0..BURST {
            if !self.owns(&found) {
                return;
            }
            match pair.socket(socket.kind).recv_from(datagram(&mut self.buffer)) {
                Ok((len, from)) => self.take(now, &found, socket, from, len),
                Err(empty) if empty.kind() == io::ErrorKind::WouldBlock => return,
                // An answer of the network to something we sent: the next read goes on.
                Err(_) => {}
            }
        }
        // The event that named it again is answered by this turn's reads: a flood gets no second helping.
        if !self.unfinished.contains(&socket) {
            self.unfinished.push(socket);
        }
    }

    fn watch(&self) -> Watch<'a> {
        Watch { seat: self.seat, generation: self.generation }
    }

    fn owns(&self, found: &BlackBox) -> bool {
        !found.is_over() && found.home() == Some(self.index) && self.seat.is_held_by(self.generation)
    }

    fn take(&mut self, now: Timestamp, found: &Arc<BlackBox>, socket: Socket, from: SocketAddr, len: usize) {
        let (pool, watch) = (self.pool, self.watch());
        let (engine, buffer) = (&mut self.engine, &mut self.buffer);
        let step = || {
            if found.must_hang() {
                watch.hang(pool);
            }
            engine.receive(now, socket, from, buffer.as_mut_slice(), len)
        };
        match watch.guarded(found.serial, step) {
            Some(Some(transmit)) => self.forwarded += u64::from(self.send(transmit)),
            Some(None) => {}
            None => self.give_up(socket.place, found),
        }
    }

    /// Sends what legs have to say of their own accord: reports, and what peers answer.
    fn send_due(&mut self) {
        while let Some(place) = self.engine.poll_due() {
            let Some(found) = self.places.get(place).and_then(Clone::clone) else { continue };
            let now = self.pool.clock.now();
            loop {
                let watch = self.watch();
                let (engine, buffer) = (&mut self.engine, &mut self.buffer);
                match watch.guarded(found.serial, || engine.transmit(now, place, buffer.as_mut_slice())) {
                    Some(Some(transmit)) => self.send(transmit),
                    Some(None) => break,
                    None => {
                        self.give_up(place, &found);
                        break;
                    }
                };
            }
        }
    }

    /// A full send buffer loses the packet, as any network may: a late one would be worth nothing.
    fn send(&self, transmit: Transmit) -> bool {
        let Transmit { socket: Socket { place, kind }, to, len } = transmit;
        let own = || Some(self.places.get(place)?.as_deref()?.pair()?.socket(kind));
        let socket = match kind {
            SocketKind::Peer => self.pool.shared_ports.get(self.index).map(SharedPort::socket),
            SocketKind::Rtp | SocketKind::Rtcp => own(),
        };
        let (Some(socket), Some(packet)) = (socket, self.buffer.get(..len)) else { return false };
        self.seat.is_held_by(self.generation) && socket.send_to(packet, to).is_ok()
    }

    // ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────

    fn tick(&mut self) {
        let now = self.pool.clock.now();
        if now.mono < self.next_tick {
            return;
        }
        self.next_tick = now.mono + TICK;
        for place in 0..self.places.len() {
            let Some(found) = self.places.get(place).and_then(Clone::clone) else { continue };
            if !self.owns(&found) {
                self.drop_leg(&found);
            } else if self.watch().guarded(found.serial, || self.engine.expire(now.mono, place)).is_none() {
                self.give_up(place, &found);
            }
        }
        self.send_due();
    }

    fn tell(&mut self) {
        while let Some(news) = self.engine.poll_news() {
            if self.untold.len() < UNTOLD {
                self.untold.push_back(news);
            } else {
                self.pool.metrics.count(Counter::MediaNewsDropped);
            }
        }
        for _ in 0..self.untold.len() {
            let Some((leg, news)) = self.untold.pop_front() else { break };
            if self.pool.calls.tell_leg(leg, LegInput::Media(news)) == Err(Refusal::Full) {
                self.untold.push_back((leg, news));
            }
        }
        self.seat.note_untold(self.untold.len());
        for _ in 0..self.broken.len() {
            let Some(broken) = self.broken.pop_front() else { return };
            match self.pool.calls.tell_leg(broken.leg, LegInput::Media(MediaNews::Broken)) {
                Err(Refusal::Full) => self.broken.push_back(broken),
                _ => broken.told(),
            }
        }
    }

    fn count(&mut self) {
        let counts = self.engine.take_counts();
        for (counter, more) in [
            (Counter::RtpReceived, counts.received),
            (Counter::RtpForwarded, std::mem::take(&mut self.forwarded)),
            (Counter::RtpMalformed, counts.malformed),
            (Counter::RtpForeign, counts.foreign),
            (Counter::RtpUnrouted, counts.unrouted),
            (Counter::RtcpReceived, counts.reports),
            (Counter::MediaSilent, counts.silent),
            (Counter::PeersConnected, counts.peers_connected),
            (Counter::PeersRebuilt, counts.peers_rebuilt),
            (Counter::PeerMalformed, counts.peer_malformed),
            (Counter::PeerForeign, counts.peer_foreign),
            (Counter::PeerRefused, counts.peer_refused),
        ] {
            if more > 0 {
                self.pool.metrics.add(counter, more);
            }
        }
    }
}

/// What stands between a leg's step and the rest of the worker.
#[derive(Clone, Copy)]
struct Watch<'a> {
    seat: &'a Seat,
    generation: u64,
}

impl Watch<'_> {
    /// One leg's step. `None`: it panicked. Whose step it is stands in the seat meanwhile, for the case that it hangs.
    fn guarded<R>(self, serial: usize, step: impl FnOnce() -> R) -> Option<R> {
        self.seat.touch(self.generation, serial);
        // What it leaves half done is the leg's own, and that is thrown away.
        let outcome = catch_unwind(AssertUnwindSafe(step));
        self.seat.touch(self.generation, 0);
        outcome.ok()
    }

    /// For drills: comes back when another thread has the seat, and not before.
    fn hang(self, pool: &Pool) {
        while self.seat.is_held_by(self.generation) && !pool.is_stopped() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// What a drill asks for.
#[expect(clippy::panic, reason = "a drill wants a real one")]
fn break_down() {
    panic!("asked to break");
}

/// Where a datagram is received: the rest is for sealing.
fn datagram(buffer: &mut [u8; PACKET + SEAL_OVERHEAD]) -> &mut [u8] {
    buffer.first_chunk_mut::<PACKET>().map_or(&mut [], |datagram| datagram.as_mut_slice())
}

fn token_of(socket: Socket) -> Token {
    Token(socket.place * 2 + usize::from(socket.kind == SocketKind::Rtcp))
}

fn socket_of(token: Token) -> Socket {
    let kind = if token.0.is_multiple_of(2) { SocketKind::Rtp } else { SocketKind::Rtcp };
    Socket { place: token.0 / 2, kind }
}

/// Workers share what cores there are, in turn.
fn pin(index: usize) {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let is_pinned = cores.get(index % cores.len().max(1)).is_some_and(|core| core_affinity::set_for_current(*core));
    if !is_pinned {
        warn!(worker = index, "media worker not pinned to a core");
    }
}
