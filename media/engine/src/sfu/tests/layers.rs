//! Simulcast: which layer somebody gets, and that he does not notice when it is another.

use proptest::prelude::*;

use super::world::*;
use crate::sfu::*;

const LAYERS: [&str; 3] = ["q", "h", "f"];

/// A publisher's layer: where its numbers are.
#[derive(Clone, Copy)]
struct Layer {
    n: u8,
    sequence: u16,
    picture: u16,
}

impl Layer {
    /// Each begins somewhere else.
    fn all() -> [Self; 3] {
        [0, 1, 2].map(|n| Self {
            n,
            sequence: 10_000 + u16::from(n) * 27_000,
            picture: 0x7ff0_u16.wrapping_add(u16::from(n) * 900),
        })
    }

    fn ssrc(self) -> u32 {
        0x3000 + u32::from(self.n)
    }

    /// The next frame, a packet, at that time.
    fn next(&mut self, now: Timestamp, is_key: bool) -> Vec<u8> {
        self.sequence = self.sequence.wrapping_add(1);
        self.picture = self.picture.wrapping_add(1) & 0x7fff;
        let timestamp = (now.0 * 90 / 1_000) as u32 + u32::from(self.n) * 1_000_000;
        let name = LAYERS[usize::from(self.n)].as_bytes();
        let mut payload = frame(is_key, self.picture);
        payload.push(self.n);
        stamped(96, self.ssrc(), self.sequence, timestamp, &[(MID, b"1"), (RID, name)], &payload)
    }
}

/// The first guest publishes in three layers, the others receive.
struct Room {
    world: World,
    layers: [Layer; 3],
}

impl Room {
    fn new(guests: usize) -> Self {
        let mut world = World::new(guests);
        world.publish(0, track(2), video(0, &LAYERS));
        (1..guests).for_each(|n| world.subscribe(n, track(2), to_send(2_000)));
        Self { world, layers: Layer::all() }
    }

    /// One frame of these layers; a key frame where one was asked for.
    fn frame(&mut self, layers: &[usize]) {
        let mut packets = Vec::new();
        for n in layers {
            let layer = &mut self.layers[*n];
            let must = self.world.guests[0].asked_for_keys(layer.ssrc()) > 0;
            packets.push(layer.next(self.world.now, must));
        }
        let asked: Vec<_> = layers.iter().map(|n| self.layers[*n].ssrc()).collect();
        // What was answered is not answered again.
        self.world.guests[0].reports.retain(|report| {
            let mut is_open = false;
            rtcp::read(report, |said| match said {
                rtcp::Said::NeedsKey { ssrc } => is_open |= !asked.contains(&ssrc),
                _ => is_open = true,
            });
            is_open
        });
        self.world.speak(0, &packets);
        self.world.pass(50);
    }

    fn frames(&mut self, count: usize, layers: &[usize]) {
        (0..count).for_each(|_| self.frame(layers));
    }

    /// The layers that somebody got, in order, after a look at all numbers.
    fn seen(&mut self, guest: usize) -> Vec<u8> {
        let heard: Vec<_> = self.world.guests[guest].take_heard();
        check(&heard);
        heard.iter().map(|it| *it.payload.last().unwrap()).collect()
    }
}

/// Nothing is missing, repeated or goes back, and a layer begins with a key frame.
fn check(heard: &[Heard]) {
    for two in heard.windows(2) {
        let [before, after] = two else { continue };
        assert_eq!(after.sequence, before.sequence.wrapping_add(1));
        let step = after.timestamp.wrapping_sub(before.timestamp);
        assert!((1..90_000 * 20).contains(&step), "{step}");
        let [old, new] = [before, after].map(|it| vp8::Numbers::read(&it.payload));
        assert_eq!(new.picture, old.picture.map(|it| it.wrapping_add(1) & 0x7fff));
        assert_eq!(new.base_layer, old.base_layer.map(|it| it.wrapping_add(1)));
        let is_key = Kind::Vp8.is_start(&after.payload);
        assert!(is_key || before.payload.last() == after.payload.last(), "another layer without a key frame");
    }
}

use crate::sfu::codec::Kind;

