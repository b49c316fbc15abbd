//! Data channels: both ways, with loss, over a rebuild, and with whatever a far end may come up with.

use rtc_sctp::PayloadProtocolIdentifier as Ppid;

use super::page::{IDS, Page};
use super::*;

const KINDS: [DataChannel; 3] = [DataChannel::Reliable, DataChannel::Lossy, DataChannel::Tracks];

fn bytes(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|n| (n * 7 + seed * 31) as u8).collect()
}

/// What came to the peer goes back.
fn echo(side: &mut Side, page: &mut Page) {
    for (kind, message) in page.polled.split_off(0) {
        assert_eq!(side.peer.send_data(page.now, kind, &message), Ok(()));
    }
    page.settle(side);
}

#[test]
fn what_comes_on_a_channel_of_the_client_goes_back_on_it() {
    let (mut side, mut page) = Page::open();
    for (n, (id, _)) in IDS.into_iter().enumerate() {
        assert!(side.peer.is_open(KINDS[n]));
        page.write(id, Ppid::String, "grüezi".as_bytes());
        page.send(id, &bytes(20_000, n));
        page.settle(&mut side);
        assert_eq!(page.polled.iter().map(|it| it.0).collect::<Vec<_>>(), [KINDS[n]; 2]);
        echo(&mut side, &mut page);
        assert_eq!(page.on(id), ["grüezi".as_bytes(), &bytes(20_000, n)]);
    }
    let counts = side.peer.take_data_counts();
    assert_eq!((counts.received, counts.sent), (6, 6));
    assert_eq!(side.peer.take_data_counts(), DataCounts::default());
}

#[test]
fn messages_without_a_byte_stay_without_one() {
    let (mut side, mut page) = Page::open();
    page.write(0, Ppid::BinaryEmpty, &[0]);
    page.write(0, Ppid::StringEmpty, &[0]);
    page.send(0, b"after");
    page.settle(&mut side);
    assert_eq!(page.polled_on(DataChannel::Reliable), [&b""[..], b"", b"after"]);
    for message in [&b""[..], b"after"] {
        side.peer.send_data(page.now, DataChannel::Reliable, &Bytes::copy_from_slice(message)).unwrap();
    }
    page.settle(&mut side);
    assert_eq!(page.received, [(0, Ppid::BinaryEmpty, vec![0]), (0, Ppid::Binary, b"after".to_vec())]);
}

#[test]
fn many_messages_keep_their_order() {
    let (mut side, mut page) = Page::open();
    let sent: Vec<_> = (0..600).map(|n| bytes(1_000, n)).collect();
    for message in &sent {
        page.send(0, message);
        side.peer.send_data(page.now, DataChannel::Reliable, &Bytes::copy_from_slice(message)).unwrap();
    }
    page.settle(&mut side);
    page.wait(&mut side, Duration::from_secs(2));
    assert_eq!(page.polled_on(DataChannel::Reliable), sent);
    assert_eq!(page.on(0), sent);
    assert!(!side.peer.is_broken());
}

#[test]
fn with_loss_the_reliable_channel_has_everything_and_the_others_what_came() {
    let (mut side, mut page) = Page::open();
    let sent: Vec<_> = (0..200).map(|n| bytes(300, n)).collect();
    let (mut all, mut lost) = (0_u32, 0);
    for message in &sent {
        for (n, (id, _)) in IDS.into_iter().enumerate() {
            page.send(id, message);
            side.peer.send_data(page.now, KINDS[n], &Bytes::copy_from_slice(message)).unwrap();
        }
        // One of eight, in no order.
        page.wait_with_loss(&mut side, Duration::from_millis(100), |_, _| {
            all += 1;
            let is_lost = all.wrapping_mul(2_654_435_761) >> 29 == 3;
            lost += usize::from(is_lost);
            is_lost
        });
    }
    page.wait(&mut side, Duration::from_secs(60));
    assert!(lost > 50, "{lost}");
    assert_eq!(page.polled_on(DataChannel::Reliable), sent);
    assert_eq!(page.on(0), sent);
    for (kind, id) in [(DataChannel::Lossy, 2), (DataChannel::Tracks, 4)] {
        for received in [page.polled_on(kind), page.on(id)] {
            assert!((50..200).contains(&received.len()), "{}", received.len());
            assert!(received.iter().all(|message| sent.iter().any(|it| it == message)));
        }
    }
}

