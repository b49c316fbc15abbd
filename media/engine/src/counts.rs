//! What an engine counts, in plain numbers: whoever runs it adds them to the node's metrics per batch.

/// Since the last [`Engine::take_counts`](crate::Engine::take_counts).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// RTP packets that were valid and from the right source.
    pub received: u64,
    /// Packets that were no RTP or RTCP.
    pub malformed: u64,
    /// Packets from where nobody was expected.
    pub foreign: u64,
    /// Packets with nowhere to go: nothing attached or bridged, or a format that the other side did not agree to.
    pub unrouted: u64,
    /// RTCP packets that were valid and from the right source.
    pub reports: u64,
    /// Legs that fell silent.
    pub silent: u64,
}
