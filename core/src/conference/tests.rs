use super::*;
use crate::room::signal::RoomSignal;
use crate::room::view::Permission;
use crate::room::world::{RoomWorld, id, join, permission};

fn refused(world: &RoomWorld, n: u128) -> Option<JoinRefusal> {
    world.told(n).into_iter().find_map(|signal| match signal {
        RoomSignal::Refused(why) => Some(*why),
        _ => None,
    })
}

fn seen(world: &RoomWorld, n: u128) -> Vec<(ParticipantId, ParticipantState)> {
    let seen = world.told(n).into_iter().filter_map(|signal| match signal {
        RoomSignal::Participants(seen) => Some(seen.iter().map(|it| (it.id, it.state)).collect::<Vec<_>>()),
        _ => None,
    });
    seen.flatten().collect()
}

#[test]
fn of_a_hundred_who_ask_for_fifty_seats_exactly_fifty_get_one() {
    let mut world = RoomWorld::new(Some(50));
    (1..=100).for_each(|n| world.enter(join(n)));
    let refused = (1..=100).filter(|n| refused(&world, *n).is_some()).count();
    assert_eq!((world.conference.members().count(), refused), (50, 50));
    let why = JoinRefusal::ParticipantLimit { seats: 50, origin: LimitOrigin::Room };
    assert_eq!(super::tests::refused(&world, 100), Some(why));
    world.says(1, crate::room::signal::RoomRequest::Leave);
    world.enter(join(101));
    assert_eq!(super::tests::refused(&world, 101), None);
}

#[test]
fn the_smallest_limit_counts_and_is_named() {
    for (policy, room, request, expected) in [
        (None, None, None, (None, LimitOrigin::Policy)),
        (Some(5), None, None, (Some(5), LimitOrigin::Policy)),
        (Some(5), Some(3), Some(4), (Some(3), LimitOrigin::Room)),
        (Some(5), Some(3), Some(2), (Some(2), LimitOrigin::Request)),
        (Some(0), Some(3), None, (Some(3), LimitOrigin::Room)),
    ] {
        let limit = smallest(policy, room, request);
        assert_eq!((limit.seats, limit.origin), expected);
    }
}

#[test]
fn who_hides_or_records_takes_no_seat_and_is_not_shown() {
    let mut world = RoomWorld::new(Some(1));
    world.enter(join(1));
    let hidden = Permission { is_hidden: true, is_recorder: true, ..permission() };
    world.enter(Join { permission: hidden, ..join(2) });
    assert_eq!(refused(&world, 2), None);
    assert!(seen(&world, 1).is_empty());
    let room = world.conference.room();
    assert_eq!((room.participants, room.is_recorded), (1, true));
}

#[test]
fn the_second_of_one_identity_takes_the_place_of_the_first() {
    let mut world = RoomWorld::new(Some(2));
    world.enter(join(1));
    world.enter(join(2));
    world.enter(Join { identity: join(1).identity, ..join(3) });
    let left = world
        .told(1)
        .into_iter()
        .any(|it| matches!(it, RoomSignal::Left { reason: LeaveReason::DuplicateIdentity, .. }));
    assert!(left && refused(&world, 3).is_none());
    let here: Vec<_> = world.conference.members().map(|it| it.id).collect();
    assert_eq!(here, [id(2), id(3)]);
    assert_eq!(seen(&world, 2).len(), 2, "one left, one came");
}

#[test]
fn a_room_that_nobody_comes_to_ends_later_than_one_that_everybody_left() {
    let mut world = RoomWorld::new(None);
    world.pass(EMPTY_TIMEOUT - Duration::from_secs(1));
    assert!(!world.conference.is_ended());
    world.pass(Duration::from_secs(1));
    assert!(world.conference.is_ended());

    let mut world = RoomWorld::new(None);
    world.enter(join(1));
    world.pass(Duration::from_secs(20));
    world.says(1, crate::room::signal::RoomRequest::Leave);
    world.pass(DEPARTURE_TIMEOUT);
    assert!(world.conference.is_ended());
}

#[test]
fn who_comes_back_in_time_finds_the_room_as_it_was() {
    let mut world = RoomWorld::new(None);
    world.enter(join(1));
    world.says(1, crate::room::signal::RoomRequest::Leave);
    world.pass(DEPARTURE_TIMEOUT / 2);
    world.enter(join(2));
    world.pass(DEPARTURE_TIMEOUT);
    assert!(!world.conference.is_ended());
}

#[test]
fn a_deleted_room_puts_everybody_out_lets_nobody_in_and_ends() {
    let mut world = RoomWorld::with(&[1, 2]);
    world.conference_input(ConferenceInput::Order(RoomOrder::Delete));
    for guest in [1, 2] {
        let left = RoomSignal::Left { reason: LeaveReason::RoomDeleted, then: crate::room::signal::Then::StayAway };
        assert!(world.told(guest).contains(&&left));
    }
    assert!(world.conference.is_ended());
    world.enter(join(3));
    assert_eq!(refused(&world, 3), Some(JoinRefusal::NoRoom));
}

#[test]
fn whose_actor_went_without_a_word_is_shown_as_gone() {
    let mut world = RoomWorld::with(&[1, 2]);
    world.conference_input(ConferenceInput::ParticipantGone(id(1)));
    assert_eq!(seen(&world, 2).last(), Some(&(id(1), ParticipantState::Disconnected)));
    world.conference_input(ConferenceInput::ParticipantGone(id(1)));
    assert_eq!(world.conference.members().count(), 1);
}

#[test]
fn a_conference_that_is_given_up_sends_everybody_to_a_new_one() {
    let mut world = RoomWorld::with(&[1, 2]);
    world.conference_input(ConferenceInput::Notice(Notice::GivenUp));
    for guest in [1, 2] {
        let left = RoomSignal::Left { reason: LeaveReason::StateMismatch, then: crate::room::signal::Then::Rejoin };
        assert!(world.told(guest).contains(&&left));
    }
    assert!(world.conference.is_ended());
}

#[test]
fn an_older_version_of_somebody_is_not_shown() {
    let mut world = RoomWorld::with(&[1, 2]);
    let view = world.participants[&id(1)].view().clone();
    let before = seen(&world, 2).len();
    world.conference_input(ConferenceInput::Participant(id(1), ParticipantNews::Changed(view)));
    assert_eq!(seen(&world, 2).len(), before);
}
