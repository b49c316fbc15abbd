//! What is reported: of packets to their senders, of speakers and quality to everybody, of silence.

use super::world::*;
use crate::sfu::*;

const VOICE: u32 = 0x1111;

fn voice(sequence: u16, level: u8) -> Vec<u8> {
    packet(111, VOICE, sequence, &[(AUDIO_LEVEL, &[level])], &[7; 60])
}

/// Guest 1 publishes voice and camera to guest 0.
fn room() -> World {
    let mut world = World::new(2);
    world.subscribe(0, track(1), to_send(1_000));
    world.subscribe(0, track(2), to_send(2_000));
    world.publish(1, track(1), audio(1, VOICE));
    world.publish(1, track(2), video(1, &[]));
    world
}

fn compound(write: impl FnOnce(&mut rtcp::Writer<'_>) -> Option<()>) -> Vec<u8> {
    let mut out = [0; 500];
    let mut writer = rtcp::Writer::new(&mut out);
    write(&mut writer).unwrap();
    let len = writer.len();
    out[..len].to_vec()
}

#[test]
fn who_speaks_is_told_and_who_is_muted_does_not() {
    let mut world = room();
    let mut told = Vec::new();
    for n in 0..200_u16 {
        let level = if n < 100 { 20 } else { 127 };
        world.speak(1, &[voice(n, level)]);
        if n == 60 {
            world.mute(track(1), true);
        }
        world.pass(20);
        while let Some(it) = world.sfu.poll_speakers() {
            assert_eq!(it.conference, ROOM);
            told.push((n, it.changed));
        }
    }
    let active: Vec<_> =
        told.iter().flat_map(|(n, all)| all.iter().map(move |it| (*n, it.is_active, it.participant))).collect();
    let (begun, ended) = (active.first().unwrap(), active.last().unwrap());
    assert!(begun.1 && begun.0 < 50 && begun.2 == participant(1), "{active:?}");
    assert!(!ended.1 && (60..140).contains(&ended.0) && ended.2 == participant(1), "{active:?}");
}

#[test]
fn the_publisher_hears_when_each_of_his_packets_came() {
    let mut world = room();
    for n in 0..10_u16 {
        let sequence = n.to_be_bytes();
        world.speak(1, &[packet(111, VOICE, n, &[(TRANSPORT_CC, &sequence)], &[7; 60])]);
        world.pass(20);
    }
    let feedback = world.guests[1].reports.iter().filter(|it| it[1] == 205 && it[0] & 0x1f == rtcp::TRANSPORT_CC);
    let counted: u16 = feedback.map(|it| u16::from_be_bytes([it[14], it[15]])).sum();
    assert_eq!(counted, 10);
}

#[test]
fn a_sender_report_reaches_the_receiver_in_his_numbers_with_the_publishers_clock() {
    let mut world = room();
    let mut said = vec![0x80, 200, 0, 6];
    said.extend(VOICE.to_be_bytes());
    said.extend((77_u64 << 32).to_be_bytes());
    said.extend(600_000_u32.to_be_bytes());
    said.extend([0; 8]);
    world.speak(1, &[voice(200, 127)]);
    world.report(1, &said);
    world.speak(1, &[voice(201, 127)]);
    let heard = world.guests[0].heard.last().unwrap().clone();
    world.guests[0].reports.clear();
    world.pass(1_000);
    let mut found = None;
    for report in &world.guests[0].reports {
        rtcp::read(report, |said| {
            if let rtcp::Said::Sent { ssrc: 1_000, ntp, rtp } = said {
                found = found.or(Some((ntp, rtp)));
            }
        });
    }
    let (ntp, rtp) = found.expect("a report");
    // Packet 201 has 603,000 there: 3,000 after the instant that the report names.
    let at_packet = heard.timestamp.wrapping_sub(3_000);
    let since = (u128::from(ntp - (77 << 32)) * 48_000) >> 32;
    assert!(rtp.wrapping_sub(at_packet).abs_diff(since as u32) <= 1, "{rtp} {at_packet} {since}");
}

#[test]
fn loss_on_either_side_is_that_participants_quality_and_told_when_it_changes() {
    let mut world = room();
    let told = |world: &mut World| {
        let quality = |(who, news)| match news {
            SfuNews::Quality(quality) => Some((who, quality)),
            _ => None,
        };
        world.news().into_iter().filter_map(quality).collect::<Vec<_>>()
    };
    let mut sequence = 0;
    let mut speak = |world: &mut World, one_of: u16| {
        for _ in 0..260 {
            sequence += 1;
            if sequence % one_of != 0 {
                world.speak(1, &[voice(sequence, 127)]);
            }
            world.pass(20);
        }
    };
    let lost = |fraction_lost: u8| {
        let block = crate::rtcp::ReceptionBlock {
            ssrc: 1_000,
            fraction_lost,
            lost: 0,
            highest: 0,
            jitter: 0,
            last_sr: 0,
            delay: 0,
        };
        compound(|it| it.receiver_report(&[block]))
    };
    world.pass(100);
    speak(&mut world, 1_000);
    assert_eq!(told(&mut world), [(participant(1), Quality::Excellent)]);
    speak(&mut world, 4);
    assert_eq!(told(&mut world), [(participant(1), Quality::Poor)]);
    world.report(0, &lost(13));
    speak(&mut world, 20);
    let mut both = told(&mut world);
    both.sort_by_key(|it| it.0);
    assert_eq!(both, [(participant(0), Quality::Good), (participant(1), Quality::Good)]);
}

#[test]
fn a_guest_who_is_gone_is_told_of_once_and_again_after_he_was_back() {
    let mut world = room();
    world.pass(9_000);
    world.speak(1, &[voice(1, 127)]);
    world.pass(3_000);
    let silent = |world: &mut World| {
        let news = world.news().into_iter();
        news.filter(|it| matches!(it.1, SfuNews::Silent(_))).map(|it| it.0).collect::<Vec<_>>()
    };
    assert_eq!(silent(&mut world), [participant(0)]);
    world.pass(30_000);
    assert_eq!(silent(&mut world), [participant(1)]);
    world.speak(1, &[voice(2, 127)]);
    world.pass(11_000);
    assert_eq!(silent(&mut world), [participant(1)]);
}

#[test]
fn who_leaves_takes_what_he_sent_and_what_he_got_along_and_the_rest_goes_on() {
    let mut world = World::new(3);
    for (of, ssrc) in [(0, 0x10), (1, 0x11)] {
        world.publish(of, track(of as u128), audio(of, ssrc));
    }
    for to in 0..3 {
        for of in (0..2_u32).filter(|of| *of != to) {
            world.subscribe(to as usize, track(of.into()), to_send(1_000 + of * 10));
        }
    }
    let say = |world: &mut World, of: usize, sequence: u16| {
        world.speak(of, &[packet(111, 0x10 + of as u32, sequence, &[], &[1; 20])]);
        world.guests.iter_mut().map(|guest| guest.take_heard().len()).collect::<Vec<_>>()
    };
    assert_eq!(say(&mut world, 0, 1), [0, 1, 1]);
    assert_eq!(say(&mut world, 1, 1), [1, 0, 1]);
    world.sfu.close(1);
    world.sfu.close(1);
    assert_eq!(say(&mut world, 0, 2), [0, 0, 1]);
    assert_eq!(world.sfu.find(world.guests[1].far.address, &[0x80, 0]), None);
    world.sfu.stop_sending(2, track(0));
    world.sfu.leave_out(0, track(0));
    world.sfu.leave_out(0, track(0));
    assert_eq!(say(&mut world, 0, 3), [0, 0, 0]);
    world.sfu.close(0);
    world.sfu.close(2);
    assert!(world.sfu.tracks.is_empty() && world.sfu.wanted.is_empty() && world.sfu.rooms.is_empty());
    assert!(world.sfu.places.is_empty());
}

#[test]
fn an_ssrc_that_is_given_to_another_track_goes_on_with_its_numbers() {
    let mut world = World::new(2);
    world.publish(1, track(1), audio(1, 0x10));
    world.publish(1, track(2), audio(1, 0x20));
    for n in 0..10_u16 {
        let id = track(1 + u128::from(n % 2));
        world.sfu.stop_sending(0, track(2 - u128::from(n % 2)));
        world.subscribe(0, id, to_send(1_000));
        world.speak(1, &[packet(111, 0x10 + u32::from(n % 2) * 0x10, 100 + n, &[], &[1; 20])]);
    }
    let heard = world.guests[0].take_heard();
    assert_eq!(heard.len(), 10);
    assert!(heard.windows(2).all(|two| two[1].sequence == two[0].sequence.wrapping_add(1)));
}
