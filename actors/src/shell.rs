//! The one actor for every machine. It carries things between its slot and the ports, and decides nothing.

use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tandem_core::machine::{Machine, Rejected};
use tandem_core::metric::Counter;
use tandem_core::time::Timestamp;
use tokio::task::AbortHandle;

use crate::directory::Directory;
use crate::drill::suffer;
use crate::ports::FaultPoint;
use crate::slot::{Done, Outcome, Rest, Slot, Step, Term, Wake};

/// See the module.
pub struct Shell<M: Machine>(pub(crate) Arc<Directory<M>>);

/// A shell's place at its slot: dies with the actor, and nothing in it would be missed.
pub struct Seat<M: Machine> {
    slot: Arc<Slot<M>>,
    term: Term,
    alarm: Option<Alarm>,
    is_new: bool,
}

impl<M: Machine> Actor for Shell<M> {
    type Msg = Wake;
    type State = Seat<M>;
    type Arguments = (Arc<Slot<M>>, Term);

    /// Runs in the supervisor's task, so no machine is touched here.
    async fn pre_start(
        &self,
        me: ActorRef<Wake>,
        (slot, term): (Arc<Slot<M>>, Term),
    ) -> Result<Seat<M>, ActorProcessingErr> {
        suffer(self.0.ports.fault(slot.id(), FaultPoint::Start)).await;
        slot.adopt(term, &me, self.0.clock.now().mono);
        Ok(Seat { slot, term, alarm: None, is_new: true })
    }

    /// Awaits nothing once it works, so that a kill comes before or after, and never in between.
    async fn handle(&self, me: ActorRef<Wake>, _: Wake, seat: &mut Seat<M>) -> Result<(), ActorProcessingErr> {
        if std::mem::take(&mut seat.is_new) {
            // ractor has just woken the supervisor from this thread, and tokio lets no other thread run the task that a
            // thread woke last: should the first input spin, the supervisor must not be what waits behind it.
            tokio::task::yield_now().await;
        }
        suffer(self.0.ports.fault(seat.slot.id(), FaultPoint::Wake)).await;
        suffer(seat.slot.sprung()).await;
        match drive(&seat.slot, seat.term, &self.0) {
            Rest::Idle(deadline) => seat.rearm(&me, self.0.clock.now().mono, deadline),
            Rest::More => me.cast(Wake)?,
            Rest::Ended | Rest::Overtaken => me.stop(None),
        }
        Ok(())
    }
}

/// Does what the slot asks for until it asks for nothing. The same for a first, a woken and a restarted shell.
pub fn drive<M: Machine>(slot: &Slot<M>, term: Term, directory: &Directory<M>) -> Rest {
    let mut now = directory.clock.now();
    let mut done = Done::Woken;
    loop {
        done = match slot.advance(term, now.mono, done) {
            Step::Handle(mut machine, input) => {
                now = directory.clock.now();
                let handled = machine.handle(now, input).map(|effects| Outcome::new(machine, effects));
                Done::Handled(handled.inspect_err(|rejected| note(slot, directory, rejected)))
            }
            Step::Perform(stamp, effect) => Done::Performed(directory.ports.perform(stamp, effect)),
            Step::Rest(rest) => return rest,
        };
    }
}

fn note<M: Machine>(slot: &Slot<M>, directory: &Directory<M>, rejected: &Rejected) {
    directory.metrics.count(Counter::InputsRejected);
    if tracing::enabled!(tracing::Level::DEBUG) {
        directory.log(slot, || tracing::debug!(%rejected, "input rejected"));
    }
}

impl<M: Machine> Seat<M> {
    /// Leaves at most one alarm, none later than `deadline`. One that is early stays: the slot checks what is due, and
    /// most deadlines only ever move away.
    fn rearm(&mut self, me: &ActorRef<Wake>, now: Timestamp, deadline: Option<Timestamp>) {
        let Some(deadline) = deadline else { return self.alarm = None };
        if !self.alarm.as_ref().is_some_and(|alarm| now < alarm.at && alarm.at <= deadline) {
            self.alarm = Some(Alarm::set(me, now, deadline.max(now + Alarm::SOONEST)));
        }
    }
}

struct Alarm {
    at: Timestamp,
    task: AbortHandle,
}

impl Alarm {
    /// What a machine costs whose deadline stays in the past: 1,000 wakes a second, not a core.
    const SOONEST: Duration = Duration::from_millis(1);

    fn set(me: &ActorRef<Wake>, now: Timestamp, at: Timestamp) -> Self {
        Self { at, task: me.send_after(at - now, || Wake).abort_handle() }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.task.abort();
    }
}
