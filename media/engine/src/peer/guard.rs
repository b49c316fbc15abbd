//! What an association must not be given, because the library would work or remember without bound for it.
//!
//! ```text
//!  packet ─▶ admit ─▶ library ─▶ its SACK ─▶ note: how far it is, and how much it holds
//! ```
//!
//! # Invariants
//! * No packet makes the library step through more than [`AHEAD`] numbers, and no chunk of data costs it more than
//!   [`STREAMS`] and [`HELD`] make it.
//! * The library sees the chunks that are seen here. It goes on behind what it understood of a chunk, not behind the
//!   chunk's length: chunks with something in them that it would pass over are not admitted.

use super::sctp::{COMMON_HEADER, WINDOW, u16_at, u32_at};

/// Transmission numbers that may be ahead of what is acknowledged: more than a full window of short messages.
const AHEAD: i32 = 1 << 14;

/// And behind: what is repeated because its acknowledgement was lost. Half way round, ahead and behind are the same.
const BEHIND: i32 = -AHEAD;

/// Streams that may have data on them. The library takes any of 65,536, and looks at each for every chunk.
const STREAMS: usize = 64;

/// Chunks of data that wait for others. The library counts their bytes, which may be one each.
const HELD: u32 = 1 << 14;

/// Requests to reset streams. Each may be remembered, and is looked at for every chunk then.
const RESETS: u32 = 128;

/// Chunks of a packet that are not data: each may have an answer.
const OTHERS: usize = 16;

/// Chunk types (RFC 9260, 3.2; RFC 3758, 3.2; RFC 6525, 3.1).
const DATA: u8 = 0;
const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
const SACK: u8 = 3;
const HEARTBEAT: u8 = 4;
const ABORT: u8 = 6;
const SHUTDOWN: u8 = 7;
const SHUTDOWN_ACK: u8 = 8;
const COOKIE_ECHO: u8 = 10;
const COOKIE_ACK: u8 = 11;
const SHUTDOWN_COMPLETE: u8 = 14;
const RECONFIG: u8 = 130;
const FORWARD_TSN: u8 = 192;

/// Parameter types (RFC 9260, 3.3; RFC 3758, 3.1; RFC 4895, 3.3; RFC 6525, 4).
const HEARTBEAT_INFO: u16 = 1;
const OUTGOING_RESET: u16 = 13;
const RESET_RESPONSE: u16 = 16;
const HMACS: u16 = 0x8004;
const KNOWS_FORWARD_TSN: u16 = 0xc000;

/// What to do with a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    Admit,
    /// As if it had been lost.
    Drop,
    /// The far end ends the association.
    End,
    /// Nobody means well who sends this.
    Break,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Guard {
    /// The number that all up to it are acknowledged. `None`: the far end's first is not known.
    acknowledged: Option<u32>,
    /// It cannot say another first number any more.
    is_fixed: bool,
    streams: Vec<u16>,
    held: u32,
    resets: u32,
    /// The window was closed when we last told.
    is_full: bool,
}

impl Guard {
    /// Of an association that begins with the far end's INIT, or with ours if there is none.
    pub(super) fn new(init: Option<&[u8]>) -> Self {
        Self {
            acknowledged: init.and_then(first_number),
            is_fixed: init.is_some(),
            streams: Vec::new(),
            held: 0,
            resets: 0,
            is_full: false,
        }
    }

    /// Looks at a packet that came.
    pub(super) fn admit(&mut self, packet: &[u8]) -> Verdict {
        if chunks(packet).filter(|chunk| chunk.kind != DATA).count() > OTHERS {
            return Verdict::Drop;
        }
        for chunk in chunks(packet) {
            let verdict = match chunk.kind {
                _ if !chunk.is_plain() => Verdict::Drop,
                DATA => self.admit_data(chunk.body),
                FORWARD_TSN => self.admit_number(u32_at(chunk.body, 0)),
                RECONFIG => self.admit_reset(),
                INIT_ACK => self.admit_answer(packet),
                // With others, or with a tag: it is none.
                INIT => Verdict::Drop,
                ABORT => Verdict::End,
                _ => Verdict::Admit,
            };
            if verdict != Verdict::Admit {
                return verdict;
            }
        }
        Verdict::Admit
    }

    /// Looks at a packet that goes out.
    pub(super) fn note(&mut self, packet: &[u8]) {
        match chunks(packet).next() {
            Some(Chunk { kind: SACK, body, .. }) => {
                self.acknowledged = u32_at(body, 0).or(self.acknowledged);
                let window = u32_at(body, 4).unwrap_or_default();
                self.is_full = window == 0;
                if window == WINDOW {
                    self.held = 0;
                }
            }
            Some(Chunk { kind: COOKIE_ECHO, .. }) => self.is_fixed = true,
            _ => {}
        }
    }

    /// A message of so many chunks was read.
    pub(super) fn note_read(&mut self, chunks: usize) {
        self.held = self.held.saturating_sub(u32::try_from(chunks).unwrap_or(u32::MAX));
    }

    /// A stream was reset.
    pub(super) fn note_reset(&mut self, id: u16) {
        self.streams.retain(|known| *known != id);
    }

    /// Whether parts of messages fill all there is for them.
    pub(super) const fn is_full(&self) -> bool {
        self.is_full
    }

