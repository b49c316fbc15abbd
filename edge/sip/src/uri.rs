//! URIs as SIP uses them (RFC 3261, 19.1): looked into, compared, never re-printed.

use std::borrow::Cow;

use bytes::Bytes;

use crate::header::syntax::{number, split_at_byte, take_while, text};

/// A URI. Its text stays as it was written, to the byte.
#[derive(Clone)]
pub struct Uri {
    raw: Bytes,
    scheme: Scheme,
    /// The telephone number of a `tel:` URI, too.
    user: Option<Span>,
    password: Option<Span>,
    host: Span,
    port: Option<u16>,
    params: Span,
    headers: Option<Span>,
}

/// What kind of address a URI is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scheme {
    /// `sip:`
    Sip,
    /// `sips:`
    Sips,
    /// `tel:` (RFC 3966)
    Tel,
    /// `urn:`, as in `urn:service:sos` (RFC 5031)
    Urn,
    /// Any other: it has a text and nothing that could be looked into.
    Other,
}

/// Not a URI.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("malformed URI")]
pub struct BadUri;

/// Where a part is in the text.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u16,
    end: u16,
}

impl Uri {
    /// Reads a URI, without brackets and without white space.
    ///
    /// Lenient where phones are sloppy: `_` in host names, any printable character but `@ < > "` in user parts
    /// (`*21#`), `%` that escapes nothing.
    ///
    /// # Errors
    /// [`BadUri`].
    pub fn parse(raw: &Bytes) -> Result<Self, BadUri> {
        if raw.len() > usize::from(u16::MAX) || raw.iter().any(|byte| !is_uri_byte(*byte)) {
            return Err(BadUri);
        }
        let (scheme, rest) = split_at_byte(raw, |byte| byte == b':').ok_or(BadUri)?;
        let [first, tail @ ..] = scheme else { return Err(BadUri) };
        let is_scheme = first.is_ascii_alphabetic()
            && tail.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
        if !is_scheme || rest.is_empty() {
            return Err(BadUri);
        }
        let scheme = Scheme::of(scheme);
        match scheme {
            Scheme::Sip | Scheme::Sips => Self::parse_sip(raw, scheme, rest),
            Scheme::Tel => {
                let (number, params) = take_while(rest, |byte| byte != b';');
                Ok(Self {
                    user: Some(Span::of(raw, number)),
                    params: Span::of(raw, params),
                    ..Self::opaque(raw, scheme)
                })
            }
            Scheme::Urn | Scheme::Other => Ok(Self::opaque(raw, scheme)),
        }
    }

    /// Reads a URI out of text of our own.
    ///
    /// # Errors
    /// [`BadUri`].
    pub fn from_text(text: impl Into<String>) -> Result<Self, BadUri> {
        Self::parse(&Bytes::from(text.into()))
    }

    /// The text.
    #[must_use]
    pub const fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// What kind it is.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The user part, or the number of a `tel:` URI, with its escapes.
    #[must_use]
    pub fn user(&self) -> Option<&[u8]> {
        Some(self.user?.of_text(&self.raw))
    }

