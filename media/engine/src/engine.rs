//! All legs of one worker, and who is bridged to whom.
//!
//! ```text
//!  apply ──▶ tracks, bridges          receive ──▶ the packet, rewritten, and where it goes
//!  expire ─▶ silence, late digits, reports due     poll_news ──▶ digits, silence
//!  poll_due ─▶ a place that has something to send ─▶ transmit ──▶ reports, a peer's answers and handshake
//! ```
//!
//! # Invariants
//! * A leg's step touches that leg and the one it is bridged to, and no other.
//! * Every command means the same the second time, and one for a leg that is not here means nothing.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tandem_core::id::{LegId, TrackId};
use tandem_core::media::{MediaCommand, MediaNews, TrackSpec};
use tandem_core::time::{Now, Timestamp};

use crate::continuity::Continuity;
use crate::counts::Counts;
use crate::demux::{Demux, Stray};
use crate::leg::{Arrival, Bridge, Leg, Out, Parting};
use crate::peer::{Kept, Peer, Received};
use crate::{Socket, SocketKind, Transmit};

/// How often [`Engine::expire`] wants to be called for each leg: as exact as silence, digits and reports need to be.
pub const TICK: Duration = Duration::from_millis(100);

/// Mean time between two reports of a leg (RFC 3550, 6.2: no less than 5 s).
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// What holds for every leg.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Settings {
    /// After how long without RTP and RTCP a watched leg is silent.
    pub silence_timeout: Duration,
    /// After how long without a valid check, RTP or RTCP a watched leg with a peer is.
    pub peer_silence_timeout: Duration,
    /// For drills: an RTP packet of this SSRC breaks the code that handles it.
    pub break_on: Option<u32>,
}

/// See the module.
#[derive(Debug)]
pub struct Engine {
    settings: Settings,
    random: u64,
    legs: Vec<Option<Box<Leg>>>,
    places: HashMap<LegId, usize>,
    tracks: HashMap<TrackId, usize>,
    /// Who is bridged to a track, attached or not.
    feeders: HashMap<TrackId, Vec<TrackId>>,
    demux: Demux,
    /// Places that may have something to send.
    due: VecDeque<usize>,
    out: Out,
}

impl Engine {
    /// An engine without legs. The seed spreads the times of reports, and need not be secret.
    #[must_use]
    pub fn new(settings: Settings, seed: u64) -> Self {
        Self {
            settings,
            random: seed,
            legs: Vec::new(),
            places: HashMap::new(),
            tracks: HashMap::new(),
            feeders: HashMap::new(),
            demux: Demux::default(),
            due: VecDeque::new(),
            out: Out::default(),
        }
    }

    /// Takes in a leg at a place that is free. It goes on from what its continuity says.
    pub fn open(&mut self, now: Timestamp, place: usize, leg: LegId, kept: Arc<Continuity>) {
        self.fill(place, Leg::new(now, leg, kept, None));
    }

    /// Takes in a leg whose packets travel by a WebRTC peer. `black_box`: what the peer was made from.
    pub fn open_peer(
        &mut self,
        now: Timestamp,
        place: usize,
        leg: LegId,
        kept: Arc<Continuity>,
        peer: Peer,
        black_box: &Kept,
    ) {
        self.out.counts.peers_rebuilt += u64::from(peer.is_connected());
        self.fill(place, Leg::new(now, leg, kept, Some(peer)));
        self.demux.add(place, black_box);
    }

    /// Lets go of the leg at a place, and of its track. May be said twice.
    pub fn close(&mut self, place: usize) {
        let Some(leg) = self.legs.get_mut(place).and_then(Option::take) else { return };
        self.places.remove(&leg.id());
        self.demux.remove(place);
        if let Some(track) = leg.track_id() {
            self.forget(track, leg.bridge());
        }
    }

    /// Does what the control side wants.
    pub fn apply(&mut self, now: Timestamp, command: &MediaCommand) {
        match command {
            MediaCommand::Attach { track, spec } => self.attach(now, *track, spec),
            MediaCommand::Bridge { track, to } => self.bridge(*track, *to),
            MediaCommand::Detach { track } => self.detach(now, *track),
            MediaCommand::Watch { leg } => {
                if let Some(leg) = self.places.get(leg).copied().and_then(|place| self.leg(place)) {
                    leg.watch(now);
                }
            }
        }
    }

