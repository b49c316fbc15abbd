//! The lenient pre-pass: a description as lines, sorted under the sections that they belong to.

use bytesstr::BytesStr;

use crate::{MAX_SECTIONS, MAX_TEXT, SdpError};

/// How much of a description is read.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes.
    pub(crate) text: usize,
    /// Media sections.
    pub(crate) sections: usize,
}

impl Limits {
    /// Of a description with one stream that is of use.
    pub(crate) const CALL: Self = Self { text: MAX_TEXT, sections: MAX_SECTIONS };
}

/// A description, cut into its parts. Values are slices of one buffer.
pub(crate) struct Sections {
    /// The whole text, as received; what is no UTF-8 in it is replaced.
    pub(crate) text: BytesStr,
    /// Lines before the first section.
    pub(crate) common: Vec<Line>,
    /// `m=` and what follows it, in order.
    pub(crate) sections: Vec<Section>,
}

/// One media section.
pub(crate) struct Section {
    /// Value of its `m=`.
    pub(crate) media: BytesStr,
    /// Its other lines.
    pub(crate) lines: Vec<Line>,
}

/// A line `<kind>=<value>`.
pub(crate) struct Line {
    /// The letter.
    pub(crate) kind: u8,
    /// What follows the equals sign, without blanks at its end.
    pub(crate) value: BytesStr,
}

impl Sections {
    /// Cuts a text. Lines that are none, and those with control characters, are set aside; but not an `m=`: what
    /// follows it would fall to the section before, and an answer would lack a section (RFC 3264, 6).
    pub(crate) fn read(bytes: &[u8], limits: Limits) -> Result<Self, SdpError> {
        if bytes.len() > limits.text {
            return Err(SdpError::TooLong(bytes.len()));
        }
        let text = BytesStr::from(String::from_utf8_lossy(bytes).into_owned());
        let mut lines = text.split(['\r', '\n']).filter(|line| !line.trim().is_empty());
        if lines.next().is_none_or(|first| first.trim_end() != "v=0") {
            return Err(SdpError::NotSdp);
        }
        let mut read = Self { text: text.clone(), common: Vec::new(), sections: Vec::new() };
        for line in lines {
            match Line::read(&text, line) {
                Some(line) => read.sort_in(line, limits.sections)?,
                None if line.starts_with("m=") => return Err(SdpError::BadSection),
                None => {}
            }
        }
        Ok(read)
    }

    fn sort_in(&mut self, line: Line, most: usize) -> Result<(), SdpError> {
        if line.kind == b'm' {
            if self.sections.len() == most {
                return Err(SdpError::TooManySections);
            }
            self.sections.push(Section { media: line.value, lines: Vec::new() });
            return Ok(());
        }
        self.sections.last_mut().map_or(&mut self.common, |section| &mut section.lines).push(line);
        Ok(())
    }
}

impl Line {
    fn read(text: &BytesStr, line: &str) -> Option<Self> {
        let (kind, value) = line.split_once('=')?;
        let [kind] = *kind.as_bytes() else { return None };
        let is_clean = !value.chars().any(|c| c.is_control() && c != '\t');
        is_clean.then(|| Self { kind, value: BytesStr::from_parse(text.as_ref(), value.trim_end()) })
    }

    /// The value of an attribute of that name: `a=<name>:<value>`.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        (self.kind == b'a').then_some(())?;
        self.value.strip_prefix(name)?.strip_prefix(':')
    }

    /// An attribute without a value: `a=<name>`.
    pub(crate) fn flag(&self) -> Option<&str> {
        (self.kind == b'a').then_some(&*self.value)
    }
}
