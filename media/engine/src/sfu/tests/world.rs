//! Rooms in memory: guests made of another implementation of SRTP, and a network that loses nothing.

use std::time::Instant;

use tandem_core::media::Codec;
use tandem_core::room::description::SectionKind;
use tandem_core::room::sfu::{LayerSpec, TransportRole};
use uuid::Uuid;

use super::super::*;
use crate::peer::Identity;
use crate::peer::tests::far_end::{FarEnd, Suite, epoch};

/// Where each datagram of a batch lies.
const SLOT: usize = 2_048;

pub(super) const MID: u8 = 4;
pub(super) const RID: u8 = 10;
pub(super) const REPAIRED: u8 = 11;
pub(super) const TRANSPORT_CC: u8 = 3;
pub(super) const AUDIO_LEVEL: u8 = 1;

pub(super) const ROOM: ConferenceId = ConferenceId::from_uuid(Uuid::from_u128(9));

pub(super) fn ms(ms: u64) -> Timestamp {
    Timestamp(1_000_000 + ms * 1_000)
}

pub(super) fn track(n: u128) -> TrackId {
    TrackId::from_uuid(Uuid::from_u128(n))
}

pub(super) fn participant(n: usize) -> ParticipantId {
    ParticipantId::from_uuid(Uuid::from_u128(n as u128 + 100))
}

pub(super) fn transport(n: usize) -> TransportId {
    TransportId { participant: participant(n), role: TransportRole::Publisher }
}

fn codec(payload_type: u8, name: &str, clock_rate_hz: u32) -> Codec {
    Codec { payload_type, name: name.into(), clock_rate_hz, channels: 1, fmtp: None }
}

/// VP8 in three layers, or one, told by the packets.
pub(super) fn video(of: usize, rids: &[&str]) -> ReceiveSpec {
    let layer = |rid: &&str| LayerSpec { rid: (*rid).into(), width: 0, height: 0, bitrate: 0 };
    ReceiveSpec {
        transport: transport(of),
        mid: "1".into(),
        kind: SectionKind::Video,
        formats: vec![(codec(96, "VP8", 90_000), Some(97)), (codec(98, "H264", 90_000), Some(99))],
        layers: rids.iter().map(layer).collect(),
        sources: Vec::new(),
        nack: true,
    }
}

pub(super) fn audio(of: usize, ssrc: u32) -> ReceiveSpec {
    ReceiveSpec {
        mid: "0".into(),
        kind: SectionKind::Audio,
        formats: vec![(codec(111, "opus", 48_000), None)],
        sources: vec![(ssrc, None)],
        nack: false,
        ..video(of, &[])
    }
}

/// The subscriber numbers formats in his own way.
pub(super) fn to_send(ssrc: u32) -> SendSpec {
    SendSpec {
        mid: "7".into(),
        ssrc,
        rtx_ssrc: Some(ssrc + 1),
        formats: vec![(codec(109, "OPUS", 48_000), None), (codec(120, "VP8", 90_000), Some(121))],
    }
}

/// A packet as its receiver reads it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Heard {
    pub(super) ssrc: u32,
    pub(super) payload_type: u8,
    pub(super) marker: bool,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) mid: Option<String>,
    pub(super) payload: Vec<u8>,
}

pub(super) struct Guest {
    pub(super) far: FarEnd,
    pub(super) kept: Arc<Kept>,
    pub(super) bindings: Arc<Bindings>,
    pub(super) heard: Vec<Heard>,
    /// RTCP, in the clear.
    pub(super) reports: Vec<Vec<u8>>,
    /// Nonces of what he was sent.
    pub(super) nonces: Vec<(u32, u64)>,
    /// What he is lost on the way.
    pub(super) loses: fn(u16) -> bool,
}

/// A track that somebody publishes, and whether it is muted.
type Taken = (usize, TrackId, Arc<ReceiveSpec>, bool);

/// A track that somebody is sent.
type Sent = (usize, TrackId, Arc<SendSpec>, Wish, Arc<Forwarded>);

/// See the module.
pub(super) struct World {
    pub(super) sfu: Sfu,
    identity: Arc<Identity>,
    epoch: Instant,
    pub(super) guests: Vec<Guest>,
    pub(super) now: Timestamp,
    taken: Vec<Taken>,
    sent: Vec<Sent>,
    pub(super) segments: usize,
    pub(super) runs: Vec<Run>,
}

