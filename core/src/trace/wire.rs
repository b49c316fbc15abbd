//! Texts as they went over the wire, but for their secrets.
//!
//! # Invariants
//! * Credentials of SIP, passwords in URIs, and keys and passwords of session descriptions are not in it, wherever in the
//!   text they stood and however their lines were folded.
//! * Of bodies only session descriptions and `message/sipfrag` are in it: others hold what people typed or wrote.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Most that is kept of one text, in bytes.
const LONGEST: usize = 8 << 10;

/// What stands where something was taken out.
const HIDDEN: &str = "[hidden]";

/// Headers whose values prove who somebody is.
const SECRET_HEADERS: [&str; 3] = ["authorization", "proxy-authorization", "authentication-info"];

/// Lines of a session description that hold a key or a password: SDES (RFC 4568), MIKEY (RFC 4567), `k=` (RFC 4566),
/// ICE (RFC 8839).
const SECRET_ATTRIBUTES: [&str; 4] = ["a=ice-pwd:", "a=crypto:", "a=key-mgmt:", "k="];

/// See the module. Not printed by `Debug`: there are numbers and names in it.
#[derive(Clone, Eq, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Wire(Box<str>);

impl Wire {
    /// Of a SIP message. Cut after 8 KiB.
    #[must_use]
    pub fn of_sip(message: &[u8]) -> Self {
        let text = String::from_utf8_lossy(message.get(..LONGEST).unwrap_or(message));
        let is_cut = message.len() > LONGEST;
        // At the end of a line: the first half of a secret does not always look like one.
        let text = if is_cut { text.rsplit_once('\n').map_or("", |it| it.0) } else { &text };
        let (head, body) = text.split_at(text.find("\r\n\r\n").map_or(text.len(), |end| end + 4));
        let mut out = String::with_capacity(text.len() + 16);
        strip(head, &mut out);
        match body {
            _ if body.starts_with("v=") || body.starts_with("SIP/2.0 ") => strip(body, &mut out),
            "" => {}
            _ => out.push_str(HIDDEN),
        }
        if is_cut {
            out.push_str("\n… cut");
        }
        Self(out.into())
    }

    /// What a client of the API said or was told: a line, and the session description that came with it.
    #[must_use]
    pub fn of_api(line: &str, sdp: Option<&str>) -> Self {
        Self::of_sip([line, sdp.map_or("", |_| "\r\n\r\n"), sdp.unwrap_or_default()].concat().as_bytes())
    }

    /// All of it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// In one line: what was asked of whom, or what came of it, and whether a session description was in it.
    #[must_use]
    pub fn summary(&self) -> String {
        let start = self.0.lines().next().unwrap_or_default();
        let sdp = if self.0.contains("\nv=0") { " (sdp)" } else { "" };
        match (start.strip_prefix("SIP/2.0 "), start.strip_suffix(" SIP/2.0")) {
            (Some(status), _) => match self.method() {
                "INVITE" | "" => format!("{status}{sdp}"),
                method => format!("{status} ({method}){sdp}"),
            },
            (None, Some(request)) => format!("{request}{sdp}"),
            (None, None) => format!("{start}{sdp}"),
        }
    }

    /// Bytes that it takes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Value of the first header of one of these names. Not of one that is folded at once.
    #[must_use]
    pub fn header(&self, names: &[&str]) -> Option<&str> {
        let head = self.0.lines().skip(1).take_while(|line| !line.is_empty());
        let mut pairs = head.filter_map(|line| line.split_once(':'));
        let found = pairs.find(|(name, _)| names.iter().any(|it| it.eq_ignore_ascii_case(name.trim_end())));
        found.map(|(_, value)| value.trim())
    }

    /// What a response is to: the end of its CSeq.
    fn method(&self) -> &str {
        self.header(&["cseq"]).and_then(|value| value.split_whitespace().last()).unwrap_or_default()
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

fn strip(text: &str, out: &mut String) {
    let is_end = |byte: u8| matches!(byte, b'\r' | b'\n');
    let (mut rest, mut is_hiding) = (text, false);
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.bytes().position(is_end).unwrap_or(rest.len()));
        let (ends, next) = after.split_at(after.bytes().take_while(|byte| is_end(*byte)).count());
        let is_folded = line.starts_with([' ', '\t']);
        is_hiding &= is_folded;
        match secret(line) {
            Some(kept) => {
                is_hiding = true;
                out.push_str(kept);
                out.push_str(HIDDEN);
            }
            None if is_hiding => {}
            None => strip_credentials(line, out),
        }
        out.push_str(ends);
        rest = next;
    }
}