    fn admit_data(&mut self, body: &[u8]) -> Verdict {
        let (Some(number), Some(id)) = (u32_at(body, 0), u16_at(body, 4)) else { return Verdict::Drop };
        match self.ahead(number) {
            Some(1..=AHEAD) => {}
            Some(BEHIND..=0) => return Verdict::Admit,
            _ => return Verdict::Drop,
        }
        if !self.streams.contains(&id) {
            if self.streams.len() >= STREAMS {
                return Verdict::Break;
            }
            self.streams.push(id);
        }
        self.held += 1;
        if self.held > HELD { Verdict::Break } else { Verdict::Admit }
    }

    fn admit_number(&self, number: Option<u32>) -> Verdict {
        let ahead = number.and_then(|number| self.ahead(number));
        if ahead.is_some_and(|ahead| (BEHIND..=AHEAD).contains(&ahead)) { Verdict::Admit } else { Verdict::Drop }
    }

    fn admit_answer(&mut self, packet: &[u8]) -> Verdict {
        if self.is_fixed || chunks(packet).count() > 1 || packet.get(..4) != Some(&PORTS) {
            return Verdict::Drop;
        }
        self.acknowledged = first_number(packet);
        Verdict::Admit
    }

    fn admit_reset(&mut self) -> Verdict {
        self.resets += 1;
        if self.resets > RESETS { Verdict::Break } else { Verdict::Admit }
    }

    /// How far a number is ahead of what is acknowledged.
    fn ahead(&self, number: u32) -> Option<i32> {
        self.acknowledged.map(|acknowledged| number.wrapping_sub(acknowledged).cast_signed())
    }
}

/// The tag in a packet that is an INIT and nothing else. `None`: it is none.
pub(super) fn init_tag(packet: &[u8]) -> Option<u32> {
    let mut all = chunks(packet);
    let init = all.next().filter(|it| it.kind == INIT && it.is_plain() && packet.get(4..8) == Some(&[0; 4]))?;
    let is_whole = (COMMON_HEADER + 4 + init.body.len()).next_multiple_of(4) == packet.len();
    u32_at(init.body, 0).filter(|_| is_whole)
}

/// 5000 on both sides, as everybody has them in WebRTC.
const PORTS: [u8; 4] = [0x13, 0x88, 0x13, 0x88];

/// The number before the first that an INIT or its answer names.
fn first_number(packet: &[u8]) -> Option<u32> {
    u32_at(packet, COMMON_HEADER + 16).map(|first| first.wrapping_sub(1))
}

#[derive(Clone, Copy, Debug)]
struct Chunk<'a> {
    kind: u8,
    body: &'a [u8],
}

impl Chunk<'_> {
    /// Whether all of it is what its type has, and the library will go on where it ends.
    fn is_plain(&self) -> bool {
        let body = self.body;
        match self.kind {
            // Without any data it would be remembered for nothing.
            DATA => body.len() > 12,
            INIT | INIT_ACK => body.get(16..).is_some_and(|rest| params(rest).all(is_plain_param)),
            SACK => {
                let blocks =
                    u16_at(body, 8).zip(u16_at(body, 10)).map(|(gaps, twice)| usize::from(gaps) + usize::from(twice));
                blocks.is_some_and(|blocks| body.len() == 12 + 4 * blocks)
            }
            HEARTBEAT => {
                params(body).map(|param| param.len).eq([body.len()]) && u16_at(body, 0) == Some(HEARTBEAT_INFO)
            }
            SHUTDOWN => body.len() == 4,
            SHUTDOWN_ACK | COOKIE_ACK | SHUTDOWN_COMPLETE => body.is_empty(),
            RECONFIG => {
                let is_reset = |param: Param| match param.kind {
                    OUTGOING_RESET => param.len >= 16,
                    RESET_RESPONSE => param.len == 12,
                    _ => false,
                };
                params(body).all(is_reset) && params(body).count() <= 2
            }
            FORWARD_TSN => body.len() >= 4 && body.len().is_multiple_of(4),
            ABORT | COOKIE_ECHO => true,
            // Of them, the library reads the causes of an ERROR unchecked.
            _ => false,
        }
    }
}

/// As many as can be read.
fn chunks(packet: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    let mut rest = packet.get(COMMON_HEADER..).unwrap_or_default();
    std::iter::from_fn(move || {
        let &[kind, _, high, low] = rest.first_chunk()?;
        let len = usize::from(u16::from_be_bytes([high, low]));
        let body = rest.get(4..len)?;
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(Chunk { kind, body })
    })
}

#[derive(Clone, Copy, Debug)]
struct Param {
    kind: u16,
    /// With its header.
    len: usize,
}

/// Parameters one after the other; the last is of no type if something is left that is none.
fn params(mut body: &[u8]) -> impl Iterator<Item = Param> {
    std::iter::from_fn(move || {
        if body.is_empty() {
            return None;
        }
        let param = u16_at(body, 0).zip(u16_at(body, 2)).map(|(kind, len)| Param { kind, len: len.into() });
        let whole = param.filter(|param| (4..=body.len()).contains(&param.len));
        body = whole.and_then(|param| body.get(param.len.next_multiple_of(4)..)).unwrap_or_default();
        Some(whole.unwrap_or(Param { kind: 0, len: 0 }))
    })
}

/// Those of an answer to an INIT that are of a fixed size in the library are of that size.
const fn is_plain_param(param: Param) -> bool {
    match param.kind {
        0 => false,
        KNOWS_FORWARD_TSN => param.len == 4,
        HMACS => param.len.is_multiple_of(2),
        _ => true,
    }
}
