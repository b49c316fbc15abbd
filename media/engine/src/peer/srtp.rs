//! Media of a connected peer: opening what comes, sealing what goes.
//!
//! # Invariants
//! * A number is accepted once, after its packet was authenticated; what was not changes nothing.
//! * A number is sealed with once. The highest is in [`Kept`] before its packet leaves, and after a rebuild only higher
//!   ones are used.

use std::sync::atomic::Ordering::Relaxed;

use super::Refusal;
use super::cipher::{Cipher, Header};
use super::kept::{Kept, Marks};
use super::keys::Established;
use super::numbers::Numbers;
use super::window::Window;

/// SRTCP packets that one key may seal (RFC 3711, 9.2).
const RTCP_END: u64 = 1 << 31;

/// See the module.
pub(super) struct Media {
    theirs: Cipher,
    ours: Cipher,
    received: Streams,
    received_rtcp: Streams,
    sent: Streams,
}

/// A packet that was authentic.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Opened {
    /// Bytes, in the clear.
    pub(super) len: usize,
    /// It is the latest of its stream.
    pub(super) is_newest: bool,
}

impl Media {
    /// Goes on from where the numbers of `kept` are.
    pub(super) fn new(established: &Established, kept: &Kept) -> Option<Self> {
        Some(Self {
            theirs: Cipher::new(established.profile, &established.client())?,
            ours: Cipher::new(established.profile, &established.server())?,
            received: Streams::after(&kept.received, true),
            received_rtcp: Streams::after(&kept.received_rtcp, true),
            sent: Streams::after(&kept.sent, false),
        })
    }

    /// What sealing adds to an RTP packet, in bytes.
    pub(super) fn overhead(&self) -> usize {
        self.ours.rtp_overhead()
    }

    pub(super) fn open_rtp(&mut self, packet: &mut [u8], kept: &Kept) -> Result<Opened, Refusal> {
        let header = Header::read(packet).ok_or(Refusal::Malformed)?;
        let index = self.received.index_of(&kept.received, header.ssrc, header.sequence).ok_or(Refusal::Replayed)?;
        self.received.check(&kept.received, header.ssrc, index)?;
        let len = self.theirs.open_rtp(packet, header, index).ok_or(Refusal::Unauthenticated)?;
        let is_newest = self.received.take(&kept.received, header.ssrc, index) == Some(true);
        Ok(Opened { len, is_newest })
    }

    pub(super) fn open_rtcp(&mut self, packet: &mut [u8], kept: &Kept) -> Result<Opened, Refusal> {
        let ssrc = rtcp_ssrc(packet).ok_or(Refusal::Malformed)?;
        let index = self.theirs.rtcp_index(packet).ok_or(Refusal::Malformed)?;
        self.received_rtcp.check(&kept.received_rtcp, ssrc, index.into())?;
        let len = self.theirs.open_rtcp(packet, ssrc, index).ok_or(Refusal::Unauthenticated)?;
        let is_newest = self.received_rtcp.take(&kept.received_rtcp, ssrc, index.into()) == Some(true);
        Ok(Opened { len, is_newest })
    }

    /// Gives the new length. `None`: this is no RTP, its number was used, or there is no room.
    pub(super) fn seal_rtp(&mut self, packet: &mut [u8], len: usize, kept: &Kept) -> Option<usize> {
        let header = Header::read(packet.get(..len)?)?;
        let index = self.sent.index_of(&kept.sent, header.ssrc, header.sequence)?;
        self.sent.check(&kept.sent, header.ssrc, index).ok()?;
        self.sent.take(&kept.sent, header.ssrc, index)?;
        self.ours.seal_rtp(packet, header, len, index)
    }

    /// The same with numbers that are kept elsewhere. The header has `header_len` bytes.
    pub(super) fn seal_numbered(
        &self,
        packet: &mut [u8],
        len: usize,
        header_len: usize,
        numbers: &mut Numbers,
        number: u64,
    ) -> Option<usize> {
        if !numbers.claim(number) {
            return None;
        }
        let header = Header { ssrc: numbers.ssrc(), sequence: number as u16, len: header_len };
        self.ours.seal_rtp(packet, header, len, number)
    }

