//! All phones and all media on one thread: hundreds of calls must cost little beside the node that they try.
//!
//! ```text
//!  orders ──▶ ┌──────────────────────┐ ──▶ board: how each call stands
//!             │ phones · ends · clock│
//!  epoll ───▶ └──────────────────────┘ ──▶ trails: what became of each packet
//! ```
//! The clock has twenty slots of 1 ms; an end sends in its slot every time it comes round.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};
use parking_lot::Mutex;
use socket2::SockRef;

use super::phones::{Phones, Side, Sign};
use super::trail::{Moment, Stopwatch, Trail};
use crate::harness::rtp::{Numbered, PACKET_TIME, Packet, RtpEnd};
use crate::harness::webrtc;

/// How often something is sent.
const SLOT: Duration = Duration::from_millis(1);
const SLOTS: usize = 20;

/// What both sides of a call send in the first moment may have nowhere to go: whoever is up knows it before the other.
pub const LEAD_IN: Duration = Duration::from_millis(200);

/// How long packets may be on their way after both sides have stopped to send: longer than a hung worker is noticed.
const STRAGGLERS: Duration = Duration::from_secs(6);

/// How long a call may take to be over on both sides once one has hung up.
const FAREWELL: Duration = Duration::from_secs(40);

/// What is asked of a socket: 8 s of one stream.
const RECEIVE_BUFFER: usize = 1 << 20;

/// Datagrams read from one socket before another has its turn.
const BATCH: usize = 64;

/// Tokens below are the phones'.
const FIRST_END: usize = 2;

/// What is to be done.
pub enum Order {
    /// Call.
    Call(u32),
    /// Somebody else calls this number.
    Expect(u32),
    /// That is the media of who does.
    Join(u32, webrtc::Ends),
    /// Stop to send, wait for the rest, hang up.
    HangUp(u32),
    /// No more.
    Stop,
}

/// How a call stands.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// Media may flow on both sides.
    pub up: Option<Moment>,
    /// It was told to hang up.
    pub leaving: Option<Moment>,
    /// Somebody said BYE.
    pub bye: Option<Moment>,
    /// It is over as it should be.
    pub over: Option<Moment>,
    /// It is over, and should not be: since when, and what was seen.
    pub lost: Option<(Moment, String)>,
    ready: [bool; 2],
}

/// What the driver knows while it runs.
#[derive(Default)]
pub struct Board {
    /// Every call that was ever placed.
    pub calls: HashMap<u32, Standing>,
    /// Packets sent and received.
    pub packets: (u64, u64),
    /// The longest that the driver itself was late.
    pub late: Duration,
}

/// Both directions of every call: what the caller said, what the callee said.
pub type Trails = HashMap<u32, [Trail; 2]>;

/// A driver at work.
pub struct Drive {
    orders: Sender<Order>,
    /// See [`Board`].
    pub board: Arc<Mutex<Board>>,
    thread: JoinHandle<Trails>,
}

struct Driver {
    poll: Poll,
    watch: Stopwatch,
    phones: Phones,
    ends: Vec<Option<End>>,
    /// Those that no socket wakes us for.
    peers: Vec<usize>,
    trails: Trails,
    board: Arc<Mutex<Board>>,
    orders: Receiver<Order>,
}

/// One side's media.
struct End {
    call: u32,
    side: Side,
    wire: Wire,
    packet: Numbered,
    speaks: bool,
}

enum Wire {
    Socket(UdpSocket, SocketAddr),
    Peer(webrtc::Ends),
}

impl Standing {
    /// Talking, and nobody has asked it to stop.
    pub const fn is_up(&self) -> bool {
        self.up.is_some() && self.leaving.is_none() && self.lost.is_none()
    }

    /// Nothing more is to come.
    pub const fn is_settled(&self) -> bool {
        self.over.is_some() || self.lost.is_some()
    }
}

impl Drive {
    /// Begins.
    pub fn start(watch: Stopwatch, phones: Phones) -> Self {
        let (orders, receiver) = channel();
        let board = Arc::new(Mutex::new(Board::default()));
        let shared = board.clone();
        let thread = std::thread::spawn(move || Driver::new(watch, phones, shared, receiver).unwrap().run().unwrap());
        Self { orders, board, thread }
    }

    /// Does that soon.
    pub fn order(&self, order: Order) {
        self.orders.send(order).expect("the driver runs");
    }

