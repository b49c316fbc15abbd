//! Messages out of a stream (RFC 3261, 18.3; keep-alives of RFC 5626, 4.4.1). No I/O: bytes in, frames out.
//!
//! # Invariants
//! * After [`Frame::Fatal`] nothing comes any more: what follows on that connection cannot be told from a body.
//! * Fed with pieces of at most `n` octets and drained after each, it holds at most [`limit::MESSAGE`]` + n` octets.

use bytes::BytesMut;

use crate::header::syntax::is_token;
use crate::header::{BadHeader, Headers, Name};
use crate::message::{Fault, Head, Malformed, Message, limit};

/// The answer to [`Frame::Ping`].
pub const PONG: &[u8] = b"\r\n";

/// Cuts one connection's octets into messages.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: BytesMut,
    /// How much of the buffer is known to hold no end of a head.
    searched: usize,
    /// A head that waits for its body, and the length of that.
    head: Option<(Head, usize)>,
    is_lost: bool,
}

/// What came.
#[derive(Debug)]
pub enum Frame {
    /// A well-formed message.
    Message(Message),
    /// A message that is refused or dropped; those behind it can still be read.
    Malformed(Box<Malformed>),
    /// The far end asks whether we are there: send it [`PONG`].
    Ping,
    /// Nobody can tell where the next message begins. Answer this one if it can be, and close.
    Fatal(Box<Malformed>),
}

impl Framer {
    /// Takes what was received. Call [`Framer::next_frame`] until it gives `None` before feeding more.
    pub fn feed(&mut self, bytes: &[u8]) {
        if !self.is_lost {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next frame, or `None` until more is fed.
    pub fn next_frame(&mut self) -> Option<Frame> {
        if self.head.is_none() {
            if self.take_line_ends() {
                return Some(Frame::Ping);
            }
            match self.take_head()? {
                Ok(waiting) => self.head = Some(waiting),
                Err(malformed) => return Some(self.lose(malformed)),
            }
        }
        let (_, length) = self.head.as_ref()?;
        if self.buffer.len() < *length {
            return None;
        }
        let (head, length) = self.head.take()?;
        let body = self.buffer.split_to(length).freeze();
        Some(head.finish(&body).map_or_else(Frame::Malformed, Frame::Message))
    }

    /// Whether part of a message is here and the rest is not: that must not last. Line ends alone are no part of one.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.head.is_some() || self.buffer.iter().any(|byte| !matches!(byte, b'\r' | b'\n'))
    }

    /// Drops line ends between messages. True for two at once, a ping; one alone is a pong, or slack behind a body.
    fn take_line_ends(&mut self) -> bool {
        loop {
            match self.buffer.as_ref() {
                [b'\r', b'\n', b'\r', b'\n', ..] => {
                    drop(self.buffer.split_to(4));
                    return true;
                }
                [b'\r', b'\n', other, ..] if *other != b'\r' => drop(self.buffer.split_to(2)),
                _ => return false,
            }
        }
    }

    /// `None` until the head is complete.
    fn take_head(&mut self) -> Option<Result<(Head, usize), Box<Malformed>>> {
        let is_sip = match self.buffer.as_ref() {
            [] | [b'\r'] | [b'\r', b'\n'] | [b'\r', b'\n', b'\r'] => return None,
            [first, ..] => is_token(*first),
        };
        if !is_sip {
            return Some(Err(unreadable(400, "Not SIP")));
        }
        let Some(length) = self.head_length() else {
            let is_too_long = self.buffer.len() > limit::HEAD;
            return is_too_long.then(|| Err(unreadable(513, "Head too long")));
        };
        let bytes = self.buffer.split_to(length).freeze();
        self.searched = 0;
        let (head, _) = Head::read(&bytes);
        Some(match head.content_length() {
            Ok(Some(body)) if body <= limit::MESSAGE.saturating_sub(length) => Ok((head, body)),
            Ok(Some(_)) => Err(head.refuse(Fault { status: 513, reason: "Message Too Large".into() })),
            Ok(None) => Err(head.refuse(BadHeader::Missing(Name::ContentLength).into())),
            Err(bad) => Err(head.refuse(bad.into())),
        })
    }

    /// Octets up to and with the empty line. `None` while it is not here.
    fn head_length(&mut self) -> Option<usize> {
        const END: &[u8] = b"\r\n\r\n";
        let tail = self.buffer.get(self.searched..)?;
        let Some(at) = tail.windows(END.len()).position(|it| it == END) else {
            self.searched = self.buffer.len().saturating_sub(END.len() - 1);
            return None;
        };
        Some(self.searched + at + END.len())
    }

    fn lose(&mut self, malformed: Box<Malformed>) -> Frame {
        self.is_lost = true;
        self.buffer = BytesMut::new();
        Frame::Fatal(malformed)
    }
}

/// Whether a datagram is there only to keep a NAT's binding open: line ends, or the zeros some phones send.
#[must_use]
pub fn is_keep_alive(datagram: &[u8]) -> bool {
    datagram.iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0))
}

