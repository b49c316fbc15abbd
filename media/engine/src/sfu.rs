//! Media of rooms: what one participant publishes goes to all who want it, without being decoded.
//!
//! ```text
//!  receive ─▶ peer ─▶ track, layer ─▶ history ─▶ who wants it ─▶ their queues         once per packet
//!  forward ◀─────────── numbered and sealed for one of them, as many as he gets of this batch, ready for one system call
//!  expire ──▶ requests, reports, which layers come, who speaks, how all fare          by time
//! ```
//!
//! # Invariants
//! * A step touches one connection, but for marks on the tracks that it receives: [`Sfu::receive`] its sender's,
//!   [`Sfu::forward`] its receiver's. What breaks ends that one.
//! * Nothing is allocated per packet once queues have grown to their size; a packet is decrypted once and copied once
//!   into its layer's history, however many receive it.
//! * Commands mean the same the second time, and may come in any order.

mod arrivals;
mod codec;
mod forward;
mod history;
mod intake;
mod kept;
mod layer;
mod messages;
mod rtcp;
mod rtp;
mod speech;
mod transport;
mod vp8;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tandem_core::id::{ConferenceId, ParticipantId, TrackId};
use tandem_core::room::sfu::{
    DataChannel, Extensions, Quality, ReceiveSpec, SendSpec, SfuNews, Speakers, TransportId, Wish,
};
use tandem_core::time::Timestamp;

pub use kept::{Bindings, Forwarded};

use crate::demux::Demux;
use crate::peer::{Kept, Peer, Received, Remote};
use forward::{Arrival, Forward, Outcome};
use intake::Subscriber;
use speech::Speech;
use transport::{Taken, Transport};

/// How often [`Sfu::expire`] wants to be called for each connection: requests and feedback must be quick.
pub const TICK: Duration = Duration::from_millis(50);

/// How often it is looked how all fare.
const QUALITY: Duration = Duration::from_secs(5);

/// Packets that may wait for their receivers until they are fetched: then it is time to fetch them. Some ten milliseconds
/// of work, so that of a full worker's packets several go to each of a thousand receivers at a time.
const WAITING: usize = 8_192;

/// See the module.
pub struct Sfu {
    silence: Duration,
    transports: Vec<Option<Box<Transport>>>,
    places: HashMap<TransportId, usize>,
    /// Where tracks come in.
    tracks: HashMap<TrackId, (usize, usize)>,
    /// Who wants tracks: places, and which of what they are sent.
    wanted: HashMap<TrackId, Vec<(usize, usize)>>,
    rooms: HashMap<ConferenceId, Room>,
    demux: Demux,
    /// Packets of this batch.
    arrivals: Vec<Arrival>,
    /// What waits for each connection: which packet, and as which of what it is sent.
    queues: Vec<Queue>,
    /// Places with something in their queue.
    filled: VecDeque<usize>,
    waiting: usize,
    /// Places that may have something to send of their own accord.
    due: VecDeque<usize>,
    /// Places that may have messages.
    talking: VecDeque<usize>,
    /// Layers of which somebody needs a key frame: place, track, layer.
    keys: Vec<(usize, usize, u8)>,
    news: VecDeque<(ParticipantId, SfuNews)>,
    speakers: VecDeque<Speakers>,
    counts: Counts,
    next_speech: Timestamp,
    next_quality: Timestamp,
    qualities: HashMap<ParticipantId, Quality>,
}

#[derive(Default)]
struct Room {
    members: usize,
    speech: Speech,
}

#[derive(Default)]
struct Queue {
    entries: Vec<(u32, u32)>,
    next: usize,
    is_filled: bool,
}

/// Since the last [`Sfu::take_counts`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// RTP packets of tracks.
    pub received: u64,
    /// Packets that were sent on, to each receiver.
    pub forwarded: u64,
    /// Packets that were sent again because a receiver missed them.
    pub repaired: u64,
    /// RTP packets that belong to no track.
    pub unbound: u64,
    /// RTCP packets.
    pub reports: u64,
    /// Connections whose handshake succeeded.
    pub connected: u64,
    /// Connections that were connected already when they were taken in.
    pub rebuilt: u64,
    /// Datagrams that were not authentic, or came again.
    pub refused: u64,
}

