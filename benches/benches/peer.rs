//! A WebRTC far end in process: what its handshake, its rebuild, its packets and its memory cost on our side.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "what cannot be set up cannot be measured")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use divan::Bencher;
use rtc_crypto::RTCCryptoProvider;
use rtc_crypto::providers::AwsLcRsProvider;
use rtc_dtls::config::{ConfigBuilder, ExtendedMasterSecretType, HandshakeConfig};
use rtc_dtls::crypto::Certificate;
use rtc_dtls::endpoint::Endpoint;
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_shared::TransportProtocol;
use rtc_srtp::context::Context;
use rtc_srtp::protection_profile::ProtectionProfile;
use rtc_stun::attributes::{ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME};
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{BINDING_REQUEST, Message, Setter, TransactionId};
use tandem_core::time::Timestamp;
use tandem_engine::peer::{Identity, Kept, Peer, Received, Remote, SEAL_OVERHEAD};

/// Peers that are connected for the figures.
const PEERS: usize = 1_000;

/// Packets of one stream, less than the sequence has numbers.
const PACKETS: u16 = 20_000;

/// Packets that are timed together; the median of the batches counts.
const BATCH: usize = 100;

/// 20 ms of G.711 and its header.
const PACKET: usize = 12 + 160;

const PASSWORD: &str = "0123456789012345678901";

fn main() {
    report();
    divan::main();
}

/// A packet to a far end.
#[divan::bench]
fn seal(bencher: Bencher<'_, '_>) {
    let world = World::new();
    let mut connected = world.connect(0);
    let mut sequence = 0_u16;
    bencher.bench_local(|| {
        sequence = sequence.wrapping_add(1);
        connected.seal(sequence)
    });
}

/// Prints the figures for people and for scripts.
#[expect(clippy::print_stdout, reason = "a bench reports there")]
fn report() {
    let world = World::new();
    for n in 0..PEERS / 10 {
        world.connect(n);
    }
    let before = resident_bytes();
    let mut all: Vec<Connected> = (0..PEERS).map(|n| world.connect(n)).collect();
    let bytes = resident_bytes().saturating_sub(before) / PEERS;
    let per_second = 1e9 / median(all.iter().map(|connected| connected.took).collect());
    let rebuild = median(all.iter_mut().map(|connected| connected.rebuild(&world)).collect()) / 1e3;

    let (seal, open) = all.first_mut().map_or((0.0, 0.0), |connected| (connected.time_seal(), connected.time_open()));
    println!(
        "peer: {per_second:.0} handshakes per core-second (our side, median of {PEERS}), rebuilt in {rebuild:.1} µs, \
         {seal:.0} ns to seal a packet of G.711, {open:.0} ns to open one, {bytes} bytes resident per connected peer"
    );
    println!(
        r#"{{"bench":"peer","handshakes_per_core_second":{per_second:.0},"rebuild_us":{rebuild:.2},"seal_ns":{seal:.1},"open_ns":{open:.1},"resident_bytes":{bytes}}}"#
    );
}

/// What all peers share, on both sides.
struct World {
    identity: Arc<Identity>,
    epoch: Instant,
    far: Arc<HandshakeConfig>,
    remote: Remote,
}

/// A connected peer.
struct Connected {
    peer: Peer,
    kept: Arc<Kept>,
    from: SocketAddr,
    /// Our side of check and handshake.
    took: Duration,
    far: Context,
    buffer: [u8; PACKET + SEAL_OVERHEAD],
}

impl World {
    fn new() -> Self {
        let provider: Arc<dyn RTCCryptoProvider> = Arc::new(AwsLcRsProvider::new());
        let certificate = Certificate::generate_self_signed(vec!["far".to_owned()], provider.crypto()).unwrap();
        let digest = provider.crypto().hash(rtc_crypto::HashAlgorithm::Sha256, &certificate.certificate[0]).unwrap();
        let remote =
            Remote { ufrag: "theirs".into(), password: PASSWORD.into(), fingerprint: digest.try_into().unwrap() };
        let far = ConfigBuilder::default()
            .with_crypto_provider(provider)
            .with_certificates(vec![certificate])
            .with_insecure_skip_verify(true)
            .with_extended_master_secret(ExtendedMasterSecretType::Require)
            .with_srtp_protection_profiles(vec![SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm])
            .build(true, None)
            .unwrap();
        let identity = Arc::new(Identity::generate().unwrap());
        Self { identity, epoch: Instant::now(), far: Arc::new(far), remote }
    }

    fn peer(&self, kept: &Arc<Kept>) -> Peer {
        Peer::new(Timestamp(1), self.epoch, self.identity.clone(), kept.clone())
    }

