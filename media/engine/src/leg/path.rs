//! How a leg's packets travel.

use std::net::SocketAddr;

use rtp_rs::RtpReader;
use tandem_core::media::{LocalMedia, TrackSpec, is_sendable};
use tandem_core::time::Timestamp;

use crate::SocketKind;
use crate::continuity::{Continuity, Latched};
use crate::formats::Meaning;
use crate::latch::{Admission, Latch, RtcpLatch};
use crate::peer::{Peer, Remote};

/// See the module.
#[derive(Debug)]
pub(crate) enum Path {
    /// Plain RTP and RTCP, each from and to where it was signalled or learned to be.
    Plain { rtp: Latch, rtcp: RtcpLatch },
    /// A WebRTC peer: what it lets through is authentic, and it knows where to send.
    Peer(Box<Peer>),
}

impl Path {
    /// Plain, and nobody has said where to.
    pub(crate) fn plain(now: Timestamp) -> Self {
        let nowhere = LocalMedia::NOWHERE;
        Self::Plain { rtp: Latch::new(now, nowhere.rtp, None), rtcp: RtcpLatch::new(now, nowhere.rtcp, None) }
    }

    pub(crate) fn peer(&mut self) -> Option<&mut Peer> {
        match self {
            Self::Plain { .. } => None,
            Self::Peer(peer) => Some(peer),
        }
    }

    /// Takes up what the far end signalled. What was learned of it stays as long as it signals the same.
    pub(crate) fn aim(&mut self, now: Timestamp, spec: &TrackSpec, kept: &Continuity) {
        match self {
            Self::Plain { rtp, rtcp } => {
                let (anchors, remote) = (kept.anchors(), &spec.remote);
                if rtp.signalled() != remote.rtp {
                    *rtp = Latch::new(now, remote.rtp, learned(anchors.rtp, remote.rtp));
                }
                if rtcp.signalled() != remote.rtcp {
                    *rtcp = RtcpLatch::new(now, remote.rtcp, learned(anchors.rtcp, remote.rtcp));
                }
            }
            Self::Peer(peer) => {
                if let Some(remote) = &spec.remote.peer {
                    peer.set_remote(&Remote {
                        ufrag: remote.ufrag.clone(),
                        password: remote.password.reveal().clone(),
                        fingerprint: remote.fingerprint,
                    });
                }
            }
        }
    }

    /// Forgets where a plain far end is. A peer stays connected.
    pub(crate) fn forget(&mut self, now: Timestamp, kept: &Continuity) {
        if let Self::Plain { .. } = self {
            *self = Self::plain(now);
            kept.anchor(|anchors| (anchors.rtp, anchors.rtcp) = (None, None));
        }
    }

    /// Whether an RTP packet is from whom we listen to.
    pub(crate) fn admits(
        &mut self,
        now: Timestamp,
        from: SocketAddr,
        packet: &RtpReader<'_>,
        meaning: Meaning,
        kept: &Continuity,
    ) -> bool {
        let Self::Plain { rtp, rtcp } = self else { return true };
        let before = rtp.destination();
        let admission = match meaning {
            Meaning::Unknown => rtp.recognise(now, from),
            Meaning::Audio | Meaning::Event => rtp.admit(now, from, packet.ssrc(), packet.sequence_number().into()),
        };
        if admission == Admission::Latched {
            let latched = Latched { signalled: rtp.signalled(), actual: from };
            let has_moved = before.ip() != from.ip();
            if has_moved {
                rtcp.forget();
            }
            kept.anchor(|anchors| {
                anchors.rtp = Some(latched);
                anchors.rtcp = anchors.rtcp.filter(|_| !has_moved);
            });
        }
        admission != Admission::Foreign
    }

    /// The same for RTCP.
    pub(crate) fn admits_report(&mut self, now: Timestamp, from: SocketAddr, kept: &Continuity) -> bool {
        let Self::Plain { rtp, rtcp } = self else { return true };
        let admission = rtcp.admit(now, from, rtp.destination());
        if admission == Admission::Latched {
            let latched = Latched { signalled: rtcp.signalled(), actual: from };
            kept.anchor(|anchors| anchors.rtcp = Some(latched));
        }
        admission != Admission::Foreign
    }

    /// Whether there is anybody to send to.
    pub(crate) fn is_open(&self, spec: &TrackSpec) -> bool {
        match self {
            // An unspecified address is an old way to say hold: then not even a learned address gets anything.
            Self::Plain { .. } => is_sendable(spec.remote.rtp),
            Self::Peer(peer) => peer.is_connected(),
        }
    }

    /// Makes an RTP packet, the first `len` bytes of the buffer, ready to go. Gives its length then, and where it goes.
    pub(crate) fn seal(&mut self, buffer: &mut [u8], len: usize) -> Option<(SocketKind, SocketAddr, usize)> {
        match self {
            Self::Plain { rtp, .. } => Some((SocketKind::Rtp, rtp.destination(), len)),
            Self::Peer(peer) => peer.seal_rtp(buffer, len).map(|(to, len)| (SocketKind::Peer, to, len)),
        }
    }

    /// The same for RTCP.
    pub(crate) fn seal_report(&mut self, buffer: &mut [u8], len: usize) -> Option<(SocketKind, SocketAddr, usize)> {
        match self {
            Self::Plain { rtcp, .. } => {
                Some((SocketKind::Rtcp, rtcp.destination(), len)).filter(|(_, to, _)| is_sendable(*to))
            }
            Self::Peer(peer) => peer.seal_rtcp(buffer, len).map(|(to, len)| (SocketKind::Peer, to, len)),
        }
    }
}

fn learned(latched: Option<Latched>, signalled: SocketAddr) -> Option<SocketAddr> {
    latched.filter(|latched| latched.signalled == signalled).map(|latched| latched.actual)
}
