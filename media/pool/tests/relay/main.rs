//! The pool on loopback with real sockets: what two phones notice of it, and what browsers do.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, also in what its functions share"
)]

mod browser;
mod peers;
mod phone;
mod quality;
mod rooms;
mod survival;
mod world;

use std::time::Duration;

use phone::Phone;
use tandem_core::machine::Refusal;
use tandem_core::media::{Carrier, Direction, MediaCommand, MediaNews};
use tandem_core::metric::{Counter, Gauge};
use tandem_core::ports::MediaPort;
use tandem_media::Config;
use world::{World, leg, track};

/// Ports of one test: none is another's.
fn config(first_port: u16, pairs: u16, workers: usize) -> Config {
    Config {
        first_port,
        last_port: first_port + pairs * 2 - 1,
        port_rest: Duration::from_millis(50),
        workers,
        pin: false,
        silence_timeout: Duration::from_secs(1),
        first_peer_port: 0,
        peer_silence_timeout: Duration::from_secs(1),
        ..Config::default()
    }
}

/// Two phones on two legs, attached and bridged both ways.
fn talking(world: &World) -> (Phone, Phone) {
    let (a, b) = (world.phone(0), world.phone(1));
    world.attach(0, &a, 101);
    world.attach(1, &b, 96);
    world.bridge(0, 1);
    world.bridge(1, 0);
    world.settle();
    (a, b)
}

#[test]
fn two_phones_hear_each_other_on_one_worker_and_on_two() {
    for (workers, first_port) in [(1, 24_000), (2, 24_100), (3, 24_200)] {
        let world = World::start(config(first_port, 10, workers));
        let (mut a, mut b) = talking(&world);
        for n in 0..20 {
            a.speak(n);
            b.speak(n);
        }
        let (at_a, at_b) = (a.hear(20), b.hear(20));
        for heard in [&at_a, &at_b] {
            assert_eq!(heard.len(), 20, "{workers} workers");
            assert!(heard.windows(2).all(|two| two[1].sequence == two[0].sequence.wrapping_add(1)));
            assert!(heard.windows(2).all(|two| two[1].timestamp == two[0].timestamp.wrapping_add(160)));
            assert!(heard.iter().all(|packet| packet.ssrc == heard[0].ssrc && packet.payload_type == 0));
        }
        assert_ne!(at_a[0].ssrc, at_b[0].ssrc);
        world.until(|| world.metrics.counter(Counter::RtpForwarded) == 40);
        assert_eq!(world.metrics.counter(Counter::RtpReceived), 40);
    }
}

#[test]
fn many_calls_on_two_workers_are_all_relayed_and_a_third_leg_joins_whichever_worker_it_must() {
    let world = World::start(config(24_300, 20, 2));
    let mut phones: Vec<Phone> = (0..8).map(|n| world.phone(n)).collect();
    for (n, phone) in phones.iter().enumerate() {
        world.attach(n, phone, 101);
    }
    for n in [0, 2, 4, 6] {
        world.bridge(n, n + 1);
        world.bridge(n + 1, n);
    }
    world.settle();
    for _ in 0..3 {
        phones.iter_mut().for_each(|phone| phone.speak(0));
        for (n, phone) in phones.iter_mut().enumerate() {
            assert_eq!(phone.hear(1).len(), 1, "phone {n}");
        }
    }
    // A transfer: 1 goes to 4, whose call may be anywhere.
    world.bridge(1, 4);
    world.bridge(4, 1);
    world.settle();
    phones[1].speak(1);
    assert_eq!(phones[4].hear(1).len(), 1);
    phones[4].speak(1);
    assert_eq!(phones[1].hear(1).len(), 1);
}

#[test]
fn a_bridge_to_a_leg_that_is_attached_later_works_then() {
    let world = World::start(config(24_400, 4, 2));
    let mut a = world.phone(0);
    world.attach(0, &a, 101);
    world.bridge(0, 1);
    world.settle();
    a.speak(0);
    world.until(|| world.metrics.counter(Counter::RtpUnrouted) == 1);
    let mut b = world.phone(1);
    world.attach(1, &b, 101);
    world.settle();
    a.speak(1);
    assert_eq!(b.hear(1).len(), 1);
}

