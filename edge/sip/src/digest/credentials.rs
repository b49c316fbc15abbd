//! What a request says of its sender: one Authorization or Proxy-Authorization (RFC 7616, 3.4).

use tandem_core::account::Ha1;

use super::Algorithm;
use crate::header::syntax::{is_lws, quoted, split_at_byte, take_while, text, trim, unescape, values};
use crate::header::{Headers, Name};
use crate::message::Method;
use crate::uri::Uri;

/// Credentials that could be verified. All values are as they were written, without their quotes.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    user_name: &'a [u8],
    realm: &'a [u8],
    pub(super) nonce: &'a [u8],
    uri: &'a [u8],
    response: &'a [u8],
    algorithm: Algorithm,
    protection: Option<Protection<'a>>,
}

/// What goes with `qop=auth`.
#[derive(Clone, Copy)]
struct Protection<'a> {
    client_nonce: &'a [u8],
    /// The text of it is hashed, not its value.
    count: &'a [u8],
}

impl<'a> Credentials<'a> {
    /// The credentials for this realm in Authorization or Proxy-Authorization. `None` if there are none: other schemes, other
    /// realms, algorithms that were not offered, and what cannot be read are no credentials.
    #[must_use]
    pub fn find(headers: &'a Headers, name: &Name, realm: &str) -> Option<Self> {
        let mut all = headers.lines(name).filter_map(|line| Self::parse(line));
        all.find(|it| it.realm == realm.as_bytes())
    }

    /// Reads one header. `None` if it is nothing that could be verified.
    #[must_use]
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let (scheme, params) = take_while(trim(value), |byte| !is_lws(byte));
        if !scheme.eq_ignore_ascii_case(b"Digest") {
            return None;
        }
        let find = |name: &str| {
            let mut params = values(params).filter_map(|param| split_at_byte(param, |byte| byte == b'='));
            let (_, value) = params.find(|(it, _)| trim(it).eq_ignore_ascii_case(name.as_bytes()))?;
            let value = trim(value);
            Some(quoted(value).map_or(value, |(inside, _)| inside))
        };
        let protection = match find("qop") {
            Some(qop) if qop.eq_ignore_ascii_case(b"auth") => {
                let count = find("nc").filter(|it| it.len() == 8 && count_value(it).is_some())?;
                Some(Protection { client_nonce: find("cnonce")?, count })
            }
            Some(_) => return None,
            None => None,
        };
        Some(Self {
            user_name: find("username")?,
            realm: find("realm")?,
            nonce: find("nonce")?,
            uri: find("uri")?,
            response: find("response")?,
            algorithm: Algorithm::named(find("algorithm"))?,
            protection,
        })
    }

    /// Who it says it is.
    #[must_use]
    pub fn user_name(&self) -> String {
        text(&unescape(self.user_name))
    }

    /// How often it says the nonce has been used. Without `qop` a nonce is good for one request.
    pub(super) fn count(&self) -> u32 {
        self.protection.and_then(|it| count_value(it.count)).unwrap_or(1)
    }

    /// Whether the response is that of somebody who knows the password, to this very request. An unknown user's is computed
    /// like any other and then wrong.
    pub(super) fn is_right(&self, method: &Method, uri: &Uri, ha1: Option<&Ha1>) -> bool {
        let ha1_text = match (ha1, self.algorithm) {
            (Some(ha1), Algorithm::Md5) => ha1.md5.as_str(),
            (Some(ha1), Algorithm::Sha256) => ha1.sha256.as_str(),
            (None, _) => "",
        };
        let is_same = is_same_hex(self.expected(method, ha1_text).as_bytes(), self.response);
        is_same && ha1.is_some() && self.is_for(uri)
    }

    pub(super) fn expected(&self, method: &Method, ha1: &str) -> String {
        let ha2 = self.algorithm.hash(&[method.as_bytes(), self.uri]);
        match self.protection {
            Some(Protection { client_nonce, count }) => {
                self.algorithm.hash(&[ha1.as_bytes(), self.nonce, count, client_nonce, b"auth", ha2.as_bytes()])
            }
            None => self.algorithm.hash(&[ha1.as_bytes(), self.nonce, ha2.as_bytes()]),
        }
    }

    /// Whether it was made for this Request-URI, or one that means the same.
    fn is_for(&self, uri: &Uri) -> bool {
        self.uri == uri.raw() || Uri::parse(&self.uri.to_vec().into()).is_ok_and(|it| it.is_equivalent(uri))
    }
}

/// Says nothing of what it holds.
impl std::fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

fn count_value(digits: &[u8]) -> Option<u32> {
    let is_hex = digits.iter().all(u8::is_ascii_hexdigit); // the standard library takes a sign, too
    if is_hex { u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok() } else { None }
}

/// Looks at every digit, so that the time it takes does not tell how many were right.
fn is_same_hex(ours: &[u8], theirs: &[u8]) -> bool {
    let difference = ours.iter().zip(theirs).fold(0, |sum, (our, their)| sum | (our ^ their.to_ascii_lowercase()));
    ours.len() == theirs.len() && difference == 0
}
