//! Workers that hang, wake, or die while somebody shakes hands.

use std::time::Duration;

use tandem_core::media::MediaNews;
use tandem_core::metric::Counter;

use crate::phone::Phone;
use crate::world::{World, call, leg};
use crate::{config, talking};

/// A second thread for the one worker, as a watchdog brings it.
fn replace(world: &World) -> std::thread::JoinHandle<()> {
    let pool = world.pool.clone();
    let second = std::thread::spawn(move || pool.work(0).unwrap());
    world.until(|| world.metrics.counter(Counter::MediaWorkersRebuilt) == 1);
    second
}

/// Two phones on legs 2 and 3.
fn others(world: &World) -> (Phone, Phone) {
    let (c, d) = (world.phone(2), world.phone(3));
    world.attach(2, &c, 101);
    world.attach(3, &d, 101);
    world.bridge(2, 3);
    world.settle();
    (c, d)
}

#[test]
fn a_worker_that_hangs_is_replaced_and_every_packet_that_waited_is_relayed_once() {
    let world = World::start(config(25_550, 4, 1));
    let (mut a, mut b) = talking(&world);
    a.speak(0);
    assert_eq!(b.hear(1).len(), 1);
    world.pool.hang_worker(0);
    // With legs it turns ten times a second. One that is replaced in the middle of a turn may lose the packet in its hand.
    world.until(|| {
        let turns = world.pool.turns(0);
        std::thread::sleep(Duration::from_secs(1));
        turns == world.pool.turns(0)
    });
    (1..20).for_each(|n| a.speak(n));
    let second = replace(&world);
    let heard = b.hear(19);
    assert_eq!(heard.len(), 19);
    assert!(heard.windows(2).all(|two| two[1].sequence == two[0].sequence.wrapping_add(1)));
    world.until(|| world.has_a_thread_returned());
    assert_eq!(b.hear(1).len(), 0, "the one that woke sent something");
    drop(world);
    second.join().unwrap();
}

#[test]
fn a_packet_that_hangs_its_worker_ends_its_own_leg_and_is_not_sent_when_the_worker_wakes() {
    let world = World::start(config(25_560, 8, 1));
    let (mut a, mut b) = talking(&world);
    let (mut c, mut d) = others(&world);
    world.pool.hang_leg(leg(0));
    a.speak(0);
    c.speak(0);
    let mut threads = Vec::new();
    while world.calls.news().is_empty() {
        // Who turns no more hangs; should one only be slow, the next is asked.
        let turns = world.pool.turns(0);
        std::thread::sleep(Duration::from_millis(600));
        if turns == world.pool.turns(0) {
            let pool = world.pool.clone();
            threads.push(std::thread::spawn(move || pool.work(0).unwrap()));
        }
        assert!(threads.len() < 10, "nobody hears of it");
    }
    assert_eq!(world.calls.news(), [(leg(0), MediaNews::Broken)]);
    assert_eq!(d.hear(1).len(), 1);
    world.until(|| world.has_a_thread_returned());
    assert_eq!(b.hear(1).len(), 0, "the one that woke sent something");
    c.speak(1);
    assert_eq!(d.hear(1).len(), 1);
    drop(world);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn a_handshake_goes_on_in_another_worker_at_every_step() {
    for step in 0..4 {
        let world = World::start(config(25_570, 2, 1));
        let mut browser = world.browser(0, call(0));
        world.attach_browser(0, call(0), &browser);
        let mut is_broken = false;
        browser.connect_while(|handshakes| {
            if handshakes >= step && !is_broken {
                is_broken = true;
                world.pool.break_worker(0);
                world.until(|| world.metrics.counter(Counter::MediaWorkersRebuilt) == 1);
            }
        });
        world.until(|| {
            let counted = [Counter::PeersConnected, Counter::PeersRebuilt].map(|it| world.metrics.counter(it));
            counted.iter().sum::<u64>() == 1
        });
        assert!(is_broken || step == 3, "step {step}");
    }
}
