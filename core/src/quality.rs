//! How the media of a leg fared, for those who ask afterwards.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How the media of one leg fared, as we received it from its far end, up to now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MediaReport {
    /// Encoding name of what came last: `PCMA`, `opus`. `None` before the first packet.
    pub codec: Option<String>,
    /// RTP packets received from the far end.
    pub received: u64,
    /// RTP packets sent to it.
    pub sent: u64,
    /// Packets that it sent and that did not come, by their sequence numbers. Late ones and repeats do not count below zero.
    pub lost: u64,
    /// Interarrival jitter (RFC 3550, 6.4.1).
    pub jitter: Duration,
    /// From its receiver reports (RFC 3550, 6.4.1); `None` when it sends none.
    pub round_trip: Option<Duration>,
    /// Of what we sent, what it says it lost, in permille; `None` when it sends no reports.
    pub remote_lost_permille: Option<u16>,
    /// Estimated mean opinion score, 1.0..=4.5 (E-model of ITU-T G.107 with loss, delay and jitter; an estimate). `None`
    /// without media.
    pub mos: Option<f32>,
    /// How often the worker that carries it was replaced under it.
    pub rebuilds: u32,
}