#[test]
fn our_own_channels_are_opened_on_a_subscribers_connection() {
    let (mut side, mut page) = Page::connected(TransportRole::Subscriber);
    let mut opened: Vec<_> = page
        .opened
        .iter()
        .map(|(id, open)| (*id, String::from_utf8(open.label.clone()).unwrap(), open.reliability_parameter))
        .collect();
    opened.sort();
    let name = |id: u16, label: &str| (id, label.to_owned(), 0);
    assert_eq!(opened, [name(1, "_reliable"), name(3, "_lossy"), name(5, "_data_track")]);
    for (n, kind) in KINDS.into_iter().enumerate() {
        assert!(side.peer.is_open(kind));
        side.peer.send_data(page.now, kind, &bytes(5_000, n).into()).unwrap();
        page.settle(&mut side);
        page.send(2 * n as u16 + 1, b"back");
        page.settle(&mut side);
        assert_eq!(page.on(2 * n as u16 + 1), [bytes(5_000, n)]);
        assert_eq!(page.polled_on(kind), [b"back"]);
    }
}

#[test]
fn channels_stay_open_over_rebuilds_and_no_record_number_comes_twice() {
    let (mut side, mut page) = Page::open();
    for round in 1..=5 {
        for (n, (id, _)) in IDS.into_iter().enumerate() {
            for _ in 0..round * 40 {
                page.send(id, &bytes(900, n));
            }
            page.settle(&mut side);
            page.polled.truncate(1);
            page.received.clear();
            echo(&mut side, &mut page);
            assert_eq!(page.on(id), [bytes(900, n)], "{round}");
        }
        side.rebuild_at(page.now);
        assert!(KINDS.iter().all(|kind| side.peer.is_open(*kind)));
        // Sent before the far end has answered.
        side.peer.send_data(page.now, DataChannel::Reliable, &Bytes::from_static(b"hello again")).unwrap();
        page.received.clear();
        page.settle(&mut side);
        assert_eq!((page.restarts, page.on(0)), (round, vec![&b"hello again"[..]]));
        assert_eq!((page.lost, page.acknowledged.len()), (0, 3));
    }
    assert!(page.numbers.len() > 300 && page.numbers.is_sorted_by(|a, b| a < b));
}

#[test]
fn our_own_channels_stay_open_over_a_rebuild_and_those_that_were_not_yet_are_opened() {
    let (mut side, mut page) = Page::connected(TransportRole::Subscriber);
    side.rebuild_at(page.now);
    page.settle(&mut side);
    assert_eq!((page.restarts, page.opened.len()), (1, 3));
    side.peer.send_data(page.now, DataChannel::Lossy, &Bytes::from_static(b"still")).unwrap();
    page.settle(&mut side);
    assert_eq!(page.on(3), [b"still"]);

    // Our announcements are lost with the worker.
    let (side, far) = Side::with_data(TransportRole::Subscriber).connect(Suite::Everything);
    let (mut side, mut page) = (side, Page::new(far));
    for _ in 0..2 {
        for mut datagram in page.datagrams() {
            let _ = page.give(&mut side, &mut datagram);
        }
        if let Some((_, datagram)) = side.peer.poll_transmit() {
            page.take(&datagram);
        }
    }
    assert!(page.opened.is_empty() && !page.association.is_handshaking());
    side.rebuild_at(page.now);
    page.settle(&mut side);
    assert_eq!((page.opened.len(), side.peer.is_open(DataChannel::Reliable)), (3, true));
}

#[test]
fn a_rebuild_in_the_middle_of_the_associations_handshake_loses_nothing_but_time() {
    for steps in 1..=3 {
        let (side, far) = Side::with_data(TransportRole::Publisher).connect(Suite::Everything);
        let (mut side, mut page) = (side, Page::new(far));
        for step in 0..steps {
            for mut datagram in page.datagrams() {
                let _ = page.give(&mut side, &mut datagram);
            }
            if step + 1 < steps {
                while let Some((_, datagram)) = side.peer.poll_transmit() {
                    page.take(&datagram);
                }
            }
        }
        side.rebuild_at(page.now);
        page.wait(&mut side, Duration::from_secs(10));
        assert!(!page.association.is_handshaking(), "{steps}");
        page.open_channel(0, "_reliable");
        page.settle(&mut side);
        page.send(0, b"there");
        page.settle(&mut side);
        assert_eq!(page.polled_on(DataChannel::Reliable), [b"there"], "{steps}");
    }
}

