//! What a slot's lock guards. Every method is called with the lock held, and calls nothing that may block or break.

use std::collections::VecDeque;
use std::time::Duration;

use ractor::ActorRef;
use tandem_core::machine::{Exit, Machine, Notice, Refusal};
use tandem_core::restart::{Budget, Verdict};
use tandem_core::time::Timestamp;

use super::{Done, Outcome, Rest, Term, Wake};

/// Steps before a busy shell lets others run: some 30 µs.
pub(super) const BURST: u8 = 64;

/// Shells that may go into a port with one effect and not come back.
const OFFERS: u8 = 2;

pub(super) struct Inside<M: Machine> {
    machine: M,
    deadline: Option<Timestamp>,
    inbox: VecDeque<M::Input>,
    /// Kind of the input that a shell is handling. Still here when the next shell comes: it was lost.
    in_hand: Option<M::Kind>,
    pending: VecDeque<Pending<M::Effect>>,
    next_number: u64,
    /// Takes no more inputs, and why.
    closed: Option<Exit>,

    shell: Option<ActorRef<Wake>>,
    began: Option<Timestamp>,
    term: Term,
    /// A wake is under way or being answered.
    awake: bool,
    /// Steps since the wake.
    burst: u8,
    /// One tick per wake: a machine whose deadline stays due must not starve its inbox.
    may_tick: bool,

    budget: Budget,
    steps: u32,
    /// Steps at the last sweep, if something was waiting then.
    swept: Option<(u32, Timestamp)>,
}

struct Pending<E> {
    number: u64,
    effect: E,
    /// How many shells went into the port with it.
    offers: u8,
}

impl<M: Machine> Inside<M> {
    pub(super) fn new(machine: M) -> Self {
        Self {
            closed: machine.is_ended().then_some(Exit::Ended),
            deadline: machine.next_deadline(),
            machine,
            inbox: VecDeque::new(),
            in_hand: None,
            pending: VecDeque::new(),
            next_number: 0,
            shell: None,
            began: None,
            term: Term::default(),
            awake: false,
            burst: 0,
            may_tick: false,
            budget: Budget::default(),
            steps: 0,
            swept: None,
        }
    }

    pub(super) const fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    pub(super) fn unread(&self) -> usize {
        self.inbox.len()
    }

    /// Whom to wake.
    pub(super) fn take_in(&mut self, input: M::Input) -> Option<ActorRef<Wake>> {
        self.inbox.push_back(input);
        self.rouse()
    }

    /// Whom to wake.
    pub(super) fn take_in_first(&mut self, input: M::Input) -> Option<ActorRef<Wake>> {
        self.inbox.push_front(input);
        self.rouse()
    }

    /// Whom to wake, unless that is under way already.
    pub(super) fn rouse(&mut self) -> Option<ActorRef<Wake>> {
        if self.awake {
            return None;
        }
        self.awake = true;
        self.shell.clone()
    }

    pub(super) fn take_over(&mut self, reign: u32) -> Option<Term> {
        if reign < self.term.reign {
            return None;
        }
        self.term = Term { reign, shell: self.term.shell.wrapping_add(1) };
        self.shell = None;
        self.awake = true;
        self.swept = None; // its time begins now
        if let Some(lost) = self.in_hand.take() {
            self.remark(Notice::Recovered { lost });
        }
        if let Some(poison) = self.pending.pop_front_if(|next| next.offers >= OFFERS) {
            self.remark(Notice::Refused { effect: poison.effect, why: Refusal::Crashed });
        }
        Some(self.term)
    }

    pub(super) fn let_in(&mut self, term: Term, shell: &ActorRef<Wake>, now: Timestamp) {
        if self.is_in(term) {
            (self.shell, self.began) = (Some(shell.clone()), Some(now));
        }
    }

    pub(super) fn seize(&mut self, reign: u32, last_words: Option<M::Input>) -> Option<Term> {
        let term = self.take_over(reign)?;
        // Again: last words that the shell before did not come to are still to be handled.
        if self.closed.replace(Exit::GivenUp) != Some(Exit::GivenUp) {
            self.inbox.clear();
        }
        self.inbox.extend(last_words);
        Some(term)
    }

