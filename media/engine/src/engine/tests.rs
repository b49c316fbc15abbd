use std::net::SocketAddr;

use proptest::prelude::*;
use rtc_crypto::{RTCCryptoProvider, providers::AwsLcRsProvider};
use rtc_stun::attributes::{ATTR_PRIORITY, ATTR_USERNAME};
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{BINDING_REQUEST, Message, Setter};
use rtp_rs::{RtpPacketBuilder, RtpReader};
use tandem_core::media::{Codec, Direction, MediaDescription, is_sendable};
use tandem_core::time::WallTime;
use uuid::Uuid;

use super::*;

const SETTINGS: Settings = Settings {
    silence_timeout: Duration::from_secs(30),
    peer_silence_timeout: Duration::from_secs(10),
    break_on: None,
};
const A: usize = 0;
const B: usize = 1;

impl Engine {
    /// A packet that fills its buffer: nothing in these calls is sealed.
    fn take(&mut self, now: Timestamp, socket: Socket, from: SocketAddr, packet: &mut [u8]) -> Option<Transmit> {
        self.receive(now, socket, from, packet, packet.len())
    }

    fn next_transmit(&mut self, now: Now, buffer: &mut [u8]) -> Option<Transmit> {
        loop {
            let place = self.poll_due()?;
            if let Some(transmit) = self.transmit(now, place, buffer) {
                self.due.push_front(place);
                return Some(transmit);
            }
        }
    }
}

fn leg(n: usize) -> LegId {
    LegId::from_uuid(Uuid::from_u128(n as u128 + 1))
}

fn track(n: usize) -> TrackId {
    TrackId::audio_of(leg(n))
}

/// Where the far end of a leg is.
fn far(n: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, n as u8 + 1], 4_000))
}

fn ms(ms: u64) -> Timestamp {
    Timestamp(1_000_000 + ms * 1_000)
}

fn codec(payload_type: u8, name: &str) -> Codec {
    Codec { payload_type, name: name.into(), clock_rate_hz: 8_000, channels: 1, fmtp: None }
}

fn description(rtp: SocketAddr, event: u8, direction: Direction) -> MediaDescription {
    let rtcp = SocketAddr::new(rtp.ip(), rtp.port() + 1);
    let codecs = vec![codec(0, "PCMU"), codec(8, "PCMA"), codec(event, "telephone-event")];
    MediaDescription { rtp, rtcp, codecs, ptime_ms: Some(20), direction, peer: None, text: None }
}

fn spec(n: usize, remote: MediaDescription) -> TrackSpec {
    let local = description(SocketAddr::from(([127, 0, 0, 1], 10_000)), 101, Direction::SendRecv);
    TrackSpec { leg: leg(n), local: Arc::new(local), remote: Arc::new(remote) }
}

fn attach(n: usize, remote: MediaDescription) -> MediaCommand {
    MediaCommand::Attach { track: track(n), spec: spec(n, remote) }
}

fn bridge(from: usize, to: usize) -> MediaCommand {
    MediaCommand::Bridge { track: track(from), to: track(to) }
}

fn rtp(n: usize) -> Socket {
    Socket { place: n, kind: SocketKind::Rtp }
}

fn rtcp(n: usize) -> Socket {
    Socket { place: n, kind: SocketKind::Rtcp }
}

/// Two legs, attached and bridged both ways. B numbers events 96, A 101.
fn talking() -> Engine {
    let mut engine = Engine::new(SETTINGS, 1);
    for n in [A, B] {
        engine.open(ms(0), n, leg(n), Arc::new(Continuity::new(900 + n as u32, 10, 1_000)));
    }
    engine.apply(ms(0), &attach(A, description(far(A), 101, Direction::SendRecv)));
    engine.apply(ms(0), &attach(B, description(far(B), 96, Direction::SendRecv)));
    engine.apply(ms(0), &bridge(A, B));
    engine.apply(ms(0), &bridge(B, A));
    engine
}

fn packet(payload_type: u8, sequence: u16, timestamp: u32, payload: &[u8]) -> Vec<u8> {
    RtpPacketBuilder::new()
        .payload_type(payload_type)
        .ssrc(77)
        .sequence(sequence.into())
        .timestamp(timestamp)
        .payload(payload)
        .build()
        .unwrap()
}

