//! What the headers say, read on demand.

use std::borrow::Cow;

use bytes::Bytes;
use smallvec::SmallVec;

use super::params::Params;
use super::syntax::{is_lws, is_token_text, number, saturating_number, share, take_while, trim};
use super::{BadHeader, Headers, Name, NameAddr, Via};
use crate::message::Method;

/// Sequence number and method of a transaction.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CSeq {
    /// 0..=`u32::MAX`.
    pub number: u32,
    /// The request's method.
    pub method: Method,
}

/// What a Contact says.
#[derive(Clone, Debug)]
pub enum Contacts {
    /// `*`: all of them (only to remove registrations).
    All,
    /// These; none if there is no Contact.
    List(Vec<NameAddr>),
}

/// A media type without its parameters, as in `application/sdp`. Compares without case.
#[derive(Clone, Copy, Debug)]
pub struct MediaType<'a> {
    kind: &'a [u8],
    subtype: &'a [u8],
}

/// One Reason (RFC 3326).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reason<'a> {
    /// `SIP`, `Q.850` or another.
    pub protocol: &'a [u8],
    /// Status or cause value.
    pub cause: Option<u16>,
    /// For people.
    pub text: Option<Cow<'a, [u8]>>,
}

impl Headers {
    /// The Via on top.
    ///
    /// # Errors
    /// [`BadHeader`]: none, or one that cannot be read.
    pub fn top_via(&self) -> Result<Via<'_>, BadHeader> {
        let line = self.first(&Name::Via).ok_or(BadHeader::Missing(Name::Via))?;
        Via::parse(super::syntax::first_value(line).0).ok_or(BadHeader::Malformed(Name::Via))
    }

    /// All Vias, from the top.
    pub fn vias(&self) -> impl Iterator<Item = Result<Via<'_>, BadHeader>> {
        let values = self.lines(&Name::Via).flat_map(|line| super::syntax::values(line));
        values.map(|value| Via::parse(value).ok_or(BadHeader::Malformed(Name::Via)))
    }

    /// Who sends.
    ///
    /// # Errors
    /// [`BadHeader`].
    pub fn from(&self) -> Result<NameAddr, BadHeader> {
        self.party(Name::From)
    }

    /// To whom it is said to be.
    ///
    /// # Errors
    /// [`BadHeader`].
    pub fn to(&self) -> Result<NameAddr, BadHeader> {
        self.party(Name::To)
    }

    /// A header that holds one address: Refer-To, Referred-By, From, To.
    ///
    /// # Errors
    /// [`BadHeader`].
    pub fn address(&self, name: Name) -> Result<NameAddr, BadHeader> {
        NameAddr::parse(self.single(&name)?).ok_or(BadHeader::Malformed(name))
    }

    /// A list of addresses: Route, Record-Route, Path, P-Asserted-Identity.
    pub fn addresses(&self, name: Name) -> impl Iterator<Item = Result<NameAddr, BadHeader>> {
        let values: SmallVec<[Bytes; 4]> = self.values(&name).collect();
        values.into_iter().map(move |value| NameAddr::parse(&value).ok_or_else(|| BadHeader::Malformed(name.clone())))
    }

    /// Where to reach the sender.
    ///
    /// # Errors
    /// [`BadHeader::Malformed`], also for `*` beside others.
    pub fn contacts(&self) -> Result<Contacts, BadHeader> {
        let mut lines = self.lines(&Name::Contact);
        if let (Some(star), None) = (lines.next(), lines.next())
            && star == "*"
        {
            return Ok(Contacts::All);
        }
        Ok(Contacts::List(self.addresses(Name::Contact).collect::<Result<_, _>>()?))
    }

    /// The Call-ID: compared byte for byte.
    ///
    /// # Errors
    /// [`BadHeader`].
    pub fn call_id(&self) -> Result<&Bytes, BadHeader> {
        let value = self.single(&Name::CallId)?;
        let is_word = !value.is_empty() && !value.iter().any(|byte| is_lws(*byte));
        if is_word { Ok(value) } else { Err(BadHeader::Malformed(Name::CallId)) }
    }

    /// The CSeq.
    ///
    /// # Errors
    /// [`BadHeader`].
    pub fn cseq(&self) -> Result<CSeq, BadHeader> {
        let value = self.single(&Name::CSeq)?;
        let (digits, rest) = take_while(value, |byte| !is_lws(byte));
        let method = Method::parse(&share(value, trim(rest)));
        match number(digits).zip(method) {
            Some((number, method)) => Ok(CSeq { number, method }),
            None => Err(BadHeader::Malformed(Name::CSeq)),
        }
    }

    /// How many hops are left, 0..=255. `None` if it is not said: 70 then (RFC 3261, 16.6).
    ///
    /// # Errors
    /// [`BadHeader`].
    pub fn max_forwards(&self) -> Result<Option<u8>, BadHeader> {
        let Some(value) = self.optional(&Name::MaxForwards)? else { return Ok(None) };
        let hops = number(value).and_then(|hops| u8::try_from(hops).ok());
        hops.map(Some).ok_or(BadHeader::Malformed(Name::MaxForwards))
    }

    /// Octets of the body. `None` if it is not said.
    ///
    /// # Errors
    /// [`BadHeader`].
    pub fn content_length(&self) -> Result<Option<usize>, BadHeader> {
        let Some(value) = self.optional(&Name::ContentLength)? else { return Ok(None) };
        let length = number(value).and_then(|length| usize::try_from(length).ok());
        length.map(Some).ok_or(BadHeader::Malformed(Name::ContentLength))
    }

    /// What the body is. `None` if it is not said.
    ///
    /// # Errors
    /// [`BadHeader`].
    pub fn content_type(&self) -> Result<Option<MediaType<'_>>, BadHeader> {
        let Some(value) = self.optional(&Name::ContentType)? else { return Ok(None) };
        MediaType::parse(value).map(Some).ok_or(BadHeader::Malformed(Name::ContentType))
    }

    /// Whether the sender takes bodies of this type (`application/sdp`). Without an Accept, that one and no other
    /// (RFC 3261, 20.1).
    #[must_use]
    pub fn accepts(&self, kind: &str, subtype: &str) -> bool {
        let mut ranges = self.lines(&Name::Accept).flat_map(|line| super::syntax::values(line)).peekable();
        if ranges.peek().is_none() {
            return kind == "application" && subtype == "sdp";
        }
        ranges.filter_map(MediaType::parse).any(|range| {
            (range.kind == b"*" || range.kind.eq_ignore_ascii_case(kind.as_bytes()))
                && (range.subtype == b"*" || range.subtype.eq_ignore_ascii_case(subtype.as_bytes()))
        })
    }

    /// Seconds a registration or an offer lasts, cut off at `u32::MAX`. `None` if it is not said or is no number.
    #[must_use]
    pub fn expires(&self) -> Option<u32> {
        saturating_number(self.first(&Name::Expires)?)
    }

    /// Seconds to wait before the next try, cut off at `u32::MAX`.
    #[must_use]
    pub fn retry_after(&self) -> Option<u32> {
        saturating_number(take_while(self.first(&Name::RetryAfter)?, |byte| byte.is_ascii_digit()).0)
    }

    /// The tokens of Require, Proxy-Require, Supported, Unsupported, Allow, Allow-Events.
    pub fn tokens(&self, name: &Name) -> impl Iterator<Item = &[u8]> {
        self.lines(name).flat_map(|line| super::syntax::values(line)).filter(|token| !token.is_empty())
    }

    /// Whether such a list has this token. Option tags compare without case.
    #[must_use]
    pub fn has_token(&self, name: &Name, token: &str) -> bool {
        self.tokens(name).any(|it| it.eq_ignore_ascii_case(token.as_bytes()))
    }

    /// Why a request was sent (RFC 3326); what cannot be read is passed over.
    pub fn reasons(&self) -> impl Iterator<Item = Reason<'_>> {
        self.lines(&Name::Reason).flat_map(|line| super::syntax::values(line)).filter_map(Reason::parse)
    }

    /// From or To: a dialog hangs on its tag, so there is one with a value, or none.
    fn party(&self, name: Name) -> Result<NameAddr, BadHeader> {
        let address = self.address(name.clone())?;
        let mut tags = address.params().iter().filter(|param| param.name.eq_ignore_ascii_case(b"tag"));
        let is_sound = tags.next().is_none_or(|tag| tag.value.is_some_and(|it| !it.starts_with(b"\"")));
        if is_sound && tags.next().is_none() {
            drop(tags);
            return Ok(address);
        }
        Err(BadHeader::Malformed(name))
    }

    fn optional(&self, name: &Name) -> Result<Option<&Bytes>, BadHeader> {
        match self.single(name) {
            Ok(value) => Ok(Some(value)),
            Err(BadHeader::Missing(_)) => Ok(None),
            Err(bad) => Err(bad),
        }
    }
}