    /// How a call stands.
    pub fn standing(&self, call: u32) -> Standing {
        self.board.lock().calls.get(&call).cloned().unwrap_or_default()
    }

    /// Ends, and gives what it noted.
    pub fn stop(self) -> (Board, Trails) {
        let _ = self.orders.send(Order::Stop);
        let trails = self.thread.join().unwrap();
        (std::mem::take(&mut self.board.lock()), trails)
    }
}

impl Driver {
    fn new(
        watch: Stopwatch,
        mut phones: Phones,
        board: Arc<Mutex<Board>>,
        orders: Receiver<Order>,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        for (place, socket) in phones.sockets.iter_mut().enumerate() {
            poll.registry().register(socket, Token(place), Interest::READABLE)?;
        }
        let (ends, peers, trails) = (Vec::new(), Vec::new(), Trails::new());
        Ok(Self { poll, watch, phones, ends, peers, trails, board, orders })
    }

    fn run(mut self) -> io::Result<Trails> {
        let mut events = Events::with_capacity(1_024);
        let (mut slot, mut due) = (0, Instant::now());
        loop {
            let wait = due.saturating_duration_since(Instant::now());
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            // Before anything is read: a call that was to be expected may be here already.
            if self.obey(Instant::now())? {
                return Ok(self.trails);
            }
            for event in &events {
                match event.token() {
                    Token(0) => self.phones.receive(Instant::now(), Side::Near),
                    Token(1) => self.phones.receive(Instant::now(), Side::Far),
                    Token(token) => self.receive(token - FIRST_END)?,
                }
            }
            self.listen_to_peers();
            let now = Instant::now();
            if now < due {
                continue;
            }
            self.note_late(now - due);
            while due <= now {
                (slot, due) = ((slot + 1) % SLOTS, due + SLOT);
                self.speak(slot);
            }
            if slot.is_multiple_of(5) {
                self.phones.expire(now);
                self.wait_for_stragglers(now);
            }
            self.heed_signs()?;
        }
    }

    fn note_late(&self, late: Duration) {
        let mut board = self.board.lock();
        board.late = board.late.max(late);
    }

