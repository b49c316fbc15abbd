//! Supervised long-lived services: listeners, shards, writers, relays. Each is an actor under its group.

use std::error::Error;
use std::pin::pin;
use std::sync::Arc;

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SpawnErr, SupervisionEvent};
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::keeper::{Boxed, Member};
use crate::vitals::{BEAT, Vitals};

/// Why a service cannot go on. Whatever it is, it is logged and the service is started again.
pub type ServiceError = Box<dyn Error + Send + Sync>;

/// Something that runs for as long as its node. What it must not lose lives in the value and not in [`run`](Self::run):
/// after a panic, an error, a kill or a return `run` is called again on the same value, after 100 ms at first and 30 s
/// at most, and goes on from there. One that keeps its thread for two seconds counts as hung: it is killed, too.
pub trait Service: Send + Sync + 'static {
    /// For logs and the tree: `sip.0`, `ledger.writer`. Unique in its group.
    fn name(&self) -> &str;

    /// Works until `stop` is cancelled, then finishes what it has begun and returns within seconds; what is late is cut
    /// off at an await. A run may begin while the one before, killed, is still in its last step.
    ///
    /// # Errors
    /// Why it cannot go on.
    fn run(self: Arc<Self>, stop: CancellationToken) -> impl Future<Output = Result<(), ServiceError>> + Send;
}

/// Services that belong together: they are stopped together, groups in the reverse order of their start.
pub struct Group {
    pub(crate) name: &'static str,
    services: Vec<Arc<Running>>,
    stop: CancellationToken,
    runs: TaskTracker,
}

impl Group {
    /// An empty group: `ledger`, `bus`, `media`, `edges`, `services`.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self { name, services: Vec::new(), stop: CancellationToken::new(), runs: TaskTracker::new() }
    }

    /// With one more service.
    #[must_use]
    pub fn with(mut self, service: Arc<impl Service>) -> Self {
        let (stop, runs) = (self.stop.clone(), self.runs.clone());
        let places = Semaphore::new(Running::PLACES);
        self.services.push(Arc::new(Running { service, stop, runs, vitals: Arc::default(), places }));
        self
    }

    pub(crate) fn members(&self) -> Vec<Arc<dyn Member>> {
        self.services.iter().map(|it| Arc::clone(it) as Arc<dyn Member>).collect()
    }

    /// Name and vitals of each service.
    pub(crate) fn vitals(&self) -> impl Iterator<Item = (&str, Arc<Vitals>)> {
        self.services.iter().map(|it| (it.service.name(), it.vitals.clone()))
    }

    pub(crate) fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Tells every service to stop, and waits until they have.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.runs.close();
        self.runs.wait().await;
    }
}

/// A service whose future has no name.
trait Run: Send + Sync {
    fn name(&self) -> &str;
    fn run(self: Arc<Self>, stop: CancellationToken) -> Boxed<Result<(), ServiceError>>;
}

impl<S: Service> Run for S {
    fn name(&self) -> &str {
        Service::name(self)
    }

    fn run(self: Arc<Self>, stop: CancellationToken) -> Boxed<Result<(), ServiceError>> {
        Box::pin(Service::run(self, stop))
    }
}

struct Running {
    service: Arc<dyn Run>,
    stop: CancellationToken,
    runs: TaskTracker,
    vitals: Arc<Vitals>,
    /// Of which each run has one.
    places: Semaphore,
}

impl Running {
    /// A run that is killed over a step which does not end keeps its thread. There may be one such, and the one that came
    /// after it; more would cost the node all its threads.
    const PLACES: usize = 2;

    async fn run(&self) -> Result<(), ServiceError> {
        let _place = self.places.acquire().await?;
        self.service.clone().run(self.stop.clone()).await
    }

    /// Beats next to the run, in the task that polls it: while that does not come back, there are none.
    async fn attended<T>(&self, run: impl Future<Output = T>) -> T {
        let (mut run, mut beat) = (pin!(run), interval(BEAT));
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _ = beat.tick() => self.vitals.wake().await,
                outcome = &mut run => return outcome,
            }
        }
    }
}

impl Member for Running {
    fn name(&self) -> &str {
        self.service.name()
    }

    fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    fn vitals(&self) -> &Vitals {
        &self.vitals
    }

    fn spawn(self: Arc<Self>, parent: ActorCell) -> Boxed<Result<ActorCell, SpawnErr>> {
        Box::pin(async move { Ok(Actor::spawn_linked(None, Runner(self), (), parent).await?.0.get_cell()) })
    }
}

/// The actor of one service.
struct Runner(Arc<Running>);

struct Begin;

impl Actor for Runner {
    type Msg = Begin;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, me: ActorRef<Begin>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(me.cast(Begin)?)
    }

    /// One message, as long as the service runs: in a handler a kill is heard at every await.
    async fn handle(&self, me: ActorRef<Begin>, _: Begin, (): &mut ()) -> Result<(), ActorProcessingErr> {
        // Its keeper was woken last, from this thread: should the run keep the thread, nobody else could wake it.
        tokio::task::yield_now().await;
        let outcome = self.0.attended(self.0.runs.track_future(self.0.run())).await;
        // Here, for the keeper cannot tell it from a panic, whose text may quote what somebody dialled.
        outcome.inspect_err(|error| tracing::warn!(service = self.0.service.name(), error, "service failed"))?;
        me.stop(Some("returned".to_owned()));
        Ok(())
    }

    /// It has no children.
    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<Begin>,
        _: SupervisionEvent,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}