/// Packets for one receiver, ready to go: all of `segment` bytes, the last perhaps of fewer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Run {
    /// Where to.
    pub to: SocketAddr,
    /// Bytes in all.
    pub len: usize,
    /// Bytes of each.
    pub segment: usize,
}

impl Sfu {
    /// Without rooms. `silence`: after how long without a valid check or packet a far end is gone.
    #[must_use]
    pub fn new(silence: Duration) -> Self {
        Self {
            silence,
            transports: Vec::new(),
            places: HashMap::new(),
            tracks: HashMap::new(),
            wanted: HashMap::new(),
            rooms: HashMap::new(),
            demux: Demux::default(),
            arrivals: Vec::new(),
            queues: Vec::new(),
            filled: VecDeque::new(),
            waiting: 0,
            due: VecDeque::new(),
            talking: VecDeque::new(),
            keys: Vec::new(),
            news: VecDeque::new(),
            speakers: VecDeque::new(),
            counts: Counts::default(),
            next_speech: Timestamp(0),
            next_quality: Timestamp(0),
            qualities: HashMap::new(),
        }
    }

    // ── connections ──────────────────────────────────────────────────────────────────────────────────────────────

    /// Takes in a connection of a conference at a place that is free. It goes on from what was kept.
    pub fn open(
        &mut self,
        now: Timestamp,
        place: usize,
        (id, conference): (TransportId, ConferenceId),
        peer: Peer,
        (kept, bindings): (&Kept, Arc<Bindings>),
    ) {
        self.close(place);
        if self.transports.len() <= place {
            self.transports.resize_with(place + 1, || None);
            self.queues.resize_with(place + 1, Queue::default);
        }
        self.counts.rebuilt += u64::from(peer.is_connected());
        let Some(slot) = self.transports.get_mut(place) else { return };
        *slot = Some(Box::new(Transport::new(now, id, conference, peer, bindings)));
        self.places.insert(id, place);
        self.rooms.entry(conference).or_default().members += 1;
        self.demux.add(place, kept);
    }

    /// Lets go of the connection at a place, and of all that comes from it and goes to it. May be said twice.
    pub fn close(&mut self, place: usize) {
        self.demux.remove(place);
        let Some(gone) = self.transports.get_mut(place).and_then(Option::take) else { return };
        self.places.remove(&gone.id);
        if let Some(queue) = self.queues.get_mut(place) {
            *queue = Queue::default();
        }
        for intake in gone.intakes.into_iter().flatten() {
            self.tracks.remove(&intake.track);
            self.unlink(&intake.subscribers);
        }
        for (slot, forward) in gone.forwards.into_iter().enumerate() {
            if let Some(forward) = forward {
                self.unsubscribe(place, slot, &forward);
            }
        }
        if let Some(room) = self.rooms.get_mut(&gone.conference) {
            room.members -= 1;
            if room.members == 0 {
                self.rooms.remove(&gone.conference);
            }
        }
        if !self.transports.iter().flatten().any(|it| it.id.participant == gone.id.participant) {
            self.qualities.remove(&gone.id.participant);
        }
    }

    /// The far end described itself.
    pub fn connect(&mut self, place: usize, remote: &Remote, extensions: Extensions) {
        let Some(transport) = self.transport(place) else { return };
        transport.connect(remote, extensions);
        self.settle(place);
    }

    // ── tracks ───────────────────────────────────────────────────────────────────────────────────────────────────

    /// Takes a track in at a place, or its new specification.
    pub fn take_in(&mut self, now: Timestamp, place: usize, track: TrackId, spec: &Arc<ReceiveSpec>, is_muted: bool) {
        let Some(transport) = self.transport(place) else { return };
        let participant = transport.id.participant;
        let (slot, began) = transport.take_in(now, track, spec);
        if let Some(intake) = transport.intake(slot) {
            intake.is_muted = is_muted;
        }
        let news = began.into_iter().map(|(layer, ssrc)| (participant, SfuNews::Started { track, layer, ssrc }));
        self.news.extend(news);
        self.tracks.insert(track, (place, slot));
        for (subscriber, forward) in self.wanted.get(&track).cloned().unwrap_or_default() {
            self.link(subscriber, forward);
        }
        self.aim_all(place, slot);
    }

