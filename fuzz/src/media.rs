//! Media: what comes on the ports of phones and browsers, in any order, between any commands.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use rtc_crypto::RTCCryptoProvider;
use rtc_crypto::providers::AwsLcRsProvider;
use rtc_stun::attributes::{ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME};
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{BINDING_REQUEST, Message, Setter, TransactionId};
use tandem_core::id::{LegId, TrackId};
use tandem_core::media::{Direction, LocalMedia, MediaCommand, MediaDescription, TrackSpec, is_sendable};
use tandem_core::time::{Now, Timestamp, WallTime};
use tandem_engine::peer::{Identity, Kept, Peer, Received, Remote, SEAL_OVERHEAD, is_stun, ufrag_of};
use tandem_engine::{Continuity, Engine, Settings, Socket, SocketKind, TICK, Transmit};
use uuid::Uuid;

use crate::input::Input;

/// Room for a datagram and what sealing it adds.
const ROOM: usize = 2_048;

/// Places in the engine, tracks, and far ends.
const PLACES: u8 = 4;

const PASSWORD: &str = "0123456789012345678901";

/// A certificate takes a millisecond to make.
static IDENTITY: LazyLock<Arc<Identity>> = LazyLock::new(|| Arc::new(Identity::generate().expect("a certificate")));
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

fn kept(n: u8) -> Arc<Kept> {
    Arc::new(Kept::new(format!("ours{n}"), PASSWORD.into()))
}

fn new_peer(now: Timestamp, kept: &Arc<Kept>) -> Peer {
    Peer::new(now, *EPOCH, IDENTITY.clone(), kept.clone())
}

/// Where far end `n` is; some addresses are none that anybody may be answered at.
fn far(n: u8) -> SocketAddr {
    let text = match n % 8 {
        6 => "224.0.0.1:4000",
        7 => "192.0.2.9:0",
        n => return SocketAddr::from(([192, 0, 2, n], 4_000)),
    };
    text.parse().expect("an address")
}

/// A check that is signed with the peer's password, and nominates.
fn check(n: u8) -> Vec<u8> {
    let mut message = Message::new();
    message.build(&[Box::new(TransactionId([n; 12])), Box::new(BINDING_REQUEST)]).expect("a request");
    message.add(ATTR_USERNAME, format!("ours{n}:theirs").as_bytes());
    message.add(ATTR_USE_CANDIDATE, &[]);
    message.add(ATTR_PRIORITY, &[0x6e, 0x7f, 0x1e, 0xff]);
    let provider = AwsLcRsProvider::new();
    MessageIntegrity::new_raw_integrity_with_provider(PASSWORD.as_bytes(), provider.crypto())
        .add_to(&mut message)
        .expect("signed");
    FINGERPRINT.add_to(&mut message).expect("a fingerprint");
    message.raw
}

/// One datagram, as a check: nobody gets an answer that says more than the question without our password.
pub fn stun(data: &[u8]) {
    if let Some(ufrag) = ufrag_of(data) {
        let stands_there = ufrag.is_empty() || data.windows(ufrag.len()).any(|part| part == ufrag.as_bytes());
        assert!(is_stun(data) && stands_there, "a user name stands in a STUN message");
    }
    let kept = kept(0);
    let mut peer = new_peer(Timestamp(0), &kept);
    let mut datagram = data.to_vec();
    let received = peer.receive(Timestamp(0), far(1), &mut datagram);
    let knows_us = data.windows(PASSWORD.len()).any(|part| part == PASSWORD.as_bytes());
    assert!(!matches!(received, Received::Rtp { .. } | Received::Rtcp { .. }), "nobody has keys yet");
    assert!(!knows_us || peer.address().is_none(), "who has our password did not get it from us");
    while let Some((to, answer)) = peer.poll_transmit() {
        assert_eq!(to, far(1), "an answer goes where the question came from");
        assert!(is_stun(&answer), "and is STUN");
    }
}

