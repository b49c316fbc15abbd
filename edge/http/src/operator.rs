//! What the node must offer to its operator; the composition root implements it.

use tandem_actors::calls::{CallActor, CallView, How};

/// The node, as its operator sees it. Every method answers at once.
pub trait Operator: Send + Sync + 'static {
    /// Why the node takes no calls; nothing when it does.
    fn not_ready(&self) -> Vec<NotReady>;

    /// The calls that are not over, the oldest first.
    fn calls(&self) -> Vec<CallView>;

    /// Breaks a part of the node on purpose, to see it recover. Development only.
    ///
    /// # Errors
    /// [`BreakRefused`]: there is no such part, or it cannot be broken that way.
    fn break_part(&self, part: Part, how: How) -> Result<(), BreakRefused>;
}

/// One reason why a node takes no calls: a short name of the part that is not ready (`storage`, `door`).
pub type NotReady = &'static str;

/// A part that can be broken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    /// The actor of a call, a leg or a track.
    Actor(CallActor),
    /// A media worker, from 0.
    Worker(usize),
}

/// Why a part was not broken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BreakRefused {
    /// It has ended, or never was.
    #[error("there is no such part")]
    Unknown,
    /// A thread cannot be killed.
    #[error("this part cannot be broken that way")]
    Unsupported,
}
