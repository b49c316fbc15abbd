//! What survives an actor: a machine, what it was told and has not read, what it decided and nobody has done yet.
//!
//! # Invariants
//! * Only the shell of the latest term changes the machine or takes effects off the list. An earlier one that still runs
//!   (killed inside a handler, or stuck in one) is told [`Rest::Overtaken`], and what it brings is thrown away.
//! * `awake` is lowered only in the lock that saw the inbox empty, and raised only together with a wake. A new shell does
//!   not believe it and starts awake: a kill may have eaten the wake.
//! * Nothing that may block or break is called while the lock is held: no port, no machine, no actor, no other slot. What
//!   a machine says of itself is asked by its shell ([`Outcome`]) and kept here, so that one that breaks there breaks its
//!   shell, never a sender or the supervisor.

mod inside;

use std::time::Duration;

use parking_lot::Mutex;
use ractor::ActorRef;
use tandem_core::machine::{Effects, Exit, Machine, Refusal, Rejected, Stamp};
use tandem_core::metric::Fill;
use tandem_core::restart::Verdict;
use tandem_core::time::Timestamp;

use crate::drill::{How, Trap};
use crate::ports::Fault;
use inside::{BURST, Inside};

/// The only message a shell gets: look into your slot. Without size, so sending it allocates nothing.
#[derive(Debug)]
pub struct Wake;

/// Who may work on a slot: the latest shell of the latest supervisor.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Term {
    reign: u32,
    shell: u32,
}

/// See the module.
pub struct Slot<M: Machine> {
    id: M::Id,
    inbox_limit: usize,
    inside: Mutex<Inside<M>>,
    trap: Trap,
}

/// A slot at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Glance<R> {
    /// What was looked up in the machine.
    pub machine: R,
    /// How many shells it has had.
    pub shells: u32,
    /// How many inputs and effects wait.
    pub backlog: usize,
    /// When the last shell was let in.
    pub began: Option<Timestamp>,
}

/// What a shell brings back from its last step.
pub enum Done<M: Machine> {
    /// Nothing yet.
    Woken,
    /// What became of the input.
    Handled(Result<Outcome<M>, Rejected>),
    /// What the port said.
    Performed(Result<(), Refusal>),
}

/// A machine after an input, and what it says of itself.
pub struct Outcome<M: Machine> {
    machine: M,
    effects: Effects<M::Effect>,
    deadline: Option<Timestamp>,
    ended: bool,
}

/// What a shell is to do next.
pub enum Step<M: Machine> {
    /// Apply the input to this clone.
    Handle(M, M::Input),
    /// Offer the effect to its port.
    Perform(Stamp<M::Id>, M::Effect),
    /// Nothing, for now.
    Rest(Rest),
}

/// Why a shell has nothing to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rest {
    /// Nothing to do before this deadline, unless woken.
    Idle(Option<Timestamp>),
    /// There is more, but others want to run too.
    More,
    /// Nothing to do ever again.
    Ended,
    /// A later shell has the slot.
    Overtaken,
}

/// Why an input was not accepted; it comes back.
#[derive(Debug, thiserror::Error)]
pub enum SendError<I> {
    /// The inbox is full: shed load.
    #[error("inbox is full")]
    Full(I),
    /// The machine has ended.
    #[error("ended")]
    Gone(I),
}

impl<I> From<SendError<I>> for Refusal {
    fn from(error: SendError<I>) -> Self {
        match error {
            SendError::Full(_) => Self::Full,
            SendError::Gone(_) => Self::Gone,
        }
    }
}

impl<M: Machine> Outcome<M> {
    /// Asks the machine, outside of any lock.
    #[must_use]
    pub fn new(machine: M, effects: Effects<M::Effect>) -> Self {
        Self { deadline: machine.next_deadline(), ended: machine.is_ended(), machine, effects }
    }
}

impl<M: Machine> Slot<M> {
    /// A slot without a shell; it takes inputs from now on, at most `inbox_limit` unread ones.
    #[must_use]
    pub fn new(id: M::Id, machine: M, inbox_limit: usize) -> Self {
        Self { id, inbox_limit, inside: Mutex::new(Inside::new(machine)), trap: Trap::default() }
    }

    /// Under which it is filed.
    pub const fn id(&self) -> M::Id {
        self.id
    }

    /// Accepts an input, whether or not a shell is there to read it, and wakes the shell unless that was done already.
    ///
    /// # Errors
    /// [`SendError::Full`]: shed load. [`SendError::Gone`]: the machine has ended.
    pub fn push(&self, input: M::Input) -> Result<(), SendError<M::Input>> {
        self.accept(input, self.inbox_limit)
    }

    /// As [`push`](Self::push) above the limit, for what the node itself must say and says once: an end, a loss. Nobody
    /// hears it if the machine has ended.
    pub fn notify(&self, input: M::Input) {
        let _ended = self.accept(input, usize::MAX);
    }

    /// As [`notify`](Self::notify), before all that waits: what a port answers at once to an effect of this machine. What
    /// came meanwhile was sent by those who take the answer for given.
    pub fn reply(&self, input: M::Input) {
        let mut inside = self.inside.lock();
        if inside.is_closed() {
            return;
        }
        let sleeper = inside.take_in_first(input);
        drop(inside);
        wake(sleeper);
    }