    /// As [`Self::seal_rtp`].
    pub(super) fn seal_rtcp(&self, packet: &mut [u8], len: usize, kept: &Kept) -> Option<usize> {
        let ssrc = rtcp_ssrc(packet.get(..len)?)?;
        let index = kept.sent_rtcp.fetch_add(1, Relaxed);
        if index >= RTCP_END {
            return None;
        }
        self.ours.seal_rtcp(packet, ssrc, len, index as u32)
    }
}

/// Of the first packet of a compound. `None`: this is no RTCP.
fn rtcp_ssrc(packet: &[u8]) -> Option<u32> {
    let (&[flags, _, _, _, a, b, c, d], _) = packet.split_first_chunk::<8>()?;
    (flags >> 6 == 2).then_some(u32::from_be_bytes([a, b, c, d]))
}

/// The streams of one direction.
struct Streams {
    places: Box<[Option<Stream>]>,
    /// Rises with every number that is used.
    turn: u64,
    /// A new stream may take the place of the one that was quiet for longest.
    yields: bool,
}

#[derive(Clone, Copy)]
struct Stream {
    ssrc: u32,
    window: Window,
    /// The turn of its last number.
    used: u64,
}

impl Streams {
    fn after(marks: &Marks, yields: bool) -> Self {
        let resume = |(ssrc, highest)| Stream { ssrc, window: Window::after(highest), used: 0 };
        Self { places: marks.noted().map(|mark| mark.map(resume)).collect(), turn: 0, yields }
    }

    fn of(&self, marks: &Marks, ssrc: u32) -> Option<Window> {
        let present = self.places.iter().flatten().find(|stream| stream.ssrc == ssrc).map(|stream| stream.window);
        present.or_else(|| marks.retired(ssrc).map(Window::after))
    }

    /// The first packet of a stream is before its first rollover.
    fn index_of(&self, marks: &Marks, ssrc: u32, sequence: u16) -> Option<u64> {
        self.of(marks, ssrc).map_or(Some(sequence.into()), |window| window.index_of(sequence))
    }

    fn check(&self, marks: &Marks, ssrc: u32, number: u64) -> Result<(), Refusal> {
        match self.of(marks, ssrc) {
            Some(window) if window.is_free(number) => Ok(()),
            Some(_) => Err(Refusal::Replayed),
            None if self.yields || self.places.iter().any(Option::is_none) => Ok(()),
            None => Err(Refusal::Crowded),
        }
    }

    /// Uses a number up. `true`: it is the highest of its stream now. `None`: somebody else with the same box, who should
    /// be dead, has used it or a later one.
    fn take(&mut self, marks: &Marks, ssrc: u32, number: u64) -> Option<bool> {
        let known = self.places.iter().position(|place| place.is_some_and(|stream| stream.ssrc == ssrc));
        let place = known.or_else(|| self.make_room(marks, ssrc))?;
        self.turn += 1;
        let turn = self.turn;
        let stream = self.places.get_mut(place)?;
        let Stream { window, used, .. } = stream.get_or_insert(Stream { ssrc, window: Window::default(), used: 0 });
        *used = turn;
        let expected = window.end();
        if !window.note(number) {
            return Some(false);
        }
        let found = marks.raise(place, ssrc, number)?;
        if found != expected {
            *window = Window::after(number.max(found.saturating_sub(1)));
        }
        (found <= number).then_some(true)
    }

    /// The place of a new stream.
    fn make_room(&mut self, marks: &Marks, ssrc: u32) -> Option<usize> {
        if let Some(free) = self.places.iter().position(Option::is_none) {
            return Some(free);
        }
        let quiet = self.places.iter().enumerate().min_by_key(|(_, place)| place.map_or(0, |stream| stream.used));
        let (place, _) = quiet.filter(|_| self.yields && (marks.may_retire() || marks.retired(ssrc).is_some()))?;
        let window = marks.retired(ssrc).map_or_else(Window::default, Window::after);
        marks.replace(place, ssrc);
        *self.places.get_mut(place)? = Some(Stream { ssrc, window, used: 0 });
        Some(place)
    }
}