fn voice(n: u16) -> Vec<u8> {
    packet(0, 500 + n, u32::from(n) * 160, &[0xd5; 160])
}

/// Packet `n` from A's far end, 20 ms after the one before.
fn speak(engine: &mut Engine, n: u16) -> Option<Transmit> {
    engine.take(ms(u64::from(n) * 20), rtp(A), far(A), &mut voice(n))
}

fn news(engine: &mut Engine) -> Vec<(LegId, MediaNews)> {
    std::iter::from_fn(|| engine.poll_news()).collect()
}

#[test]
fn what_one_far_end_says_goes_to_the_other_under_our_ssrc_with_the_payload_untouched() {
    let mut engine = talking();
    let mut bytes = voice(0);
    let transmit = engine.take(ms(0), rtp(A), far(A), &mut bytes).unwrap();
    assert_eq!(transmit, Transmit { socket: rtp(B), to: far(B), len: 172 });
    let out = RtpReader::new(&bytes).unwrap();
    assert_eq!((out.ssrc(), out.sequence_number(), out.timestamp(), out.mark()), (901, 10.into(), 1_000, true));
    assert_eq!((out.payload_type(), out.payload()), (0, &[0xd5; 160][..]));
    assert_eq!(engine.take_counts(), Counts { received: 1, ..Counts::default() });
}

#[test]
fn what_was_agreed_on_with_the_sender_alone_is_taken_out_of_its_packets() {
    let mut engine = talking();
    // One contributing source, an extension of one word (RFC 8285), and four bytes of padding.
    let mut bytes = vec![0xb1, 0x80, 0, 1, 0, 0, 0, 0, 0, 0, 0, 77, 9, 9, 9, 9, 0xbe, 0xde, 0, 1, 0x10, 0xff, 0, 0];
    bytes.extend([0xd5; 160]);
    bytes.extend([0, 0, 0, 4]);
    let transmit = engine.take(ms(0), rtp(A), far(A), &mut bytes).unwrap();
    assert_eq!((transmit.len, bytes[0]), (172, 0x80));
    assert_eq!(RtpReader::new(&bytes[..transmit.len]).unwrap().payload(), [0xd5; 160]);
}

#[test]
fn two_sides_that_chose_different_laws_of_g711_hear_each_other() {
    let mut engine = talking();
    let mut remote = description(far(B), 96, Direction::SendRecv);
    remote.codecs.remove(0);
    engine.apply(ms(0), &attach(B, remote));
    let mut bytes = packet(0, 500, 0, &[0xff; 160]);
    assert!(engine.take(ms(0), rtp(A), far(A), &mut bytes).is_some());
    let out = RtpReader::new(&bytes).unwrap();
    assert_eq!((out.payload_type(), out.payload()), (8, &[0xd5; 160][..]));
    let mut event = packet(101, 501, 160, &[5, 0x0a, 1, 0x40]);
    assert!(engine.take(ms(20), rtp(A), far(A), &mut event).is_some());
    assert_eq!(RtpReader::new(&event).unwrap().payload(), [5, 0x0a, 1, 0x40]);
}

/// Comes to the peer of that name from there. Gives whom other packets from there are for then.
fn check(engine: &mut Engine, at: Timestamp, name: &str, from: SocketAddr) -> Option<usize> {
    let provider = AwsLcRsProvider::new();
    let mut check = Message::new();
    check.set_type(BINDING_REQUEST);
    check.write_header();
    check.add(ATTR_USERNAME, format!("{name}:theirs").as_bytes());
    check.add(ATTR_PRIORITY, &[1; 4]);
    MessageIntegrity::new_raw_integrity_with_provider(name, provider.crypto()).add_to(&mut check).unwrap();
    FINGERPRINT.add_to(&mut check).unwrap();
    let place = engine.find_peer(from, &check.raw).unwrap();
    let passed = engine.take(at, Socket { place, kind: SocketKind::Peer }, from, &mut check.raw);
    assert_eq!((passed, engine.take_counts()), (None, Counts::default()));
    engine.find_peer(from, &voice(0))
}

