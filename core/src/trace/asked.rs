//! A request and its answers, as a span.

use super::Way;
use super::exchange::{Exchange, INITIATE, Protocol};
use super::span::{Attributes, Event, Kind, Span, Value};
use crate::cause::{Cause, SipStatus};
use crate::trace_context::SpanId;

impl Exchange<'_> {
    /// The one that a call begins with.
    pub(super) fn is_initiate(&self) -> bool {
        self.protocol == Protocol::Api(INITIATE)
    }

    /// Below `parent`.
    pub(super) fn span(&self, span_id: SpanId, parent: SpanId) -> Span {
        let kind = match self.way {
            Way::In => Kind::Server,
            Way::Out => Kind::Client,
        };
        let status = self.status.map(|status| Value::Number(status.into()));
        let (name, attributes) = match self.protocol {
            Protocol::Api(name) => (name, api_attributes(name, status)),
            Protocol::Sip { method, .. } => {
                let name = sip_name(method);
                let status = status.map(|status| ("tandem.sip.status_code", status));
                let repeats = (self.repeats > 0).then_some(("tandem.sip.repeats", Value::Number(self.repeats)));
                let method = ("tandem.sip.method", Value::Text(name.to_owned()));
                (name, [Some(method), status, repeats].into_iter().flatten().collect())
            }
        };
        let events = self.steps.iter().map(|(at, what)| Event::new(*at, what)).collect();
        let (parent_id, error) = (Some(parent), self.error());
        Span { parent_id, kind, attributes, events, error, ..Span::new(span_id, name, self.start, self.end) }
    }

    /// What people answer (busy, declined) is no error, nor is being asked for credentials.
    fn error(&self) -> Option<&'static str> {
        let status = self.status?;
        match self.protocol {
            Protocol::Api(_) => (status >= 500).then_some("refused"),
            Protocol::Sip { .. } if status < 300 || matches!(status, 401 | 407) => None,
            Protocol::Sip { .. } => {
                let cause = Cause::from_sip(SipStatus::new(status)?);
                cause.is_failure().then(|| cause.name())
            }
        }
    }
}

/// The methods that there are (RFC 3261 and its extensions). Whatever else somebody wrote is no name of a span.
fn sip_name(method: &str) -> &'static str {
    const METHODS: [&str; 13] = [
        "INVITE",
        "BYE",
        "CANCEL",
        "OPTIONS",
        "UPDATE",
        "INFO",
        "PRACK",
        "REFER",
        "NOTIFY",
        "MESSAGE",
        "SUBSCRIBE",
        "PUBLISH",
        "REGISTER",
    ];
    METHODS.into_iter().find(|it| *it == method).unwrap_or("SIP request")
}

fn api_attributes(name: &'static str, status: Option<Value>) -> Attributes {
    let (method, route) = name.split_once(' ').unwrap_or_default();
    let texts = [("http.request.method", method), ("http.route", route)];
    let texts = texts.map(|(key, text)| (key, Value::Text(text.to_owned())));
    texts.into_iter().chain(status.map(|status| ("http.response.status_code", status))).collect()
}
