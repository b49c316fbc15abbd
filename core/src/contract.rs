//! What integrators are promised of events, as documents that are made from the types: a JSON Schema for every type and
//! version of an event, and AsyncAPI for all of them.
//!
//! # Invariants
//! * An event is never edited once it was released, only versioned: its schema says so to whoever tries.

mod asyncapi;

use std::collections::{BTreeMap, BTreeSet};

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::event::{Class, FactBody};
use crate::id::LegId;

pub use asyncapi::asyncapi;

/// One type of event, in one version.
struct Published {
    /// CloudEvents type with its version.
    event_type: &'static str,
    /// How it reaches those who want it.
    class: Class,
    /// Where, with `{tenant}` and `{call_id}`.
    subject: &'static str,
    /// Which [`FactBody`] it is: its tag. `None`: its data is a struct of this module.
    fact: Option<&'static str>,
    summary: &'static str,
}

/// All there are.
const PUBLISHED: [Published; 8] = [
    fact(
        "tandem.call.started.v1",
        "call.{call_id}.started",
        "started",
        "A caller was let in: the first fact of a call",
    ),
    fact("tandem.call.dialled.v1", "call.{call_id}.dialled", "dialled", "One way to the callee is being tried"),
    fact("tandem.call.ringing.v1", "call.{call_id}.ringing", "ringing", "The first device of the callee rings"),
    fact("tandem.call.answered.v1", "call.{call_id}.answered", "answered", "The callee answered: billing begins"),
    fact("tandem.call.leg_ended.v1", "call.{call_id}.leg_ended", "leg_ended", "A leg is over"),
    fact("tandem.call.ended.v1", "call.{call_id}.ended", "ended", "The call is over"),
    fact("tandem.cdr.closed.v1", "cdr.{call_id}", "cdr_closed", "The billing record: the last fact of a call"),
    Published {
        event_type: "tandem.call.digit.v1",
        class: Class::Live,
        subject: "live.call.{call_id}.digit",
        fact: None,
        summary: "A party pressed a key; may be lost",
    },
];

const fn fact(event_type: &'static str, subject: &'static str, tag: &'static str, summary: &'static str) -> Published {
    Published { event_type, class: Class::Fact, subject, fact: Some(tag), summary }
}

/// Data of `tandem.call.digit.v1`.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "only its schema is wanted")]
struct Digit {
    /// Who pressed it.
    leg_id: LegId,
    /// `0`–`9`, `*`, `#`, `A`–`D`.
    digit: char,
}

/// Schemas of the data of all events, and of what they refer to.
struct Schemas {
    data: BTreeMap<&'static str, Value>,
    definitions: Map<String, Value>,
}

impl Schemas {
    /// With references that begin with `#<path>/`.
    fn new(path: &'static str) -> Self {
        let mut settings = SchemaSettings::draft07();
        settings.definitions_path = path.into();
        let mut generator = settings.into_generator();
        let data = PUBLISHED.iter().map(|it| (it.event_type, it.data(&mut generator))).collect();
        let mut definitions = generator.take_definitions(true);
        // Each event is one of its variants.
        definitions.remove("FactBody");
        Self { data, definitions }
    }
}

impl Published {
    fn data(&self, generator: &mut SchemaGenerator) -> Value {
        let Some(tag) = self.fact else { return generator.subschema_for::<Digit>().to_value() };
        generator.subschema_for::<FactBody>();
        let all = generator.definitions().get("FactBody").and_then(|it| it.get("oneOf")).and_then(Value::as_array);
        let is_it = |it: &&Value| it.pointer("/properties/event/const").is_some_and(|it| it == tag);
        all.into_iter().flatten().find(is_it).cloned().unwrap_or_default()
    }

    fn address(&self) -> String {
        format!("tandem.v1.{{tenant}}.{}", self.subject)
    }

    /// A subject of it, as a regular expression.
    fn pattern(&self) -> String {
        let escaped = self.address().replace('.', "\\.");
        let call = escaped.replace("{call_id}", "call_[0-9a-f]{32}");
        format!("^{}$", call.replace("{tenant}", "[a-z0-9-]{1,32}"))
    }