impl<'a> MediaType<'a> {
    /// Reads `type/subtype` with or without parameters. `None` if it is neither.
    #[must_use]
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let (essence, _) = take_while(value, |byte| byte != b';');
        let (kind, rest) = take_while(essence, |byte| byte != b'/');
        let (kind, subtype) = (trim(kind), trim(rest.strip_prefix(b"/")?));
        (is_token_text(kind) && is_token_text(subtype)).then_some(Self { kind, subtype })
    }

    /// Whether it is this type.
    #[must_use]
    pub const fn is(&self, kind: &str, subtype: &str) -> bool {
        self.kind.eq_ignore_ascii_case(kind.as_bytes()) && self.subtype.eq_ignore_ascii_case(subtype.as_bytes())
    }
}

impl<'a> Reason<'a> {
    /// Reads one value. `None` if it is malformed.
    #[must_use]
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let (protocol, params) = take_while(value, |byte| byte != b';');
        let (protocol, params) = (trim(protocol), Params::parse(params)?);
        is_token_text(protocol).then_some(())?;
        let cause = params.find("cause").and_then(|it| u16::try_from(number(it.value?)?).ok());
        Some(Self { protocol, cause, text: params.value("text") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(Name, &'static str)]) -> Headers {
        let mut headers = Headers::new();
        lines.iter().for_each(|(name, value)| headers.push(name.clone(), *value));
        headers
    }

    #[test]
    fn a_cseq_keeps_its_range_and_its_method_whole() {
        let read = |value| headers(&[(Name::CSeq, value)]).cseq();
        assert_eq!(read("0009  INVITE"), Ok(CSeq { number: 9, method: Method::Invite }));
        assert_eq!(read("4294967295 ACK").unwrap().number, u32::MAX);
        for wrong in ["4294967296 INVITE", "36893488147419103232 REGISTER", "-1 BYE", "1", "INVITE", "", "1 IN VITE"] {
            assert_eq!(read(wrong), Err(BadHeader::Malformed(Name::CSeq)), "{wrong}");
        }
    }

    #[test]
    fn an_accept_says_which_bodies_are_welcome() {
        let read = |lines: &[(Name, &'static str)]| headers(lines).accepts("application", "sdp");
        assert!(read(&[]));
        assert!(read(&[(Name::Accept, "text/plain, Application/SDP;level=1")]));
        assert!(read(&[(Name::Accept, "text/*"), (Name::Accept, "*/*")]));
        assert!(!read(&[(Name::Accept, "text/nobodyKnowsThis")]));
        assert!(!read(&[(Name::Accept, "")]));
    }

    #[test]
    fn a_star_is_all_contacts_only_when_it_is_alone() {
        assert!(matches!(headers(&[(Name::Contact, "*")]).contacts(), Ok(Contacts::All)));
        for wrong in ["*, <sip:a@h>", "<sip:a@h>,", "", "* ;x"] {
            assert!(headers(&[(Name::Contact, wrong)]).contacts().is_err(), "{wrong}");
        }
        assert!(matches!(headers(&[]).contacts(), Ok(Contacts::List(list)) if list.is_empty()));
    }

    #[test]
    fn a_party_has_one_tag_or_none() {
        for (value, is_right) in [
            ("<sip:a@h>", true),
            ("<sip:a@h>;tag=x", true),
            ("<sip:a@h>;tag", false),
            ("<sip:a@h>;tag=\"x\"", false),
            ("<sip:a@h>;tag=x;TAG=y", false),
        ] {
            assert_eq!(headers(&[(Name::To, value)]).to().is_ok(), is_right, "{value}");
        }
    }

    #[test]
    fn reasons_are_read_and_broken_ones_passed_over() {
        let headers = headers(&[(Name::Reason, "Q.850;cause=16;text=\"Terminated, \\\"so\\\"\", ;;, SIP ;cause=200")]);
        let all: Vec<_> = headers.reasons().map(|it| (it.protocol, it.cause)).collect();
        assert_eq!(all, [(&b"Q.850"[..], Some(16)), (b"SIP", Some(200))]);
        assert_eq!(headers.reasons().next().unwrap().text.unwrap().as_ref(), b"Terminated, \"so\"");
    }

    #[test]
    fn small_values_are_read_without_trust() {
        let many = headers(&[
            (Name::Expires, "10000000000000000000000000"),
            (Name::RetryAfter, "18000 (in a meeting);duration=3600"),
            (Name::Supported, "100rel, , Timer"),
            (Name::MaxForwards, "0068"),
        ]);
        assert_eq!((many.expires(), many.retry_after()), (Some(u32::MAX), Some(18000)));
        assert!(many.has_token(&Name::Supported, "timer") && many.tokens(&Name::Supported).count() == 2);
        assert_eq!(many.max_forwards(), Ok(Some(68)));
        for wrong in ["256", "-1", "", "x"] {
            assert!(headers(&[(Name::MaxForwards, wrong)]).max_forwards().is_err(), "{wrong}");
        }
    }
}
