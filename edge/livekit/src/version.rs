//! What a client understands, by the number of the signal protocol that it speaks.

/// The protocol that we announce. From 18 on, data channels of a single connection are negotiated out of band (with ids
/// 100 to 102) instead of opened by the client: we take those that are opened.
pub(crate) const OURS: i32 = 17;

/// The protocol that a client speaks; 0 when it does not tell.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Version(pub(crate) i32);

impl Version {
    /// Whether what it receives may come on a connection of its own that is the first to be made.
    pub(crate) const fn has_subscriber_as_primary(self) -> bool {
        self.0 >= 3
    }

    /// Whether it knows `leave.action`; older ones look at `can_reconnect`.
    pub(crate) const fn knows_leave_actions(self) -> bool {
        self.0 >= 13
    }
}
