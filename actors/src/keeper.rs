//! The supervisor of everything that lives as long as its node: services, groups of them, the roots of the calls. What
//! ends, or stops moving, is started again after a delay that doubles from 100 ms to 30 s; nothing is ever given up.

use std::pin::Pin;
use std::sync::Arc;

use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SpawnErr, SupervisionEvent};
use tandem_core::metric::{Counter, Metrics};
use tandem_core::restart::BackOff;
use tandem_core::time::Timestamp;

use crate::clock::Clock;
use crate::vitals::{BEAT, Vitals, Watch, back_off};

pub(crate) type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Something that a keeper keeps running.
pub(crate) trait Member: Send + Sync {
    fn name(&self) -> &str;

    /// It is to end: no failure, and not to be started again.
    fn is_stopping(&self) -> bool;

    /// What is known of it, whichever actor it is.
    fn vitals(&self) -> &Vitals;

    /// Starts its actor as a child of `parent`.
    fn spawn(self: Arc<Self>, parent: ActorCell) -> Boxed<Result<ActorCell, SpawnErr>>;
}

/// See the module.
#[derive(Clone)]
pub(crate) struct Keeper {
    pub(crate) vitals: Arc<Vitals>,
    pub(crate) members: Vec<Arc<dyn Member>>,
    pub(crate) clock: Clock,
    pub(crate) metrics: Arc<Metrics>,
}

/// What a keeper is told.
pub(crate) enum Duty {
    /// Start the member with this number.
    Start(usize),
    /// Look whether all members move.
    Look,
}

/// What a keeper knows of one member.
pub(crate) struct Kept {
    member: Arc<dyn Member>,
    actor: Option<ActorId>,
    watch: Watch,
    back_off: BackOff,
}

impl Actor for Keeper {
    type Msg = Duty;
    type State = Vec<Kept>;
    type Arguments = ();

    async fn pre_start(&self, me: ActorRef<Duty>, (): ()) -> Result<Vec<Kept>, ActorProcessingErr> {
        (0..self.members.len()).try_for_each(|n| me.cast(Duty::Start(n)))?;
        me.send_interval(BEAT, || Duty::Look);
        Ok(self.members.iter().cloned().map(Kept::new).collect())
    }

    async fn handle(&self, me: ActorRef<Duty>, duty: Duty, all: &mut Vec<Kept>) -> Result<(), ActorProcessingErr> {
        self.vitals.wake().await;
        match duty {
            Duty::Start(n) => {
                if let Some(kept) = all.get_mut(n).filter(|kept| !kept.member.is_stopping()) {
                    self.start(&me, n, kept).await;
                }
            }
            Duty::Look => {
                let now = self.clock.now().mono;
                for (n, kept) in all.iter_mut().enumerate() {
                    if kept.is_silent(now) {
                        kept.actor = None;
                        kept.member.vitals().put_down();
                        let well = kept.watch.heard_at();
                        self.start_later(&me, n, kept, well, "does not move");
                    }
                }
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        me: ActorRef<Duty>,
        event: SupervisionEvent,
        all: &mut Vec<Kept>,
    ) -> Result<(), ActorProcessingErr> {
        let has_failed = matches!(event, SupervisionEvent::ActorFailed(..));
        let (who, why) = match event {
            // Its text may be a panic's, and that may quote what somebody dialled. What a service returned is logged there.
            SupervisionEvent::ActorFailed(who, _) => (who, String::from("failed")),
            SupervisionEvent::ActorTerminated(who, _, reason) => (who, reason.unwrap_or_default()),
            _ => return Ok(()),
        };
        let ended = all.iter_mut().enumerate().find(|(_, kept)| kept.actor == Some(who.get_id()));
        if let Some((n, kept)) = ended {
            kept.actor = None;
            if !kept.member.is_stopping() {
                let now = self.clock.now().mono;
                self.start_later(&me, n, kept, now, &why);
            } else if has_failed {
                tracing::warn!(service = kept.member.name(), why, "did not stop cleanly");
            }
        }
        Ok(())
    }
}

impl Keeper {
    async fn start(&self, me: &ActorRef<Duty>, n: usize, kept: &mut Kept) {
        match kept.member.clone().spawn(me.get_cell()).await {
            Ok(actor) => {
                (kept.actor, kept.watch) = (Some(actor.get_id()), Watch::default());
                kept.member.vitals().begin(actor, self.clock.now().mono);
            }
            Err(error) => self.start_later(me, n, kept, self.clock.now().mono, &error.to_string()),
        }
    }

    /// Of what was well up to `well`.
    fn start_later(&self, me: &ActorRef<Duty>, n: usize, kept: &mut Kept, well: Timestamp, why: &str) {
        let delay = kept.back_off.delay_after(well, self.clock.now().mono);
        self.metrics.count(Counter::ServicesRestarted);
        tracing::warn!(service = kept.member.name(), why, delay_ms = delay.as_millis(), "ended, to be started again");
        me.send_after(delay, move || Duty::Start(n));
    }
}

impl Kept {
    fn new(member: Arc<dyn Member>) -> Self {
        Self { member, actor: None, watch: Watch::default(), back_off: back_off() }
    }

    /// It is there, and does not move.
    fn is_silent(&mut self, now: Timestamp) -> bool {
        self.actor.is_some() && self.watch.is_silent(self.member.vitals(), now)
    }
}