#[test]
fn an_endpoint_that_was_parked_is_made_again_and_takes_no_record_twice() {
    let (mut side, mut page) = Page::connected(TransportRole::Publisher);
    let before = page.numbers.len();
    page.wait(&mut side, Duration::from_secs(20));
    assert!(side.peer.data.as_ref().unwrap().is_parked());
    page.open_channel(0, "_reliable");
    let mut sent = page.datagrams();
    for _ in 0..2 {
        for datagram in &mut sent.clone() {
            let _ = page.give(&mut side, datagram);
        }
    }
    page.settle(&mut side);
    assert!(!side.peer.data.as_ref().unwrap().is_parked());
    page.send(0, b"awake");
    sent = page.datagrams();
    assert_eq!(page.give(&mut side, &mut sent[0].clone()), Received::Data);
    assert_eq!(page.give(&mut side, &mut sent[0].clone()), Received::Nothing);
    side.rebuild_at(page.now);
    assert_eq!(page.give(&mut side, &mut sent[0].clone()), Received::Nothing);
    echo(&mut side, &mut page);
    assert_eq!(page.on(0), [b"awake"]);
    assert!(page.numbers.len() > before && page.numbers.is_sorted_by(|a, b| a < b));
    // With a channel open it stays.
    page.wait(&mut side, Duration::from_secs(20));
    assert!(!side.peer.data.as_ref().unwrap().is_parked());
}

#[test]
fn a_worker_that_should_be_dead_shares_no_record_number_with_the_next() {
    let (mut side, page) = Page::open();
    let identity = side.identity.clone();
    let mut woken =
        std::mem::replace(&mut side.peer, Peer::new(page.now, far_end::epoch(), identity, side.kept.clone()));
    for n in 0..50 {
        for peer in [&mut woken, &mut side.peer] {
            let _ = peer.send_data(page.now, DataChannel::Lossy, &bytes(100, n).into());
        }
    }
    let mut numbers: Vec<_> = std::iter::from_fn(|| woken.poll_transmit())
        .chain(std::iter::from_fn(|| side.peer.poll_transmit()))
        .map(|(_, datagram)| datagram[5..11].to_vec())
        .collect();
    let all = numbers.len();
    numbers.sort();
    numbers.dedup();
    assert_eq!(numbers.len(), all);
}

#[test]
fn a_peer_of_a_call_has_no_data_channels() {
    let (mut side, far) = Side::connected(Suite::Everything);
    let mut page = Page::new(far);
    for mut datagram in page.datagrams() {
        assert_eq!(page.give(&mut side, &mut datagram), Received::Nothing);
    }
    assert_eq!(side.peer.poll_transmit(), None);
    let refused = side.peer.send_data(page.now, DataChannel::Reliable, &Bytes::new());
    assert_eq!(refused, Err(DataRefused::NotOpen));
    page.far.close();
    for mut datagram in page.far.datagrams() {
        assert_eq!(page.give(&mut side, &mut datagram), Received::Nothing);
    }
}

#[test]
fn data_waits_for_the_description() {
    let (mut side, mut far) = (Side::with_data(TransportRole::Publisher), FarEnd::new(Suite::Everything));
    far.check(&mut side.peer, ms(0));
    far.shake(&mut side.peer, ms(0));
    let remote = far.remote();
    let mut page = Page::new(far);
    for mut datagram in page.datagrams() {
        assert_eq!(page.give(&mut side, &mut datagram), Received::Nothing);
    }
    side.peer.set_remote(&remote);
    page.wait(&mut side, Duration::from_secs(5));
    assert!(!page.association.is_handshaking());
}

#[test]
fn who_says_goodbye_is_reported_once_and_answered() {
    for is_parked in [false, true] {
        let (mut side, mut page) = Page::connected(TransportRole::Publisher);
        if is_parked {
            page.wait(&mut side, Duration::from_secs(20));
        }
        page.far.close();
        let sent = page.far.datagrams();
        for expected in [Received::Closed, Received::Nothing] {
            assert_eq!(page.give(&mut side, &mut sent[0].clone()), expected);
        }
        let answers: Vec<_> = std::iter::from_fn(|| side.peer.poll_transmit()).map(|it| it.1[0]).collect();
        assert_eq!(answers, [21]);
        side.rebuild_at(page.now);
        assert_eq!(side.peer.poll_transmit(), None);
        assert!(!side.peer.is_open(DataChannel::Reliable) && side.peer.is_connected());
    }
}

