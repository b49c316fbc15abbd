//! One connection of a participant: what comes in on it, and what goes out.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tandem_core::id::{ConferenceId, TrackId};
use tandem_core::room::sfu::{Extensions, Quality, ReceiveSpec, SfuNews, TransportId};
use tandem_core::time::Timestamp;

use super::arrivals::Arrivals;
use super::binding::Bound;
use super::codec::Kind;
use super::forward::{Arrival, Forward, Missed};
use super::history::Past;
use super::intake::Intake;
use super::kept::{Binding, Bindings};
use super::rtcp::{self, BLOCKS, Said, Writer};
use super::rtp::Rtp;
use super::vp8;
use crate::peer::{Peer, Refusal, Remote};

/// Between two reports.
const REPORTS: Duration = Duration::from_secs(1);

/// Bytes of a compound, before it is sealed.
const COMPOUND: usize = 1_150;

/// Packets that are sent again in a tick: a receiver that asks for more has lost too much to be helped so.
const REPAIRS: usize = 256;

/// See the module.
pub(super) struct Transport {
    pub(super) id: TransportId,
    pub(super) conference: ConferenceId,
    pub(super) peer: Peer,
    pub(super) bindings: Arc<Bindings>,
    pub(super) extensions: Extensions,
    pub(super) intakes: Vec<Option<Intake>>,
    pub(super) bound: Vec<Bound>,
    pub(super) forwards: Vec<Option<Box<Forward>>>,
    arrivals: Arrivals,
    /// Since it was first heard of.
    heard: Option<Timestamp>,
    is_silent: bool,
    /// Its participant was told that it broke.
    pub(super) is_given_up: bool,
    was_connected: bool,
    next_report: Timestamp,
    /// The next intake and the next forward to report of.
    reporting: Option<(usize, usize)>,
    missed: VecDeque<(usize, Missed)>,
    repaired: usize,
    sequences: Vec<u16>,
}

/// What a packet of a track led to.
pub(super) enum Taken {
    /// It goes on from this track.
    Arrived(usize, Arrival),
    /// It begins a layer of this track, and may go on.
    Began(usize, u8, Option<Arrival>),
    /// It belongs to no track.
    Unbound,
    /// It came before, is padding, or its track is muted.
    Nothing,
}

impl Transport {
    pub(super) fn new(
        now: Timestamp,
        id: TransportId,
        conference: ConferenceId,
        peer: Peer,
        bindings: Arc<Bindings>,
    ) -> Self {
        let heard = peer.address().map(|_| now);
        Self {
            id,
            conference,
            peer,
            bindings,
            extensions: Extensions::default(),
            intakes: Vec::new(),
            bound: Vec::new(),
            forwards: Vec::new(),
            arrivals: Arrivals::default(),
            heard,
            is_silent: false,
            is_given_up: false,
            was_connected: false,
            next_report: now,
            reporting: None,
            missed: VecDeque::new(),
            repaired: 0,
            sequences: Vec::new(),
        }
    }

    /// Gives whether the numbers of extensions changed.
    pub(super) fn connect(&mut self, remote: &Remote, extensions: Extensions) {
        self.peer.set_remote(remote);
        self.extensions = extensions;
        for forward in self.forwards.iter_mut().flatten() {
            forward.set_mid_extension(extensions.mid);
        }
    }

    pub(super) fn is_alive(&mut self, now: Timestamp) {
        self.heard = Some(now);
        self.is_silent = false;
    }

    /// What is to be told, if it was not.
    pub(super) fn became_connected(&mut self) -> Option<SfuNews> {
        let is_connected = self.peer.is_connected();
        let before = std::mem::replace(&mut self.was_connected, is_connected);
        (is_connected && !before).then_some(SfuNews::Connected(self.id.role))
    }

    // ── tracks that come in ──────────────────────────────────────────────────────────────────────────────────────

