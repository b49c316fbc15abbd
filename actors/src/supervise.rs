//! Keeps one shell at every slot that is not done. Whatever ends a shell, the slot says what that means.
//!
//! All shells of a directory are children of its supervisor and of nobody else: ractor kills the children of an actor
//! that ends, and a leg must not die with the shell of its call. Who is whose parent is the machines' knowledge.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use tandem_core::machine::{Machine, Notice};
use tandem_core::metric::Counter;
use tandem_core::restart::Verdict;

use crate::directory::Directory;
use crate::shell::{Shell, drive};
use crate::slot::{Rest, Slot};
use crate::vitals::BEAT;

/// How long a new supervisor waits for the shells of an earlier one: three orders above a full burst.
const GRACE: Duration = Duration::from_millis(100);

/// Shells that are started in a row before others may run: spawning never waits, so thousands would hold the thread.
const BATCH: usize = 64;

/// See the module.
pub struct Supervisor<M: Machine>(pub(crate) Arc<Directory<M>>);

/// What a supervisor is told. Its mailbox is as long as slots were opened, and that the door limits.
pub enum Job<M: Machine> {
    /// A slot was filed.
    Start(M::Id),
    /// A shell did not start.
    Again(M::Id),
    /// Look for slots that do not move.
    Sweep,
    /// Show that you move yourself.
    Beat,
}

/// What a supervisor knows; its successor finds all of it in the slots.
pub struct Ward<M: Machine> {
    reign: u32,
    /// The shells that this supervisor started and has not seen die.
    shells: HashMap<ActorId, Arc<Slot<M>>>,
}

impl<M: Machine> Actor for Supervisor<M> {
    type Msg = Job<M>;
    type State = Ward<M>;
    type Arguments = ();

    async fn pre_start(&self, me: ActorRef<Job<M>>, (): ()) -> Result<Ward<M>, ActorProcessingErr> {
        me.send_interval(self.0.limits.patience, || Job::Sweep);
        me.send_interval(BEAT, || Job::Beat);
        Ok(Ward { reign: self.0.begin_reign(me), shells: HashMap::new() })
    }