/// Of a head nothing of which was read.
fn unreadable(status: u16, reason: &'static str) -> Box<Malformed> {
    let fault = Fault { status, reason: reason.into() };
    Box::new(Malformed { fault, method: None, headers: Headers::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: &str = "OPTIONS sip:h SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\n\
        To: <sip:b@h>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n";

    /// What comes out when it is fed in pieces of this many octets.
    fn frames(text: &str, piece: usize) -> Vec<Frame> {
        let mut framer = Framer::default();
        let mut frames = Vec::new();
        for piece in text.as_bytes().chunks(piece) {
            framer.feed(piece);
            frames.extend(std::iter::from_fn(|| framer.next_frame()));
        }
        frames
    }

    #[test]
    fn messages_and_pings_come_out_however_the_stream_is_cut() {
        let text = format!("\r\n\r\n{OPTIONS}l: 4\r\n\r\n\r\n\r\n{OPTIONS}l: 0\r\n\r\n\r\n\r\n");
        for piece in [1, 2, 3, 7, 100, 10_000] {
            let frames = frames(&text, piece);
            let [Frame::Ping, Frame::Message(first), Frame::Message(second), Frame::Ping] = frames.as_slice() else {
                panic!("{piece}: {frames:?}");
            };
            assert_eq!((first.body.as_ref(), second.body.len()), (&b"\r\n\r\n"[..], 0));
        }
    }

    #[test]
    fn framing_that_is_lost_stays_lost() {
        for (lines, status) in [
            ("", 400),
            ("l: 1\r\nContent-Length: 1\r\n", 400),
            ("l: -1\r\n", 400),
            ("l: 99999999999999999999\r\n", 400),
            ("l: 65535\r\n", 513),
        ] {
            let frames = frames(&format!("{OPTIONS}{lines}\r\nx{OPTIONS}l: 0\r\n\r\n"), 9);
            let [Frame::Fatal(malformed)] = frames.as_slice() else { panic!("{lines}: {frames:?}") };
            assert_eq!(malformed.response().unwrap().status(), Some(status), "{lines}");
        }
    }

    #[test]
    fn a_refused_message_does_not_take_the_next_with_it() {
        let wrong = OPTIONS.replace("CSeq: 1 OPTIONS", "CSeq: 1 BYE");
        let frames = frames(&format!("{wrong}l: 2\r\n\r\nab{OPTIONS}l: 0\r\n\r\n"), 50);
        assert!(matches!(frames.as_slice(), [Frame::Malformed(_), Frame::Message(_)]), "{frames:?}");
    }

    #[test]
    fn what_is_not_sip_and_what_never_ends_is_given_up() {
        let endless = format!("{OPTIONS}Subject: {}", "x".repeat(limit::HEAD));
        for text in ["\u{16}\u{3}\u{1}", endless.as_str()] {
            let frames = frames(text, 1000);
            assert!(matches!(frames.as_slice(), [Frame::Fatal(it)] if it.response().is_none()), "{frames:?}");
        }
    }

    #[test]
    fn it_waits_only_in_the_middle_of_a_message() {
        let mut framer = Framer::default();
        assert!(!framer.is_waiting());
        framer.feed(OPTIONS.as_bytes());
        assert!(framer.next_frame().is_none() && framer.is_waiting());
        framer.feed(b"l: 1\r\n\r\n");
        assert!(framer.next_frame().is_none() && framer.is_waiting());
        framer.feed(b"x");
        assert!(framer.next_frame().is_some() && !framer.is_waiting());
        framer.feed(b"\r\n");
        assert!(framer.next_frame().is_none() && !framer.is_waiting());
    }

    #[test]
    fn keep_alives_are_nothing_else() {
        assert!(is_keep_alive(b"\r\n\r\n") && is_keep_alive(b"\0\0\0\0") && is_keep_alive(b""));
        assert!(!is_keep_alive(b"\r\nBYE"));
    }
}