/// Datagrams to one peer: commands of a byte, those with a datagram followed by two bytes of length and the datagram.
pub fn peer(data: &[u8]) {
    let mut input = Input(data);
    let mut now = Timestamp(1_000_000);
    let kept = kept(0);
    let mut peer = new_peer(now, &kept);
    while !input.is_empty() {
        now = now + Duration::from_millis(20);
        match input.below(8) {
            0 => {
                let from = far(input.byte());
                let received = peer.receive(now, from, &mut check(0));
                assert_eq!(received == Received::Alive, is_sendable(from), "a signed check is believed");
            }
            1..=3 => {
                let from = far(input.byte());
                let mut datagram = input.piece().to_vec();
                let received = peer.receive(now, from, &mut datagram);
                let in_clear = matches!(received, Received::Rtp { .. } | Received::Rtcp { .. });
                assert!(!in_clear || peer.is_connected(), "media comes out when there are keys");
            }
            4 => {
                now = now + TICK;
                peer.expire(now);
            }
            5 => peer.set_remote(&Remote {
                ufrag: "theirs".into(),
                password: PASSWORD.into(),
                fingerprint: [input.byte(); 32],
            }),
            6 => {
                let piece = input.piece();
                let mut packet = piece.to_vec();
                packet.resize(piece.len() + SEAL_OVERHEAD, 0);
                let sealed = peer.seal_rtp(&mut packet, piece.len());
                assert!(sealed.is_none() || peer.is_connected(), "nothing is sent in the clear");
            }
            _ => peer = new_peer(now, &kept),
        }
        for sent in 0.. {
            let Some((to, _)) = peer.poll_transmit() else { break };
            assert!(is_sendable(to) && sent < 64, "answers are few, and go to somebody");
        }
        assert!(!peer.is_connected(), "a handshake needs a key that no corpus has");
    }
}

/// One packet on the ports of a leg that is attached and bridged, its first byte the port: what goes on is RTP.
pub fn rtp(data: &[u8]) {
    let Some((first, packet)) = data.split_first() else { return };
    let mut world = World::new();
    for n in 0..2 {
        world.open(n);
        world.attach(n, n);
    }
    world.engine.apply(world.now, &MediaCommand::Bridge { track: track(0), to: track(1) });
    let kind = if first.is_multiple_of(2) { SocketKind::Rtp } else { SocketKind::Rtcp };
    world.receive(Socket { place: 0, kind }, far(0), packet);
    world.settle();
}

/// A whole engine: legs, peers, commands and datagrams in any order, decoded from the bytes.
pub fn engine(data: &[u8]) {
    drop(play(data));
}

fn play(data: &[u8]) -> World {
    let mut input = Input(data);
    let mut world = World::new();
    while !input.is_empty() {
        world.now = world.now + Duration::from_millis(20);
        let n = input.below(PLACES);
        match input.below(16) {
            0 => world.open(n),
            1 => world.open_peer(n),
            2 => world.close(n),
            3 => world.attach(n, n),
            // A description of somebody who is elsewhere, or nowhere.
            4 => world.attach(n, input.byte()),
            5 => {
                world.engine.apply(world.now, &MediaCommand::Bridge { track: track(n), to: track(input.below(PLACES)) })
            }
            6 => world.engine.apply(world.now, &MediaCommand::Detach { track: track(n) }),
            7 => world.engine.apply(world.now, &MediaCommand::Watch { leg: leg(n) }),
            8 => {
                world.now = world.now + Duration::from_millis(u64::from(input.byte()) * 100);
                (0..PLACES).for_each(|n| world.engine.expire(world.now, usize::from(n)));
            }
            9 => world.receive_shared(far(n), &check(n)),
            10 | 11 => world.receive_shared(far(input.byte()), input.piece()),
            12 => world.receive(Socket { place: usize::from(n), kind: SocketKind::Rtcp }, far(n), input.piece()),
            _ => world.receive(Socket { place: usize::from(n), kind: SocketKind::Rtp }, far(n), input.piece()),
        }
        world.settle();
    }
    world
}

fn leg(n: u8) -> LegId {
    LegId::from_uuid(Uuid::from_u128(u128::from(n) + 1))
}

fn track(n: u8) -> TrackId {
    TrackId::audio_of(leg(n))
}

/// An engine, and what is open in it.
struct World {
    engine: Engine,
    now: Timestamp,
    open: [bool; PLACES as usize],
    /// Datagrams since the last look at the counts.
    fed: u64,
    /// Packets that went on to another leg.
    forwarded: u64,
}

impl World {
    fn new() -> Self {
        let settings = Settings {
            silence_timeout: Duration::from_secs(30),
            peer_silence_timeout: Duration::from_secs(30),
            break_on: None,
        };
        Self {
            engine: Engine::new(settings, 1),
            now: Timestamp(1_000_000),
            open: [false; PLACES as usize],
            fed: 0,
            forwarded: 0,
        }
    }

    fn mark(&mut self, n: u8, is_open: bool) {
        if let Some(place) = self.open.get_mut(usize::from(n)) {
            *place = is_open;
        }
    }

