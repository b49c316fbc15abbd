//! Media of a connected peer, against another implementation of SRTP.

use proptest::prelude::*;

use super::*;

/// A packet with contributing sources and a header extension.
fn rtp_with_everything(sequence: u16) -> Vec<u8> {
    let plain = rtp(7, sequence);
    let (header, payload) = plain.split_at(12);
    let mut packet = header.to_vec();
    packet[0] = 0x92;
    packet.extend([0, 0, 0, 1, 0, 0, 0, 2]);
    packet.extend([0xbe, 0xde, 0, 1, 0x10, 0x55, 0, 0]);
    packet.extend(payload);
    packet
}

#[test]
fn media_goes_both_ways() {
    for suite in Suite::GOOD {
        let (mut side, mut far) = Side::connected(suite);
        for sequence in 1..200 {
            for packet in [rtp(1, sequence), rtp_with_everything(sequence)] {
                let sealed = side.seal_rtp(&packet).unwrap();
                assert_ne!(sealed[..packet.len()], packet);
                assert_eq!(far.open_rtp(&sealed), Some(packet.clone()));
                assert_eq!(side.open(&far.seal_rtp(&packet)), Ok(packet));
            }
            let sealed = side.seal_rtcp(&rtcp(1)).unwrap();
            assert!(sealed.len() <= rtcp(1).len() + SEAL_OVERHEAD);
            assert_eq!(far.open_rtcp(&sealed), Some(rtcp(1)));
            assert_eq!(side.open(&far.seal_rtcp(&rtcp(7))), Ok(rtcp(7)));
        }
    }
}

#[test]
fn what_came_before_is_refused_and_what_is_late_is_not() {
    for suite in Suite::GOOD {
        let (mut side, mut far) = Side::connected(suite);
        let sealed: Vec<_> = (1..=100).map(|sequence| far.seal_rtp(&rtp(7, sequence))).collect();
        assert_eq!(side.open(&sealed[99]), Ok(rtp(7, 100)));
        assert_eq!(side.open(&sealed[98]), Ok(rtp(7, 99)));
        for again in [&sealed[99], &sealed[98], &sealed[0]] {
            assert_eq!(side.open(again), Err(Received::Refused(Refusal::Replayed)));
        }
        let report = far.seal_rtcp(&rtcp(7));
        assert_eq!(side.open(&report), Ok(rtcp(7)));
        assert_eq!(side.open(&report), Err(Received::Refused(Refusal::Replayed)));
    }
}

#[test]
fn media_goes_on_after_a_rebuild_also_when_the_sequence_went_round() {
    for suite in Suite::GOOD {
        let (mut side, mut far) = Side::connected(suite);
        let rounds = (0..140_000_u32).filter(|n| n % 50 == 0).map(|n| n as u16);
        let mut last = 0;
        for sequence in rounds {
            last = sequence;
            let sealed = side.seal_rtp(&rtp(1, sequence)).unwrap();
            assert_eq!(far.open_rtp(&sealed), Some(rtp(1, sequence)));
            assert_eq!(side.open(&far.seal_rtp(&rtp(7, sequence))), Ok(rtp(7, sequence)));
        }
        let replayed = far.seal_rtp(&rtp(7, last.wrapping_add(1)));
        assert!(side.open(&replayed).is_ok());
        let report = far.seal_rtcp(&rtcp(7));
        assert!(side.open(&report).is_ok());
        side.rebuild();
        assert!(side.peer.is_connected());
        assert_eq!(side.open(&replayed), Err(Received::Refused(Refusal::Replayed)));
        assert_eq!(side.open(&report), Err(Received::Refused(Refusal::Replayed)));
        for step in 2..100 {
            let sequence = last.wrapping_add(step);
            let sealed = side.seal_rtp(&rtp(1, sequence)).unwrap();
            assert_eq!(far.open_rtp(&sealed), Some(rtp(1, sequence)));
            assert_eq!(side.open(&far.seal_rtp(&rtp(7, sequence))), Ok(rtp(7, sequence)));
        }
    }
}

