//! A WebRTC far end: connectivity checks, the handshake, media in the clear on our side, and messages if wanted.
//!
//! ```text
//!  datagram ─┬─ STUN ─▶ answered; its address is known from then on
//!            ├─ DTLS, from a known address ─▶ handshake ─▶ keys, if the certificate is the one described
//!            │                              └─ later, with data channels ─▶ messages
//!            └─ SRTP, SRTCP, from a known address ─▶ opened in place ─▶ RTP, RTCP
//! ```
//!
//! We are ICE-lite, always the DTLS server, and have one component: everything runs over one address.
//!
//! # Invariants
//! * No I/O and no clock: the time comes with the input. What the handshake needs to be random is the library's.
//! * Nobody who does not know our password gets an answer, and DTLS is answered only where a check came from.
//! * Without the described certificate there are no keys in use; without keys nothing is opened or sealed.
//! * A peer built from the [`Kept`] of another goes on with its keys, addresses and numbers, and repeats no nonce.
//! * Keys are in no `Debug`, and are wiped when dropped.

mod channels;
mod cipher;
mod data;
mod dtls;
mod guard;
mod identity;
mod kept;
mod keys;
mod numbers;
mod pairs;
mod records;
mod sctp;
mod srtp;
mod stun;
mod waiting;
mod window;

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tandem_core::media::is_sendable;
use tandem_core::room::sfu::DataChannel;
use tandem_core::time::Timestamp;

pub use cipher::SEAL_OVERHEAD;
pub use data::{DataCounts, DataRefused};
pub use identity::{Identity, PeerError};
pub use kept::Kept;
pub use numbers::Numbers;
pub use stun::{is_stun, ufrag_of};

use data::{At, Data, Outcome};
use dtls::{Handshake, Progress};
use keys::Established;
use pairs::{Check, Pairs};
use srtp::{Media, Opened};
use stun::Credentials;

/// Datagrams that wait to be sent. More are dropped: their cause is repeated by the far end or by us.
const OUT_LIMIT: usize = 32;

/// How often our last flight is sent again because the far end repeats its own.
const FAREWELLS: u8 = 24;

/// What the far end's description says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Remote {
    /// Of its ICE agent. Checks may name another: who restarts ICE sends them before the new description is here, and
    /// it is our password that authenticates them.
    pub ufrag: String,
    /// Of its ICE agent. A lite agent sends no checks, and does not need it.
    pub password: String,
    /// SHA-256 of its certificate.
    pub fingerprint: [u8; 32],
}

/// What became of a datagram.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Received {
    /// It was dealt with, or means nothing here.
    Nothing,
    /// It was ignored.
    Refused(Refusal),
    /// A connectivity check: the far end lives.
    Alive,
    /// An RTP packet in the clear: the first `len` bytes of the datagram.
    Rtp {
        /// Bytes.
        len: usize,
    },
    /// An RTCP packet in the clear: the first `len` bytes of the datagram.
    Rtcp {
        /// Bytes.
        len: usize,
    },
    /// Something of the data channels: [`Peer::poll_data`] may have messages.
    Data,
    /// The far end closed the connection, of a peer with data channels. They are gone; media is not, for now.
    Closed,
}

/// Why a datagram was ignored.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Refusal {
    /// It is nothing that belongs here.
    Malformed,
    /// It was not made with our password or keys.
    Unauthenticated,
    /// It came before, or is too old to tell.
    Replayed,
    /// It is DTLS or media, and no check came from its address.
    Foreign,
    /// It begins another stream, and there are as many as we take.
    Crowded,
}

/// See the module.
pub struct Peer {
    epoch: Instant,
    identity: Arc<Identity>,
    kept: Arc<Kept>,
    pairs: Pairs,
    /// Of the certificate that the far end described.
    described: Option<[u8; 32]>,
    dtls: Dtls,
    media: Option<Box<Media>>,
    /// In use together with `media`. `None`: a peer without data channels, or not connected.
    data: Option<Box<Data>>,
    out: VecDeque<(SocketAddr, Bytes)>,
}

enum Dtls {
    /// Nothing came yet.
    Idle,
    /// What there is of it is kept above.
    Running,
    /// There are keys. So many times our last flight may be sent again.
    Done(u8),
    /// There will be no keys.
    Over,
}

