//! The tree of a node: services that end are started again on the same value, and all stop in order.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use tandem_actors::drill::How;
use tandem_actors::rooms::Policy;
use tandem_actors::tree::Kind;
use tandem_actors::{Calls, Clock, Config, Group, Node, Rooms, Service, ServiceError};
use tandem_core::metric::{Counter, Metrics};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

type Log = Arc<Mutex<Vec<&'static str>>>;

/// Ends in another way each time, and says when.
struct Frail {
    began: Mutex<Vec<Instant>>,
    runs: AtomicU32,
}

impl Service for Frail {
    fn name(&self) -> &str {
        "frail"
    }

    async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<(), ServiceError> {
        self.began.lock().push(Instant::now());
        match self.runs.fetch_add(1, Relaxed) {
            0 => Ok(()),
            1 => Err("broken".into()),
            2 => panic!("drill: broken"),
            _ => {
                stop.cancelled().await;
                Ok(())
            }
        }
    }
}

/// Runs until told to stop; a deaf one does not listen.
struct Steady {
    name: &'static str,
    is_deaf: bool,
    runs: AtomicU32,
    log: Log,
}

impl Service for Steady {
    fn name(&self) -> &str {
        self.name
    }

    async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<(), ServiceError> {
        self.runs.fetch_add(1, Relaxed);
        stop.cancelled().await;
        sleep(Duration::from_millis(50)).await; // finishes what it has begun
        if self.is_deaf {
            std::future::pending::<()>().await;
        }
        self.log.lock().push(self.name);
        Ok(())
    }
}

fn steady(name: &'static str, log: &Log) -> Arc<Steady> {
    Arc::new(Steady { name, is_deaf: false, runs: AtomicU32::new(0), log: log.clone() })
}

async fn node(groups: Vec<Group>, metrics: &Arc<Metrics>) -> Node {
    let clock = Clock::start();
    let calls = Calls::new(&Config::default(), clock.clone(), metrics.clone());
    let rooms = Rooms::new(Policy::default(), clock, metrics);
    Node::start(calls, rooms, groups).await.unwrap()
}

async fn until(happened: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if happened() {
            return;
        }
        sleep(Duration::from_millis(1)).await;
    }
    panic!("does not happen");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_returns_fails_or_panics_is_run_again_ever_later() {
    let metrics = Arc::default();
    let frail = Arc::new(Frail { began: Mutex::default(), runs: AtomicU32::new(0) });
    let node = node(vec![Group::new("services").with(frail.clone())], &metrics).await;
    until(|| frail.runs.load(Relaxed) == 4).await;
    let began = frail.began.lock().clone();
    let delays: Vec<_> = began.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
    for (delay, expected) in delays.into_iter().zip([100, 200, 400]) {
        assert!((expected..expected + 20).contains(&delay), "{delay}");
    }
    assert_eq!(metrics.counter(Counter::ServicesRestarted), 3);
    assert_eq!(node.stop(Duration::ZERO).await, 0);
    assert_eq!(metrics.counter(Counter::ServicesRestarted), 3, "to stop is no failure");
}

#[tokio::test(start_paused = true)]
async fn whatever_actor_of_the_tree_is_killed_comes_back_alone() {
    let (metrics, log) = (Arc::default(), Log::default());
    let (one, two) = (steady("one", &log), steady("two", &log));
    let groups = vec![Group::new("ledger").with(one.clone()), Group::new("edges").with(two.clone())];
    let node = node(groups, &metrics).await;
    until(|| one.runs.load(Relaxed) == 1 && two.runs.load(Relaxed) == 1).await;
    let tree = node.tree();
    let parts = || tree.view().into_iter();
    for kept in parts().filter(|it| matches!(it.kind, Kind::Group | Kind::Root)) {
        assert!(tree.break_part(&kept.id, How::Kill)); // a group with its services, or a root with its supervisor
        sleep(Duration::from_millis(200)).await;
        assert!(parts().all(|it| it.state == "running"));
    }
    until(|| one.runs.load(Relaxed) == 2 && two.runs.load(Relaxed) == 2).await;
    for lowest in parts().filter(|it| matches!(it.kind, Kind::Service | Kind::Supervisor)) {
        assert!(tree.break_part(&lowest.id, How::Kill));
    }
    until(|| one.runs.load(Relaxed) == 3 && two.runs.load(Relaxed) == 3).await;
    until(|| parts().all(|it| it.state == "running")).await;
    assert!(parts().filter(|it| it.kind != Kind::Node).all(|it| (1..=2).contains(&it.restarts)));
    assert_eq!(node.stop(Duration::ZERO).await, 0);
    assert_eq!(*log.lock(), ["two", "one"]);
}

#[tokio::test(start_paused = true)]
async fn groups_stop_in_reverse_order_and_a_deaf_service_holds_nobody_for_long() {
    let (metrics, log) = (Arc::default(), Log::default());
    let deaf = Arc::new(Steady { name: "deaf", is_deaf: true, runs: AtomicU32::new(0), log: log.clone() });
    let (first, second, last) = (steady("first", &log), steady("second", &log), steady("last", &log));
    let groups = vec![
        Group::new("ledger").with(first),
        Group::new("media").with(deaf.clone()).with(second),
        Group::new("edges").with(last.clone()),
    ];
    let node = node(groups, &metrics).await;
    until(|| deaf.runs.load(Relaxed) == 1 && last.runs.load(Relaxed) == 1).await;
    let start = Instant::now();
    assert_eq!(node.stop(Duration::from_secs(60)).await, 0);
    assert!((5..7).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    assert_eq!(*log.lock(), ["last", "second", "first"]);
}

#[tokio::test(start_paused = true)]
async fn two_nodes_live_in_one_process() {
    let (metrics, log) = (Arc::default(), Log::default());
    let (mine, yours) = (steady("service", &log), steady("service", &log));
    let one = node(vec![Group::new("services").with(mine.clone())], &metrics).await;
    let two = node(vec![Group::new("services").with(yours.clone())], &metrics).await;
    until(|| mine.runs.load(Relaxed) == 1 && yours.runs.load(Relaxed) == 1).await;
    one.stop(Duration::ZERO).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!((log.lock().len(), yours.runs.load(Relaxed)), (1, 1));
    two.stop(Duration::ZERO).await;
    assert_eq!(log.lock().len(), 2);
}

/// Keeps its thread the first time, for as long as it is told to.
struct Spinning {
    runs: AtomicU32,
    is_let_go: Arc<AtomicBool>,
}

impl Service for Spinning {
    fn name(&self) -> &str {
        "spinning"
    }

    async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<(), ServiceError> {
        if self.runs.fetch_add(1, Relaxed) == 0 {
            while !self.is_let_go.load(Relaxed) {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        stop.cancelled().await;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_service_that_keeps_its_thread_is_replaced_while_it_does() {
    let (metrics, log) = (Arc::default(), Log::default());
    let is_let_go = Arc::<AtomicBool>::default();
    let spinning = Arc::new(Spinning { runs: AtomicU32::new(0), is_let_go: is_let_go.clone() });
    let other = steady("other", &log);
    let group = Group::new("services").with(spinning.clone()).with(other.clone());
    let node = node(vec![group], &metrics).await;
    until(|| spinning.runs.load(Relaxed) == 2).await;
    is_let_go.store(true, Relaxed);
    assert_eq!(node.stop(Duration::ZERO).await, 0);
    assert_eq!((spinning.runs.load(Relaxed), other.runs.load(Relaxed)), (2, 1));
}
