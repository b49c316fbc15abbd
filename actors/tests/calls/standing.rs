//! What stands above the calls is broken in every way: calls go on, and nothing else is started again.

use std::collections::HashMap;
use std::time::Duration;

use tandem_actors::drill::How;
use tandem_actors::tree::{Kind, PartView};
use tandem_core::cause::Cause;
use tandem_core::leg::LegInput;
use tandem_core::metric::Counter;
use tokio::time::sleep;

use super::ANSWERED;
use super::world::{World, until};

const EVERY_WAY: [How; 3] = [How::Kill, How::Panic, How::Hang];

/// Restarts of each part, by id.
fn restarts(parts: &[PartView]) -> HashMap<String, u32> {
    parts.iter().map(|part| (part.id.clone(), part.restarts)).collect()
}

/// Those above which `id` is not.
fn apart_from(id: &str, parts: &[PartView]) -> Vec<String> {
    let parent = |id: &str| parts.iter().find(|it| it.id == id).and_then(|it| it.parent.clone());
    let is_below = |part: &PartView| {
        let mut at = Some(part.id.clone());
        while let Some(above) = at {
            if above == id {
                return true;
            }
            at = parent(&above);
        }
        false
    };
    parts.iter().filter(|part| !is_below(part)).map(|part| part.id.clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn whatever_stands_is_broken_in_every_way_and_comes_back_with_what_is_below_it_alone() {
    let world = World::with_services().await;
    let (ids, callee) = world.talking(1).await;
    let tree = world.node.tree();
    let standing = |part: &PartView| part.owner.is_none() && part.kind != Kind::Call;
    let victims: Vec<_> = tree.view().into_iter().filter(standing).map(|part| part.id).collect();
    assert_eq!(victims.len(), 1 + 18 + 18 + 2 + 3, "node, roots, supervisors, groups, services");
    for id in &victims {
        for how in EVERY_WAY {
            sleep(Duration::from_secs(2)).await;
            let before = tree.view();
            assert!(tree.break_part(id, how), "{id} {how:?}");
            let count = |parts: &[PartView]| restarts(parts)[id];
            until(|| count(&tree.view()) == count(&before) + 1).await;
            until(|| tree.view().iter().all(|part| part.state != "waiting")).await;
            let after = restarts(&tree.view());
            for other in apart_from(id, &before) {
                assert_eq!(after[&other], restarts(&before)[&other], "{other} after {how:?} of {id}");
            }
        }
    }
    // With the root of everything, every call's actors came and went; and yet it is the same call.
    assert_eq!(world.metrics.counter(Counter::ShellsRestarted), 0, "none failed");
    world.tell(callee, LegInput::HungUp(Cause::Normal));
    world.until_empty().await;
    assert_eq!(world.outside.story(ids.call), ANSWERED);
    assert_eq!(world.outside.cdr(ids.call).cause, Cause::Normal);
}

#[tokio::test(start_paused = true)]
async fn what_is_broken_again_and_again_is_never_away_for_long() {
    let world = World::with_services().await;
    let tree = world.node.tree();
    for id in ["node", "edges", "edges/sip.0", "calls.0", "calls.0/supervisor"] {
        for _ in 0..300 {
            sleep(Duration::from_secs(2)).await;
            assert!(tree.break_part(id, How::Kill), "{id}");
            sleep(Duration::from_millis(300)).await;
            assert!(tree.view().iter().all(|part| part.state == "running"), "{id}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_actor_of_a_call_that_hangs_is_replaced_alone_and_before_anybody_waits_for_it() {
    let world = World::start().await;
    let (ids, callee) = world.talking(1).await;
    let (other, _) = world.talking(2).await;
    let tree = world.node.tree();
    for actor in world.calls.actors_of(ids.call) {
        let before = restarts(&tree.view());
        assert!(tree.break_part(&actor.to_string(), How::Hang));
        sleep(Duration::from_secs(5)).await;
        let after = restarts(&tree.view());
        for (id, restarts) in before {
            assert_eq!(after[&id], restarts + u32::from(id == actor.to_string()), "{id} after {actor}");
        }
    }
    world.tell(callee, LegInput::HungUp(Cause::Normal));
    world.tell(other.caller, LegInput::HungUp(Cause::Normal));
    world.until_empty().await;
    assert_eq!(world.outside.story(ids.call), ANSWERED);
}

#[tokio::test(start_paused = true)]
async fn the_tree_names_everything_once_and_parents_and_owners_first() {
    let world = World::with_services().await;
    let (ids, callee) = world.talking(1).await;
    sleep(Duration::from_secs(3)).await;
    let parts = world.node.tree().view();
    let mut known = Vec::new();
    for part in &parts {
        for above in part.parent.iter().chain(&part.owner) {
            assert!(known.contains(above), "{above} does not come before {}", part.id);
        }
        assert!(!known.contains(&part.id), "{}", part.id);
        assert_eq!((part.restarts, part.inbox), (0, 0), "{}", part.id);
        assert!((2_000..4_000).contains(&part.age_ms), "{part:?}");
        known.push(part.id.clone());
    }
    let find = |id: &str| parts.iter().find(|it| it.id == id).unwrap();
    assert_eq!(parts.iter().filter(|it| it.parent.is_none()).count(), 1);
    assert_eq!(
        (find("node").kind, find("edges").kind, find("edges/sip.0").kind),
        (Kind::Node, Kind::Group, Kind::Service)
    );
    assert_eq!(find("edges/sip.0").name, "sip.0");
    let (call, leg) = (find(&ids.call.to_string()), find(&callee.to_string()));
    assert_eq!((call.kind, call.state.as_str(), leg.kind), (Kind::Call, "talking", Kind::Leg));
    assert_eq!(leg.owner.as_deref(), Some(ids.call.to_string().as_str()));
    assert_eq!(find(call.parent.as_deref().unwrap()).kind, Kind::Supervisor);
    assert!(!world.node.tree().break_part("edges/sip.7", How::Kill));
    assert!(!world.node.tree().break_part("call_00000000000000000000000000000099", How::Kill));
}

#[tokio::test(start_paused = true)]
async fn a_leg_that_panics_on_every_input_leaves_and_only_it_was_started_again() {
    let world = World::start().await;
    let (ids, callee) = world.talking(1).await;
    let (other, _) = world.talking(2).await;
    let tree = world.node.tree();
    let before = restarts(&tree.view());
    let poison = callee.to_string();
    // Whatever it is told, it panics: until its budget is spent.
    while tree.view().iter().any(|part| part.id == poison) {
        let _gone = tree.break_part(&poison, How::Panic);
        sleep(Duration::from_millis(10)).await;
    }
    until(|| world.calls.snapshot().len() == 1).await;
    assert_eq!(world.metrics.counter(Counter::ShellsRestarted), 3, "its budget and no more");
    let bye = world.outside.signals(ids.caller);
    assert!(format!("{:?}", bye.last()).contains("Bye"), "its peer sees it leave: {bye:?}");
    for part in tree.view() {
        assert_eq!(part.restarts, before[&part.id], "{}", part.id);
    }
    world.tell(other.caller, LegInput::HungUp(Cause::Normal));
    world.until_empty().await;
}
