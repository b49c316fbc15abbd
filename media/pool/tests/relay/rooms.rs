//! What participants of a room notice of the pool.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tandem_core::id::{ConferenceId, ParticipantId, TrackId};
use tandem_core::machine::Refusal;
use tandem_core::media::MediaDescription;
use tandem_core::metric::{Counter, Gauge};
use tandem_core::ports::{SfuListener, SfuPort};
use tandem_core::room::description::SectionKind;
use tandem_core::room::sfu::{
    Extensions, ReceiveSpec, SendSpec, SfuCommand, SfuNews, Speakers, TransportId, TransportRole, Wish,
};
use tandem_media::Config;
use uuid::Uuid;

use crate::browser::Browser;
use crate::config;
use crate::world::World;

/// Who hears of rooms.
#[derive(Default)]
pub(crate) struct Listener {
    pub(crate) news: Mutex<Vec<(ParticipantId, SfuNews)>>,
}

impl SfuListener for Listener {
    fn news(&self, participant: ParticipantId, news: SfuNews) -> Result<(), Refusal> {
        self.news.lock().push((participant, news));
        Ok(())
    }

    fn speakers(&self, _: Speakers) {}
}

fn room(n: usize) -> ConferenceId {
    ConferenceId::from_uuid(Uuid::from_u128(n as u128 + 1))
}

fn transport(n: usize) -> TransportId {
    TransportId {
        participant: ParticipantId::from_uuid(Uuid::from_u128(n as u128 + 1)),
        role: TransportRole::Publisher,
    }
}

fn track(n: usize) -> TrackId {
    TrackId::from_uuid(Uuid::from_u128(n as u128 + 1))
}

/// A browser in a room that publishes its voice as track `n`.
fn join(world: &World, of: usize, n: usize) -> Browser {
    let local = world.pool.open(room(of), transport(n)).unwrap();
    let mut browser = Browser::new(&local, n as u32 + 1);
    let description = browser.description();
    let tell = |command| world.pool.command(room(of), command).unwrap();
    let remote = description.peer.clone().unwrap();
    tell(SfuCommand::Connect { transport: transport(n), remote, extensions: Extensions::default() });
    tell(SfuCommand::Receive { track: track(n), spec: Arc::new(voice(n, &description)) });
    browser.connect();
    browser
}

fn voice(n: usize, description: &MediaDescription) -> ReceiveSpec {
    ReceiveSpec {
        transport: transport(n),
        mid: "0".into(),
        kind: SectionKind::Audio,
        formats: vec![(description.codecs[0].clone(), None)],
        layers: Vec::new(),
        sources: vec![(n as u32 + 1, None)],
        nack: false,
    }
}

fn subscribe(world: &World, of: usize, to: usize, from: usize, browser: &Browser) {
    let formats = vec![(browser.description().codecs[0].clone(), None)];
    let spec = SendSpec { mid: "1".into(), ssrc: 1_000 + from as u32, rtx_ssrc: None, formats };
    let (track, transport) = (track(from), transport(to));
    let command = SfuCommand::Send { track, transport, spec: Arc::new(spec), wish: Wish::ALL };
    world.pool.command(room(of), command).unwrap();
}

/// Three of one room, all of whom hear the first.
fn three(world: &World, of: usize) -> [Browser; 3] {
    let browsers = [0, 1, 2].map(|n| join(world, of, of * 3 + n));
    for (n, browser) in browsers.iter().enumerate().skip(1) {
        subscribe(world, of, of * 3 + n, of * 3, browser);
    }
    world.settle();
    browsers
}

#[test]
fn participants_hear_each_other_in_as_many_rooms_as_there_are_and_leave_nothing_behind() {
    for workers in [1, 3] {
        let world = World::start(config(25_530, 2, workers));
        for of in 0..3 {
            let [mut a, mut b, mut c] = three(&world, of);
            (0..20).for_each(|n| a.speak(n));
            for heard in [b.hear(20), c.hear(20)] {
                assert_eq!(heard.len(), 20);
                assert!(heard.windows(2).all(|two| two[1].sequence == two[0].sequence.wrapping_add(1)));
                assert!(heard.windows(2).all(|two| two[1].timestamp == two[0].timestamp.wrapping_add(160)));
                assert!(heard.iter().all(|it| it.ssrc == 1_000 + of as u32 * 3));
            }
            assert_eq!(a.hear_now(), 0);
        }
        world.until(|| world.metrics.counter(Counter::RtpForwarded) == 3 * 40);
        let connected = |it: &&(ParticipantId, SfuNews)| matches!(it.1, SfuNews::Connected(_));
        world.until(|| world.listener.news.lock().iter().filter(connected).count() == 9);
        assert_eq!(world.metrics.gauge(Gauge::PeersActive), 9);
        (0..9).chain(0..9).for_each(|n| world.pool.release(transport(n)));
        assert_eq!(world.metrics.gauge(Gauge::PeersActive), 0);
        let gone = SfuCommand::StopSending { track: track(0), transport: transport(1) };
        assert_eq!(world.pool.command(room(0), gone), Ok(()));
        let gone = SfuCommand::Mute { track: track(0), is_muted: true };
        assert_eq!(world.pool.command(room(0), gone), Err(Refusal::Gone));
    }
}

