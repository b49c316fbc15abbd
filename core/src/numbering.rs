//! Reads what people dial: E.164 where it is a telephone number, as it is where it is a short number or a name.

use std::str::FromStr;

use phonenumber::Mode;
use phonenumber::country::Id as Country;

/// What was dialled cannot be a number.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a dialable number")]
pub struct InvalidNumber;

/// An unknown country code in the configuration.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is no ISO 3166 country code")]
pub struct UnknownCountry(pub String);

/// How numbers without a country code are read.
#[derive(Clone, Debug, Default)]
pub struct NumberingPlan {
    home: Option<Country>,
}

impl NumberingPlan {
    /// For numbers dialled in `country` (ISO 3166, two letters); `None`: only numbers with `+` or `00` are E.164.
    ///
    /// # Errors
    /// [`UnknownCountry`].
    pub fn new(country: Option<&str>) -> Result<Self, UnknownCountry> {
        let read = |code: &str| Country::from_str(&code.to_uppercase()).map_err(|_| UnknownCountry(code.to_owned()));
        Ok(Self { home: country.map(read).transpose()? })
    }

    /// Reads one number. Visual separators (RFC 3966: `-`, `.`, `(`, `)`, space) are dropped; the result begins with `+`
    /// exactly when it is E.164. A short number, a service code (`*21#`) or a name stays as it is.
    ///
    /// # Errors
    /// [`InvalidNumber`] for nothing at all, for characters that no number or name has, and for `+` followed by what is
    /// no number of that country.
    pub fn read(&self, dialled: &str) -> Result<String, InvalidNumber> {
        if dialled.is_empty() || dialled.len() > 64 || dialled.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(InvalidNumber);
        }
        let is_separator = |c: char| matches!(c, '-' | '.' | '(' | ')');
        let bare: String = dialled.chars().filter(|c| !is_separator(*c)).collect();
        let international = bare.strip_prefix('+').or_else(|| bare.strip_prefix("00"));
        if let Some(digits) = international {
            return e164(None, &format!("+{digits}")).ok_or(InvalidNumber);
        }
        let is_telephone = bare.len() >= 6 && bare.bytes().all(|b| b.is_ascii_digit());
        let national = if is_telephone { self.home.and_then(|home| e164(Some(home), &bare)) } else { None };
        Ok(national.unwrap_or_else(|| if is_telephone { bare } else { dialled.to_owned() }))
    }
}

fn e164(home: Option<Country>, number: &str) -> Option<String> {
    let parsed = phonenumber::parse(home, number).ok()?;
    parsed.is_valid().then(|| parsed.format().mode(Mode::E164).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn telephone_numbers_become_e164_and_everything_else_stays() {
        let plan = NumberingPlan::new(Some("de")).unwrap();
        for (dialled, read) in [
            ("+49 30 123456".replace(' ', "").as_str(), "+4930123456"),
            ("+49-30-(123456)", "+4930123456"),
            ("004930123456", "+4930123456"),
            ("030123456", "+4930123456"),
            ("1001", "1001"),
            ("*21#", "*21#"),
            ("service", "service"),
            ("first.last", "first.last"),
        ] {
            assert_eq!(plan.read(dialled).as_deref(), Ok(read), "{dialled}");
        }
    }

    #[test]
    fn what_cannot_be_dialled_is_refused() {
        let plan = NumberingPlan::new(Some("DE")).unwrap();
        for wrong in ["", "+", "+1", "00", "+49 30", "a\0b", &"1".repeat(65)] {
            assert_eq!(plan.read(wrong), Err(InvalidNumber), "{wrong:?}");
        }
    }

    #[test]
    fn without_a_home_country_only_international_numbers_are_e164() {
        let plan = NumberingPlan::new(None).unwrap();
        assert_eq!(plan.read("030123456").as_deref(), Ok("030123456"));
        assert_eq!(plan.read("+4930123456").as_deref(), Ok("+4930123456"));
        assert!(NumberingPlan::new(Some("xx")).is_err());
    }
}
