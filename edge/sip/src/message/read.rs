//! Bytes into messages, in one pass over the head.

use bytes::Bytes;

use super::{Fault, Malformed, Message, Method, Start, limit};
use crate::header::syntax::{is_lws, share, split_at_byte, trim};
use crate::header::{BadHeader, Headers, Name};
use crate::uri::Uri;

/// The part of a message before its body, as far as it could be read.
#[derive(Debug)]
pub(crate) struct Head {
    start: Option<Start>,
    /// Of what looks like a request, whether or not its first line can be used.
    method: Option<Method>,
    headers: Headers,
    /// The first that was found.
    fault: Option<Fault>,
}

impl Message {
    /// Reads one datagram (or one frame of a WebSocket): one message, and octets behind its body are ignored
    /// (RFC 3261, 18.3). The message shares the datagram's memory.
    ///
    /// # Errors
    /// [`Malformed`], with what is needed to answer it: see [`Malformed::response`].
    pub fn read(datagram: &Bytes) -> Result<Self, Box<Malformed>> {
        let (head, rest) = Head::read(datagram);
        head.finish(&share(datagram, rest))
    }
}

impl Head {
    /// Reads up to the empty line, and gives what is behind it. A fault is remembered and the rest read all the same:
    /// whoever sent it may be told.
    pub(crate) fn read(bytes: &Bytes) -> (Self, &[u8]) {
        let mut rest = bytes.as_ref();
        while let Some(behind) = rest.strip_prefix(b"\r\n") {
            rest = behind;
        }
        let mut head = Self { start: None, method: None, headers: Headers::with_room(), fault: None };
        let Some((line, rest)) = next_line(rest) else {
            head.fault = Some(Fault::bad_request("No line ends"));
            return (head, &[]);
        };
        head.read_start(&share(bytes, line));
        let rest = head.read_headers(bytes, rest);
        (head, rest)
    }

    /// Octets of the body, as the head says.
    pub(crate) fn content_length(&self) -> Result<Option<usize>, BadHeader> {
        self.headers.content_length()
    }

    /// The message, its body cut off where Content-Length says; without one it is all of `rest`.
    pub(crate) fn finish(mut self, rest: &Bytes) -> Result<Message, Box<Malformed>> {
        if let Some(fault) = self.fault.take() {
            return Err(self.refuse(fault));
        }
        let body = match self.body(rest) {
            Ok(body) => share(rest, body),
            Err(fault) => return Err(self.refuse(fault)),
        };
        let Some(start) = self.start.take() else { return Err(self.refuse(Fault::bad_request("No start line"))) };
        let message = Message { start, headers: self.headers, body };
        match message.check() {
            Ok(()) => Ok(message),
            Err(fault) => Err(Box::new(Malformed { fault, method: self.method, headers: message.headers })),
        }
    }

    /// What is left of it when it cannot become a message.
    pub(crate) fn refuse(self, fault: Fault) -> Box<Malformed> {
        Box::new(Malformed { fault, method: self.method, headers: self.headers })
    }

