//! What slots rely on, or guard against, in ractor 0.16.5 and in tokio.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use parking_lot::Mutex;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, ActorStatus, SupervisionEvent};
use tokio::time::sleep;

type Log = Arc<Mutex<Vec<String>>>;

/// Logs what happens to it and to its children; starts again nothing.
#[derive(Clone, Default)]
struct Probe {
    log: Log,
    busy: Arc<AtomicBool>,
    go_on: Arc<AtomicBool>,
    done: Arc<AtomicU32>,
}

enum Ask {
    Count,
    Yield,
    Break,
    /// Works without awaiting until told to go on.
    Work,
    Hang,
}

impl Actor for Probe {
    type Msg = Ask;
    type State = ();
    type Arguments = bool;

    async fn pre_start(&self, me: ActorRef<Ask>, ask_self: bool) -> Result<(), ActorProcessingErr> {
        if ask_self {
            me.cast(Ask::Count)?;
        }
        Ok(())
    }

    async fn handle(&self, _: ActorRef<Ask>, ask: Ask, (): &mut ()) -> Result<(), ActorProcessingErr> {
        match ask {
            Ask::Count => drop(self.done.fetch_add(1, SeqCst)),
            Ask::Yield => {
                tokio::task::yield_now().await;
                self.done.fetch_add(1, SeqCst);
            }
            Ask::Break => return Err("broken".into()),
            Ask::Work => {
                self.busy.store(true, SeqCst);
                while !self.go_on.load(SeqCst) {
                    std::thread::sleep(Duration::from_millis(1));
                }
                self.done.fetch_add(1, SeqCst);
            }
            Ask::Hang => std::future::pending().await,
        }
        Ok(())
    }

    async fn post_stop(&self, _: ActorRef<Ask>, (): &mut ()) -> Result<(), ActorProcessingErr> {
        self.log.lock().push("post_stop".into());
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<Ask>,
        event: SupervisionEvent,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        self.log.lock().push(match event {
            SupervisionEvent::ActorStarted(_) => "started".into(),
            SupervisionEvent::ActorFailed(_, error) => format!("failed: {error}"),
            SupervisionEvent::ActorTerminated(_, state, why) => {
                format!("terminated, {} state, {why:?}", state.iter().count())
            }
            _ => return Ok(()),
        });
        Ok(())
    }
}

async fn parent() -> (Probe, ActorCell) {
    let probe = Probe::default();
    let (parent, _) = Actor::spawn(None, probe.clone(), false).await.unwrap();
    (probe, parent.get_cell())
}

async fn child(of: &ActorCell, probe: &Probe) -> ActorRef<Ask> {
    Actor::spawn_linked(None, probe.clone(), false, of.clone()).await.unwrap().0
}

async fn short() {
    sleep(Duration::from_millis(20)).await;
}

#[tokio::test]
async fn a_kill_eats_messages_and_even_the_one_it_comes_with() {
    let (log, sup) = parent().await;
    let probe = Probe::default();
    let actor = child(&sup, &probe).await;
    short().await;
    // Both are there when the actor looks: the kill wins, the message is accepted and never handled.
    actor.cast(Ask::Count).unwrap();
    actor.kill();
    short().await;
    assert_eq!(probe.done.load(SeqCst), 0);
    assert_eq!(*log.log.lock(), ["started", "terminated, 1 state, Some(\"killed\")"]);
    assert!(actor.cast(Ask::Count).is_err());
    assert!(probe.log.lock().is_empty(), "no post_stop");

    // Killed before it was polled for the first time: never started, and not even its state comes back.
    let actor = Actor::spawn_linked(None, probe.clone(), true, sup.clone()).await.unwrap().0;
    actor.kill();
    short().await;
    assert_eq!(log.log.lock()[2..], ["terminated, 0 state, Some(\"killed\")"]);
    assert_eq!(probe.done.load(SeqCst), 0, "what it sent itself in pre_start is gone too");
}

#[tokio::test]
async fn what_an_actor_sends_itself_in_pre_start_is_handled_first() {
    let (_, sup) = parent().await;
    let probe = Probe::default();
    let _actor = Actor::spawn_linked(None, probe.clone(), true, sup).await.unwrap();
    short().await;
    assert_eq!(probe.done.load(SeqCst), 1);
}