#[test]
fn nobody_takes_the_address_of_a_peer_that_lives_by_checks_with_a_forged_source() {
    let mut engine = Engine::new(SETTINGS, 1);
    let identity = Arc::new(crate::peer::Identity::generate().unwrap());
    for (n, name) in [(A, "victim"), (B, "forger")] {
        let kept = Arc::new(Kept::new(name.into(), name.into()));
        let peer = Peer::new(ms(0), <std::time::Instant>::now(), identity.clone(), kept.clone());
        engine.open_peer(ms(0), n, leg(n), Arc::new(Continuity::new(n as u32, 0, 0)), peer, &kept);
    }
    assert_eq!(check(&mut engine, ms(0), "victim", far(A)), Some(A));
    assert_eq!(check(&mut engine, ms(10), "forger", far(A)), Some(A));
    assert_eq!(check(&mut engine, ms(20), "forger", far(B)), Some(B));
    assert_eq!(check(&mut engine, ms(3_000), "victim", far(A)), Some(A));
    assert_eq!(check(&mut engine, ms(8_000), "forger", far(A)), Some(A));
    assert_eq!(check(&mut engine, ms(9_100), "forger", far(A)), Some(B), "the other is gone");
}

#[test]
fn a_digit_goes_on_under_the_other_sides_number_and_is_told_once() {
    let mut engine = talking();
    speak(&mut engine, 0);
    for (n, is_end) in [(1, false), (2, false), (3, true), (4, true)] {
        let payload = [5, if is_end { 0x8a } else { 0x0a }, 1, 0x40];
        let mut bytes = packet(101, 500 + n, 160, &payload);
        assert!(engine.take(ms(u64::from(n) * 20), rtp(A), far(A), &mut bytes).is_some());
        let out = RtpReader::new(&bytes).unwrap();
        assert_eq!((out.payload_type(), out.timestamp(), out.payload()), (96, 1_160, &payload[..]));
    }
    let digit = MediaNews::Digit { digit: '5', duration_ms: 40 };
    assert_eq!(news(&mut engine), [(leg(A), digit)]);
}

#[test]
fn a_bridge_to_a_track_that_comes_later_works_from_then_on() {
    let mut engine = Engine::new(SETTINGS, 1);
    engine.open(ms(0), A, leg(A), Arc::new(Continuity::new(900, 10, 1_000)));
    engine.apply(ms(0), &attach(A, description(far(A), 101, Direction::SendRecv)));
    engine.apply(ms(0), &bridge(A, B));
    assert_eq!(speak(&mut engine, 0), None);
    assert_eq!(engine.take_counts().unrouted, 1);
    engine.open(ms(0), B, leg(B), Arc::new(Continuity::new(901, 10, 1_000)));
    engine.apply(ms(0), &attach(B, description(far(B), 96, Direction::SendRecv)));
    assert_eq!(speak(&mut engine, 1).unwrap().to, far(B));
}

#[test]
fn commands_may_come_twice_and_a_detached_track_gets_nothing_until_it_is_back() {
    let mut engine = talking();
    engine.apply(ms(0), &bridge(A, B));
    engine.apply(ms(0), &attach(A, description(far(A), 101, Direction::SendRecv)));
    assert!(speak(&mut engine, 0).is_some());
    for _ in 0..2 {
        engine.apply(ms(0), &MediaCommand::Detach { track: track(B) });
    }
    assert_eq!(speak(&mut engine, 1), None);
    engine.apply(ms(0), &attach(B, description(far(B), 96, Direction::SendRecv)));
    assert!(speak(&mut engine, 2).is_some());
    engine.close(B);
    engine.close(B);
    assert_eq!(speak(&mut engine, 3), None);
    assert!(engine.feeders.len() == 1 && engine.tracks.len() == 1);
    engine.close(A);
    assert!(engine.feeders.is_empty() && engine.tracks.is_empty() && engine.places.is_empty());
}

#[test]
fn another_leg_on_the_place_of_a_closed_one_does_not_get_its_packets() {
    let mut engine = talking();
    engine.open(ms(0), B, leg(7), Arc::new(Continuity::new(907, 10, 1_000)));
    engine.apply(ms(0), &attach(7, description(far(7), 96, Direction::SendRecv)));
    assert_eq!(speak(&mut engine, 0), None);
}

