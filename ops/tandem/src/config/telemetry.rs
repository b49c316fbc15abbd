//! What is exported to a collector.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

/// The `[telemetry]` section. The usual variables (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL, …) win.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TelemetryConfig {
    /// Where a collector takes OTLP (`http://127.0.0.1:4317`). Default none: nothing is exported.
    pub(crate) endpoint: Option<String>,
    /// How: `grpc` or `http/protobuf`. Default `grpc`.
    pub(crate) protocol: OtlpProtocol,
    /// Which share of calls has its trace exported. Those in which something failed, broke or sounded bad have it whatever
    /// this is. Default 1.0, range 0.0..=1.0.
    pub(crate) keep_calls: f64,
    /// Most spans, and most log lines, that wait for the collector; more are dropped and counted. Default 20000, range
    /// 1000..=1000000.
    pub(crate) queue: usize,
    /// How often counts are exported. Default `15s`, range `1s`..=`1h`.
    #[serde(with = "humantime_serde")]
    pub(crate) metrics_interval: Duration,
}

/// How OTLP is spoken.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) enum OtlpProtocol {
    #[default]
    #[serde(rename = "grpc")]
    Grpc,
    #[serde(rename = "http/protobuf")]
    Http,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        let (endpoint, protocol, metrics_interval) = (None, OtlpProtocol::default(), Duration::from_secs(15));
        Self { endpoint, protocol, keep_calls: 1.0, queue: 20_000, metrics_interval }
    }
}

impl TelemetryConfig {
    /// Says whether every value is in its range.
    pub(crate) fn check(&self) -> Result<()> {
        ensure!((0.0..=1.0).contains(&self.keep_calls), "telemetry.keep_calls: 0.0 to 1.0");
        ensure!((1_000..=1_000_000).contains(&self.queue), "telemetry.queue: 1000 to 1000000");
        let interval = Duration::from_secs(1)..=Duration::from_secs(3_600);
        ensure!(interval.contains(&self.metrics_interval), "telemetry.metrics_interval: 1s to 1h");
        let is_url = |it: &String| it.starts_with("http://") || it.starts_with("https://");
        ensure!(self.endpoint.as_ref().is_none_or(is_url), "telemetry.endpoint: http://host:port or https://host:port");
        Ok(())
    }
}
