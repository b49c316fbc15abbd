//! A far end that shook hands and then does what it wants: our side stays bounded, and whole.

use std::cell::RefCell;

use proptest::prelude::*;

use super::attacker::{Attacker, chunk, init, packet};
use super::*;

/// Where numbers go round soon.
const ENDS: [u32; 4] = [1, 0, u32::MAX, u32::MAX - 1];

fn forward(number: u32) -> Vec<u8> {
    chunk(192, 0, &number.to_be_bytes())
}

#[test]
fn numbers_go_round_whatever_the_first_is() {
    for first in ENDS {
        let mut attacker = Attacker::new(first);
        attacker.prove_alive(0);
        let parts = [2, 0, 0, 0, 1].map(|flags| attacker.data(0, 2, 53, flags, b"part"));
        for part in parts.into_iter().rev() {
            let _ = attacker.give(&[part]);
        }
        assert_eq!(attacker.polled.pop().unwrap().1, Bytes::from(b"part".repeat(5)));
        let parts = [6, 4, 4, 5].map(|flags| attacker.data(0, 0, 53, flags, b"any"));
        for part in parts {
            let _ = attacker.give(&[part]);
        }
        assert_eq!(attacker.polled.pop().unwrap().1, Bytes::from(b"any".repeat(4)));
    }
}

#[test]
fn no_packet_makes_us_step_through_all_numbers_nor_does_one_that_is_hidden_in_another() {
    for far in [1_u32 << 30, (1 << 31) - 1, 20_000] {
        let mut attacker = Attacker::new(100);
        let number = attacker.number;
        let jump = forward(number.wrapping_add(far));
        let behind_sack = chunk(3, 0, &[&[0; 12], &jump[..]].concat());
        let info = [&[0, 1, 0, 8, 1, 2, 3, 4], &jump[..]].concat();
        let ahead = {
            attacker.number = number.wrapping_add(far);
            attacker.data(0, 0, 53, 3, b"far ahead")
        };
        attacker.number = number;
        for hostile in [jump, behind_sack, chunk(4, 0, &info), chunk(14, 0, &info), ahead] {
            let _ = attacker.give(&[hostile]);
        }
        attacker.prove_alive(0);
        attacker.wait();
        let sack = attacker.packets.iter().rfind(|it| it[12] == 3).unwrap();
        assert_eq!(sack[16..20], number.wrapping_add(1).to_be_bytes(), "{far}");
        assert!(!attacker.side.peer.is_broken());
    }
}

#[test]
fn a_message_without_end_and_crumbs_of_messages_break_the_connection_and_nothing_else() {
    for (len, ppid, flags, most) in [(1_100, 53, 0, 400), (1_100, 53, 4, 400), (1, 53, 4, 20_000), (1, 53, 3, 20_000)] {
        let mut attacker = Attacker::new(100);
        attacker.prove_alive(0);
        let first = attacker.data(0, 2, ppid, flags | 2 & !(flags << 1), &vec![1; len]);
        let _ = attacker.give(&[first]);
        let mut count = 0_u16;
        while !attacker.side.peer.is_broken() && count < most {
            count += 1;
            // Of whole messages the third never comes.
            let nth = if flags == 3 { 10 + count } else { 2 };
            let more = attacker.data(0, nth, ppid, flags, &vec![1; len]);
            let _ = attacker.give(&[more]);
        }
        assert!(attacker.side.peer.is_broken(), "{len} {flags}");
        let refused = attacker.side.peer.send_data(ms(0), DataChannel::Reliable, &Bytes::new());
        assert_eq!(refused, Err(DataRefused::Broken));
        assert!(attacker.side.peer.is_connected());
    }
}

#[test]
fn more_streams_and_resets_than_anybody_needs_break_the_connection() {
    let mut attacker = Attacker::new(100);
    for id in 0..65 {
        assert!(!attacker.side.peer.is_broken(), "{id}");
        let data = attacker.data(id, 0, 53, 3, b"me too");
        let _ = attacker.give(&[data]);
    }
    assert!(attacker.side.peer.is_broken() && attacker.polled.is_empty());

    let mut attacker = Attacker::new(100);
    attacker.prove_alive(0);
    for n in 0..129_u32 {
        assert!(!attacker.side.peer.is_broken(), "{n}");
        let body = [&n.to_be_bytes()[..], &[0; 4], &attacker.number.wrapping_add(9).to_be_bytes(), &[0, 0]].concat();
        let _ = attacker.give(&[chunk(130, 0, &[&[0, 13, 0, 18], &body[..]].concat())]);
    }
    assert!(attacker.side.peer.is_broken());
}

#[test]
fn an_init_that_is_repeated_has_the_same_answer_and_many_leave_nothing_behind() {
    let (side, far) = Side::with_data(TransportRole::Publisher).connect(Suite::Everything);
    let (mut side, mut far) = (side, far);
    let mut ask = |tag: u32| {
        let mut datagram = far.record(ms(0), &packet(0, &init(tag, 100)));
        let _ = side.peer.receive(ms(0), at(HERE), &mut datagram);
        let (_, answer) = side.peer.poll_transmit().unwrap();
        far.take(ms(0), &answer);
        far.application.pop_front().unwrap()
    };
    let first = ask(1);
    assert_eq!(ask(1), first);
    for tag in 2..1_000 {
        assert_ne!(ask(tag), first);
    }
    let mut attacker = Attacker::new(100);
    for _ in 0..10 {
        attacker.begin();
        attacker.prove_alive(0);
    }
}

