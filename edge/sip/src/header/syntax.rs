//! The smallest pieces of SIP's grammar (RFC 3261, 25.1), over bytes.
//!
//! Header values hold a CR or LF only as part of a fold (the reader and [`super::Headers::push`] see to it), so both count as
//! white space here and nothing is ever unfolded to be understood.

use std::borrow::Cow;

use bytes::Bytes;

/// Token characters.
pub(crate) const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~')
}

/// One or more token characters and nothing else.
pub(crate) fn is_token_text(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| is_token(*byte))
}

/// Linear white space.
pub(crate) const fn is_lws(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Without the white space at both ends.
pub(crate) fn trim(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_lws(*first)
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && is_lws(*last)
    {
        text = rest;
    }
    text
}

/// What is before and behind the first byte that matches; that byte is in neither.
pub(crate) fn split_at_byte(text: &[u8], is_mark: impl Fn(u8) -> bool) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|byte| is_mark(*byte))?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// The longest beginning whose bytes all match, and the rest.
pub(crate) fn take_while(text: &[u8], is_inside: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let at = text.iter().position(|byte| !is_inside(*byte)).unwrap_or(text.len());
    text.split_at_checked(at).unwrap_or((text, &[]))
}

/// Decimal digits and nothing else, as a number. `None` above `u32::MAX`.
pub(crate) fn number(text: &[u8]) -> Option<u32> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u32, |sum, digit| match digit {
        b'0'..=b'9' => sum.checked_mul(10)?.checked_add(u32::from(digit - b'0')),
        _ => None,
    })
}

/// As [`number`], but what is too big is `u32::MAX`.
pub(crate) fn saturating_number(text: &[u8]) -> Option<u32> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    is_number.then(|| number(text).unwrap_or(u32::MAX))
}

/// Reads the quoted string that `text` begins with: what is between the quotes (still escaped), and the rest.
/// `None` if it does not begin with a quote or the quote is never closed.
pub(crate) fn quoted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let [b'"', inside @ ..] = text else { return None };
    let mut is_escaped = false;
    for (at, byte) in inside.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return Some((inside.get(..at)?, inside.get(at + 1..)?)),
            _ => {}
        }
    }
    None
}

/// Resolves the quoted pairs in what [`quoted`] gave.
pub(crate) fn unescape(inside: &[u8]) -> Cow<'_, [u8]> {
    if !inside.contains(&b'\\') {
        return Cow::Borrowed(inside);
    }
    let mut plain = Vec::with_capacity(inside.len());
    let mut bytes = inside.iter();
    while let Some(byte) = bytes.next() {
        let literal = if *byte == b'\\' { bytes.next() } else { Some(byte) };
        plain.extend(literal);
    }
    Cow::Owned(plain)
}

/// Text of unknown encoding: UTF-8 if it is, else Latin-1, as old phones write names.
pub(crate) fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(utf8) => utf8.to_owned(),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
    }
}

/// The values of a comma-separated list, trimmed. Commas in quotes and in angle brackets do not separate.
/// An empty list has one empty value.
pub(crate) fn values(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(list);
    std::iter::from_fn(move || {
        let (value, behind) = first_value(rest?);
        rest = behind;
        Some(trim(value))
    })
}

/// The first value of a comma-separated list, untrimmed, and what is behind its comma, if there is one.
pub(crate) fn first_value(list: &[u8]) -> (&[u8], Option<&[u8]>) {
    let (mut is_quoted, mut is_escaped, mut is_bracketed) = (false, false, false);
    for (at, byte) in list.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' if !is_bracketed => is_quoted = !is_quoted,
            _ if is_quoted => {}
            b'<' => is_bracketed = true,
            b'>' => is_bracketed = false,
            b',' if !is_bracketed => return (list.get(..at).unwrap_or_default(), list.get(at + 1..)),
            _ => {}
        }
    }
    (list, None)
}

/// Shares the memory of `whole`, of which `part` is a part.
pub(crate) fn share(whole: &Bytes, part: &[u8]) -> Bytes {
    whole.slice_ref(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_in_quotes_and_brackets_do_not_separate() {
        let list = br#" "a, \", b" <sip:x,y@h> , c,, "open, d"#;
        let all: Vec<_> = values(list).collect();
        assert_eq!(all, [&br#""a, \", b" <sip:x,y@h>"#[..], b"c", b"", b"\"open, d"]);
    }

    #[test]
    fn a_quoted_string_ends_at_its_own_quote() {
        let (inside, rest) = quoted(br#""a \"b\" \\" c"#).unwrap();
        assert_eq!((unescape(inside).as_ref(), rest), (&br#"a "b" \"#[..], &b" c"[..]));
        assert_eq!(quoted(br#""never \""#), None);
    }

    #[test]
    fn numbers_do_not_wrap() {
        assert_eq!(number(b"0009"), Some(9));
        assert_eq!(number(b"4294967295"), Some(u32::MAX));
        for wrong in [&b"4294967296"[..], b"", b"-1", b"+1", b"1 "] {
            assert_eq!(number(wrong), None);
        }
        assert_eq!(saturating_number(b"99999999999999999999999"), Some(u32::MAX));
    }

    #[test]
    fn text_that_is_no_utf8_is_latin_1() {
        assert_eq!(text(b"M\xfcller"), "Müller");
        assert_eq!(text("Müller".as_bytes()), "Müller");
    }
}
