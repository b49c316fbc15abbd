//! SIP messages (RFC 3261, 7): start line, headers as they came, body.
//!
//! ```text
//!  bytes ── Message::read ──▶ Message                 well-formed: may still ask for what we do not serve
//!                        └──▶ Malformed ── response ──▶ 400, 416, 501, 505 … built of what could be read, or nothing
//! ```

mod check;
pub mod limit;
mod method;
mod read;
mod write;

pub use method::Method;
pub(crate) use read::Head;
pub use write::default_reason;

use std::borrow::Cow;

use bytes::Bytes;

use crate::header::Headers;
use crate::uri::Uri;

/// One message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    /// First line.
    pub start: Start,
    /// Headers in order.
    pub headers: Headers,
    /// Body, exactly as long as Content-Length says.
    pub body: Bytes,
}

/// The first line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Start {
    /// A request.
    Request {
        /// What is asked.
        method: Method,
        /// Of whom.
        uri: Uri,
    },
    /// A response.
    Response {
        /// 100..=699.
        status: u16,
        /// For people; may be empty, and of any encoding.
        reason: Bytes,
    },
}

/// What is wrong with a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// The status a request with this fault is answered with.
    pub status: u16,
    /// What to say with it.
    pub reason: Cow<'static, str>,
}

/// A message that cannot be used, and what could be read of it.
#[derive(Clone, Debug)]
pub struct Malformed {
    /// What is wrong.
    pub fault: Fault,
    /// The method, if it looks like a request. `None` for responses and for what is not SIP: nobody waits for an answer.
    pub method: Option<Method>,
    /// The header lines that could be read, of any content.
    pub headers: Headers,
}

impl Message {
    /// The method of a request.
    #[must_use]
    pub const fn method(&self) -> Option<&Method> {
        match &self.start {
            Start::Request { method, .. } => Some(method),
            Start::Response { .. } => None,
        }
    }

    /// The Request-URI of a request.
    #[must_use]
    pub const fn uri(&self) -> Option<&Uri> {
        match &self.start {
            Start::Request { uri, .. } => Some(uri),
            Start::Response { .. } => None,
        }
    }

    /// The status of a response.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match &self.start {
            Start::Request { .. } => None,
            Start::Response { status, .. } => Some(*status),
        }
    }
}

impl Fault {
    pub(crate) const fn bad_request(reason: &'static str) -> Self {
        Self { status: 400, reason: Cow::Borrowed(reason) }
    }
}
