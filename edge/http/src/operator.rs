//! What the node must offer to its operator; the composition root implements it.

use tandem_actors::calls::CallView;
use tandem_actors::drill::How;
use tandem_actors::tree::PartView;

/// The node, as its operator sees it.
pub trait Operator: Send + Sync + 'static {
    /// Why the node takes no calls; nothing when it does.
    fn not_ready(&self) -> Vec<NotReady>;

    /// The calls that are not over, the oldest first.
    fn calls(&self) -> Vec<CallView>;

    /// Every actor and media thread there is, parents before children.
    fn tree(&self) -> Vec<PartView>;

    /// Breaks a part of the node on purpose, to see it recover.
    ///
    /// # Errors
    /// [`BreakRefused`]: there is no part with this id in the tree, or it cannot be broken that way.
    fn break_part(&self, id: &str, how: How) -> Result<(), BreakRefused>;
}

/// One reason why a node takes no calls: a short name of the part that is not ready (`storage`, `door`).
pub type NotReady = &'static str;

/// Why a part was not broken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BreakRefused {
    /// It has ended, is being started again, or never was.
    #[error("there is no such part now")]
    Unknown,
    /// A thread cannot be killed.
    #[error("this part cannot be broken that way: a thread panics or hangs, it cannot be killed")]
    Unsupported,
}
