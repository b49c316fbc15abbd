//! What a span is, as OpenTelemetry has it.

use serde::{Serialize, Serializer};

use crate::time::WallTime;
use crate::trace_context::SpanId;

/// One thing that was done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Span {
    /// Names it within its trace, which is the story's correlation id.
    pub span_id: SpanId,
    /// What it was done for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<SpanId>,
    /// The parent is whoever asked us.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_parent_remote: bool,
    /// Short, and the same for all of its sort.
    pub name: &'static str,
    /// Who began it.
    pub kind: Kind,
    /// From.
    pub start: WallTime,
    /// To.
    pub end: WallTime,
    /// What else is known of it.
    #[serde(serialize_with = "as_map")]
    pub attributes: Attributes,
    /// What happened meanwhile.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Event>,
    /// Why it failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'static str>,
}

/// Names by the semantic conventions of OpenTelemetry where they have one, below `tandem.` where not.
pub type Attributes = Vec<(&'static str, Value)>;

/// Who began what a span is of.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// We, for ourselves.
    Internal,
    /// Somebody asked us.
    Server,
    /// We asked somebody.
    Client,
    /// We told whoever listens.
    Producer,
}

/// Something that happened during a span.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// When.
    pub at: WallTime,
    /// What.
    pub name: String,
    /// What else is known of it.
    #[serde(serialize_with = "as_map", skip_serializing_if = "Vec::is_empty")]
    pub attributes: Attributes,
}

/// One attribute.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// A word.
    Text(String),
    /// A count.
    Number(i64),
    /// A measure.
    Measure(f64),
}

impl Span {
    /// Of our own doing, below nothing.
    pub(super) const fn new(span_id: SpanId, name: &'static str, start: WallTime, end: WallTime) -> Self {
        Self {
            span_id,
            parent_id: None,
            is_parent_remote: false,
            name,
            kind: Kind::Internal,
            start,
            end,
            attributes: Vec::new(),
            events: Vec::new(),
            error: None,
        }
    }
}

impl Event {
    pub(super) fn new(at: WallTime, name: &str) -> Self {
        Self { at, name: name.to_owned(), attributes: Vec::new() }
    }
}

/// A count; what is too large is as large as can be.
pub(super) fn number(value: u64) -> Value {
    Value::Number(i64::try_from(value).unwrap_or(i64::MAX))
}

fn as_map<S: Serializer>(attributes: &Attributes, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(attributes.iter().map(|(name, value)| (name, value)))
}
