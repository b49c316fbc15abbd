//! The DTLS 1.2 handshake, which we always serve: its outcome is all that media needs, and then it is dropped.
//!
//! ```text
//!  ClientHello ─▶ with AES-GCM only ──no such profile──▶ again with AES-CM
//!                      └────────────▶ Established, and our last flight in it ◀────────┘
//! ```
//!
//! # Invariants
//! * Retransmission is ours: what was sent last is sent again as it was, until something new goes out. A far end drops
//!   records that it has seen. (The timer of `rtc-dtls` stops for good when the far end repeats itself first.)
//! * A handshake takes [`LIMIT`] datagrams at most, of [`PIECES`] pieces each: `rtc-dtls` searches all that it has once
//!   for each, and goes as deep into recursion as there are. A stack that is full ends the process, not the leg.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_dtls::state::State;
use rtc_shared::TransportProtocol;
use rtc_shared::error::Error;
use tandem_core::time::Timestamp;
use zeroize::Zeroizing;

use super::identity::{Identity, fingerprint_of};
use super::keys::{Established, Profile};
use super::records;

/// The endpoint knows the far end by one name, whatever its address is at the moment.
pub(super) const THEM: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 1));

/// Likewise ours.
pub(super) const US: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 2), 1));

/// Datagrams from the far end: some times what a handshake with large certificates and losses takes.
const LIMIT: usize = 100;

/// Handshake messages, or pieces of one, in a datagram: some times what a flight has.
const PIECES: usize = 16;

/// Of a record (RFC 6347, 4.1), in bytes.
pub(super) const RECORD_HEADER: usize = 13;

/// Of a handshake message or a piece of one (RFC 6347, 4.2.2), in bytes.
const PIECE_HEADER: usize = 12;

/// A ClientHello comes in one to three datagrams.
const HELLO_LIMIT: usize = 4;

/// Until the first retransmission; each one waits twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// So many retransmissions of a flight take 13 s.
const RETRANSMISSIONS: u32 = 7;

/// RFC 5764, 4.2.
const LABEL: &str = "EXTRACTOR-dtls_srtp";

/// See the module.
pub(super) struct Handshake {
    endpoint: Endpoint,
    /// What came first, to begin again with.
    hello: Vec<Bytes>,
    is_fallback: bool,
    taken: usize,
    flight: Vec<Bytes>,
    retransmissions: u32,
    due: Timestamp,
}

/// Where a handshake has got to.
pub(super) enum Progress {
    /// With what is to be sent now.
    Ongoing(Vec<Bytes>),
    /// With our last flight, which is to be sent now.
    Established(Established),
    /// It ended without keys.
    Failed,
}

impl Handshake {
    pub(super) fn new(identity: &Identity) -> Self {
        Self {
            endpoint: Endpoint::new(US, TransportProtocol::UDP, Some(identity.preferred())),
            hello: Vec::new(),
            is_fallback: false,
            taken: 0,
            flight: Vec::new(),
            retransmissions: 0,
            due: Timestamp::default(),
        }
    }

    /// Takes a datagram.
    pub(super) fn take(&mut self, now: Timestamp, instant: Instant, identity: &Identity, datagram: &[u8]) -> Progress {
        self.taken += 1;
        if self.taken > LIMIT {
            return Progress::Failed;
        }
        if pieces(datagram) > PIECES {
            return Progress::Ongoing(Vec::new());
        }
        let read = self.read(instant, identity, datagram);
        let sent: Vec<Bytes> =
            std::iter::from_fn(|| self.endpoint.poll_transmit()).map(|it| it.message.freeze()).collect();
        if let Ok(true) = read {
            let state = self.endpoint.get_connection_state(THEM);
            return state.and_then(|state| outcome(state, sent)).map_or(Progress::Failed, Progress::Established);
        }
        // An alert is no flight: who sent us something broken may have been somebody else.
        if read.is_ok() && !sent.is_empty() {
            self.flight.clone_from(&sent);
            self.retransmissions = 0;
            self.due = now + FIRST_WAIT;
        }
        Progress::Ongoing(sent)
    }