    fn open(&mut self, n: u8) {
        self.mark(n, true);
        self.engine.open(self.now, usize::from(n), leg(n), Arc::new(Continuity::new(900 + u32::from(n), 10, 1_000)));
    }

    fn open_peer(&mut self, n: u8) {
        self.mark(n, true);
        let black_box = kept(n);
        let peer = new_peer(self.now, &black_box);
        let continuity = Arc::new(Continuity::new(800 + u32::from(n), 65_530, u32::MAX - 100));
        self.engine.open_peer(self.now, usize::from(n), leg(n), continuity, peer, &black_box);
    }

    fn close(&mut self, n: u8) {
        self.mark(n, false);
        self.engine.close(usize::from(n));
    }

    /// Attaches a track, with media for far end `to`.
    fn attach(&mut self, n: u8, to: u8) {
        let direction = match to / 8 % 4 {
            0 => Direction::SendRecv,
            1 => Direction::SendOnly,
            2 => Direction::RecvOnly,
            _ => Direction::Inactive,
        };
        let local = MediaDescription::proposal(to.is_multiple_of(2));
        let mut remote = MediaDescription::basic(&LocalMedia::pair(far(to), far(to)));
        if to > 64 {
            remote.codecs.rotate_left(usize::from(to) % 3);
            remote.codecs.truncate(usize::from(to) % 3 + 1);
        }
        let remote = Arc::new(MediaDescription { direction, ..remote });
        let spec = TrackSpec { leg: leg(n), local: Arc::new(local), remote };
        self.engine.apply(self.now, &MediaCommand::Attach { track: track(n), spec });
    }

    /// A datagram on the port that all peers share.
    fn receive_shared(&mut self, from: SocketAddr, datagram: &[u8]) {
        self.fed += 1;
        if let Some(place) = self.engine.find_peer(from, datagram) {
            assert!(self.open.get(place).is_some_and(|is_open| *is_open), "who is found is there");
            self.fed -= 1;
            self.receive(Socket { place, kind: SocketKind::Peer }, from, datagram);
        }
    }

    fn receive(&mut self, socket: Socket, from: SocketAddr, datagram: &[u8]) {
        self.fed += 1;
        let datagram = datagram.get(..1_500).unwrap_or(datagram);
        let mut buffer = [0; ROOM];
        buffer.iter_mut().zip(datagram).for_each(|(to, from)| *to = *from);
        if let Some(transmit) = self.engine.receive(self.now, socket, from, &mut buffer, datagram.len()) {
            self.forwarded += 1;
            self.is_allowed(&transmit);
            assert!(transmit.len >= 12, "what goes on is RTP");
            assert!(buffer.first().is_some_and(|first| first >> 6 == 2), "of version 2");
        }
    }

    /// Sends what is due, and looks at what was counted.
    fn settle(&mut self) {
        let now = Now { mono: self.now, wall: WallTime(1_790_000_000_000_000) };
        let mut buffer = [0; ROOM];
        for turn in 0.. {
            let Some(place) = self.engine.poll_due() else { break };
            while let Some(transmit) = self.engine.transmit(now, place, &mut buffer) {
                self.is_allowed(&transmit);
            }
            assert!(turn < 1_000, "what is due comes to an end");
        }
        while let Some((about, _)) = self.engine.poll_news() {
            assert!((0..PLACES).any(|n| leg(n) == about), "news is of a leg");
        }
        let counts = self.engine.take_counts();
        let refused =
            [counts.malformed, counts.foreign, counts.peer_malformed, counts.peer_foreign, counts.peer_refused];
        let all = counts.received + counts.reports + refused.iter().sum::<u64>();
        assert!(all <= std::mem::take(&mut self.fed), "a datagram is counted once: {counts:?}");
        assert_eq!(counts.peers_connected, 0, "a handshake needs a key that no corpus has");
    }

    fn is_allowed(&self, transmit: &Transmit) {
        assert!(is_sendable(transmit.to), "{} is nobody", transmit.to);
        assert!(transmit.len <= ROOM, "it fits");
        let is_open = self.open.get(transmit.socket.place).is_some_and(|is_open| *is_open);
        assert!(is_open, "it goes out by a leg that is there");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_story_of_two_phones_has_packets_that_go_on() {
        let world = play(include_bytes!("../corpus/engine/two-phones"));
        assert!(world.forwarded > 2, "{}", world.forwarded);
    }
}