#[test]
fn everybody_gets_the_best_layer_that_he_wants_and_the_switch_leaves_no_trace() {
    let mut room = Room::new(3);
    room.world.wish(2, track(2), Wish { is_paused: false, max_layer: 1 });
    room.frames(10, &[0, 1, 2]);
    let (best, middle) = (room.seen(1), room.seen(2));
    assert_eq!((best.last(), middle.last()), (Some(&2), Some(&1)));
    room.world.wish(1, track(2), Wish { is_paused: false, max_layer: 0 });
    room.world.wish(2, track(2), Wish::ALL);
    room.frames(5, &[0, 1, 2]);
    room.frames(25, &[0, 1, 2]);
    let (lowest, best) = (room.seen(1), room.seen(2));
    assert_eq!((lowest.last(), best.last()), (Some(&0), Some(&2)));
    assert!(lowest.is_sorted_by(|a, b| a >= b) && best.is_sorted(), "{lowest:?} {best:?}");
    assert!(lowest.len() >= 30 && best.len() >= 30, "a frame is missing while it waits for a key frame");
}

#[test]
fn when_a_layer_stops_the_next_lower_one_takes_its_place_and_it_comes_back() {
    let mut room = Room::new(2);
    room.frames(10, &[0, 1, 2]);
    assert_eq!(room.seen(1).last(), Some(&2));
    room.frames(20, &[0, 1]);
    assert_eq!(room.seen(1).last(), Some(&1));
    room.frames(20, &[0]);
    assert_eq!(room.seen(1).last(), Some(&0));
    room.frames(20, &[0, 1, 2]);
    let seen = room.seen(1);
    assert!(seen.is_sorted() && seen.last() == Some(&2));
}

#[test]
fn a_screen_that_stands_still_keeps_its_layer() {
    let mut room = Room::new(2);
    room.frames(10, &[0, 1, 2]);
    room.seen(1);
    room.world.pass(5_000);
    room.frames(2, &[0, 1, 2]);
    assert_eq!(room.seen(1), [2, 2]);
}

#[test]
fn who_pauses_gets_nothing_and_begins_with_a_key_frame_where_he_left_off() {
    let mut room = Room::new(3);
    room.frames(10, &[0, 1, 2]);
    let last = room.world.guests[1].heard.last().unwrap().clone();
    room.world.guests[1].heard.clear();
    room.world.wish(1, track(2), Wish { is_paused: true, max_layer: 9 });
    room.frames(20, &[0, 1, 2]);
    assert!(room.world.guests[1].heard.is_empty());
    room.world.wish(1, track(2), Wish::ALL);
    room.frames(30, &[0, 1, 2]);
    room.world.guests[1].heard.insert(0, last);
    assert!(room.seen(1).len() > 20);
    room.seen(2);
}

#[test]
fn a_muted_track_goes_to_nobody_until_it_is_unmuted() {
    let mut room = Room::new(2);
    room.frames(10, &[0, 1, 2]);
    room.seen(1);
    room.world.mute(track(2), true);
    room.frames(5, &[0, 1, 2]);
    assert!(room.world.guests[1].heard.is_empty());
    room.world.mute(track(2), false);
    room.frames(30, &[0, 1, 2]);
    assert!(room.seen(1).len() > 20);
}

#[test]
fn what_is_left_of_the_old_layer_and_what_is_older_than_the_switch_does_not_go_out() {
    let mut room = Room::new(2);
    let mut early = [room.layers[0], room.layers[2]];
    room.frames(1, &[0]);
    // Packets of the best layer that come late, behind the key frame that it is entered with.
    let now = room.world.now;
    let late: Vec<_> = (0..5).map(|_| early[1].next(now, false)).collect();
    room.layers[2] = early[1];
    let key = room.layers[2].next(now, true);
    room.frames(1, &[0]);
    room.world.speak(0, &[late[0].clone()]);
    room.world.speak(0, &[key]);
    let before = room.world.guests[1].heard.len();
    room.world.speak(0, &late[1..]);
    let old = room.layers[0].next(now, false);
    room.world.speak(0, &[old]);
    assert_eq!(room.world.guests[1].heard.len(), before);
    room.seen(1);
}

#[test]
fn a_repair_from_before_a_switch_is_still_answered() {
    let mut room = Room::new(2);
    room.frames(3, &[0]);
    let missed = room.world.guests[1].heard[1].clone();
    room.frames(10, &[0, 1, 2]);
    assert_eq!(room.world.guests[1].heard.last().unwrap().payload.last(), Some(&2));
    room.world.guests[1].heard.clear();
    let mut compound = [0; 64];
    let mut writer = rtcp::Writer::new(&mut compound);
    writer.missing(2_000, &[missed.sequence]).unwrap();
    let len = writer.len();
    room.world.report(1, &compound[..len]);
    let [again] = &room.world.guests[1].heard[..] else { panic!("{:?}", room.world.guests[1].heard) };
    assert_eq!((again.timestamp, &again.payload[2..]), (missed.timestamp, &missed.payload[..]));
}

