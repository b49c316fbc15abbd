//! Connectivity checks (RFC 8445 and 8489) as an ICE-lite agent has them: it answers requests and sends none.
//!
//! # Invariants
//! * Who does not know our password gets no answer: to anybody else this port is silent, and reflects nothing.
//! * What stands behind MESSAGE-INTEGRITY is not authenticated, and not read.

use std::net::SocketAddr;

use bytes::Bytes;
use rtc_crypto::RTCCrypto;
use rtc_shared::error::Result as StunResult;
use rtc_stun::attributes::{
    ATTR_ICE_CONTROLLED, ATTR_MESSAGE_INTEGRITY, ATTR_PRIORITY, ATTR_UNKNOWN_ATTRIBUTES, ATTR_USE_CANDIDATE,
    ATTR_USERNAME, AttrType, RawAttribute,
};
use rtc_stun::error_code::{CODE_BAD_REQUEST, CODE_ROLE_CONFLICT, CODE_UNKNOWN_ATTRIBUTE, ErrorCode};
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{BINDING_ERROR, BINDING_REQUEST, BINDING_SUCCESS, Message, Setter};
use rtc_stun::xoraddr::XorMappedAddress;

use super::Refusal;

/// Bytes of a STUN header.
const HEADER: usize = 20;

/// What makes STUN known among other packets (RFC 8489, 5).
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

/// Whether a datagram looks like STUN.
#[must_use]
pub fn is_stun(datagram: &[u8]) -> bool {
    datagram.len() >= HEADER && matches!(datagram.first(), Some(0..=3)) && datagram.get(4..8) == Some(&COOKIE)
}

/// Our part of the user name in a binding request, for whoever gives packets to peers: nothing is authenticated here.
#[must_use]
pub fn ufrag_of(datagram: &[u8]) -> Option<&str> {
    if !is_stun(datagram) || datagram.get(..2) != Some(&[0, 1]) {
        return None;
    }
    let mut rest = datagram.get(HEADER..)?;
    loop {
        let (&[kind_high, kind_low, len_high, len_low], value) = rest.split_first_chunk::<4>()?;
        let len = usize::from(u16::from_be_bytes([len_high, len_low]));
        if AttrType(u16::from_be_bytes([kind_high, kind_low])) == ATTR_USERNAME {
            return std::str::from_utf8(value.get(..len)?).ok()?.split(':').next();
        }
        rest = value.get(len.next_multiple_of(4)..)?;
    }
}

/// What we know a request by, and sign with.
#[derive(Clone, Copy)]
pub(super) struct Credentials<'a> {
    pub(super) ufrag: &'a str,
    pub(super) password: &'a str,
    pub(super) crypto: &'a dyn RTCCrypto,
}

/// What a request from somebody who knows our password led to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Answer {
    /// For where the request came from.
    pub(super) reply: Bytes,
    /// `None`: the answer is an error.
    pub(super) passed: Option<Passed>,
}

/// A good check.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Passed {
    pub(super) remote_ufrag: String,
    pub(super) priority: u32,
    pub(super) nominates: bool,
}

/// Answers a request.
pub(super) fn answer(datagram: &[u8], from: SocketAddr, ours: Credentials<'_>) -> Result<Answer, Refusal> {
    let mut request = Message::new();
    request.unmarshal_binary(datagram).map_err(|_| Refusal::Malformed)?;
    if request.typ != BINDING_REQUEST {
        return Err(Refusal::Malformed);
    }
    FINGERPRINT.check(&request).map_err(|_| Refusal::Malformed)?;
    MessageIntegrity::check(&mut request, ours.password.as_bytes(), ours.crypto)
        .map_err(|_| Refusal::Unauthenticated)?;
    let signed = request.attributes.0.iter().take_while(|attribute| attribute.typ != ATTR_MESSAGE_INTEGRITY);
    let signed = Signed(signed.collect());
    let remote_ufrag = signed.remote_ufrag(ours.ufrag).ok_or(Refusal::Unauthenticated)?;
    let verdict = signed.verdict(remote_ufrag);
    let reply = reply(&request, from, ours, &signed, &verdict).map_err(|_| Refusal::Malformed)?;
    Ok(Answer { reply, passed: verdict.ok() })
}

fn reply(
    request: &Message,
    from: SocketAddr,
    ours: Credentials<'_>,
    signed: &Signed<'_>,
    verdict: &Result<Passed, ErrorCode>,
) -> StunResult<Bytes> {
    let mut reply = Message::new();
    let (kind, content): (_, Vec<Box<dyn Setter>>) = match *verdict {
        Ok(_) => (BINDING_SUCCESS, vec![Box::new(XorMappedAddress { ip: from.ip(), port: from.port() })]),
        Err(CODE_UNKNOWN_ATTRIBUTE) => {
            (BINDING_ERROR, vec![Box::new(CODE_UNKNOWN_ATTRIBUTE), Box::new(signed.unknown())])
        }
        Err(code) => (BINDING_ERROR, vec![Box::new(code)]),
    };
    reply.build(&[Box::new(request.transaction_id), Box::new(kind)])?;
    for setter in content {
        setter.add_to(&mut reply)?;
    }
    MessageIntegrity::new_raw_integrity_with_provider(ours.password.as_bytes(), ours.crypto).add_to(&mut reply)?;
    FINGERPRINT.add_to(&mut reply)?;
    Ok(reply.raw.into())
}

/// The attributes that MESSAGE-INTEGRITY covers.
struct Signed<'a>(Vec<&'a RawAttribute>);

impl<'a> Signed<'a> {
    fn get(&self, kind: AttrType) -> Option<&'a [u8]> {
        self.0.iter().find(|attribute| attribute.typ == kind).map(|attribute| attribute.value.as_slice())
    }

    /// `None`: the request is not for us.
    fn remote_ufrag(&self, ours: &str) -> Option<&'a str> {
        let (to, from) = std::str::from_utf8(self.get(ATTR_USERNAME)?).ok()?.split_once(':')?;
        (to == ours).then_some(from)
    }

    fn verdict(&self, remote_ufrag: &str) -> Result<Passed, ErrorCode> {
        if self.must_know().next().is_some() {
            return Err(CODE_UNKNOWN_ATTRIBUTE);
        }
        if self.get(ATTR_ICE_CONTROLLED).is_some() {
            return Err(CODE_ROLE_CONFLICT);
        }
        let priority = self.get(ATTR_PRIORITY).and_then(|value| value.try_into().ok()).ok_or(CODE_BAD_REQUEST)?;
        Ok(Passed {
            remote_ufrag: remote_ufrag.to_owned(),
            priority: u32::from_be_bytes(priority),
            nominates: self.get(ATTR_USE_CANDIDATE).is_some(),
        })
    }

    /// Attributes that one who does not know them may not ignore, and that we do not know.
    fn must_know(&self) -> impl Iterator<Item = AttrType> {
        let known = [ATTR_USERNAME, ATTR_PRIORITY, ATTR_USE_CANDIDATE];
        self.0.iter().map(|attribute| attribute.typ).filter(move |kind| kind.0 < 0x8000 && !known.contains(kind))
    }

    fn unknown(&self) -> Unknown {
        Unknown(self.must_know().flat_map(|kind| kind.0.to_be_bytes()).collect())
    }
}

/// UNKNOWN-ATTRIBUTES.
struct Unknown(Vec<u8>);

impl Setter for Unknown {
    fn add_to(&self, message: &mut Message) -> StunResult<()> {
        message.add(ATTR_UNKNOWN_ATTRIBUTES, &self.0);
        Ok(())
    }
}