#[test]
fn records_that_are_not_of_these_keys_or_not_data_do_nothing() {
    let mut attacker = Attacker::new(100);
    attacker.prove_alive(0);
    let good = attacker.record(b"anything");
    let alert = |epoch: u8, level: u8, what: u8| {
        let mut alert = vec![21, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 1, 0, 0, 2, level, what];
        alert.resize(15 + usize::from(epoch) * 24, 0);
        alert[12] = alert.len() as u8 - 13;
        alert
    };
    let of_kind = |kind: u8| [&[kind], &good[1..]].concat();
    let of_epoch = |epoch: u8| [&good[..4], &[epoch], &good[5..]].concat();
    let mut changed = good.clone();
    changed[20] ^= 1;
    let hostile = [
        alert(0, 1, 0),
        alert(0, 2, 40),
        alert(1, 1, 0),
        of_kind(20),
        of_kind(21),
        of_kind(22),
        of_kind(24),
        of_epoch(0),
        of_epoch(2),
        changed,
        good[..good.len() - 1].to_vec(),
        good[..13].to_vec(),
        vec![23; 1_400],
    ];
    for (n, mut datagram) in hostile.into_iter().enumerate() {
        assert_eq!(attacker.give_datagram(&mut datagram), Received::Nothing, "{n}");
    }
    assert_eq!(attacker.give_datagram(&mut good.clone()), Received::Data);
    attacker.prove_alive(2);
    // Handshakes that it wants after all are answered with what ended ours, and not for ever.
    let mut answers = 0;
    for _ in 0..100 {
        let mut hello = of_kind(22);
        let _ = attacker.side.peer.receive(ms(0), at(HERE), &mut hello);
        answers += std::iter::from_fn(|| attacker.side.peer.poll_transmit()).count();
    }
    assert!((1..200).contains(&answers), "{answers}");
    attacker.prove_alive(4);
}

/// Chunks of known types with contents of any kind, lengths that lie among them.
fn chunks() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let kind = prop_oneof![
        prop::sample::select(vec![0_u8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 128, 130, 132, 192, 193]),
        any::<u8>()
    ];
    let word = prop_oneof![
        prop::sample::select(vec![[0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 50], [0, 0, 0, 53], [255; 4], [0, 13, 0, 18]]),
        prop::sample::select(vec![[0, 16, 0, 12], [0xc0, 0, 0, 4], [0x80, 8, 0, 6], [0, 7, 0, 8], [3, 0, 1, 0]]),
        (100..120_u32).prop_map(u32::to_be_bytes),
        any::<[u8; 4]>(),
    ];
    let one =
        (kind, 0..8_u8, prop::collection::vec(word, 0..12), 0..4_usize, prop_oneof![9 => Just(0_i16), 1 => -8..9_i16]);
    let one = one.prop_map(|(kind, flags, words, cut, lie)| {
        let mut body = words.concat();
        body.truncate(body.len().saturating_sub(cut));
        let mut chunk = chunk(kind, flags, &body);
        let len = (body.len() as u16 + 4).wrapping_add_signed(lie);
        chunk[2..4].copy_from_slice(&len.to_be_bytes());
        chunk
    });
    prop::collection::vec(one, 1..5)
}

#[test]
fn whatever_chunks_come_nothing_panics_and_another_association_can_begin() {
    let world = RefCell::new(Attacker::new(100));
    let config = ProptestConfig::with_cases(4_000);
    proptest!(config, |(chunks in chunks(), has_tag in any::<bool>(), passes in any::<bool>())| {
        let mut attacker = world.borrow_mut();
        if has_tag {
            let _ = attacker.give(&chunks);
        } else {
            let _ = attacker.give_payload(&packet(0, &chunks.concat()));
        }
        if passes {
            attacker.side.peer.expire(ms(10_000));
        }
        if attacker.side.peer.is_broken() {
            *attacker = Attacker::new(100);
        } else {
            attacker.number = 100;
            attacker.begin();
            attacker.prove_alive(0);
        }
    });
}

#[test]
fn whatever_comes_in_place_of_a_message_about_channels_is_dropped() {
    let world = RefCell::new(Attacker::new(100));
    let garbage = (prop::sample::select(vec![0_u8, 2, 3]), prop::collection::vec(any::<u8>(), 0..40));
    proptest!(|((first, rest) in garbage, id in 0..8_u16)| {
        let mut attacker = world.borrow_mut();
        attacker.number = 100;
        attacker.begin();
        let message = attacker.data(id, 0, 50, 3, &[&[first], &rest[..]].concat());
        let _ = attacker.give(&[message]);
        prop_assert!(!attacker.side.peer.is_broken());
        attacker.prove_alive(8);
    });
}