    /// The place of the peer that a datagram on the shared port is for. `None`: it is nobody's, and is counted.
    pub fn find_peer(&mut self, from: SocketAddr, datagram: &[u8]) -> Option<usize> {
        match self.demux.find(from, datagram) {
            Ok(place) => return Some(place),
            Err(Stray::Foreign) => self.out.counts.peer_foreign += 1,
            Err(Stray::Malformed) => self.out.counts.peer_malformed += 1,
        }
        None
    }

    /// Whether an address leads to a peer of a call.
    #[must_use]
    pub fn is_known(&self, from: SocketAddr) -> bool {
        self.demux.owner_of(from).is_some()
    }

    /// A packet came in: the first `len` bytes of the buffer. When it goes on to another leg it has been rewritten where
    /// it lies; behind it there must be room for [`SEAL_OVERHEAD`](crate::peer::SEAL_OVERHEAD).
    #[must_use]
    pub fn receive(
        &mut self,
        now: Timestamp,
        socket: Socket,
        from: SocketAddr,
        buffer: &mut [u8],
        len: usize,
    ) -> Option<Transmit> {
        let leg = self.legs.get_mut(socket.place)?.as_deref_mut()?;
        let packet = buffer.get_mut(..len)?;
        let (kind, packet) = match socket.kind {
            SocketKind::Peer => match leg.unseal(now, from, packet, &mut self.out) {
                Received::Rtp { len } => (SocketKind::Rtp, packet.get(..len)?),
                Received::Rtcp { len } => (SocketKind::Rtcp, packet.get(..len)?),
                other => {
                    self.answer(now, socket.place, from, &other);
                    return None;
                }
            },
            kind => (kind, &*packet),
        };
        if kind == SocketKind::Rtcp {
            leg.take_report(now, from, packet, &mut self.out);
            return None;
        }
        if self.settings.break_on.is_some() && ssrc_of(packet) == self.settings.break_on {
            break_down();
        }
        let arrival = leg.take(now, from, packet, &mut self.out)?;
        let sent = self.pass_on(now, &arrival, buffer);
        self.out.counts.unrouted += u64::from(sent.is_none());
        sent
    }

    /// Does what is due by time alone for the leg at a place.
    pub fn expire(&mut self, now: Timestamp, place: usize) {
        let next_report = self.report_interval();
        let Some(leg) = self.legs.get_mut(place).and_then(Option::as_mut) else { return };
        if leg.expire(now, &self.settings, next_report, &mut self.out) {
            self.due.push_back(place);
        }
    }

    /// A place that may have something to [`transmit`](Self::transmit).
    pub fn poll_due(&mut self) -> Option<usize> {
        self.due.pop_front()
    }

    /// What the leg at a place sends of its own accord, written into the buffer, until there is nothing more: for a
    /// report 160 bytes are enough, and a peer's handshake fits into 1500.
    #[must_use]
    pub fn transmit(&mut self, now: Now, place: usize, buffer: &mut [u8]) -> Option<Transmit> {
        self.leg(place)?.transmit(now, buffer).map(|parting| from_place(place, parting))
    }

    /// What a leg has to say.
    pub fn poll_news(&mut self) -> Option<(LegId, MediaNews)> {
        self.out.news.pop_front()
    }

