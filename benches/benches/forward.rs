//! A room on one worker, through real sockets: what a packet costs on its way from its publisher to each receiver, what
//! a join costs, and what a connection takes in memory. Nobody reads what the receivers get: their sockets fill up, and
//! the kernel drops the rest at the very end of its way, for the floor as for us.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "what cannot be set up cannot be measured")]

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rtc_crypto::RTCCryptoProvider;
use rtc_crypto::providers::AwsLcRsProvider;
use rtc_dtls::config::{ConfigBuilder, ExtendedMasterSecretType, HandshakeConfig};
use rtc_dtls::crypto::Certificate;
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_shared::TransportProtocol;
use rtc_srtp::context::Context;
use rtc_srtp::protection_profile::ProtectionProfile;
use rtc_stun::attributes::{ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME};
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{BINDING_REQUEST, Message, Setter, TransactionId};
use tandem_core::call::NewCall;
use tandem_core::cause::Cause;
use tandem_core::id::{ConferenceId, LegId, ParticipantId, TrackId};
use tandem_core::leg::LegInput;
use tandem_core::machine::Refusal;
use tandem_core::media::{Codec, LocalMedia, PeerDescription};
use tandem_core::metric::{Counter, Metrics};
use tandem_core::ports::{CallPort, DataPort, SfuListener, SfuPort};
use tandem_core::room::description::SectionKind;
use tandem_core::room::sfu::{
    DataChannel, Extensions, ReceiveSpec, SendSpec, SfuCommand, SfuNews, Speakers, TransportId, TransportRole, Wish,
};
use tandem_media::{Config, Pool};
use uuid::Uuid;

/// Receivers of the one publisher.
const RECEIVERS: [usize; 4] = [1, 10, 100, 1_000];

/// Of a packet, header not counted.
const PAYLOAD: usize = 1_100;

/// Packets of a video frame: they are sent together, so that many go out together to each receiver.
const FRAME: u16 = 8;

/// How long packets are counted.
const TIME: Duration = Duration::from_secs(3);

const ROOM: ConferenceId = ConferenceId::from_uuid(Uuid::from_u128(1));

const WORKER: &str = "bench-worker";

#[expect(clippy::print_stdout, reason = "a bench reports there")]
fn main() {
    let floor = [1, usize::from(FRAME), 32].map(|run| (run, floor(run)));
    println!("forward: floor (seal and send {PAYLOAD} bytes): {floor:.0?} ns per packet, by packets of a run");
    for receivers in RECEIVERS {
        report(receivers, floor[1].1);
    }
}

#[expect(clippy::print_stdout, reason = "a bench reports there")]
fn report(receivers: usize, floor: f64) {
    let room = Room::new(receivers);
    let join_us = room.join_cpu.as_secs_f64() * 1e6 / receivers as f64;
    let (mut publisher, bytes) = (room.publisher, room.resident_bytes);
    let worker = worker_thread();
    // The last of the joins is behind it.
    std::thread::sleep(Duration::from_millis(300));
    let before = cpu_of(&worker);
    std::thread::sleep(TIME);
    let idle = (cpu_of(&worker) - before).as_secs_f64() * 1e6 / TIME.as_secs_f64();
    println!("forward: {receivers} receivers, nobody sends: {idle:.0} µs of CPU a second");
    println!(r#"{{"bench":"forward","receivers":{receivers},"load":"idle","cpu_us_per_second":{idle:.1}}}"#);
    // Until every receiver got a key frame, as it were: audio needs none.
    publish(&mut publisher, Duration::from_millis(300), Duration::from_millis(5));
    for (name, pause) in [("paced", Duration::from_millis(33)), ("saturated", Duration::ZERO)] {
        let before = (cpu_of(&worker), room.metrics.counter(Counter::RtpForwarded));
        publish(&mut publisher, TIME, pause);
        std::thread::sleep(Duration::from_millis(200));
        let cpu = cpu_of(&worker) - before.0;
        let packets = room.metrics.counter(Counter::RtpForwarded) - before.1;
        let per_packet = cpu.as_nanos() as f64 / packets as f64;
        let per_second = 1e9 / per_packet;
        let ratio = per_packet / floor;
        println!(
            "forward: 1 publisher to {receivers} receivers, {name}: {per_packet:.0} ns per forwarded packet, \
             {per_second:.0} packets per core-second, {ratio:.2} times the floor of {FRAME} in a run; \
             {join_us:.0} µs CPU a join, {bytes} bytes resident per connection with its client's keys"
        );
        println!(
            r#"{{"bench":"forward","receivers":{receivers},"load":"{name}","packets":{packets},"ns_per_packet":{per_packet:.1},"packets_per_core_second":{per_second:.0},"ratio_to_floor":{ratio:.3},"join_us":{join_us:.1},"resident_bytes":{bytes}}}"#
        );
    }
    room.pool.stop();
    room.thread.join().unwrap();
}

/// Frames of packets, one after the other.
fn publish(publisher: &mut Client, time: Duration, pause: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        for _ in 0..FRAME {
            publisher.speak();
        }
        // A whole batch is on its way; more would only be lost.
        std::thread::sleep(pause.max(Duration::from_micros(50)));
    }
}

