//! Spans of calls that are over: made out of their stories, so that it is known by then which are worth it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{Event, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents};
use tandem_core::id::CorrelationId;
use tandem_core::metric::{Counter, Metrics};
use tandem_core::time::WallTime;
use tandem_core::trace::{Attributes, Kind, Span, Story, Value};
use tandem_core::trace_context;

use super::queue::Waiting;

/// Bits of a trace id that are random (W3C Trace Context Level 2, 2.2.2.2).
const RANDOM_BITS: u32 = 56;

/// See the module.
#[derive(Clone)]
pub(crate) struct CallSpans {
    pub(super) queue: Option<Arc<Waiting<SpanData>>>,
    pub(super) keep_calls: f64,
    pub(super) metrics: Arc<Metrics>,
}

impl CallSpans {
    /// Without a collector.
    #[cfg(test)]
    pub(crate) const fn nowhere(metrics: Arc<Metrics>) -> Self {
        Self { queue: None, keep_calls: 1.0, metrics }
    }

    /// A call is over. Never waits.
    pub(crate) fn offer(&self, story: &Story) {
        let Some(queue) = &self.queue else { return };
        if !story.is_remarkable() && !is_kept(story.correlation_id, self.keep_calls) {
            return self.metrics.count(Counter::TracesLeftOut);
        }
        self.metrics.count(Counter::TracesExported);
        let scope = InstrumentationScope::builder("tandem").build();
        let trace = trace_id(story.correlation_id);
        story.spans().into_iter().for_each(|span| queue.offer(exported(span, trace, &scope)));
    }
}

/// Whether a trace is among the share that is kept: everybody who decides by the random bits of the trace id decides alike.
fn is_kept(id: CorrelationId, share: f64) -> bool {
    let random = id.uuid().as_u64_pair().1;
    let all = 1_u64 << RANDOM_BITS;
    random % all >= ((1.0 - share) * all as f64) as u64
}

pub(super) fn trace_id(id: CorrelationId) -> TraceId {
    TraceId::from_bytes(*id.uuid().as_bytes())
}

pub(super) fn span_id(id: trace_context::SpanId) -> SpanId {
    SpanId::from_bytes(id.bits().to_be_bytes())
}

fn exported(span: Span, trace: TraceId, scope: &InstrumentationScope) -> SpanData {
    let mut events = SpanEvents::default();
    events.events = span.events.into_iter().map(event).collect();
    SpanData {
        span_context: SpanContext::new(
            trace,
            span_id(span.span_id),
            TraceFlags::SAMPLED,
            span.is_parent_remote,
            TraceState::default(),
        ),
        parent_span_id: span.parent_id.map_or(SpanId::INVALID, span_id),
        parent_span_is_remote: span.is_parent_remote,
        span_kind: match span.kind {
            Kind::Internal => SpanKind::Internal,
            Kind::Server => SpanKind::Server,
            Kind::Client => SpanKind::Client,
            Kind::Producer => SpanKind::Producer,
        },
        name: span.name.into(),
        start_time: time(span.start),
        end_time: time(span.end),
        attributes: key_values(span.attributes),
        dropped_attributes_count: 0,
        events,
        links: Default::default(),
        status: span.error.map_or(Status::Unset, Status::error),
        instrumentation_scope: scope.clone(),
    }
}

fn event(event: tandem_core::trace::Event) -> Event {
    Event::new(event.name, time(event.at), key_values(event.attributes), 0)
}

fn key_values(attributes: Attributes) -> Vec<KeyValue> {
    let value = |(name, value)| match value {
        Value::Text(text) => KeyValue::new(name, text),
        Value::Number(number) => KeyValue::new(name, number),
        Value::Measure(measure) => KeyValue::new(name, measure),
    };
    attributes.into_iter().map(value).collect()
}

fn time(at: WallTime) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(u64::try_from(at.0).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_share_of_all_calls_is_kept_and_the_same_ones_by_everybody() {
        let ids: Vec<_> = (0..4_000).map(|_| CorrelationId::from_uuid(Uuid::new_v4())).collect();
        let kept = |share| ids.iter().filter(|id| is_kept(**id, share)).count();
        assert_eq!((kept(0.0), kept(1.0)), (0, 4_000));
        let tenth = kept(0.1);
        assert!((250..=600).contains(&tenth), "{tenth}");
        assert!(ids.iter().all(|id| !is_kept(*id, 0.1) || is_kept(*id, 0.2)), "a larger share has the smaller in it");
    }
}
