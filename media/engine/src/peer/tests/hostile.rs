//! Whatever comes: nothing panics, nothing that was not authenticated is believed, and nothing changes for it.

use std::cell::RefCell;

use proptest::prelude::*;
use rtc_stun::fingerprint::fingerprint_value;

use super::far_end::{nominating, request};
use super::*;

const ELSEWHERE: &str = "203.0.113.66:4000";

/// Bytes of any kind, those that look like one of the protocols among them.
fn datagrams() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![Just(0_u8), Just(22), Just(0x80), Just(0x90), any::<u8>()];
    (first, prop_oneof![Just(1_u8), Just(0), Just(200), any::<u8>()], prop::collection::vec(any::<u8>(), 0..120))
        .prop_map(|(first, second, rest)| [vec![first, second], rest].concat())
}

/// STUN with attributes of any kind.
fn stun() -> impl Strategy<Value = Vec<u8>> {
    let attribute = (
        prop_oneof![Just(6_u16), Just(8), Just(0x24), Just(0x25), Just(0x8028), any::<u16>()],
        prop::collection::vec(any::<u8>(), 0..24),
        -2_i16..3,
    );
    prop::collection::vec(attribute, 0..6).prop_map(|attributes| {
        let mut body = Vec::new();
        for (kind, value, lie) in attributes {
            body.extend(kind.to_be_bytes());
            body.extend((value.len() as u16).wrapping_add_signed(lie).to_be_bytes());
            body.extend(&value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        let mut datagram = vec![0, 1];
        datagram.extend((body.len() as u16).to_be_bytes());
        datagram.extend([0x21, 0x12, 0xa4, 0x42]);
        datagram.extend([7; 12]);
        [datagram, body].concat()
    })
}

/// A change of a byte.
fn changes() -> impl Strategy<Value = (prop::sample::Index, u8)> {
    (any::<prop::sample::Index>(), 1_u8..)
}

fn is_believed(received: Received) -> bool {
    matches!(received, Received::Alive | Received::Rtp { .. } | Received::Rtcp { .. })
}

#[test]
fn anything_may_come_to_a_peer_in_any_state() {
    let (connected, mut far) = Side::connected(Suite::Everything);
    let sealed = far.seal_rtp(&rtp(7, 1));
    let sides = RefCell::new([Side::new(), connected, Side::connected(Suite::CmOnly).0]);
    proptest!(|(datagram in prop_oneof![datagrams(), stun()])| {
        for side in &mut *sides.borrow_mut() {
            for from in [HERE, ELSEWHERE] {
                prop_assert!(!is_believed(side.peer.receive(ms(0), at(from), &mut datagram.clone())));
            }
            let to_strangers = std::iter::from_fn(|| side.peer.poll_transmit()).find(|(to, _)| *to != at(HERE));
            prop_assert_eq!(to_strangers, None);
        }
        let _ = ufrag_of(&datagram);
    });
    assert_eq!(sides.into_inner()[1].open(&sealed), Ok(rtp(7, 1)));
}

#[test]
fn anything_may_come_in_the_middle_of_a_handshake() {
    proptest!(ProptestConfig::with_cases(64), |(datagrams in prop::collection::vec(datagrams(), 0..20))| {
        let (mut side, mut far) = (Side::new(), FarEnd::new(Suite::Everything));
        side.peer.set_remote(&far.remote());
        far.check(&mut side.peer, ms(0));
        for datagram in far.datagrams().iter().chain(&datagrams) {
            let _ = side.peer.receive(ms(0), at(HERE), &mut datagram.clone());
        }
        prop_assert!(!side.peer.is_connected());
    });
}

#[test]
fn a_check_with_a_byte_changed_is_no_check_even_if_its_checksum_is_mended() {
    let good = request(PASSWORD, &nominating());
    proptest!(|((place, change) in changes(), mends in any::<bool>())| {
        let mut datagram = good.clone();
        let len = datagram.len();
        datagram[place.index(len - 8)] ^= change;
        if mends {
            let checksum = fingerprint_value(&datagram[..len - 8]);
            datagram[len - 4..].copy_from_slice(&checksum.to_be_bytes());
        }
        let mut side = Side::new();
        prop_assert!(!is_believed(side.peer.receive(ms(0), at(HERE), &mut datagram)));
        prop_assert_eq!(side.peer.poll_transmit(), None);
        prop_assert_eq!(side.kept.nominated(), None);
    });
}

#[test]
fn media_with_a_byte_changed_or_cut_is_refused_and_the_true_packet_is_not() {
    for suite in Suite::GOOD {
        let world = RefCell::new((Side::connected(suite), 0));
        proptest!(|((place, change) in changes(), cut in any::<prop::sample::Index>(), is_report in any::<bool>())| {
            let ((side, far), sequence) = &mut *world.borrow_mut();
            *sequence += 1;
            let (plain, sealed) = if is_report {
                (rtcp(7), far.seal_rtcp(&rtcp(7)))
            } else {
                (rtp(7, *sequence), far.seal_rtp(&rtp(7, *sequence)))
            };
            let mut changed = sealed.clone();
            changed[place.index(sealed.len())] ^= change;
            prop_assert!(side.open(&changed).is_err());
            prop_assert!(side.open(&sealed[..cut.index(sealed.len())]).is_err());
            prop_assert_eq!(side.open(&sealed), Ok(plain));
        });
    }
}
