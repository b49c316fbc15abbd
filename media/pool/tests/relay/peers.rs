//! What browsers notice of the pool.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use tandem_core::machine::Refusal;
use tandem_core::media::{Carrier, MediaCommand, MediaNews};
use tandem_core::metric::{Counter, Gauge};
use tandem_core::ports::MediaPort;
use tandem_media::{Config, Pool, StartError};

use crate::browser::Browser;
use crate::config;
use crate::phone::Phone;
use crate::world::{World, call, leg};

/// Two browsers of one call on these legs, connected and bridged both ways. The first comes before its description
/// does, the second after.
fn browsers(world: &World, n: usize) -> (Browser, Browser) {
    let (mut a, mut b) = (world.browser(n, call(n)), world.browser(n + 1, call(n)));
    a.connect();
    world.attach_browser(n, call(n), &a);
    world.attach_browser(n + 1, call(n), &b);
    world.bridge(n, n + 1);
    world.bridge(n + 1, n);
    b.connect();
    world.settle();
    (a, b)
}

/// A browser and a phone, whose leg is there first.
fn browser_and_phone(world: &World, n: usize) -> (Browser, Phone) {
    let phone = world.phone(n + 1);
    world.attach(n + 1, &phone, 96);
    let mut browser = world.browser(n, call(n));
    world.attach_browser(n, call(n), &browser);
    world.bridge(n + 1, n);
    world.bridge(n, n + 1);
    browser.connect();
    world.settle();
    (browser, phone)
}

#[test]
fn two_browsers_hear_each_other_on_the_port_of_one_worker_and_leave_nothing_behind() {
    for workers in [1, 3] {
        let world = World::start(config(25_400, 2, workers));
        let (mut a, mut b) = browsers(&world, 0);
        for n in 0..20 {
            a.speak(n);
            b.speak(n);
        }
        for heard in [a.hear(20), b.hear(20)] {
            assert_eq!(heard.len(), 20, "{workers} workers");
            assert!(heard.windows(2).all(|two| two[1].sequence == two[0].sequence.wrapping_add(1)));
            assert!(heard.windows(2).all(|two| two[1].timestamp == two[0].timestamp.wrapping_add(160)));
        }
        let [of_a, of_b] = [0, 1].map(|n| world.pool.open(leg(n), Carrier::Peer(call(0))).unwrap());
        assert_eq!((of_a.rtp, of_a.rtcp), (of_b.rtp, of_b.rtp));
        assert_ne!(of_a.peer, of_b.peer);
        world.until(|| world.metrics.counter(Counter::PeersConnected) == 2);
        world.until(|| world.metrics.counter(Counter::RtpForwarded) == 40);
        assert_eq!(world.metrics.gauge(Gauge::PeersActive), 2);

        [0, 1, 1].into_iter().for_each(|n| world.pool.release(leg(n)));
        assert_eq!((world.metrics.gauge(Gauge::PeersActive), world.metrics.gauge(Gauge::MediaPortsUsed)), (0, 0));
        world.settle();
        let strays = || world.metrics.counter(Counter::PeerForeign);
        let before = strays();
        a.speak(20);
        a.check();
        world.until(|| strays() == before + 2);
        assert_ne!(world.pool.open(leg(0), Carrier::Peer(call(0))).unwrap(), of_a);
    }
}

#[test]
fn a_browser_and_a_phone_hear_each_other_whichever_worker_either_began_on() {
    let world = World::start(config(25_410, 10, 3));
    for n in (0..12).step_by(2) {
        let (mut browser, mut phone) = browser_and_phone(&world, n);
        for packet in 0..5 {
            browser.speak(packet);
            phone.speak(packet);
        }
        assert_eq!((browser.hear(5).len(), phone.hear(5).len()), (5, 5), "call {n}");
    }
    let ports = (0..12).step_by(2).map(|n| world.pool.open(leg(n), Carrier::Peer(call(n))).unwrap().rtp);
    assert!(ports.collect::<std::collections::HashSet<_>>().len() > 1, "all calls on one worker");
    (0..12).for_each(|n| world.pool.release(leg(n)));
    assert_eq!((world.metrics.gauge(Gauge::PeersActive), world.metrics.gauge(Gauge::MediaPortsUsed)), (0, 0));
}