/// What must be: sealing, and one system call for each run. In nanoseconds per packet.
fn floor(run: usize) -> f64 {
    const RUNS: usize = 4_000;
    let from = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = UdpSocket::bind("127.0.0.1:0").unwrap();
    let state = quinn_udp::UdpSocketState::new((&from).into()).unwrap();
    let key = aws_lc_rs::aead::UnboundKey::new(&aws_lc_rs::aead::AES_128_GCM, &[7; 16]).unwrap();
    let key = aws_lc_rs::aead::LessSafeKey::new(key);
    let segment = 12 + PAYLOAD + 16;
    let mut out = vec![0_u8; run * segment];
    let (destination, mut number) = (to.local_addr().unwrap(), 0_u64);
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            for packet in out.chunks_mut(segment) {
                number += 1;
                let (head, body) = packet.split_at_mut(12);
                let mut nonce = [0; 12];
                nonce[4..].copy_from_slice(&number.to_be_bytes());
                let nonce = aws_lc_rs::aead::Nonce::assume_unique_for_key(nonce);
                let aad = aws_lc_rs::aead::Aad::from(&*head);
                let tag = key.seal_in_place_separate_tag(nonce, aad, &mut body[..PAYLOAD]).unwrap();
                body[PAYLOAD..].copy_from_slice(tag.as_ref());
            }
            let contents = &out[..];
            let transmit =
                quinn_udp::Transmit { destination, ecn: None, contents, segment_size: Some(segment), src_ip: None };
            let _ = state.try_send((&from).into(), &transmit);
            start.elapsed()
        })
        .collect();
    times.sort();
    times[RUNS / 2].as_nanos() as f64 / run as f64
}

/// One publisher and his receivers, on one worker.
struct Room {
    pool: Arc<Pool>,
    metrics: Arc<Metrics>,
    publisher: Client,
    _receivers: Vec<Client>,
    thread: std::thread::JoinHandle<()>,
    join_cpu: Duration,
    resident_bytes: usize,
}