impl Peer {
    /// A peer that goes on from `kept`; with a new one, it waits for a check and a handshake. `epoch` is the instant of
    /// timestamp 0.
    #[must_use]
    pub fn new(now: Timestamp, epoch: Instant, identity: Arc<Identity>, kept: Arc<Kept>) -> Self {
        let established = kept.established();
        let media = established.as_deref().filter(|_| kept.is_connected()).and_then(|it| Media::new(it, &kept));
        let mut pairs = kept.pairs();
        pairs.resume(now);
        let mut peer = Self {
            epoch,
            identity,
            pairs,
            described: None,
            dtls: match established {
                Some(_) => Dtls::Done(FAREWELLS),
                None if kept.is_shaking() => Dtls::Running,
                None => Dtls::Idle,
            },
            media: media.map(Box::new),
            data: None,
            out: VecDeque::new(),
            kept,
        };
        // Its association is to be begun again at once.
        let _ = peer.data(now);
        peer
    }

    /// Takes in the far end's description. Checks and the handshake may have come before; keys are used only after.
    /// A description with another certificate than the handshake's ends the use of its keys.
    pub fn set_remote(&mut self, remote: &Remote) {
        self.described = Some(remote.fingerprint);
        self.settle();
    }

    /// Takes a datagram in. Media is decrypted where it lies; after a refusal its bytes are worth nothing.
    pub fn receive(&mut self, now: Timestamp, from: SocketAddr, datagram: &mut [u8]) -> Received {
        if !is_sendable(from) {
            return Received::Refused(Refusal::Foreign);
        }
        // RFC 7983, 7, and RFC 5761, 4.
        let taken = match *datagram {
            [0..=3, ..] => self.take_check(now, from, datagram),
            [20..=63, ..] | [128..=191, ..] if !self.pairs.is_known(from) => Err(Refusal::Foreign),
            [20..=63, ..] => Ok(self.take_dtls(now, from, datagram)),
            [128..=191, 192..=223, ..] => self.take_rtcp(now, from, datagram),
            [128..=191, ..] => self.take_rtp(now, from, datagram),
            _ => Err(Refusal::Malformed),
        };
        taken.unwrap_or_else(Received::Refused)
    }

    /// The next answer or flight to send, and where to.
    pub fn poll_transmit(&mut self) -> Option<(SocketAddr, Bytes)> {
        self.out.pop_front().or_else(|| {
            let to = self.pairs.selected()?;
            Some((to, self.data.as_mut()?.poll_transmit()?))
        })
    }

    /// The next message of the data channels. Wants to be called after each datagram until there is none.
    pub fn poll_data(&mut self, now: Timestamp) -> Option<(DataChannel, Bytes)> {
        let (data, at) = self.data(now)?;
        data.poll(at)
    }

    /// Sends a message, 64 KiB at most.
    ///
    /// # Errors
    /// [`DataRefused`] says why it is not sent. After [`DataRefused::Broken`] none will be.
    pub fn send_data(&mut self, now: Timestamp, channel: DataChannel, message: &Bytes) -> Result<(), DataRefused> {
        let (data, at) = self.data(now).ok_or(DataRefused::NotOpen)?;
        data.send(at, channel, message)
    }

    /// Whether messages can be sent there.
    #[must_use]
    pub fn is_open(&self, channel: DataChannel) -> bool {
        self.data.as_ref().is_some_and(|data| data.is_open(channel))
    }

