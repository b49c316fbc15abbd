//! From a ClientHello to keys, or to none.

use super::*;

#[test]
fn gcm_is_chosen_although_the_client_wants_cm_and_cm_when_there_is_no_gcm() {
    assert_eq!(Suite::GOOD.map(|suite| Side::connected(suite).1.has_gcm), [true, false]);
}

#[test]
fn a_client_without_our_profiles_or_without_a_certificate_does_not_connect() {
    for suite in [Suite::Foreign, Suite::Anonymous] {
        let (mut side, mut far) = (Side::new(), FarEnd::new(suite));
        side.peer.set_remote(&far.remote());
        far.check(&mut side.peer, ms(0));
        far.shake(&mut side.peer, ms(0));
        assert!(!side.peer.is_connected() && !side.kept.is_connected() && !far.is_connected(), "{suite:?}");
    }
}

#[test]
fn a_client_hello_from_where_no_check_came_gets_no_answer() {
    let (mut side, mut far) = (Side::new(), FarEnd::new(Suite::Everything));
    side.peer.set_remote(&far.remote());
    let hello = far.datagrams();
    for from in [HERE, "192.0.2.10:4001", "203.0.113.66:4000"] {
        for datagram in &hello {
            let received = side.peer.receive(ms(0), at(from), &mut datagram.clone());
            assert_eq!(received, Received::Refused(Refusal::Foreign));
        }
        assert_eq!(side.peer.poll_transmit(), None);
        if from == HERE {
            far.check(&mut side.peer, ms(0));
        }
    }
}

#[test]
fn another_certificate_than_the_described_one_never_connects() {
    for is_described_first in [true, false] {
        let (mut side, mut far) = (Side::new(), FarEnd::new(Suite::Everything));
        let wrong = Remote { fingerprint: [9; 32], ..far.remote() };
        far.check(&mut side.peer, ms(0));
        if is_described_first {
            side.peer.set_remote(&wrong);
        }
        far.shake(&mut side.peer, ms(0));
        side.peer.set_remote(&wrong);
        assert_eq!(far.is_connected(), !is_described_first);
        assert!(!side.peer.is_connected() && !side.kept.is_connected());
        assert_eq!(side.seal_rtp(&rtp(1, 1)), None);
        side.rebuild();
        assert!(!side.peer.is_connected());
        side.peer.set_remote(&far.remote());
        assert!(!side.peer.is_connected());
    }
}

#[test]
fn keys_wait_for_a_description_that_is_late_also_over_a_rebuild() {
    for is_rebuilt in [false, true] {
        let (mut side, mut far) = (Side::new(), FarEnd::new(Suite::Everything));
        far.check(&mut side.peer, ms(0));
        far.shake(&mut side.peer, ms(0));
        let early = far.seal_rtp(&rtp(7, 1));
        assert!(far.is_connected() && !side.peer.is_connected());
        assert_eq!(side.open(&early), Err(Received::Nothing));
        assert_eq!(side.seal_rtp(&rtp(1, 1)), None);
        if is_rebuilt {
            side.rebuild();
            assert!(!side.peer.is_connected());
            assert_eq!(side.open(&early), Err(Received::Nothing));
        }
        side.peer.set_remote(&far.remote());
        assert!(side.peer.is_connected() && side.kept.is_connected());
        assert_eq!(side.open(&far.seal_rtp(&rtp(7, 2))), Ok(rtp(7, 2)));
    }
}

#[test]
fn a_description_that_changes_its_certificate_ends_the_use_of_the_keys() {
    let (mut side, far) = Side::connected(Suite::Everything);
    side.peer.set_remote(&far.remote());
    assert!(side.peer.is_connected());
    side.peer.set_remote(&Remote { fingerprint: [9; 32], ..far.remote() });
    assert!(!side.peer.is_connected() && !side.kept.is_connected());
}

#[test]
fn a_handshake_survives_the_loss_of_any_datagram_whoever_repeats_first() {
    for interval in [50, 1_000] {
        for suite in Suite::GOOD {
            for lost in 0..8 {
                let mut side = Side::new();
                let mut far = FarEnd::impatient(suite, Duration::from_millis(interval));
                side.peer.set_remote(&far.remote());
                far.check(&mut side.peer, ms(0));
                far.shake_with_loss(&mut side.peer, |n| n == lost);
                assert!(side.peer.is_connected() && far.is_connected(), "{interval} ms, {suite:?}, without {lost}");
            }
        }
    }
}

