//! Keeps the supervisor of one directory alive, and replaces one that does not beat: it may be waiting for a thread that
//! some handler does not give back.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tandem_core::machine::Machine;

use crate::directory::Directory;
use crate::supervise::{Job, Supervisor};

/// See the module.
pub struct Root<M: Machine>(pub Arc<Directory<M>>);

/// Time to listen for the beat.
#[derive(Debug)]
pub struct Listen;

/// Who supervises, and the beats heard of it.
pub struct Pulse<M: Machine> {
    supervisor: ActorRef<Job<M>>,
    beats: u32,
}

impl<M: Machine> Actor for Root<M> {
    type Msg = Listen;
    type State = Pulse<M>;
    type Arguments = ();

    async fn pre_start(&self, me: ActorRef<Listen>, (): ()) -> Result<Pulse<M>, ActorProcessingErr> {
        me.send_interval(self.0.limits.patience * 2, || Listen);
        self.appoint(&me).await
    }

    async fn handle(&self, me: ActorRef<Listen>, _: Listen, pulse: &mut Pulse<M>) -> Result<(), ActorProcessingErr> {
        let beats = self.0.beats.load(Relaxed);
        if std::mem::replace(&mut pulse.beats, beats) == beats {
            tracing::error!("supervisor does not beat, replaced");
            pulse.supervisor.kill();
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
    async fn appoint(&self, me: &ActorRef<Listen>) -> Result<Pulse<M>, ActorProcessingErr> {
        let (supervisor, _) = Actor::spawn_linked(None, Supervisor(self.0.clone()), (), me.get_cell()).await?;
        Ok(Pulse { supervisor, beats: self.0.beats.load(Relaxed) })
    }
}