/// What may stay of a line that holds a secret: what says so.
fn secret(line: &str) -> Option<&str> {
    if !matches!(line.bytes().next(), Some(b'a' | b'A' | b'k' | b'K' | b'p' | b'P')) {
        return None;
    }
    let attribute = SECRET_ATTRIBUTES.iter().find(|it| starts(line, it));
    if let Some(attribute) = attribute {
        return line.get(..attribute.len());
    }
    let (name, _) = line.split_once(':')?;
    let is_secret = SECRET_HEADERS.iter().any(|it| it.eq_ignore_ascii_case(name.trim_end()));
    is_secret.then(|| line.get(..=name.len())).flatten()
}

/// A line but for the credentials that a URI would have put into a request (RFC 3261, 19.1.1), and its passwords.
fn strip_credentials(line: &str, out: &mut String) {
    const CREDENTIALS: &[u8] = b"authorization=";
    let at = line.as_bytes().windows(CREDENTIALS.len()).position(|it| it.eq_ignore_ascii_case(CREDENTIALS));
    let (line, credentials) = line.split_at(at.map_or(line.len(), |at| at + CREDENTIALS.len()));
    strip_uris(line, out);
    if !credentials.is_empty() {
        out.push_str(HIDDEN);
    }
}

/// A line but for the passwords of `sip:user:password@host` and `https://user:password@host`.
fn strip_uris(line: &str, out: &mut String) {
    if !line.bytes().any(|byte| byte == b'@') {
        return out.push_str(line);
    }
    let mut rest = line;
    while let Some(colon) = rest.find(':') {
        let (before, after) = rest.split_at(colon + 1);
        out.push_str(before);
        rest = after;
        let slashes = if after.starts_with("//") { 2 } else { 0 };
        let is_uri = slashes > 0 || ends(before, "sip:") || ends(before, "sips:");
        // A password may have commas in it, and whoever writes it may have put more.
        let uri = after.get(..after.find(['<', '>', '"', ' ', '\t']).unwrap_or(after.len())).unwrap_or_default();
        if let (true, Some(at)) = (is_uri, uri.rfind('@'))
            && let Some(colon) = uri.get(slashes..at).and_then(|user| user.find(':'))
        {
            out.push_str(uri.get(..=slashes + colon).unwrap_or_default());
            out.push_str(HIDDEN);
            rest = after.get(at..).unwrap_or_default();
        }
    }
    out.push_str(rest);
}

fn starts(line: &str, prefix: &str) -> bool {
    line.get(..prefix.len()).is_some_and(|it| it.eq_ignore_ascii_case(prefix))
}