impl World {
    /// So many guests, connected.
    pub(super) fn new(guests: usize) -> Self {
        let mut world = Self {
            sfu: Sfu::new(Duration::from_secs(10)),
            identity: Arc::new(Identity::generate().unwrap()),
            epoch: epoch(),
            guests: Vec::new(),
            now: ms(0),
            taken: Vec::new(),
            sent: Vec::new(),
            segments: 64,
            runs: Vec::new(),
        };
        (0..guests).for_each(|n| world.join(n));
        world
    }

    fn join(&mut self, n: usize) {
        let kept = Arc::new(Kept::of_room("ours".into(), "0123456789012345678901".into()));
        let mut peer = Peer::new(self.now, self.epoch, self.identity.clone(), kept.clone());
        let mut far = FarEnd::new(Suite::Everything);
        far.address = SocketAddr::from(([192, 0, 2, 1], 5_000 + n as u16));
        peer.set_remote(&far.remote());
        far.check(&mut peer, self.now);
        far.shake(&mut peer, self.now);
        let guest = Guest {
            far,
            kept,
            bindings: Arc::default(),
            heard: Vec::new(),
            reports: Vec::new(),
            nonces: Vec::new(),
            loses: |_| false,
        };
        self.guests.push(guest);
        self.open(n, peer);
    }

    fn open(&mut self, n: usize, peer: Peer) {
        let guest = &self.guests[n];
        let remote = guest.far.remote();
        let kept = (&*guest.kept, guest.bindings.clone());
        self.sfu.open(self.now, n, (transport(n), ROOM), peer, kept);
        let extensions = Extensions {
            mid: MID,
            rid: RID,
            repaired_rid: REPAIRED,
            transport_cc: TRANSPORT_CC,
            audio_level: AUDIO_LEVEL,
            ..Extensions::default()
        };
        self.sfu.connect(n, &remote, extensions);
    }

    pub(super) fn publish(&mut self, of: usize, id: TrackId, spec: ReceiveSpec) {
        let spec = Arc::new(spec);
        self.sfu.take_in(self.now, of, id, &spec, false);
        self.taken.push((of, id, spec, false));
    }

    pub(super) fn mute(&mut self, id: TrackId, is_muted: bool) {
        let it = self.taken.iter_mut().find(|it| it.1 == id).unwrap();
        it.3 = is_muted;
        let (of, _, spec, _) = it.clone();
        self.sfu.take_in(self.now, of, id, &spec, is_muted);
    }

    pub(super) fn subscribe(&mut self, to: usize, id: TrackId, spec: SendSpec) {
        let (spec, kept) = (Arc::new(spec), Arc::new(Forwarded::default()));
        self.sfu.send(self.now, to, id, &spec, Wish::ALL, &kept);
        self.sent.push((to, id, spec, Wish::ALL, kept));
    }

    pub(super) fn wish(&mut self, to: usize, id: TrackId, wish: Wish) {
        let it = self.sent.iter_mut().find(|it| (it.0, it.1) == (to, id)).unwrap();
        it.3 = wish;
        let (_, _, spec, wish, kept) = it.clone();
        self.sfu.send(self.now, to, id, &spec, wish, &kept);
    }

    /// The worker died: only what was kept is left.
    pub(super) fn rebuild(&mut self) {
        self.sfu = Sfu::new(Duration::from_secs(10));
        for n in 0..self.guests.len() {
            let peer = Peer::new(self.now, self.epoch, self.identity.clone(), self.guests[n].kept.clone());
            self.open(n, peer);
            for (to, id, spec, wish, kept) in self.sent.iter().filter(|it| it.0 == n) {
                self.sfu.send(self.now, *to, *id, spec, *wish, kept);
            }
            for (of, id, spec, is_muted) in self.taken.iter().filter(|it| it.0 == n) {
                self.sfu.take_in(self.now, *of, *id, spec, *is_muted);
            }
        }
    }

    /// One batch of packets of a guest, and what it leads to.
    pub(super) fn speak(&mut self, from: usize, packets: &[Vec<u8>]) {
        let mut batch = vec![0; packets.len() * SLOT];
        for (n, packet) in packets.iter().enumerate() {
            let sealed = self.guests[from].far.seal_rtp(packet);
            batch[n * SLOT..][..sealed.len()].copy_from_slice(&sealed);
            let place = self.sfu.find(self.guests[from].far.address, &sealed);
            assert_eq!(place, Some(from));
            let datagram = &mut batch[n * SLOT..n * SLOT + sealed.len()];
            self.sfu.receive(self.now, from, self.guests[from].far.address, datagram, n * SLOT);
        }
        self.deliver(&batch);
    }

    /// A compound of a guest.
    pub(super) fn report(&mut self, from: usize, compound: &[u8]) {
        let mut sealed = self.guests[from].far.seal_rtcp(compound);
        self.sfu.receive(self.now, from, self.guests[from].far.address, &mut sealed, 0);
        self.deliver(&[]);
    }