    /// Adopts what an earlier supervisor left. ractor has killed its shells, but waited for none and will report none.
    async fn post_start(&self, me: ActorRef<Job<M>>, ward: &mut Ward<M>) -> Result<(), ActorProcessingErr> {
        let slots = self.0.slots();
        retire(&slots).await;
        for (n, slot) in slots.into_iter().enumerate() {
            self.0.supervision.beat();
            self.keep(&me, ward, slot).await;
            if n % BATCH == BATCH - 1 {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    async fn handle(&self, me: ActorRef<Job<M>>, job: Job<M>, ward: &mut Ward<M>) -> Result<(), ActorProcessingErr> {
        self.0.supervision.wake().await;
        match job {
            Job::Start(id) => {
                if let Some(slot) = self.0.slot(id).filter(|slot| !ward.has_shell(slot)) {
                    self.keep(&me, ward, slot).await;
                }
            }
            Job::Again(id) => {
                if let Some(slot) = self.0.slot(id).filter(|slot| !ward.has_shell(slot)) {
                    self.answer_failure(&me, ward, slot, "did not start").await;
                }
            }
            Job::Sweep => self.sweep(&me, ward).await,
            Job::Beat => {}
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        me: ActorRef<Job<M>>,
        event: SupervisionEvent,
        ward: &mut Ward<M>,
    ) -> Result<(), ActorProcessingErr> {
        let (who, why) = match event {
            // Its text may be a panic's, and that may quote what somebody dialled. The panic hook tells where it was.
            SupervisionEvent::ActorFailed(who, _) => (who, String::from("failed")),
            SupervisionEvent::ActorTerminated(who, _, reason) => (who, reason.unwrap_or_default()),
            _ => return Ok(()),
        };
        self.0.supervision.beat();
        if let Some(slot) = ward.shells.remove(&who.get_id()) {
            self.answer_failure(&me, ward, slot, &why).await;
        }
        Ok(())
    }
}

impl<M: Machine> Supervisor<M> {
    /// The watchdog: a shell whose slot waits and does not move is put down.
    async fn sweep(&self, me: &ActorRef<Job<M>>, ward: &mut Ward<M>) {
        let now = self.0.clock.now().mono;
        for slot in self.0.slots().into_iter().filter(|slot| slot.is_stuck(now, self.0.limits.patience)) {
            self.0.supervision.beat(); // there may be thousands
            ward.put_down(&slot);
            self.answer_failure(me, ward, slot, "does not move").await;
        }
    }

    /// A shell has ended. If its slot is done that was no failure.
    async fn answer_failure(&self, me: &ActorRef<Job<M>>, ward: &mut Ward<M>, slot: Arc<Slot<M>>, why: &str) {
        if slot.is_done() {
            return self.0.remove(&slot);
        }
        let limits = self.0.limits;
        match slot.charge(self.0.clock.now().mono, limits.restarts, limits.window) {
            Verdict::Restart => {
                self.0.metrics.count(Counter::ShellsRestarted);
                self.0.log_damped(&slot, |hushed| tracing::warn!(why, hushed, "actor failed, another goes on"));
                self.0.ports.failed(slot.id(), why, Verdict::Restart);
                self.keep(me, ward, slot).await;
            }
            Verdict::GiveUp => {
                self.0.metrics.count(Counter::SlotsGivenUp);
                self.0.log_damped(&slot, |hushed| tracing::error!(why, hushed, "actor failed too often, given up"));
                self.0.ports.failed(slot.id(), why, Verdict::GiveUp);
                self.give_up(ward.reign, &slot);
            }
        }
    }

    /// Gives the slot a shell, or takes it off the directory if it needs none any more.
    async fn keep(&self, me: &ActorRef<Job<M>>, ward: &mut Ward<M>, slot: Arc<Slot<M>>) {
        if slot.is_done() {
            return self.0.remove(&slot);
        }
        let Some(term) = slot.appoint(ward.reign) else { return };
        match Actor::spawn_linked(None, Shell(self.0.clone()), (slot.clone(), term), me.get_cell()).await {
            Ok((shell, _)) => drop(ward.shells.insert(shell.get_id(), slot)),
            // By way of the mailbox: if nothing starts because this supervisor is being killed, it does not get there,
            // and the slot is not blamed for it.
            Err(error) => {
                self.0.log(&slot, || tracing::warn!(%error, "actor did not start"));
                let _dead = me.cast(Job::Again(slot.id()));
            }
        }
    }

    /// Ends the machine on behalf of its shells: what it still has to say is said. Machine or port may break here too;
    /// each time that costs what was in hand, so it ends.
    fn give_up(&self, reign: u32, slot: &Slot<M>) {
        let mut last_words = Some(Notice::GivenUp.into());
        while let Some(term) = slot.seize(reign, last_words.take()) {
            let rest = || while drive(slot, term, &self.0) == Rest::More {};
            if catch_unwind(AssertUnwindSafe(rest)).is_ok() {
                break;
            }
        }
        if slot.is_done() {
            self.0.remove(slot);
        }
    }
}

impl<M: Machine> Ward<M> {
    fn has_shell(&self, slot: &Slot<M>) -> bool {
        slot.shell().is_some_and(|shell| self.shells.contains_key(&shell.get_id()))
    }

    /// Forgets the shell at once. It may be stuck where no kill reaches it; the slot does not wait for that.
    fn put_down(&mut self, slot: &Slot<M>) {
        if let Some(shell) = slot.shell() {
            self.shells.remove(&shell.get_id());
            shell.kill();
        }
    }
}

/// Lets shells that nobody supervises finish the step they are in: taken from them now, its input would count as lost.
/// One that is not back in time is overtaken.
async fn retire<M: Machine>(slots: &[Arc<Slot<M>>]) {
    let shells: Vec<_> = slots.iter().filter_map(|slot| slot.shell()).collect();
    shells.iter().for_each(|shell| shell.kill());
    let all_ended = async {
        for shell in &shells {
            let _ended = shell.wait(None).await;
        }
    };
    let _late = tokio::time::timeout(GRACE, all_ended).await;
}
