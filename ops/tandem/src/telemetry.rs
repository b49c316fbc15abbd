//! Logs to standard error, what a panic says, and, when there is a collector, traces, metrics and logs to it.
//!
//! ```text
//!  stories of calls ─▶ CallSpans ─▶ queue ─┐
//!  log lines ────────────▶ Lines ─▶ queue ─┼─▶ collector (OTLP)
//!  core's atomics ───── every 15 s ────────┘
//! ```
//!
//! # Invariants
//! * A collector that is away or hangs costs what was meant for it, counted, and nothing else.

mod collector;
mod logs;
mod measures;
mod panic;
mod queue;
mod spans;

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use opentelemetry_appender_tracing::layer::{OpenTelemetryTracingBridge, TracingSpanAttributes};
use opentelemetry_sdk::logs::{LogBatch, LogExporter, SdkLoggerProvider};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SpanExporter;
use tandem_core::metric::{Metrics, Signal};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Subscriber, warn};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Config, LogFormat};
use collector::{Collector, resource};
use logs::Lines;
use queue::queue;

pub(crate) use spans::CallSpans;

/// How long what is left may take when the node stops.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Ids of tracing's spans that log lines in them get.
const IDS: [&str; 4] = ["call_id", "correlation_id", "leg_id", "track_id"];

/// Exports what there is to export, until it is finished.
pub(crate) struct Telemetry {
    tasks: TaskTracker,
    stop: CancellationToken,
    measures: Option<SdkMeterProvider>,
    /// For the spans of calls.
    pub(crate) spans: CallSpans,
}

/// Starts logging to standard error, and to the collector when there is one. Needs the runtime.
///
/// # Errors
/// A filter that cannot be read, an endpoint that is none, or telemetry that was started already.
pub(crate) fn start(config: &Config, metrics: &Arc<Metrics>) -> Result<Telemetry> {
    let collector = Collector::new(&config.telemetry);
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let capacity = config.telemetry.queue;

    let lines_to_collector = if collector.wants(Signal::Logs) {
        let mut exporter = collector.logs()?;
        exporter.set_resource(&resource());
        let exporter = Arc::new(exporter);
        let (waiting, outlet) = queue::<logs::Line>(Signal::Logs, capacity, metrics);
        tasks.spawn(outlet.export(stop.clone(), move |lines| {
            let exporter = exporter.clone();
            async move {
                let lines: Vec<_> = lines.iter().map(|(line, scope)| (line, scope)).collect();
                exporter.export(LogBatch::new(&lines)).await
            }
        }));
        let provider = SdkLoggerProvider::builder().with_log_processor(Lines(waiting)).build();
        let ids = TracingSpanAttributes::allowlist(IDS);
        let layer = OpenTelemetryTracingBridge::builder(&provider).with_tracing_span_attributes(ids).build();
        // What exporting says of itself would be exported, which says something, and so on.
        Some(layer.with_filter(filter_fn(|line| !is_of_export(line.target()))))
    } else {
        None
    };
    let log = &config.log;
    let registry = tracing_subscriber::registry().with(log.directives()?);
    registry.with(lines_to_collector).with(lines(log.format)).try_init()?;
    panic::install_hook();

    let mut spans = CallSpans { queue: None, keep_calls: config.telemetry.keep_calls, metrics: metrics.clone() };
    if collector.wants(Signal::Traces) {
        let mut exporter = collector.spans()?;
        exporter.set_resource(&resource());
        let exporter = Arc::new(exporter);
        let (waiting, outlet) = queue(Signal::Traces, capacity, metrics);
        tasks.spawn(outlet.export(stop.clone(), move |spans| {
            let exporter = exporter.clone();
            async move { exporter.export(spans).await }
        }));
        spans.queue = Some(waiting);
    }
    let measures = collector.wants(Signal::Metrics).then(|| collector.metrics()).transpose()?;
    let measures = measures.map(|exporter| measures::start(exporter, config.telemetry.metrics_interval, metrics));
    tasks.close();
    Ok(Telemetry { tasks, stop, measures, spans })
}

impl Telemetry {
    /// Sends what is left. Waits for the collector for some seconds at most.
    pub(crate) async fn finish(self) {
        self.stop.cancel();
        let measures = self.measures;
        let counted = tokio::task::spawn_blocking(move || measures.map(|it| it.shutdown_with_timeout(LAST_WORDS)));
        let (sent, counted) = tokio::join!(timeout(LAST_WORDS, self.tasks.wait()), timeout(LAST_WORDS, counted));
        if sent.is_err() || !matches!(counted, Ok(Ok(None | Some(Ok(()))))) {
            warn!("the collector did not take the last telemetry");
        }
    }
}

/// Written by what exports, or by what it uses.
fn is_of_export(target: &str) -> bool {
    const USED: [&str; 6] = ["opentelemetry", "tonic", "h2", "hyper", "reqwest", "tower"];
    USED.iter().any(|it| target.starts_with(it)) || target.starts_with(concat!(env!("CARGO_PKG_NAME"), "::telemetry"))
}

fn lines<S>(format: LogFormat) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let lines =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Pretty => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    }
}