#[test]
fn a_digit_goes_on_under_the_other_sides_number_and_is_told_although_the_inbox_was_full() {
    let world = World::start(config(24_500, 4, 2));
    let (mut a, mut b) = talking(&world);
    world.calls.refuse_next(2);
    a.press(7, 3);
    let heard = b.hear(3);
    assert!(heard.len() == 3 && heard.iter().all(|packet| packet.payload_type == 96));
    world.until(|| !world.calls.news().is_empty());
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(world.calls.news(), [(leg(0), MediaNews::Digit { digit: '7', duration_ms: 100 })]);
}

#[test]
fn a_phone_behind_a_nat_is_found_and_who_tries_ports_is_not_heard() {
    let world = World::start(config(24_600, 4, 1));
    let (mut a, mut b) = talking(&world);
    b.move_to_another_port();
    (0..4).for_each(|n| b.speak(n));
    assert_eq!(a.hear(3).len(), 3);
    a.speak(0);
    assert_eq!(b.hear(1).len(), 1);
    let mut intruder = Phone::new(&world.local(1), 5_555);
    (0..10).for_each(|n| intruder.speak(n));
    world.until(|| world.metrics.counter(Counter::RtpForeign) == 11);
    a.speak(1);
    assert_eq!((a.hear(1).len(), b.hear(1).len(), intruder.hear(1).len()), (0, 1, 0));
}

#[test]
fn silence_of_a_watched_leg_is_told_and_that_of_one_on_hold_is_not() {
    let world = World::start(config(24_700, 4, 2));
    let (a, b) = talking(&world);
    for n in [0, 1] {
        world.pool.command(leg(n), MediaCommand::Watch { leg: leg(n) }).unwrap();
    }
    world.attach_with(1, &b, 96, Direction::Inactive);
    world.until(|| !world.calls.news().is_empty());
    std::thread::sleep(Duration::from_millis(1_200));
    assert_eq!(world.calls.news(), [(leg(0), MediaNews::Silent)]);
    drop(a);
}

#[test]
fn a_worker_that_is_rebuilt_goes_on_with_every_packet_as_if_nothing_had_been() {
    let world = World::start(config(24_800, 8, 1));
    let (mut a, mut b) = talking(&world);
    b.move_to_another_port();
    (0..4).for_each(|n| b.speak(n));
    assert_eq!(a.hear(3).len(), 3);
    for n in 0..60 {
        a.speak(n);
        if n % 20 == 10 {
            world.pool.break_worker(0);
        }
        std::thread::sleep(Duration::from_millis(3));
    }
    let heard = b.hear(60);
    assert_eq!(heard.len(), 60);
    assert!(heard.iter().all(|packet| packet.ssrc == heard[0].ssrc));
    assert!(heard.windows(2).all(|two| two[1].sequence == two[0].sequence.wrapping_add(1)));
    assert!(heard.windows(2).all(|two| two[1].timestamp == two[0].timestamp.wrapping_add(160)));
    assert_eq!(heard.iter().filter(|packet| packet.marker).count(), 1);
    assert_eq!(world.metrics.counter(Counter::MediaWorkersRebuilt), 3);
}

#[test]
fn a_second_thread_for_a_worker_ends_the_first_and_carries_on() {
    let world = World::start(config(24_850, 8, 1));
    let (mut a, mut b) = talking(&world);
    a.speak(0);
    let pool = world.pool.clone();
    let second = std::thread::spawn(move || pool.work(0).unwrap());
    world.until(|| world.metrics.counter(Counter::MediaWorkersRebuilt) == 1);
    world.until(|| world.has_a_thread_returned());
    a.speak(1);
    let heard = b.hear(2);
    assert_eq!(heard.len(), 2);
    assert_eq!(heard[1].sequence, heard[0].sequence.wrapping_add(1));
    drop(world);
    second.join().unwrap();
}

#[test]
fn a_thread_that_hangs_carries_nothing_and_ends_when_another_has_its_seat() {
    let world = World::start(config(24_950, 8, 1));
    let (mut a, mut b) = talking(&world);
    a.speak(0);
    assert_eq!(b.hear(1).len(), 1);
    world.pool.hang_worker(0);
    world.until(|| {
        let turns = world.pool.turns(0);
        std::thread::sleep(Duration::from_millis(600)); // the longest turn takes 400 ms
        world.pool.turns(0) == turns
    });
    a.speak(1);
    assert_eq!(b.hear(1).len(), 0);
    let pool = world.pool.clone();
    let second = std::thread::spawn(move || pool.work(0).unwrap());
    world.until(|| world.has_a_thread_returned());
    a.speak(2);
    assert_eq!(b.hear(2).len(), 2, "what waited meanwhile is not lost");
    assert_eq!(world.pool.threads(0), Some(2));
    drop(world);
    second.join().unwrap();
}

