//! W3C trace context, computed from ids: a call's trace id is its correlation id, and its spans are named by what they
//! are spans of. So nothing has to be carried along.
//!
//! ```text
//!  traceparent: 00-<correlation id, 32 hex digits>-<span id, 16 hex digits>-<flags, 2 hex digits>
//! ```
//!
//! # Invariants
//! * No id is all zeros, which W3C calls invalid.
//! * The same call, leg or part of one has the same span id on every node and at any time.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::id::{CallId, CorrelationId, LegId};

/// The bit of the flags that says that somebody recorded it.
const SAMPLED: u8 = 1;

/// One span of a trace.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SpanId(NonZeroU64);

impl SpanId {
    /// Of a call: the lower half of its id.
    #[must_use]
    pub const fn of_call(call: CallId) -> Self {
        Self::of_uuid(call.uuid())
    }

    /// Of a leg: the lower half of its id.
    #[must_use]
    pub const fn of_leg(leg: LegId) -> Self {
        Self::of_uuid(leg.uuid())
    }

    /// Of a part of what this span is of. The parts are told apart by their numbers.
    #[must_use]
    pub const fn part(self, number: u64) -> Self {
        Self::of_bits(mixed(self.0.get() ^ mixed(number.wrapping_add(1))))
    }

    /// As exporters have it.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0.get()
    }

    const fn of_uuid(uuid: Uuid) -> Self {
        Self::of_bits(uuid.as_u64_pair().1)
    }

    /// Zero, which no id that was minted has there, becomes one.
    const fn of_bits(bits: u64) -> Self {
        match NonZeroU64::new(bits) {
            Some(bits) => Self(bits),
            None => Self(NonZeroU64::MIN),
        }
    }
}

/// The finalizer of SplitMix64: a bijection in which every bit of the input moves half of the output.
const fn mixed(bits: u64) -> u64 {
    let bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for SpanId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The header `traceparent` of what belongs to this span.
#[must_use]
pub fn traceparent(correlation: CorrelationId, span: SpanId) -> String {
    format!("00-{correlation}-{span}-{SAMPLED:02x}")
}

/// A `traceparent` that somebody sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TraceParent {
    /// The trace: the correlation id of what follows.
    pub correlation_id: CorrelationId,
    /// The sender's span, which ours is a child of.
    pub parent: SpanId,
    /// The sender recorded it.
    pub is_sampled: bool,
}

/// A text that is no `traceparent`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a valid traceparent")]
pub struct InvalidTraceParent;

impl FromStr for TraceParent {
    type Err = InvalidTraceParent;

