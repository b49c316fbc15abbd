use super::*;
use uuid::Uuid;

const PTIME: u64 = 20_000;

fn track(n: u128) -> TrackId {
    TrackId::from_uuid(Uuid::from_u128(n))
}

fn audio(from: u128, sequence: u16, timestamp: u32) -> Incoming {
    Incoming { from: track(from), ssrc: 7, sequence, timestamp, clock_rate_hz: 8_000, is_event: false, marker: false }
}

fn event(sequence: u16, timestamp: u32) -> Incoming {
    Incoming { is_event: true, ..audio(1, sequence, timestamp) }
}

fn sender() -> Sender {
    Sender::new(Arc::new(Continuity::new(99, 65_535, 1_000)))
}

fn at(packet: u64) -> Timestamp {
    Timestamp(5_000_000 + packet * PTIME)
}

#[test]
fn the_first_packet_gets_our_first_numbers_and_the_marker() {
    let out = sender().renumber(at(0), &audio(1, 500, 70_000));
    assert_eq!(out, Outgoing { sequence: 65_535, timestamp: 1_000, marker: true });
}

#[test]
fn loss_reordering_and_repetition_of_the_source_stay_as_they_are() {
    let mut sender = sender();
    let sequences = [500_u16, 501, 504, 503, 503, 506];
    let outs = sequences.map(|sequence| {
        let n = u64::from(sequence - 500);
        sender.renumber(at(n), &audio(1, sequence, 160 * (n as u32)))
    });
    assert_eq!(outs.map(|out| out.sequence), [65_535, 0, 3, 2, 2, 5]);
    assert_eq!(outs.map(|out| out.timestamp), [1_000, 1_160, 1_640, 1_480, 1_480, 1_960]);
    assert_eq!(outs.map(|out| out.marker), [true, false, false, false, false, false]);
}

#[test]
fn another_source_goes_on_one_step_later_with_a_marker() {
    let mut sender = sender();
    sender.renumber(at(0), &audio(1, 500, 0));
    let switched = sender.renumber(at(10), &audio(2, 9, 4_000_000_000));
    assert_eq!(switched, Outgoing { sequence: 0, timestamp: 1_000 + 1_600, marker: true });
    let next = sender.renumber(at(11), &audio(2, 10, 4_000_000_160));
    assert_eq!(next, Outgoing { sequence: 1, timestamp: 1_000 + 1_760, marker: false });
}

#[test]
fn a_new_ssrc_of_the_same_track_is_another_source() {
    let mut sender = sender();
    sender.renumber(at(0), &audio(1, 500, 0));
    let out = sender.renumber(at(1), &Incoming { ssrc: 8, ..audio(1, 60_000, 123) });
    assert_eq!(out, Outgoing { sequence: 0, timestamp: 1_160, marker: true });
}

#[test]
fn a_jump_of_the_sources_clock_or_numbers_is_absorbed() {
    let mut sender = sender();
    sender.renumber(at(0), &audio(1, 500, 0));
    let clock = sender.renumber(at(1), &audio(1, 501, 3_000_000_000));
    assert_eq!(clock, Outgoing { sequence: 0, timestamp: 1_160, marker: true });
    let numbers = sender.renumber(at(2), &audio(1, 30_000, 3_000_000_160));
    assert_eq!(numbers, Outgoing { sequence: 1, timestamp: 1_320, marker: true });
}

#[test]
fn suppressed_silence_is_no_jump() {
    let mut sender = sender();
    sender.renumber(at(0), &audio(1, 500, 0));
    let out = sender.renumber(at(3_000), &audio(1, 501, 3_000 * 160));
    assert_eq!(out, Outgoing { sequence: 0, timestamp: 1_000 + 480_000, marker: false });
}

#[test]
fn an_event_keeps_one_timestamp_and_the_audio_after_it_goes_on() {
    let mut sender = sender();
    sender.renumber(at(0), &audio(1, 500, 0));
    for n in 1..=400_u16 {
        let out = sender.renumber(at(n.into()), &event(500 + n, 160));
        assert_eq!((out.sequence, out.timestamp, out.marker), (n - 1, 1_160, false));
    }
    let after = sender.renumber(at(401), &audio(1, 901, 401 * 160));
    assert_eq!(after, Outgoing { sequence: 400, timestamp: 1_000 + 401 * 160, marker: false });
}

#[test]
fn a_sender_that_is_built_anew_goes_on_as_if_nothing_had_been() {
    let kept = Arc::new(Continuity::new(99, 10, 1_000));
    let mut first = Sender::new(kept.clone());
    first.renumber(at(0), &audio(1, 500, 0));
    let mut second = Sender::new(kept);
    let out = second.renumber(at(4), &audio(1, 502, 320));
    assert_eq!(out, Outgoing { sequence: 12, timestamp: 1_320, marker: false });
}
