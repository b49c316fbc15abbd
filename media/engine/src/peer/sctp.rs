//! The association that data channels run over (RFC 9260, RFC 8831): the library's, watched by a [`Guard`].
//!
//! ```text
//!  their INIT ─▶ accept ─┐                    ┌─▶ messages
//!    our INIT ── restart ┴─▶ take, send, expire ─▶ packets
//! ```
//!
//! # Invariants
//! * Who repeats an INIT is answered the same: there is one association for it.
//! * An association that has ended stays so. Why does not matter: it is begun anew, from there or from here.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use bytes::Bytes;
use rtc_sctp::{
    Association as Library, AssociationHandle, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Event, Payload,
    PayloadProtocolIdentifier as Ppid, ServerConfig, TransportConfig,
};
use rtc_shared::TransportProtocol;

use super::channels::Channel;
use super::dtls::{THEM, US};
use super::guard::{Guard, Verdict, init_tag};

/// Of a packet, in bytes.
pub(super) const COMMON_HEADER: usize = 12;

/// Bytes of messages that are not complete, or not read. The far end may have as many on the way.
pub(super) const WINDOW: u32 = 256 * 1024;

/// The longest message either way, in bytes.
pub(super) const MESSAGE_LIMIT: usize = 64 * 1024;

/// Streams that are offered: far more than are taken, as everybody does.
const STREAMS: u16 = 1_024;

static ENDPOINT: LazyLock<Arc<EndpointConfig>> = LazyLock::new(|| Arc::new(EndpointConfig::new()));
static SERVER: LazyLock<Arc<ServerConfig>> = LazyLock::new(|| Arc::new(ServerConfig::new(transport())));

fn transport() -> TransportConfig {
    TransportConfig::default()
        .with_max_receive_buffer_size(WINDOW)
        .with_max_message_size(MESSAGE_LIMIT as u32)
        .with_max_num_inbound_streams(STREAMS)
        .with_max_num_outbound_streams(STREAMS)
}

/// What came on a stream.
#[derive(Debug)]
pub(super) enum Incoming {
    /// About the channel itself.
    Control(Bytes),
    Message(Bytes),
    /// Longer than [`MESSAGE_LIMIT`].
    TooLong,
    /// Of a kind that is no more used.
    Unknown,
}

/// See the module.
pub(super) struct Association {
    endpoint: Endpoint,
    handle: AssociationHandle,
    library: Library,
    guard: Guard,
    /// The tag of the INIT that it answers, with the answer.
    answered: Option<(u32, Bytes)>,
    has_ended: bool,
    is_abused: bool,
}

impl Association {
    /// Answers an INIT. `None`: it is none.
    pub(super) fn accept(now: Instant, packet: &Bytes) -> Option<Self> {
        let tag = init_tag(packet)?;
        let mut endpoint = endpoint();
        let (handle, event) = endpoint.handle(now, THEM, None, packet.clone())?;
        let DatagramEvent::NewAssociation(mut library) = event else { return None };
        let answer = transmit(&mut library, now).into_iter().next()?;
        let guard = Guard::new(Some(packet));
        Some(Self {
            endpoint,
            handle,
            library,
            guard,
            answered: Some((tag, answer)),
            has_ended: false,
            is_abused: false,
        })
    }

    /// Begins from our side: after a rebuild, what the far end has is replaced by it (RFC 9260, 5.2.2).
    pub(super) fn restart(now: Instant) -> Option<Self> {
        let mut endpoint = endpoint();
        let (handle, library) = endpoint.connect(now, ClientConfig::new(transport()), THEM).ok()?;
        Some(Self {
            endpoint,
            handle,
            library,
            guard: Guard::new(None),
            answered: None,
            has_ended: false,
            is_abused: false,
        })
    }

    /// The answer to an INIT that this association began with: that of one just accepted, or of one that is repeated
    /// because its answer was lost.
    pub(super) fn answer_to(&self, packet: &[u8]) -> Option<Bytes> {
        let (tag, answer) = self.answered.as_ref()?;
        (init_tag(packet) == Some(*tag)).then(|| answer.clone())
    }

    /// Takes a packet in.
    pub(super) fn take(&mut self, now: Instant, packet: Bytes) {
        match self.guard.admit(&packet) {
            Verdict::Admit => {}
            Verdict::Drop => return,
            verdict => {
                self.has_ended = true;
                self.is_abused |= verdict == Verdict::Break;
                return;
            }
        }
        if let Some((handle, DatagramEvent::AssociationEvent(event))) = self.endpoint.handle(now, THEM, None, packet)
            && handle == self.handle
        {
            self.library.handle_event(event);
        }
    }

