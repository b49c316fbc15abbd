//! Data of events that have no type of their own: only their schemas are wanted.
#![allow(dead_code, reason = "only the schemas are wanted")]

use schemars::JsonSchema;

use crate::id::{DeviceId, LegId, UserId};
use crate::time::WallTime;

/// Data of `tandem.call.digit.v1`.
#[derive(JsonSchema)]
pub(super) struct Digit {
    /// Who pressed it.
    leg_id: LegId,
    /// `0`–`9`, `*`, `#`, `A`–`D`.
    digit: char,
}

/// Data of `tandem.registration.changed.v1`.
#[derive(JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub(super) enum Registration {
    /// A phone may be reached at this contact.
    Bound {
        /// Whose phone.
        user_id: UserId,
        /// Which.
        device_id: DeviceId,
        /// Until then, unless it registers again.
        until: WallTime,
    },
    /// It may not any more.
    Unbound,
}