#[test]
fn a_format_that_was_not_agreed_on_goes_nowhere_and_keeps_the_leg_alive() {
    let mut engine = talking();
    engine.apply(ms(0), &MediaCommand::Watch { leg: leg(A) });
    speak(&mut engine, 0);
    let mut comfort_noise = packet(13, 501, 160, &[30]);
    assert_eq!(engine.take(ms(29_000), rtp(A), far(A), &mut comfort_noise), None);
    assert_eq!(engine.take_counts(), Counts { received: 2, unrouted: 1, ..Counts::default() });
    engine.expire(ms(31_000), A);
    assert_eq!(news(&mut engine), []);
}

#[test]
fn what_is_no_rtp_or_rtcp_is_counted_and_changes_nothing() {
    let mut engine = talking();
    speak(&mut engine, 0);
    let mut wrong_version = voice(1);
    wrong_version[0] = 0x40;
    let mut wrong_padding = voice(1);
    wrong_padding[0] |= 0x20;
    for mut bytes in [vec![], voice(1)[..11].to_vec(), wrong_version, wrong_padding] {
        let before = bytes.clone();
        assert_eq!(engine.take(ms(10), rtp(A), far(A), &mut bytes), None);
        assert_eq!(engine.take(ms(10), rtcp(A), far(A), &mut bytes), None);
        assert_eq!(bytes, before);
    }
    assert_eq!(engine.take_counts(), Counts { received: 1, malformed: 8, ..Counts::default() });
    let mut next = voice(1);
    assert!(engine.take(ms(20), rtp(A), far(A), &mut next).is_some());
    assert_eq!(RtpReader::new(&next).unwrap().sequence_number(), 11.into());
}

#[test]
fn packets_go_to_where_the_far_end_really_is_and_strangers_are_not_heard() {
    let mut engine = talking();
    let behind_nat: SocketAddr = "198.51.100.9:7777".parse().unwrap();
    let heard: Vec<bool> =
        (0..4).map(|n| engine.take(ms(u64::from(n) * 20), rtp(B), behind_nat, &mut voice(n)).is_some()).collect();
    assert_eq!(heard, [false, false, true, true]);
    assert_eq!(speak(&mut engine, 0).unwrap().to, behind_nat);
    let intruder = SocketAddr::from(([203, 0, 113, 6], 6_666));
    assert_eq!(engine.take(ms(100), rtp(B), intruder, &mut voice(9)), None);
    assert_eq!(engine.take_counts().foreign, 3);
    assert_eq!(speak(&mut engine, 1).unwrap().to, behind_nat);
}

#[test]
fn a_far_end_that_signals_another_address_is_sent_to_there() {
    let mut engine = talking();
    assert_eq!(speak(&mut engine, 0).unwrap().to, far(B));
    engine.apply(ms(20), &attach(B, description(far(5), 96, Direction::SendRecv)));
    assert_eq!(speak(&mut engine, 1).unwrap().to, far(5));
}

#[test]
fn who_holds_or_has_no_address_gets_nothing() {
    let nowhere: SocketAddr = "0.0.0.0:4000".parse().unwrap();
    for (remote, is_sent) in [
        (description(far(B), 96, Direction::RecvOnly), true),
        (description(far(B), 96, Direction::SendOnly), false),
        (description(far(B), 96, Direction::Inactive), false),
        (description(nowhere, 96, Direction::SendRecv), false),
        (description(SocketAddr::from(([224, 0, 0, 1], 4_000)), 96, Direction::SendRecv), false),
    ] {
        let mut engine = talking();
        engine.apply(ms(0), &attach(B, remote.clone()));
        assert_eq!(speak(&mut engine, 0).is_some(), is_sent, "{remote:?}");
    }
}

#[test]
fn a_watched_leg_that_falls_silent_says_so_once_and_again_only_after_it_was_heard() {
    let mut engine = talking();
    engine.apply(ms(0), &MediaCommand::Watch { leg: leg(A) });
    speak(&mut engine, 0);
    engine.expire(ms(29_900), A);
    assert_eq!(news(&mut engine), []);
    engine.expire(ms(30_000), A);
    engine.expire(ms(90_000), A);
    assert_eq!(news(&mut engine), [(leg(A), MediaNews::Silent)]);
    assert!(engine.take(ms(90_000), rtp(A), far(A), &mut voice(1)).is_some());
    engine.expire(ms(120_000), A);
    assert_eq!(news(&mut engine), [(leg(A), MediaNews::Silent)]);
    assert_eq!(engine.take_counts().silent, 2);
}

