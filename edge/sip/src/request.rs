//! A request that came in, with what everybody wants to know of it.

use std::net::SocketAddr;

use bytes::Bytes;
use tandem_core::location::{Flow, Transport};

use crate::header::{Headers, NameAddr};
use crate::message::{Message, Method};
use crate::transaction::{Marks, ServerKey};
use crate::uri::Uri;

/// Port of a Via that names none.
const DEFAULT_PORT: u16 = 5060;

/// See the module. Its top Via is stamped with where it came from.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) message: Message,
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) cseq: u32,
    pub(crate) from: NameAddr,
    pub(crate) to: NameAddr,
    pub(crate) key: ServerKey,
    /// How it came.
    pub(crate) flow: Flow,
    /// Where its responses go.
    pub(crate) back: Flow,
    /// Whether its sender takes requests where it sends them from (RFC 3581).
    pub(crate) is_symmetric: bool,
}

impl Request {
    /// `None` for a response, and for what is not well-formed after all.
    pub(crate) fn new(mut message: Message, flow: Flow) -> Option<Self> {
        let (method, uri) = (message.method()?.clone(), message.uri()?.clone());
        let (cseq, from, to) = (message.headers.cseq().ok()?, message.headers.from().ok()?, message.headers.to().ok()?);
        let key = ServerKey::of(&marks(&message.headers, method.as_bytes(), cseq.number, &from)?);
        let back = way_back(&message.headers, flow);
        let is_symmetric = flow.transport == Transport::Tcp || message.headers.top_via().ok()?.wants_rport();
        message.headers.stamp_via(flow.remote);
        Some(Self { message, method, uri, cseq: cseq.number, from, to, key, flow, back, is_symmetric })
    }

    /// The INVITE that it cancels.
    pub(crate) fn cancelled_key(&self) -> Option<ServerKey> {
        let marks = marks(&self.message.headers, self.method.as_bytes(), self.cseq, &self.from)?;
        Some(ServerKey::of_cancelled(&marks))
    }

    pub(crate) fn headers(&self) -> &Headers {
        &self.message.headers
    }

    pub(crate) fn call_id(&self) -> &[u8] {
        self.message.headers.call_id().map_or(&[], Bytes::as_ref)
    }

    pub(crate) fn remote_tag(&self) -> &[u8] {
        self.from.tag().unwrap_or_default()
    }

    pub(crate) fn to_tag(&self) -> Option<&[u8]> {
        self.to.tag()
    }
}

/// Where the response to a message with these headers goes: over the same connection; as a datagram to the address it
/// came from, at the port of the top Via unless that asks for the source port (RFC 3261, 18.2.2; RFC 3581). Never to
/// where `maddr` says: that would make a reflector of us.
pub(crate) fn way_back(headers: &Headers, flow: Flow) -> Flow {
    let Ok(via) = headers.top_via() else { return flow };
    if flow.transport == Transport::Tcp || via.wants_rport() {
        return flow;
    }
    Flow { remote: SocketAddr::new(flow.remote.ip(), via.port().unwrap_or(DEFAULT_PORT)), ..flow }
}

fn marks<'a>(headers: &'a Headers, method: &'a [u8], cseq: u32, from: &'a NameAddr) -> Option<Marks<'a>> {
    let via = headers.top_via().ok()?;
    Some(Marks {
        branch: via.unique_branch(),
        sent_by: (via.host(), via.port().unwrap_or(DEFAULT_PORT)),
        method,
        cseq,
        call_id: headers.call_id().ok()?,
        from_tag: from.tag().unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back(via: &str) -> String {
        let flow = Flow {
            transport: Transport::Udp,
            local: "127.0.0.1:5060".parse().unwrap(),
            remote: "192.0.2.9:40000".parse().unwrap(),
            connection: 0,
        };
        let mut headers = Headers::new();
        headers.push(crate::header::Name::Via, via.to_owned());
        way_back(&headers, flow).remote.to_string()
    }

    #[test]
    fn a_response_goes_to_the_source_address_and_never_to_maddr() {
        for (via, to) in [
            ("SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bKa", "192.0.2.9:5070"),
            ("SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKa", "192.0.2.9:5060"),
            ("SIP/2.0/UDP 10.0.0.1:5070;rport;branch=z9hG4bKa", "192.0.2.9:40000"),
            ("SIP/2.0/UDP 10.0.0.1:5070;maddr=203.0.113.7;branch=z9hG4bKa", "192.0.2.9:5070"),
            ("SIP/2.0/UDP 10.0.0.1:5070;received=203.0.113.7;branch=z9hG4bKa", "192.0.2.9:5070"),
        ] {
            assert_eq!(back(via), to, "{via}");
        }
    }
}
