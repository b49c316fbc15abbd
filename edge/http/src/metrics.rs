//! The node's counts in Prometheus' text format. The atomics of core stay the only place where anything is counted.

use prometheus::proto::{Bucket, Counter as CounterValue, Gauge as GaugeValue, Histogram as HistogramValue};
use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Result, TextEncoder};
use tandem_core::metric::{Family, Kind, Metrics, Reading, Sample};

/// All counts as they stand now.
///
/// # Errors
/// None in practice: the encoder refuses families without a name.
pub(crate) fn exposition(metrics: &Metrics) -> Result<String> {
    // What has no value yet is not shown: the encoder refuses it.
    let families: Vec<_> = metrics.families().into_iter().filter(|it| !it.samples.is_empty()).map(family).collect();
    TextEncoder::new().encode_to_string(&families)
}

fn family(it: Family) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(it.name.to_owned());
    family.set_help(it.help);
    family.set_field_type(match it.kind {
        Kind::Counter => MetricType::COUNTER,
        Kind::Gauge => MetricType::GAUGE,
        Kind::Histogram => MetricType::HISTOGRAM,
    });
    family.set_metric(it.samples.into_iter().map(|sample| metric(sample, it.kind)).collect());
    family
}

fn metric(sample: Sample, kind: Kind) -> Metric {
    let mut metric = Metric::default();
    metric.set_label(sample.labels.into_iter().map(label).collect());
    match sample.reading {
        Reading::Value(value) if kind == Kind::Counter => {
            let mut counter = CounterValue::default();
            counter.set_value(value);
            metric.set_counter(counter);
        }
        Reading::Value(value) => {
            let mut gauge = GaugeValue::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        Reading::Spread { below, sum, count } => {
            let mut histogram = HistogramValue::default();
            histogram.set_bucket(below.into_iter().map(bucket).collect());
            histogram.set_sample_sum(sum);
            histogram.set_sample_count(count);
            metric.set_histogram(histogram);
        }
    }
    metric
}

fn label((name, value): (&'static str, String)) -> LabelPair {
    let mut label = LabelPair::default();
    label.set_name(name.to_owned());
    label.set_value(value);
    label
}

fn bucket((bound, count): (f64, u64)) -> Bucket {
    let mut bucket = Bucket::default();
    bucket.set_upper_bound(bound);
    bucket.set_cumulative_count(count);
    bucket
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tandem_core::cause::Cause;
    use tandem_core::metric::{Counter, Gauge, Histogram, Queue};

    use super::*;

    #[test]
    fn every_count_is_exported_under_its_name_and_with_its_value() {
        let metrics = Metrics::default();
        metrics.add(Counter::CallsStarted, 7);
        metrics.set(Gauge::CallsActive, -2);
        metrics.ended(Cause::Busy);
        metrics.took(Histogram::CallSetup, Duration::from_millis(3));
        metrics.request("GET", "/a/{id}", 404, Duration::from_millis(3));
        let text = exposition(&metrics).unwrap();
        for line in [
            "tandem_calls_started_total 7",
            "tandem_calls_active -2",
            "tandem_calls_ended_total{cause=\"busy\"} 1",
            "tandem_call_setup_seconds_bucket{le=\"0.0025\"} 0",
            "tandem_call_setup_seconds_bucket{le=\"0.005\"} 1",
            "tandem_call_setup_seconds_bucket{le=\"+Inf\"} 1",
            "tandem_call_setup_seconds_sum 0.003",
            "tandem_call_setup_seconds_count 1",
            "tandem_http_request_duration_seconds_count{method=\"GET\",route=\"/a/{id}\",status=\"4xx\"} 1",
            "tandem_build_info{version=\"0.1.0\"} 1",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} is missing in\n{text}");
        }
        for queue in Queue::ALL {
            for family in ["tandem_queue_depth", "tandem_queue_capacity"] {
                let line = format!("{family}{{queue=\"{}\"}} 0", queue.name());
                assert!(text.lines().any(|it| it == line), "{line} is missing in\n{text}");
            }
        }
        let names = Counter::ALL.iter().map(|it| it.name()).chain(Gauge::ALL.iter().map(|it| it.name()));
        let names = names.chain(Histogram::ALL.iter().map(|it| it.name()));
        for name in names {
            assert!(text.contains(&format!("# TYPE {name} ")), "{name}");
        }
    }
}
