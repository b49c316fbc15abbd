//! Where the collector is, and how it is spoken to: by the usual variables, else by the configuration.

use std::env;

use anyhow::{Context, Result};
use opentelemetry::KeyValue;
use opentelemetry_otlp::{LogExporter, MetricExporter, Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use tandem_core::metric::Signal;

use crate::config::{OtlpProtocol, TelemetryConfig};

/// The usual variables.
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const DISABLED: &str = "OTEL_SDK_DISABLED";

/// One of them for this signal: `OTEL_{…}`, where the word is TRACES, METRICS or LOGS.
fn of_signal(signal: Signal, before: &str, after: &str) -> Option<String> {
    env::var(format!("OTEL_{before}{}_{after}", signal.name().to_uppercase())).ok()
}

/// See the module.
#[derive(Clone)]
pub(super) struct Collector {
    endpoint: Option<String>,
    protocol: OtlpProtocol,
}

/// The same for exporters whose types have nothing in common.
macro_rules! exporter {
    ($kind:ident, $collector:expr, $signal:expr) => {{
        match ($collector.protocol, $collector.endpoint_of($signal)) {
            (OtlpProtocol::Grpc, None) => $kind::builder().with_tonic().build(),
            (OtlpProtocol::Grpc, Some(endpoint)) => $kind::builder().with_tonic().with_endpoint(endpoint).build(),
            (OtlpProtocol::Http, None) => $kind::builder().with_http().with_protocol(Protocol::HttpBinary).build(),
            (OtlpProtocol::Http, Some(endpoint)) => {
                $kind::builder().with_http().with_protocol(Protocol::HttpBinary).with_endpoint(endpoint).build()
            }
        }
        .context($collector.endpoint.clone().unwrap_or_default())
    }};
}

impl Collector {
    pub(super) fn new(config: &TelemetryConfig) -> Self {
        let protocol = match env::var(PROTOCOL).as_deref() {
            Ok("grpc") => OtlpProtocol::Grpc,
            Ok("http/protobuf") => OtlpProtocol::Http,
            _ => config.protocol,
        };
        Self { endpoint: config.endpoint.clone(), protocol }
    }

    /// Whether there is somebody to export this to.
    pub(super) fn wants(&self, signal: Signal) -> bool {
        let is_off = of_signal(signal, "", "EXPORTER").is_some_and(|it| it == "none")
            || env::var(DISABLED).is_ok_and(|it| it.eq_ignore_ascii_case("true"));
        !is_off && (self.endpoint.is_some() || is_set(signal))
    }

    pub(super) fn spans(&self) -> Result<SpanExporter> {
        exporter!(SpanExporter, self, Signal::Traces)
    }

    pub(super) fn logs(&self) -> Result<LogExporter> {
        exporter!(LogExporter, self, Signal::Logs)
    }

    pub(super) fn metrics(&self) -> Result<MetricExporter> {
        exporter!(MetricExporter, self, Signal::Metrics)
    }

    /// As the exporter wants it said; `None`: it knows from the variables.
    fn endpoint_of(&self, signal: Signal) -> Option<String> {
        let endpoint = self.endpoint.as_ref().filter(|_| !is_set(signal))?.trim_end_matches('/');
        Some(match self.protocol {
            OtlpProtocol::Grpc => endpoint.to_owned(),
            OtlpProtocol::Http => format!("{endpoint}/v1/{}", signal.name()),
        })
    }
}

fn is_set(signal: Signal) -> bool {
    env::var_os(ENDPOINT).is_some() || of_signal(signal, "EXPORTER_OTLP_", "ENDPOINT").is_some()
}

/// Who exports. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win.
pub(super) fn resource() -> Resource {
    let named = env::var_os("OTEL_SERVICE_NAME").is_some();
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = Resource::builder().with_attribute(version);
    if named { resource.build() } else { resource.with_service_name("tandem").build() }
}
