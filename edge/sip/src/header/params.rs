//! Parameters: `;name=value;flag;name="quoted"`.

use std::borrow::Cow;

use super::syntax::{is_lws, is_token_text, quoted, take_while, trim, unescape};

/// The parameters of a header value. Names are compared without case.
#[derive(Clone, Copy, Debug, Default)]
pub struct Params<'a>(&'a [u8]);

/// One parameter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Param<'a> {
    /// As it was written.
    pub name: &'a [u8],
    /// As it was written, quotes included. `None` for a flag.
    pub value: Option<&'a [u8]>,
}

impl<'a> Params<'a> {
    /// Of text that is empty or begins with a semicolon. `None` where the grammar is broken, as with `;;`.
    #[must_use]
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let text = trim(text);
        let mut rest = text;
        while !rest.is_empty() {
            rest = next(rest)?.1;
        }
        Some(Self(text))
    }

    /// All of them, in order.
    pub fn iter(self) -> impl Iterator<Item = Param<'a>> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (param, behind) = next(rest)?;
            rest = behind;
            Some(param)
        })
    }

    /// The first with this name.
    #[must_use]
    pub fn find(self, name: &str) -> Option<Param<'a>> {
        self.iter().find(|param| param.name.eq_ignore_ascii_case(name.as_bytes()))
    }

    /// The value of the first with this name, without quotes. `None` for a flag, too.
    #[must_use]
    pub fn value(self, name: &str) -> Option<Cow<'a, [u8]>> {
        self.find(name)?.unquoted()
    }

    /// As it was written.
    #[must_use]
    pub const fn raw(self) -> &'a [u8] {
        self.0
    }
}

impl<'a> Param<'a> {
    /// The value without quotes and quoted pairs.
    #[must_use]
    pub fn unquoted(self) -> Option<Cow<'a, [u8]>> {
        let value = self.value?;
        Some(quoted(value).map_or(Cow::Borrowed(value), |(inside, _)| unescape(inside)))
    }
}

/// Reads `;name` or `;name=value` and gives what is behind it, which is empty or begins with a semicolon.
fn next(text: &[u8]) -> Option<(Param<'_>, &[u8])> {
    let [b';', text @ ..] = text else { return None };
    let (name, rest) = take_while(text, |byte| !matches!(byte, b';' | b'='));
    let name = trim(name);
    if !is_token_text(name) {
        return None;
    }
    let [b'=', rest @ ..] = rest else { return Some((Param { name, value: None }, rest)) };
    let (value, rest) = value(skip_lws(rest))?;
    Some((Param { name, value: Some(value) }, rest))
}

fn value(text: &[u8]) -> Option<(&[u8], &[u8])> {
    if let Some((_, behind)) = quoted(text) {
        let value = text.get(..text.len().checked_sub(behind.len())?)?;
        let rest = skip_lws(behind);
        return (rest.is_empty() || rest.starts_with(b";")).then_some((value, rest));
    }
    let (value, rest) = take_while(text, |byte| byte != b';');
    let value = trim(value);
    let is_wrong = |byte: &u8| is_lws(*byte) || matches!(byte, b'"' | b',' | b'<' | b'>') || byte.is_ascii_control();
    (!value.is_empty() && !value.iter().any(is_wrong)).then_some((value, rest))
}

fn skip_lws(text: &[u8]) -> &[u8] {
    take_while(text, is_lws).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_quotes_and_case_are_understood() {
        let params = Params::parse(b";\r\n TAG  = 98asjd8 ; lr;x=\"a;\\\"b\" ; received=[::1]").unwrap();
        assert_eq!(params.value("tag").as_deref(), Some(&b"98asjd8"[..]));
        assert_eq!(params.value("x").as_deref(), Some(&b"a;\"b"[..]));
        assert_eq!(params.value("received").as_deref(), Some(&b"[::1]"[..]));
        assert_eq!(params.find("LR"), Some(Param { name: b"lr", value: None }));
        assert_eq!(params.find("none"), None);
    }

    #[test]
    fn broken_parameters_are_refused() {
        for wrong in [&b";;"[..], b";", b"x", b";a=", b";a=\"open", b";a=\"x\"y", b";a b", b";a=b c", b";=b", b";a=b,c"]
        {
            assert!(Params::parse(wrong).is_none(), "{}", wrong.escape_ascii());
        }
    }
}
