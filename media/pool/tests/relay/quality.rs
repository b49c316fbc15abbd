//! What the pool reports of a leg's media.

use tandem_core::media::Carrier;
use tandem_core::metric::Counter;
use tandem_core::ports::MediaPort;

use crate::world::{World, call, leg};
use crate::{config, talking};

#[test]
fn a_legs_report_counts_what_came_and_what_did_not_and_goes_on_after_a_rebuild() {
    let world = World::start(config(25_530, 4, 1));
    assert_eq!(world.pool.report(leg(0)), None);
    let (mut a, mut b) = talking(&world);
    assert_eq!(world.pool.report(leg(0)), None, "no media yet");
    (0..10).filter(|n| *n != 4).for_each(|n| a.speak(n));
    assert_eq!(b.hear(9).len(), 9);
    world.pool.break_worker(0);
    world.until(|| world.metrics.counter(Counter::MediaWorkersRebuilt) == 1);
    (10..20).filter(|n| *n != 15).for_each(|n| a.speak(n));
    assert_eq!(b.hear(9).len(), 9);
    let of_a = world.pool.report(leg(0)).unwrap();
    assert_eq!((of_a.received, of_a.lost, of_a.sent, of_a.rebuilds), (18, 2, 0, 1));
    assert_eq!(of_a.codec.as_deref(), Some("PCMU"));
    assert!(of_a.mos.is_some_and(|mos| mos < 3.6), "{:?}", of_a.mos);
    let of_b = world.pool.report(leg(1)).unwrap();
    assert_eq!((of_b.received, of_b.sent, of_b.codec, of_b.rebuilds), (0, 18, None, 1));
    world.pool.release(leg(0));
    assert_eq!(world.pool.report(leg(0)), None);
}

#[test]
fn a_browsers_report_is_like_a_phones() {
    let world = World::start(config(25_540, 4, 1));
    let mut a = world.browser(0, call(0));
    world.attach_browser(0, call(0), &a);
    a.connect();
    world.settle();
    (0..5).filter(|n| *n != 2).for_each(|n| a.speak(n));
    world.until(|| world.pool.report(leg(0)).is_some_and(|report| report.received == 4));
    let report = world.pool.report(leg(0)).unwrap();
    assert_eq!((report.lost, report.codec.as_deref(), report.rebuilds), (1, Some("PCMU"), 0));
    assert!(world.pool.open(leg(0), Carrier::Peer(call(0))).is_ok());
}