/// The longest time without a packet while something speaks without a pause.
struct Gap {
    last: Instant,
    longest: Duration,
    heard: usize,
}

impl Gap {
    fn new() -> Self {
        Self { last: Instant::now(), longest: Duration::ZERO, heard: 0 }
    }

    fn note(&mut self, count: usize) {
        if count > 0 {
            self.longest = self.longest.max(self.last.elapsed());
            self.last = Instant::now();
            self.heard += count;
        }
    }
}

#[test]
fn a_worker_that_is_rebuilt_goes_on_with_its_browsers_and_nobody_shakes_hands_again() {
    const BREAKS: u16 = 10;
    let world = World::start(config(25_440, 4, 1));
    let (mut a, mut b) = browsers(&world, 0);
    let (mut browser, mut phone) = browser_and_phone(&world, 2);
    let mut gaps = [Gap::new(), Gap::new(), Gap::new()];
    for n in 0..BREAKS * 20 {
        a.speak(n);
        browser.speak(n);
        phone.speak(n);
        if n % 20 == 10 {
            world.pool.break_worker(0);
        }
        std::thread::sleep(Duration::from_millis(3));
        for (gap, heard) in gaps.iter_mut().zip([b.hear_now(), phone.hear_now(), browser.hear_now()]) {
            gap.note(heard);
        }
    }
    let late = [b.hear(20).len(), phone.hear(20).len(), browser.hear(20).len()];
    println!("longest gaps: {:?}", gaps.each_ref().map(|gap| gap.longest));
    for (gap, late) in gaps.iter().zip(late) {
        assert_eq!(gap.heard + late, usize::from(BREAKS) * 20);
        assert!(gap.longest < Duration::from_secs(2), "{:?}", gap.longest);
    }
    a.check();
    a.hear(1);
    assert_eq!([a.handshakes, b.handshakes, browser.handshakes], [0; 3]);
    assert_eq!((a.answers, world.metrics.counter(Counter::PeerRefused)), (1, 0));
    world.until(|| world.metrics.counter(Counter::MediaWorkersRebuilt) == u64::from(BREAKS));
    assert_eq!(world.metrics.counter(Counter::PeersRebuilt), 3 * u64::from(BREAKS));
    assert_eq!(world.metrics.counter(Counter::PeersConnected), 3);
}

#[test]
fn a_browser_whose_packet_panics_is_lost_alone() {
    let world = World::start(Config { break_on: Some(1), ..config(25_450, 2, 1) });
    let (mut a, _b) = browsers(&world, 0);
    let (mut c, mut d) = browsers(&world, 2);
    a.speak(0);
    c.speak(0);
    assert_eq!(d.hear(1).len(), 1);
    world.until(|| world.calls.news() == [(leg(0), MediaNews::Broken)]);
    assert_eq!(world.metrics.counter(Counter::MediaWorkersRebuilt), 0);
    d.speak(0);
    assert_eq!(c.hear(1).len(), 1);
}

#[test]
fn a_broken_leg_hears_of_it_although_the_worker_died_before_it_could_tell() {
    let world = World::start(Config { break_on: Some(1), ..config(25_460, 2, 1) });
    let (mut a, _b) = browsers(&world, 0);
    world.calls.refuse_next(usize::MAX);
    a.speak(0);
    world.settle();
    world.pool.break_worker(0);
    world.until(|| world.metrics.counter(Counter::MediaWorkersRebuilt) == 1);
    world.calls.refuse_next(0);
    world.until(|| world.calls.news() == [(leg(0), MediaNews::Broken)]);
}

