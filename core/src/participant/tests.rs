use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::media::Direction;
use crate::room::description::{SectionKind, uri};
use crate::room::sfu::Wish;
use crate::room::signal::{Allowed, Outcome, Showing};
use crate::room::view::{Permission, TrackSource};
use crate::room::world::{RoomWorld, id, join, offer, permission, publish, receiving, section, sending, track};

const AUDIO: SectionKind = SectionKind::Audio;
const VIDEO: SectionKind = SectionKind::Video;

fn directions(world: &RoomWorld, n: u128) -> Vec<Direction> {
    world.answer(n).0.sections.iter().map(|section| section.direction).collect()
}

fn asked(world: &RoomWorld, n: u128) -> Vec<(u32, u32)> {
    let asked = world.told(n).into_iter().filter_map(|signal| match signal {
        RoomSignal::SectionsNeeded { audio, video } => Some((*audio, *video)),
        _ => None,
    });
    asked.collect()
}

fn sends(world: &RoomWorld, n: u128) -> Vec<(TrackId, Wish)> {
    let sends = world.media.iter().filter_map(|(who, command)| match command {
        SfuCommand::Send { track, wish, .. } if *who == id(n) => Some((*track, *wish)),
        _ => None,
    });
    sends.collect()
}

#[test]
fn what_one_publishes_the_other_is_offered_once_and_gets_in_a_free_section() {
    let mut world = RoomWorld::with(&[1, 2]);
    world.publishes(1, 10, AUDIO);
    assert_eq!(asked(&world, 2), [(0, 0)], "he has sections to spare, and must only offer again");
    world.says(2, RoomRequest::Offer { id: 2, offer: offer(&receiving(3, 3)) });
    let (answer, tracks) = world.answer(2);
    assert_eq!(tracks, [(String::from("0"), track(10))]);
    let filled = &answer.sections[0];
    assert_eq!(filled.direction, Direction::SendOnly);
    let msid = filled.msid.as_ref().unwrap();
    assert_eq!(&*msid.stream, format!("PA_{}|camera", id(1).uuid().simple()));
    assert_eq!(*msid.track, format!("TR_{}", track(10).uuid().simple()));
    assert_eq!(sends(&world, 2), [(track(10), Wish::ALL)]);
    assert!(world.told(1).iter().any(|signal| matches!(signal, RoomSignal::TrackSubscribed(it) if *it == track(10))));
    world.says(2, RoomRequest::Offer { id: 3, offer: offer(&receiving(3, 3)) });
    assert_eq!(world.answer(2).1.len(), 1, "in one section only");
    assert_eq!(asked(&world, 2).len(), 1);
}

#[test]
fn a_section_that_nothing_was_announced_for_is_answered_inactive_and_the_simulcast_extensions_stay() {
    let mut world = RoomWorld::with(&[1]);
    let mut sections = receiving(3, 3);
    sections.push(sending(6, VIDEO, "unknown"));
    world.says(1, RoomRequest::Offer { id: 2, offer: offer(&sections) });
    let (answer, _) = world.answer(1);
    assert_eq!(directions(&world, 1), [Direction::Inactive; 7]);
    for section in &answer.sections {
        assert!([uri::MID, uri::RID, uri::REPAIRED_RID].iter().all(|it| section.extension(it).is_some()));
    }
    assert!(world.tracks.is_empty());
}

#[test]
fn a_track_is_found_by_its_name_and_else_by_its_kind() {
    let mut world = RoomWorld::with(&[1]);
    world.says(1, RoomRequest::Publish(publish(10, AUDIO)));
    world.says(1, RoomRequest::Publish(publish(11, VIDEO)));
    world.says(1, RoomRequest::Publish(publish(12, VIDEO)));
    let mut sections = receiving(3, 3);
    sections.push(sending(6, VIDEO, "cid 12"));
    sections.push(sending(7, VIDEO, "as Firefox calls it"));
    sections.push(sending(8, AUDIO, "cid 10"));
    world.says(1, RoomRequest::Offer { id: 2, offer: offer(&sections) });
    let mids: Vec<_> = world.participants[&id(1)].view().tracks.iter().map(|it| (it.id, it.mid.to_string())).collect();
    assert_eq!(mids, [(track(12), "6".into()), (track(11), "7".into()), (track(10), "8".into())]);
    assert_eq!(&*world.participants[&id(1)].view().tracks[0].mime, "video/VP8");
}