    /// The track comes in no longer.
    pub fn leave_out(&mut self, place: usize, track: TrackId) {
        let Some((_, slot)) = self.tracks.get(&track).copied().filter(|(at, _)| *at == place) else { return };
        self.tracks.remove(&track);
        if let Some(gone) = self.transport(place).and_then(|transport| transport.leave_out(slot)) {
            self.unlink(&gone.subscribers);
        }
    }

    /// Sends a track to the connection at a place, as it is wished now.
    pub fn send(
        &mut self,
        now: Timestamp,
        place: usize,
        track: TrackId,
        spec: &Arc<SendSpec>,
        wish: Wish,
        kept: &Arc<Forwarded>,
    ) {
        let Some(transport) = self.transports.get_mut(place).and_then(Option::as_deref_mut) else { return };
        let is_it = |it: &Option<Box<Forward>>| it.as_ref().is_some_and(|it| it.track == track);
        let known = transport.forwards.iter().position(is_it);
        let is_same =
            |slot: usize| transport.forwards.get(slot).and_then(Option::as_ref).is_some_and(|it| *it.spec() == *spec);
        let slot = match known.filter(|slot| is_same(*slot)) {
            Some(slot) => slot,
            None => {
                self.stop_sending(place, track);
                let Some(slot) = self.add_forward(now, place, track, spec, kept) else { return };
                slot
            }
        };
        if let Some(forward) = self.forward_at(place, slot) {
            forward.wish = wish;
        }
        self.aim(place, slot);
    }

    fn add_forward(
        &mut self,
        now: Timestamp,
        place: usize,
        track: TrackId,
        spec: &Arc<SendSpec>,
        kept: &Arc<Forwarded>,
    ) -> Option<usize> {
        let transport = self.transport(place)?;
        let extension = transport.extensions.mid;
        let forward = Forward::new(now, track, spec.clone(), extension, &transport.peer, kept.clone())?;
        let slot = transport.forwards.iter().position(Option::is_none).unwrap_or(transport.forwards.len());
        if slot == transport.forwards.len() {
            transport.forwards.push(None);
        }
        *transport.forwards.get_mut(slot)? = Some(Box::new(forward));
        self.wanted.entry(track).or_default().push((place, slot));
        self.link(place, slot);
        Some(slot)
    }

    /// Sends it no longer.
    pub fn stop_sending(&mut self, place: usize, track: TrackId) {
        let Some(transport) = self.transport(place) else { return };
        let is_it = |it: &Option<Box<Forward>>| it.as_ref().is_some_and(|it| it.track == track);
        let Some(slot) = transport.forwards.iter().position(is_it) else { return };
        if let Some(gone) = transport.forwards.get_mut(slot).and_then(Option::take) {
            gone.forget_layers();
            self.unsubscribe(place, slot, &gone);
        }
    }

    // ── packets ──────────────────────────────────────────────────────────────────────────────────────────────────

    /// The place of the connection that a datagram on the shared port is for, if it is one of these.
    #[must_use]
    pub fn find(&self, from: SocketAddr, datagram: &[u8]) -> Option<usize> {
        self.demux.find(from, datagram).ok()
    }

    /// Whether a check or authenticated media of that connection came from there in the last seconds.
    #[must_use]
    pub fn is_at(&self, now: Timestamp, place: usize, from: SocketAddr) -> bool {
        let transport = self.transports.get(place).and_then(Option::as_ref);
        transport.is_some_and(|transport| transport.peer.is_at(now, from))
    }

    /// A datagram of the connection at a place came in; it lies at `begin` of what will be given to
    /// [`forward`](Self::forward), and must stay there until nothing is [filled](Self::poll_filled) any more.
    pub fn receive(&mut self, now: Timestamp, place: usize, from: SocketAddr, datagram: &mut [u8], begin: usize) {
        let Some(transport) = self.transports.get_mut(place).and_then(Option::as_deref_mut) else { return };
        match transport.peer.receive(now, from, datagram) {
            Received::Rtp { len } => {
                let taken = transport.take_rtp(now, datagram.get(..len).unwrap_or_default(), begin);
                self.pass_on(place, taken);
            }
            Received::Rtcp { len } => self.take_rtcp(now, place, datagram.get(..len).unwrap_or_default()),
            Received::Alive => {
                transport.is_alive(now);
                let in_use = transport.peer.address();
                if !self.is_anothers(now, place, from) {
                    self.demux.learn(place, from, in_use);
                }
                self.due.push_back(place);
            }
            Received::Nothing => self.settle(place),
            Received::Data => {
                self.talking.push_back(place);
                self.due.push_back(place);
            }
            Received::Closed => self.give_up(place),
            Received::Refused(refusal) => self.counts.refused += u64::from(!transport::is_harmless(refusal)),
        }
    }

