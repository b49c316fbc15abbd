//! One worker: an engine between an epoll and the black boxes.
//!
//! # Invariants
//! * What one leg's step breaks ends that leg here; everything else unwinds to whoever supervises the thread.
//! * Before a packet leaves, the worker knows that its seat is still its own.

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
use tandem_core::time::{Now, Timestamp};
use tandem_engine::{Engine, Settings, Socket, SocketKind, TICK, Transmit};
use tracing::{error, warn};

use crate::black_box::BlackBox;
use crate::pool::Pool;
use crate::seat::Seat;

/// Readiness that one turn takes from the kernel.
const EVENTS: usize = 1_024;

/// Packets of one socket in one turn: a flood on one leg delays the others by no more than that.
const BURST: usize = 32;

/// A datagram larger than this is no voice.
const PACKET: usize = 2_048;

/// News that wait for room in an inbox. Beyond that digits are lost; there are never that many.
const UNTOLD: usize = 4_096;

/// How long a worker sleeps when it carries nothing: so long may a stop or a watchdog have to wait.
const IDLE: Duration = Duration::from_millis(400);

/// The token of wakes; sockets have twice their place, and one more for RTCP.
const WAKE: Token = Token(usize::MAX);

const KINDS: [SocketKind; 2] = [SocketKind::Rtp, SocketKind::Rtcp];

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
    untold: VecDeque<(LegId, MediaNews)>,
    buffer: Box<[u8; PACKET]>,
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
        let (generation, culprit) = seat.occupy(Waker::new(poll.registry(), WAKE)?);
        if generation > 1 {
            pool.metrics.count(Counter::MediaWorkersRebuilt);
            warn!(worker = index, generation, "media worker rebuilt");
        }
        let settings = Settings { silence_timeout: pool.config.silence_timeout };
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
            untold: VecDeque::new(),
            buffer: Box::new([0; PACKET]),
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
            self.read(&events);
            self.reconcile_noted();
            self.tick();
            self.tell();
            self.count();
        }
        Ok(())
    }

    fn timeout(&self) -> Duration {
        if !self.unfinished.is_empty() {
            return Duration::ZERO;
        }
        if self.legs.is_empty() && self.untold.is_empty() { IDLE } else { self.next_tick - self.pool.clock.mono() }
    }

    // ── packets ──────────────────────────────────────────────────────────────────────────────────────────────────

    fn read(&mut self, events: &Events) {
        for socket in std::mem::take(&mut self.unfinished) {
            self.read_socket(socket);
        }
        for token in events.iter().map(|event| event.token()).filter(|token| *token != WAKE) {
            self.read_socket(socket_of(token));
        }
    }

    fn read_socket(&mut self, socket: Socket) {
        let Some(found) = self.places.get(socket.place).and_then(Clone::clone) else { return };
        let now = self.pool.clock.mono();
        for _ in 0..BURST {
            if !self.owns(&found) {
                return;
            }
            match found.pair.socket(socket.kind).recv_from(self.buffer.as_mut_slice()) {
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

    fn owns(&self, found: &BlackBox) -> bool {
        !found.is_over() && found.home() == Some(self.index) && self.seat.is_held_by(self.generation)
    }

    fn take(&mut self, now: Timestamp, found: &BlackBox, socket: Socket, from: SocketAddr, len: usize) {
        let (engine, buffer) = (&mut self.engine, &mut self.buffer);
        let step = || {
            if found.is_fragile() {
                break_down();
            }
            engine.receive(now, socket, from, buffer.get_mut(..len)?)
        };
        match guarded(self.seat, found, step) {
            Some(Some(transmit)) => self.send(transmit),
            Some(None) => {}
            None => self.give_up(socket.place, found),
        }
    }

    fn send(&mut self, transmit: Transmit) {
        let Some(Some(through)) = self.places.get(transmit.socket.place) else { return };
        let Some(packet) = self.buffer.get(..transmit.len) else { return };
        if !self.seat.is_held_by(self.generation) {
            return;
        }
        // A full send buffer loses the packet, as any network may: a late one would be worth nothing.
        let is_sent = through.pair.socket(transmit.socket.kind).send_to(packet, transmit.to).is_ok();
        self.forwarded += u64::from(is_sent && transmit.socket.kind == SocketKind::Rtp);
    }

    // ── legs ─────────────────────────────────────────────────────────────────────────────────────────────────────

    fn take_over(&mut self, culprit: usize) {
        let boxes = self.pool.directory.lock().of_worker(self.index);
        for found in boxes {
            if found.serial == culprit {
                self.report_broken(&found);
            } else {
                self.reconcile(&found);
            }
        }
    }

    fn reconcile_noted(&mut self) {
        while let Some(changed) = self.seat.next_note() {
            self.reconcile(&changed);
        }
        if self.seat.takes_review() {
            let boxes = self.pool.directory.lock().of_worker(self.index);
            let here: Vec<_> = self.places.iter().flatten().cloned().collect();
            here.iter().chain(&boxes).for_each(|found| self.reconcile(found));
        }
    }

    /// Brings the engine in line with a box.
    fn reconcile(&mut self, found: &Arc<BlackBox>) {
        if !self.owns(found) {
            return self.drop_leg(found);
        }
        let Some(place) = self.place_of(found) else { return self.report_broken(found) };
        let now = self.pool.clock.mono();
        let engine = &mut self.engine;
        let step = || found.commands().iter().flatten().for_each(|command| engine.apply(now, command));
        if guarded(self.seat, found, step).is_none() {
            self.give_up(place, found);
        }
    }

    /// Where the leg is, after taking it in if need be. `None`: its sockets cannot be listened to.
    fn place_of(&mut self, found: &Arc<BlackBox>) -> Option<usize> {
        if let Some(place) = self.legs.get(&found.leg).copied() {
            let here = self.places.get(place).and_then(Clone::clone)?;
            if here.serial == found.serial {
                return Some(place);
            }
            // Released and opened again, and the release came out of turn.
            self.drop_leg(&here);
        }
        let place = self.free.pop().unwrap_or(self.places.len());
        for kind in KINDS {
            let fd = found.pair.socket(kind).as_raw_fd();
            let token = token_of(Socket { place, kind });
            if let Err(refused) = self.poll.registry().register(&mut SourceFd(&fd), token, Interest::READABLE) {
                error!(leg_id = %found.leg, error = %refused, "socket not registered");
                self.unregister(found);
                self.vacate(place);
                return None;
            }
        }
        if self.places.len() <= place {
            self.places.resize(place + 1, None);
        }
        if let Some(slot) = self.places.get_mut(place) {
            *slot = Some(found.clone());
        }
        self.legs.insert(found.leg, place);
        self.engine.open(self.pool.clock.mono(), place, found.leg, found.kept.clone());
        Some(place)
    }

    fn drop_leg(&mut self, found: &BlackBox) {
        // A leg may have been released and opened again meanwhile: the one that is here is then another.
        let is_here = |place: &usize| {
            self.places.get(*place).and_then(Option::as_ref).is_some_and(|here| here.serial == found.serial)
        };
        let Some(place) = self.legs.get(&found.leg).copied().filter(is_here) else { return };
        self.legs.remove(&found.leg);
        self.engine.close(place);
        self.unregister(found);
        self.vacate(place);
    }

    fn unregister(&self, found: &BlackBox) {
        for kind in KINDS {
            // An error says that it is not registered: so much the better.
            let _ = self.poll.registry().deregister(&mut SourceFd(&found.pair.socket(kind).as_raw_fd()));
        }
    }

    fn vacate(&mut self, place: usize) {
        if let Some(slot) = self.places.get_mut(place) {
            *slot = None;
            self.free.push(place);
        }
        self.unfinished.retain(|socket| socket.place != place);
    }

    /// A leg whose step panicked is not touched again.
    fn give_up(&mut self, place: usize, found: &BlackBox) {
        error!(leg_id = %found.leg, worker = self.index, place, "a packet or command broke this leg");
        self.report_broken(found);
        self.drop_leg(found);
    }

    fn report_broken(&mut self, found: &BlackBox) {
        found.end();
        self.untold.push_back((found.leg, MediaNews::Broken));
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
            } else if guarded(self.seat, &found, || self.engine.expire(now.mono, place)).is_none() {
                self.give_up(place, &found);
            }
        }
        self.send_reports(now);
    }

    fn send_reports(&mut self, now: Now) {
        while let Some(transmit) = self.engine.poll_transmit(now, self.buffer.as_mut_slice()) {
            self.send(transmit);
        }
    }

    fn tell(&mut self) {
        while let Some(news) = self.engine.poll_news() {
            if self.untold.len() < UNTOLD {
                self.untold.push_back(news);
            }
        }
        for _ in 0..self.untold.len() {
            let Some((leg, news)) = self.untold.pop_front() else { return };
            if self.pool.calls.tell_leg(leg, LegInput::Media(news)) == Err(Refusal::Full) {
                self.untold.push_back((leg, news));
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
        ] {
            if more > 0 {
                self.pool.metrics.add(counter, more);
            }
        }
    }
}

/// One leg's step. `None`: it panicked. Whose step it is stands in the seat meanwhile, for the case that it hangs.
fn guarded<R>(seat: &Seat, found: &BlackBox, step: impl FnOnce() -> R) -> Option<R> {
    seat.touch(found.serial);
    // What it leaves half done is the leg's own, and that is thrown away.
    let outcome = catch_unwind(AssertUnwindSafe(step));
    seat.touch(0);
    outcome.ok()
}

/// What a drill asks for.
#[expect(clippy::panic, reason = "a drill wants a real one")]
fn break_down() {
    panic!("asked to break");
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
