//! A story as a tree of spans, as OpenTelemetry has them. All ids follow from the call's: whoever builds it builds the same.
//!
//! ```text
//!  (the sender's span) ─ POST /api/v1/calls/initiate ─ call ─┬─ leg ─┬─ INVITE, BYE, … ─ POST …/answer
//!                                                            │       └─ media
//!                                                            ├─ leg …
//!                                                            └─ ledger commit, bus publish
//! ```
//!
//! # Invariants
//! * No number, name or address of anybody is in it, and nothing that came over the wire but methods and statuses.
//! * A parent stands before its children. Every span ends, at the latest with the last note of the story.

use std::time::Duration;

use super::exchange::exchanges;
use super::span::{Attributes, Event, Kind, Span, Value, number};
use super::{Entry, Part, Place, Story, Way, What};
use crate::cause::Cause;
use crate::cdr::{Cdr, CdrLeg};
use crate::event::FactBody;
use crate::id::LegId;
use crate::party::Identity;
use crate::quality::MediaReport;
use crate::time::WallTime;
use crate::trace_context::{SpanId, TraceParent};

/// Parts of a call's span.
const REQUEST: u64 = 0;
const LEDGER: u64 = 1;
const BUS: u64 = 2;

/// Parts of a leg's span: its media; its exchanges are numbered after it.
const MEDIA: u64 = 0;