    /// The user part, or the number of a `tel:` URI, without escapes. It may hold any byte, NUL too.
    #[must_use]
    pub fn decoded_user(&self) -> Option<Cow<'_, [u8]>> {
        Some(decode(self.user()?))
    }

    /// [`Uri::decoded_user`] as text.
    #[must_use]
    pub fn user_text(&self) -> Option<String> {
        Some(text(&self.decoded_user()?))
    }

    /// The password, with its escapes. Deprecated by the RFC, and never to be logged.
    #[must_use]
    pub fn password(&self) -> Option<&[u8]> {
        Some(self.password?.of_text(&self.raw))
    }

    /// Host name or address as it was written, an IPv6 address in its brackets. Empty unless `sip:` or `sips:`.
    #[must_use]
    pub fn host(&self) -> &str {
        std::str::from_utf8(self.host.of_text(&self.raw)).unwrap_or_default()
    }

    /// The port, if it is written.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// The parameters in order, with their escapes: name, and value unless it is a flag.
    pub fn params(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.params.of_text(&self.raw).split(|byte| *byte == b';').skip(1).map(name_and_value)
    }

    /// The value of a parameter, without escapes; an empty one for a flag.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let (_, value) = self.params().find(|(it, _)| decode(it).eq_ignore_ascii_case(name.as_bytes()))?;
        Some(decode(value.unwrap_or_default()))
    }

    /// The headers (`?name=value&…`) as they were written. Never to be obeyed unseen: they can carry a Route.
    #[must_use]
    pub fn headers(&self) -> Option<&[u8]> {
        Some(self.headers?.of_text(&self.raw))
    }

    /// Whether both name the same resource (RFC 3261, 19.1.4). Of other schemes than `sip` and `sips` the text is compared.
    #[must_use]
    pub fn is_equivalent(&self, other: &Self) -> bool {
        if self == other || !matches!(self.scheme, Scheme::Sip | Scheme::Sips) {
            return self.raw.eq_ignore_ascii_case(&other.raw);
        }
        self.scheme == other.scheme
            && self.decoded_user() == other.decoded_user()
            && self.password().map(decode) == other.password().map(decode)
            && self.host().eq_ignore_ascii_case(other.host())
            && self.port == other.port
            && self.agrees_with(other)
            && other.agrees_with(self)
            && has_same_headers(self.headers(), other.headers())
    }

    /// Whether each parameter is also in the other with the same value, or need not be.
    fn agrees_with(&self, other: &Self) -> bool {
        self.params().all(|(name, value)| {
            let name = decode(name).to_ascii_lowercase();
            match other.params().find(|(it, _)| decode(it).eq_ignore_ascii_case(&name)) {
                Some((_, theirs)) => {
                    decode(value.unwrap_or_default()).eq_ignore_ascii_case(&decode(theirs.unwrap_or_default()))
                }
                None => !matches!(name.as_slice(), b"user" | b"ttl" | b"method" | b"maddr" | b"transport"),
            }
        })
    }

    fn parse_sip(raw: &Bytes, scheme: Scheme, rest: &[u8]) -> Result<Self, BadUri> {
        let (user_info, rest) = match split_at_byte(rest, |byte| byte == b'@') {
            Some((info, rest)) if !rest.contains(&b'@') => (Some(info), rest),
            Some(_) => return Err(BadUri),
            None => (None, rest),
        };
        let (address, rest) = take_while(rest, |byte| !matches!(byte, b';' | b'?'));
        let (params, rest) = take_while(rest, |byte| byte != b'?');
        let (host, port) = host_and_port(address).ok_or(BadUri)?;
        if !is_param_list(params) {
            return Err(BadUri);
        }
        let mut uri =
            Self { host: Span::of(raw, host), port, params: Span::of(raw, params), ..Self::opaque(raw, scheme) };
        uri.headers = rest.strip_prefix(b"?").map(|headers| Span::of(raw, headers));
        if let Some(info) = user_info {
            let (user, password) = match split_at_byte(info, |byte| byte == b':') {
                Some((user, password)) => (user, Some(password)),
                None => (info, None),
            };
            if user.is_empty() {
                return Err(BadUri);
            }
            uri.user = Some(Span::of(raw, user));
            uri.password = password.map(|it| Span::of(raw, it));
        }
        Ok(uri)
    }

    fn opaque(raw: &Bytes, scheme: Scheme) -> Self {
        let nothing = Span::default();
        Self {
            raw: raw.clone(),
            scheme,
            user: None,
            password: None,
            host: nothing,
            port: None,
            params: nothing,
            headers: None,
        }
    }
}

/// Same text, not merely the same resource: see [`Uri::is_equivalent`] for that.
impl PartialEq for Uri {
    fn eq(&self, other: &Self) -> bool {
        self.raw == other.raw
    }
}

