//! The node's counts in Prometheus' text format. The atomics of core stay the only place where anything is counted.

use prometheus::proto::{Counter as CounterValue, Gauge as GaugeValue, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Result, TextEncoder};
use tandem_core::cause::Cause;
use tandem_core::metric::{Counter, Fill, Gauge, Metrics, Queue};

/// All counts as they stand now.
///
/// # Errors
/// None in practice: the encoder refuses families without a name or a metric.
pub(crate) fn exposition(metrics: &Metrics) -> Result<String> {
    TextEncoder::new().encode_to_string(&families(metrics))
}

fn families(metrics: &Metrics) -> Vec<MetricFamily> {
    let counters = Counter::ALL.iter().map(|counter| {
        let value = count(metrics.counter(*counter));
        family(counter.name(), counter.help(), MetricType::COUNTER, vec![value])
    });
    let gauges = Gauge::ALL.iter().map(|gauge| {
        let mut value = GaugeValue::default();
        value.set_value(metrics.gauge(*gauge) as f64);
        family(gauge.name(), gauge.help(), MetricType::GAUGE, vec![Metric::from_gauge(value)])
    });
    let ended = Cause::ALL.iter().map(|cause| {
        let mut label = LabelPair::default();
        label.set_name(String::from("cause"));
        label.set_value(cause.name().to_owned());
        let mut value = count(metrics.ended_for(*cause));
        value.set_label(vec![label]);
        value
    });
    let ended =
        family("tandem_calls_ended_total", "Calls that are over, by cause.", MetricType::COUNTER, ended.collect());
    counters.chain(gauges).chain([ended]).chain(queues(metrics)).collect()
}

fn queues(metrics: &Metrics) -> [MetricFamily; 2] {
    let (mut depths, mut capacities) = (Vec::new(), Vec::new());
    for (queue, Fill { depth, capacity }) in metrics.queues() {
        for (values, value) in [(&mut depths, depth), (&mut capacities, capacity)] {
            let mut label = LabelPair::default();
            label.set_name(String::from("queue"));
            label.set_value(queue.name().to_owned());
            let mut gauge = GaugeValue::default();
            gauge.set_value(value as f64);
            let mut metric = Metric::from_gauge(gauge);
            metric.set_label(vec![label]);
            values.push(metric);
        }
    }
    let what = Queue::ALL.iter().map(|queue| format!("{}: {}", queue.name(), queue.help())).collect::<Vec<_>>();
    let depth = format!("What is in each bounded queue. {}", what.join(" "));
    [
        family("tandem_queue_depth", &depth, MetricType::GAUGE, depths),
        family("tandem_queue_capacity", "What fits into it.", MetricType::GAUGE, capacities),
    ]
}

fn count(value: u64) -> Metric {
    let mut counter = CounterValue::default();
    counter.set_value(value as f64);
    let mut metric = Metric::default();
    metric.set_counter(counter);
    metric
}

fn family(name: &str, help: &str, kind: MetricType, values: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(values);
    family
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_count_is_exported_under_its_name_and_with_its_value() {
        let metrics = Metrics::default();
        metrics.add(Counter::CallsStarted, 7);
        metrics.set(Gauge::CallsActive, -2);
        metrics.ended(Cause::Busy);
        let text = exposition(&metrics).unwrap();
        for line in
            ["tandem_calls_started_total 7", "tandem_calls_active -2", "tandem_calls_ended_total{cause=\"busy\"} 1"]
        {
            assert!(text.lines().any(|it| it == line), "{line} is missing in\n{text}");
        }
        for queue in Queue::ALL {
            for family in ["tandem_queue_depth", "tandem_queue_capacity"] {
                let line = format!("{family}{{queue=\"{}\"}} 0", queue.name());
                assert!(text.lines().any(|it| it == line), "{line} is missing in\n{text}");
            }
        }
        let names = Counter::ALL.iter().map(|it| it.name()).chain(Gauge::ALL.iter().map(|it| it.name()));
        for name in names {
            assert!(text.contains(&format!("# TYPE {name} ")), "{name}");
        }
    }
}
