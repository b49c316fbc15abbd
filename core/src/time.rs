//! Two clocks: a monotonic one for deadlines and durations, and the wall for what is written down.

use std::borrow::Cow;
use std::ops::{Add, Sub};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Microseconds of the node's monotonic clock. Comes in with every input; means nothing to another process.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Timestamp(pub u64);

/// Microseconds since 1970 (UTC), for records. Written as RFC 3339 text.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct WallTime(pub i64);

/// The moment an input is handled, on both clocks.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Now {
    /// For deadlines and durations.
    pub mono: Timestamp,
    /// For what is recorded.
    pub wall: WallTime,
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(later.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl Sub for Timestamp {
    type Output = Duration;

    /// Zero when `earlier` is later.
    fn sub(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for WallTime {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(later.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl Sub for WallTime {
    type Output = Duration;

    /// Zero when `earlier` is later: the wall clock may have been stepped.
    fn sub(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl WallTime {
    /// As RFC 3339 has it, in UTC with microseconds. The epoch for a time no calendar has.
    #[must_use]
    pub fn rfc3339(self) -> String {
        self.date_time().to_rfc3339_opts(SecondsFormat::Micros, true)
    }

    /// As the database has it. The epoch for a time no calendar has.
    #[must_use]
    pub fn date_time(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0).unwrap_or_default()
    }
}

impl Serialize for WallTime {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.rfc3339())
    }
}

impl<'de> Deserialize<'de> for WallTime {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        DateTime::parse_from_rfc3339(&text).map(|time| time.to_utc().into()).map_err(de::Error::custom)
    }
}

impl JsonSchema for WallTime {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Time")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

impl From<DateTime<Utc>> for WallTime {
    fn from(time: DateTime<Utc>) -> Self {
        Self(time.timestamp_micros())
    }
}

impl Now {
    /// The same moment shifted on both clocks.
    #[must_use]
    pub fn after(self, later: Duration) -> Self {
        Self { mono: self.mono + later, wall: self.wall + later }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_stepped_back_gives_no_negative_duration() {
        assert_eq!(WallTime(5) - WallTime(9), Duration::ZERO);
        assert_eq!(Timestamp(5) - Timestamp(9), Duration::ZERO);
    }

    #[test]
    fn a_wall_time_prints_in_utc_with_microseconds() {
        assert_eq!(WallTime(1_000_001).rfc3339(), "1970-01-01T00:00:01.000001Z");
        let text = serde_json::to_string(&WallTime(1_000_001)).unwrap();
        assert_eq!(serde_json::from_str::<WallTime>(&text).unwrap(), WallTime(1_000_001));
    }
}