#[test]
fn layers_go_on_in_a_new_engine_also_in_the_middle_of_a_switch() {
    let mut room = Room::new(3);
    for n in 0..60 {
        if n % 7 == 3 {
            room.world.rebuild();
        }
        room.world.wish(1, track(2), Wish { is_paused: false, max_layer: (n / 10 % 3) as u8 });
        room.frame(&[0, 1, 2]);
    }
    assert!(room.seen(1).len() > 45 && room.seen(2).len() > 45);
}

#[test]
fn firefox_names_its_streams_in_its_description_and_its_layers_in_its_packets() {
    let mut world = World::new(2);
    let sources = (0..3).map(|n| (0x3000 + n, Some(0x3100 + n))).collect();
    world.publish(0, track(2), ReceiveSpec { sources, ..video(0, &LAYERS) });
    world.subscribe(1, track(2), to_send(2_000));
    let mut layers = Layer::all();
    let packet = layers[2].next(ms(0), true);
    world.speak(0, &[packet]);
    assert_eq!(world.guests[1].heard.len(), 1);
    let news = world.news();
    let started = SfuNews::Started { track: track(2), layer: 2, ssrc: 0x3002 };
    assert!(news.contains(&(participant(0), started)), "{news:?}");
}

#[test]
fn a_stream_that_nobody_announced_goes_nowhere() {
    let mut world = World::new(2);
    world.publish(0, track(2), video(0, &LAYERS));
    world.subscribe(1, track(2), to_send(2_000));
    let told: [&[(u8, &[u8])]; 5] =
        [&[(MID, b"9"), (RID, b"q")], &[(MID, b"1"), (RID, b"x")], &[(MID, b"1")], &[(RID, b"q")], &[]];
    for (sequence, extensions) in (1..).zip(told) {
        world.speak(0, &[packet(96, 5, sequence, extensions, &frame(true, 1))]);
    }
    world.speak(0, &[packet(77, 5, 9, &[(MID, b"1"), (RID, b"q")], &frame(true, 1))]);
    assert!(world.guests[1].heard.is_empty());
    assert_eq!(world.sfu.take_counts().unbound, 6);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn whatever_is_lost_late_or_switched_no_number_comes_twice_or_goes_back(
        steps in prop::collection::vec((0_u8..20, any::<u8>()), 1..120),
    ) {
        let mut room = Room::new(2);
        let mut held: Vec<Vec<u8>> = Vec::new();
        for (step, what) in steps {
            let n = usize::from(what % 3);
            match step {
                0 => room.world.rebuild(),
                1..3 => room.world.wish(1, track(2), Wish { is_paused: what % 4 == 3, max_layer: what % 3 }),
                3 => room.world.mute(track(2), what % 2 == 0),
                4..6 => { let now = room.world.now; room.layers[n].next(now, what % 5 == 0); }
                6..9 => {
                    let now = room.world.now;
                    held.push(room.layers[n].next(now, what % 5 == 0));
                    room.world.pass(20);
                }
                9..11 => if !held.is_empty() {
                    let packet = held.swap_remove(usize::from(what) % held.len());
                    room.world.speak(0, &[packet]);
                },
                _ => room.frame(&[0, 1, 2][..1 + n]),
            }
        }
        // That no nonce comes twice, the guest checks himself. In the order of their numbers all is as it was sent.
        let mut heard = room.world.guests[1].take_heard();
        heard.sort_by_key(|it| it.sequence.wrapping_sub(0x8000));
        for two in heard.windows(2) {
            prop_assert!(two[1].timestamp.wrapping_sub(two[0].timestamp).cast_signed() > 0);
            let [old, new] = [&two[0], &two[1]].map(|it| vp8::Numbers::read(&it.payload).picture.unwrap());
            let step = new.wrapping_sub(old) & 0x7fff;
            prop_assert!(step > 0 && step < 0x4000);
            if two[1].sequence == two[0].sequence.wrapping_add(1) {
                prop_assert_eq!(step, 1);
            }
        }
    }
}