    /// Takes a track in, or its new specification. Gives its place here, and the layers whose streams are known.
    pub(super) fn take_in(
        &mut self,
        now: Timestamp,
        track: TrackId,
        spec: &Arc<ReceiveSpec>,
    ) -> (usize, Vec<(u8, u32)>) {
        if let Some(slot) = self.intakes.iter().position(|it| it.as_ref().is_some_and(|it| it.track == track)) {
            if let Some(intake) = self.intakes.get_mut(slot).and_then(Option::as_mut).filter(|it| it.spec != *spec) {
                intake.respecify(spec.clone());
            }
            return (slot, Vec::new());
        }
        let mut intake = Intake::new(track, spec.clone());
        let slot = self.intakes.iter().position(Option::is_none).unwrap_or(self.intakes.len());
        let mut began = Vec::new();
        for Binding { ssrc, layer, is_repair, .. } in self.bindings.all().into_iter().filter(|it| it.track == track) {
            self.bound.push(Bound { ssrc, slot, layer, is_repair });
            if !is_repair {
                intake.begin(now, layer, ssrc, self.peer.received_end(ssrc));
                began.push((layer, ssrc));
            }
        }
        if slot == self.intakes.len() {
            self.intakes.push(None);
        }
        if let Some(place) = self.intakes.get_mut(slot) {
            *place = Some(intake);
        }
        (slot, began)
    }

    pub(super) fn leave_out(&mut self, slot: usize) -> Option<Intake> {
        let gone = self.intakes.get_mut(slot)?.take()?;
        self.bound.retain(|bound| bound.slot != slot);
        self.bindings.keep(self.bindings.all().into_iter().filter(|it| it.track != gone.track).collect());
        Some(gone)
    }

    pub(super) fn intake(&mut self, slot: usize) -> Option<&mut Intake> {
        self.intakes.get_mut(slot)?.as_mut()
    }

    /// A packet in the clear, that lies at `begin` of something larger.
    pub(super) fn take_rtp(&mut self, now: Timestamp, packet: &[u8], begin: usize) -> Taken {
        let Some(rtp) = Rtp::read(packet) else { return Taken::Nothing };
        self.is_alive(now);
        if let Some(&[high, low]) = rtp.extension(packet, self.extensions.transport_cc) {
            self.arrivals.note(now, u16::from_be_bytes([high, low]), rtp.ssrc);
        }
        let known = self.bound.iter().find(|bound| bound.ssrc == rtp.ssrc).copied();
        let Some(bound) = known.or_else(|| self.bind(now, &rtp, packet)) else { return Taken::Unbound };
        let is_new = known.is_none() && !bound.is_repair;
        let arrival = if bound.is_repair {
            self.take_repair(now, bound, &rtp, packet, begin)
        } else {
            self.take_primary(now, bound, &rtp, packet, begin)
        };
        match arrival {
            arrival if is_new => Taken::Began(bound.slot, bound.layer, arrival),
            Some(arrival) => Taken::Arrived(bound.slot, arrival),
            None => Taken::Nothing,
        }
    }

    fn take_primary(
        &mut self,
        now: Timestamp,
        bound: Bound,
        rtp: &Rtp,
        packet: &[u8],
        begin: usize,
    ) -> Option<Arrival> {
        let level_extension = self.extensions.audio_level;
        let intake = self.intakes.get_mut(bound.slot)?.as_mut()?;
        let (_, clock_rate_hz) = intake.kind_of(rtp.payload_type)?;
        if let Some([level, ..]) = rtp.extension(packet, level_extension).filter(|_| !intake.is_video()) {
            intake.loudness.note(level & 0x7f);
        }
        intake.layer(bound.layer)?.measure(now, rtp.sequence, rtp.timestamp, clock_rate_hz);
        let past = Past {
            number: 0,
            marker: rtp.marker,
            is_padded: rtp.is_padded,
            payload_type: rtp.payload_type,
            timestamp: rtp.timestamp,
        };
        arrive(now, intake, bound, rtp.sequence, past, packet, rtp.payload, begin)
    }

    /// What was sent again takes the place of what was lost.
    fn take_repair(&mut self, now: Timestamp, bound: Bound, rtp: &Rtp, packet: &[u8], begin: usize) -> Option<Arrival> {
        let intake = self.intakes.get_mut(bound.slot)?.as_mut()?;
        if rtp.is_empty(packet) {
            return None;
        }
        let sequence = u16::from_be_bytes(*packet.get(rtp.payload..)?.first_chunk()?);
        let past = Past {
            number: 0,
            marker: rtp.marker,
            is_padded: rtp.is_padded,
            payload_type: intake.repaired_type(rtp.payload_type)?,
            timestamp: rtp.timestamp,
        };
        arrive(now, intake, bound, sequence, past, packet, rtp.payload + 2, begin)
    }