    /// Inputs that nobody has read, and how many there may be.
    pub(crate) fn fill(&self) -> Fill {
        Fill { depth: self.inside.lock().unread(), capacity: self.inbox_limit }
    }

    fn accept(&self, input: M::Input, limit: usize) -> Result<(), SendError<M::Input>> {
        let mut inside = self.inside.lock();
        if inside.is_closed() {
            return Err(SendError::Gone(input));
        }
        if inside.unread() >= limit {
            return Err(SendError::Full(input));
        }
        let sleeper = inside.take_in(input);
        drop(inside);
        wake(sleeper);
        Ok(())
    }

    /// Makes the shell look at its slot.
    pub fn rouse(&self) {
        let sleeper = self.inside.lock().rouse();
        wake(sleeper);
    }

    /// Takes the slot from whatever shell has it, for a new one. `None`: a later supervisor has it.
    pub fn appoint(&self, reign: u32) -> Option<Term> {
        self.inside.lock().take_over(reign)
    }

    /// Lets the shell in that was appointed, and wakes it: whatever was left here is seen now. If the slot was taken from
    /// it already, the wake tells it.
    pub fn adopt(&self, term: Term, shell: &ActorRef<Wake>, now: Timestamp) {
        self.inside.lock().let_in(term, shell, now);
        wake(Some(shell.clone()));
    }

    /// Takes the slot from its shells and its senders for good: only `last_words` are still handled.
    pub fn seize(&self, reign: u32, last_words: Option<M::Input>) -> Option<Term> {
        self.inside.lock().seize(reign, last_words)
    }

    /// Takes back what the shell of `term` has done and says what is next: effects first, then a tick that is due, then
    /// the inbox. There is no other way to work on a slot, so recovery needs no code of its own.
    pub fn advance(&self, term: Term, now: Timestamp, done: Done<M>) -> Step<M> {
        let mut inside = self.inside.lock();
        if !inside.is_in(term) {
            return Step::Rest(Rest::Overtaken);
        }
        inside.settle(done);
        if inside.burst() == BURST {
            return Step::Rest(Rest::More);
        }
        if let Some((number, effect)) = inside.offer() {
            return Step::Perform(Stamp { from: self.id, number }, effect);
        }
        match inside.next_input(now) {
            Some(input) => Step::Handle(inside.machine().clone(), input),
            None => Step::Rest(inside.rest()),
        }
    }

    /// Nothing to do ever again. That the machine has ended is not enough: its last effects may still be here.
    pub fn is_done(&self) -> bool {
        self.inside.lock().is_done()
    }

    /// Whether something waited at the last sweep and nothing was done since. A deadline that has passed by more than
    /// `patience` counts: an alarm that was lost is as bad as an input. So does a wake that nobody answered.
    pub fn is_stuck(&self, now: Timestamp, patience: Duration) -> bool {
        self.inside.lock().is_stuck(now, patience)
    }

    /// Counts a failure of its shell.
    pub fn charge(&self, now: Timestamp, restarts: usize, window: Duration) -> Verdict {
        self.inside.lock().charge(now, restarts, window)
    }

    /// Lets go of all that nobody needs any more, however long a handle is kept. What is left of the machine, and why.
    pub fn empty(&self) -> (M, Exit) {
        self.inside.lock().empty()
    }

    /// A look at the machine, for views. Senders wait meanwhile: keep it short, and do not let it break.
    pub fn view<R>(&self, look: impl FnOnce(&M) -> R) -> R {
        look(self.inside.lock().machine())
    }

    /// As [`view`](Self::view), with what the slot itself has to say.
    pub fn glance<R>(&self, look: impl FnOnce(&M) -> R) -> Glance<R> {
        let inside = self.inside.lock();
        Glance {
            machine: look(inside.machine()),
            shells: inside.shells(),
            backlog: inside.backlog(),
            began: inside.began(),
        }
    }

    /// Breaks its shell. Whether there is one.
    pub(crate) fn break_shell(&self, how: How) -> bool {
        let Some(shell) = self.shell() else { return false };
        if self.trap.lay(how) {
            self.rouse();
        } else {
            shell.kill();
        }
        true
    }

    /// What the shell that was woken is to suffer.
    pub(crate) fn sprung(&self) -> Fault {
        self.trap.spring()
    }

    /// The actor that works on it, unless there is none just now.
    pub fn shell(&self) -> Option<ActorRef<Wake>> {
        self.inside.lock().shell()
    }

    /// How many shells it has had.
    pub fn shells(&self) -> u32 {
        self.inside.lock().shells()
    }

    /// How many inputs and effects wait.
    pub fn backlog(&self) -> usize {
        self.inside.lock().backlog()
    }
}

/// Outside of the lock. A dead shell does not matter: whoever adopts the slot starts awake.
fn wake(sleeper: Option<ActorRef<Wake>>) {
    if let Some(shell) = sleeper {
        let _dead = shell.cast(Wake);
    }
}
