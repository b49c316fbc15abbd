//! The plain way: one track, without layers, to all who want it.

use super::world::*;
use crate::sfu::*;

const VOICE: u32 = 0x1111;
const CAMERA: u32 = 0x2222;
const REPAIR: u32 = 0x2223;

fn voice(sequence: u16) -> Vec<u8> {
    packet(111, VOICE, sequence, &[(AUDIO_LEVEL, &[0x80 | 20])], &[sequence as u8; 60])
}

fn camera(sequence: u16, is_key: bool) -> Vec<u8> {
    packet(96, CAMERA, sequence, &[(MID, b"1")], &frame(is_key, sequence))
}

/// The last guest publishes; all others receive voice and camera.
fn room(guests: usize) -> World {
    let mut world = World::new(guests);
    let publisher = guests - 1;
    for n in 0..publisher {
        world.subscribe(n, track(1), to_send(1_000));
        world.subscribe(n, track(2), to_send(2_000));
    }
    world.publish(publisher, track(1), audio(publisher, VOICE));
    world.publish(publisher, track(2), video(publisher, &[]));
    world
}

#[test]
fn voice_goes_to_everybody_else_renumbered_as_they_number_it() {
    let mut world = room(3);
    world.speak(2, &(65_530..65_535).map(voice).collect::<Vec<_>>());
    world.speak(2, &(0..5).map(|n| voice(65_535_u16.wrapping_add(n))).collect::<Vec<_>>());
    for n in 0..2 {
        let heard = world.guests[n].take_heard();
        assert_eq!(heard.len(), 10);
        assert!(heard.iter().all(|it| (it.ssrc, it.payload_type) == (1_000, 109) && it.mid.as_deref() == Some("7")));
        for two in heard.windows(2) {
            assert_eq!(two[1].sequence, two[0].sequence.wrapping_add(1));
        }
        assert!(heard.iter().zip(65_530..).all(|(it, n)| it.payload == [n as u8; 60]));
    }
    assert!(world.guests[2].heard.is_empty());
    assert_eq!(world.runs.len(), 4, "one run per receiver and batch");
    let started = world.news();
    let begun = SfuNews::Started { track: track(1), layer: 0, ssrc: VOICE };
    assert!(started.contains(&(participant(2), begun)), "{started:?}");
    assert_eq!(started.iter().filter(|it| matches!(it.1, SfuNews::Connected(_))).count(), 3);
}

#[test]
fn video_begins_with_a_key_frame_that_is_asked_for() {
    let mut world = room(2);
    world.speak(1, &[camera(100, false), camera(101, false)]);
    assert!(world.guests[0].heard.is_empty());
    assert_eq!(world.guests[1].asked_for_keys(CAMERA), 1);
    world.speak(1, &[camera(102, true), camera(103, false)]);
    let heard = world.guests[0].take_heard();
    assert_eq!(heard.len(), 2);
    assert!(heard.iter().all(|it| (it.ssrc, it.payload_type) == (2_000, 120)));
    world.pass(3_000);
    assert_eq!(world.guests[1].asked_for_keys(CAMERA), 1, "it came");
}

#[test]
fn what_a_receiver_misses_is_sent_again_from_one_history_with_its_own_numbers() {
    let mut world = room(3);
    world.guests[0].loses = |sequence| sequence % 5 == 3;
    for n in 0..20_u16 {
        world.speak(2, &[camera(100 + n, n == 0)]);
    }
    assert_eq!(world.guests[1].take_heard().len(), 20);
    let heard = world.guests[0].take_heard();
    assert_eq!(heard.len(), 16);
    let lost: Vec<_> = (heard[0].sequence..heard[0].sequence + 20).filter(|it| it % 5 == 3).collect();
    world.guests[0].loses = |_| false;
    let mut compound = [0; 200];
    let mut writer = rtcp::Writer::new(&mut compound);
    writer.receiver_report(&[]).unwrap();
    writer.missing(2_000, &lost).unwrap();
    writer.missing(9_999, &lost).unwrap();
    let len = writer.len();
    world.report(0, &compound[..len]);
    let again = world.guests[0].take_heard();
    assert_eq!(again.len(), lost.len());
    for (again, sequence) in again.iter().zip(lost) {
        assert_eq!((again.ssrc, again.payload_type), (2_001, 121));
        assert_eq!(again.payload[..2], sequence.to_be_bytes());
        let before = heard.iter().find(|it| it.sequence == sequence - 1).unwrap();
        assert_eq!(again.timestamp, before.timestamp.wrapping_add(3_000));
        assert_eq!(again.payload.len(), before.payload.len() + 2);
    }
    assert!(world.guests[1].heard.is_empty());
}

