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
mod binding;
mod codec;
mod forward;
mod header;
mod history;
mod intake;
mod kept;
mod layer;
mod links;
mod messages;
mod room;
mod rtcp;
mod rtp;
mod run;
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
pub use run::Run;

use crate::demux::Demux;
use crate::peer::{Kept, Peer, Received, Remote};
use forward::{Arrival, Forward};
use room::Room;
use run::Queue;
use transport::{Taken, Transport};

/// How often [`Sfu::expire`] wants to be called for each connection: requests and feedback must be quick.
pub const TICK: Duration = Duration::from_millis(50);

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

impl std::fmt::Debug for Sfu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sfu").field("places", &self.places).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
