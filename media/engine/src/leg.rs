//! One leg: its transport, and the audio track on it.
//!
//! # Invariants
//! * Without a track, packets go nowhere; a peer is there for its far end all the same.
//! * Silence is reported once, and only while the far end is expected to be heard: a phone while it is to send, a peer
//!   always, for once it is connected its checks of the path never cease.

mod path;
mod track;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rtp_rs::RtpReader;
use tandem_core::id::{LegId, TrackId};
use tandem_core::media::{MediaNews, TrackSpec};
use tandem_core::time::{Now, Timestamp};

use crate::SocketKind;
use crate::continuity::Continuity;
use crate::counts::Counts;
use crate::engine::Settings;
use crate::peer::{Peer, Received, Refusal};
use crate::rtcp;
use path::Path;
use track::Track;
pub(crate) use track::{Arrival, Bridge};

/// What the legs of an engine have to say.
#[derive(Debug, Default)]
pub(crate) struct Out {
    pub(crate) counts: Counts,
    pub(crate) news: VecDeque<(LegId, MediaNews)>,
}

/// Something of a leg that is ready to go: from which of its sockets, where to, how many bytes of the buffer.
pub(crate) type Parting = (SocketKind, SocketAddr, usize);

/// See the module.
#[derive(Debug)]
pub(crate) struct Leg {
    id: LegId,
    kept: Arc<Continuity>,
    is_watched: bool,
    is_silent: bool,
    /// When the far end last sent anything, or the wait for it began.
    heard: Timestamp,
    path: Path,
    track: Option<Track>,
    must_report: bool,
    /// Its peer's handshake was counted.
    was_connected: bool,
}

impl Leg {
    /// `peer`: what its packets travel by if they are not plain RTP.
    pub(crate) fn new(now: Timestamp, id: LegId, kept: Arc<Continuity>, peer: Option<Peer>) -> Self {
        let was_connected = peer.as_ref().is_some_and(Peer::is_connected);
        let path = peer.map_or_else(|| Path::plain(now), |peer| Path::Peer(Box::new(peer)));
        Self {
            id,
            kept,
            is_watched: false,
            is_silent: false,
            heard: now,
            path,
            track: None,
            must_report: false,
            was_connected,
        }
    }

    pub(crate) fn id(&self) -> LegId {
        self.id
    }

    pub(crate) fn track_id(&self) -> Option<TrackId> {
        self.track.as_ref().map(|track| track.id)
    }

    pub(crate) fn spec(&self) -> Option<&TrackSpec> {
        self.track.as_ref().map(|track| &track.spec)
    }

    pub(crate) fn bridge(&self) -> Option<Bridge> {
        self.track.as_ref()?.bridge
    }

    /// Anchors a track, or changes what it carries.
    pub(crate) fn attach(&mut self, now: Timestamp, id: TrackId, spec: TrackSpec, first_report: Duration) {
        self.path.aim(now, &spec, &self.kept);
        match self.track.as_mut().filter(|track| track.id == id) {
            Some(track) => track.respecify(spec),
            None => self.track = Some(Track::new(id, spec, self.kept.clone(), now + first_report)),
        }
    }

    pub(crate) fn detach(&mut self, now: Timestamp) {
        self.track = None;
        self.kept.hearing().end();
        self.path.forget(now, &self.kept);
    }

    pub(crate) fn watch(&mut self, now: Timestamp) {
        if !self.is_watched {
            self.is_watched = true;
            self.heard = now;
        }
    }

    pub(crate) fn link(&mut self, bridge: Bridge, destination: Option<&TrackSpec>) {
        if let Some(track) = &mut self.track {
            track.link(bridge, destination);
        }
    }

    /// A datagram of its peer's, which is decrypted where it lies.
    pub(crate) fn unseal(&mut self, now: Timestamp, from: SocketAddr, datagram: &mut [u8], out: &mut Out) -> Received {
        let Some(peer) = self.path.peer() else { return Received::Nothing };
        let received = peer.receive(now, from, datagram);
        match &received {
            Received::Refused(Refusal::Malformed) => out.counts.peer_malformed += 1,
            Received::Refused(Refusal::Foreign) => out.counts.peer_foreign += 1,
            Received::Refused(_) => out.counts.peer_refused += 1,
            // Who never gets beyond checks is as good as silent.
            Received::Alive if !peer.is_connected() => {}
            Received::Alive | Received::Rtp { .. } | Received::Rtcp { .. } => {
                (self.heard, self.is_silent) = (now, false);
            }
            // A call has no data channels.
            Received::Nothing | Received::Data | Received::Closed => {}
        }
        received
    }

