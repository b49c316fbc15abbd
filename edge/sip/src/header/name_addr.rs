//! Addresses with a display name and parameters: From, To, Contact, Route, Record-Route, Refer-To (RFC 3261, 20.10).

use std::borrow::Cow;

use bytes::Bytes;

use super::params::Params;
use super::syntax::{is_lws, quoted, share, split_at_byte, take_while, text, trim, unescape};
use crate::uri::Uri;

/// One address. Its text stays as it was written: echo [`NameAddr::raw`], never what was read out of it.
#[derive(Clone)]
pub struct NameAddr {
    raw: Bytes,
    /// As it was written, quotes included.
    display: Bytes,
    uri: Uri,
    params: Bytes,
}

impl NameAddr {
    /// Reads one value. `None` if it is malformed. Strict where a guess would be dangerous: no white space in `< >`, no
    /// comma in an unquoted name, no `?` or `,` in a URI without brackets (RFC 3261, 20).
    #[must_use]
    pub fn parse(value: &Bytes) -> Option<Self> {
        let raw = trim(value);
        let (display, rest) = display_name(raw)?;
        let (uri, params) = match rest {
            [b'<', rest @ ..] => split_at_byte(rest, |byte| byte == b'>')?,
            bare => {
                let (uri, params) = take_while(bare, |byte| byte != b';' && !is_lws(byte));
                if uri.iter().any(|byte| matches!(byte, b'?' | b',')) {
                    return None;
                }
                (uri, params)
            }
        };
        let params = Params::parse(params)?;
        Some(Self {
            raw: share(value, raw),
            display: share(value, display),
            uri: Uri::parse(&share(value, uri)).ok()?,
            params: share(value, params.raw()),
        })
    }

    /// As it was written.
    #[must_use]
    pub const fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// The display name without quotes; Latin-1 if it is no UTF-8. `None` if there is none or it is empty.
    #[must_use]
    pub fn display_name(&self) -> Option<String> {
        let name = quoted(&self.display).map_or(Cow::Borrowed(self.display.as_ref()), |(inside, _)| unescape(inside));
        (!name.is_empty()).then(|| text(&name))
    }

    /// The address.
    #[must_use]
    pub const fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The header's parameters, not the URI's.
    #[must_use]
    pub fn params(&self) -> Params<'_> {
        Params::parse(&self.params).unwrap_or_default()
    }

    /// The tag of a From or To.
    #[must_use]
    pub fn tag(&self) -> Option<&[u8]> {
        self.params().find("tag")?.value
    }
}

/// Shows the address as [`Uri`] does, and no name.
impl std::fmt::Debug for NameAddr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NameAddr({:?})", self.uri)
    }
}

/// The display name and what is behind it. Only before a bracket can there be one.
fn display_name(raw: &[u8]) -> Option<(&[u8], &[u8])> {
    if let Some((_, behind)) = quoted(raw) {
        let rest = trim(behind);
        let name = raw.get(..raw.len().checked_sub(behind.len())?)?;
        return rest.starts_with(b"<").then_some((name, rest));
    }
    let (name, rest) = take_while(raw, |byte| byte != b'<');
    if rest.is_empty() {
        return Some((b"", raw));
    }
    let is_wrong = |byte: &u8| matches!(byte, b'"' | b',' | b';' | b'>') || byte.is_ascii_control() && !is_lws(*byte);
    (!name.iter().any(is_wrong)).then_some((trim(name), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &'static [u8]) -> Option<NameAddr> {
        NameAddr::parse(&Bytes::from_static(value))
    }

    #[test]
    fn names_of_all_kinds_are_read() {
        for (value, name) in [
            (&b"\"a \\\"b\\\" c\" <sip:x@h>;tag=1"[..], Some("a \"b\" c")),
            (b"caller<sip:x@h>;tag=1", Some("caller")),
            (b"J. R. Token  <sip:x@h>;tag=1", Some("J. R. Token")),
            (b"M\xfcller <sip:x@h>;tag=1", Some("Müller")),
            (b"\"M\xfcller, Ren\xe9\" <sip:x@h> ; tag = 1", Some("Müller, René")),
            (b"<sip:x@h>;tag=1", None),
            (b"\"\" <sip:x@h>;tag=1", None),
            (b"sip:x@h;tag=1", None),
            (b"sip:x@h ; tag=1", None),
        ] {
            let address = NameAddr::parse(&Bytes::from_static(value)).unwrap();
            assert_eq!(address.display_name().as_deref(), name);
            assert_eq!(address.uri().raw(), "sip:x@h");
            assert_eq!(address.tag(), Some(&b"1"[..]));
            assert_eq!(address.raw(), value);
        }
    }

    #[test]
    fn a_parameter_belongs_to_the_uri_only_in_brackets() {
        let bare = read(b"sip:a@h;unknownparam").unwrap();
        assert!(bare.params().find("unknownparam").is_some() && bare.uri().param("unknownparam").is_none());
        let bracketed = read(b"<sip:a@h;unknownparam>").unwrap();
        assert!(bracketed.params().find("unknownparam").is_none() && bracketed.uri().param("unknownparam").is_some());
    }

    #[test]
    fn what_could_be_misread_is_refused() {
        for wrong in [
            &b""[..],
            b"\"Mr. J. User <sip:x@h>",
            b"Bell, A <sip:x@h>",
            b"< sip:x@h >",
            b"<sip:x@h",
            b"<sip:x@h> junk",
            b"sip:x@h?Route=%3Csip:y%3E",
            b"\"a\" sip:x@h",
            b"a;b <sip:x@h>",
            b"<sip:x@h>;;",
            b"<>",
        ] {
            assert!(read(wrong).is_none(), "{}", wrong.escape_ascii());
        }
    }
}
