//! G.711 relayed in process: what the engine costs per packet, without sockets, and what that makes per core.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use divan::Bencher;
use divan::counter::ItemsCount;
use tandem_core::id::{LegId, TrackId};
use tandem_core::media::{LocalMedia, MediaCommand, MediaDescription, TrackSpec};
use tandem_core::time::Timestamp;
use tandem_engine::{Continuity, Engine, Settings, Socket, SocketKind, Transmit};
use uuid::Uuid;

/// Two sizes, to see what a call costs at ten times the calls.
const CALLS: [usize; 2] = [200, 2_000];

const SETTINGS: Settings = Settings {
    silence_timeout: Duration::from_secs(30),
    peer_silence_timeout: Duration::from_secs(10),
    break_on: None,
};

/// 20 ms of G.711 and its header.
const PACKET: usize = 12 + 160;

fn main() {
    for calls in CALLS {
        report(calls);
    }
    divan::main();
}

/// 20 ms of all calls: each of their legs receives a packet, which goes out on the other.
#[divan::bench(args = CALLS)]
fn twenty_milliseconds_of_calls(bencher: Bencher<'_, '_>, calls: usize) {
    let mut load = Load::new(calls);
    bencher.counter(ItemsCount::new(calls * 2)).bench_local(|| load.tick());
}

/// Prints the figure for people and for scripts.
#[expect(clippy::print_stdout, reason = "a bench reports there")]
fn report(calls: usize) {
    const TICKS: u32 = 500;
    let mut load = Load::new(calls);
    let warm: usize = (0..TICKS / 5).map(|_| load.tick()).sum();
    assert_eq!(warm, calls * 2 * TICKS as usize / 5, "every packet is relayed");
    let start = Instant::now();
    let packets: usize = (0..TICKS).map(|_| load.tick()).sum();
    let per_packet = start.elapsed().as_nanos() as f64 / packets as f64;
    let per_second = 1e9 / per_packet;
    let calls_per_core = per_second / 100.0;
    println!(
        "relay: {calls} calls of G.711, engine only: {per_packet:.0} ns per packet, {:.1} million packets per \
         core-second, {calls_per_core:.0} calls per core",
        per_second / 1e6
    );
    println!(
        r#"{{"bench":"relay","calls":{calls},"ns_per_packet":{per_packet:.1},"packets_per_core_second":{per_second:.0}}}"#
    );
}

/// An engine with calls, and a far end for each leg.
struct Load {
    engine: Engine,
    legs: usize,
    tick: u32,
    packet: [u8; PACKET],
}

impl Load {
    fn new(calls: usize) -> Self {
        let mut engine = Engine::new(SETTINGS, 1);
        let legs = calls * 2;
        for n in 0..legs {
            engine.open(Timestamp(1), n, leg(n), Arc::new(Continuity::new(n as u32, 0, 0)));
            engine.apply(Timestamp(1), &MediaCommand::Attach { track: track(n), spec: spec(n) });
            engine.apply(Timestamp(1), &MediaCommand::Bridge { track: track(n), to: track(n ^ 1) });
        }
        Self { engine, legs, tick: 0, packet: [0xd5; PACKET] }
    }

    /// Gives the number of packets that went out.
    fn tick(&mut self) -> usize {
        self.tick += 1;
        let now = Timestamp(1 + u64::from(self.tick) * 20_000);
        (0..self.legs).filter_map(|n| self.relay(now, n)).count()
    }

    fn relay(&mut self, now: Timestamp, n: usize) -> Option<Transmit> {
        let [first, kind, sequence @ .., _, _, _, _, _, _, _, _] = self.packet.first_chunk_mut::<12>()?;
        (*first, *kind, *sequence) = (0x80, 0, (self.tick as u16).to_be_bytes());
        self.packet.get_mut(4..8)?.copy_from_slice(&self.tick.wrapping_mul(160).to_be_bytes());
        self.packet.get_mut(8..12)?.copy_from_slice(&(n as u32).to_be_bytes());
        let socket = Socket { place: n, kind: SocketKind::Rtp };
        divan::black_box(self.engine.receive(now, socket, far(n), &mut self.packet, PACKET))
    }
}

fn leg(n: usize) -> LegId {
    LegId::from_uuid(Uuid::from_u128(n as u128))
}

fn track(n: usize) -> TrackId {
    TrackId::audio_of(leg(n))
}

fn far(n: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 10_000 + n as u16))
}

fn spec(n: usize) -> TrackSpec {
    let describe = |rtp| Arc::new(MediaDescription::basic(&LocalMedia::pair(rtp, rtp)));
    TrackSpec { leg: leg(n), local: describe(SocketAddr::from(([127, 0, 0, 1], 9))), remote: describe(far(n)) }
}