impl Eq for Uri {}

/// Shows the host only: what is before it may be a person's number.
impl std::fmt::Debug for Uri {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Uri({:?}, {})", self.scheme, self.host())
    }
}

impl Scheme {
    fn of(name: &[u8]) -> Self {
        let known = [(&b"sip"[..], Self::Sip), (b"sips", Self::Sips), (b"tel", Self::Tel), (b"urn", Self::Urn)];
        let found = known.into_iter().find(|(text, _)| text.eq_ignore_ascii_case(name));
        found.map_or(Self::Other, |(_, scheme)| scheme)
    }
}

impl Span {
    /// Of a part of `whole`.
    fn of(whole: &[u8], part: &[u8]) -> Self {
        let start = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
        let cut = |at: usize| u16::try_from(at).unwrap_or(u16::MAX);
        Self { start: cut(start), end: cut(start.saturating_add(part.len())) }
    }

    fn of_text(self, whole: &[u8]) -> &[u8] {
        whole.get(usize::from(self.start)..usize::from(self.end)).unwrap_or_default()
    }
}

/// Host and port of `host`, `host:port`, `[v6]` or `[v6]:port`, white space round the colon allowed (Via has it).
/// `None` where it is neither.
pub(crate) fn host_and_port(address: &[u8]) -> Option<(&[u8], Option<u16>)> {
    use crate::header::syntax::trim;
    let (host, rest) = if address.starts_with(b"[") {
        let end = address.iter().position(|byte| *byte == b']')?;
        let (host, rest) = address.split_at_checked(end + 1)?;
        let inside = std::str::from_utf8(host.get(1..end)?).ok()?;
        inside.parse::<std::net::Ipv6Addr>().ok()?;
        (host, rest)
    } else {
        let (host, rest) = take_while(address, |byte| byte != b':');
        let host = trim(host);
        let is_host = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if host.is_empty() || !host.iter().all(is_host) {
            return None;
        }
        (host, rest)
    };
    match trim(rest) {
        [] => Some((host, None)),
        [b':', port @ ..] => Some((host, Some(u16::try_from(number(trim(port))?).ok()?))),
        _ => None,
    }
}

/// Resolves `%HH`. A `%` that escapes nothing stays.
fn decode(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'%') {
        return Cow::Borrowed(text);
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, behind @ ..] = rest {
        let escaped = match rest {
            [b'%', high, low, behind @ ..] => hex(*high).zip(hex(*low)).map(|(high, low)| (high << 4 | low, behind)),
            _ => None,
        };
        let (byte, behind) = escaped.unwrap_or((*first, behind));
        plain.push(byte);
        rest = behind;
    }
    Cow::Owned(plain)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

const fn is_uri_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'"')
}

fn is_param_list(params: &[u8]) -> bool {
    params.split(|byte| *byte == b';').skip(1).all(|param| !name_and_value(param).0.is_empty())
}

fn name_and_value(param: &[u8]) -> (&[u8], Option<&[u8]>) {
    split_at_byte(param, |byte| byte == b'=').map_or((param, None), |(name, value)| (name, Some(value)))
}

