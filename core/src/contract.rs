//! What integrators are promised of events, as documents that are made from the types: a JSON Schema for every type and
//! version of an event, and AsyncAPI for all of them.
//!
//! # Invariants
//! * An event is never edited once it was released, only versioned: its schema says so to whoever tries.

mod asyncapi;
mod data;
mod published;

use std::collections::{BTreeMap, BTreeSet};

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::audit::AuditData;
use crate::event::FactBody;
use crate::revocation::Revocation;

pub use asyncapi::asyncapi;
use published::{Data, PARAMETERS, Published, all};

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
        let data = all().iter().map(|it| (it.event_type, it.data.schema(&mut generator))).collect();
        let mut definitions = generator.take_definitions(true);
        // Each event is one of its variants.
        definitions.remove("FactBody");
        Self { data, definitions }
    }
}

impl Data {
    fn schema(self, generator: &mut SchemaGenerator) -> Value {
        let tag = match self {
            Self::Fact(tag) => tag,
            Self::Audit(action) => {
                let mut schema = inline::<AuditData<'_>>(generator);
                if let Some(it) = schema.pointer_mut("/properties/action") {
                    *it = json!({ "const": action.name() });
                }
                return schema;
            }
            Self::Digit => return generator.subschema_for::<data::Digit>().to_value(),
            Self::Registration => return generator.subschema_for::<data::Registration>().to_value(),
            Self::Revocation => return generator.subschema_for::<Revocation>().to_value(),
            Self::Nothing => return json!({ "type": "object" }),
        };
        generator.subschema_for::<FactBody>();
        let all = generator.definitions().get("FactBody").and_then(|it| it.get("oneOf")).and_then(Value::as_array);
        let is_it = |it: &&Value| it.pointer("/properties/event/const").is_some_and(|it| it == tag);
        all.into_iter().flatten().find(is_it).cloned().unwrap_or_default()
    }
}

/// The schema itself, not a reference to it.
fn inline<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    T::json_schema(generator).to_value()
}

impl Published {
    fn address(&self) -> String {
        format!("tandem.v1.{{tenant}}.{}", self.subject)
    }

    /// A subject of it, as a regular expression.
    fn pattern(&self) -> String {
        let mut pattern = self.address().replace('.', "\\.");
        for (name, _, expected, _) in PARAMETERS {
            pattern = pattern.replace(&format!("{{{name}}}"), expected);
        }
        format!("^{pattern}$")
    }

    /// CloudEvents 1.0 with our extensions around the data.
    fn envelope(&self, data: &Value) -> Map<String, Value> {
        let text = |description: &str| json!({ "type": "string", "description": description });
        let like = |pattern: &str, description: &str| json!({ "type": "string", "pattern": pattern, "description": description });
        let id = match self.data.ids() {
            Some(pattern) => like(pattern, "The same however often it is delivered: drop what was seen"),
            None => text("Another one for each event"),
        };
        let correlation = like("^[0-9a-f]{32}$", "Of everything that followed from one request; the trace's id, too");
        let properties = json!({
            "specversion": { "const": "1.0" },
            "id": id,
            "source": like("^/tandem/node_[0-9a-f]{32}$", "Which node"),
            "type": { "const": self.event_type },
            "subject": like(&self.pattern(), "The subject it is published on"),
            "time": { "type": "string", "format": "date-time", "description": "When it happened" },
            "datacontenttype": { "const": "application/json" },
            "tenantid": like("^[a-z0-9-]{1,32}$", "Whose"),
            "data": data,
        });
        let Value::Object(mut properties) = properties else { return Map::new() };
        let mut optional = Vec::new();
        let mut add = |name: &str, schema: Value, is_required: bool| {
            properties.insert(name.to_owned(), schema);
            if !is_required {
                optional.push(name.to_owned());
            }
        };
        match self.data {
            Data::Fact(_) => {
                let place = "The call's place in its trace (W3C Trace Context)";
                add("callid", json!({ "type": "string", "pattern": "^call_[0-9a-f]{32}$" }), true);
                add("correlationid", correlation, true);
                add("traceparent", like("^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$", place), true);
                let number = "The how-manieth of its call, from 1. One that is missing is on its way or was set aside";
                add("seq", json!({ "type": "integer", "minimum": 1, "description": number }), true);
                add("causationid", text("What of a leg it follows from"), false);
            }
            Data::Audit(_) => {
                add("correlationid", correlation, false);
                add("seq", json!({ "const": 1 }), true);
            }
            Data::Digit => {
                add("callid", json!({ "type": "string", "pattern": "^call_[0-9a-f]{32}$" }), true);
                add("correlationid", correlation, true);
            }
            Data::Registration | Data::Revocation | Data::Nothing => {}
        }
        let required: Vec<_> = properties.keys().filter(|name| !optional.contains(name)).cloned().collect();
        let mut envelope = Map::new();
        envelope.insert(String::from("title"), json!(self.event_type));
        envelope.insert(String::from("description"), json!(self.summary));
        envelope.insert(String::from("type"), json!("object"));
        envelope.insert(String::from("required"), json!(required));
        envelope.insert(String::from("properties"), Value::Object(properties));
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
    all().iter().map(schema).collect()
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