impl Room {
    fn new(receivers: usize) -> Self {
        let metrics = Arc::new(Metrics::default());
        let config = Config { workers: 1, first_peer_port: 0, peers_per_worker: 5_000, ..Config::default() };
        let pool = Pool::new(config, Arc::new(Nobody), metrics.clone()).unwrap();
        let pool = Arc::new(pool.with_rooms(Arc::new(Nobody), Arc::new(Nobody)));
        let thread = {
            let pool = pool.clone();
            let worker = std::thread::Builder::new().name(WORKER.to_owned());
            worker.spawn(move || pool.work(0).unwrap()).unwrap()
        };
        let clients = Clients::new();
        let publisher = clients.join(&pool, 0);
        let spec = ReceiveSpec {
            transport: transport(0),
            mid: "0".into(),
            kind: SectionKind::Audio,
            formats: vec![(codec(), None)],
            layers: Vec::new(),
            sources: vec![(publisher.ssrc, None)],
            nack: false,
        };
        pool.command(ROOM, SfuCommand::Receive { track: track(), spec: Arc::new(spec) }).unwrap();
        let worker = worker_thread();
        let before = (cpu_of(&worker), resident_bytes());
        let all: Vec<Client> = (1..=receivers).map(|n| clients.join(&pool, n)).collect();
        let join_cpu = cpu_of(&worker) - before.0;
        let resident_bytes = resident_bytes().saturating_sub(before.1) / receivers;
        for n in 1..=receivers {
            let spec = SendSpec { mid: "1".into(), ssrc: 7_000_000, rtx_ssrc: None, formats: vec![(codec(), None)] };
            let (spec, transport) = (Arc::new(spec), transport(n));
            pool.command(ROOM, SfuCommand::Send { track: track(), transport, spec, wish: Wish::ALL }).unwrap();
        }
        Self { pool, metrics, publisher, _receivers: all, thread, join_cpu, resident_bytes }
    }
}

fn transport(n: usize) -> TransportId {
    TransportId { participant: ParticipantId::from_uuid(Uuid::from_u128(n as u128)), role: TransportRole::Publisher }
}

fn track() -> TrackId {
    TrackId::from_uuid(Uuid::from_u128(1))
}

fn codec() -> Codec {
    Codec { payload_type: 111, name: "opus".into(), clock_rate_hz: 48_000, channels: 2, fmtp: None }
}

/// What all clients share.
struct Clients {
    config: Arc<HandshakeConfig>,
    fingerprint: [u8; 32],
}

/// A far end: its socket and its keys.
struct Client {
    socket: UdpSocket,
    to: SocketAddr,
    seal: Context,
    ssrc: u32,
    sequence: u16,
}

impl Clients {
    fn new() -> Self {
        let provider: Arc<dyn RTCCryptoProvider> = Arc::new(AwsLcRsProvider::new());
        let certificate = Certificate::generate_self_signed(vec!["client".to_owned()], provider.crypto()).unwrap();
        let digest = provider.crypto().hash(rtc_crypto::HashAlgorithm::Sha256, &certificate.certificate[0]).unwrap();
        let config = ConfigBuilder::default()
            .with_crypto_provider(provider)
            .with_certificates(vec![certificate])
            .with_insecure_skip_verify(true)
            .with_extended_master_secret(ExtendedMasterSecretType::Require)
            .with_srtp_protection_profiles(vec![SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm])
            .build(true, None)
            .unwrap();
        Self { config: Arc::new(config), fingerprint: digest.try_into().unwrap() }
    }

    /// Opens a connection, and shakes hands.
    fn join(&self, pool: &Pool, n: usize) -> Client {
        let local = pool.open(ROOM, transport(n)).unwrap();
        let remote = PeerDescription {
            ufrag: "client".into(),
            password: String::from("the password of a client").into(),
            fingerprint: self.fingerprint,
            ssrc: None,
        };
        let extensions = Extensions { mid: 4, ..Extensions::default() };
        let connect = SfuCommand::Connect { transport: transport(n), remote: Arc::new(remote), extensions };
        pool.command(ROOM, connect).unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let seal = self.shake(&socket, &local);
        Client { socket, to: local.rtp, seal, ssrc: n as u32 + 10, sequence: 0 }
    }