#[test]
fn a_packet_that_panics_ends_its_own_leg_and_no_other() {
    let world = World::start(Config { break_on: Some(1), ..config(24_900, 8, 1) });
    let (mut a, mut b) = talking(&world);
    let (mut c, mut d) = (world.phone(2), world.phone(3));
    world.attach(2, &c, 101);
    world.attach(3, &d, 101);
    world.bridge(2, 3);
    world.settle();
    a.speak(0);
    c.speak(0);
    assert_eq!((b.hear(1).len(), d.hear(1).len()), (0, 1));
    world.until(|| world.calls.news() == [(leg(0), MediaNews::Broken)]);
    assert_eq!(world.metrics.counter(Counter::MediaWorkersRebuilt), 0);
    assert_eq!(world.pool.command(leg(0), MediaCommand::Detach { track: track(0) }), Err(Refusal::Gone));
    world.pool.release(leg(0));
    c.speak(1);
    assert_eq!(d.hear(1).len(), 1);
}

#[test]
fn legs_of_a_worker_that_is_given_up_hear_it_and_new_ones_go_elsewhere() {
    let world = World::start(config(25_000, 8, 1));
    let _phones = talking(&world);
    world.pool.give_up(0);
    let mut news = world.calls.news();
    news.sort_by_key(|(leg, _)| *leg);
    assert_eq!(news, [(leg(0), MediaNews::Broken), (leg(1), MediaNews::Broken)]);
    assert_eq!(world.pool.open(leg(5), Carrier::Rtp), Err(Refusal::Full));
}

#[test]
fn a_leg_keeps_its_ports_until_it_is_released_and_the_range_is_the_limit() {
    let world = World::start(config(25_100, 2, 2));
    let first = world.pool.open(leg(0), Carrier::Rtp).unwrap();
    assert_eq!(world.pool.open(leg(0), Carrier::Rtp), Ok(first.clone()));
    assert_eq!((first.rtp.port() % 2, first.rtcp.port()), (0, first.rtp.port() + 1));
    let second = world.pool.open(leg(1), Carrier::Rtp).unwrap();
    assert_ne!(first.rtp, second.rtp);
    assert_eq!(world.pool.open(leg(2), Carrier::Rtp), Err(Refusal::Full));
    assert_eq!(world.metrics.gauge(Gauge::MediaPortsUsed), 2);
    world.pool.release(leg(0));
    world.pool.release(leg(0));
    assert_eq!(world.pool.command(leg(0), MediaCommand::Watch { leg: leg(0) }), Err(Refusal::Gone));
    std::thread::sleep(Duration::from_millis(60));
    assert_eq!(world.pool.open(leg(2), Carrier::Rtp), Ok(first.clone()));
    assert_eq!(world.metrics.gauge(Gauge::MediaPortsUsed), 2);
}

#[test]
fn a_leg_on_the_ports_of_a_released_one_is_relayed_like_any_other() {
    let world = World::start(config(25_200, 2, 2));
    for _ in 0..4 {
        let (mut a, mut b) = talking(&world);
        a.speak(0);
        assert_eq!(b.hear(1).len(), 1);
        [0, 1].into_iter().for_each(|n| world.pool.release(leg(n)));
        std::thread::sleep(Duration::from_millis(60));
    }
}

#[test]
fn a_worker_without_a_thread_takes_no_more_than_its_queue_holds() {
    let world = World::without_threads(Config { queue: 16, ..config(25_300, 4, 1) });
    let phone = world.phone(0);
    let spec = world.spec(0, &phone, 101, Direction::SendRecv);
    let attach = || world.pool.command(leg(0), MediaCommand::Attach { track: track(0), spec: spec.clone() });
    assert!((0..16).all(|_| attach() == Ok(())));
    assert_eq!(attach(), Err(Refusal::Full));
    world.pool.release(leg(0));
}
