use super::*;

const SIGNALLED: &str = "192.0.2.10:4000";
const OTHER_PORT: &str = "192.0.2.10:4444";
const STRANGER: &str = "198.51.100.7:9000";
const INTRUDER: &str = "203.0.113.66:6666";

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn ms(ms: u64) -> Timestamp {
    Timestamp(1_000_000 + ms * 1_000)
}

fn latch() -> Latch {
    Latch::new(ms(0), at(SIGNALLED), None)
}

/// Sends packets 20 ms apart, from a number on; says which were admitted.
fn stream(latch: &mut Latch, start_ms: u64, from: &str, sequences: std::ops::Range<u16>) -> Vec<bool> {
    sequences
        .enumerate()
        .map(|(n, sequence)| latch.admit(ms(start_ms + n as u64 * 20), at(from), 7, sequence) != Admission::Foreign)
        .collect()
}

#[test]
fn the_signalled_address_is_believed_at_once() {
    let mut latch = latch();
    assert_eq!(latch.admit(ms(0), at(SIGNALLED), 7, 1), Admission::Latched);
    assert_eq!(latch.admit(ms(20), at(SIGNALLED), 7, 2), Admission::Known);
    assert_eq!(latch.destination(), at(SIGNALLED));
}

#[test]
fn another_port_of_the_host_needs_two_packets_in_a_run_and_a_stranger_three() {
    assert_eq!(stream(&mut latch(), 0, OTHER_PORT, 5..8), [false, true, true]);
    let mut latch = latch();
    assert_eq!(stream(&mut latch, 0, STRANGER, 5..9), [false, false, true, true]);
    assert_eq!(latch.destination(), at(STRANGER));
}

#[test]
fn packets_that_are_no_run_latch_nothing() {
    let mut latch = latch();
    for (n, sequence) in [5, 4_000, 5, 900, 7, 7, 60_000].into_iter().enumerate() {
        let admission = latch.admit(ms(n as u64 * 20), at(STRANGER), 7, sequence);
        assert_eq!(admission, Admission::Foreign);
    }
    for ssrc in 0..9 {
        assert_eq!(latch.admit(ms(200), at(STRANGER), ssrc, ssrc as u16), Admission::Foreign);
    }
    assert_eq!(latch.destination(), at(SIGNALLED));
}

#[test]
fn a_latched_stream_cannot_be_taken_over_while_it_lives() {
    let mut latch = latch();
    stream(&mut latch, 0, STRANGER, 0..3);
    for n in 0..200 {
        assert_eq!(latch.admit(ms(100 + n * 20), at(STRANGER), 7, 3 + n as u16), Admission::Known);
        assert_eq!(latch.admit(ms(101 + n * 20), at(INTRUDER), 9, n as u16), Admission::Foreign);
    }
}

#[test]
fn after_silence_another_source_may_take_over_once_it_has_shown_a_run() {
    let mut latch = latch();
    stream(&mut latch, 0, STRANGER, 0..3);
    assert_eq!(stream(&mut latch, 1_900, INTRUDER, 0..3), [false; 3]);
    assert_eq!(stream(&mut latch, 3_000, INTRUDER, 9..12), [false, false, true]);
}

#[test]
fn the_signalled_party_displaces_an_intruder_that_was_faster() {
    let mut latch = latch();
    stream(&mut latch, 0, INTRUDER, 0..5);
    assert_eq!(latch.destination(), at(INTRUDER));
    assert_eq!(stream(&mut latch, 110, SIGNALLED, 0..3), [false, true, true]);
    assert_eq!(stream(&mut latch, 200, INTRUDER, 5..9), [false; 4]);
}

#[test]
fn an_intruder_that_mixes_in_cannot_keep_a_stream_from_its_run() {
    let mut latch = latch();
    assert_eq!(latch.admit(ms(0), at(STRANGER), 7, 0), Admission::Foreign);
    assert_eq!(latch.admit(ms(1), at(INTRUDER), 9, 0), Admission::Foreign);
    assert_eq!(latch.admit(ms(20), at(STRANGER), 7, 1), Admission::Foreign);
    assert_eq!(latch.admit(ms(21), at(INTRUDER), 9, 1), Admission::Foreign);
    assert_eq!(latch.admit(ms(40), at(STRANGER), 7, 2), Admission::Latched);
}

#[test]
fn nobody_latches_to_an_address_that_cannot_be_sent_to() {
    for nowhere in ["0.0.0.0:5000", "224.0.0.1:5000", "255.255.255.255:5000", "192.0.2.9:0"] {
        assert_eq!(stream(&mut latch(), 0, nowhere, 0..5), [false; 5], "{nowhere}");
    }
}

#[test]
fn rtcp_is_believed_from_the_host_of_the_media_only() {
    let mut latch = RtcpLatch::new(ms(0), at("192.0.2.10:4001"), None);
    let media = at(STRANGER);
    assert_eq!(latch.admit(ms(0), at(INTRUDER), media), Admission::Foreign);
    assert_eq!(latch.admit(ms(10), at("198.51.100.7:9001"), media), Admission::Latched);
    assert_eq!(latch.destination(), at("198.51.100.7:9001"));
    assert_eq!(latch.admit(ms(5_000), at("198.51.100.7:9005"), media), Admission::Foreign);
    assert_eq!(latch.admit(ms(15_010), at("198.51.100.7:9005"), media), Admission::Latched);
}
