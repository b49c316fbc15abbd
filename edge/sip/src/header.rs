//! Headers: kept as they came, looked into on demand.
//!
//! # Invariants
//! * Order and bytes of values are preserved, folds included, so that what must be echoed is echoed to the byte.
//! * No value holds a CR or LF that is not part of a fold: what is written out cannot become another header.

pub mod name;
pub mod name_addr;
pub mod params;
pub(crate) mod syntax;
pub mod typed;
pub mod via;

pub use name::Name;
pub use name_addr::NameAddr;
pub use params::{Param, Params};
pub use typed::{CSeq, Contacts, MediaType, Reason};
pub use via::Via;

use std::net::SocketAddr;

use bytes::Bytes;

/// One header line.
#[derive(Clone, Eq, PartialEq)]
pub struct Header {
    /// Its name.
    pub name: Name,
    /// Its value without the white space round it. Of a message that came in, it is a slice of the datagram and keeps all
    /// of that alive: whoever stores it for long copies it.
    value: Bytes,
}

/// The headers of one message, in order.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Headers(Vec<Header>);

/// A header that is needed cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadHeader {
    /// It is not there.
    #[error("{0} is missing")]
    Missing(Name),
    /// It is there, and does not follow its grammar.
    #[error("{0} is malformed")]
    Malformed(Name),
    /// It is there more than once, where it may be only once: neither the first nor the last wins.
    #[error("{0} is repeated")]
    Repeated(Name),
}

impl Header {
    /// The value as it was written.
    #[must_use]
    pub const fn value(&self) -> &Bytes {
        &self.value
    }
}

/// Shows the name: values hold numbers, names and credentials.
impl std::fmt::Debug for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.name)
    }
}

impl Headers {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// None yet, and room for those of most messages.
    pub(crate) fn with_room() -> Self {
        Self(Vec::with_capacity(20))
    }

    /// All lines.
    pub fn iter(&self) -> impl Iterator<Item = &Header> + Clone {
        self.0.iter()
    }

    /// How many lines there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of the first line with this name.
    #[must_use]
    pub fn first(&self, name: &Name) -> Option<&Bytes> {
        self.lines(name).next()
    }

    /// The values of all lines with this name, as they are: a list may be spread over lines and commas.
    pub fn lines(&self, name: &Name) -> impl Iterator<Item = &Bytes> {
        self.0.iter().filter(move |header| header.name.is(name)).map(|header| &header.value)
    }

    /// The values of a list header over all its lines and commas. An empty line or element is an empty value.
    pub fn values(&self, name: &Name) -> impl Iterator<Item = Bytes> {
        self.lines(name).flat_map(|line| syntax::values(line).map(|value| syntax::share(line, value)))
    }

    /// The only value of a header that must not be repeated, as it was written.
    ///
    /// # Errors
    /// [`BadHeader::Missing`], [`BadHeader::Repeated`].
    pub fn single(&self, name: &Name) -> Result<&Bytes, BadHeader> {
        let mut lines = self.lines(name);
        match (lines.next(), lines.next()) {
            (Some(only), None) => Ok(only),
            (None, _) => Err(BadHeader::Missing(name.clone())),
            (Some(_), Some(_)) => Err(BadHeader::Repeated(name.clone())),
        }
    }

    /// Adds a line at the end.
    pub fn push(&mut self, name: Name, value: impl Into<Bytes>) {
        self.0.push(Header { name, value: harmless(value.into()) });
    }

    /// Adds a line in front of all others: our Via, our Route.
    pub fn push_front(&mut self, name: Name, value: impl Into<Bytes>) {
        self.0.insert(0, Header { name, value: harmless(value.into()) });
    }

    /// Removes all lines with this name and adds one.
    pub fn set(&mut self, name: Name, value: impl Into<Bytes>) {
        self.remove(&name);
        self.push(name, value);
    }

    /// Removes all lines with this name.
    pub fn remove(&mut self, name: &Name) {
        self.0.retain(|header| !header.name.is(name));
    }

    /// Copies all lines with this name to the end, as they are.
    pub fn copy(&mut self, name: &Name, from: &Self) {
        self.0.extend(from.0.iter().filter(|header| header.name.is(name)).cloned());
    }

    /// Adds lines at the end, as they are.
    pub(crate) fn extend(&mut self, lines: impl IntoIterator<Item = Header>) {
        self.0.extend(lines);
    }