#[test]
fn a_handshake_survives_an_outage() {
    for from in 0..6 {
        let (mut side, mut far) = (Side::new(), FarEnd::new(Suite::Everything));
        side.peer.set_remote(&far.remote());
        far.check(&mut side.peer, ms(0));
        far.shake_with_loss(&mut side.peer, |n| (from..from + 6).contains(&n));
        assert!(side.peer.is_connected() && far.is_connected(), "outage from {from}");
    }
}

#[test]
fn a_last_flight_that_was_lost_with_the_worker_is_sent_again() {
    let (mut side, mut far) = (Side::new(), FarEnd::new(Suite::Everything));
    side.peer.set_remote(&far.remote());
    far.check(&mut side.peer, ms(0));
    let mut flight = std::collections::VecDeque::new();
    for _ in 0..5 {
        if side.peer.is_connected() {
            break;
        }
        flight = far.datagrams();
        for datagram in &flight {
            let _ = side.peer.receive(ms(0), at(HERE), &mut datagram.clone());
        }
        if !side.peer.is_connected() {
            far.receive(&mut side.peer, ms(0), |_| false);
        }
    }
    side.rebuild();
    assert!(side.peer.is_connected() && !far.is_connected());
    let _ = side.peer.receive(ms(1_000), at(HERE), &mut flight[0].clone());
    far.receive(&mut side.peer, ms(1_000), |_| false);
    assert!(far.is_connected());
    assert_eq!(side.open(&far.seal_rtp(&rtp(7, 1))), Ok(rtp(7, 1)));
}

#[test]
fn a_last_flight_is_not_sent_again_for_ever() {
    let (mut side, _) = Side::connected(Suite::Everything);
    let answers = (0..100).filter(|_| {
        let _ = side.peer.receive(ms(0), at(HERE), &mut [22, 0xfe, 0xfd]);
        side.peer.poll_transmit().is_some()
    });
    assert_eq!(answers.count(), usize::from(FAREWELLS));
}

#[test]
fn a_goodbye_does_not_end_a_connection() {
    let (mut side, mut far) = Side::connected(Suite::Everything);
    far.close();
    for mut datagram in far.datagrams() {
        assert_eq!(side.peer.receive(ms(0), at(HERE), &mut datagram), Received::Nothing);
    }
    assert!(side.peer.is_connected());
    assert_eq!(side.open(&far.seal_rtp(&rtp(7, 1))), Ok(rtp(7, 1)));
}

#[test]
fn a_handshake_that_does_not_end_is_given_up() {
    let (mut side, mut far) = (Side::new(), FarEnd::new(Suite::Everything));
    far.check(&mut side.peer, ms(0));
    let hello = far.datagrams();
    for _ in 0..1_000 {
        let _ = side.peer.receive(ms(0), at(HERE), &mut hello[0].clone());
        while side.peer.poll_transmit().is_some() {}
    }
    assert!(matches!(side.peer.dtls, Dtls::Over));
}

#[test]
fn a_message_in_thousands_of_pieces_is_not_put_together() {
    let (mut side, mut far) = (Side::new(), FarEnd::new(Suite::Everything));
    far.check(&mut side.peer, ms(0));
    // Each of one byte that is not there, behind the one before.
    let piece = |offset: u32| [&[1, 0, 0, 0, 0, 0][..], &offset.to_be_bytes()[1..], &[0, 0, 1]].concat();
    for number in 0..80 {
        let body: Vec<u8> = (0..160).flat_map(|nth| piece(u32::from(number) * 160 + nth)).collect();
        let header = [22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, number, 0x07, 0x80];
        let received = side.peer.receive(ms(0), at(HERE), &mut [&header[..], &body].concat());
        assert_eq!(received, Received::Nothing);
    }
    far.shake(&mut side.peer, ms(0));
    assert!(side.kept.established().is_some());
}

#[test]
fn what_nobody_fetches_is_bounded() {
    let (mut side, mut far) = (Side::new(), FarEnd::new(Suite::Everything));
    far.check(&mut side.peer, ms(0));
    for _ in 0..100 {
        let _ = side.peer.receive(ms(0), at(HERE), &mut far_end::request(PASSWORD, &far_end::nominating()));
    }
    assert_eq!(std::iter::from_fn(|| side.peer.poll_transmit()).count(), OUT_LIMIT);
}

#[test]
fn nothing_secret_is_in_a_debug_text() {
    let (side, _) = Side::connected(Suite::Everything);
    let text = format!("{:?} {:?} {:?} {:?}", side.peer, side.kept, side.identity, side.kept.established());
    assert!(!text.contains(PASSWORD) && !text.contains("material"), "{text}");
}
