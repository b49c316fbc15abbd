//! Log lines for the collector: a line that names its call's correlation id belongs to the call's trace.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::InstrumentationScope;
use opentelemetry::logs::{AnyValue, LogRecord};
use opentelemetry::trace::TraceFlags;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogProcessor, SdkLogRecord};
use tandem_core::id::{CallId, CorrelationId, LegId};
use tandem_core::trace_context;

use super::queue::Waiting;
use super::spans::{span_id, trace_id};

/// A line, and what wrote it.
pub(super) type Line = (SdkLogRecord, InstrumentationScope);

/// See the module.
#[derive(Debug)]
pub(super) struct Lines(pub(super) Arc<Waiting<Line>>);

impl LogProcessor for Lines {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        if let Some(correlation) = field::<CorrelationId>(record, "correlation_id") {
            let leg = field::<LegId>(record, "leg_id").map(trace_context::SpanId::of_leg);
            let call = || field::<CallId>(record, "call_id").map(trace_context::SpanId::of_call);
            if let Some(span) = leg.or_else(call) {
                record.set_trace_context(trace_id(correlation), span_id(span), Some(TraceFlags::SAMPLED));
            }
        }
        self.0.offer((record.clone(), scope.clone()));
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

fn field<T: std::str::FromStr>(record: &SdkLogRecord, name: &str) -> Option<T> {
    let text = record.attributes_iter().find_map(|(key, value)| match value {
        AnyValue::String(text) if key.as_str() == name => Some(text.as_str()),
        _ => None,
    });
    text?.parse().ok()
}