    /// Whether so much waits that it should be fetched before more is received.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.waiting >= WAITING
    }

    /// A place that has something to be fetched with [`forward`](Self::forward). When there is none left, the datagrams
    /// of this batch are not needed any more.
    pub fn poll_filled(&mut self) -> Option<usize> {
        let place = self.filled.pop_front();
        if place.is_none() {
            self.arrivals.clear();
            self.waiting = 0;
            self.ask_for_keys();
        }
        place
    }

    /// The next run of packets for the connection at a place, at most `segments` of them, until there is none. `batch`:
    /// where the datagrams lie.
    #[must_use]
    pub fn forward(
        &mut self,
        now: Timestamp,
        place: usize,
        batch: &[u8],
        out: &mut [u8],
        segments: usize,
    ) -> Option<Run> {
        let mut run = Build::new(out, segments);
        while self.forward_queued(now, place, batch, &mut run) {}
        if run.len == 0 {
            self.forward_missed(place, &mut run);
        }
        let (len, segment) = (run.len, run.segment);
        let to = self.transport(place).and_then(|transport| transport.peer.address());
        if let Some(to) = to.filter(|_| len > 0) {
            return Some(Run { to, len, segment });
        }
        if let Some(queue) = self.queues.get_mut(place) {
            queue.entries.clear();
            (queue.next, queue.is_filled) = (0, false);
        }
        None
    }

    /// Fills a run. `true`: it is to go on, for there was a change that others must see first.
    fn forward_queued(&mut self, now: Timestamp, place: usize, batch: &[u8], run: &mut Build<'_>) -> bool {
        let Self { transports, queues, arrivals, keys, counts, .. } = self;
        let (Some(transport), Some(queue)) =
            (transports.get_mut(place).and_then(Option::as_deref_mut), queues.get_mut(place))
        else {
            return false;
        };
        let Some(overhead) = transport.peer.seal_overhead() else { return false };
        let mut changed = None;
        while let Some(&(arrival, slot)) = queue.entries.get(queue.next) {
            let (Some(arrival), Some(forward)) = (
                arrivals.get(arrival as usize),
                transport.forwards.get_mut(slot as usize).and_then(Option::as_deref_mut),
            ) else {
                queue.next += 1;
                continue;
            };
            let Some(room) = run.room(forward.planned(arrival, overhead)) else { break };
            queue.next += 1;
            let payload = batch.get(arrival.begin..arrival.end).unwrap_or_default();
            let before = forward.layers();
            match forward.send(now, &transport.peer, arrival, payload, room) {
                Outcome::Sent(len) => {
                    counts.forwarded += 1;
                    run.add(len);
                }
                Outcome::Nothing => {}
                Outcome::NeedsKey => keys.extend(forward.source.map(|(at, track)| (at, track, arrival.layer))),
            }
            if forward.layers() != before {
                changed = forward.source.map(|source| (source, slot as usize, forward.layers()));
                break;
            }
        }
        let Some((source, slot, layers)) = changed else { return false };
        self.mark(source, place, slot, layers);
        true
    }

    fn forward_missed(&mut self, place: usize, run: &mut Build<'_>) {
        let mut payload = [0_u8; 2_048];
        loop {
            let Some(transport) = self.transport(place) else { return };
            let Some((slot, missed)) = transport.next_missed() else { return };
            let Some(source) = self.forward_at(place, slot).and_then(|forward| forward.source) else { continue };
            let found = self.intake_at(source).and_then(|intake| {
                let layer = intake.layer(missed.layer).filter(|layer| layer.ssrc == missed.ssrc)?;
                let (past, bytes) = layer.history.find(missed.number)?;
                payload.get_mut(..bytes.len())?.copy_from_slice(bytes);
                let len = bytes.len();
                Some((past, len, intake.kind_of(past.payload_type)?.0 == codec::Kind::Vp8))
            });
            let Some((past, len, is_vp8)) = found else { continue };
            let Some(transport) = self.transports.get_mut(place).and_then(Option::as_deref_mut) else { return };
            let Some(forward) = transport.forwards.get_mut(slot).and_then(Option::as_deref_mut) else { continue };
            let bytes = payload.get(..len).unwrap_or_default();
            // Each its own run: repairs are few, and of all sizes.
            let room = run.rest();
            if let Some(sealed) = forward.repair(&transport.peer, &missed, past, is_vp8, bytes, room) {
                self.counts.repaired += 1;
                run.close(sealed);
                return;
            }
        }
    }

    // ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────

    /// Does what is due by time alone for the connection at a place.
    pub fn expire(&mut self, now: Timestamp, place: usize) {
        let silence = self.silence;
        let Some(transport) = self.transport(place) else { return };
        let participant = transport.id.participant;
        let news = transport.expire(now, silence);
        let changed: Vec<_> = transport
            .intakes
            .iter_mut()
            .enumerate()
            .filter_map(|(slot, it)| it.as_mut()?.review().then_some(slot))
            .collect();
        let (is_broken, is_open) = (transport.peer.is_broken(), transport.peer.is_open(DataChannel::Reliable));
        self.news.extend(news.map(|news| (participant, news)));
        if is_broken {
            self.give_up(place);
        }
        if is_open {
            self.talking.push_back(place);
        }
        for slot in changed {
            self.aim_all(place, slot);
        }
        self.settle(place);
    }

    /// Does what is due by time for whole rooms.
    pub fn expire_rooms(&mut self, now: Timestamp) {
        if now >= self.next_speech {
            self.next_speech = now + speech::INTERVAL;
            self.listen();
        }
        if now >= self.next_quality {
            let is_first = self.next_quality == Timestamp(0);
            self.next_quality = now + QUALITY;
            if !is_first {
                self.judge();
            }
        }
    }

    /// A place that may have something to [`transmit`](Self::transmit).
    pub fn poll_due(&mut self) -> Option<usize> {
        self.due.pop_front()
    }

    /// What the connection at a place sends of its own accord, written into the buffer of at least 1500 bytes, until
    /// there is nothing more.
    #[must_use]
    pub fn transmit(&mut self, now: Timestamp, place: usize, buffer: &mut [u8]) -> Option<(SocketAddr, usize)> {
        self.transport(place)?.transmit(now, buffer)
    }

    /// What participants are to be told of.
    pub fn poll_news(&mut self) -> Option<(ParticipantId, SfuNews)> {
        self.news.pop_front()
    }

    /// Who speaks.
    pub fn poll_speakers(&mut self) -> Option<Speakers> {
        self.speakers.pop_front()
    }

    /// What was counted since the last time.
    pub fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }

    // ── in between ───────────────────────────────────────────────────────────────────────────────────────────────

    fn pass_on(&mut self, place: usize, taken: Taken) {
        let (slot, arrival) = match taken {
            Taken::Arrived(slot, arrival) => (slot, arrival),
            Taken::Began(slot, layer, arrival) => {
                self.began(place, slot, layer);
                let Some(arrival) = arrival else { return };
                (slot, arrival)
            }
            Taken::Unbound => {
                self.counts.unbound += 1;
                return;
            }
            Taken::Nothing => return,
        };
        self.counts.received += 1;
        let Self { transports, queues, filled, arrivals, waiting, .. } = self;
        let source = transports.get(place).and_then(Option::as_deref);
        let Some(intake) = source.and_then(|it| it.intakes.get(slot)?.as_ref()) else { return };
        let nth = arrivals.len() as u32;
        let before = *waiting;
        for subscriber in intake.subscribers.iter().filter(|it| it.layers >> arrival.layer & 1 == 1) {
            let Some(queue) = queues.get_mut(subscriber.place) else { continue };
            queue.entries.push((nth, subscriber.slot as u32));
            *waiting += 1;
            if !std::mem::replace(&mut queue.is_filled, true) {
                filled.push_back(subscriber.place);
            }
        }
        if *waiting > before {
            arrivals.push(arrival);
        }
    }

    fn began(&mut self, place: usize, slot: usize, layer: u8) {
        let Some(transport) = self.transport(place) else { return };
        let participant = transport.id.participant;
        let Some(intake) = transport.intake(slot) else { return };
        let track = intake.track;
        if let Some(ssrc) = intake.layer(layer).map(|layer| layer.ssrc) {
            self.news.push_back((participant, SfuNews::Started { track, layer, ssrc }));
        }
        self.aim_all(place, slot);
    }

    fn take_rtcp(&mut self, now: Timestamp, place: usize, compound: &[u8]) {
        self.counts.reports += 1;
        let Some(transport) = self.transports.get_mut(place).and_then(Option::as_deref_mut) else { return };
        let mut slots = Vec::new();
        transport.take_rtcp(now, compound, |slot| slots.push(slot));
        for slot in slots {
            let Some(forward) = transport.forwards.get(slot).and_then(Option::as_ref) else { continue };
            self.keys.extend(forward.source.zip(forward.wanted()).map(|((at, track), layer)| (at, track, layer)));
        }
        if transport.has_missed()
            && let Some(queue) = self.queues.get_mut(place)
            && !std::mem::replace(&mut queue.is_filled, true)
        {
            self.filled.push_back(place);
        }
    }

    fn ask_for_keys(&mut self) {
        while let Some((place, slot, layer)) = self.keys.pop() {
            if let Some(layer) = self.intake_at((place, slot)).and_then(|intake| intake.layer(layer)) {
                layer.want_key();
                self.due.push_back(place);
            }
        }
    }

    /// Something happened to a connection: it may have become one, or have an answer.
    fn settle(&mut self, place: usize) {
        let Some(transport) = self.transport(place) else { return };
        let participant = transport.id.participant;
        if let Some(news) = transport.became_connected() {
            self.counts.connected += 1;
            self.news.push_back((participant, news));
        }
        self.due.push_back(place);
    }

    /// Whether an address leads to another peer that lives there: then a check from there has a forged source.
    fn is_anothers(&mut self, now: Timestamp, place: usize, from: SocketAddr) -> bool {
        let owner = self.demux.owner_of(from).filter(|owner| *owner != place);
        owner.and_then(|owner| self.transport(owner)).is_some_and(|it| it.peer.is_at(now, from))
    }

    /// Connects what goes out with what comes in, once both are here.
    fn link(&mut self, place: usize, slot: usize) {
        let Some(track) = self.forward_at(place, slot).map(|forward| forward.track) else { return };
        let Some(source) = self.tracks.get(&track).copied() else { return };
        let Some(intake) = self.intake_at(source) else { return };
        let spec = intake.spec.clone();
        if !intake.subscribers.iter().any(|it| (it.place, it.slot) == (place, slot)) {
            intake.subscribers.push(Subscriber { place, slot, layers: 0 });
        }
        if let Some(forward) = self.forward_at(place, slot) {
            forward.link(source, &spec);
        }
    }

    fn unlink(&mut self, subscribers: &[Subscriber]) {
        for subscriber in subscribers {
            if let Some(forward) = self.forward_at(subscriber.place, subscriber.slot) {
                forward.unlink();
            }
        }
    }

    fn unsubscribe(&mut self, place: usize, slot: usize, gone: &Forward) {
        if let Some(intake) = gone.source.and_then(|source| self.intake_at(source)) {
            intake.subscribers.retain(|it| (it.place, it.slot) != (place, slot));
        }
        if let Some(wanted) = self.wanted.get_mut(&gone.track) {
            wanted.retain(|it| *it != (place, slot));
            if wanted.is_empty() {
                self.wanted.remove(&gone.track);
            }
        }
    }

    /// Chooses the layer for everybody who receives a track.
    fn aim_all(&mut self, place: usize, slot: usize) {
        let subscribers = self.intake_at((place, slot)).map(|intake| intake.subscribers.clone()).unwrap_or_default();
        for subscriber in subscribers {
            self.aim(subscriber.place, subscriber.slot);
        }
    }

    fn aim(&mut self, place: usize, slot: usize) {
        let Some(forward) = self.forward_at(place, slot) else { return };
        let (max_layer, Some(source)) = (forward.wish.max_layer, forward.source) else { return };
        let Some(intake) = self.intake_at(source) else { return };
        let (target, is_video) = (intake.best(max_layer), intake.is_video());
        let is_muted = intake.is_muted;
        let Some(forward) = self.forward_at(place, slot) else { return };
        if is_muted {
            forward.stop();
        }
        let needs_key = forward.aim(target);
        let layers = forward.layers();
        self.mark(source, place, slot, layers);
        if let Some(layer) = target.filter(|_| needs_key && is_video)
            && let Some(layer) = self.intake_at(source).and_then(|intake| intake.layer(layer))
        {
            layer.want_key();
            self.due.push_back(source.0);
        }
    }

    fn mark(&mut self, source: (usize, usize), place: usize, slot: usize, layers: u8) {
        let Some(intake) = self.intake_at(source) else { return };
        if let Some(it) = intake.subscribers.iter_mut().find(|it| (it.place, it.slot) == (place, slot)) {
            it.layers = layers;
        }
    }

    fn listen(&mut self) {
        let mut levels: HashMap<ConferenceId, HashMap<ParticipantId, f32>> = HashMap::new();
        for transport in self.transports.iter_mut().flatten() {
            let level = levels.entry(transport.conference).or_default().entry(transport.id.participant).or_default();
            for intake in transport.intakes.iter_mut().flatten().filter(|it| !it.is_video()) {
                let loudness = intake.loudness.take();
                *level = level.max(if intake.is_muted { 0.0 } else { loudness });
            }
        }
        for (conference, levels) in levels {
            let changed = self.rooms.entry(conference).or_default().speech.update(&levels);
            if !changed.is_empty() {
                self.speakers.push_back(Speakers { conference, changed });
            }
        }
    }

    fn judge(&mut self) {
        let mut found: HashMap<ParticipantId, Quality> = HashMap::new();
        for transport in self.transports.iter_mut().flatten() {
            if let Some(quality) = transport.quality() {
                let worst = found.entry(transport.id.participant).or_insert(quality);
                *worst = quality.min(*worst);
            }
        }
        for (participant, quality) in found {
            if self.qualities.insert(participant, quality) != Some(quality) {
                self.news.push_back((participant, SfuNews::Quality(quality)));
            }
        }
    }

    fn transport(&mut self, place: usize) -> Option<&mut Transport> {
        self.transports.get_mut(place)?.as_deref_mut()
    }

    fn intake_at(&mut self, (place, slot): (usize, usize)) -> Option<&mut intake::Intake> {
        self.transport(place)?.intake(slot)
    }

    fn forward_at(&mut self, place: usize, slot: usize) -> Option<&mut Forward> {
        self.transport(place)?.forwards.get_mut(slot)?.as_deref_mut()
    }
}

