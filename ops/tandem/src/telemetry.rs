//! Logs, traces and what a panic says.

mod panic;

use std::io::IsTerminal;

use anyhow::{Context, Result};
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Subscriber, warn};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogConfig, LogFormat};

/// Switches the export of traces on, as every OpenTelemetry program has it.
const OTLP_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// Ends the export of traces.
pub(crate) struct Telemetry {
    traces: Option<SdkTracerProvider>,
}

/// Starts logging to standard error, and to the collector when there is one. Needs the runtime.
///
/// # Errors
/// A filter that cannot be read, an endpoint that is none, or telemetry that was started already.
pub(crate) fn start(config: &LogConfig) -> Result<Telemetry> {
    let traces = std::env::var_os(OTLP_ENDPOINT).is_some().then(exporter).transpose()?;
    let exported = traces.as_ref().map(|it| tracing_opentelemetry::layer().with_tracer(it.tracer("tandem")));
    tracing_subscriber::registry().with(exported).with(lines(config.format)).with(config.directives()?).try_init()?;
    panic::install_hook();
    Ok(Telemetry { traces })
}

impl Telemetry {
    /// Sends what is left. Waits for the collector for some seconds at most.
    pub(crate) async fn finish(self) {
        let Some(traces) = self.traces else { return };
        match tokio::task::spawn_blocking(move || traces.shutdown()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, "last traces not sent"),
            Err(error) => warn!(%error, "last traces not sent"),
        }
    }
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

fn exporter() -> Result<SdkTracerProvider> {
    let exporter = SpanExporter::builder().with_tonic().build().context(OTLP_ENDPOINT)?;
    let resource = Resource::builder().with_service_name("tandem").build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}