    /// CloudEvents 1.0 with our extensions around the data.
    fn envelope(&self, data: &Value) -> Map<String, Value> {
        let text = |description: &str| json!({ "type": "string", "description": description });
        let id = match self.class {
            Class::Fact => json!({
                "type": "string",
                "pattern": "^call_[0-9a-f]{32}\\.[0-9]+$",
                "description": "The same however often it is delivered: drop what was seen",
            }),
            Class::State | Class::Live => text("Another one for each event"),
        };
        let mut properties = json!({
            "specversion": { "const": "1.0" },
            "id": id,
            "source": { "type": "string", "pattern": "^/tandem/node_[0-9a-f]{32}$", "description": "Which node" },
            "type": { "const": self.event_type },
            "subject": { "type": "string", "pattern": self.pattern(), "description": "The subject it is published on" },
            "time": { "type": "string", "format": "date-time", "description": "When it happened" },
            "datacontenttype": { "const": "application/json" },
            "tenantid": { "type": "string", "pattern": "^[a-z0-9-]{1,32}$", "description": "Whose call" },
            "correlationid": {
                "type": "string",
                "pattern": "^[0-9a-f]{32}$",
                "description": "Of everything that followed from one request; the trace's id, too",
            },
            "callid": { "type": "string", "pattern": "^call_[0-9a-f]{32}$" },
            "data": data,
        });
        let mut required: Vec<Value> =
            properties.as_object().into_iter().flat_map(Map::keys).map(|it| json!(it)).collect();
        if let (Class::Fact, Some(properties)) = (self.class, properties.as_object_mut()) {
            let traceparent = json!({
                "type": "string",
                "pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
                "description": "The call's place in its trace (W3C Trace Context)",
            });
            let number =
                json!({ "type": "integer", "minimum": 1, "description": "The how-manieth of its call, from 1" });
            properties.insert(String::from("traceparent"), traceparent);
            properties.insert(String::from("causationid"), text("What of a leg it follows from"));
            properties.insert(String::from("seq"), number);
            required.extend([json!("traceparent"), json!("seq")]);
        }
        let mut envelope = Map::new();
        envelope.insert(String::from("title"), json!(self.event_type));
        envelope.insert(String::from("description"), json!(self.summary));
        envelope.insert(String::from("type"), json!("object"));
        envelope.insert(String::from("required"), json!(required));
        envelope.insert(String::from("properties"), properties);
        envelope
    }
}

/// A JSON Schema (draft 7) for every type and version of an event, by the event's type. Fields that no schema names may
/// be there: whoever reads events ignores them.
#[must_use]
pub fn schemas() -> BTreeMap<&'static str, Value> {
    let Schemas { data, definitions } = Schemas::new("/definitions");
    let schema = |event: &Published| {
        let data = data.get(event.event_type).cloned().unwrap_or_default();
        let mut schema = Map::new();
        schema.insert(String::from("$schema"), json!("http://json-schema.org/draft-07/schema#"));
        schema.insert(String::from("$id"), json!(format!("urn:tandem:event:{}", event.event_type)));
        schema.extend(event.envelope(&data));
        let needed = needed_by(&data, &definitions, "#/definitions/");
        let kept = definitions.iter().filter(|(name, _)| needed.contains(*name));
        schema.insert(String::from("definitions"), kept.map(|(name, it)| (name.clone(), it.clone())).collect());
        (event.event_type, Value::Object(schema))
    };
    PUBLISHED.iter().map(schema).collect()
}

/// Names of all that a schema refers to, directly or not.
fn needed_by(schema: &Value, definitions: &Map<String, Value>, prefix: &str) -> BTreeSet<String> {
    let (mut needed, mut open) = (BTreeSet::new(), vec![schema]);
    while let Some(next) = open.pop() {
        match next {
            Value::Array(items) => open.extend(items),
            Value::Object(fields) => open.extend(fields.values()),
            Value::String(text) => {
                if let Some(name) = text.strip_prefix(prefix)
                    && needed.insert(name.to_owned())
                {
                    open.extend(definitions.get(name));
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    needed
}