    /// A check and a handshake, with only our side timed.
    fn connect(&self, n: usize) -> Connected {
        let kept = Arc::new(Kept::new(format!("peer{n}"), PASSWORD.to_owned()));
        let from = SocketAddr::from(([192, 0, 2, 1], 1_000 + n as u16));
        let us = SocketAddr::from(([192, 0, 2, 2], 9));
        let mut far = Endpoint::new(from, TransportProtocol::UDP, None);
        far.connect(self.epoch, us, self.far.clone(), None).unwrap();
        let mut request = request(kept.ufrag());

        let start = Instant::now();
        let mut peer = self.peer(&kept);
        peer.set_remote(&self.remote);
        assert_eq!(peer.receive(Timestamp(1), from, &mut request), Received::Alive);
        let mut took = start.elapsed();
        while peer.poll_transmit().is_some() {}

        while !peer.is_connected() {
            let sent: Vec<Vec<u8>> = std::iter::from_fn(|| far.poll_transmit()).map(|it| it.message.to_vec()).collect();
            let start = Instant::now();
            for mut datagram in sent {
                assert_eq!(peer.receive(Timestamp(1), from, &mut datagram), Received::Nothing);
            }
            let answers: Vec<_> = std::iter::from_fn(|| peer.poll_transmit()).collect();
            took += start.elapsed();
            for (_, answer) in answers {
                far.read(self.epoch, us, None, answer.as_ref().into()).unwrap();
            }
        }
        let state = far.get_connection_state(us).unwrap();
        let keys = state.export_keying_material("EXTRACTOR-dtls_srtp", &[], 56).unwrap().into_bytes();
        let crypto = AwsLcRsProvider::new();
        let profile = ProtectionProfile::AeadAes128Gcm;
        let far = Context::new(&keys[..16], &keys[32..44], profile, None, None, crypto.crypto()).unwrap();
        Connected { peer, kept, from, took, far, buffer: [0xd5; PACKET + SEAL_OVERHEAD] }
    }
}

impl Connected {
    fn seal(&mut self, sequence: u16) -> Option<(SocketAddr, usize)> {
        self.buffer[..12].copy_from_slice(&header(sequence, 1));
        divan::black_box(self.peer.seal_rtp(&mut self.buffer, PACKET))
    }

    fn rebuild(&mut self, world: &World) -> Duration {
        let start = Instant::now();
        self.peer = world.peer(&self.kept);
        start.elapsed()
    }

    /// Nanoseconds per packet.
    fn time_seal(&mut self) -> f64 {
        let sequences: Vec<u16> = (1..=PACKETS).collect();
        let batches = sequences.chunks(BATCH).map(|batch| {
            let start = Instant::now();
            assert!(batch.iter().all(|sequence| self.seal(*sequence).is_some()));
            start.elapsed()
        });
        median(batches.collect()) / BATCH as f64
    }

    /// Nanoseconds per packet.
    fn time_open(&mut self) -> f64 {
        let mut plain = [0xd5; PACKET];
        let mut sealed = Vec::new();
        for sequence in 1..=PACKETS {
            plain[..12].copy_from_slice(&header(sequence, 7));
            sealed.push(self.far.encrypt_rtp(&plain).unwrap());
        }
        let batches = sealed.chunks_mut(BATCH).map(|batch| {
            let start = Instant::now();
            for packet in batch {
                assert_eq!(self.peer.receive(Timestamp(1), self.from, packet), Received::Rtp { len: PACKET });
            }
            start.elapsed()
        });
        median(batches.collect()) / BATCH as f64
    }
}

/// In nanoseconds.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times.get(times.len() / 2).map_or(0.0, |time| time.as_nanos() as f64)
}

fn header(sequence: u16, ssrc: u8) -> [u8; 12] {
    let [high, low] = sequence.to_be_bytes();
    [0x80, 0, high, low, 0, 0, 0, 0, 0, 0, 0, ssrc]
}

/// A check that nominates.
fn request(ufrag: &str) -> Vec<u8> {
    let crypto = AwsLcRsProvider::new();
    let mut request = Message::new();
    request.build(&[Box::new(TransactionId([7; 12])), Box::new(BINDING_REQUEST)]).unwrap();
    request.add(ATTR_USERNAME, format!("{ufrag}:theirs").as_bytes());
    request.add(ATTR_USE_CANDIDATE, &[]);
    request.add(ATTR_PRIORITY, &[0x6e, 0x7e, 0, 0xff]);
    MessageIntegrity::new_raw_integrity_with_provider(PASSWORD.as_bytes(), crypto.crypto())
        .add_to(&mut request)
        .unwrap();
    FINGERPRINT.add_to(&mut request).unwrap();
    request.raw
}

/// Memory of this process, in bytes, with an accuracy of a page; 0 where nobody says.
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4_096
}