#[test]
fn a_wanted_codec_is_taken_and_simulcast_layers_come_in_their_order() {
    let mut world = RoomWorld::with(&[1]);
    let mut wanted = (*publish(10, VIDEO)).clone();
    wanted.codec = "h264".into();
    world.says(1, RoomRequest::Publish(Arc::new(wanted)));
    let mut sections = receiving(3, 3);
    let mut sent = sending(6, VIDEO, "cid 10");
    sent.rids = vec!["f".into(), "h".into(), "q".into()];
    sections.push(sent);
    world.says(1, RoomRequest::Offer { id: 2, offer: offer(&sections) });
    let (_, carried) = world.tracks.iter().find(|(it, _)| *it == track(10)).unwrap();
    let PublicationInput::Carry(spec) = carried else { panic!("{carried:?}") };
    assert_eq!(spec.formats[0].0.name, "H264");
    let rids: Vec<_> = spec.layers.iter().map(|layer| (&*layer.rid, layer.height)).collect();
    assert_eq!(rids, [("q", 180), ("h", 360), ("f", 720)]);
    assert_eq!(world.answer(1).0.sections[6].rids.len(), 3);
}

#[test]
fn when_sections_run_out_as_many_more_are_asked_for() {
    let mut world = RoomWorld::with(&[1, 2]);
    for n in 0..5 {
        world.says(1, RoomRequest::Publish(publish(10 + n, AUDIO)));
    }
    let mut sections = receiving(3, 3);
    sections.extend((0..5).map(|n| sending(6 + n, AUDIO, &format!("cid {}", 10 + n))));
    world.says(1, RoomRequest::Offer { id: 2, offer: offer(&sections) });
    assert_eq!(asked(&world, 2), [(2, 0)]);
    let mut sections = receiving(3, 3);
    sections.extend((6..8).map(|mid| section(mid, AUDIO, Direction::RecvOnly)));
    world.says(2, RoomRequest::Offer { id: 2, offer: offer(&sections) });
    assert_eq!(world.answer(2).1.len(), 5);
    assert_eq!(asked(&world, 2).len(), 1, "there is nothing more to ask for");
}

#[test]
fn a_section_is_empty_for_one_answer_before_it_carries_another_track() {
    let mut world = RoomWorld::with(&[1, 2]);
    world.publishes(1, 10, AUDIO);
    world.says(2, RoomRequest::Offer { id: 2, offer: offer(&receiving(1, 0)) });
    assert!(
        world.told(2).iter().any(|it| matches!(it, RoomSignal::Left { .. })),
        "fewer sections are no renegotiation"
    );
    let mut world = RoomWorld::with(&[1]);
    world.enter(join(2));
    world.says(2, RoomRequest::Offer { id: 1, offer: offer(&receiving(1, 0)) });
    world.publishes(1, 10, AUDIO);
    world.says(2, RoomRequest::Offer { id: 2, offer: offer(&receiving(1, 0)) });
    assert_eq!(world.answer(2).1, [(String::from("0"), track(10))]);
    world.says(2, RoomRequest::Subscribe { tracks: vec![track(10)], is_wanted: false });
    world.says(1, RoomRequest::Publish(publish(11, AUDIO)));
    let mut sections = receiving(3, 3);
    sections.extend([sending(6, AUDIO, "cid 10"), sending(7, AUDIO, "cid 11")]);
    world.says(1, RoomRequest::Offer { id: 3, offer: offer(&sections) });
    world.says(2, RoomRequest::Offer { id: 3, offer: offer(&receiving(1, 0)) });
    assert_eq!(directions(&world, 2), [Direction::Inactive]);
    assert_eq!(asked(&world, 2).last(), Some(&(0, 0)));
    world.says(2, RoomRequest::Offer { id: 4, offer: offer(&receiving(1, 0)) });
    assert_eq!(world.answer(2).1, [(String::from("0"), track(11))]);
    let stops =
        |(_, it): &&(_, SfuCommand)| matches!(it, SfuCommand::StopSending { track: it, .. } if *it == track(10));
    assert_eq!(world.media.iter().filter(stops).count(), 1);
}

#[test]
fn the_layer_follows_the_size_of_the_tile_and_what_is_not_shown_is_paused() {
    let mut world = RoomWorld::with(&[1, 2]);
    world.publishes(1, 10, VIDEO);
    world.says(2, RoomRequest::Offer { id: 2, offer: offer(&receiving(3, 3)) });
    let show = |width, height, quality, is_disabled| RoomRequest::Show {
        tracks: vec![track(10)],
        how: Showing { is_disabled, quality, width, height },
    };
    for (request, expected) in [
        (show(160, 90, None, false), Wish { is_paused: false, max_layer: 0 }),
        (show(640, 360, None, false), Wish { is_paused: false, max_layer: 1 }),
        (show(650, 366, None, false), Wish { is_paused: false, max_layer: 1 }),
        (show(1_920, 1_080, None, false), Wish::ALL),
        (show(0, 0, Some(1), false), Wish { is_paused: false, max_layer: 1 }),
        (show(1_280, 720, Some(0), false), Wish { is_paused: false, max_layer: 0 }),
        (show(0, 0, None, true), Wish { is_paused: true, max_layer: u8::MAX }),
    ] {
        world.says(2, request);
        assert_eq!(sends(&world, 2).last(), Some(&(track(10), expected)));
    }
}

