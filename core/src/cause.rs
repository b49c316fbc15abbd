//! Why a leg or a call ended, and what each protocol calls it. Every mapping is here, exhaustive, without a wildcard.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a leg or a call ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A party hung up a talking call.
    Normal,
    /// The caller gave up before an answer.
    Cancelled,
    /// Another device of the callee took the call.
    AnsweredElsewhere,
    /// It rang, and nobody answered in time.
    NoAnswer,
    /// The callee is in another call.
    Busy,
    /// The callee does not want it.
    Declined,
    /// Nobody has that number.
    UnknownNumber,
    /// What was dialled is no number.
    InvalidNumber,
    /// The number exists, but no device of it can be reached.
    Unreachable,
    /// The other side did not answer on the signalling path in time.
    Timeout,
    /// The caller may not call there.
    Forbidden,
    /// The call went through us too often.
    Loop,
    /// No codec or media transport in common.
    Incompatible,
    /// The other side's network refused for want of resources.
    Congestion,
    /// We have no room for it.
    Overload,
    /// The caller, his tenant or his trunk begins calls faster than it may.
    RateLimited,
    /// All together begin calls faster than the node takes them.
    Throttled,
    /// The node is being shut down.
    Shutdown,
    /// No media came for too long, or its path broke.
    MediaLost,
    /// The signalling path broke.
    SignallingLost,
    /// The node died with the call.
    NodeLost,
    /// Something here broke.
    SystemFailure,
}

/// A SIP status code (RFC 3261, 21), 100..=699.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SipStatus(u16);

impl SipStatus {
    /// `None` outside 100..=699.
    #[must_use]
    pub const fn new(code: u16) -> Option<Self> {
        if code >= 100 && code <= 699 { Some(Self(code)) } else { None }
    }

    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> u16 {
        self.0
    }
}

impl Cause {
    /// All of them, for tables and tests.
    pub const ALL: [Self; 22] = [
        Self::Normal,
        Self::Cancelled,
        Self::AnsweredElsewhere,
        Self::NoAnswer,
        Self::Busy,
        Self::Declined,
        Self::UnknownNumber,
        Self::InvalidNumber,
        Self::Unreachable,
        Self::Timeout,
        Self::Forbidden,
        Self::Loop,
        Self::Incompatible,
        Self::Congestion,
        Self::Overload,
        Self::RateLimited,
        Self::Throttled,
        Self::Shutdown,
        Self::MediaLost,
        Self::SignallingLost,
        Self::NodeLost,
        Self::SystemFailure,
    ];

