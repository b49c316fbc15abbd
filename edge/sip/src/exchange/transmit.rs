//! What is to be sent, and whose it is.

use bytes::Bytes;
use tandem_core::id::LegId;
use tandem_core::location::Flow;

use super::ClientKey;

/// Something to send.
#[derive(Clone, Debug)]
pub(crate) struct Transmit {
    /// Which way.
    pub(crate) flow: Flow,
    /// What.
    pub(crate) bytes: Bytes,
    /// The request of ours that fails when it cannot be sent.
    pub(crate) about: Option<ClientKey>,
    /// The leg that it belongs to.
    pub(crate) leg: Option<LegId>,
    /// It was sent before.
    pub(crate) is_repeat: bool,
}

impl Transmit {
    /// The first time.
    pub(crate) const fn new(flow: Flow, bytes: Bytes, leg: Option<LegId>) -> Self {
        Self { flow, bytes, about: None, leg, is_repeat: false }
    }

    /// Once more, word for word.
    pub(crate) fn again(flow: Flow, bytes: Bytes, leg: Option<LegId>) -> Self {
        Self { is_repeat: true, ..Self::new(flow, bytes, leg) }
    }
}
