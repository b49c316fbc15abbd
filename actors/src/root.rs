//! Keeps the supervisor of one directory alive, and replaces one that does not beat: it may be waiting for a thread that
//! some handler does not give back.

use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tandem_core::machine::Machine;

use crate::directory::Directory;
use crate::supervise::{Job, Supervisor};
use crate::vitals::{BEAT, Watch};

/// See the module.
pub struct Root<M: Machine>(pub Arc<Directory<M>>);

/// Time to listen for the beat.
#[derive(Debug)]
pub struct Listen;

/// Who supervises, and how that one is.
pub struct Pulse<M: Machine> {
    supervisor: ActorRef<Job<M>>,
    watch: Watch,
}

impl<M: Machine> Actor for Root<M> {
    type Msg = Listen;
    type State = Pulse<M>;
    type Arguments = ();

    async fn pre_start(&self, me: ActorRef<Listen>, (): ()) -> Result<Pulse<M>, ActorProcessingErr> {
        me.send_interval(BEAT, || Listen);
        self.appoint(&me).await
    }

    async fn handle(&self, me: ActorRef<Listen>, _: Listen, pulse: &mut Pulse<M>) -> Result<(), ActorProcessingErr> {
        self.0.root.wake().await;
        if pulse.watch.is_silent(&self.0.supervision, self.0.clock.now().mono) {
            tracing::error!("supervisor does not beat, replaced");
            *pulse = self.appoint(&me).await?;
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        me: ActorRef<Listen>,
        event: SupervisionEvent,
        pulse: &mut Pulse<M>,
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(who, _) | SupervisionEvent::ActorTerminated(who, ..) = event
            && who.get_id() == pulse.supervisor.get_id()
        {
            tracing::warn!("supervisor ended, replaced");
            *pulse = self.appoint(&me).await?;
        }
        Ok(())
    }
}

impl<M: Machine> Root<M> {
    /// An earlier one, an earlier root's perhaps, has nothing to say any more: it would take its shells' ends for
    /// failures.
    async fn appoint(&self, me: &ActorRef<Listen>) -> Result<Pulse<M>, ActorProcessingErr> {
        if let Some(earlier) = self.0.supervisor() {
            earlier.kill();
        }
        let (supervisor, _) = Actor::spawn_linked(None, Supervisor(self.0.clone()), (), me.get_cell()).await?;
        self.0.supervision.begin(supervisor.get_cell(), self.0.clock.now().mono);
        Ok(Pulse { supervisor, watch: Watch::default() })
    }
}