    /// Gives the To a tag if it has none. Nothing happens if there is no To that could be read.
    pub fn tag_to(&mut self, tag: &str) {
        let Some(header) = self.0.iter_mut().find(|header| header.name == Name::To) else { return };
        if NameAddr::parse(&header.value).is_some_and(|to| to.tag().is_none()) {
            header.value = harmless([&header.value, &b";tag="[..], tag.as_bytes()].concat().into());
        }
    }

    /// Notes in the top Via where the request came from, so that the response finds its way: see [`Via::stamped`].
    /// Nothing happens to a Via that cannot be read.
    pub fn stamp_via(&mut self, source: SocketAddr) {
        if let Some(header) = self.0.iter_mut().find(|header| header.name == Name::Via)
            && let Some(line) = via::stamped_line(&header.value, source)
        {
            header.value = line;
        }
    }

    /// A line that was read: its value holds folds and nothing worse.
    pub(crate) fn push_read(&mut self, name: Name, value: Bytes) {
        self.0.push(Header { name, value });
    }
}

/// The value as it can be written: folds stay, any other CR or LF becomes a space.
fn harmless(value: Bytes) -> Bytes {
    let is_break = |byte: &u8| matches!(byte, b'\r' | b'\n');
    if !value.iter().any(is_break) || has_only_folds(&value) {
        return value;
    }
    value.iter().map(|byte| if is_break(byte) { b' ' } else { *byte }).collect()
}

fn has_only_folds(value: &[u8]) -> bool {
    let mut rest = value;
    while let Some((_, behind)) = syntax::split_at_byte(rest, |byte| matches!(byte, b'\r' | b'\n')) {
        let is_fold = !rest.starts_with(b"\n") && matches!(behind, [b'\n', b' ' | b'\t', ..]);
        if !is_fold {
            return false;
        }
        rest = behind.get(1..).unwrap_or_default();
    }
    true
}

/// Text of a value for people: unfolded; Latin-1 if it is no UTF-8.
#[must_use]
pub fn text(value: &[u8]) -> String {
    let text = syntax::text(value);
    if text.contains(['\r', '\n']) {
        return text.split(['\r', '\n']).map(str::trim).filter(|it| !it.is_empty()).collect::<Vec<_>>().join(" ");
    }
    text
}

/// Puts text in quotes, as a display name or an authentication parameter. What could end a line becomes a space.
#[must_use]
pub fn quote(text: &str) -> String {
    let escaped = text.chars().fold(String::from("\""), |mut quoted, it| {
        match it {
            '"' | '\\' => quoted.extend(['\\', it]),
            '\r' | '\n' => quoted.push(' '),
            _ => quoted.push(it),
        }
        quoted
    });
    escaped + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_ours_cannot_become_another_header() {
        let mut headers = Headers::new();
        headers.push(Name::Subject, "hi\r\nRoute: <sip:evil>");
        headers.push_front(Name::Via, "a\nb");
        assert_eq!(headers.first(&Name::Subject).unwrap(), "hi  Route: <sip:evil>");
        assert_eq!(headers.first(&Name::Via).unwrap(), "a b");
        assert_eq!(quote("a \"b\"\r\n\\"), r#""a \"b\"  \\""#);
    }

    #[test]
    fn a_list_is_read_over_lines_and_commas_in_order() {
        let mut headers = Headers::new();
        headers.push(Name::Contact, "<sip:a,b@h>, <sip:c@h>");
        headers.push(Name::Subject, "x");
        headers.push(Name::Contact, "\"d, e\" <sip:f@h>");
        let all: Vec<_> = headers.values(&Name::Contact).collect();
        assert_eq!(all, ["<sip:a,b@h>", "<sip:c@h>", "\"d, e\" <sip:f@h>"]);
        assert_eq!(headers.single(&Name::Contact), Err(BadHeader::Repeated(Name::Contact)));
        assert_eq!(headers.single(&Name::Date), Err(BadHeader::Missing(Name::Date)));
    }

    #[test]
    fn a_to_gets_one_tag() {
        let mut headers = Headers::new();
        headers.push(Name::To, "sip:a@h");
        headers.tag_to("x");
        headers.tag_to("y");
        assert_eq!(headers.first(&Name::To).unwrap(), "sip:a@h;tag=x");
    }

    #[test]
    fn a_folded_value_reads_as_one_line() {
        assert_eq!(text(b"newfangled value\r\n continued \xfc"), "newfangled value continued ü");
    }
}
