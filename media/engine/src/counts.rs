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
    /// Peers whose handshake succeeded.
    pub peers_connected: u64,
    /// Peers that were connected already when they were taken in.
    pub peers_rebuilt: u64,
    /// Datagrams on the peers' port that were nothing known.
    pub peer_malformed: u64,
    /// Datagrams on the peers' port that belong to no peer.
    pub peer_foreign: u64,
    /// Datagrams of peers that were not authentic, or came again.
    pub peer_refused: u64,
}