    /// What records of application data need, once it is established.
    pub(super) fn export(&self) -> Option<Zeroizing<Vec<u8>>> {
        self.endpoint.get_connection_state(THEM).and_then(records::export)
    }

    /// What was sent last.
    pub(super) fn flight(&self) -> &[Bytes] {
        &self.flight
    }

    /// Whether it is to be sent again now.
    pub(super) fn expire(&mut self, now: Timestamp) -> bool {
        let is_due = !self.flight.is_empty() && self.retransmissions < RETRANSMISSIONS && now >= self.due;
        if is_due {
            self.retransmissions += 1;
            self.due = now + FIRST_WAIT * 2_u32.saturating_pow(self.retransmissions);
        }
        is_due
    }

    /// `true`: the handshake is complete. An error is nothing to us: what does not belong here is ignored, and who cannot
    /// agree is told by an alert.
    fn read(&mut self, instant: Instant, identity: &Identity, datagram: &[u8]) -> Result<bool, Error> {
        if !self.is_fallback && self.hello.len() < HELLO_LIMIT {
            self.hello.push(Bytes::copy_from_slice(datagram));
        }
        match self.endpoint.read(instant, THEM, None, datagram.into()) {
            Err(Error::ErrServerNoMatchingSrtpProfile) if !self.is_fallback => self.fall_back(instant, identity),
            read => read.map(|events| is_completed(&events)),
        }
    }

    /// Begins again, as if the alert in the old endpoint had never been.
    fn fall_back(&mut self, instant: Instant, identity: &Identity) -> Result<bool, Error> {
        self.is_fallback = true;
        self.endpoint = Endpoint::new(US, TransportProtocol::UDP, Some(identity.fallback()));
        for datagram in std::mem::take(&mut self.hello) {
            self.endpoint.read(instant, THEM, None, BytesMut::from(datagram))?;
        }
        Ok(false)
    }
}

/// Handshake messages and pieces in a datagram, as `rtc-dtls` cuts it; of what is encrypted, as many as there could be.
fn pieces(mut datagram: &[u8]) -> usize {
    let mut count = 0;
    while let Some((&[kind, _, _, epoch @ .., _, _, _, _, _, _, high, low], rest)) =
        datagram.split_first_chunk::<RECORD_HEADER>()
    {
        let len = usize::from(u16::from_be_bytes([high, low]));
        let (record, rest) = rest.split_at_checked(len).unwrap_or((rest, &[]));
        count += match (kind, epoch) {
            (22, [0, 0]) => pieces_of(record),
            (22, _) => record.len() / PIECE_HEADER,
            _ => 0,
        };
        datagram = rest;
    }
    count
}

fn pieces_of(mut record: &[u8]) -> usize {
    let mut count = 0;
    while let Some((&[_, high, middle, low, ..], rest)) = record.split_first_chunk::<PIECE_HEADER>() {
        let len = u32::from_be_bytes([0, high, middle, low]) as usize;
        record = rest.get(len..).unwrap_or_default();
        count += 1;
    }
    count
}

fn is_completed(events: &[EndpointEvent]) -> bool {
    events.iter().any(|event| matches!(event, EndpointEvent::HandshakeComplete))
}

/// `None`: no profile of ours was agreed on, or there is no certificate.
fn outcome(state: &State, farewell: Vec<Bytes>) -> Option<Established> {
    let profile = match state.srtp_protection_profile() {
        SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm => Profile::Gcm,
        SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80 => Profile::Cm,
        _ => return None,
    };
    let fingerprint = fingerprint_of(state.peer_certificates.first()?);
    let material = state.export_keying_material(LABEL, &[], profile.material()).ok()?;
    Established::new(profile, Zeroizing::new(material.into_bytes()), fingerprint, farewell)
}