#[test]
fn no_number_is_sealed_with_twice_over_a_rebuild() {
    let (mut side, _) = Side::connected(Suite::Everything);
    let sealed = |side: &mut Side, sequence| side.seal_rtp(&rtp(1, sequence)).is_some();
    assert!([100, 101, 105, 104].into_iter().all(|sequence| sealed(&mut side, sequence)));
    assert!(![100, 104, 105, 40].into_iter().any(|sequence| sealed(&mut side, sequence)));
    assert!(sealed(&mut side, 103) && !sealed(&mut side, 103));
    side.rebuild();
    assert!(!(42..=105).any(|sequence| sealed(&mut side, sequence)));
    assert!(sealed(&mut side, 107) && sealed(&mut side, 106) && !sealed(&mut side, 106));
}

#[test]
fn a_packet_from_before_the_first_is_not_sealed_as_one_of_a_later_round() {
    let (mut side, mut far) = Side::connected(Suite::Everything);
    assert!(side.seal_rtp(&rtp(1, 2)).is_some());
    assert_eq!(side.seal_rtp(&rtp(1, 65_535)), None);
    let sealed = side.seal_rtp(&rtp(1, 3)).unwrap();
    assert_eq!(far.open_rtp(&sealed), Some(rtp(1, 3)));
}

#[test]
fn reports_count_on_over_a_rebuild() {
    let (mut side, _) = Side::connected(Suite::Everything);
    let index = |sealed: Vec<u8>| u32::from_be_bytes(*sealed.last_chunk().unwrap()) & !(1 << 31);
    let mut indices: Vec<_> = (0..5).map(|_| index(side.seal_rtcp(&rtcp(1)).unwrap())).collect();
    side.rebuild();
    indices.extend((0..5).map(|_| index(side.seal_rtcp(&rtcp(2)).unwrap())));
    assert!(indices.is_sorted_by(|a, b| a < b), "{indices:?}");
}

#[test]
fn a_stream_too_many_is_not_sent_for_no_number_of_ours_may_be_forgotten() {
    let (mut side, _) = Side::connected(Suite::Everything);
    assert!((0..4).all(|ssrc| side.seal_rtp(&rtp(ssrc, 1)).is_some()));
    assert_eq!(side.seal_rtp(&rtp(9, 1)), None);
    assert!(side.seal_rtp(&rtp(3, 2)).is_some());
}

#[test]
fn a_new_stream_takes_the_place_of_the_one_that_was_quiet_for_longest_and_nothing_is_heard_twice() {
    let (mut side, mut far) = Side::connected(Suite::Everything);
    let replayed = Err(Received::Refused(Refusal::Replayed));
    let mut heard = Vec::new();
    for ssrc in 0..40 {
        heard.push((ssrc, far.seal_rtp(&rtp(ssrc, 1)), far.seal_rtcp(&rtcp(ssrc))));
        let (_, media, report) = heard.last().unwrap();
        assert!(side.open(media).is_ok() && side.open(report).is_ok(), "{ssrc}");
        assert!(side.open(&far.seal_rtp(&rtp(0, 2 + ssrc as u16))).is_ok(), "the one that goes on keeps its place");
    }
    for round in 0..2 {
        for (ssrc, media, report) in &heard {
            assert_eq!((side.open(media), side.open(report)), (replayed.clone(), replayed.clone()), "{ssrc} {round}");
        }
        side.rebuild();
    }
    for ssrc in [5, 39, 20] {
        assert!(side.open(&far.seal_rtp(&rtp(ssrc, 2))).is_ok(), "{ssrc} comes back");
    }
}

#[test]
fn a_stream_that_made_room_after_a_rollover_comes_back_in_the_same_round() {
    let (mut side, mut far) = Side::connected(Suite::Everything);
    for sequence in [65_000, 65_500, 100, 200] {
        assert!(side.open(&far.seal_rtp(&rtp(7, sequence))).is_ok());
    }
    assert!((10..14).all(|ssrc| side.open(&far.seal_rtp(&rtp(ssrc, 1))).is_ok()));
    assert!(side.open(&far.seal_rtp(&rtp(7, 300))).is_ok());
}

