//! Messages of ours, and messages into bytes.

use bytes::{BufMut, Bytes, BytesMut};

use super::{Malformed, Message, Method, Start};
use crate::header::{Header, Headers, Name};
use crate::uri::Uri;

impl Message {
    /// A request with nothing in it yet.
    #[must_use]
    pub const fn request(method: Method, uri: Uri) -> Self {
        Self { start: Start::Request { method, uri }, headers: Headers::new(), body: Bytes::new() }
    }

    /// A response with nothing in it yet. `status` is 100..=699; its reason is the usual one.
    #[must_use]
    pub const fn response(status: u16) -> Self {
        let reason = Bytes::from_static(default_reason(status).as_bytes());
        Self { start: Start::Response { status, reason }, headers: Headers::new(), body: Bytes::new() }
    }

    /// A response to `request` with all that RFC 3261, 8.2.6 wants copied, to the byte. Who wants a To tag adds it
    /// ([`Headers::tag_to`]).
    #[must_use]
    pub fn response_to(request: &Self, status: u16) -> Self {
        let mut response = Self::response(status);
        response.headers.copy_echo(&request.headers);
        if status == 100 {
            response.headers.copy(&Name::Timestamp, &request.headers);
        }
        response
    }

    /// Says something else than usual with a response's status.
    pub(crate) fn say(&mut self, text: &'static str) {
        if let Start::Response { reason, .. } = &mut self.start {
            *reason = Bytes::from_static(text.as_bytes());
        }
    }

    /// As it goes on the wire. Content-Length is written by the body's length, whatever the headers say.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let lines = self.headers.iter().filter(|header| header.name != Name::ContentLength);
        let size: usize = lines.clone().map(|it| it.name.as_bytes().len() + it.value().len() + 4).sum();
        let mut out = BytesMut::with_capacity(size + self.body.len() + 160);
        self.write_start(&mut out);
        lines.for_each(|header| write_line(&mut out, header));
        out.put_slice(format!("Content-Length: {}\r\n\r\n", self.body.len()).as_bytes());
        out.put_slice(&self.body);
        out.freeze()
    }

    fn write_start(&self, out: &mut BytesMut) {
        match &self.start {
            Start::Request { method, uri } => {
                out.put_slice(method.as_bytes());
                out.put_u8(b' ');
                out.put_slice(uri.raw());
                out.put_slice(b" SIP/2.0\r\n");
            }
            Start::Response { status, reason } => {
                out.put_slice(format!("SIP/2.0 {status} ").as_bytes());
                out.extend(reason.iter().filter(|byte| !matches!(byte, b'\r' | b'\n')));
                out.put_slice(b"\r\n");
            }
        }
    }
}

impl Malformed {
    /// The answer, with what could be read of the request. `None` where none may be sent: to a response, to an ACK, to what
    /// is not SIP, and to what has no Via at all, for then nobody waits for it.
    #[must_use]
    pub fn response(&self) -> Option<Message> {
        let method = self.method.as_ref()?;
        if *method == Method::Ack || self.headers.first(&Name::Via).is_none() {
            return None;
        }
        let mut response = Message::response(self.fault.status);
        response.headers.copy_echo(&self.headers);
        if let Start::Response { reason, .. } = &mut response.start {
            *reason = Bytes::from(self.fault.reason.clone().into_owned());
        }
        Some(response)
    }
}

impl Headers {
    /// All Vias; of the others the first line, for a request may be answered because it has two.
    fn copy_echo(&mut self, request: &Self) {
        self.copy(&Name::Via, request);
        for name in [Name::From, Name::To, Name::CallId, Name::CSeq] {
            self.extend(request.iter().find(|header| header.name == name).cloned());
        }
    }
}

fn write_line(out: &mut BytesMut, header: &Header) {
    out.put_slice(header.name.as_bytes());
    out.put_slice(b": ");
    out.put_slice(header.value());
    out.put_slice(b"\r\n");
}

/// What a status is called (RFC 3261, 21 and its extensions); by its class if it has no name here.
#[must_use]
pub const fn default_reason(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        182 => "Queued",
        183 => "Session Progress",
        200 => "OK",
        202 => "Accepted",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        410 => "Gone",
        413 => "Request Entity Too Large",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        421 => "Extension Required",
        422 => "Session Interval Too Small",
        423 => "Interval Too Brief",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        484 => "Address Incomplete",
        485 => "Ambiguous",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        491 => "Request Pending",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        600 => "Busy Everywhere",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        606 => "Not Acceptable",
        _ => match status / 100 {
            1 => "Progress",
            2 => "Success",
            3 => "Redirection",
            4 => "Request Failure",
            5 => "Server Failure",
            _ => "Global Failure",
        },
    }
}