    /// Whether the data channels are of no use any more, because the far end does not take what is reliable or does what
    /// nobody should: the connection is to be given up.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.data.as_ref().is_some_and(|data| data.is_broken())
    }

    /// What happened to messages since this was called last.
    pub fn take_data_counts(&mut self) -> DataCounts {
        self.data.as_mut().map(|data| data.take_counts()).unwrap_or_default()
    }

    /// Encrypts an RTP packet, the first `len` bytes of a buffer with [`SEAL_OVERHEAD`] more. Gives where it goes and
    /// its new length. `None`: we are not connected, its number was used (64 behind the highest may be late, once), or
    /// this is no RTP; the bytes are worth nothing then.
    pub fn seal_rtp(&mut self, packet: &mut [u8], len: usize) -> Option<(SocketAddr, usize)> {
        let to = self.pairs.selected()?;
        let len = self.media.as_mut()?.seal_rtp(packet, len, &self.kept)?;
        Some((to, len))
    }

    /// Encrypts an RTP packet of a stream with numbers of its own, the first `len` bytes of a buffer with
    /// [`SEAL_OVERHEAD`] more, whose header has `header_len` bytes, the stream's SSRC and the lower half of the number.
    /// Gives its new length. `None`: we are not connected, or the number was used or is too old to tell.
    pub fn seal_numbered(
        &self,
        packet: &mut [u8],
        len: usize,
        header_len: usize,
        numbers: &mut Numbers,
        number: u64,
    ) -> Option<usize> {
        self.media.as_ref()?.seal_numbered(packet, len, header_len, numbers, number)
    }

    /// The numbers of a stream that is sent: as long as these keys are used, they go on where they are. `None`: this peer
    /// has had too many streams.
    #[must_use]
    pub fn numbers(&self, ssrc: u32) -> Option<Numbers> {
        self.kept.sent_stream(ssrc).map(|mark| Numbers::after(ssrc, mark))
    }

    /// The 48-bit number behind the highest one that came of a stream; 0: none came.
    #[must_use]
    pub fn received_end(&self, ssrc: u32) -> u64 {
        self.kept.received_end(ssrc)
    }

    /// By how much sealing makes an RTP packet longer, in bytes. `None`: we are not connected.
    #[must_use]
    pub fn seal_overhead(&self) -> Option<usize> {
        self.media.as_ref().map(|media| media.overhead())
    }

    /// Encrypts an RTCP packet as [`Self::seal_rtp`] does.
    pub fn seal_rtcp(&mut self, packet: &mut [u8], len: usize) -> Option<(SocketAddr, usize)> {
        let to = self.pairs.selected()?;
        let len = self.media.as_mut()?.seal_rtcp(packet, len, &self.kept)?;
        Some((to, len))
    }

    /// Does what is due by time alone. Wants to be called every 100 ms, until the peer is connected, and always with data
    /// channels.
    pub fn expire(&mut self, now: Timestamp) {
        if let Some((data, at)) = self.data(now) {
            data.expire(at);
        }
        let Dtls::Running = self.dtls else { return };
        let Some((mut handshake, from)) = self.kept.take_handshake() else { return };
        if handshake.expire(now) {
            push(&mut self.out, from, handshake.flight());
        }
        self.kept.keep_handshake(handshake, from);
    }

    /// Whether there are keys, and the far end's certificate is the one that its description named.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        self.media.is_some()
    }

    /// Where media goes.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.pairs.selected()
    }

    /// Whether a check or authenticated media came from there in the last seconds.
    #[must_use]
    pub fn is_at(&self, now: Timestamp, address: SocketAddr) -> bool {
        self.pairs.is_alive(now, address)
    }

    fn take_check(&mut self, now: Timestamp, from: SocketAddr, datagram: &[u8]) -> Result<Received, Refusal> {
        let ours =
            Credentials { ufrag: self.kept.ufrag(), password: self.kept.password(), crypto: self.identity.crypto() };
        let answer = stun::answer(datagram, from, ours)?;
        push(&mut self.out, from, &[answer.reply]);
        let Some(passed) = answer.passed else { return Ok(Received::Nothing) };
        let check =
            Check { remote_ufrag: &passed.remote_ufrag, priority: passed.priority, nominates: passed.nominates };
        if self.pairs.check(now, from, check) {
            self.kept.keep_pairs(&self.pairs);
        }
        Ok(Received::Alive)
    }

    fn take_dtls(&mut self, now: Timestamp, from: SocketAddr, datagram: &[u8]) -> Received {
        let is_handshake = datagram.first() == Some(&22);
        match &mut self.dtls {
            Dtls::Idle if is_handshake => {
                self.dtls = Dtls::Running;
                self.kept.keep_handshake(Box::new(Handshake::new(&self.identity)), from);
                self.shake(now, from, datagram);
            }
            Dtls::Running => self.shake(now, from, datagram),
            Dtls::Done(farewells) if is_handshake && *farewells > 0 => {
                *farewells -= 1;
                if let Some(established) = self.kept.established() {
                    push(&mut self.out, from, &established.farewell);
                }
            }
            Dtls::Done(_) if !is_handshake => return self.take_data(now, from, datagram),
            Dtls::Idle | Dtls::Done(_) | Dtls::Over => {}
        }
        Received::Nothing
    }

    /// A page that closes or reloads says goodbye here. Without data channels, silence tells whether it is gone.
    fn take_data(&mut self, now: Timestamp, from: SocketAddr, datagram: &[u8]) -> Received {
        let Some((data, at)) = self.data(now) else { return Received::Nothing };
        match data.take(at, datagram) {
            Outcome::Nothing => Received::Nothing,
            Outcome::Authentic(is_newest) => {
                if is_newest && self.pairs.carried(now, from) {
                    self.kept.keep_pairs(&self.pairs);
                }
                Received::Data
            }
            Outcome::Closed => Received::Closed,
        }
    }

    /// The data channels, in use once media is, and what they need to work.
    fn data(&mut self, now: Timestamp) -> Option<(&mut Data, At<'_>)> {
        let instant = self.instant(now);
        let at = At { now, instant, identity: &self.identity, kept: self.kept.data()? };
        if self.data.is_none() && self.media.is_some() {
            self.data = Some(Box::new(Data::new(at)));
        }
        Some((self.data.as_deref_mut()?, at))
    }

    fn instant(&self, now: Timestamp) -> Instant {
        self.epoch.checked_add(Duration::from_micros(now.0)).unwrap_or(self.epoch)
    }

    fn shake(&mut self, now: Timestamp, from: SocketAddr, datagram: &[u8]) {
        let Some((mut handshake, _)) = self.kept.take_handshake() else { return };
        let instant = self.instant(now);
        match handshake.take(now, instant, &self.identity, datagram) {
            Progress::Ongoing(sent) => {
                self.kept.keep_handshake(handshake, from);
                push(&mut self.out, from, &sent);
            }
            Progress::Established(established) => {
                if let Some(data) = self.kept.data() {
                    data.records.keep(handshake.export());
                }
                self.establish(now, from, established);
            }
            Progress::Failed => self.dtls = Dtls::Over,
        }
    }

    fn establish(&mut self, now: Timestamp, from: SocketAddr, established: Established) {
        if self.described.is_some_and(|described| described != established.fingerprint) {
            self.dtls = Dtls::Over;
            return;
        }
        push(&mut self.out, from, &established.farewell);
        if self.pairs.carried(now, from) {
            self.kept.keep_pairs(&self.pairs);
        }
        self.kept.establish(Some(Arc::new(established)));
        self.dtls = Dtls::Done(FAREWELLS);
        self.settle();
    }

    /// Takes keys into use, or out of it, once both the handshake and the description are here.
    fn settle(&mut self) {
        let (Some(established), Some(described)) = (self.kept.established(), self.described) else { return };
        if established.fingerprint != described {
            self.dtls = Dtls::Over;
            self.media = None;
            self.data = None;
            self.kept.establish(None);
        } else if self.media.is_none() {
            self.media = Media::new(&established, &self.kept).map(Box::new);
        }
        self.kept.connect(self.media.is_some());
    }

    fn take_rtp(&mut self, now: Timestamp, from: SocketAddr, datagram: &mut [u8]) -> Result<Received, Refusal> {
        let Some(media) = &mut self.media else { return Ok(Received::Nothing) };
        let opened = media.open_rtp(datagram, &self.kept)?;
        self.follow(now, from, opened);
        Ok(Received::Rtp { len: opened.len })
    }

    fn take_rtcp(&mut self, now: Timestamp, from: SocketAddr, datagram: &mut [u8]) -> Result<Received, Refusal> {
        let Some(media) = &mut self.media else { return Ok(Received::Nothing) };
        let opened = media.open_rtcp(datagram, &self.kept)?;
        self.follow(now, from, opened);
        Ok(Received::Rtcp { len: opened.len })
    }

    fn follow(&mut self, now: Timestamp, from: SocketAddr, opened: Opened) {
        if opened.is_newest && self.pairs.carried(now, from) {
            self.kept.keep_pairs(&self.pairs);
        }
    }
}

fn push(out: &mut VecDeque<(SocketAddr, Bytes)>, to: SocketAddr, datagrams: &[Bytes]) {
    let room = OUT_LIMIT.saturating_sub(out.len());
    out.extend(datagrams.iter().take(room).map(|datagram| (to, datagram.clone())));
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").field("ufrag", &self.kept.ufrag()).field("pairs", &self.pairs).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests;