/// Headers count in any order, but all of them.
fn has_same_headers(ours: Option<&[u8]>, theirs: Option<&[u8]>) -> bool {
    let sorted = |headers: Option<&[u8]>| {
        let all = headers.unwrap_or_default().split(|byte| *byte == b'&').map(name_and_value);
        let mut all: Vec<_> = all
            .map(|(name, value)| (decode(name).to_ascii_lowercase(), decode(value.unwrap_or_default()).into_owned()))
            .collect();
        all.sort_unstable();
        all
    };
    match (ours, theirs) {
        (None, None) => true,
        _ => sorted(ours) == sorted(theirs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        Uri::from_text(text).unwrap()
    }

    #[test]
    fn the_parts_of_a_sip_uri_are_found() {
        let uri = uri("SIP:alice;day=tue:pa%20ss@[2001:db8::1]:5070;transport=TCP;lr?Subject=x&Priority=y");
        assert_eq!(uri.scheme(), Scheme::Sip);
        assert_eq!(uri.user(), Some(&b"alice;day=tue"[..]));
        assert_eq!(uri.password(), Some(&b"pa%20ss"[..]));
        assert_eq!((uri.host(), uri.port()), ("[2001:db8::1]", Some(5070)));
        assert_eq!(uri.param("Transport").as_deref(), Some(&b"TCP"[..]));
        assert_eq!(uri.param("lr").as_deref(), Some(&b""[..]));
        assert_eq!(uri.param("maddr"), None);
        assert_eq!(uri.headers(), Some(&b"Subject=x&Priority=y"[..]));
    }

    #[test]
    fn what_phones_write_is_accepted() {
        assert_eq!(uri("sip:*21#@pbx_1.example").user_text().as_deref(), Some("*21#"));
        assert_eq!(uri("sip:pbx_1.example").host(), "pbx_1.example");
        assert_eq!(uri("tel:+49-30-1;phone-context=example.com").user(), Some(&b"+49-30-1"[..]));
        assert_eq!(uri("urn:service:sos").scheme(), Scheme::Urn);
        assert_eq!(uri("soap.beep://192.0.2.103:3002").scheme(), Scheme::Other);
        assert_eq!(uri("sip:a%zz@h").user_text().as_deref(), Some("a%zz"));
    }

    #[test]
    fn an_escape_is_resolved_once_and_never_cuts() {
        assert_eq!(
            uri("sip:sips%3Auser%40example.com@example.net").user_text().as_deref(),
            Some("sips:user@example.com")
        );
        assert_eq!(uri("sip:null-%00-null@h").decoded_user().as_deref(), Some(&b"null-\0-null"[..]));
        assert_eq!(uri("sip:a@h;n%61me=v%61lue%25%34%31").param("name").as_deref(), Some(&b"value%41"[..]));
    }

    #[test]
    fn what_is_no_uri_is_refused() {
        for wrong in [
            "",
            "sip:",
            "sip",
            "1a:b",
            ":x",
            "sip:@h",
            "sip:a@",
            "sip:a@b@c",
            "sip:a@h:",
            "sip:a@h:70000",
            "sip:a@h:x",
            "sip:a@[::g]",
            "sip:a@[::1",
            "sip:a@h;;lr",
            "sip:a@h;",
            "sip: a@h",
            "<sip:a@h>",
            "sip:a@h\r\n",
            "sip:a@h;=x",
            "sip:a@ü",
            "sip:a@h/x",
            "*",
        ] {
            assert_eq!(Uri::from_text(wrong), Err(BadUri), "{wrong}");
        }
    }

    #[test]
    fn equivalence_is_that_of_the_rfc() {
        // RFC 3261, 19.1.4: the first group matches, the second does not
        for (ours, theirs) in [
            ("sip:a@h;x=1;x=2", "sip:a@h;x=1;x=2"),
            ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtlanTa.CoM;Transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
            ("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"),
            (
                "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
                "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
            ),
            (
                "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
                "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
            ),
        ] {
            assert!(uri(ours).is_equivalent(&uri(theirs)), "{ours} {theirs}");
            assert!(uri(theirs).is_equivalent(&uri(ours)), "{theirs} {ours}");
        }
        for (ours, theirs) in [
            ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
            ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
            ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
            ("sip:a@h", "sips:a@h"),
        ] {
            assert!(!uri(ours).is_equivalent(&uri(theirs)), "{ours} {theirs}");
            assert!(!uri(theirs).is_equivalent(&uri(ours)), "{theirs} {ours}");
        }
    }

    #[test]
    fn the_user_is_not_printed() {
        assert_eq!(format!("{:?}", uri("sip:+4930123@example.com")), "Uri(Sip, example.com)");
    }
}
