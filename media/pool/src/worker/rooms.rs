//! The connections of rooms that a worker carries: brought in line with their black boxes, and their packets passed on.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tandem_core::id::ParticipantId;
use tandem_core::machine::Refusal;
use tandem_core::metric::Counter;
use tandem_core::room::sfu::{SfuNews, TransportId};
use tandem_core::time::Timestamp;
use tandem_engine::peer::{Peer, Remote, is_stun};
use tandem_engine::sfu::{Sfu, TICK};
use tracing::error;

use super::{IDLE, Worker};
use crate::pool::Pool;
use crate::room_box::{Order, RoomBox};
use crate::shared_port::JOINED;

/// Packets that are sent on in one turn, give or take what one read brings: some tens of milliseconds.
const TURN: usize = 16_384;

/// News that wait for room in an inbox. Beyond that they are lost.
const UNTOLD: usize = 16_384;

/// See the module.
pub(super) struct RoomsHere {
    pub(super) sfu: Sfu,
    places: Vec<Option<Arc<RoomBox>>>,
    pub(super) transports: HashMap<TransportId, usize>,
    free: Vec<usize>,
    pub(super) untold: VecDeque<(ParticipantId, SfuNews)>,
    /// Connections that broke here, whose participants do not know it yet.
    broken: VecDeque<Arc<RoomBox>>,
    /// A run of packets on its way out.
    out: Box<[u8]>,
    /// Packets that were sent on in this turn.
    sent: usize,
    next_tick: Timestamp,
}

impl RoomsHere {
    pub(super) fn new(pool: &Pool) -> Self {
        Self {
            sfu: Sfu::new(pool.config.peer_silence_timeout),
            places: Vec::new(),
            transports: HashMap::new(),
            free: Vec::new(),
            untold: VecDeque::new(),
            broken: VecDeque::new(),
            out: vec![0; JOINED].into(),
            sent: 0,
            next_tick: pool.clock.mono(),
        }
    }

    pub(super) fn timeout(&self, now: Timestamp) -> Duration {
        let is_idle = self.transports.is_empty() && self.untold.is_empty() && self.broken.is_empty();
        if is_idle { IDLE } else { self.next_tick - now }
    }

    /// Whether so many packets wait that no more should be read.
    pub(super) fn is_full(&self) -> bool {
        self.sfu.is_full()
    }

    pub(super) fn begin_turn(&mut self) {
        self.sent = 0;
    }

    /// Whether others must have their turn before more is read.
    pub(super) fn has_done_enough(&self) -> bool {
        self.sent >= TURN
    }

    pub(super) fn at(&self, place: usize) -> Option<Arc<RoomBox>> {
        self.places.get(place).and_then(Clone::clone)
    }
}