#[test]
fn silence_is_none_while_unwatched_or_on_hold_and_counts_from_the_end_of_the_hold() {
    let mut engine = talking();
    engine.expire(ms(60_000), A);
    engine.apply(ms(60_000), &MediaCommand::Watch { leg: leg(A) });
    engine.apply(ms(60_000), &attach(A, description(far(A), 101, Direction::RecvOnly)));
    engine.expire(ms(120_000), A);
    engine.apply(ms(120_000), &attach(A, description(far(A), 101, Direction::SendRecv)));
    engine.expire(ms(149_900), A);
    assert_eq!(news(&mut engine), []);
    engine.expire(ms(150_000), A);
    assert_eq!(news(&mut engine), [(leg(A), MediaNews::Silent)]);
}

#[test]
fn reports_say_what_was_sent_and_received_and_keep_a_quiet_leg_alive() {
    let mut engine = talking();
    for n in (0..10).filter(|n| *n != 4) {
        speak(&mut engine, n);
    }
    for place in [A, B] {
        engine.expire(ms(8_000), place);
    }
    let now = Now { mono: ms(8_000), wall: WallTime(0) };
    let mut buffer = [0; 128];
    let to_a = engine.next_transmit(now, &mut buffer).unwrap();
    assert_eq!((to_a.socket, to_a.to.port()), (rtcp(A), 4_001));
    // A receiver report: nothing was sent to A. One of ten was lost: 25/256, and one in all.
    assert_eq!(buffer[..4], [0x81, 201, 0, 7]);
    assert_eq!(buffer[8..16], [0, 0, 0, 77, 25, 0, 0, 1]);
    let to_b = engine.next_transmit(now, &mut buffer).unwrap();
    assert_eq!((to_b.socket, &buffer[..4]), (rtcp(B), &[0x80, 200, 0, 6][..]));
    assert_eq!(buffer[20..28], [0, 0, 0, 9, 0, 0, 5, 0xa0]);
    assert_eq!(engine.next_transmit(now, &mut buffer), None);

    engine.apply(ms(8_000), &MediaCommand::Watch { leg: leg(A) });
    let report = &mut buffer[..to_b.len];
    assert_eq!(engine.take(ms(30_000), rtcp(A), "192.0.2.1:4001".parse().unwrap(), report), None);
    engine.expire(ms(59_900), A);
    assert_eq!((news(&mut engine).len(), engine.take_counts().reports), (0, 1));
}

#[test]
fn what_is_heard_from_a_far_end_and_what_it_hears_is_reported_above_the_engine() {
    let kept: [Arc<Continuity>; 2] = [900, 901].map(|ssrc| Arc::new(Continuity::new(ssrc, 10, 1_000)));
    let build = || {
        let mut engine = Engine::new(SETTINGS, 1);
        for n in [A, B] {
            engine.open(ms(0), n, leg(n), kept[n].clone());
            engine.apply(ms(0), &attach(n, description(far(n), 101, Direction::SendRecv)));
        }
        engine.apply(ms(0), &bridge(A, B));
        engine
    };
    let mut engine = build();
    assert_eq!(kept[A].report(), None);
    for n in (0..10).filter(|n| *n != 4) {
        speak(&mut engine, n);
    }
    let [of_a, of_b] = [A, B].map(|n| kept[n].report().unwrap());
    assert_eq!((of_a.received, of_a.lost, of_a.sent, of_a.codec.as_deref()), (9, 1, 0, Some("PCMU")));
    assert_eq!((of_b.received, of_b.sent, of_b.codec, of_b.mos, of_b.round_trip), (0, 9, None, None, None));
    assert!(of_a.mos.is_some_and(|mos| (3.0..4.0).contains(&mos)), "a tenth is lost: {:?}", of_a.mos);

    engine.expire(ms(8_000), B);
    let mut buffer = [0; 128];
    let sent = engine.next_transmit(Now { mono: ms(8_000), wall: WallTime(1_500_000) }, &mut buffer).unwrap();
    assert_eq!((sent.socket, buffer[1]), (rtcp(B), 200));
    let mut report = vec![0x81, 201, 0, 7, 0, 0, 0, 77, 0, 0, 3, 133, 0, 0, 0, 3, 0, 0, 0, 9, 0, 0, 0, 0];
    report.extend(&buffer[10..14]);
    report.extend(6_554_u32.to_be_bytes());
    // In another engine than the one that sent the report.
    let mut engine = build();
    assert_eq!(engine.take(ms(8_160), rtcp(B), "192.0.2.2:4001".parse().unwrap(), &mut report), None);
    let of_b = kept[B].report().unwrap();
    assert_eq!((of_b.round_trip.map(|it| it.as_millis()), of_b.remote_lost_permille), (Some(59), Some(333)));

    speak(&mut engine, 11);
    let of_a = kept[A].report().unwrap();
    assert_eq!((of_a.received, of_a.lost), (10, 2));
}