#[test]
fn a_worker_that_is_rebuilt_goes_on_with_its_rooms_and_nobody_loses_a_packet() {
    const BREAKS: u16 = 5;
    let world = World::start(config(25_540, 2, 1));
    let [mut a, mut b, mut c] = three(&world, 0);
    let mut heard = [Vec::new(), Vec::new()];
    for n in 0..BREAKS * 20 {
        a.speak(n);
        if n % 20 == 10 {
            world.pool.break_worker(0);
        }
        std::thread::sleep(Duration::from_millis(3));
        for (heard, browser) in heard.iter_mut().zip([&mut b, &mut c]) {
            heard.extend(browser.hear_all());
        }
    }
    for (mut heard, browser) in heard.into_iter().zip([&mut b, &mut c]) {
        let missing = usize::from(BREAKS) * 20 - heard.len();
        heard.extend(browser.hear(missing));
        assert_eq!(heard.len(), usize::from(BREAKS) * 20);
        assert!(heard.windows(2).all(|two| two[1].sequence == two[0].sequence.wrapping_add(1)));
    }
    assert_eq!([a.handshakes, b.handshakes, c.handshakes], [0; 3]);
    world.until(|| world.metrics.counter(Counter::MediaWorkersRebuilt) == u64::from(BREAKS));
    assert_eq!(world.metrics.counter(Counter::PeersRebuilt), 3 * u64::from(BREAKS));
}

#[test]
fn a_participant_whose_packet_panics_is_lost_alone() {
    let world = World::start(Config { break_on: Some(2), ..config(25_550, 2, 1) });
    let [mut a, mut b, mut c] = three(&world, 0);
    b.speak(0);
    let broken = || world.listener.news.lock().iter().filter(|it| matches!(it.1, SfuNews::Broken(_))).count();
    world.until(|| broken() == 1);
    assert!(
        world.listener.news.lock().contains(&(transport(1).participant, SfuNews::Broken(TransportRole::Publisher)))
    );
    for n in 0..10 {
        a.speak(n);
    }
    assert_eq!(c.hear(10).len(), 10);
    assert_eq!(b.hear_now(), 0);
    assert_eq!((broken(), world.metrics.counter(Counter::MediaWorkersRebuilt)), (1, 0));
}

#[test]
fn a_participant_whose_packet_breaks_on_its_way_out_is_lost_alone() {
    let world = World::start(Config { break_on: Some(7_777), ..config(25_570, 2, 1) });
    let [mut a, mut b, mut c] = three(&world, 0);
    let formats = vec![(b.description().codecs[0].clone(), None)];
    let spec = SendSpec { mid: "1".into(), ssrc: 7_777, rtx_ssrc: None, formats };
    let (track, transport) = (track(0), transport(1));
    let command = SfuCommand::Send { track, transport, spec: Arc::new(spec), wish: Wish::ALL };
    world.pool.command(room(0), command).unwrap();
    world.settle();
    (0..10).for_each(|n| a.speak(n));
    assert_eq!((c.hear(10).len(), b.hear_now()), (10, 0));
    let broken = (transport.participant, SfuNews::Broken(TransportRole::Publisher));
    world.until(|| world.listener.news.lock().contains(&broken));
    assert_eq!(world.metrics.counter(Counter::MediaPanics), 1);
    assert_eq!(world.metrics.counter(Counter::MediaWorkersRebuilt), 0);
}

#[test]
fn rooms_and_calls_share_a_worker_and_its_limit_of_peers() {
    let world = World::start(Config { peers_per_worker: 2, ..config(25_560, 2, 1) });
    assert!(world.pool.open(room(0), transport(0)).is_ok());
    assert!(world.pool.open(room(0), transport(1)).is_ok());
    assert_eq!(world.pool.open(room(1), transport(2)), Err(Refusal::Full));
    assert!(world.pool.open(room(0), transport(1)).is_ok());
    world.pool.release(transport(0));
    assert!(world.pool.open(room(1), transport(2)).is_ok());
    world.pool.give_up(0);
    world.until(|| world.listener.news.lock().len() == 2);
    assert_eq!(world.pool.open(room(1), transport(3)), Err(Refusal::Full));
}
