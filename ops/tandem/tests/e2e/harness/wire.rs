//! SIP messages, just enough of them to play a phone by script.

use std::fmt::Write as _;

/// A request or a response.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Request line or status line.
    pub start: String,
    /// Headers in order, names as written.
    pub headers: Vec<(String, String)>,
    /// Mostly a session description.
    pub body: String,
}

impl Message {
    /// A message without headers or body.
    pub fn new(start: String) -> Self {
        Self { start, headers: Vec::new(), body: String::new() }
    }

    /// Reads a datagram; `None` for a keep-alive or noise.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let (start, headers) = head.split_once("\r\n")?;
        let header = |line: &str| line.split_once(':').map(|(name, value)| (name.trim().into(), value.trim().into()));
        let headers = headers.split("\r\n").map(header).collect::<Option<_>>()?;
        Some(Self { start: start.to_owned(), headers, body: body.to_owned() })
    }

    /// As it goes on the wire.
    pub fn text(&self) -> String {
        let mut text = format!("{}\r\n", self.start);
        for (name, value) in &self.headers {
            let _ = write!(text, "{name}: {value}\r\n");
        }
        if !self.body.is_empty() {
            text.push_str("Content-Type: application/sdp\r\n");
        }
        let _ = write!(text, "Content-Length: {}\r\n\r\n{}", self.body.len(), self.body);
        text
    }

    /// The same with one header more.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Values of a header in order.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |it| it.0.eq_ignore_ascii_case(name)).map(|it| it.1.as_str())
    }

    /// First value of a header that must be there.
    pub fn header(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_else(|| panic!("no {name} in\n{}", self.text()))
    }

    /// The code of a response.
    pub fn status(&self) -> Option<u16> {
        self.start.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    /// The method of a request, or the one that a response is for.
    pub fn method(&self) -> &str {
        match self.status() {
            None => self.start.split(' ').next().unwrap_or_default(),
            Some(_) => self.header("CSeq").split(' ').next_back().unwrap_or_default(),
        }
    }

    /// The URI of a request line.
    pub fn uri(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    /// Number in CSeq.
    pub fn number(&self) -> u32 {
        self.header("CSeq").split(' ').next().and_then(|it| it.parse().ok()).unwrap()
    }

    /// Branch of the topmost Via: names the transaction.
    pub fn branch(&self) -> &str {
        parameter(self.header("Via"), "branch").unwrap()
    }

    /// The URI of its Contact.
    pub fn contact(&self) -> &str {
        let value = self.header("Contact");
        value.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or(value, |(uri, _)| uri)
    }
}

/// A parameter's value of a header.
pub fn parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    value.split(';').skip(1).find_map(|it| it.trim().strip_prefix(name)?.strip_prefix('='))
}