    /// What its packets travel by, if they are not plain RTP.
    pub(crate) fn peer(&mut self) -> Option<&mut Peer> {
        self.path.peer()
    }

    /// RTP from the far end. `None`: it goes no further.
    pub(crate) fn take(&mut self, now: Timestamp, from: SocketAddr, packet: &[u8], out: &mut Out) -> Option<Arrival> {
        let Some(track) = &mut self.track else {
            out.counts.unrouted += 1;
            return None;
        };
        let Ok(packet) = RtpReader::new(packet) else {
            out.counts.malformed += 1;
            return None;
        };
        let format = track.format_of(&packet);
        if !self.path.admits(now, from, &packet, format.meaning, &self.kept) {
            out.counts.foreign += 1;
            return None;
        }
        out.counts.received += 1;
        (self.heard, self.is_silent) = (now, false);
        let Some((news, arrival)) = track.follow(now, &packet, format) else {
            out.counts.unrouted += 1;
            return None;
        };
        out.news.extend(news.into_iter().flatten().map(|news| (self.id, news)));
        Some(arrival)
    }

    /// Makes another leg's packet one of ours, where it lies in the buffer. `None`: it cannot go to this far end.
    pub(crate) fn send(&mut self, now: Timestamp, arrival: &Arrival, buffer: &mut [u8]) -> Option<Parting> {
        let track = self.track.as_mut().filter(|track| arrival.bridge.is_some_and(|bridge| bridge.to == track.id))?;
        if !track.may_send() || !self.path.is_open(&track.spec) {
            return None;
        }
        let len = track.rewrite(now, arrival, &self.kept, buffer)?;
        self.path.seal(buffer, len)
    }

    /// RTCP from the far end.
    pub(crate) fn take_report(&mut self, now: Timestamp, from: SocketAddr, packet: &[u8], out: &mut Out) {
        let Some(track) = &mut self.track else {
            out.counts.unrouted += 1;
            return;
        };
        let Ok(heard) = rtcp::read(packet, self.kept.ssrc()) else {
            out.counts.malformed += 1;
            return;
        };
        if !self.path.admits_report(now, from, &self.kept) {
            out.counts.foreign += 1;
            return;
        }
        out.counts.reports += 1;
        (self.heard, self.is_silent) = (now, false);
        if let Some(news) = track.hear(now, &heard) {
            out.news.push_back((self.id, news));
        }
    }

    /// What is due by time alone. `true`: there may be something to [`transmit`](Self::transmit).
    pub(crate) fn expire(&mut self, now: Timestamp, settings: &Settings, next_report: Duration, out: &mut Out) -> bool {
        if let Some(track) = &mut self.track {
            out.news.extend(track.digits.expire(now).map(|news| (self.id, news)));
            track.measure();
            if now >= track.next_report {
                track.next_report = now + next_report;
                self.must_report = true;
            }
        }
        let (is_expected, silence) = match &mut self.path {
            Path::Peer(peer) => {
                peer.expire(now);
                if peer.is_connected() && !std::mem::replace(&mut self.was_connected, true) {
                    self.heard = now;
                    out.counts.peers_connected += 1;
                }
                (true, settings.peer_silence_timeout)
            }
            path @ Path::Plain { .. } => {
                let is_expected = |track: &Track| track.expects_media() && path.is_open(&track.spec);
                (self.track.as_ref().is_some_and(is_expected), settings.silence_timeout)
            }
        };
        if !is_expected {
            self.heard = now;
        } else if self.is_watched && !self.is_silent && now - self.heard >= silence {
            self.is_silent = true;
            out.counts.silent += 1;
            out.news.push_back((self.id, MediaNews::Silent));
        }
        self.must_report || self.path.peer().is_some()
    }

    /// The next thing that it sends of its own accord: its peer's datagrams, then a report that is due.
    pub(crate) fn transmit(&mut self, now: Now, buffer: &mut [u8]) -> Option<Parting> {
        while let Some((to, datagram)) = self.path.peer().and_then(Peer::poll_transmit) {
            if let Some(room) = buffer.get_mut(..datagram.len()) {
                room.copy_from_slice(&datagram);
                return Some((SocketKind::Peer, to, datagram.len()));
            }
        }
        if !std::mem::take(&mut self.must_report) {
            return None;
        }
        let track = self.track.as_mut().filter(|track| self.path.is_open(&track.spec))?;
        let len = track.write_report(now, &self.kept, buffer)?;
        self.path.seal_report(buffer, len)
    }
}