impl Worker<'_> {
    pub(super) fn take_over_rooms(&mut self, culprit: usize) {
        let boxes = self.pool.directory.lock().rooms.of_worker(self.index);
        if let Some(culprit) = boxes.iter().find(|found| found.serial == culprit) {
            culprit.break_off();
        }
        for found in boxes {
            if found.is_untold() {
                self.rooms.broken.push_back(found);
            } else {
                let orders = found.all_orders();
                self.reconcile_room(&found, orders);
            }
        }
    }

    /// Looks at all connections: a note found no room.
    pub(super) fn review_rooms(&mut self) {
        let boxes = self.pool.directory.lock().rooms.of_worker(self.index);
        let here: Vec<_> = self.rooms.places.iter().flatten().cloned().collect();
        for found in here.iter().chain(&boxes) {
            let orders = found.take_orders();
            self.reconcile_room(found, orders);
        }
    }

    /// Brings the engine in line with a box.
    pub(super) fn reconcile_room(&mut self, found: &Arc<RoomBox>, orders: Vec<Order>) {
        if !self.owns_room(found) {
            return self.drop_room(found);
        }
        let Some(place) = self.place_of_room(found).or_else(|| self.take_in_room(found)) else {
            return self.report_room_broken(found);
        };
        let (now, watch) = (self.pool.clock.mono(), self.watch());
        let sfu = &mut self.rooms.sfu;
        let step = || orders.into_iter().for_each(|order| obey(sfu, now, place, order));
        if watch.guarded(found.serial, step).is_none() {
            self.give_up_room(place, found);
        }
    }

    pub(super) fn owns_room(&self, found: &RoomBox) -> bool {
        !found.is_over() && found.home == self.index && self.seat.is_held_by(self.generation)
    }

    /// Where the connection is, if it is here.
    fn place_of_room(&mut self, found: &Arc<RoomBox>) -> Option<usize> {
        let place = self.rooms.transports.get(&found.id).copied()?;
        let here = self.rooms.at(place)?;
        if here.serial == found.serial {
            return Some(place);
        }
        // Released and opened again, and the release came out of turn.
        self.drop_room(&here);
        None
    }

    /// Takes a connection in. `None`: it cannot be built.
    fn take_in_room(&mut self, found: &Arc<RoomBox>) -> Option<usize> {
        let rooms = &mut self.rooms;
        let place = rooms.free.pop().unwrap_or(rooms.places.len());
        if rooms.places.len() <= place {
            rooms.places.resize(place + 1, None);
        }
        if let Some(slot) = rooms.places.get_mut(place) {
            *slot = Some(found.clone());
        }
        rooms.transports.insert(found.id, place);
        let (pool, watch, now) = (self.pool, self.watch(), self.pool.clock.mono());
        let sfu = &mut self.rooms.sfu;
        let build = || {
            let peer = Peer::new(now, pool.clock.epoch(), pool.identity.clone(), found.kept.clone());
            sfu.open(now, place, (found.id, found.conference), peer, (&found.kept, found.bindings.clone()));
        };
        if watch.guarded(found.serial, build).is_some() {
            return Some(place);
        }
        self.drop_room(found);
        None
    }

    fn drop_room(&mut self, found: &RoomBox) {
        let is_here = |place: &usize| self.rooms.at(*place).is_some_and(|here| here.serial == found.serial);
        let Some(place) = self.rooms.transports.get(&found.id).copied().filter(is_here) else { return };
        self.rooms.transports.remove(&found.id);
        let watch = self.watch();
        let sfu = &mut self.rooms.sfu;
        let is_clean = watch.guarded(found.serial, || sfu.close(place)).is_some();
        if let Some(slot) = self.rooms.places.get_mut(place) {
            *slot = None;
        }
        if is_clean {
            self.rooms.free.push(place);
        } else {
            // What is left there is nobody's, and stays until the worker is rebuilt.
            self.pool.metrics.count(Counter::MediaPanics);
            error!(participant_id = %found.id.participant, worker = self.index, place, "closing broke, place left empty");
        }
    }

    /// A connection whose step panicked is not touched again.
    pub(super) fn give_up_room(&mut self, place: usize, found: &Arc<RoomBox>) {
        self.pool.metrics.count(Counter::MediaPanics);
        if !self.owns_room(found) {
            return self.drop_room(found);
        }
        let participant_id = found.id.participant;
        error!(%participant_id, worker = self.index, place, "a packet or command broke this connection");
        self.report_room_broken(found);
        self.drop_room(found);
    }

    fn report_room_broken(&mut self, found: &Arc<RoomBox>) {
        found.break_off();
        self.rooms.broken.push_back(found.clone());
    }

    // ── packets ──────────────────────────────────────────────────────────────────────────────────────────────────

    /// Takes in a datagram of the batch, if it is for a room. `false`: it is not.
    pub(super) fn take_room(&mut self, now: Timestamp, from: SocketAddr, at: Range<usize>) -> bool {
        let (begin, watch) = (at.start, self.watch());
        let Some(datagram) = self.batch.get_mut(at) else { return true };
        let sfu = &mut self.rooms.sfu;
        let search = AssertUnwindSafe(|| sfu.find(from, datagram));
        let Some(place) = catch_unwind(search).unwrap_or_default() else { return false };
        // A far end that is gone may have left its port to one of a call.
        if !is_stun(datagram) && !sfu.is_at(now, place, from) && self.engine.is_known(from) {
            return false;
        }
        let Some(found) = self.rooms.places.get(place).and_then(Clone::clone) else { return true };
        if found.is_over() || !self.seat.is_held_by(self.generation) {
            return true;
        }
        let break_on = self.pool.config.break_on;
        let step = || {
            if break_on.is_some() && ssrc_of(datagram) == break_on {
                super::break_down();
            }
            sfu.receive(now, place, from, datagram, begin);
        };
        if watch.guarded(found.serial, step).is_none() {
            self.give_up_room(place, &found);
        }
        true
    }

    /// Sends what this batch led to: to each receiver all that he gets of it, then what there is to answer.
    pub(super) fn forward_rooms(&mut self, now: Timestamp) {
        while let Some(place) = self.rooms.sfu.poll_filled() {
            if let Some(found) = self.rooms.at(place) {
                self.forward_to(now, place, &found);
            }
        }
        self.tell_messages(now);
        self.send_due_rooms(now);
    }

    fn forward_to(&mut self, now: Timestamp, place: usize, found: &Arc<RoomBox>) {
        let Some(shared) = self.pool.shared_ports.get(self.index) else { return };
        let (segments, break_on) = (shared.segments(), self.pool.config.break_on);
        loop {
            let watch = self.watch();
            let (rooms, batch) = (&mut self.rooms, &self.batch);
            let (sfu, out) = (&mut rooms.sfu, &mut rooms.out);
            let step = || {
                let run = sfu.forward(now, place, batch, out, segments);
                if run.is_some() && break_on.is_some() && ssrc_of(out) == break_on {
                    super::break_down();
                }
                run
            };
            let run = match watch.guarded(found.serial, step) {
                Some(Some(run)) => run,
                Some(None) => return,
                None => return self.give_up_room(place, found),
            };
            if !self.owns_room(found) {
                return;
            }
            // What does not fit into the send buffer is lost, as in any network.
            if let Some(packets) = self.rooms.out.get(..run.len) {
                let _ = shared.send(packets, run.to, run.segment);
                self.rooms.sent += run.len.div_ceil(run.segment);
            }
        }
    }

    fn send_due_rooms(&mut self, now: Timestamp) {
        let Some(shared) = self.pool.shared_ports.get(self.index) else { return };
        while let Some(place) = self.rooms.sfu.poll_due() {
            let Some(found) = self.rooms.at(place).filter(|found| self.owns_room(found)) else { continue };
            loop {
                let watch = self.watch();
                let (sfu, out) = (&mut self.rooms.sfu, &mut self.rooms.out);
                match watch.guarded(found.serial, || sfu.transmit(now, place, out)) {
                    Some(Some((to, len))) => {
                        if let Some(packet) = self.rooms.out.get(..len).filter(|_| self.owns_room(&found)) {
                            let _ = shared.send(packet, to, len);
                        }
                    }
                    Some(None) => break,
                    None => {
                        self.give_up_room(place, &found);
                        break;
                    }
                }
            }
        }
    }

    // ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────

    pub(super) fn tick_rooms(&mut self) {
        self.send_messages();
        let now = self.pool.clock.mono();
        if now >= self.rooms.next_tick {
            self.rooms.next_tick = now + TICK;
            for place in 0..self.rooms.places.len() {
                let Some(found) = self.rooms.at(place) else { continue };
                if !self.owns_room(&found) {
                    self.drop_room(&found);
                    continue;
                }
                let watch = self.watch();
                let sfu = &mut self.rooms.sfu;
                if watch.guarded(found.serial, || sfu.expire(now, place)).is_none() {
                    self.give_up_room(place, &found);
                }
            }
            self.rooms.sfu.expire_rooms(now);
        }
        self.forward_rooms(now);
    }

    pub(super) fn tell_rooms(&mut self) {
        while let Some(news) = self.rooms.sfu.poll_news() {
            if self.rooms.untold.len() < UNTOLD {
                self.rooms.untold.push_back(news);
            } else {
                self.pool.metrics.count(Counter::MediaNewsDropped);
            }
        }
        for _ in 0..self.rooms.untold.len() {
            let Some((participant, news)) = self.rooms.untold.pop_front() else { break };
            if self.pool.listener.news(participant, news.clone()) == Err(Refusal::Full) {
                self.rooms.untold.push_back((participant, news));
            }
        }
        for _ in 0..self.rooms.broken.len() {
            let Some(broken) = self.rooms.broken.pop_front() else { break };
            let id = broken.id;
            match self.pool.listener.news(id.participant, SfuNews::Broken(id.role)) {
                Err(Refusal::Full) => self.rooms.broken.push_back(broken),
                _ => broken.told(),
            }
        }
        while let Some(speakers) = self.rooms.sfu.poll_speakers() {
            self.pool.listener.speakers(speakers);
        }
        self.count_rooms();
    }

    fn count_rooms(&mut self) {
        let counts = self.rooms.sfu.take_counts();
        for (counter, more) in [
            (Counter::RtpReceived, counts.received),
            (Counter::RtpForwarded, counts.forwarded + counts.repaired),
            (Counter::RtpUnrouted, counts.unbound),
            (Counter::RtcpReceived, counts.reports),
            (Counter::PeersConnected, counts.connected),
            (Counter::PeersRebuilt, counts.rebuilt),
            (Counter::PeerRefused, counts.refused),
        ] {
            if more > 0 {
                self.pool.metrics.add(counter, more);
            }
        }
    }
}

fn obey(sfu: &mut Sfu, now: Timestamp, place: usize, order: Order) {
    match order {
        Order::Connect(remote, extensions) => {
            let remote = Remote {
                ufrag: remote.ufrag.clone(),
                password: remote.password.reveal().clone(),
                fingerprint: remote.fingerprint,
            };
            sfu.connect(place, &remote, extensions);
        }
        Order::TakeIn(track, spec, is_muted) => sfu.take_in(now, place, track, &spec, is_muted),
        Order::LeaveOut(track) => sfu.leave_out(place, track),
        Order::Send(track, spec, wish, kept) => sfu.send(now, place, track, &spec, wish, &kept),
        Order::StopSending(track) => sfu.stop_sending(place, track),
    }
}

/// Of a datagram that may be RTP.
fn ssrc_of(datagram: &[u8]) -> Option<u32> {
    let is_rtp = matches!(datagram, [128..=191, 0..=191 | 224..=255, ..]);
    datagram.get(8..).filter(|_| is_rtp)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}
