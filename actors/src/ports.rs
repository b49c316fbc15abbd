//! The world as the effects of one kind of machine see it.

use tandem_core::machine::{Exit, Machine, Refusal, Stamp};
use tracing::Span;

/// Where effects go. Synchronous and never waiting: what cannot be taken now is refused.
pub trait Ports<M: Machine>: Send + Sync + 'static {
    /// Performs one effect. May be offered again with the same stamp after a crash.
    ///
    /// # Errors
    /// [`Refusal`]: the effect goes back to its machine as an input.
    fn perform(&self, stamp: Stamp<M::Id>, effect: M::Effect) -> Result<(), Refusal>;

    /// The slot is gone and `last` is what is left of it. Release whatever is still filed under `id`: a refused last
    /// effect has no machine to go back to. If it was given up, tell its parent.
    fn gone(&self, id: M::Id, last: &M, exit: Exit);

    /// The ids that must be on whatever shell and supervisor log about this machine.
    fn span(&self, _id: M::Id, _machine: &M) -> Span {
        Span::none()
    }

    /// Hook for tests: what is to go wrong in the shell of `id` now.
    fn fault(&self, _id: M::Id, _at: FaultPoint) -> Fault {
        Fault::None
    }
}

/// Where in a shell something may be made to go wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FaultPoint {
    /// It starts.
    Start,
    /// It was woken, and has not looked into its slot yet.
    Wake,
}

/// What is to go wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// Nothing.
    None,
    /// It panics.
    Panic,
    /// It never comes back.
    Hang,
}