#[test]
fn packets_of_nobody_take_no_place() {
    let (mut side, mut far) = Side::connected(Suite::Everything);
    let (_, mut stranger) = Side::connected(Suite::Everything);
    for ssrc in 0..50 {
        let refused = Err(Received::Refused(Refusal::Unauthenticated));
        assert_eq!(side.open(&stranger.seal_rtp(&rtp(ssrc, 1))), refused);
        assert_eq!(side.open(&stranger.seal_rtcp(&rtcp(ssrc))), refused);
    }
    assert!(side.open(&far.seal_rtp(&rtp(7, 1))).is_ok());
}

#[test]
fn media_from_where_no_check_came_is_foreign_and_its_number_stays_free() {
    let (mut side, mut far) = Side::connected(Suite::Everything);
    let sealed = far.seal_rtp(&rtp(7, 1));
    let received = side.peer.receive(ms(0), at("203.0.113.66:4000"), &mut sealed.clone());
    assert_eq!(received, Received::Refused(Refusal::Foreign));
    assert!(side.open(&sealed).is_ok());
}

#[test]
fn media_follows_the_far_end_to_another_address_that_passed_a_check() {
    let (mut side, mut far) = Side::connected(Suite::Everything);
    let old = far.seal_rtp(&rtp(7, 1));
    far.address = at("198.51.100.7:5000");
    far.check(&mut side.peer, ms(10));
    let received = side.peer.receive(ms(20), far.address, &mut far.seal_rtp(&rtp(7, 2)));
    assert!(matches!(received, Received::Rtp { .. }));
    assert!(side.open(&old).is_ok(), "it was under way");
    assert_eq!(side.kept.nominated(), Some(far.address));
    side.rebuild();
    let mut buffer = with_room(&rtp(1, 1));
    assert_eq!(side.peer.seal_rtp(&mut buffer, 172).map(|(to, _)| to), Some(far.address));
}

#[test]
fn what_cannot_be_sealed_is_not() {
    for suite in Suite::GOOD {
        let (mut side, _) = Side::connected(suite);
        let mut tight = rtp(1, 1);
        assert_eq!(side.peer.seal_rtp(&mut tight, 172), None);
        assert_eq!(side.peer.seal_rtp(&mut tight, 173), None);
        assert_eq!(side.peer.seal_rtcp(&mut rtcp(1), 8), None);
        assert_eq!(side.peer.seal_rtp(&mut [0x80; 40], 11), None);
        assert_eq!(side.peer.seal_rtcp(&mut [0x80; 40], 7), None);
        let mut cut = with_room(&[0x90, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1, 0xbe, 0xde, 0, 9]);
        assert_eq!(side.peer.seal_rtp(&mut cut, 16), None);
    }
    assert_eq!(Side::new().seal_rtp(&rtp(1, 1)), None);
    assert_eq!(Side::new().seal_rtcp(&rtcp(1)), None);
}

proptest! {
    #[test]
    fn a_worker_that_wakes_after_it_was_replaced_shares_no_number(
        steps in prop::collection::vec((any::<bool>(), 0_u16..150), 1..120),
    ) {
        let (mut side, _) = Side::connected(Suite::Everything);
        let mut before: Vec<_> = (70..80).filter(|sequence| side.seal_rtp(&rtp(1, *sequence)).is_some()).collect();
        let mut woken = peer(&side.identity, &side.kept);
        std::mem::swap(&mut side.peer, &mut woken);
        for (is_woken, sequence) in steps {
            let peer = if is_woken { &mut woken } else { &mut side.peer };
            if peer.seal_rtp(&mut with_room(&rtp(1, sequence)), 172).is_some() {
                prop_assert!(!before.contains(&sequence), "{sequence} twice");
                before.push(sequence);
            }
        }
    }
}