    /// Does what is due by time alone. `false`: nothing was.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        let is_due = self.library.poll_timeout().is_some_and(|due| due <= now);
        if is_due {
            self.library.handle_timeout(now);
        }
        is_due
    }

    /// Forgets the events, but for streams that the far end reset.
    pub(super) fn resets(&mut self) -> Vec<u16> {
        while self.library.accept_stream().is_some() {}
        while let Some(event) = self.library.poll_endpoint_event() {
            self.endpoint.handle_event(self.handle, event);
        }
        let mut reset = Vec::new();
        while let Some(event) = self.library.poll() {
            match event {
                Event::AssociationLost { id, .. } => {
                    self.guard.note_reset(id);
                    reset.push(id);
                }
                Event::HandshakeFailed { .. } => self.has_ended = true,
                _ => {}
            }
        }
        reset
    }

    /// Packets that are to go out now.
    pub(super) fn transmit(&mut self, now: Instant) -> Vec<Bytes> {
        let packets = transmit(&mut self.library, now);
        packets.iter().for_each(|packet| self.guard.note(packet));
        packets
    }

    /// What came on any stream, in the order of each.
    pub(super) fn read(&mut self) -> Option<(u16, Incoming)> {
        for id in self.library.stream_ids() {
            let Some(chunks) = self.library.stream(id).ok().and_then(|mut it| it.read_sctp().ok()).flatten() else {
                continue;
            };
            self.guard.note_read(chunks.chunks.len());
            // Never `Chunks::next`, which allocates as much as it may give.
            let payload = || chunks.to_payload(MESSAGE_LIMIT).map(|it| it.freeze());
            let incoming = match chunks.ppi {
                Ppid::Dcep => payload().map(Incoming::Control),
                Ppid::String | Ppid::Binary => payload().map(Incoming::Message),
                Ppid::StringEmpty | Ppid::BinaryEmpty => Ok(Incoming::Message(Bytes::new())),
                _ => Ok(Incoming::Unknown),
            };
            return Some((id, incoming.unwrap_or(Incoming::TooLong)));
        }
        None
    }

    /// Makes a stream what its channel wants it to be.
    pub(super) fn set(&mut self, channel: &Channel) {
        if self.library.stream(channel.id).is_err() {
            let _ = self.library.open_stream(channel.id, Ppid::Binary);
        }
        if let Ok(mut stream) = self.library.stream(channel.id) {
            let (is_unordered, kind, limit) = channel.reliability();
            let _ = stream.set_reliability_params(is_unordered, kind, limit);
        }
    }

    /// Bytes on a stream that the far end has not acknowledged.
    pub(super) fn waiting(&mut self, id: u16) -> usize {
        self.library.stream(id).ok().and_then(|stream| stream.buffered_amount().ok()).unwrap_or_default()
    }

    /// Queues a message. `false`: there is no such stream.
    pub(super) fn send(&mut self, now: Instant, id: u16, message: &Bytes) -> bool {
        // SCTP has no message without a byte (RFC 8831, 6.6).
        let (message, ppid) = match message.is_empty() {
            true => (&Bytes::from_static(&[0]), Ppid::BinaryEmpty),
            false => (message, Ppid::Binary),
        };
        self.write(now, id, message, ppid)
    }

    /// Queues a message about a channel.
    pub(super) fn control(&mut self, now: Instant, id: u16, message: &Bytes) {
        self.write(now, id, message, Ppid::Dcep);
    }

    /// Whether it is up.
    pub(super) fn is_connected(&self) -> bool {
        !self.library.is_handshaking() && !self.has_ended()
    }

    pub(super) fn has_ended(&self) -> bool {
        // Before the handshake, the library calls one that is accepted closed.
        self.has_ended || (self.library.is_closed() && (!self.library.is_handshaking() || self.answered.is_none()))
    }

    /// Whether the far end asks too much of it. `has_unread`: there is something to read.
    pub(super) const fn is_abused(&self, has_unread: bool) -> bool {
        // Parts of messages leave no room for the rest: they do not keep to the longest message.
        self.is_abused || (self.guard.is_full() && !has_unread)
    }

    fn write(&mut self, now: Instant, id: u16, message: &Bytes, ppid: Ppid) -> bool {
        let stream = self.library.stream(id);
        stream.is_ok_and(|mut stream| stream.write_chunk_with_ppi(now, message, ppid).is_ok())
    }
}

fn endpoint() -> Endpoint {
    const UDP: TransportProtocol = TransportProtocol::UDP;
    const HERE: SocketAddr = US;
    Endpoint::new(HERE, UDP, ENDPOINT.clone(), Some(SERVER.clone()))
}

fn transmit(library: &mut Library, now: Instant) -> Vec<Bytes> {
    let mut packets = Vec::new();
    while let Some(transmit) = library.poll_transmit(now) {
        match transmit.message {
            Payload::RawEncode(more) => packets.extend(more),
            _ => break,
        }
    }
    packets
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_be_bytes)
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_be_bytes)
}