    fn shake(&self, socket: &UdpSocket, local: &LocalMedia) -> Context {
        let us = SocketAddr::from(([192, 0, 2, 2], 9));
        let mut endpoint = Endpoint::new(socket.local_addr().unwrap(), TransportProtocol::UDP, None);
        endpoint.connect(Instant::now(), us, self.config.clone(), None).unwrap();
        let server = local.peer.clone().unwrap();
        let check = check(&server.ufrag, server.password.reveal());
        let (mut is_checked, mut bytes, start) = (false, [0; 2_048], Instant::now());
        loop {
            assert!(start.elapsed() < Duration::from_secs(30), "no handshake");
            if !is_checked {
                socket.send_to(&check, local.rtp).unwrap();
            } else {
                let _ = endpoint.handle_timeout(us, Instant::now());
                while let Some(flight) = endpoint.poll_transmit() {
                    socket.send_to(&flight.message, local.rtp).unwrap();
                }
            }
            let Ok(len) = socket.recv(&mut bytes) else { continue };
            is_checked |= bytes[0] < 4;
            if !(20..64).contains(&bytes[0]) {
                continue;
            }
            let events = endpoint.read(Instant::now(), us, None, bytes[..len].into()).unwrap();
            if events.iter().any(|event| matches!(event, EndpointEvent::HandshakeComplete)) {
                break;
            }
        }
        let state = endpoint.get_connection_state(us).unwrap();
        let keys = state.export_keying_material("EXTRACTOR-dtls_srtp", &[], 56).unwrap().into_bytes();
        let crypto = AwsLcRsProvider::new();
        let profile = ProtectionProfile::AeadAes128Gcm;
        Context::new(&keys[..16], &keys[32..44], profile, None, None, crypto.crypto()).unwrap()
    }
}

impl Client {
    fn speak(&mut self) {
        self.sequence = self.sequence.wrapping_add(1);
        let mut packet = vec![0x80, 111];
        packet.extend(self.sequence.to_be_bytes());
        packet.extend((u32::from(self.sequence) * 960).to_be_bytes());
        packet.extend(self.ssrc.to_be_bytes());
        packet.resize(12 + PAYLOAD, 0xd5);
        let sealed = self.seal.encrypt_rtp(&packet).unwrap();
        let _ = self.socket.send_to(&sealed, self.to);
    }
}

/// A check that nominates.
fn check(ufrag: &str, password: &str) -> Vec<u8> {
    let crypto = AwsLcRsProvider::new();
    let mut request = Message::new();
    request.build(&[Box::new(TransactionId([7; 12])), Box::new(BINDING_REQUEST)]).unwrap();
    request.add(ATTR_USERNAME, format!("{ufrag}:client").as_bytes());
    request.add(ATTR_USE_CANDIDATE, &[]);
    request.add(ATTR_PRIORITY, &[0x6e, 0x7e, 0, 0xff]);
    MessageIntegrity::new_raw_integrity_with_provider(password.as_bytes(), crypto.crypto())
        .add_to(&mut request)
        .unwrap();
    FINGERPRINT.add_to(&mut request).unwrap();
    request.raw
}

/// Where the kernel tells of the worker.
fn worker_thread() -> std::path::PathBuf {
    let name = |path: &std::path::Path| std::fs::read_to_string(path.join("comm")).unwrap_or_default();
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().map(|entry| entry.unwrap().path());
    loop {
        if let Some(found) = threads().find(|path| name(path).trim() == WORKER) {
            return found;
        }
    }
}

/// Time on a core that the thread has had, by the scheduler's account.
fn cpu_of(thread: &std::path::Path) -> Duration {
    let told = std::fs::read_to_string(thread.join("schedstat")).unwrap_or_default();
    Duration::from_nanos(told.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0))
}

/// Memory of this process, in bytes, with an accuracy of a page; 0 where nobody says.
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4_096
}

/// Who hears of none of it.
struct Nobody;

impl CallPort for Nobody {
    fn open_call(&self, _: NewCall) -> Result<(), Cause> {
        Err(Cause::Shutdown)
    }

    fn tell_leg(&self, _: LegId, _: LegInput) -> Result<(), Refusal> {
        Err(Refusal::Gone)
    }

    fn track_lost(&self, _: TrackId) -> Result<(), Refusal> {
        Err(Refusal::Gone)
    }
}

impl SfuListener for Nobody {
    fn news(&self, _: ParticipantId, _: SfuNews) -> Result<(), Refusal> {
        Ok(())
    }

    fn speakers(&self, _: Speakers) {}
}

impl DataPort for Nobody {
    fn received(&self, _: ConferenceId, _: ParticipantId, _: DataChannel, _: Bytes) -> Result<(), Refusal> {
        Ok(())
    }
}