impl Story {
    /// The tree, parents first. Empty while nothing is known of the call's beginning.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        let Some(record) = self.record() else { return Vec::new() };
        let (start, last) = (self.first_at(&record), self.last_at(&record));
        let call_id = SpanId::of_call(self.call_id);
        let requests: Vec<_> = record.legs.iter().map(|leg| (leg, exchanges(self.of_leg(leg.leg_id)))).collect();
        let begun_by = requests.first().and_then(|(_, exchanges)| exchanges.iter().find(|it| it.is_initiate()));
        let mut spans = Vec::new();
        if let Some(asked) = begun_by {
            let sender = asked.request.header(&["traceparent"]).and_then(|it| it.parse::<TraceParent>().ok());
            let parent_id = sender.map(|it| it.parent);
            let is_parent_remote = sender.is_some();
            spans.push(Span { parent_id, is_parent_remote, ..asked.span(call_id.part(REQUEST), call_id) });
        }
        let parent_id = begun_by.map(|_| call_id.part(REQUEST));
        spans.push(Span { parent_id, ..self.call_span(call_id, &record, start, last) });
        for (place, (leg, exchanges)) in requests.iter().enumerate() {
            let side = if place == 0 { "caller" } else { "callee" };
            let span = self.leg_span(call_id, leg, side, last);
            spans.extend(self.media_span(&span, leg));
            for (number, exchange) in (MEDIA + 1..).zip(exchanges).filter(|(_, it)| !it.is_initiate()) {
                spans.push(exchange.span(span.span_id.part(number), span.span_id));
            }
            spans.push(span);
        }
        spans.extend(self.settled_spans(call_id, &record));
        spans.sort_by_key(|span| (span.depth(call_id), span.start));
        spans
    }

    /// Whether a trace of it is worth more than others: something failed, broke and went on, or sounded bad.
    #[must_use]
    pub fn is_remarkable(&self) -> bool {
        let is_remarkable = |entry: &Entry| match &entry.what {
            What::Restarted { .. } | What::Rebuilt { .. } | What::Broke => true,
            What::Media { report } => report.mos.is_some_and(|mos| mos < SATISFIED),
            What::Fact { fact } => match &fact.body {
                FactBody::Ended { cause, .. } | FactBody::LegEnded { cause, .. } => cause.is_failure(),
                _ => false,
            },
            What::Message { .. } | What::Settled { .. } => false,
        };
        self.entries.iter().any(is_remarkable)
    }

    /// Our share of setting the call up: from the request that began it to our first request to a callee. `None` when
    /// either is not in the story.
    #[must_use]
    pub fn setup_time(&self) -> Option<Duration> {
        let record = self.record()?;
        let (caller, callees) = record.legs.split_first()?;
        let begun_at = exchanges(self.of_leg(caller.leg_id)).first().filter(|it| it.way == Way::In)?.start;
        let invited = callees.iter().filter_map(|leg| self.of_leg(leg.leg_id).find(|entry| is_invitation(entry)));
        Some(invited.map(|entry| entry.at).min()? - begun_at)
    }

    fn of_leg(&self, leg: LegId) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.leg == Some(leg))
    }

    fn first_at(&self, record: &Cdr) -> WallTime {
        self.entries.first().map_or(record.started_at, |entry| entry.at.min(record.started_at))
    }

    /// The call's end; while it lives, the last note.
    fn last_at(&self, record: &Cdr) -> WallTime {
        let is_ended = self.entries.iter().filter_map(Entry::fact).any(|it| matches!(it.body, FactBody::Ended { .. }));
        let last = self.entries.last().map_or(record.started_at, |entry| entry.at);
        if is_ended { record.ended_at } else { last }
    }

    fn call_span(&self, span_id: SpanId, record: &Cdr, start: WallTime, end: WallTime) -> Span {
        let mut attributes = vec![
            ("tandem.call_id", Value::Text(self.call_id.to_string())),
            ("tandem.correlation_id", Value::Text(self.correlation_id.to_string())),
            ("tandem.tenant", Value::Text(self.tenant.to_string())),
            ("tandem.node_id", Value::Text(record.node_id.to_string())),
            ("tandem.talk_ms", number(record.talk_ms)),
        ];
        let facts = self.entries.iter().filter_map(Entry::fact);
        let ended = facts.clone().find_map(|fact| match &fact.body {
            FactBody::Ended { cause, by } => Some((*cause, *by)),
            _ => None,
        });
        if let Some((cause, by)) = ended {
            attributes.push(("tandem.cause", Value::Text(cause.name().to_owned())));
            attributes.push(("tandem.ended_by", Value::Text(by.name().to_owned())));
        }
        if self.dropped > 0 {
            attributes.push(("tandem.notes_dropped", number(self.dropped)));
        }
        let mut events: Vec<_> = facts.map(|fact| Event::new(fact.at, fact.body.name())).collect();
        events.extend(self.entries.iter().filter(|entry| entry.leg.is_none()).filter_map(broken));
        let error = ended.filter(|(cause, _)| cause.is_failure()).map(|(cause, _)| cause.name());
        Span { attributes, events, error, ..Span::new(span_id, "call", start, end.max(start)) }
    }

    fn leg_span(&self, call: SpanId, leg: &CdrLeg, side: &'static str, last: WallTime) -> Span {
        let span_id = SpanId::of_leg(leg.leg_id);
        let said = || self.of_leg(leg.leg_id).filter(|entry| matches!(entry.what, What::Message { .. }));
        let start = said().next().map_or(leg.started_at, |entry| entry.at.min(leg.started_at));
        let end = said().last().map_or(start, |entry| entry.at).max(leg.ended_at.unwrap_or(last));
        let mut attributes =
            vec![("tandem.leg_id", Value::Text(leg.leg_id.to_string())), ("tandem.side", Value::Text(side.to_owned()))];
        attributes.push(match &leg.party.identity {
            Identity::User { user_id, .. } => ("user.id", Value::Text(user_id.to_string())),
            Identity::Trunk { trunk } => ("tandem.trunk", Value::Text(trunk.to_string())),
        });
        if let Some(cause) = leg.cause {
            attributes.push(("tandem.cause", Value::Text(cause.name().to_owned())));
        }
        if let Some(status) = leg.sip_status {
            attributes.push(("tandem.sip.status_code", Value::Number(status.into())));
        }
        let events = self.of_leg(leg.leg_id).filter_map(|entry| told(entry).or_else(|| broken(entry))).collect();
        let error = leg.cause.filter(|cause| cause.is_failure()).map(Cause::name);
        let parent_id = Some(call);
        Span { parent_id, attributes, events, error, ..Span::new(span_id, "leg", start, end) }
    }

    /// As the last report has it.
    fn media_span(&self, leg: &Span, of: &CdrLeg) -> Option<Span> {
        let (at, report) = self.of_leg(of.leg_id).filter_map(reported).last()?;
        let start = of.answered_at.unwrap_or(of.started_at).min(at);
        let span = Span::new(leg.span_id.part(MEDIA), "media", start, at);
        Some(Span { parent_id: Some(leg.span_id), attributes: of_media(report), ..span })
    }

    /// From the journal, where the last fact was first, to the database, and from there to the bus. A call whose facts got
    /// nowhere while its story was open has the first of them, which ends where it begins.
    fn settled_spans(&self, call: SpanId, record: &Cdr) -> Vec<Span> {
        let facts = || self.entries.iter().filter_map(Entry::fact);
        if !self.is_over || !facts().any(|fact| matches!(fact.body, FactBody::Ended { .. })) {
            return Vec::new();
        }
        let settled = |wanted| {
            let mut found = self.entries.iter().filter_map(|entry| match entry.what {
                What::Settled { place } if place == wanted => Some(entry.at),
                _ => None,
            });
            found.next()
        };
        let journalled = record.ended_at;
        let stored = settled(Place::Database);
        let in_database = stored.unwrap_or(journalled).max(journalled);
        let ledger = Span {
            parent_id: Some(call),
            attributes: vec![
                ("tandem.facts", number(facts().map(|fact| u64::from(fact.number)).max().unwrap_or(0))),
                ("tandem.stored", Value::Text(stored.is_some().to_string())),
            ],
            ..Span::new(call.part(LEDGER), "ledger commit", journalled, in_database)
        };
        let bus = settled(Place::Bus).map(|at| Span {
            parent_id: Some(call),
            kind: Kind::Producer,
            attributes: vec![("messaging.operation.type", Value::Text(String::from("send")))],
            ..Span::new(call.part(BUS), "bus publish", in_database.min(at), at)
        });
        std::iter::once(ledger).chain(bus).collect()
    }
}

