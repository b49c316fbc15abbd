//! A collector: takes OTLP over gRPC, as every real one does, and keeps what it took.

use std::net::SocketAddr;
use std::sync::Arc;

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;
use parking_lot::Mutex;
use tokio::runtime::Runtime;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// See the module.
pub struct Collector {
    /// Where it takes OTLP.
    pub address: SocketAddr,
    taken: Arc<Taken>,
    _runtime: Runtime,
}

#[derive(Default)]
struct Taken {
    spans: Mutex<Vec<Span>>,
    lines: Mutex<Vec<LogRecord>>,
    metrics: Mutex<Vec<String>>,
}

#[derive(Clone)]
struct Service(Arc<Taken>);

impl Collector {
    /// Starts one on a free port.
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let taken = Arc::new(Taken::default());
        let incoming = {
            let _in = runtime.enter();
            TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap()
        };
        let address = incoming.local_addr().unwrap();
        let service = Service(taken.clone());
        let server = Server::builder()
            .add_service(TraceServiceServer::new(service.clone()))
            .add_service(LogsServiceServer::new(service.clone()))
            .add_service(MetricsServiceServer::new(service));
        runtime.spawn(server.serve_with_incoming(incoming));
        Self { address, taken, _runtime: runtime }
    }

    /// What a node needs to find it.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", self.address)),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", String::from("grpc")),
            ("TANDEM__TELEMETRY__METRICS_INTERVAL", String::from("1s")),
        ]
    }

    /// Spans of a trace, in the order in which they came.
    pub fn spans(&self, trace: &str) -> Vec<Span> {
        self.taken.spans.lock().iter().filter(|span| hex(&span.trace_id) == trace).cloned().collect()
    }

    /// How many log lines of a trace came.
    pub fn lines(&self, trace: &str) -> usize {
        self.taken.lines.lock().iter().filter(|line| hex(&line.trace_id) == trace).count()
    }

    /// Names of metrics that came.
    pub fn metrics(&self) -> Vec<String> {
        self.taken.metrics.lock().clone()
    }
}

/// As text.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An attribute of a span, as text.
pub fn attribute(span: &Span, name: &str) -> Option<String> {
    let value = span.attributes.iter().find(|it| it.key == name)?.value.clone()?.value?;
    Some(match value {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        Value::DoubleValue(number) => number.to_string(),
        other => format!("{other:?}"),
    })
}

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let spans = request.into_inner().resource_spans.into_iter().flat_map(|it| it.scope_spans);
        self.0.spans.lock().extend(spans.flat_map(|it| it.spans));
        Ok(Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Service {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        let lines = request.into_inner().resource_logs.into_iter().flat_map(|it| it.scope_logs);
        self.0.lines.lock().extend(lines.flat_map(|it| it.log_records));
        Ok(Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Service {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let metrics = request.into_inner().resource_metrics.into_iter().flat_map(|it| it.scope_metrics);
        *self.0.metrics.lock() = metrics.flat_map(|it| it.metrics).map(|it| it.name).collect();
        Ok(Response::new(Default::default()))
    }
}