#[test]
fn limits_of_messages_and_channels_hold() {
    let (mut side, mut page) = Page::open();
    let most = bytes(65_536, 1);
    let refused = side.peer.send_data(page.now, DataChannel::Reliable, &[&most[..], b"!"].concat().into());
    assert_eq!(refused, Err(DataRefused::TooLong));
    side.peer.send_data(page.now, DataChannel::Reliable, &most.clone().into()).unwrap();
    page.settle(&mut side);
    page.wait(&mut side, Duration::from_secs(2));
    assert_eq!(page.on(0), [&most[..]]);
    page.send(0, &most);
    page.send(0, &[&most[..], b"!"].concat());
    page.send(0, b"next");
    page.settle(&mut side);
    page.wait(&mut side, Duration::from_secs(2));
    assert_eq!(page.polled_on(DataChannel::Reliable), [&most[..], b"next"]);
    assert_eq!(side.peer.take_data_counts().too_long, 1);

    // Three are there: thirteen more find a place, and whatever is said on those without one is dropped.
    for n in 0..30 {
        page.open_channel(10 + 2 * n, "chat");
        page.send(10 + 2 * n, b"hello?");
    }
    page.settle(&mut side);
    page.wait(&mut side, Duration::from_secs(1));
    assert_eq!(page.acknowledged.len(), 3 + 13);
    assert_eq!(page.polled.len(), 2);
    // All 30 channels, and what was said on them.
    assert_eq!(side.peer.take_data_counts().ignored, 60);
    page.send(0, b"and now");
    page.settle(&mut side);
    assert_eq!(page.polled_on(DataChannel::Reliable).last(), Some(&&b"and now"[..]));
    assert!(!side.peer.is_broken());
}

#[test]
fn a_client_that_takes_nothing_is_broken_by_what_is_reliable_only() {
    let (mut side, page) = Page::open();
    let message = Bytes::from(bytes(60_000, 1));
    let sent =
        |side: &mut Side, kind| (0..100).map(|_| side.peer.send_data(page.now, kind, &message)).collect::<Vec<_>>();
    for kind in [DataChannel::Lossy, DataChannel::Tracks] {
        let results = sent(&mut side, kind);
        assert_eq!((results[0], results[99]), (Ok(()), Err(DataRefused::Full)));
        assert!(!side.peer.is_broken());
    }
    let results = sent(&mut side, DataChannel::Reliable);
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1024 * 1024 / 60_000);
    assert_eq!(results[99], Err(DataRefused::Broken));
    assert!(side.peer.is_broken());
    assert_eq!(sent(&mut side, DataChannel::Lossy)[0], Err(DataRefused::Broken));
}

#[test]
fn many_short_messages_wait_in_bounds_too_and_none_is_refused_to_who_takes_them() {
    let (mut side, mut page) = Page::open();
    let message = Bytes::from_static(b"!");
    for _ in 0..100 {
        for _ in 0..200 {
            side.peer.send_data(page.now, DataChannel::Lossy, &message).unwrap();
        }
        page.settle(&mut side);
        page.wait(&mut side, Duration::from_millis(300));
    }
    assert_eq!(page.on(2).len(), 20_000);
    let sent = (0..20_000).map_while(|_| side.peer.send_data(page.now, DataChannel::Lossy, &message).ok());
    assert_eq!(sent.count(), 8_192);
}

#[test]
fn a_channel_that_the_client_closes_is_gone_and_may_come_again() {
    let (mut side, mut page) = Page::open();
    let now = page.instant();
    page.association.stream(0).unwrap().close(now).unwrap();
    page.settle(&mut side);
    page.wait(&mut side, Duration::from_secs(1));
    assert!(!side.peer.is_open(DataChannel::Reliable) && side.peer.is_open(DataChannel::Lossy));
    let refused = side.peer.send_data(page.now, DataChannel::Reliable, &Bytes::from_static(b"?"));
    assert_eq!(refused, Err(DataRefused::NotOpen));
    page.open_channel(6, "_reliable");
    page.settle(&mut side);
    side.peer.send_data(page.now, DataChannel::Reliable, &Bytes::from_static(b"!")).unwrap();
    page.settle(&mut side);
    assert_eq!(page.on(6), [b"!"]);
}

#[test]
fn an_association_that_the_client_aborts_is_gone_and_may_come_again() {
    let (mut side, page) = Page::open();
    let mut page = page;
    page.association.abort().unwrap();
    page.settle(&mut side);
    assert!(!side.peer.is_open(DataChannel::Reliable) && !side.peer.is_broken());
    let now = page.now;
    let mut page = Page::new(page.far);
    page.now = now;
    page.settle(&mut side);
    page.open_channel(0, "_reliable");
    page.settle(&mut side);
    assert!(side.peer.is_open(DataChannel::Reliable));
}