    /// As rows, events and labels have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Cancelled => "cancelled",
            Self::AnsweredElsewhere => "answered_elsewhere",
            Self::NoAnswer => "no_answer",
            Self::Busy => "busy",
            Self::Declined => "declined",
            Self::UnknownNumber => "unknown_number",
            Self::InvalidNumber => "invalid_number",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Forbidden => "forbidden",
            Self::Loop => "loop",
            Self::Incompatible => "incompatible",
            Self::Congestion => "congestion",
            Self::Overload => "overload",
            Self::RateLimited => "rate_limited",
            Self::Throttled => "throttled",
            Self::Shutdown => "shutdown",
            Self::MediaLost => "media_lost",
            Self::SignallingLost => "signalling_lost",
            Self::NodeLost => "node_lost",
            Self::SystemFailure => "system_failure",
        }
    }

    /// The final response to an INVITE that was never answered.
    #[must_use]
    pub const fn refusal(self) -> SipStatus {
        SipStatus(match self {
            Self::Normal | Self::Cancelled => 487,
            Self::AnsweredElsewhere => 487,
            Self::NoAnswer | Self::Unreachable => 480,
            Self::Busy => 486,
            Self::Declined => 603,
            Self::UnknownNumber => 404,
            Self::InvalidNumber => 484,
            Self::Timeout => 408,
            Self::Forbidden => 403,
            Self::Loop => 483,
            Self::Incompatible => 488,
            Self::Congestion | Self::Overload | Self::RateLimited | Self::Throttled | Self::Shutdown => 503,
            Self::MediaLost | Self::SignallingLost | Self::NodeLost | Self::SystemFailure => 500,
        })
    }

    /// Whether something did not work that should have: of us, of the network, or between the two. Not what people decide
    /// (hang up, decline, do not answer), what a plan says (no such number, not allowed, nobody there), and not what was
    /// refused at the door so that the rest works.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        match self {
            Self::Timeout
            | Self::Loop
            | Self::Incompatible
            | Self::Congestion
            | Self::MediaLost
            | Self::SignallingLost
            | Self::NodeLost
            | Self::SystemFailure => true,
            Self::Normal
            | Self::Cancelled
            | Self::AnsweredElsewhere
            | Self::NoAnswer
            | Self::Busy
            | Self::Declined
            | Self::UnknownNumber
            | Self::InvalidNumber
            | Self::Unreachable
            | Self::Forbidden
            | Self::Overload
            | Self::RateLimited
            | Self::Throttled
            | Self::Shutdown => false,
        }
    }

    /// The cause value of ITU-T Q.850, for Reason headers (RFC 3326) and CDRs. 1..=127.
    #[must_use]
    pub const fn q850(self) -> u8 {
        match self {
            Self::Normal | Self::Cancelled => 16,
            Self::AnsweredElsewhere => 26,
            Self::NoAnswer => 19,
            Self::Busy => 17,
            Self::Declined => 21,
            Self::UnknownNumber => 1,
            Self::InvalidNumber => 28,
            Self::Unreachable => 20,
            Self::Timeout => 102,
            Self::Forbidden => 57,
            Self::Loop => 25,
            Self::Incompatible => 88,
            Self::Congestion | Self::Overload | Self::RateLimited | Self::Throttled => 42,
            Self::Shutdown => 41,
            Self::MediaLost | Self::SignallingLost => 27,
            Self::NodeLost => 38,
            Self::SystemFailure => 41,
        }
    }

    /// The HTTP status for a request that failed for this cause.
    #[must_use]
    pub const fn http(self) -> u16 {
        match self {
            Self::Normal | Self::Cancelled | Self::AnsweredElsewhere => 200,
            Self::NoAnswer | Self::Timeout => 504,
            Self::Busy | Self::Declined | Self::Incompatible => 409,
            Self::UnknownNumber => 404,
            Self::InvalidNumber => 400,
            Self::Unreachable => 409,
            Self::Forbidden => 403,
            Self::Loop => 508,
            Self::RateLimited => 429,
            Self::Congestion | Self::Overload | Self::Throttled | Self::Shutdown => 503,
            Self::MediaLost | Self::SignallingLost | Self::NodeLost => 502,
            Self::SystemFailure => 500,
        }
    }

    /// What a final response to our INVITE means. Total over 300..=699; a success or a provisional is a protocol error
    /// of the other side.
    #[must_use]
    pub const fn from_sip(status: SipStatus) -> Self {
        match status.0 {
            486 | 600 => Self::Busy,
            603 | 607 | 608 => Self::Declined,
            480 => Self::Unreachable,
            404 | 410 | 604 => Self::UnknownNumber,
            414 | 416 | 484 | 485 => Self::InvalidNumber,
            408 | 504 => Self::Timeout,
            401 | 402 | 403 | 405 | 407 | 433 => Self::Forbidden,
            482 | 483 => Self::Loop,
            406 | 415 | 420 | 421 | 488 | 606 => Self::Incompatible,
            487 => Self::Cancelled,
            500..=599 => Self::Congestion,
            300..=399 => Self::Unreachable, // a redirection is not followed
            400..=499 => Self::Unreachable,
            600..=699 => Self::Declined,
            _ => Self::SystemFailure,
        }
    }

    /// What a Q.850 cause value in a Reason header means. Unknown values are [`Cause::Normal`]: a BYE came, that is all.
    #[must_use]
    pub const fn from_q850(value: u8) -> Self {
        match value {
            1..=3 => Self::UnknownNumber,
            17 => Self::Busy,
            18 | 19 => Self::NoAnswer,
            20 => Self::Unreachable,
            21 => Self::Declined,
            25 => Self::Loop,
            26 => Self::AnsweredElsewhere,
            27 => Self::SignallingLost,
            28 => Self::InvalidNumber,
            34 | 38 | 41 | 42 | 44 | 47 => Self::Congestion,
            55 | 57 => Self::Forbidden,
            58 | 65 | 79 | 88 => Self::Incompatible,
            102 => Self::Timeout,
            _ => Self::Normal,
        }
    }

    /// Of the causes that several devices of one callee gave, the one to tell the caller: the higher speaks.
    #[must_use]
    pub const fn weight(self) -> u8 {
        match self {
            Self::Declined => 9,
            Self::Busy => 8,
            Self::NoAnswer => 7,
            Self::Incompatible => 6,
            Self::Forbidden => 5,
            Self::Congestion | Self::Overload | Self::RateLimited | Self::Throttled => 4,
            Self::Timeout => 3,
            Self::Unreachable => 2,
            Self::UnknownNumber | Self::InvalidNumber | Self::Loop => 1,
            Self::Normal
            | Self::Cancelled
            | Self::AnsweredElsewhere
            | Self::Shutdown
            | Self::MediaLost
            | Self::SignallingLost
            | Self::NodeLost
            | Self::SystemFailure => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_refuses_with_a_final_status_and_has_a_name_of_its_own() {
        let mut names: Vec<_> = Cause::ALL.iter().map(|cause| cause.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Cause::ALL.len());
        for cause in Cause::ALL {
            assert!((400..=699).contains(&cause.refusal().code()), "{cause:?}");
            assert!((1..=127).contains(&cause.q850()), "{cause:?}");
            assert!((200..=599).contains(&cause.http()), "{cause:?}");
            assert_eq!(serde_json::to_string(&cause).unwrap(), format!("\"{}\"", cause.name()));
        }
    }

    #[test]
    fn every_final_status_has_a_cause() {
        for code in 300..=699 {
            assert_ne!(Cause::from_sip(SipStatus::new(code).unwrap()), Cause::SystemFailure, "{code}");
        }
    }

    #[test]
    fn what_the_callee_said_reaches_the_caller_as_the_same_refusal() {
        for code in [404, 408, 480, 484, 486, 487, 488, 503, 603] {
            assert_eq!(Cause::from_sip(SipStatus::new(code).unwrap()).refusal().code(), code);
        }
    }

    #[test]
    fn a_status_outside_the_range_is_none() {
        assert_eq!(SipStatus::new(99), None);
        assert_eq!(SipStatus::new(700), None);
    }
}