#[test]
fn a_flood_on_the_port_of_browsers_costs_no_call_a_packet() {
    let world = World::start(config(25_470, 8, 1));
    let (mut a, mut b) = crate::talking(&world);
    let (mut c, mut d) = browsers(&world, 2);
    let port = world.pool.open(leg(2), Carrier::Peer(call(2))).unwrap().rtp;
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let mut check = vec![0, 1, 0, 20, 0x21, 0x12, 0xa4, 0x42, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 6, 0, 15];
            check.extend(b"nobody!:nobody!\0");
            while !is_over.load(SeqCst) {
                for datagram in [&check[..], &[0xff; 100], &[0x80; 172], &[22; 60]] {
                    let _ = socket.send_to(datagram, port);
                }
            }
        });
        let (mut at_a, mut at_b) = (0, 0);
        for n in 0..200 {
            a.speak(n);
            b.speak(n);
            std::thread::sleep(Duration::from_millis(5));
            at_a += a.hear_now();
            at_b += b.hear_now();
        }
        at_a += a.hear(200 - at_a).len();
        at_b += b.hear(200 - at_b).len();
        is_over.store(true, SeqCst);
        assert_eq!((at_a, at_b), (200, 200));
    });
    let strays = [Counter::PeerForeign, Counter::PeerMalformed].map(|counter| world.metrics.counter(counter));
    assert!(strays.iter().all(|count| *count > 1_000), "{strays:?}");
    c.speak(0);
    assert_eq!(d.hear(1).len(), 1);
}

#[test]
fn a_watched_browser_that_falls_silent_is_told_and_one_that_only_checks_is_not() {
    let world = World::start(config(25_490, 2, 2));
    let (mut a, _b) = browsers(&world, 0);
    for n in [0, 1] {
        world.pool.command(leg(n), MediaCommand::Watch { leg: leg(n) }).unwrap();
    }
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(2_500) {
        a.check();
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(world.calls.news(), [(leg(1), MediaNews::Silent)]);
    assert_eq!(world.metrics.counter(Counter::MediaSilent), 1);
}

#[test]
fn a_watched_browser_that_never_gets_beyond_checks_is_told() {
    let world = World::start(config(25_520, 2, 1));
    let mut browser = world.browser(0, call(0));
    world.attach_browser(0, call(0), &browser);
    world.pool.command(leg(0), MediaCommand::Watch { leg: leg(0) }).unwrap();
    let start = Instant::now();
    while world.calls.news().is_empty() {
        assert!(start.elapsed() < Duration::from_secs(10), "it never came to that");
        browser.check();
        browser.hear_now();
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(world.calls.news(), [(leg(0), MediaNews::Silent)]);
    assert!(browser.answers > 0);
}

#[test]
fn reports_reach_a_browser_sealed() {
    let world = World::start(config(25_500, 2, 1));
    let (mut a, mut b) = browsers(&world, 0);
    let start = Instant::now();
    while b.reports == 0 {
        assert!(start.elapsed() < Duration::from_secs(60), "no report");
        a.speak(start.elapsed().as_millis() as u16 / 20);
        b.hear(1);
    }
}

#[test]
fn a_worker_takes_as_many_peers_as_configured_and_their_port_must_be_free() {
    let limited = Config { peers_per_worker: 2, ..config(25_510, 2, 1) };
    let world = World::start(limited.clone());
    let open = |n| world.pool.open(leg(n), Carrier::Peer(call(n)));
    let taken = open(0).unwrap().rtp.port();
    assert!(open(1).is_ok());
    assert_eq!(open(2), Err(Refusal::Full));
    assert!(open(1).is_ok());
    world.pool.release(leg(0));
    assert!(open(2).is_ok());
    assert_eq!(world.metrics.gauge(Gauge::PeersActive), 2);
    let second = Pool::new(Config { first_peer_port: taken, ..limited }, world.calls.clone(), world.metrics.clone());
    assert!(matches!(second, Err(StartError::Port { address, .. }) if address.port() == taken));
}
