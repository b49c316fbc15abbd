//! Whether a message is well-formed: what RFC 3261, 8.1.1 asks of each, and what RFC 4475 calls invalid.

use super::{Fault, Message, Method, Start};
use crate::header::via::MAGIC_COOKIE;
use crate::header::{BadHeader, Name};
use crate::uri::{Scheme, Uri};

/// Headers that are looked into by somebody, and may be there only once. Those below that are read here are not in it.
const SINGLE: [Name; 9] = [
    Name::ContentType,
    Name::Expires,
    Name::SessionExpires,
    Name::MinSe,
    Name::Event,
    Name::ReferTo,
    Name::Replaces,
    Name::RAck,
    Name::RSeq,
];

impl Message {
    /// What is wrong with it, if anything is. A message from the wire has been through this.
    ///
    /// # Errors
    /// [`Fault`]: 400; 416 for a Request-URI of a scheme nobody here could serve; 501 for an unknown method that is not
    /// the one in CSeq, too.
    pub fn check(&self) -> Result<(), Fault> {
        let headers = &self.headers;
        let top_via = headers.top_via()?;
        headers.vias().skip(1).try_for_each(|via| via.map(drop))?;
        headers.call_id()?;
        headers.from()?;
        headers.to()?;
        headers.max_forwards()?;
        headers.content_length()?;
        let cseq = headers.cseq()?;
        if let Some(name) = SINGLE.into_iter().find(|name| headers.lines(name).count() > 1) {
            return Err(BadHeader::Repeated(name).into());
        }
        let Start::Request { method, uri } = &self.start else { return Ok(()) };
        if *method != cseq.method {
            let status = if matches!(method, Method::Other(_)) { 501 } else { 400 };
            return Err(Fault { status, reason: "CSeq names another method".into() });
        }
        if top_via.branch().is_some_and(|branch| branch.eq_ignore_ascii_case(MAGIC_COOKIE.as_bytes())) {
            return Err(Fault::bad_request("Branch is empty")); // it would be the same for everybody
        }
        self.check_addresses()?;
        check_request_uri(uri)
    }

    /// What a dialog or a registration would be built of.
    fn check_addresses(&self) -> Result<(), Fault> {
        self.headers.contacts()?;
        for list in [Name::Route, Name::RecordRoute] {
            self.headers.addresses(list).try_for_each(|it| it.map(drop))?;
        }
        Ok(())
    }
}

fn check_request_uri(uri: &Uri) -> Result<(), Fault> {
    match uri.scheme() {
        Scheme::Other => Err(Fault { status: 416, reason: "Unsupported URI Scheme".into() }),
        _ if uri.headers().is_some() => Err(Fault::bad_request("Request-URI has headers")),
        _ => Ok(()),
    }
}

impl From<BadHeader> for Fault {
    fn from(bad: BadHeader) -> Self {
        Self { status: 400, reason: bad.to_string().into() }
    }
}
