use std::time::Duration;

use super::*;
use crate::event::{Fact, FactBody};
use crate::leg::LegInput;
use crate::world::{CALLEE, CALLER, SECOND, World, new_call, target, user};

fn talked(ms: u64) -> Cdr {
    let mut world = World::talking();
    world.pass(Duration::from_millis(ms));
    world.leg_input(CALLER, LegInput::HungUp(Cause::Normal));
    world.record()
}

#[test]
fn a_second_that_has_begun_is_billed_and_none_without_an_answer() {
    for (ms, seconds) in [(0, 0), (1, 1), (999, 1), (1_000, 1), (1_001, 2), (60_000, 60), (60_001, 61)] {
        let record = talked(ms);
        assert_eq!((record.talk_ms, record.billable_seconds, record.answered), (ms, seconds, true), "{ms}");
        assert_eq!((record.sip_status, record.q850), (200, 16));
    }
    let mut world = World::dialled(&[CALLEE]);
    world.pass(Duration::from_secs(2));
    world.leg_input(CALLEE, LegInput::Ringing);
    world.pass(Duration::from_secs(3));
    world.leg_input(CALLER, LegInput::Cancelled);
    let record = world.record();
    assert_eq!((record.talk_ms, record.billable_seconds, record.answered), (0, 0, false));
    assert_eq!((record.setup_ms, record.ring_ms), (Some(2_000), Some(3_000)));
    assert_eq!((record.sip_status, record.q850), (487, Cause::Cancelled.q850()));
}

#[test]
fn each_device_has_its_own_times_and_way() {
    let mut world = World::dialled(&[CALLEE, SECOND]);
    let started = world.now.wall;
    world.pass(Duration::from_secs(1));
    world.leg_input(CALLEE, LegInput::Ringing);
    world.pass(Duration::from_secs(1));
    world.leg_input(SECOND, LegInput::Ringing);
    world.pass(Duration::from_secs(1));
    world.leg_input(SECOND, LegInput::Answered(crate::world::phone(5_000)));
    world.leg_input(CALLER, LegInput::HungUp(Cause::Normal));
    let record = world.record();
    let after = |seconds| Some(started + Duration::from_secs(seconds));
    let rang: Vec<_> = record.legs.iter().map(|leg| leg.ringing_at).collect();
    assert_eq!(rang, [None, after(1), after(2)]);
    let answered: Vec<_> = record.legs.iter().map(|leg| leg.answered_at).collect();
    assert_eq!(answered, [after(3), None, after(3)]);
    assert_eq!(record.route, Some(Route::Trunk { prefix: None }));
    assert_eq!(record.callee_leg().map(|leg| leg.leg_id), Some(crate::world::leg(SECOND)));
}

#[test]
fn the_way_and_the_numbers_follow_from_the_parties() {
    let trunk = |number: &str| Party {
        number: number.to_owned().into(),
        name: None,
        identity: Identity::Trunk { trunk: TrunkName("world".into()) },
    };
    let number = |text: &str| Some(Number::from(text.to_owned()));
    for (caller, dialled, callee, direction, dialled_e164) in [
        (user("1001"), "1002", Some(user("1002")), Direction::Internal, None),
        (user("1001"), "nobody", None, Direction::Internal, None),
        (user("1001"), "030123456", Some(trunk("+4930123456")), Direction::Outbound, number("+4930123456")),
        (user("1001"), "004930123456", Some(trunk("+4930123456")), Direction::Outbound, number("+4930123456")),
        (trunk("+4940123456"), "1001", Some(user("1001")), Direction::Inbound, None),
        (trunk("+4940123456"), "+4930123456", Some(trunk("+4930123456")), Direction::Inbound, number("+4930123456")),
    ] {
        let mut record = Cdr { caller, dialled: dialled.to_owned().into(), callee, ..talked(1) };
        record.derive();
        assert_eq!((record.direction, &record.dialled_e164), (direction, &dialled_e164), "{dialled}");
        let is_outside = record.caller.number.reveal().starts_with('+');
        assert_eq!(record.caller_e164.is_some(), is_outside);
    }
}

/// As a node wrote it before records had what they have now.
#[test]
fn facts_of_an_older_node_are_read_and_completed() {
    let mut world = World::talking();
    world.pass(Duration::from_millis(1_500));
    world.leg_input(CALLER, LegInput::HungUp(Cause::Normal));
    for fact in &world.facts {
        let mut text = serde_json::to_value(fact).unwrap();
        let body = &mut text["body"];
        let new = [
            "direction",
            "caller_e164",
            "dialled_e164",
            "callee_e164",
            "route",
            "answered",
            "setup_ms",
            "ring_ms",
            "billable_seconds",
            "q850",
            "sip_status",
            "recording_ids",
            "transfer",
            "rang_at",
            "media",
        ];
        let is_record = matches!(fact.body, FactBody::CdrClosed(_));
        for name in new.iter().filter(|name| is_record || **name != "sip_status") {
            body.as_object_mut().unwrap().remove(*name);
        }
        let read: Fact = serde_json::from_value(text).unwrap();
        if let (FactBody::CdrClosed(read), FactBody::CdrClosed(written)) = (&read.body, &fact.body) {
            assert_eq!((read.billable_seconds, read.q850, read.sip_status), (2, 16, 200));
            assert_eq!((read.setup_ms, read.direction), (written.setup_ms, Direction::Outbound));
        }
    }
}

#[test]
fn a_call_that_found_no_way_has_no_callee_and_no_route() {
    let mut world = World::new(new_call());
    world.call_input(crate::call::CallInput::Routed(Err(Cause::UnknownNumber)));
    let record = world.record();
    assert_eq!((record.callee, record.route, record.setup_ms, record.ring_ms), (None, None, None, None));
    assert_eq!((record.sip_status, record.q850), (404, 1));
    assert_eq!(target(CALLEE).party.number.reveal(), "1002");
}