    /// Time goes on.
    pub(super) fn pass(&mut self, millis: u64) {
        for _ in 0..millis.div_ceil(50) {
            self.now = self.now + Duration::from_millis(millis.min(50));
            (0..self.guests.len()).for_each(|n| self.sfu.expire(self.now, n));
            self.sfu.expire_rooms(self.now);
            self.deliver(&[]);
        }
    }

    pub(super) fn deliver(&mut self, batch: &[u8]) {
        let mut out = vec![0; 65_536];
        while let Some(place) = self.sfu.poll_filled() {
            while let Some(run) = self.sfu.forward(self.now, place, batch, &mut out, self.segments) {
                assert_eq!(run.to, self.guests[place].far.address);
                self.runs.push(run);
                out[..run.len].chunks(run.segment).for_each(|packet| self.guests[place].take(packet));
            }
        }
        while let Some(place) = self.sfu.poll_due() {
            while let Some((to, len)) = self.sfu.transmit(self.now, place, &mut out) {
                assert_eq!(to, self.guests[place].far.address);
                let report = self.guests[place].far.open_rtcp(&out[..len]).unwrap();
                self.guests[place].reports.push(report);
            }
        }
    }

    pub(super) fn news(&mut self) -> Vec<(ParticipantId, SfuNews)> {
        std::iter::from_fn(|| self.sfu.poll_news()).collect()
    }
}

impl Guest {
    fn take(&mut self, sealed: &[u8]) {
        let rtp = rtp::Rtp::read(sealed).unwrap();
        let nonce = (rtp.ssrc, u64::from(rtp.sequence));
        assert!(!self.nonces.contains(&nonce), "{nonce:?} twice");
        self.nonces.push(nonce);
        if (self.loses)(rtp.sequence) {
            return;
        }
        let packet = self.far.open_rtp(sealed).expect("authentic");
        let rtp = rtp::Rtp::read(&packet).unwrap();
        self.heard.push(Heard {
            ssrc: rtp.ssrc,
            payload_type: rtp.payload_type,
            marker: rtp.marker,
            sequence: rtp.sequence,
            timestamp: rtp.timestamp,
            mid: rtp.name(&packet, MID).map(str::to_owned),
            payload: packet[rtp.payload..].to_vec(),
        });
    }

    pub(super) fn take_heard(&mut self) -> Vec<Heard> {
        std::mem::take(&mut self.heard)
    }

    /// How often key frames of a stream were asked for.
    pub(super) fn asked_for_keys(&self, of: u32) -> usize {
        let mut count = 0;
        for report in &self.reports {
            rtcp::read(report, |said| count += usize::from(said == rtcp::Said::NeedsKey { ssrc: of }));
        }
        count
    }

    /// Packets of a stream that were asked for.
    pub(super) fn asked_for(&self, of: u32) -> Vec<u16> {
        let mut all = Vec::new();
        for report in &self.reports {
            rtcp::read(report, |said| match said {
                rtcp::Said::Missing { ssrc, pairs } if ssrc == of => all.extend(rtcp::sequences(pairs)),
                _ => {}
            });
        }
        all
    }
}

/// A packet with some extensions.
pub(super) fn packet(
    payload_type: u8,
    ssrc: u32,
    sequence: u16,
    extensions: &[(u8, &[u8])],
    payload: &[u8],
) -> Vec<u8> {
    stamped(payload_type, ssrc, sequence, u32::from(sequence) * 3_000, extensions, payload)
}

pub(super) fn stamped(
    payload_type: u8,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    extensions: &[(u8, &[u8])],
    payload: &[u8],
) -> Vec<u8> {
    let mut packet = vec![0x90, payload_type];
    packet.extend(sequence.to_be_bytes());
    packet.extend(timestamp.to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    let mut elements = Vec::new();
    for (id, value) in extensions {
        elements.push(id << 4 | (value.len() as u8 - 1));
        elements.extend_from_slice(value);
    }
    elements.resize(elements.len().next_multiple_of(4), 0);
    packet.extend([0xbe, 0xde, 0, (elements.len() / 4) as u8]);
    packet.extend(elements);
    packet.extend(payload);
    packet
}

/// One VP8 frame in a packet: its picture number is its sequence number.
pub(super) fn frame(is_key: bool, picture: u16) -> Vec<u8> {
    let mut payload = vp8::tests::descriptor(picture & 0x7fff, picture as u8, 0);
    payload.push(u8::from(!is_key));
    payload.extend([picture as u8; 40]);
    payload
}
