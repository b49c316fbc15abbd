//! All events and where they are published, as AsyncAPI 3.0 describes it.

use serde_json::{Map, Value, json};

use super::{Data, PARAMETERS, Published, Schemas, all};
use crate::event::Class;

const ABOUT: &str = "What a Tandem node tells of its calls, of who did what, and of where phones are, over NATS.\n\n\
    Facts come at least once and, within a call, in order: drop an `id` that was seen. They are kept in the JetStream \
    stream `TANDEM_FACTS_V1` for up to 72 hours. Of a state (registrations) the stream `TANDEM_STATE_V1` keeps the last event of each subject. Live events come at most once, over core NATS. An event is never edited \
    once it was released: what changes for its reader is another version beside it. Fields may be added; ignore those \
    that you do not know.";

/// The AsyncAPI 3.0 document.
#[must_use]
pub fn asyncapi() -> Value {
    let Schemas { data, definitions } = Schemas::new("/components/schemas");
    let (mut channels, mut operations, mut messages) = (Map::new(), Map::new(), Map::new());
    for event in all() {
        let (name, message) = (event.channel(), event.event_type);
        let link = format!("#/components/messages/{message}");
        let data = data.get(message).cloned().unwrap_or_default();
        channels.insert(name.clone(), event.described_channel(&link));
        messages.insert(message.to_owned(), event.described_message(&data));
        let operation = json!({
            "action": "send",
            "channel": { "$ref": format!("#/channels/{name}") },
            "summary": event.summary,
            "messages": [{ "$ref": format!("#/channels/{name}/messages/event") }],
        });
        operations.insert(format!("publish_{name}"), operation);
    }
    let parameters: Map<_, _> = PARAMETERS
        .iter()
        .map(|(name, about, _, example)| ((*name).to_owned(), json!({ "description": about, "examples": [example] })))
        .collect();
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tandem events",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": "Apache-2.0" },
        },
        "defaultContentType": "application/cloudevents+json",
        "servers": {
            "nats": { "host": "localhost:4222", "protocol": "nats", "description": "As `bus.nats_url` has it" },
        },
        "channels": channels,
        "operations": operations,
        "components": {
            "parameters": parameters,
            "messages": messages,
            "schemas": definitions,
        },
    })
}

impl Published {
    /// `call_started` of `tandem.call.started.v1`.
    fn channel(&self) -> String {
        let parts: Vec<_> = self.event_type.split('.').collect();
        parts.get(1..parts.len().saturating_sub(1)).unwrap_or_default().join("_")
    }

    fn described_channel(&self, message: &str) -> Value {
        let messages = json!({ "event": { "$ref": message } });
        if self.class.is_none() {
            return json!({ "address": null, "description": self.summary, "messages": messages });
        }
        let address = self.address();
        let is_in = |name: &str| address.contains(&format!("{{{name}}}"));
        let parameters: Map<_, _> = PARAMETERS
            .iter()
            .filter(|(name, ..)| is_in(name))
            .map(|(name, ..)| ((*name).to_owned(), json!({ "$ref": format!("#/components/parameters/{name}") })))
            .collect();
        json!({
            "address": address,
            "description": self.summary,
            "servers": [{ "$ref": "#/servers/nats" }],
            "messages": messages,
            "parameters": parameters,
        })
    }

    fn described_message(&self, data: &Value) -> Value {
        let mut message = json!({
            "name": self.event_type,
            "title": self.event_type,
            "summary": self.summary,
            "contentType": "application/cloudevents+json",
            "payload": self.envelope(data),
        });
        if let (Some(Class::Fact), Some(fields)) = (self.class, message.as_object_mut()) {
            let mut headers = json!({
                "type": "object",
                "properties": {
                    "Nats-Msg-Id": { "type": "string", "description": "The event's `id`: JetStream drops a repeat" },
                    "Tandem-Seq": { "type": "string", "description": "The event's `seq`" },
                },
            });
            if let (Data::Fact(_), Some(known)) = (self.data, headers.pointer_mut("/properties")) {
                known["traceparent"] = json!({ "type": "string", "description": "As in the event" });
            }
            fields.insert(String::from("headers"), headers);
        }
        message
    }
}
