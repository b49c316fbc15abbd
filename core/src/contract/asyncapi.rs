//! All events and where they are published, as AsyncAPI 3.0 describes it.

use serde_json::{Map, Value, json};

use super::{PUBLISHED, Published, Schemas};
use crate::event::Class;

const ABOUT: &str = "What a Tandem node tells of its calls, over NATS.\n\n\
    Facts come at least once and, within a call, in order: drop an `id` that was seen. They are kept in the JetStream \
    stream `TANDEM_FACTS_V1` for up to 72 hours. Live events come at most once, over core NATS. An event is never edited \
    once it was released: what changes for its reader is another version beside it. Fields may be added; ignore those \
    that you do not know.";

/// The AsyncAPI 3.0 document.
#[must_use]
pub fn asyncapi() -> Value {
    let Schemas { data, definitions } = Schemas::new("/components/schemas");
    let (mut channels, mut operations, mut messages) = (Map::new(), Map::new(), Map::new());
    for event in &PUBLISHED {
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
            "parameters": {
                "tenant": { "description": "Whose: a slug of 1 to 32 of a-z, 0-9 and -", "examples": ["default"] },
                "call_id": {
                    "description": "Which call",
                    "examples": ["call_01934f3c8a6b7d52a1b0c9d8e7f60123"],
                },
            },
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
        json!({
            "address": self.address(),
            "description": self.summary,
            "servers": [{ "$ref": "#/servers/nats" }],
            "messages": { "event": { "$ref": message } },
            "parameters": {
                "tenant": { "$ref": "#/components/parameters/tenant" },
                "call_id": { "$ref": "#/components/parameters/call_id" },
            },
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
        if let (Class::Fact, Some(fields)) = (self.class, message.as_object_mut()) {
            let headers = json!({
                "type": "object",
                "properties": {
                    "Nats-Msg-Id": { "type": "string", "description": "The event's `id`: JetStream drops a repeat" },
                    "traceparent": { "type": "string", "description": "As in the event" },
                    "Tandem-Seq": { "type": "string", "description": "The event's `seq`" },
                },
            });
            fields.insert(String::from("headers"), headers);
        }
        message
    }
}