#[test]
fn what_may_not_be_received_is_stopped_and_what_may_be_again_is_asked_for() {
    let mut world = RoomWorld::with(&[1, 2, 3]);
    world.publishes(1, 10, AUDIO);
    for guest in [2, 3] {
        world.says(guest, RoomRequest::Offer { id: 2, offer: offer(&receiving(3, 3)) });
    }
    let only_third = vec![(Allowed::Identity(join(3).identity), None)];
    world.says(1, RoomRequest::Allow(Arc::new(Allowance { all: false, some: only_third })));
    let stopped = |n| world.media.iter().any(|(who, it)| *who == id(n) && matches!(it, SfuCommand::StopSending { .. }));
    assert!(stopped(2) && !stopped(3));
    let told = |it: &&&RoomSignal| matches!(it, RoomSignal::MayReceive { is_allowed: false, .. });
    assert!(world.told(2).iter().find(told).is_some() && world.told(3).iter().find(told).is_none());
    let before = asked(&world, 2).len();
    world.says(1, RoomRequest::Allow(Arc::new(Allowance { all: true, some: Vec::new() })));
    assert_eq!(asked(&world, 2).len(), before + 1);
}

#[test]
fn without_leave_nothing_is_published_and_what_was_is_ended_when_it_is_withdrawn() {
    let mut world = RoomWorld::new(None);
    let only_camera = Permission { sources: [TrackSource::Camera].into(), ..permission() };
    world.enter(Join { permission: only_camera, ..join(1) });
    world.says(1, RoomRequest::Offer { id: 1, offer: offer(&receiving(3, 3)) });
    world.says(1, RoomRequest::Publish(publish(9, AUDIO)));
    assert!(!world.told(1).iter().any(|it| matches!(it, RoomSignal::Published { .. })));
    world.publishes(1, 10, VIDEO);
    assert_eq!(world.participants[&id(1)].view().tracks.len(), 1);
    let nothing = Permission { can_publish: false, ..permission() };
    world.input(1, ParticipantInput::Order(ParticipantOrder::Permit(nothing)));
    assert!(world.participants[&id(1)].view().tracks.is_empty());
    assert_eq!(world.tracks.last(), Some(&(track(10), PublicationInput::End)));
    assert!(world.told(1).contains(&&RoomSignal::Unpublished(track(10))));
}

#[test]
fn who_is_cut_keeps_his_place_and_is_told_all_when_he_is_back() {
    let mut world = RoomWorld::with(&[1, 2]);
    world.publishes(1, 10, AUDIO);
    world.input(2, ParticipantInput::Cut);
    world.pass(RESUME_WINDOW / 2);
    world.input(2, ParticipantInput::Resume);
    let Some(RoomSignal::Resumed(joined)) = world.told(2).last().copied() else { panic!("{:?}", world.told(2)) };
    assert_eq!((joined.me.id, joined.others.len(), joined.others[0].tracks.len()), (id(2), 1, 1));
    world.pass(RESUME_WINDOW);
    assert!(!world.participants[&id(2)].is_ended());
    world.input(2, ParticipantInput::Cut);
    world.pass(RESUME_WINDOW);
    assert!(world.participants[&id(2)].is_ended());
    assert_eq!(world.conference.members().count(), 1);
}

#[test]
fn what_he_has_after_a_cut_is_compared_and_a_strange_track_means_to_come_anew() {
    let mut world = RoomWorld::with(&[1, 2]);
    world.publishes(1, 10, AUDIO);
    world.publishes(2, 20, VIDEO);
    world.says(
        1,
        RoomRequest::Offer {
            id: 3,
            offer: offer(&{
                let mut sections = receiving(3, 3);
                sections.push(sending(6, AUDIO, "cid 10"));
                sections
            }),
        },
    );
    let sync = |published, disabled| RoomRequest::Sync { published, exceptions: Vec::new(), disabled };
    world.says(1, sync(vec![track(10)], vec![track(20)]));
    assert_eq!(sends(&world, 1).last(), Some(&(track(20), Wish { is_paused: true, max_layer: u8::MAX })));
    world.says(1, sync(vec![track(99)], Vec::new()));
    let left = RoomSignal::Left { reason: LeaveReason::StateMismatch, then: Then::Rejoin };
    assert_eq!(world.told(1).last(), Some(&&left));
}

