//! Clients with two connections.

use std::sync::Arc;

use super::*;
use crate::media::Direction;
use crate::room::description::{Section, SectionKind};
use crate::room::sfu::Wish;
use crate::room::signal::Topology;
use crate::room::world::{RoomWorld, id, join, offer, track};

type Offered = (u32, Arc<Description>, Vec<(String, TrackId)>);

/// Two, of whom the second has two connections, and is not answered yet.
fn world() -> RoomWorld {
    let mut world = RoomWorld::with(&[1]);
    world.enter(Join { topology: Topology::Dual, ..join(2) });
    world
}

fn offers(world: &RoomWorld) -> Vec<Offered> {
    let offers = world.told(2).into_iter().filter_map(|signal| match signal {
        RoomSignal::Offer { id, offer, tracks } => {
            Some((*id, offer.clone(), tracks.iter().map(|(mid, track)| (mid.to_string(), *track)).collect()))
        }
        _ => None,
    });
    offers.collect()
}

fn last(world: &RoomWorld) -> Offered {
    offers(world).pop().unwrap()
}

/// Answers the last offer as a client does that takes everything.
fn answers(world: &mut RoomWorld) {
    answers_with(world, |section| section);
}

fn answers_with(world: &mut RoomWorld, change: impl Fn(Section) -> Section) {
    let (id, offered, _) = last(world);
    let turned = |section: &Arc<Section>| {
        let direction = match section.direction {
            Direction::SendOnly => Direction::RecvOnly,
            other => other,
        };
        change(Section { direction, msid: None, sources: Vec::new(), ..section.as_ref().clone() })
    };
    let sections: Vec<Section> = offered.sections.iter().map(turned).collect();
    world.says(2, RoomRequest::Answer { id, answer: offer(&sections) });
}

fn commands(world: &RoomWorld) -> Vec<(&'static str, TransportRole)> {
    let brief = |command: &SfuCommand| match command {
        SfuCommand::Connect { transport, .. } => Some(("connect", transport.role)),
        SfuCommand::Send { transport, .. } => Some(("send", transport.role)),
        SfuCommand::StopSending { transport, .. } => Some(("stop", transport.role)),
        _ => None,
    };
    world.media.iter().filter(|(who, _)| *who == id(2)).filter_map(|(_, command)| brief(command)).collect()
}

#[test]
fn he_is_offered_channels_at_once_and_is_in_when_that_connection_stands() {
    let mut world = world();
    let (number, offered, tracks) = last(&world);
    assert_eq!((number, offered.sections.len(), offered.sections[0].kind), (1, 1, SectionKind::Data));
    assert!(tracks.is_empty() && offered.address.is_some());
    answers(&mut world);
    assert_eq!(commands(&world), [("connect", TransportRole::Subscriber)]);
    world.input(2, ParticipantInput::News(SfuNews::Connected(TransportRole::Publisher)));
    assert_eq!(world.participants[&id(2)].view().state, ParticipantState::Joined);
    world.input(2, ParticipantInput::News(SfuNews::Connected(TransportRole::Subscriber)));
    assert_eq!(world.participants[&id(2)].view().state, ParticipantState::Active);
}

#[test]
fn a_track_is_offered_after_the_last_answer_and_sent_after_its_own() {
    let mut world = world();
    world.publishes(1, 10, SectionKind::Video);
    assert_eq!(offers(&world).len(), 1, "one offer at a time");
    answers(&mut world);
    let (number, offered, tracks) = last(&world);
    assert_eq!((number, tracks), (2, vec![(String::from("1"), track(10))]));
    let section = &offered.sections[1];
    assert_eq!((section.direction, section.sources.len()), (Direction::SendOnly, 1));
    let msid = section.msid.as_ref().unwrap();
    assert_eq!(*msid.stream, format!("PA_{}|camera", id(1).uuid().simple()));
    let format = &section.formats[0];
    assert_eq!((format.codec.name.as_str(), format.codec.payload_type, format.rtx), ("VP8", 96, Some(97)));
    assert!(!commands(&world).iter().any(|it| it.0 == "send"));
    answers(&mut world);
    assert_eq!(commands(&world).last(), Some(&("send", TransportRole::Subscriber)));
    assert!(world.told(1).iter().any(|signal| matches!(signal, RoomSignal::TrackSubscribed(it) if *it == track(10))));
    assert_eq!(offers(&world).len(), 2, "there is nothing more to offer");
}

