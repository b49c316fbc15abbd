//! Dialogs (RFC 3261, 12) as pure, serialisable values.
//!
//! # Invariants
//! * Numbers of our requests rise by one. Those of the far end may have gaps (a proxy asked for a password in between);
//!   a lower one is refused.
//! * The route set is the caller's Record-Route in order, or the callee's reversed, and never changes.
//! * Nothing in a dialog keeps a received message alive.

mod acceptance;

pub use acceptance::Acceptance;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::header::{Contacts, Headers, Name, NameAddr};
use crate::message::{Message, Method};
use crate::uri::Uri;

/// What two user agents know of each other.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Dialog {
    call_id: Bytes,
    /// Our From, with our tag.
    local: Bytes,
    /// Our To, with their tag.
    remote: Bytes,
    remote_tag: Bytes,
    local_cseq: u32,
    remote_cseq: Option<u32>,
    route_set: Vec<Bytes>,
    /// Their Contact.
    target: Bytes,
}

/// A request of the far end is older than one it sent before.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("request is out of order")]
pub struct OutOfOrder;

impl Dialog {
    /// Of an INVITE that came in. `None` when it lacks what a dialog needs, above all a Contact.
    #[must_use]
    pub fn with_caller(invite: &Message, local_tag: &str) -> Option<Self> {
        let headers = &invite.headers;
        let from = headers.from().ok()?;
        let to = headers.to().ok()?;
        Some(Self {
            call_id: detached(headers.call_id().ok()?),
            local: [to.raw(), &b";tag="[..], local_tag.as_bytes()].concat().into(),
            remote: detached(from.raw()),
            remote_tag: tag(&from),
            local_cseq: 0,
            remote_cseq: Some(headers.cseq().ok()?.number),
            route_set: route_set(headers)?,
            target: target(headers)?,
        })
    }

    /// Of a response with a To tag to our INVITE: it repeats all that we said. Without a Contact in it the far end is
    /// reached at `called`, where the INVITE was sent. `None` when it lacks a tag or both of those.
    #[must_use]
    pub fn with_callee(response: &Message, called: Option<&Uri>) -> Option<Self> {
        let headers = &response.headers;
        let to = headers.to().ok()?;
        let remote_tag = tag(&to);
        let mut route_set = route_set(headers)?;
        route_set.reverse();
        (!remote_tag.is_empty()).then_some(Self {
            call_id: detached(headers.call_id().ok()?),
            local: detached(headers.from().ok()?.raw()),
            remote: detached(to.raw()),
            remote_tag,
            local_cseq: headers.cseq().ok()?.number,
            remote_cseq: None,
            route_set,
            target: target(headers).or_else(|| Some(detached(called?.raw())))?,
        })
    }

    /// Their tag.
    #[must_use]
    pub const fn remote_tag(&self) -> &Bytes {
        &self.remote_tag
    }

    /// Whether a message of the far end belongs to it.
    #[must_use]
    pub fn is_with(&self, call_id: &[u8], remote_tag: &[u8]) -> bool {
        self.call_id == call_id && self.remote_tag == remote_tag
    }

    /// Takes the number of a request of the far end.
    ///
    /// # Errors
    /// [`OutOfOrder`]: 500 (RFC 3261, 12.2.2).
    pub fn take(&mut self, cseq: u32) -> Result<(), OutOfOrder> {
        if self.remote_cseq.is_some_and(|last| cseq < last) {
            return Err(OutOfOrder);
        }
        self.remote_cseq = Some(cseq);
        Ok(())
    }

    /// A target refresh was accepted: this is where the far end is now.
    pub fn retarget(&mut self, headers: &Headers) {
        if let Some(target) = target(headers) {
            self.target = target;
        }
    }

    /// Where the next request goes: the first proxy of the route set, or the far end itself.
    #[must_use]
    pub fn next_hop(&self) -> Option<Uri> {
        match self.route_set.first() {
            Some(route) => Some(NameAddr::parse(route)?.uri().clone()),
            None => Uri::parse(&self.target).ok(),
        }
    }

    /// The next request of ours, without a Via.
    #[must_use]
    pub fn request(&mut self, method: &Method) -> Option<(Uri, Headers)> {
        self.local_cseq = self.local_cseq.saturating_add(1);
        self.head(method, self.local_cseq)
    }

    /// The ACK of a 2xx to our INVITE, without a Via: a request of its own that has the INVITE's number.
    #[must_use]
    pub fn ack(&self) -> Option<(Uri, Headers)> {
        self.head(&Method::Ack, self.local_cseq)
    }

    fn head(&self, method: &Method, cseq: u32) -> Option<(Uri, Headers)> {
        let mut headers = Headers::new();
        let uri = self.routed(&mut headers)?;
        headers.push(Name::MaxForwards, "70");
        headers.push(Name::From, self.local.clone());
        headers.push(Name::To, self.remote.clone());
        headers.push(Name::CallId, self.call_id.clone());
        headers.push(Name::CSeq, format!("{cseq} {method}"));
        Some((uri, headers))
    }

    /// Puts the route set in and gives the Request-URI. A first proxy without `lr` wants to be the Request-URI itself,
    /// with the far end as the last route (RFC 3261, 12.2.1.1).
    fn routed(&self, headers: &mut Headers) -> Option<Uri> {
        let target = Uri::parse(&self.target).ok()?;
        let first = self.route_set.first().and_then(NameAddr::parse);
        let Some(strict) = first.filter(|it| it.uri().param("lr").is_none()) else {
            self.route_set.iter().for_each(|route| headers.push(Name::Route, route.clone()));
            return Some(target);
        };
        self.route_set.iter().skip(1).for_each(|route| headers.push(Name::Route, route.clone()));
        headers.push(Name::Route, [b"<", self.target.as_ref(), b">"].concat());
        Some(strict.uri().clone())
    }
}

fn detached(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

fn tag(address: &NameAddr) -> Bytes {
    Bytes::copy_from_slice(address.tag().unwrap_or_default())
}

fn route_set(headers: &Headers) -> Option<Vec<Bytes>> {
    headers.addresses(Name::RecordRoute).map(|route| Some(detached(route.ok()?.raw()))).collect()
}

fn target(headers: &Headers) -> Option<Bytes> {
    let Ok(Contacts::List(contacts)) = headers.contacts() else { return None };
    contacts.first().map(|contact| detached(contact.uri().raw()))
}

#[cfg(test)]
mod tests;