#[test]
fn who_does_not_connect_or_falls_silent_is_out_and_all_of_his_is_ended() {
    let mut world = RoomWorld::new(None);
    world.enter(join(1));
    world.pass(CONNECT_TIMEOUT);
    assert!(world.participants[&id(1)].is_ended());
    let mut world = RoomWorld::with(&[1, 2]);
    world.publishes(1, 10, AUDIO);
    world.input(1, ParticipantInput::News(SfuNews::Silent(TransportRole::Publisher)));
    assert_eq!(world.tracks.last(), Some(&(track(10), PublicationInput::End)));
    let left = RoomSignal::Left { reason: LeaveReason::MediaLost, then: Then::Rejoin };
    assert!(world.told(1).contains(&&left));
    let Some(RoomSignal::Participants(seen)) = world.told(2).last().copied() else { panic!() };
    assert_eq!((seen[0].state, seen[0].tracks.len()), (ParticipantState::Disconnected, 0));
}

#[test]
fn an_input_that_broke_its_actor_sends_only_him_to_come_anew() {
    let mut world = RoomWorld::with(&[1, 2]);
    let lost = Notice::Recovered { lost: ParticipantKind::Vital };
    world.input(1, ParticipantInput::Notice(lost));
    assert!(world.participants[&id(1)].is_ended() && !world.participants[&id(2)].is_ended());
    let lost = Notice::Recovered { lost: ParticipantKind::Passing };
    world.input(2, ParticipantInput::Notice(lost));
    assert!(!world.participants[&id(2)].is_ended());
}

#[test]
fn he_changes_what_others_see_of_him_if_he_may_and_it_is_not_too_much() {
    let mut world = RoomWorld::with(&[1, 2]);
    let describe = |request, metadata: &str, pairs: &[(&str, &str)]| RoomRequest::Describe {
        request,
        metadata: Some(metadata.into()),
        name: None,
        attributes: pairs.iter().map(|(key, value)| (String::from(*key), String::from(*value))).collect(),
    };
    world.says(1, describe(1, "hand up", &[("mood", "good"), ("seat", "3")]));
    world.says(1, describe(2, "hand down", &[("mood", "")]));
    let Some(RoomSignal::Participants(seen)) = world.told(2).last().copied() else { panic!() };
    assert_eq!((&*seen[0].metadata, seen[0].attributes.len()), ("hand down", 1));
    world.says(1, describe(3, &"x".repeat(70_000), &[]));
    let outcomes: Vec<_> = world
        .told(1)
        .into_iter()
        .filter_map(|it| match it {
            RoomSignal::Outcome { request, outcome } => Some((*request, *outcome)),
            _ => None,
        })
        .collect();
    assert_eq!(outcomes, [(1, Outcome::Done), (2, Outcome::Done), (3, Outcome::TooLarge)]);
}

#[test]
fn a_muted_track_is_shown_muted_and_its_actor_told() {
    let mut world = RoomWorld::with(&[1, 2]);
    world.publishes(1, 10, AUDIO);
    world.says(1, RoomRequest::Mute { track: track(10), is_muted: true });
    assert_eq!(world.tracks.last(), Some(&(track(10), PublicationInput::Mute(true))));
    let Some(RoomSignal::Participants(seen)) = world.told(2).last().copied() else { panic!() };
    assert!(seen[0].tracks[0].is_muted);
    world.input(1, ParticipantInput::Order(ParticipantOrder::Mute { track: track(10), is_muted: false }));
    assert!(world.told(1).contains(&&RoomSignal::Muted { track: track(10), is_muted: false }));
    let before = world.tracks.len();
    world.says(2, RoomRequest::Mute { track: track(10), is_muted: true });
    assert_eq!(world.tracks.len(), before, "it is not his");
}

#[test]
fn an_early_offer_waits_for_our_side() {
    let mut world = RoomWorld::new(None);
    world.enter(join(1));
    let mut early = world.participants[&id(1)].clone();
    early.local = None;
    let out = early
        .handle(world.now, ParticipantInput::Request(RoomRequest::Offer { id: 7, offer: offer(&receiving(1, 1)) }));
    assert!(out.unwrap().is_empty());
    let local = (**world.participants[&id(1)].local.as_ref().unwrap()).clone();
    let out = early.handle(world.now, ParticipantInput::MediaReady(TransportRole::Publisher, local)).unwrap();
    assert!(out.iter().any(|it| matches!(it, ParticipantEffect::Signal(RoomSignal::Answer { id: 7, .. }))));
}

#[test]
fn time_passes_without_harm() {
    let mut world = RoomWorld::with(&[1]);
    world.pass(Duration::from_secs(3_600));
    assert!(!world.participants[&id(1)].is_ended());
}
