//! All counts for the collector: read off the atomics of core, under the names that Prometheus gets.
//!
//! A histogram goes out as what Prometheus makes of it: `…_bucket` with a label `le`, `…_sum`, `…_count`. The SDK has no
//! instrument that reads one off somewhere.

use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Meter, MeterProvider};
use opentelemetry_otlp::MetricExporter;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider, Temporality};
use parking_lot::Mutex;
use tandem_core::metric::{Family, Kind, Metrics, Reading, Signal};
use tokio::runtime::Handle;
use tokio_util::context::TokioContext;

use super::collector::resource;

/// How long one reading serves all instruments.
const FRESH: Duration = Duration::from_millis(500);

/// Exports all counts every so often until it is shut down.
pub(super) fn start(exporter: MetricExporter, every: Duration, metrics: &Arc<Metrics>) -> SdkMeterProvider {
    let exporter = Counted { exporter, runtime: Handle::current(), metrics: metrics.clone() };
    let reader = PeriodicReader::builder(exporter).with_interval(every).build();
    let provider = SdkMeterProvider::builder().with_reader(reader).with_resource(resource()).build();
    let readings = Arc::new(Readings { metrics: metrics.clone(), last: Mutex::new(None) });
    let meter = provider.meter("tandem");
    for (place, family) in metrics.families().into_iter().enumerate() {
        observe(&meter, &readings, place, family);
    }
    provider
}

/// All families as they were a moment ago. They have the same places each time.
struct Readings {
    metrics: Arc<Metrics>,
    last: Mutex<Option<(Instant, Arc<Vec<Family>>)>>,
}

impl Readings {
    fn now(&self) -> Arc<Vec<Family>> {
        let mut last = self.last.lock();
        if let Some((at, families)) = &*last
            && at.elapsed() < FRESH
        {
            return families.clone();
        }
        let families = Arc::new(self.metrics.families());
        *last = Some((Instant::now(), families.clone()));
        families
    }
}

/// Tells the values of a reading, those of buckets with their bound.
type Pick = fn(&Reading, &mut dyn FnMut(f64, Option<String>));

fn observe(meter: &Meter, readings: &Arc<Readings>, place: usize, family: Family) {
    let read = |pick: Pick| {
        let readings = readings.clone();
        move |to: &dyn AsyncInstrument<f64>| {
            for sample in readings.now().get(place).iter().flat_map(|family| &family.samples) {
                let labels: Vec<_> = sample.labels.iter().map(|(name, it)| KeyValue::new(*name, it.clone())).collect();
                pick(&sample.reading, &mut |value, le| match le {
                    Some(le) => to.observe(value, &[labels.as_slice(), &[KeyValue::new("le", le)]].concat()),
                    None => to.observe(value, &labels),
                });
            }
        }
    };
    let Family { name, help, kind, .. } = family;
    // An instrument lives as long as its provider.
    match kind {
        Kind::Counter => {
            let _built = meter.f64_observable_counter(name).with_description(help).with_callback(read(value)).build();
        }
        Kind::Gauge => {
            let _built = meter.f64_observable_gauge(name).with_description(help).with_callback(read(value)).build();
        }
        Kind::Histogram => {
            let counter =
                |suffix| meter.f64_observable_counter(format!("{name}_{suffix}")).with_description(help.clone());
            let _built = [
                counter("bucket").with_callback(read(buckets)).build(),
                counter("sum").with_callback(read(sum)).build(),
                counter("count").with_callback(read(count)).build(),
            ];
        }
    }
}

fn value(reading: &Reading, to: &mut dyn FnMut(f64, Option<String>)) {
    if let Reading::Value(value) = reading {
        to(*value, None);
    }
}

fn buckets(reading: &Reading, to: &mut dyn FnMut(f64, Option<String>)) {
    if let Reading::Spread { below, count, .. } = reading {
        below.iter().for_each(|(bound, count)| to(*count as f64, Some(bound.to_string())));
        to(*count as f64, Some(String::from("+Inf")));
    }
}

fn sum(reading: &Reading, to: &mut dyn FnMut(f64, Option<String>)) {
    if let Reading::Spread { sum, .. } = reading {
        to(*sum, None);
    }
}

fn count(reading: &Reading, to: &mut dyn FnMut(f64, Option<String>)) {
    if let Reading::Spread { count, .. } = reading {
        to(*count as f64, None);
    }
}

/// Runs on the SDK's own thread, where there is no runtime; its requests want one.
struct Counted {
    exporter: MetricExporter,
    runtime: Handle,
    metrics: Arc<Metrics>,
}

impl PushMetricExporter for Counted {
    /// What is not taken is not lost: the next reading has it. It is counted all the same.
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let exported = TokioContext::new(self.exporter.export(metrics), self.runtime.clone()).await;
        match exported {
            Ok(()) => self.metrics.otlp_exported(Signal::Metrics, 1),
            Err(_) => self.metrics.otlp_dropped(Signal::Metrics, 1),
        }
        exported
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        Temporality::Cumulative
    }
}