/// A run that is being filled.
struct Build<'a> {
    out: &'a mut [u8],
    len: usize,
    segment: usize,
    count: usize,
    limit: usize,
    is_closed: bool,
}

impl<'a> Build<'a> {
    fn new(out: &'a mut [u8], limit: usize) -> Self {
        Self { out, len: 0, segment: 0, count: 0, limit: limit.max(1), is_closed: false }
    }

    /// Room for a packet of that size. `None`: it belongs to the next run.
    fn room(&mut self, planned: usize) -> Option<&mut [u8]> {
        let fits = self.count == 0 || self.count < self.limit && planned <= self.segment;
        if self.is_closed || !fits || self.len + planned > self.out.len() {
            self.is_closed = self.len > 0;
            return if self.len == 0 { Some(&mut []) } else { None };
        }
        self.out.get_mut(self.len..self.len + planned)
    }

    fn rest(&mut self) -> &mut [u8] {
        self.out.get_mut(self.len..).unwrap_or_default()
    }

    fn add(&mut self, len: usize) {
        if self.count == 0 {
            self.segment = len;
        }
        // Only the last may be shorter.
        self.is_closed = len < self.segment;
        self.len += len;
        self.count += 1;
    }

    /// A packet that stands alone.
    fn close(&mut self, len: usize) {
        self.add(len);
        self.is_closed = true;
    }
}

impl std::fmt::Debug for Sfu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sfu").field("places", &self.places).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