    /// Whether it is time to end.
    fn obey(&mut self, now: Instant) -> io::Result<bool> {
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::Call(call) => {
                    self.board.lock().calls.entry(call).or_default();
                    self.phones.call(now, call);
                }
                Order::Expect(call) => {
                    self.board.lock().calls.entry(call).or_default();
                    self.phones.expect(call);
                }
                Order::Join(call, ends) => {
                    self.peers.push(self.ends.len());
                    self.join(call, Side::Near, Wire::Peer(ends), webrtc::SSRC);
                }
                Order::HangUp(call) => {
                    let at = self.watch.now();
                    self.board.lock().calls.entry(call).or_default().leaving = Some(at);
                    self.ends.iter_mut().flatten().filter(|it| it.call == call).for_each(|it| it.speaks = false);
                }
                Order::Stop => return Ok(true),
            }
        }
        Ok(false)
    }

    fn heed_signs(&mut self) -> io::Result<()> {
        for sign in self.phones.signs() {
            match sign {
                Sign::Up { call, side, end, to } => self.connect(call, side, end, to)?,
                Sign::Over(call) => {
                    let at = self.watch.now();
                    self.board.lock().calls.entry(call).or_default().over = Some(at);
                    self.forget(call);
                }
                Sign::Lost(call, why) => self.lose(call, why),
            }
        }
        Ok(())
    }

    fn lose(&mut self, call: u32, why: String) {
        let at = self.watch.now();
        self.board.lock().calls.entry(call).or_default().lost.get_or_insert((at, why));
        self.forget(call);
    }

    fn connect(&mut self, call: u32, side: Side, end: RtpEnd, to: SocketAddr) -> io::Result<()> {
        SockRef::from(&end.socket).set_recv_buffer_size(RECEIVE_BUFFER)?;
        end.socket.set_nonblocking(true)?;
        let mut socket = UdpSocket::from_std(end.socket);
        let token = Token(self.ends.len() + FIRST_END);
        self.poll.registry().register(&mut socket, token, Interest::READABLE)?;
        self.join(call, side, Wire::Socket(socket, to), to.port().into());
        Ok(())
    }

    fn join(&mut self, call: u32, side: Side, wire: Wire, ssrc: u32) {
        let packet = Numbered::marked(ssrc, mark(call, side));
        self.ends.push(Some(End { call, side, wire, packet, speaks: true }));
        self.trails.entry(call).or_default();
        let at = self.watch.now();
        let mut board = self.board.lock();
        let standing = board.calls.entry(call).or_default();
        standing.ready[side.place()] = true;
        if standing.ready == [true; 2] {
            standing.up.get_or_insert(at);
        }
    }

    fn forget(&mut self, call: u32) {
        for end in self.ends.iter_mut().filter(|it| it.as_ref().is_some_and(|it| it.call == call)) {
            *end = None;
        }
    }

    fn receive(&mut self, place: usize) -> io::Result<()> {
        let Some(Some(end)) = self.ends.get_mut(place) else { return Ok(()) };
        let Wire::Socket(socket, _) = &mut end.wire else { return Ok(()) };
        let Some(trails) = self.trails.get_mut(&end.call) else { return Ok(()) };
        let (trail, mark) = (&mut trails[end.side.other().place()], mark(end.call, end.side.other()));
        let (mut buffer, mut count) = ([0; 2_048], 0);
        loop {
            match socket.recv(&mut buffer) {
                Ok(length) => {
                    // The second octet of RTCP (RFC 5761, 4).
                    if (192..=223).contains(&buffer[1]) {
                        continue;
                    }
                    if let Some(packet) = Packet::read(&buffer[..length]) {
                        trail.arrive(self.watch.now(), &packet, mark);
                        count += 1;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // The far end has closed its port; more may come.
                Err(_) => {}
            }
            if count >= BATCH {
                // epoll tells of an edge only once.
                self.poll.registry().reregister(socket, Token(place + FIRST_END), Interest::READABLE)?;
                break;
            }
        }
        self.board.lock().packets.1 += count as u64;
        Ok(())
    }

    fn listen_to_peers(&mut self) {
        for place in &self.peers {
            let Some(Some(End { call, side, wire: Wire::Peer(ends), .. })) = self.ends.get(*place) else { continue };
            let Some(trails) = self.trails.get_mut(call) else { continue };
            for packet in ends.arrived() {
                trails[side.other().place()].arrive(self.watch.now(), &packet, mark(*call, side.other()));
                self.board.lock().packets.1 += 1;
            }
        }
    }

    fn speak(&mut self, slot: usize) {
        let mut count = 0;
        for end in self.ends.iter_mut().skip(slot).step_by(SLOTS).flatten().filter(|it| it.speaks) {
            let Some(trails) = self.trails.get_mut(&end.call) else { continue };
            let number = trails[end.side.place()].send(self.watch.now());
            let packet = end.packet.number(number);
            count += 1;
            match &end.wire {
                // What did not leave is missed at the other side.
                Wire::Socket(socket, to) => _ = socket.send_to(packet, *to),
                Wire::Peer(ends) => ends.send(packet),
            }
        }
        self.board.lock().packets.0 += count;
    }

    /// Hangs up calls whose last packets have come, or will not.
    fn wait_for_stragglers(&mut self, now: Instant) {
        let at = self.watch.now();
        let mut late = Vec::new();
        let mut done = Vec::new();
        for (call, standing) in &mut self.board.lock().calls {
            let Some(leaving) = standing.leaving.filter(|_| !standing.is_settled()) else { continue };
            let waited = at.since(leaving);
            match standing.bye {
                Some(bye) if at.since(bye) > FAREWELL => late.push(*call),
                Some(_) => {}
                None => {
                    let since = standing.up.unwrap_or_default().after(LEAD_IN);
                    let is_complete =
                        self.trails.get(call).is_some_and(|it| it.iter().all(|trail| trail.is_complete(since)));
                    if waited > STRAGGLERS || (is_complete && waited > 2 * PACKET_TIME) {
                        standing.bye = Some(at);
                        done.push(*call);
                    }
                }
            }
        }
        done.into_iter().for_each(|call| self.phones.hang_up(now, call));
        late.into_iter().for_each(|call| self.lose(call, String::from("one side is not over")));
    }
}

/// What the packets of one side of a call carry.
fn mark(call: u32, side: Side) -> u32 {
    call * 2 + u32::from(side == Side::Far)
}