    // ── reports ──────────────────────────────────────────────────────────────────────────────────────────────────

    /// Takes in a compound. `needs_key` is told of tracks that go out which cannot be shown.
    pub(super) fn take_rtcp(&mut self, now: Timestamp, compound: &[u8], mut needs_key: impl FnMut(usize)) {
        self.is_alive(now);
        let Self { intakes, forwards, missed, repaired, .. } = self;
        let of_ssrc = |forwards: &[Option<Box<Forward>>], ssrc: u32| {
            forwards.iter().position(|it| it.as_ref().is_some_and(|it| it.spec().ssrc == ssrc))
        };
        rtcp::read(compound, |said| match said {
            Said::Sent { ssrc, ntp, rtp } => {
                let layers = intakes.iter_mut().flatten().flat_map(|it| it.layers.iter_mut().flatten());
                if let Some(layer) = layers.into_iter().find(|layer| layer.ssrc == ssrc) {
                    layer.reported(now, ntp, rtp);
                }
            }
            Said::Received { ssrc, fraction_lost } => {
                let slot = of_ssrc(forwards, ssrc);
                if let Some(forward) = slot.and_then(|slot| forwards.get_mut(slot)?.as_mut()) {
                    forward.fraction_lost = Some(fraction_lost);
                }
            }
            Said::Missing { ssrc, pairs } => {
                let Some(slot) = of_ssrc(forwards, ssrc) else { return };
                let Some(forward) = forwards.get(slot).and_then(Option::as_ref) else { return };
                for sequence in rtcp::sequences(pairs) {
                    if *repaired >= REPAIRS {
                        break;
                    }
                    if let Some(it) = forward.missed(sequence) {
                        missed.push_back((slot, it));
                        *repaired += 1;
                    }
                }
            }
            Said::NeedsKey { ssrc } => {
                if let Some(slot) = of_ssrc(forwards, ssrc) {
                    needs_key(slot);
                }
            }
        });
    }

    pub(super) fn next_missed(&mut self) -> Option<(usize, Missed)> {
        self.missed.pop_front()
    }

    pub(super) fn has_missed(&self) -> bool {
        !self.missed.is_empty()
    }

    /// Does what is due by time. Gives what is to be told.
    pub(super) fn expire(&mut self, now: Timestamp, silence: Duration) -> Option<SfuNews> {
        self.peer.expire(now);
        self.repaired = 0;
        if now >= self.next_report && self.peer.is_connected() {
            self.next_report = now + REPORTS;
            self.reporting = Some((0, 0));
        }
        let is_gone = self.heard.is_some_and(|heard| now - heard >= silence);
        (is_gone && !std::mem::replace(&mut self.is_silent, is_gone)).then_some(SfuNews::Silent(self.id.role))
    }

    /// The next datagram of our own accord, and where to.
    pub(super) fn transmit(&mut self, now: Timestamp, buffer: &mut [u8]) -> Option<(SocketAddr, usize)> {
        if let Some((to, datagram)) = self.peer.poll_transmit() {
            buffer.get_mut(..datagram.len())?.copy_from_slice(&datagram);
            return Some((to, datagram.len()));
        }
        if !self.peer.is_connected() {
            return None;
        }
        let room = buffer.get_mut(..COMPOUND)?;
        let mut writer = Writer::new(room);
        let len = self.write(now, &mut writer).map(|()| writer.len())?;
        self.peer.seal_rtcp(buffer, len)
    }

    /// One compound. `None`: there is nothing to say.
    fn write(&mut self, now: Timestamp, to: &mut Writer<'_>) -> Option<()> {
        self.write_requests(now, to).or_else(|| self.write_arrivals(to)).or_else(|| self.write_reports(now, to))
    }

    /// For packets and key frames.
    fn write_requests(&mut self, now: Timestamp, to: &mut Writer<'_>) -> Option<()> {
        let layers = self.intakes.iter_mut().flatten().flat_map(|it| it.layers.iter_mut().flatten());
        for layer in layers {
            let must_ask = layer.must_ask_for_key(now);
            if !must_ask && !layer.has_missing(now) {
                continue;
            }
            if to.len() == 0 {
                to.receiver_report(&[])?;
            }
            if must_ask && to.picture_loss(layer.ssrc).is_some() {
                layer.asked_for_key(now);
            }
            self.sequences.clear();
            layer.missing(now, &mut self.sequences);
            if !self.sequences.is_empty() {
                self.sequences.sort_unstable();
                // What does not fit is asked for next time.
                let _ = to.missing(layer.ssrc, &self.sequences);
            }
        }
        (to.len() > 0).then_some(())
    }

