//! A slot as `actors/src/slot` has it, without threads: a machine, what it has not read, what nobody has done yet.

use std::collections::VecDeque;
use std::time::Duration;

use tandem_core::machine::{Effects, Exit, Machine, Notice, Refusal};
use tandem_core::restart::{Budget, Verdict};
use tandem_core::time::Timestamp;

/// Shells that may go into a port with one effect and not come back.
const OFFERS: u8 = 2;

/// Restarts in [`WINDOW`] before a slot is given up.
const RESTARTS: usize = 3;
const WINDOW: Duration = Duration::from_secs(30);

pub(crate) struct Slot<M: Machine> {
    pub(crate) machine: M,
    inbox: VecDeque<M::Input>,
    in_hand: Option<M::Kind>,
    pending: VecDeque<Pending<M::Effect>>,
    next_number: u64,
    pub(crate) closed: Option<Exit>,
    /// No shell works on it until the supervisor has appointed another.
    pub(crate) is_down: bool,
    /// A wake is under way.
    pub(crate) is_awake: bool,
    /// One tick per wake.
    may_tick: bool,
    /// Removal is under way.
    pub(crate) is_leaving: bool,
    /// When the earliest alarm goes off.
    pub(crate) alarm: Option<Timestamp>,
    budget: Budget,
}

struct Pending<E> {
    number: u64,
    effect: E,
    offers: u8,
}

pub(crate) enum Next<M: Machine> {
    Perform(u64, M::Effect),
    Handle(M::Input),
    Rest,
}

impl<M: Machine> Slot<M> {
    pub(crate) fn new(machine: M) -> Self {
        let (inbox, pending, budget) = Default::default();
        Self {
            machine,
            inbox,
            in_hand: None,
            pending,
            next_number: 0,
            closed: None,
            is_down: false,
            is_awake: false,
            may_tick: false,
            is_leaving: false,
            alarm: None,
            budget,
        }
    }

    pub(crate) fn push(&mut self, input: M::Input, limit: usize) -> Result<(), Refusal> {
        if self.closed.is_some() {
            return Err(Refusal::Gone);
        }
        if self.inbox.len() >= limit {
            return Err(Refusal::Full);
        }
        self.inbox.push_back(input);
        Ok(())
    }

    /// Before all that waits.
    pub(crate) fn reply(&mut self, input: M::Input) {
        if self.closed.is_none() {
            self.inbox.push_front(input);
        }
    }

    pub(crate) fn wake(&mut self) {
        (self.is_awake, self.may_tick) = (true, true);
    }

    /// Effects first, then a tick that is due, then the inbox.
    pub(crate) fn next(&mut self, now: Timestamp) -> Next<M> {
        if let Some(next) = self.pending.front_mut() {
            next.offers += 1;
            return Next::Perform(next.number, next.effect.clone());
        }
        let is_due = self.closed.is_none() && self.may_tick && self.machine.next_deadline().is_some_and(|at| at <= now);
        let input = if is_due { Some(Notice::Tick.into()) } else { self.inbox.pop_front() };
        self.may_tick &= !is_due;
        let Some(input) = input else { return Next::Rest };
        self.in_hand = Some(M::kind(&input));
        Next::Handle(input)
    }

    pub(crate) fn handled(&mut self, outcome: Option<(M, Effects<M::Effect>)>) {
        self.in_hand = None;
        let Some((machine, effects)) = outcome else { return };
        self.machine = machine;
        for effect in effects {
            self.pending.push_back(Pending { number: self.next_number, effect, offers: 0 });
            self.next_number += 1;
        }
        if self.machine.is_ended() {
            self.closed.get_or_insert(Exit::Ended);
            self.inbox.clear();
        }
    }

    pub(crate) fn performed(&mut self, answer: Result<(), Refusal>) {
        if let (Some(offered), Err(why)) = (self.pending.pop_front(), answer) {
            self.remark(Notice::Refused { effect: offered.effect, why });
        }
    }

    fn remark(&mut self, notice: Notice<M::Effect, M::Kind>) {
        if self.closed.is_none() {
            self.inbox.push_front(notice.into());
        }
    }

    /// Another shell begins. What two shells broke over is given back.
    pub(crate) fn take_over(&mut self) -> Option<M::Effect> {
        (self.is_down, self.is_awake) = (false, true);
        if let Some(lost) = self.in_hand.take() {
            self.remark(Notice::Recovered { lost });
        }
        let poison = self.pending.pop_front_if(|next| next.offers >= OFFERS)?.effect;
        self.remark(Notice::Refused { effect: poison.clone(), why: Refusal::Crashed });
        Some(poison)
    }

    /// Takes it from everybody for good: only its last words are still handled.
    pub(crate) fn seize(&mut self, is_first: bool) -> Option<M::Effect> {
        let poison = self.take_over();
        if is_first {
            self.inbox = VecDeque::from([Notice::GivenUp.into()]);
        }
        self.closed = Some(Exit::GivenUp);
        poison
    }

    pub(crate) fn charge(&mut self, now: Timestamp) -> Verdict {
        self.budget.charge(now, RESTARTS, WINDOW)
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.inbox.is_empty() && self.pending.is_empty() && !self.is_down && self.closed.is_none()
    }

    pub(crate) fn is_done(&self) -> bool {
        self.closed.is_some() && self.inbox.is_empty() && self.pending.is_empty()
    }
}
