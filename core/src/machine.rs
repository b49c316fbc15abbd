//! What a shell knows of a machine, and what it asks of the world.

use std::fmt::Debug;
use std::hash::Hash;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::time::{Now, Timestamp};

/// What the shell must do, in order.
pub type Effects<E> = SmallVec<[E; 2]>;

/// One call, leg or track as a value. Handled on a clone, so a panic leaves the old one whole: keep it cheap to clone.
pub trait Machine: Clone + Send + 'static {
    /// Under which it is filed.
    type Id: Copy + Debug + Eq + Hash + Send + Sync + 'static;
    /// What can happen to it. What the shell itself has to say is one of its variants.
    type Input: From<Notice<Self::Effect, Self::Kind>> + Send + 'static;
    /// The name of an input, for [`Notice::Recovered`] when the input itself is lost.
    type Kind: Copy + Debug + Send + 'static;
    /// What it wants done. Cloned once on its way to a port: large parts belong in an `Arc`.
    type Effect: Clone + Send + 'static;

    /// Applies one input.
    ///
    /// # Errors
    /// [`Rejected`] when it does not apply now; the clone is thrown away, so nothing changed.
    fn handle(&mut self, now: Now, input: Self::Input) -> Result<Effects<Self::Effect>, Rejected>;

    /// When to send [`Notice::Tick`]; `None` while nothing is pending. One tick must deal with all that is due, and
    /// move this on.
    fn next_deadline(&self) -> Option<Timestamp>;

    /// Final: no later input changes anything.
    fn is_ended(&self) -> bool;

    /// The kind of an input.
    fn kind(input: &Self::Input) -> Self::Kind;
}

/// What the shell and its supervisor have to say to a machine.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice<E, K> {
    /// The deadline has come.
    Tick,
    /// The shell died over an input of this kind. It is not tried again: the machine decides what that means.
    Recovered {
        /// What is gone.
        lost: K,
    },
    /// A port did not take this effect. Answer with a timer or an end, never with the same effect at once.
    Refused {
        /// What was to be done.
        effect: E,
        /// Why it was not.
        why: Refusal,
    },
    /// Its shells died too often. End now.
    GivenUp,
}

/// Why a port took nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// Its queue or its store is full: shed load.
    Full,
    /// Whom it was for is not there any more.
    Gone,
    /// The port panicked over it, twice. It may have been taken.
    Crashed,
}

/// The input does not apply in this state; nothing changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{input} does not apply in state {state}")]
pub struct Rejected {
    /// Name of the input.
    pub input: &'static str,
    /// Name of the state.
    pub state: &'static str,
}

/// Where an effect stands in its machine's history. Numbers rise by one and are offered in order; a crash may offer
/// one again: a receiver drops whatever is not above the highest number it took from that id.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub struct Stamp<I> {
    /// Whose effect it is.
    pub from: I,
    /// The how-manieth, from 0.
    pub number: u64,
}

/// Why a slot is gone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exit {
    /// Its machine ended.
    Ended,
    /// Its shells died too often.
    GivenUp,
}
