//! The secret that the operator's requests carry.

use std::fmt;
use std::hint::black_box;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;

/// The operator's token. Never printed.
#[derive(Clone)]
pub struct OperatorToken(String);

impl OperatorToken {
    /// Wraps the contents of the token file. An empty token admits nobody.
    #[must_use]
    pub const fn new(secret: String) -> Self {
        Self(secret)
    }

    /// Whether these headers carry `Authorization: Bearer <token>`. Takes as long for a wrong token as for the right one.
    pub(crate) fn admits(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some((scheme, given)) = given.and_then(|value| value.split_once(' ')) else { return false };
        scheme.eq_ignore_ascii_case("bearer") && !self.0.is_empty() && is_same(given.trim(), &self.0)
    }
}

impl fmt::Debug for OperatorToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// Compares in a time that depends on the lengths only.
fn is_same(one: &str, other: &str) -> bool {
    let differing = one.bytes().zip(other.bytes()).fold(0, |seen, (a, b)| black_box(seen | (a ^ b)));
    one.len() == other.len() && differing == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn carrying(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())])
    }

    #[test]
    fn only_the_whole_token_is_admitted() {
        let token = OperatorToken::new(String::from("s3cret"));
        assert!(token.admits(&carrying("Bearer s3cret")));
        assert!(token.admits(&carrying("bearer  s3cret")));
        for wrong in ["Bearer s3cre", "Bearer s3crets", "Bearer ", "Basic s3cret", "s3cret", ""] {
            assert!(!token.admits(&carrying(wrong)), "{wrong:?}");
        }
        assert!(!token.admits(&HeaderMap::new()));
    }

    #[test]
    fn an_empty_token_admits_nobody() {
        assert!(!OperatorToken::new(String::new()).admits(&carrying("Bearer ")));
    }
}
