mod attacker;
mod checks;
mod data;
pub(crate) mod far_end;
mod handshake;
mod hostile;
mod hostile_data;
mod media;
mod page;

use super::*;
use far_end::{FarEnd, Suite};
use tandem_core::room::sfu::TransportRole;

const UFRAG: &str = "ours";
const PASSWORD: &str = "0123456789012345678901";

/// Where a far end is unless it says otherwise.
const HERE: &str = "192.0.2.10:4000";

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn ms(ms: u64) -> Timestamp {
    Timestamp(1_000_000 + ms * 1_000)
}

/// One side of a connection, as a worker and its supervisor have it.
struct Side {
    peer: Peer,
    kept: Arc<Kept>,
    identity: Arc<Identity>,
}

impl Side {
    fn new() -> Self {
        Self::of(Kept::new(UFRAG.into(), PASSWORD.into()))
    }

    /// With data channels.
    fn with_data(role: TransportRole) -> Self {
        Self::of(Kept::new(UFRAG.into(), PASSWORD.into()).with_data(role))
    }

    fn of(kept: Kept) -> Self {
        let kept = Arc::new(kept);
        let identity = Arc::new(Identity::generate().unwrap());
        Self { peer: peer(&identity, &kept), kept, identity }
    }

    /// Connected to a far end, whose media is to come from [`HERE`].
    fn connected(suite: Suite) -> (Self, FarEnd) {
        Self::new().connect(suite)
    }

    fn connect(self, suite: Suite) -> (Self, FarEnd) {
        let mut side = self;
        let mut far = FarEnd::new(suite);
        side.peer.set_remote(&far.remote());
        far.check(&mut side.peer, ms(0));
        far.shake(&mut side.peer, ms(0));
        assert!(side.peer.is_connected() && far.is_connected());
        (side, far)
    }

    /// The worker died: only what was kept is left.
    fn rebuild(&mut self) {
        self.rebuild_at(ms(0));
    }

    fn rebuild_at(&mut self, now: Timestamp) {
        self.peer = Peer::new(now, far_end::epoch(), self.identity.clone(), self.kept.clone());
    }

    /// Gives the sealed packet.
    fn seal_rtp(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        let mut buffer = with_room(packet);
        let (to, len) = self.peer.seal_rtp(&mut buffer, packet.len())?;
        assert_eq!(to, at(HERE));
        Some(buffer[..len].to_vec())
    }

    /// Gives the sealed packet.
    fn seal_rtcp(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        let mut buffer = with_room(packet);
        let (_, len) = self.peer.seal_rtcp(&mut buffer, packet.len())?;
        Some(buffer[..len].to_vec())
    }

    /// Gives what is in the clear.
    fn open(&mut self, sealed: &[u8]) -> Result<Vec<u8>, Received> {
        let mut buffer = sealed.to_vec();
        match self.peer.receive(ms(1_000), at(HERE), &mut buffer) {
            Received::Rtp { len } | Received::Rtcp { len } => Ok(buffer[..len].to_vec()),
            other => Err(other),
        }
    }
}

fn peer(identity: &Arc<Identity>, kept: &Arc<Kept>) -> Peer {
    Peer::new(ms(0), far_end::epoch(), identity.clone(), kept.clone())
}

fn with_room(packet: &[u8]) -> Vec<u8> {
    let mut buffer = packet.to_vec();
    buffer.resize(packet.len() + SEAL_OVERHEAD, 0xee);
    buffer
}

/// 20 ms of audio.
fn rtp(ssrc: u32, sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend(sequence.to_be_bytes());
    packet.extend((u32::from(sequence) * 160).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend((0..160_u8).map(|n| n ^ sequence as u8));
    packet
}

/// An empty receiver report.
fn rtcp(ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 201, 0, 1];
    packet.extend(ssrc.to_be_bytes());
    packet
}

#[test]
fn a_peer_may_move_to_another_thread_and_what_is_kept_may_be_shared() {
    fn moves<T: Send>() {}
    fn is_shared<T: Send + Sync>() {}
    moves::<Peer>();
    is_shared::<Kept>();
    is_shared::<Identity>();
}