#[test]
fn the_packet_of_a_drill_breaks_the_step_of_its_leg() {
    let settings = Settings { break_on: Some(77), ..SETTINGS };
    let mut engine = Engine::new(settings, 1);
    engine.open(ms(0), A, leg(A), Arc::new(Continuity::new(900, 10, 1_000)));
    engine.apply(ms(0), &attach(A, description(far(A), 101, Direction::SendRecv)));
    let step = std::panic::AssertUnwindSafe(|| speak(&mut engine, 0));
    assert!(std::panic::catch_unwind(step).is_err());
}

#[test]
fn an_engine_that_is_built_anew_sends_on_to_the_learned_address_with_the_next_numbers() {
    let mut engine = talking();
    let kept: [Arc<Continuity>; 2] = [900, 901].map(|ssrc| Arc::new(Continuity::new(ssrc, 10, 1_000)));
    let build = |engine: &mut Engine| {
        for n in [A, B] {
            engine.open(ms(0), n, leg(n), kept[n].clone());
        }
        engine.apply(ms(0), &attach(A, description(far(A), 101, Direction::SendRecv)));
        engine.apply(ms(0), &attach(B, description(far(B), 96, Direction::SendRecv)));
        engine.apply(ms(0), &bridge(A, B));
    };
    build(&mut engine);
    let behind_nat: SocketAddr = "198.51.100.9:7777".parse().unwrap();
    for n in 0..3 {
        let _ = engine.take(ms(u64::from(n) * 20), rtp(B), behind_nat, &mut voice(n));
    }
    speak(&mut engine, 0);
    let mut engine = Engine::new(SETTINGS, 2);
    build(&mut engine);
    let mut bytes = voice(5);
    assert_eq!(engine.take(ms(100), rtp(A), far(A), &mut bytes).unwrap().to, behind_nat);
    let out = RtpReader::new(&bytes).unwrap();
    assert_eq!((out.ssrc(), out.sequence_number(), out.timestamp(), out.mark()), (901, 15.into(), 1_800, false));
}

/// A source that loses, repeats, jumps, changes its SSRC and pauses.
#[derive(Clone, Copy, Debug)]
enum Step {
    Next,
    Wait(u16),
    NewSource { ssrc: u32, sequence: u16, timestamp: u32 },
    JumpClock(u32),
    OtherSide,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => Just(Step::Next),
        1 => (0..5_000_u16).prop_map(Step::Wait),
        1 => any::<(u32, u16, u32)>()
            .prop_map(|(ssrc, sequence, timestamp)| Step::NewSource { ssrc, sequence, timestamp }),
        1 => any::<u32>().prop_map(Step::JumpClock),
        1 => Just(Step::OtherSide),
    ];
    prop::collection::vec(step, 0..120)
}