    fn body<'a>(&self, rest: &'a [u8]) -> Result<&'a [u8], Fault> {
        let length = self.headers.content_length()?.unwrap_or(rest.len());
        rest.get(..length).ok_or(Fault::bad_request("Body is shorter than Content-Length"))
    }

    fn read_start(&mut self, line: &Bytes) {
        let is_response = line.get(..4).is_some_and(|it| it.eq_ignore_ascii_case(b"SIP/"));
        let is_sip = line.windows(4).any(|it| it.eq_ignore_ascii_case(b"SIP/"));
        if is_sip && !is_response {
            self.method = split_at_byte(line, |byte| byte == b' ').and_then(|(it, _)| Method::parse(&share(line, it)));
        }
        let start = if is_response { status_line(line) } else { request_line(line) };
        match start {
            Ok(start) if !has_stray_break(line) => self.start = Some(start),
            Ok(_) => self.blame("Stray CR or LF"),
            Err(fault) => self.fault = Some(fault),
        }
    }

    /// Gives what is behind the empty line.
    fn read_headers<'a>(&mut self, bytes: &Bytes, mut rest: &'a [u8]) -> &'a [u8] {
        loop {
            if let Some(body) = rest.strip_prefix(b"\r\n") {
                return body;
            }
            let Some((line, behind)) = next_folded_line(rest) else {
                self.blame("No empty line behind the headers");
                return &[];
            };
            rest = behind;
            self.read_header(bytes, line);
        }
    }

    /// A line with a fault is not kept: it must not be echoed.
    fn read_header(&mut self, bytes: &Bytes, line: &[u8]) {
        if self.headers.len() >= limit::HEADERS {
            return self.blame("Too many headers");
        }
        if line.len() > limit::LINE {
            return self.blame("Header too long");
        }
        if has_stray_break(line) {
            return self.blame("Stray CR or LF");
        }
        let name_and_value = split_at_byte(line, |byte| byte == b':').and_then(|(name, value)| {
            let name = name.trim_ascii_end();
            Some((Name::parse(&share(bytes, name))?, share(bytes, trim(value))))
        });
        match name_and_value {
            Some((name, value)) => self.headers.push_read(name, value),
            None => self.blame("Malformed header line"),
        }
    }

    fn blame(&mut self, reason: &'static str) {
        self.fault.get_or_insert(Fault::bad_request(reason));
    }
}

/// The line without its CRLF, and what is behind it; an LF alone stays, to be found. `None` if no line ends.
fn next_line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, rest) = split_at_byte(text, |byte| byte == b'\n')?;
    Some((line_before(text, rest)?, rest))
}

/// As [`next_line`], with the lines that go on with it: those that begin with white space (RFC 3261, 7.3.1).
fn next_folded_line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, mut rest) = next_line(text)?;
    while let [b' ' | b'\t', ..] = rest {
        (_, rest) = next_line(rest)?;
    }
    Some((line_before(text, rest)?, rest))
}

fn line_before<'a>(text: &'a [u8], rest: &[u8]) -> Option<&'a [u8]> {
    let line = text.get(..text.len().checked_sub(rest.len())?)?;
    Some(line.strip_suffix(b"\r\n").unwrap_or(line))
}

/// Whether there is a CR or LF that ends no line: others may take it for the end of one.
fn has_stray_break(line: &[u8]) -> bool {
    let mut rest = line;
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
        match rest.get(at..) {
            Some([b'\r', b'\n', behind @ ..]) if behind.first().is_some_and(|byte| is_lws(*byte)) => rest = behind,
            _ => return true,
        }
    }
    false
}

/// `INVITE sip:bob@example.com SIP/2.0`, with single spaces: what is between others cannot be told from its neighbours.
fn request_line(line: &Bytes) -> Result<Start, Fault> {
    let mut words = line.split(|byte| *byte == b' ');
    let (Some(method), Some(uri), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Fault::bad_request("Malformed request line"));
    };
    let method = Method::parse(&share(line, method)).ok_or(Fault::bad_request("Malformed method"))?;
    check_version(version)?;
    let uri = Uri::parse(&share(line, uri)).map_err(|_| Fault::bad_request("Malformed Request-URI"))?;
    Ok(Start::Request { method, uri })
}

/// `SIP/2.0 200 OK`; the reason may be empty, and its space missing.
fn status_line(line: &Bytes) -> Result<Start, Fault> {
    let mut words = line.splitn(3, |byte| *byte == b' ');
    check_version(words.next().unwrap_or_default())?;
    let status = match words.next() {
        Some([hundreds @ b'1'..=b'6', tens @ b'0'..=b'9', ones @ b'0'..=b'9']) => {
            [hundreds, tens, ones].into_iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'))
        }
        _ => return Err(Fault::bad_request("Malformed status")),
    };
    Ok(Start::Response { status, reason: share(line, words.next().unwrap_or_default()) })
}

