//! Via (RFC 3261, 20.42; RFC 3581 for `rport`).

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::params::Params;
use super::syntax::{first_value, is_lws, is_token_text, number, split_at_byte, take_while, trim};
use crate::uri::host_and_port;

/// What branches begin with that are unique (RFC 3261, 8.1.1.7).
pub const MAGIC_COOKIE: &str = "z9hG4bK";

/// One Via value.
#[derive(Clone, Copy, Debug)]
pub struct Via<'a> {
    raw: &'a [u8],
    transport: &'a [u8],
    host: &'a [u8],
    port: Option<u16>,
    params: Params<'a>,
}

impl<'a> Via<'a> {
    /// Reads one value. `None` if it is malformed.
    #[must_use]
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let raw = trim(value);
        let (name, rest) = split_at_byte(raw, |byte| byte == b'/')?;
        let (version, rest) = split_at_byte(rest, |byte| byte == b'/')?;
        let (transport, rest) = take_while(trim(rest), |byte| !is_lws(byte));
        let (address, params) = take_while(rest, |byte| byte != b';');
        let is_protocol = [trim(name), trim(version), transport].into_iter().all(is_token_text);
        let (host, port) = host_and_port(trim(address))?;
        is_protocol.then_some(())?;
        Some(Self { raw, transport, host, port, params: Params::parse(params)? })
    }

    /// As it was written.
    #[must_use]
    pub const fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The transport's name as it was written.
    #[must_use]
    pub const fn transport(&self) -> &'a [u8] {
        self.transport
    }

    /// Host of the sent-by, as it was written.
    #[must_use]
    pub fn host(&self) -> &'a str {
        std::str::from_utf8(self.host).unwrap_or_default()
    }

    /// Port of the sent-by, if it is written.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// The branch, whatever it begins with.
    #[must_use]
    pub fn branch(&self) -> Option<&'a [u8]> {
        self.params.find("branch")?.value
    }

    /// The branch if it is a unique one, with the cookie. Without it, a transaction is matched as RFC 2543 did.
    #[must_use]
    pub fn unique_branch(&self) -> Option<&'a [u8]> {
        let branch = self.branch()?;
        let (cookie, rest) = branch.split_at_checked(MAGIC_COOKIE.len())?;
        (cookie.eq_ignore_ascii_case(MAGIC_COOKIE.as_bytes()) && !rest.is_empty()).then_some(branch)
    }

    /// The address its sender was seen at.
    #[must_use]
    pub fn received(&self) -> Option<IpAddr> {
        let value = std::str::from_utf8(self.params.find("received")?.value?).ok()?;
        value.trim_matches(['[', ']']).parse().ok()
    }

    /// The port its sender was seen at.
    #[must_use]
    pub fn rport(&self) -> Option<u16> {
        u16::try_from(number(self.params.find("rport")?.value?)?).ok()
    }

    /// Whether responses go to the port the request came from, filled in or not.
    #[must_use]
    pub fn wants_rport(&self) -> bool {
        self.params.find("rport").is_some()
    }

    /// All parameters. `maddr` and `ttl` are here and nowhere else: sending a response to where `maddr` says would make
    /// a reflector of us.
    #[must_use]
    pub const fn params(&self) -> Params<'a> {
        self.params
    }

    /// The value with `received`, and `rport` where it is asked for, set to where the request came from
    /// (RFC 3261, 18.2.1; RFC 3581, 4). What the sender claimed for either is dropped; all else stays as it was.
    #[must_use]
    pub fn stamped(&self, source: SocketAddr) -> Bytes {
        let is_elsewhere = self.host().trim_matches(['[', ']']).parse() != Ok(source.ip());
        let before = self.raw.len().saturating_sub(self.params.raw().len());
        let mut value = trim(self.raw.get(..before).unwrap_or_default()).to_vec();
        for param in self.params.iter() {
            if param.name.eq_ignore_ascii_case(b"received") {
                continue;
            }
            value.push(b';');
            value.extend_from_slice(param.name);
            if param.name.eq_ignore_ascii_case(b"rport") {
                value.extend_from_slice(format!("={}", source.port()).as_bytes());
            } else if let Some(text) = param.value {
                value.push(b'=');
                value.extend_from_slice(text);
            }
        }
        if is_elsewhere || self.wants_rport() {
            value.extend_from_slice(format!(";received={}", source.ip()).as_bytes());
        }
        value.into()
    }
}

/// A Via line with its first value stamped, see [`Via::stamped`]. `None` if that is malformed.
pub(crate) fn stamped_line(line: &[u8], source: SocketAddr) -> Option<Bytes> {
    let (first, rest) = first_value(line);
    let stamped = Via::parse(first)?.stamped(source);
    Some(match rest {
        Some(rest) => [&stamped, &b", "[..], trim(rest)].concat().into(),
        None => stamped,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_via_is_read_through_all_its_white_space() {
        let via = Via::parse(b"SIP  /   2.0\r\n /UDP\r\n    192.0.2.2 : 5070 ; branch=\r\n z9hG4bKx;rport").unwrap();
        assert_eq!((via.transport(), via.host(), via.port()), (&b"UDP"[..], "192.0.2.2", Some(5070)));
        assert_eq!(via.unique_branch(), Some(&b"z9hG4bKx"[..]));
        assert!(via.wants_rport() && via.rport().is_none() && via.received().is_none());
    }

    #[test]
    fn broken_vias_are_refused() {
        for wrong in [
            &b""[..],
            b",",
            b"SIP/2.0/UDP",
            b"SIP/2.0/UDP ",
            b"SIP/2.0/UDP h;;",
            b"SIP/2.0 h",
            b"SIP/2.0/UDP h:x",
            b"SIP/2.0/UDP h i",
            b"SIP/2.0/ h",
        ] {
            assert!(Via::parse(wrong).is_none(), "{}", wrong.escape_ascii());
        }
    }

    #[test]
    fn a_bare_cookie_and_an_old_branch_are_not_unique() {
        let via = |branch: &str| format!("SIP/2.0/UDP h;branch={branch}");
        for (branch, unique) in [("z9hG4bK", false), ("390skdjuw", false), ("z9hG4bK1", true)] {
            assert_eq!(Via::parse(via(branch).as_bytes()).unwrap().unique_branch().is_some(), unique, "{branch}");
        }
    }

    #[test]
    fn a_stamp_tells_the_source_and_changes_nothing_else() {
        let source = "192.0.2.9:40000".parse().unwrap();
        for (line, stamped) in [
            ("SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa", "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa"),
            ("SIP/2.0/UDP h;X=\"y;\"", "SIP/2.0/UDP h;X=\"y;\";received=192.0.2.9"),
            ("SIP/2.0/UDP 192.0.2.9;rport;a", "SIP/2.0/UDP 192.0.2.9;rport=40000;a;received=192.0.2.9"),
            ("SIP/2.0/UDP h;received=6.6.6.6;rport=1", "SIP/2.0/UDP h;rport=40000;received=192.0.2.9"),
            ("SIP/2.0/UDP 192.0.2.9 , SIP/2.0/TCP b", "SIP/2.0/UDP 192.0.2.9, SIP/2.0/TCP b"),
        ] {
            assert_eq!(stamped_line(line.as_bytes(), source).unwrap(), stamped, "{line}");
        }
        let via = stamped_line(b"SIP/2.0/UDP h;rport", "[2001:db8::1]:5060".parse().unwrap()).unwrap();
        assert_eq!(Via::parse(&via).unwrap().received(), "2001:db8::1".parse().ok());
    }
}