proptest! {
    #[test]
    fn whatever_the_sources_do_each_packet_is_one_step_on_and_time_never_runs_back(steps in steps()) {
        let mut engine = talking();
        engine.open(ms(0), 2, leg(2), Arc::new(Continuity::new(902, 0, 0)));
        engine.apply(ms(0), &attach(2, description(far(2), 101, Direction::SendRecv)));
        engine.apply(ms(0), &bridge(2, B));
        let (mut at, mut from, mut ssrc, mut sequence, mut timestamp) = (0, A, 1, 0_u16, 0_u32);
        let mut last: Option<(u16, u32)> = None;
        for step in steps {
            match step {
                Step::Next => {}
                Step::Wait(more) => {
                    at += u64::from(more);
                    timestamp = timestamp.wrapping_add(u32::from(more) * 8);
                }
                Step::NewSource { ssrc: new, sequence: first, timestamp: start } => {
                    (ssrc, sequence, timestamp) = (ssrc ^ new.max(1), first, start);
                }
                Step::JumpClock(by) => timestamp = timestamp.wrapping_add(by),
                Step::OtherSide => from = if from == A { 2 } else { A },
            }
            (at, sequence, timestamp) = (at + 20, sequence.wrapping_add(1), timestamp.wrapping_add(160));
            let mut bytes = RtpPacketBuilder::new()
                .payload_type(8).ssrc(ssrc).sequence(sequence.into()).timestamp(timestamp).payload(&[1; 160]).build().unwrap();
            if engine.take(ms(at), rtp(from), far(from), &mut bytes).is_none() {
                // Only a number that cannot be right is held back: the other side left off long ago.
                continue;
            }
            let out = RtpReader::new(&bytes).unwrap();
            let now = (u16::from(out.sequence_number()), out.timestamp());
            prop_assert_eq!(out.ssrc(), 901);
            if let Some((sequence, timestamp)) = last {
                prop_assert_eq!(now.0, sequence.wrapping_add(1));
                // A clock that jumps by less than two seconds is followed, also backwards.
                prop_assert!(now.1.wrapping_sub(timestamp).cast_signed() > -2 * 8_000);
            }
            last = Some(now);
        }
    }

    #[test]
    fn no_packet_panics_or_leaves_for_an_address_that_is_not_unicast(
        packets in prop::collection::vec((any::<bool>(), 0..3_usize, garbled(), source()), 0..60),
        remote in source(),
    ) {
        let mut engine = talking();
        engine.apply(ms(0), &attach(B, MediaDescription { rtp: remote, rtcp: remote, ..description(far(B), 96, Direction::SendRecv) }));
        for (n, (is_rtp, place, mut bytes, from)) in packets.into_iter().enumerate() {
            let socket = Socket { place, kind: if is_rtp { SocketKind::Rtp } else { SocketKind::Rtcp } };
            let len = bytes.len();
            if let Some(transmit) = engine.take(ms(n as u64 * 300), socket, from, &mut bytes) {
                prop_assert!(is_sendable(transmit.to) && transmit.len <= len);
                prop_assert!(RtpReader::new(&bytes[..transmit.len]).is_ok());
            }
            engine.expire(ms(n as u64 * 300), place);
            let now = Now { mono: ms(n as u64 * 300), wall: WallTime(-5) };
            while let Some(transmit) = engine.next_transmit(now, &mut [0; 128]) {
                prop_assert!(is_sendable(transmit.to));
            }
        }
    }
}

/// A real packet, in which some bytes are not what they were, or none at all.
fn garbled() -> impl Strategy<Value = Vec<u8>> {
    let mut report = vec![0x81, 200, 0, 12];
    report.extend([7; 48]);
    report.extend([0x81, 203, 0, 1, 0, 0, 0, 77]);
    let real = prop_oneof![
        (0..40_u16).prop_map(voice),
        (0..40_u16).prop_map(|n| packet(101, n, 800, &[5, 0x80, 1, 0])),
        Just(report),
        prop::collection::vec(any::<u8>(), 0..80),
    ];
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (real, changes, any::<prop::sample::Index>(), any::<bool>()).prop_map(|(mut bytes, changes, cut, is_cut)| {
        for (index, byte) in changes.into_iter().filter(|_| !bytes.is_empty()).collect::<Vec<_>>() {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        if is_cut && !bytes.is_empty() {
            bytes.truncate(cut.index(bytes.len()));
        }
        bytes
    })
}

fn source() -> impl Strategy<Value = SocketAddr> {
    let ip =
        prop::sample::select(vec![[192, 0, 2, 1], [192, 0, 2, 2], [0, 0, 0, 0], [239, 1, 1, 1], [255, 255, 255, 255]]);
    (ip, prop::sample::select(vec![0_u16, 4_000, 4_001])).prop_map(SocketAddr::from)
}