#[test]
fn what_he_does_not_take_is_not_sent_and_not_offered_again() {
    let mut world = world();
    answers(&mut world);
    world.publishes(1, 10, SectionKind::Audio);
    answers_with(&mut world, |it| Section { is_rejected: it.kind == SectionKind::Audio, ..it });
    assert!(!commands(&world).iter().any(|it| it.0 == "send"));
    let refused = RoomSignal::NotReceived { track: track(10), is_codec: true };
    assert!(world.told(2).contains(&&refused));
    assert_eq!(last(&world).1.sections[1].direction, Direction::Inactive);
    answers(&mut world);
    assert_eq!(offers(&world).len(), 3);
}

#[test]
fn a_section_is_empty_for_one_offer_before_it_carries_another_track() {
    let mut world = world();
    answers(&mut world);
    world.publishes(1, 10, SectionKind::Audio);
    answers(&mut world);
    world.says(2, RoomRequest::Subscribe { tracks: vec![track(10)], is_wanted: false });
    assert_eq!(commands(&world).last(), Some(&("stop", TransportRole::Subscriber)));
    world.says(2, RoomRequest::Subscribe { tracks: vec![track(10)], is_wanted: true });
    let emptied = last(&world);
    assert_eq!((emptied.1.sections[1].direction, emptied.2.len()), (Direction::Inactive, 0));
    answers(&mut world);
    // It did not wait for that section.
    let (_, offered, tracks) = last(&world);
    assert_eq!(tracks, [(String::from("2"), track(10))]);
    answers(&mut world);
    world.says(2, RoomRequest::Subscribe { tracks: vec![track(10)], is_wanted: false });
    answers(&mut world);
    world.says(2, RoomRequest::Subscribe { tracks: vec![track(10)], is_wanted: true });
    assert_eq!(last(&world).1.sections.len(), offered.sections.len(), "sections are used again");
    assert_eq!(last(&world).2, [(String::from("1"), track(10))]);
}

#[test]
fn an_answer_to_something_else_changes_nothing_and_one_with_other_sections_ends_him() {
    let mut world = world();
    let stranger = RoomRequest::Answer { id: 7, answer: last(&world).1 };
    world.says(2, stranger);
    assert!(commands(&world).is_empty());
    answers_with(&mut world, |it| Section { kind: SectionKind::Audio, ..it });
    assert_eq!(commands(&world).len(), 1, "what the first section says does not matter");
    world.publishes(1, 10, SectionKind::Audio);
    answers_with(&mut world, |it| Section { mid: "9".into(), ..it });
    assert!(world.told(2).iter().any(|it| matches!(it, RoomSignal::Left { then: Then::Rejoin, .. })));
}

#[test]
fn after_a_cut_an_offer_without_an_answer_comes_again() {
    let mut world = world();
    world.input(2, ParticipantInput::Cut);
    world.input(2, ParticipantInput::Resume);
    let told: Vec<_> = world.told(2).into_iter().rev().take(2).collect();
    assert!(matches!(told[..], [RoomSignal::Offer { id: 2, .. }, RoomSignal::Resumed(_)]), "{told:?}");
    answers(&mut world);
    world.input(2, ParticipantInput::Cut);
    world.input(2, ParticipantInput::Resume);
    assert_eq!(offers(&world).len(), 2);
}

#[test]
fn how_he_shows_a_track_is_heard_on_that_connection() {
    let mut world = world();
    answers(&mut world);
    world.publishes(1, 10, SectionKind::Video);
    answers(&mut world);
    let how = crate::room::signal::Showing { is_disabled: true, quality: None, width: 0, height: 0 };
    world.says(2, RoomRequest::Show { tracks: vec![track(10)], how });
    let Some((_, SfuCommand::Send { transport, wish, .. })) = world.media.last() else { panic!("a wish") };
    assert_eq!((transport.role, *wish), (TransportRole::Subscriber, Wish { is_paused: true, max_layer: u8::MAX }));
}