    /// What was counted since the last time.
    pub fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.out.counts)
    }

    fn fill(&mut self, place: usize, leg: Leg) {
        self.close(place);
        if self.legs.len() <= place {
            self.legs.resize_with(place + 1, || None);
        }
        if let Some(slot) = self.legs.get_mut(place) {
            self.places.insert(leg.id(), place);
            *slot = Some(Box::new(leg));
        }
    }

    /// A peer was spoken to by its far end, and may have an answer.
    fn answer(&mut self, now: Timestamp, place: usize, from: SocketAddr, received: &Received) {
        if matches!(received, Received::Alive) && !self.is_anothers(now, place, from) {
            let in_use = self.leg(place).and_then(|leg| leg.peer()?.address());
            self.demux.learn(place, from, in_use);
        }
        self.due.push_back(place);
    }

    /// Whether an address leads to another peer that lives there: then a check from there has a forged source.
    fn is_anothers(&mut self, now: Timestamp, place: usize, from: SocketAddr) -> bool {
        let owner = self.demux.owner_of(from).filter(|owner| *owner != place);
        owner.and_then(|owner| self.leg(owner)?.peer()).is_some_and(|peer| peer.is_at(now, from))
    }

    fn pass_on(&mut self, now: Timestamp, arrival: &Arrival, buffer: &mut [u8]) -> Option<Transmit> {
        let place = arrival.bridge?.place?;
        self.leg(place)?.send(now, arrival, buffer).map(|parting| from_place(place, parting))
    }

    fn leg(&mut self, place: usize) -> Option<&mut Leg> {
        self.legs.get_mut(place)?.as_deref_mut()
    }

    fn attach(&mut self, now: Timestamp, track: TrackId, spec: &TrackSpec) {
        let first_report = self.report_interval();
        let Some(&place) = self.places.get(&spec.leg) else { return };
        let Some(leg) = self.leg(place) else { return };
        let (old, bridge) = (leg.track_id(), leg.bridge());
        leg.attach(now, track, spec.clone(), first_report);
        if let Some(old) = old.filter(|old| *old != track) {
            self.forget(old, bridge);
        }
        self.tracks.insert(track, place);
        if let Some(bridge) = bridge.filter(|_| old == Some(track)) {
            self.link(track, bridge.to);
        }
        for feeder in self.feeders.get(&track).cloned().unwrap_or_default() {
            self.link(feeder, track);
        }
    }

    fn bridge(&mut self, track: TrackId, to: TrackId) {
        let Some(&place) = self.tracks.get(&track) else { return };
        let old = self.leg(place).and_then(|leg| leg.bridge());
        if old.is_none_or(|old| old.to != to) {
            self.unfeed(track, old);
            self.feeders.entry(to).or_default().push(track);
        }
        self.link(track, to);
    }

    fn detach(&mut self, now: Timestamp, track: TrackId) {
        let Some(&place) = self.tracks.get(&track) else { return };
        let Some(leg) = self.leg(place) else { return };
        let bridge = leg.bridge();
        leg.detach(now);
        self.forget(track, bridge);
    }

    /// Looks up once what every packet needs: where the destination is and how it numbers the formats.
    fn link(&mut self, track: TrackId, to: TrackId) {
        let place = self.tracks.get(&to).copied();
        let destination = place.and_then(|place| self.leg(place)?.spec().cloned());
        if let Some(leg) = self.tracks.get(&track).copied().and_then(|place| self.leg(place)) {
            leg.link(Bridge { to, place }, destination.as_ref());
        }
    }

    fn forget(&mut self, track: TrackId, bridge: Option<Bridge>) {
        self.tracks.remove(&track);
        self.unfeed(track, bridge);
    }

    fn unfeed(&mut self, track: TrackId, bridge: Option<Bridge>) {
        let Some(bridge) = bridge else { return };
        if let Some(feeders) = self.feeders.get_mut(&bridge.to) {
            feeders.retain(|feeder| *feeder != track);
            if feeders.is_empty() {
                self.feeders.remove(&bridge.to);
            }
        }
    }

    /// Half to one and a half times the mean, so that legs which began together do not report together.
    fn report_interval(&mut self) -> Duration {
        // SplitMix64: any spread will do.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        REPORT_INTERVAL / 2 + REPORT_INTERVAL * u32::from((mixed >> 48) as u16) / u32::from(u16::MAX)
    }
}

fn from_place(place: usize, (kind, to, len): Parting) -> Transmit {
    Transmit { socket: Socket { place, kind }, to, len }
}

/// Of an RTP packet.
fn ssrc_of(packet: &[u8]) -> Option<u32> {
    packet.get(8..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

/// What a drill asks for.
#[expect(clippy::panic, reason = "a drill wants a real one")]
fn break_down() {
    panic!("asked to break");
}

#[cfg(test)]
mod tests;