fn check_version(text: &[u8]) -> Result<(), Fault> {
    if text.eq_ignore_ascii_case(b"SIP/2.0") {
        return Ok(());
    }
    let is_number = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let (name, version) = text.split_at_checked(4).unwrap_or_default();
    let (major, minor) = split_at_byte(version, |byte| byte == b'.').unwrap_or_default();
    if name.eq_ignore_ascii_case(b"SIP/") && is_number(major) && is_number(minor) {
        return Err(Fault { status: 505, reason: "Version Not Supported".into() });
    }
    Err(Fault::bad_request("Malformed version"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &'static [u8]) -> Head {
        let bytes = Bytes::from_static(text);
        Head::read(&bytes).0
    }

    #[test]
    fn only_crlf_ends_a_line() {
        for (text, fault) in [
            (&b"OPTIONS sip:h SIP/2.0\r\nTo: a\nX: b\r\nVia: c\r\n\r\n"[..], "Stray CR or LF"),
            (b"OPTIONS sip:h SIP/2.0\r\nTo: a\rX: b\r\nVia: c\r\n\r\n", "Stray CR or LF"),
            (b"OPTIONS sip:h SIP/2.0\r\nTo: a\r\r\n b\r\nVia: c\r\n\r\n", "Stray CR or LF"),
            (b"OPTIONS sip:h SIP/2.0\nVia: c\r\n\r\n", "Malformed version"),
            (b"OPTIONS sip:h SIP/2.0\r\nVia: c\r\n", "No empty line behind the headers"),
            (b"OPTIONS sip:h SIP/2.0\r\nTo\r\nVia: c\r\n\r\n", "Malformed header line"),
            (b"OPTIONS sip:h SIP/2.0\r\n To: a\r\nVia: c\r\n\r\n", "Malformed header line"),
        ] {
            let head = head(text);
            let shown = text.escape_ascii();
            assert_eq!(head.fault, Some(Fault::bad_request(fault)), "{shown}");
            assert_eq!(head.headers.first(&Name::Via).map(Bytes::as_ref), Some(&b"c"[..]), "{shown}");
            assert!(
                head.headers.iter().all(|it| !has_stray_break(it.value())) && head.headers.single(&Name::To).is_err()
            );
        }
    }

    #[test]
    fn limits_hold() {
        let many = "a:b\r\n".repeat(limit::HEADERS + 1);
        let long = format!("Subject: {}\r\n", "x".repeat(limit::LINE));
        for (lines, kept) in [(many, limit::HEADERS), (long, 0)] {
            let bytes = Bytes::from(format!("OPTIONS sip:h SIP/2.0\r\n{lines}\r\n"));
            let (head, _) = Head::read(&bytes);
            assert!(head.fault.is_some());
            assert_eq!(head.headers.len(), kept);
        }
    }

    #[test]
    fn a_status_has_three_digits_of_six_classes() {
        for (line, status) in [
            ("SIP/2.0 200 OK", Some(200)),
            ("sip/2.0 699", Some(699)),
            ("SIP/2.0 100 ", Some(100)),
            ("SIP/2.0 4294967301 better not", None),
            ("SIP/2.0 099 x", None),
            ("SIP/2.0 700 x", None),
            ("SIP/2.0 20 x", None),
            ("SIP/2.0", None),
            ("SIP/3.0 200 OK", None),
        ] {
            let read = status_line(&Bytes::from_static(line.as_bytes()));
            let found =
                read.ok().and_then(|it| if let Start::Response { status, .. } = it { Some(status) } else { None });
            assert_eq!(found, status, "{line}");
        }
    }

    #[test]
    fn what_is_not_sip_has_no_method_to_answer() {
        for text in
            [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], b"\x16\x03\x01\x02\n", b"SIP/7.0 200 OK\r\n\r\n", b"junk"]
        {
            assert_eq!(head(text).method, None, "{}", text.escape_ascii());
            assert!(head(text).fault.is_some());
        }
    }
}
