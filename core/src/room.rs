//! Rooms: several participants who publish and receive media over WebRTC, as one conference.
//!
//! ```text
//!  room (a name, perhaps a row) ── is held as ──▶ conference ── participants ── tracks that they publish
//! ```
//!
//! These are the words that the machines ([`conference`](crate::conference), [`participant`](crate::participant),
//! [`publication`](crate::publication)), the edge that speaks to the participants, and the media pool have in common.

pub mod description;
pub mod sfu;
pub mod signal;
pub mod view;
#[cfg(test)]
pub(crate) mod world;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What a room is called: 1..=256 characters, none of them a control character.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoomName(Arc<str>);

/// Who somebody is in a room, as his token says: 1..=256 characters, none of them a control character. Unique there: a
/// second one takes the place of the first.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoomIdentity(Arc<str>);

/// A text that cannot name a room or somebody in it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a name of 1 to {MAX_NAME} characters is wanted, without control characters")]
pub struct InvalidName;

/// Characters of a name.
pub const MAX_NAME: usize = 256;

macro_rules! name {
    ($name:ident) => {
        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                is_name(&text).then(|| Self(text.into())).ok_or(InvalidName)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(RoomName);
name!(RoomIdentity);

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= MAX_NAME && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_neither_empty_nor_long_nor_has_it_control_characters() {
        for wrong in [String::new(), "a".repeat(257), "a\nb".into(), "\u{7f}".into()] {
            assert_eq!(RoomName::try_from(wrong), Err(InvalidName));
        }
        assert_eq!(RoomName::try_from("ё".repeat(256)).unwrap().as_str().chars().count(), 256);
    }
}