    fn write_arrivals(&mut self, to: &mut Writer<'_>) -> Option<()> {
        if self.arrivals.is_empty() {
            return None;
        }
        self.arrivals.write(to)
    }

    /// Of what comes in, then of what goes out, as much as fits.
    fn write_reports(&mut self, now: Timestamp, to: &mut Writer<'_>) -> Option<()> {
        let (mut intake, mut forward) = self.reporting?;
        let mut blocks = Vec::new();
        while let Some(it) = self.intakes.get_mut(intake).filter(|_| blocks.len() + 4 <= BLOCKS) {
            blocks.extend(it.iter_mut().flat_map(|it| it.layers.iter_mut().flatten()).map(|layer| layer.report(now)));
            intake += 1;
        }
        to.receiver_report(&blocks)?;
        to.description(rtcp::OURS)?;
        let empty = to.len();
        while let Some(it) = self.forwards.get_mut(forward).filter(|_| to.len() + 48 <= COMPOUND) {
            if let Some((ssrc, clock, clock_rate_hz, sent)) = it.as_mut().and_then(|it| it.report()) {
                to.sender_report(now, ssrc, clock, clock_rate_hz, sent)?;
                to.description(ssrc)?;
            }
            forward += 1;
        }
        let is_over = intake >= self.intakes.len() && forward >= self.forwards.len();
        self.reporting = (!is_over).then_some((intake, forward));
        // Who sends nothing and gets nothing is not told so every second.
        (!blocks.is_empty() || to.len() > empty).then_some(())
    }

    /// How it fares: by what was lost since the last time, both ways. `None`: there was nothing to lose.
    pub(super) fn quality(&mut self) -> Option<Quality> {
        let incoming = self.intakes.iter_mut().flatten().filter_map(|it| {
            let (received, lost) = it.tally();
            (received + lost > 0).then(|| lost * 1_000 / (received + lost))
        });
        let incoming = incoming.max();
        let outgoing = self.forwards.iter_mut().flatten().filter_map(|it| it.fraction_lost.take());
        let outgoing = outgoing.max().map(|fraction| u64::from(fraction) * 1_000 / 256);
        incoming.max(outgoing).map(|permille| match permille {
            0..30 => Quality::Excellent,
            30..100 => Quality::Good,
            _ => Quality::Poor,
        })
    }
}

/// A packet of a layer, however it came.
#[expect(clippy::too_many_arguments, reason = "one place where both ways of coming meet")]
fn arrive(
    now: Timestamp,
    intake: &mut Intake,
    bound: Bound,
    sequence: u16,
    past: Past,
    packet: &[u8],
    payload: usize,
    begin: usize,
) -> Option<Arrival> {
    let (kind, _) = intake.kind_of(past.payload_type)?;
    let (is_video, asks_again, is_muted) = (intake.is_video(), intake.spec.nack, intake.is_muted);
    let layer = intake.layer(bound.layer)?;
    let past = Past { number: layer.take(now, sequence, asks_again)?, ..past };
    let bytes = packet.get(payload..)?;
    let is_start = kind.is_start(bytes);
    if is_start && kind != Kind::Other {
        layer.key_came();
    }
    if is_muted {
        return None;
    }
    if is_video {
        layer.history.keep(now, past, bytes);
    }
    Some(Arrival {
        layer: bound.layer,
        ssrc: layer.ssrc,
        past,
        kind,
        is_start,
        picture: if kind == Kind::Vp8 { vp8::Numbers::read(bytes) } else { vp8::Numbers::default() },
        clock: layer.clock,
        begin: begin + payload,
        end: begin + packet.len(),
    })
}

/// Of a refusal that says nothing about an attack: the far end may be a little ahead or behind.
pub(super) const fn is_harmless(refusal: Refusal) -> bool {
    matches!(refusal, Refusal::Replayed)
}