#[test]
fn what_the_publisher_loses_is_asked_for_and_his_repair_goes_on_as_if_never_lost() {
    let mut world = room(2);
    world.speak(1, &[camera(100, true), camera(101, false), camera(104, false)]);
    world.pass(50);
    assert_eq!(world.guests[1].asked_for(CAMERA), [102, 103]);
    let mut payload = 103_u16.to_be_bytes().to_vec();
    payload.extend(frame(false, 103));
    let repair = stamped(97, REPAIR, 7, 103 * 3_000, &[(MID, b"1")], &payload);
    let again = stamped(97, REPAIR, 8, 103 * 3_000, &[(MID, b"1")], &payload);
    world.speak(1, &[repair, again]);
    let heard = world.guests[0].take_heard();
    let first = heard[0].sequence;
    assert_eq!(heard.iter().map(|it| it.sequence - first).collect::<Vec<_>>(), [0, 1, 4, 3]);
    assert_eq!((heard[3].ssrc, heard[3].payload_type, &heard[3].payload), (2_000, 120, &frame(false, 103)));
    world.guests[1].reports.clear();
    world.pass(200);
    assert!(!world.guests[1].asked_for(CAMERA).contains(&103));
}

#[test]
fn a_receiver_that_cannot_show_it_asks_for_a_key_frame_and_the_publisher_hears_that_twice_a_second_at_most() {
    let mut world = room(3);
    world.speak(2, &[camera(100, true)]);
    world.guests[2].reports.clear();
    let mut compound = [0; 64];
    let mut writer = rtcp::Writer::new(&mut compound);
    writer.picture_loss(2_000).unwrap();
    let len = writer.len();
    for n in 0..20 {
        world.report(n % 2, &compound[..len]);
        world.pass(50);
    }
    let asked = world.guests[2].asked_for_keys(CAMERA);
    assert!((2..=3).contains(&asked), "{asked}");
}

#[test]
fn media_goes_on_in_a_new_engine_without_a_number_repeated_or_missing() {
    let mut world = room(3);
    for n in 0..60_u16 {
        if n % 20 == 10 {
            world.rebuild();
        }
        // The section is named in the first packets only.
        let named: &[(u8, &[u8])] = if n < 3 { &[(MID, b"1")] } else { &[] };
        let picture = packet(96, CAMERA, 65_500_u16.wrapping_add(n), named, &frame(n == 0, n));
        world.speak(2, &[voice(65_500_u16.wrapping_add(n)), picture]);
    }
    for n in 0..2 {
        for ssrc in [1_000, 2_000] {
            let heard: Vec<_> = world.guests[n].heard.iter().filter(|it| it.ssrc == ssrc).collect();
            assert_eq!(heard.len(), 60);
            for two in heard.windows(2) {
                assert_eq!(two[1].sequence, two[0].sequence.wrapping_add(1));
                let round =
                    if two[0].timestamp > two[1].timestamp { 3_000_u32.wrapping_sub(65_536 * 3_000) } else { 3_000 };
                assert_eq!(two[1].timestamp.wrapping_sub(two[0].timestamp), round);
            }
        }
    }
}

#[test]
fn runs_are_of_one_size_but_for_the_last_and_not_longer_than_the_kernel_takes() {
    let mut world = room(2);
    world.segments = 4;
    let sizes = [100, 100, 100, 100, 100, 60, 100, 200, 200, 50, 50];
    let of_size = |(n, size): (usize, &usize)| packet(111, VOICE, n as u16, &[], &vec![1; *size]);
    world.speak(1, &sizes.iter().enumerate().map(of_size).collect::<Vec<_>>());
    assert_eq!(world.guests[0].heard.iter().map(|it| it.payload.len()).collect::<Vec<_>>(), sizes);
    let counts: Vec<_> = world.runs.iter().map(|run| run.len.div_ceil(run.segment)).collect();
    assert_eq!(counts, [4, 2, 1, 3, 1]);
}