/// Below it, "some users dissatisfied" and worse: `R` = 70 (ITU-T G.107, Annex B).
const SATISFIED: f32 = 3.6;

impl Span {
    /// How far below the root.
    fn depth(&self, call: SpanId) -> u8 {
        match self.parent_id {
            _ if self.span_id == call.part(REQUEST) => 0,
            _ if self.span_id == call => 1,
            Some(parent) if parent == call => 2,
            _ => 3,
        }
    }
}

/// What calls a callee: a request of SIP, or the event for his client.
fn is_invitation(entry: &Entry) -> bool {
    let What::Message { direction: Way::Out, text, .. } = &entry.what else { return false };
    text.text().starts_with("INVITE ") || text.text().starts_with("event call.incoming")
}

/// What a client's event stream was told.
fn told(entry: &Entry) -> Option<Event> {
    let What::Message { direction: Way::Out, text, .. } = &entry.what else { return None };
    let kind = text.text().lines().next()?.strip_prefix("event ")?;
    Some(Event::new(entry.at, kind))
}

fn broken(entry: &Entry) -> Option<Event> {
    let (name, attributes) = match &entry.what {
        What::Restarted { actor, why, is_given_up } => {
            let actor = match actor {
                Part::Call => "call",
                Part::Leg => "leg",
                Part::Track => "track",
            };
            let texts = [("tandem.actor", actor), ("tandem.reason", why.as_str())];
            let name = if *is_given_up { "actor given up" } else { "actor restarted" };
            (name, texts.map(|(key, text)| (key, Value::Text(text.to_owned()))).to_vec())
        }
        What::Rebuilt { worker } => {
            ("media worker restarted", vec![("tandem.worker", number(u64::try_from(*worker).unwrap_or(u64::MAX)))])
        }
        What::Broke => ("signalling broke", Vec::new()),
        What::Message { .. } | What::Fact { .. } | What::Media { .. } | What::Settled { .. } => return None,
    };
    Some(Event { attributes, ..Event::new(entry.at, name) })
}

fn reported(entry: &Entry) -> Option<(WallTime, &MediaReport)> {
    match &entry.what {
        What::Media { report } => Some((entry.at, report)),
        _ => None,
    }
}

fn of_media(report: &MediaReport) -> Attributes {
    let milliseconds = |it: Duration| Value::Measure(it.as_secs_f64() * 1_000.0);
    let mut attributes = vec![
        ("tandem.media.packets_received", number(report.received)),
        ("tandem.media.packets_sent", number(report.sent)),
        ("tandem.media.packets_lost", number(report.lost)),
        ("tandem.media.lost_permille", number(u64::from(report.lost_permille()))),
        ("tandem.media.jitter_ms", milliseconds(report.jitter)),
    ];
    let codec = report.codec.as_ref().filter(|it| it.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'));
    attributes.extend(codec.map(|codec| ("tandem.media.codec", Value::Text(codec.clone()))));
    attributes.extend(report.round_trip.map(|it| ("tandem.media.round_trip_ms", milliseconds(it))));
    let remote = report.remote_lost_permille;
    attributes.extend(remote.map(|it| ("tandem.media.remote_lost_permille", Value::Number(it.into()))));
    attributes.extend(report.mos.map(|mos| ("tandem.media.mos", Value::Measure(f64::from(mos)))));
    if report.rebuilds > 0 {
        attributes.push(("tandem.media.rebuilds", Value::Number(report.rebuilds.into())));
    }
    attributes
}

#[cfg(test)]
mod tests;
