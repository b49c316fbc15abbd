//! What is noted about a call while it lives, so that its operator can be told why it went as it did.
//!
//! ```text
//!  edges, actors, media ── note ──▶ Trail, one a call, bounded ── story ──▶ Ladder, text for one screen
//! ```
//!
//! # Invariants
//! * No secret is kept: credentials, passwords and keys are gone before a [`Wire`] exists.
//! * A trail never grows above [`LIMIT`]; what it has no room for is counted. Its beginning and its end are kept.
//! * Nothing here shows a number, a name or an address by `Debug`.

mod asked;
mod exchange;
mod ladder;
mod span;
mod spans;
mod trail;
mod wire;

pub use ladder::render;
pub use span::{Attributes, Event, Kind, Span, Value};
pub use trail::{LIMIT, Trail};
pub use wire::Wire;

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::cdr::{Cdr, CdrFold};
use crate::event::Fact;
use crate::id::{CallId, CorrelationId, LegId, Tenant};
use crate::pii::Pii;
use crate::quality::MediaReport;
use crate::time::WallTime;

/// Where notes go. Never waits; what cannot be taken is dropped and counted.
pub trait TracePort: Send + Sync + 'static {
    /// Something happened to a call, or to one of its legs.
    fn note(&self, about: Subject, entry: Entry);

    /// Whether what is noted about this leg is kept: if not, it need not be put together.
    fn follows(&self, _leg: LegId) -> bool {
        true
    }

    /// A call was let in with this caller's leg. Further legs are known by its facts.
    fn begin(&self, _call: CallId, _leg: LegId) {}

    /// The call is over, and all its facts are told; its legs may have a last word.
    fn end(&self, _call: CallId) {}
}

/// Keeps nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Untraced;

impl TracePort for Untraced {
    fn note(&self, _: Subject, _: Entry) {}

    fn follows(&self, _: LegId) -> bool {
        false
    }
}

/// What a note is about.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Subject {
    /// A call as a whole.
    Call(CallId),
    /// One of its legs.
    Leg(LegId),
}

/// One note.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When it happened.
    pub at: WallTime,
    /// The leg it is about; `None` when it is about the call. Filled in by whoever keeps it, from the [`Subject`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leg: Option<LegId>,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum What {
    /// A message came from the leg's far end or went there: of SIP, or of the API.
    Message {
        /// Which way.
        direction: Way,
        /// The far end, where it has an address.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        peer: Option<Pii<SocketAddr>>,
        /// It came or went before, word for word.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_repeat: bool,
        /// Its text, without secrets.
        text: Wire,
    },
    /// The call's state changed.
    Fact {
        /// How, without session descriptions.
        fact: Box<Fact>,
    },
    /// An actor died.
    Restarted {
        /// Which.
        actor: Part,
        /// What ended it.
        why: String,
        /// Once too often: its machine ends.
        is_given_up: bool,
    },
    /// A new thread of the worker carries the leg's media.
    Rebuilt {
        /// Which worker.
        worker: usize,
    },
    /// The code that speaks for the leg broke, and the leg ends.
    Broke,
    /// How the leg's media fared up to then.
    Media {
        /// That.
        report: MediaReport,
    },
    /// All facts of the call have got that far.
    Settled {
        /// How far.
        place: Place,
    },
}

/// Where facts go from the journal.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// Rows, committed.
    Database,
    /// Events, taken by the bus.
    Bus,
}

/// Which way a message went.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// From the far end to us.
    In,
    /// From us to the far end.
    Out,
}

/// Kinds of actors that a call has.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// The call's own.
    Call,
    /// That of a leg.
    Leg,
    /// That of a leg's track.
    Track,
}

/// All that is known of one call, in the order of time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Story {
    /// Which call.
    pub call_id: CallId,
    /// Whose.
    pub tenant: Tenant,
    /// The id that everything about it carries.
    pub correlation_id: CorrelationId,
    /// Nothing more will come.
    pub is_over: bool,
    /// Notes that there was no room for.
    pub dropped: u64,
    /// The notes.
    pub entries: Vec<Entry>,
}

impl Entry {
    /// A note about whatever its [`Subject`] will be.
    #[must_use]
    pub const fn new(at: WallTime, what: What) -> Self {
        Self { at, leg: None, what }
    }

    /// A note of a fact.
    #[must_use]
    pub fn of_fact(fact: &Fact) -> Self {
        Self::new(fact.at, What::Fact { fact: Box::new(Fact { sdp: None, ..fact.clone() }) })
    }

    /// A note of what a client of the API said or was told: a line, and the session description that came with it.
    #[must_use]
    pub fn of_api(at: WallTime, direction: Way, line: &str, sdp: Option<&str>) -> Self {
        let text = Wire::of_api(line, sdp);
        Self::new(at, What::Message { direction, peer: None, is_repeat: false, text })
    }
}

impl fmt::Debug for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Message { .. } => "Message",
            Self::Fact { .. } => "Fact",
            Self::Restarted { .. } => "Restarted",
            Self::Rebuilt { .. } => "Rebuilt",
            Self::Broke => "Broke",
            Self::Media { .. } => "Media",
            Self::Settled { .. } => "Settled",
        })
    }
}

impl Story {
    /// Of notes in any order. `None` when no fact is among them: then it is nobody's.
    #[must_use]
    pub fn of(mut entries: Vec<Entry>, dropped: u64, is_over: bool) -> Option<Self> {
        entries.sort_by_key(|entry| entry.at);
        let first = entries.iter().find_map(Entry::fact)?;
        let (call_id, tenant) = (first.call, first.context.tenant.clone());
        let correlation_id = first.context.correlation_id;
        Some(Self { call_id, tenant, correlation_id, is_over, dropped, entries })
    }

    /// The record as its facts have it up to now. `None` when the first one is missing.
    #[must_use]
    pub fn record(&self) -> Option<Cdr> {
        let mut facts: Vec<&Fact> = self.entries.iter().filter_map(Entry::fact).collect();
        facts.sort_by_key(|fact| fact.number);
        let (first, rest) = facts.split_first()?;
        let mut fold = CdrFold::begin(first)?;
        rest.iter().for_each(|fact| fold.apply(fact));
        Some(fold.record(first.context.node))
    }

    /// Whether something is to be looked into: the call ended by anything but a hang-up or a caller who gave up, or a part of
    /// it broke.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        use crate::cause::Cause::{AnsweredElsewhere, Cancelled, Normal};
        let broke = |entry: &Entry| matches!(entry.what, What::Restarted { .. } | What::Rebuilt { .. } | What::Broke);
        self.entries.iter().any(broke)
            || self.record().is_none_or(|record| !matches!(record.cause, Normal | Cancelled | AnsweredElsewhere))
    }
}

impl Entry {
    pub(crate) fn fact(&self) -> Option<&Fact> {
        match &self.what {
            What::Fact { fact } => Some(fact),
            _ => None,
        }
    }
}
