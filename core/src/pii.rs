//! What names a person: shown to machines, redacted for eyes.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A phone number, a name or an address. Serialises as it is (rows and events need it); prints redacted (logs do not).
#[derive(Clone, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct Pii<T>(T);

impl<T> Pii<T> {
    /// Hides a value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, for the wire and the database. Never for a log.
    pub const fn reveal(&self) -> &T {
        &self.0
    }

    /// The value, moved out.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> From<T> for Pii<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T: AsRef<str>> fmt::Display for Pii<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} hidden]", self.0.as_ref().chars().count())
    }
}

impl<T> fmt::Debug for Pii<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_not_printed() {
        let number = Pii::new(String::from("+4930123456"));
        assert_eq!(format!("{number} {number:?}"), "[11 hidden] [hidden]");
        assert_eq!(serde_json::to_string(&number).unwrap(), "\"+4930123456\"");
    }
}