fn ends(text: &str, suffix: &str) -> bool {
    let at = text.len().checked_sub(suffix.len());
    at.and_then(|at| text.get(at..)).is_some_and(|it| it.eq_ignore_ascii_case(suffix))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn secrets_are_taken_out_wherever_they_stand_and_numbers_stay() {
        for (line, kept) in [
            ("Authorization: Digest username=\"1001\", response=\"c0ffee\"", "Authorization:[hidden]"),
            ("PROXY-authorization  : Digest response=\"c0ffee\"", "PROXY-authorization  :[hidden]"),
            ("Authorization: Digest username=\"1001\",\r\n response=\"c0ffee\"", "Authorization:[hidden]\r\n"),
            ("Authorization:\r\n\tDigest a,\r\n c0ffee\r\nTo: x", "Authorization:[hidden]\r\n\r\n\r\nTo: x"),
            ("Authentication-Info: rspauth=\"c0ffee\"", "Authentication-Info:[hidden]"),
            ("a=ice-pwd:c0ffeec0ffeec0ffeec0ffee", "a=ice-pwd:[hidden]"),
            ("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c0ffee", "a=crypto:[hidden]"),
            ("a=key-mgmt:mikey c0ffee", "a=key-mgmt:[hidden]"),
            ("k=base64:c0ffee", "k=[hidden]"),
            ("From: <sip:1001:c0ffee@h>;tag=1", "From: <sip:1001:[hidden]@h>;tag=1"),
            ("INVITE SIPS:1001:c0ffee@h SIP/2.0", "INVITE SIPS:1001:[hidden]@h SIP/2.0"),
            (
                "Contact: <sip:1:c0ffee@h>, \"x\" <sip:2:c0ffee@h:5060>",
                "Contact: <sip:1:[hidden]@h>, \"x\" <sip:2:[hidden]@h:5060>",
            ),
            ("From: <sip:1001:c0,ff@c0ffee@h>;tag=1", "From: <sip:1001:[hidden]@h>;tag=1"),
            ("Call-Info: <https://me:c0ffee@h/x:y>", "Call-Info: <https://me:[hidden]@h/x:y>"),
            ("Refer-To: <sip:1@h?Authorization=c0ffee>", "Refer-To: <sip:1@h?Authorization=[hidden]"),
            ("Alert-Info: <http://h:80/a>", "Alert-Info: <http://h:80/a>"),
            ("To: \"Ü\" <sip:1002@h:5060;transport=tcp>", "To: \"Ü\" <sip:1002@h:5060;transport=tcp>"),
            ("Contact: <sip:127.0.0.1:5060>", "Contact: <sip:127.0.0.1:5060>"),
            ("a=ice-ufrag:abcd", "a=ice-ufrag:abcd"),
            ("WWW-Authenticate: Digest nonce=\"n\"", "WWW-Authenticate: Digest nonce=\"n\""),
        ] {
            let text = format!("OPTIONS sip:x SIP/2.0\r\n{line}\r\n\r\nv=0\r\n{line}");
            let wire = Wire::of_sip(text.as_bytes());
            assert_eq!(wire.text(), format!("OPTIONS sip:x SIP/2.0\r\n{kept}\r\n\r\nv=0\r\n{kept}"));
            assert!(!wire.text().contains("c0ffee"));
        }
    }

    #[test]
    fn what_people_typed_or_wrote_is_not_kept() {
        for (body, kept) in [("Signal=1\r\nDuration=160\r\n", "[hidden]"), ("SIP/2.0 100 Trying", "SIP/2.0 100 Trying")]
        {
            let wire = Wire::of_sip(format!("INFO sip:x SIP/2.0\r\nCSeq: 1 INFO\r\n\r\n{body}").as_bytes());
            assert_eq!(wire.text(), format!("INFO sip:x SIP/2.0\r\nCSeq: 1 INFO\r\n\r\n{kept}"));
        }
    }

    #[test]
    fn a_message_is_cut_where_a_line_ends() {
        let long = format!("INVITE sip:x SIP/2.0\r\nX: y\r\nFrom: <sip:1001:c0ffee{}@h>\r\n\r\n", "x".repeat(LONGEST));
        assert_eq!(Wire::of_sip(long.as_bytes()).text(), "INVITE sip:x SIP/2.0\r\nX: y\r\n… cut");
    }

    #[test]
    fn a_summary_says_what_was_asked_or_what_came_of_it() {
        for (text, summary) in [
            ("INVITE sip:1002@h SIP/2.0\r\nCSeq: 1 INVITE\r\n\r\nv=0\r\n", "INVITE sip:1002@h (sdp)"),
            ("SIP/2.0 180 Ringing\r\nCSeq: 1 INVITE\r\n\r\n", "180 Ringing"),
            ("SIP/2.0 200 OK\r\ncseq: 2 BYE\r\n\r\n", "200 OK (BYE)"),
            ("POST initiate 1002", "POST initiate 1002"),
            ("", ""),
        ] {
            assert_eq!(Wire::of_sip(text.as_bytes()).summary(), summary);
        }
        assert_eq!(Wire::of_api("200 offer", Some("v=0\r\na=ice-pwd:x\r\n")).summary(), "200 offer (sdp)");
    }

    #[test]
    fn a_long_text_is_cut_and_none_is_printed() {
        let wire = Wire::of_sip("ü".repeat(LONGEST).as_bytes());
        assert!(wire.len() < LONGEST + 16 && wire.text().ends_with("… cut"));
        assert_eq!(format!("{wire:?}"), "[hidden]");
    }

    proptest! {
        #[test]
        fn whatever_surrounds_it_a_secret_is_not_kept(
            before in "[ -~\r\n\t]{0,40}",
            name in prop::sample::select(vec!["Authorization", "proxy-authorization ", "AUTHORIZATION"]),
            fold in prop::sample::select(vec![" ", "\r\n ", "\n\t", " a,\r\n b,\r\n  "]),
        ) {
            let text = format!("{before}\r\n{name}:{fold}c0ffee\r\n\r\nv=0\r\na=ice-pwd:c0ffee\na=crypto:1 c0ffee\r");
            prop_assert!(!Wire::of_sip(text.as_bytes()).text().contains("c0ffee"));
        }
    }
}