#[tokio::test]
async fn a_kill_takes_effect_at_an_await_only_and_then_in_the_middle() {
    let (log, sup) = parent().await;
    let probe = Probe::default();
    let actor = child(&sup, &probe).await;
    short().await;
    actor.cast(Ask::Yield).unwrap();
    tokio::task::yield_now().await;
    actor.kill();
    short().await;
    assert_eq!(probe.done.load(SeqCst), 0, "cut at its await");
    let actor = child(&sup, &probe).await;
    actor.cast(Ask::Hang).unwrap();
    short().await;
    actor.kill();
    short().await;
    assert_eq!(actor.get_status(), ActorStatus::Stopped);
    assert_eq!(log.log.lock().iter().filter(|line| line.starts_with("terminated, 1 state")).count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_working_child_outlives_its_killed_parent_and_its_end_is_reported_to_nobody() {
    let (root_log, root) = parent().await;
    let sup_probe = Probe::default();
    let sup = child(&root, &sup_probe).await;
    let (idle, working) = (Probe::default(), Probe::default());
    let idle_actor = child(&sup.get_cell(), &idle).await;
    let actor = child(&sup.get_cell(), &working).await;
    short().await; // or the supervisor, woken by the start, waits behind the work: see below
    actor.cast(Ask::Work).unwrap();
    short().await;
    assert!(working.busy.load(SeqCst));
    sup.kill();
    short().await;
    assert!(root_log.log.lock().contains(&"terminated, 1 state, Some(\"killed\")".to_owned()), "the root knows");
    assert_eq!(idle_actor.get_status(), ActorStatus::Stopped, "an idle child is dead by then");
    assert!(actor.get_status() < ActorStatus::Draining, "one inside a handler runs on, unlinked");
    assert!(actor.try_get_supervisor().is_none());
    assert!(
        Actor::spawn_linked(None, idle.clone(), false, sup.get_cell()).await.is_err(),
        "nobody joins a dead parent"
    );
    working.go_on.store(true, SeqCst);
    actor.wait(None).await.unwrap();
    assert_eq!(working.done.load(SeqCst), 1, "it finishes its handler, then it dies");
    assert_eq!(*sup_probe.log.lock(), ["started", "started"], "no end was reported");
    assert!(idle.log.lock().is_empty() && working.log.lock().is_empty(), "no post_stop");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parent_about_to_be_killed_from_above_can_spawn_no_child_and_cannot_see_why() {
    let (_, root) = parent().await;
    let busy = Probe::default();
    let sup = child(&root, &busy).await;
    short().await;
    sup.cast(Ask::Work).unwrap();
    short().await;
    root.kill();
    short().await;
    assert_eq!(sup.get_status(), ActorStatus::Running);
    assert!(Actor::spawn_linked(None, busy.clone(), false, sup.get_cell()).await.is_err());
    busy.go_on.store(true, SeqCst);
    sup.wait(None).await.unwrap();
}

#[tokio::test]
async fn a_draining_child_is_an_orphan_that_nobody_kills() {
    let (_, sup) = parent().await;
    let probe = Probe::default();
    let actor = child(&sup, &probe).await;
    actor.cast(Ask::Hang).unwrap();
    short().await;
    actor.drain().unwrap();
    sup.kill();
    short().await;
    assert_eq!(actor.get_status(), ActorStatus::Draining);
    assert!(actor.try_get_supervisor().is_none());
    actor.kill();
    actor.wait(None).await.unwrap();
}

#[tokio::test]
async fn an_error_and_a_killed_task_are_reported_differently() {
    let (log, sup) = parent().await;
    let probe = Probe::default();
    let actor = child(&sup, &probe).await;
    actor.cast(Ask::Break).unwrap();
    short().await;
    let (_, task) = Actor::spawn_linked(None, probe.clone(), false, sup.clone()).await.unwrap();
    short().await;
    task.abort();
    short().await;
    let last = "terminated, 0 state, Some(\"actor_task_cancelled\")";
    assert_eq!(*log.log.lock(), ["started", "failed: broken", "started", last]);
    assert!(sup.get_children().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_task_a_thread_woke_last_waits_while_that_thread_is_blocked() {
    let (wake, woken) = tokio::sync::oneshot::channel::<()>();
    let waiting = tokio::spawn(woken);
    short().await;
    let blocking = tokio::spawn(async {
        wake.send(()).unwrap();
        std::thread::sleep(Duration::from_millis(200));
    });
    sleep(Duration::from_millis(100)).await;
    assert!(!waiting.is_finished(), "the other thread is free and may not take it: tokio #4941");
    blocking.await.unwrap();
    waiting.await.unwrap().unwrap();
}
