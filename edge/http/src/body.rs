//! Reads request bodies: JSON, of a bounded size, and nothing in it that nobody asked for.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// Largest body of the API, in bytes. A session description of a browser has some thousands.
pub(crate) const LARGEST: usize = 65_536;

/// A body that was read.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| unread(&rejection))?;
        // A sequence would do for a struct as well.
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err(Problem::invalid("the body is no JSON object"));
        }
        serde_json::from_slice(&bytes).map(Self).map_err(|error| Problem::Invalid(reason(&error)))
    }
}

pub(crate) fn unread(rejection: &BytesRejection) -> Problem {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        Problem::TooLarge(LARGEST)
    } else {
        Problem::invalid("the body could not be read")
    }
}

/// What is wrong with it, for the one who wrote it.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let missing = text.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    missing.map_or_else(|| format!("the body is not as it should be: {text}"), |name| format!("{name} is required"))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Asked {
        #[allow(dead_code, reason = "it is there to be missed")]
        phone_number: String,
    }

    #[test]
    fn a_missing_field_is_named() {
        let why = |text: &str| reason(&serde_json::from_str::<Asked>(text).unwrap_err());
        assert_eq!(why("{}"), "phone_number is required");
        assert!(why(r#"{"phone_number":"1","more":2}"#).contains("more"));
        assert!(why("{").contains("EOF"));
    }
}