    /// As W3C Trace Context, 3.2 has it: lower case only, no zeros, nothing after the flags of version 00, and of later
    /// versions what version 00 knows.
    fn from_str(text: &str) -> Result<Self, InvalidTraceParent> {
        let mut fields = text.split('-');
        let mut next = |digits| fields.next().filter(|field| is_hex(field, digits)).ok_or(InvalidTraceParent);
        let (version, trace, parent, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
        let is_longer = fields.next().is_some();
        if version == "ff" || (version == "00" && is_longer) {
            return Err(InvalidTraceParent);
        }
        let trace = Uuid::try_parse(trace).ok().filter(|id| !id.is_nil()).ok_or(InvalidTraceParent)?;
        let parent = u64::from_str_radix(parent, 16).ok().and_then(NonZeroU64::new).ok_or(InvalidTraceParent)?;
        let flags = u8::from_str_radix(flags, 16).map_err(|_| InvalidTraceParent)?;
        let correlation_id = CorrelationId::from_uuid(trace);
        Ok(Self { correlation_id, parent: SpanId(parent), is_sampled: flags & SAMPLED != 0 })
    }
}

fn is_hex(field: &str, digits: usize) -> bool {
    field.len() == digits && field.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn call(n: u128) -> CallId {
        CallId::from_uuid(Uuid::from_u128(n))
    }

    #[test]
    fn a_call_is_told_by_its_correlation_id_and_the_lower_half_of_its_own() {
        let call: CallId = "call_0192f0c1a2b37c4d8899aabbccddeeff".parse().unwrap();
        let text = traceparent(TRACE.parse().unwrap(), SpanId::of_call(call));
        assert_eq!(text, format!("00-{TRACE}-8899aabbccddeeff-01"));
        let read: TraceParent = text.parse().unwrap();
        assert_eq!((read.correlation_id.to_string(), read.parent), (TRACE.to_owned(), SpanId::of_call(call)));
        assert!(read.is_sampled);
    }

    #[test]
    fn what_another_sends_is_read_as_the_standard_has_it() {
        let parent = "00f067aa0ba902b7";
        for (text, is_sampled) in [
            (format!("00-{TRACE}-{parent}-00"), false),
            (format!("00-{TRACE}-{parent}-01"), true),
            (format!("00-{TRACE}-{parent}-ff"), true),
            (format!("00-{TRACE}-{parent}-02"), false),
            (format!("01-{TRACE}-{parent}-01"), true),
            (format!("cc-{TRACE}-{parent}-01-what-comes-later"), true),
        ] {
            let read: TraceParent = text.parse().unwrap();
            let found = (read.correlation_id.to_string(), read.parent.to_string(), read.is_sampled);
            assert_eq!(found, (TRACE.to_owned(), parent.to_owned(), is_sampled), "{text}");
        }
    }

    #[test]
    fn what_is_no_traceparent_is_refused() {
        let (zeros, parent) = ("0".repeat(32), "00f067aa0ba902b7");
        for text in [
            String::new(),
            String::from("-"),
            String::from("00"),
            format!("00-{TRACE}-{parent}"),
            format!("00-{TRACE}-{parent}-"),
            format!("00-{TRACE}-{parent}-1"),
            format!("00-{TRACE}-{parent}-001"),
            format!("00-{TRACE}-{parent}-0g"),
            format!("00-{TRACE}-{parent}-01-"),
            format!("00-{TRACE}-{parent}-01-more"),
            format!("00-{TRACE}-{parent}-01more"),
            format!("cc-{TRACE}-{parent}-01more"),
            format!("ff-{TRACE}-{parent}-01"),
            format!("0-{TRACE}-{parent}-01"),
            format!("000-{TRACE}-{parent}-01"),
            format!("00-{zeros}-{parent}-01"),
            format!("00-{TRACE}-0000000000000000-01"),
            format!("00-{}-{parent}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{}-01", parent.to_uppercase()),
            format!("00-{TRACE}0-{parent}-01"),
            format!("00-{TRACE}-{parent}0-01"),
            format!("00_{TRACE}_{parent}_01"),
            format!("00-+{}-{parent}-01", &TRACE[1..]),
            format!("00-{TRACE}-+{}-01", &parent[1..]),
            format!(" 00-{TRACE}-{parent}-01"),
            format!("00-{TRACE}-{parent}-01 "),
            format!("00-{TRACE}-{parent}-01, 00-{TRACE}-{parent}-01"),
            format!("00-é{}-{parent}-01", &TRACE[2..]),
        ] {
            assert_eq!(text.parse::<TraceParent>(), Err(InvalidTraceParent), "{text:?}");
        }
    }

    #[test]
    fn parts_of_one_span_have_ids_of_their_own() {
        let (one, two) = (SpanId::of_call(call(7)), SpanId::of_call(call(8)));
        let ids: HashSet<_> = (0..1_000).flat_map(|n| [one.part(n), two.part(n)]).chain([one, two]).collect();
        assert_eq!(ids.len(), 2_002);
        assert_eq!(SpanId::of_call(call(0)).bits(), 1, "an id is never zero");
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(text in "\\PC{0,80}|[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}.{0,3}") {
            if let Ok(read) = text.parse::<TraceParent>() {
                let again = traceparent(read.correlation_id, read.parent).parse::<TraceParent>().unwrap();
                prop_assert_eq!((again.correlation_id, again.parent), (read.correlation_id, read.parent));
            }
        }
    }
}