    pub(super) fn is_in(&self, term: Term) -> bool {
        self.term == term
    }

    pub(super) fn settle(&mut self, done: Done<M>) {
        self.steps = self.steps.wrapping_add(1);
        self.burst = self.burst.saturating_add(1);
        match done {
            Done::Woken => (self.burst, self.may_tick) = (0, true),
            Done::Handled(outcome) => {
                self.in_hand = None;
                if let Ok(outcome) = outcome {
                    self.swap_in(outcome);
                }
            }
            Done::Performed(answer) => {
                if let (Some(offered), Err(why)) = (self.pending.pop_front(), answer) {
                    self.remark(Notice::Refused { effect: offered.effect, why });
                }
            }
        }
    }

    fn swap_in(&mut self, outcome: Outcome<M>) {
        (self.machine, self.deadline) = (outcome.machine, outcome.deadline);
        for effect in outcome.effects {
            self.pending.push_back(Pending { number: self.next_number, effect, offers: 0 });
            self.next_number += 1;
        }
        if outcome.ended {
            self.closed.get_or_insert(Exit::Ended);
            self.inbox.clear(); // an ended machine ignores them
        }
    }

    /// To the front: what was decided in the belief that all went well comes after it. Nobody is there to hear it once
    /// the slot is closed.
    fn remark(&mut self, notice: Notice<M::Effect, M::Kind>) {
        if self.closed.is_none() {
            self.inbox.push_front(notice.into());
        }
    }

    pub(super) const fn burst(&self) -> u8 {
        self.burst
    }

    /// The next effect, which stays here until its port took it.
    pub(super) fn offer(&mut self) -> Option<(u64, M::Effect)> {
        let next = self.pending.front_mut()?;
        next.offers = next.offers.saturating_add(1);
        Some((next.number, next.effect.clone()))
    }

    pub(super) fn next_input(&mut self, now: Timestamp) -> Option<M::Input> {
        let due = self.deadline.is_some_and(|at| at <= now) && self.may_tick && self.closed.is_none();
        let input = if due { Notice::Tick.into() } else { self.inbox.pop_front()? };
        self.may_tick &= !due;
        self.in_hand = Some(M::kind(&input));
        Some(input)
    }

    pub(super) fn rest(&mut self) -> Rest {
        if self.closed.is_some() {
            return Rest::Ended;
        }
        self.awake = false; // in the lock that saw the inbox empty, or a push in between would wake nobody
        Rest::Idle(self.deadline)
    }

    pub(super) fn is_done(&self) -> bool {
        self.closed.is_some() && self.inbox.is_empty() && self.pending.is_empty()
    }

    pub(super) fn is_stuck(&mut self, now: Timestamp, patience: Duration) -> bool {
        let overdue = self.deadline.is_some_and(|at| at + patience < now);
        let waits = overdue || self.awake || self.backlog() > 0;
        // By time and not by sweeps: after a pause of the whole process several sweeps come at once.
        match self.swept.filter(|(steps, _)| waits && *steps == self.steps) {
            Some((_, since)) => now - since >= patience,
            None => {
                self.swept = waits.then_some((self.steps, now));
                false
            }
        }
    }

    pub(super) fn charge(&mut self, now: Timestamp, restarts: usize, window: Duration) -> Verdict {
        self.budget.charge(now, restarts, window)
    }

    pub(super) fn empty(&mut self) -> (M, Exit) {
        (self.inbox, self.pending, self.shell) = Default::default();
        (self.machine.clone(), self.closed.unwrap_or(Exit::Ended))
    }

    pub(super) const fn machine(&self) -> &M {
        &self.machine
    }

    pub(super) fn shell(&self) -> Option<ActorRef<Wake>> {
        self.shell.clone()
    }

    pub(super) const fn began(&self) -> Option<Timestamp> {
        self.began
    }

    pub(super) const fn shells(&self) -> u32 {
        self.term.shell
    }

    pub(super) fn backlog(&self) -> usize {
        self.inbox.len() + self.pending.len() + usize::from(self.in_hand.is_some())
    }
}
