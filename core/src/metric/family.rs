//! All counts as whoever exports them wants them: by name, with labels. Prometheus and OTLP get the same.

use super::{Counter, Gauge, Histogram, Metrics, Signal};
use crate::cause::Cause;

/// What has one name.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// On the outside.
    pub name: &'static str,
    /// What it means.
    pub help: String,
    /// How it behaves.
    pub kind: Kind,
    /// Its values, told apart by their labels.
    pub samples: Vec<Sample>,
}

/// How values behave.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// They only rise.
    Counter,
    /// They rise and fall.
    Gauge,
    /// They are spread over buckets.
    Histogram,
}

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Names and values.
    pub labels: Vec<(&'static str, String)>,
    /// The value.
    pub reading: Reading,
}

/// What was read.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// Of a counter or a gauge.
    Value(f64),
    /// Of a histogram.
    Spread {
        /// Each bound, and how many did not exceed it.
        below: Vec<(f64, u64)>,
        /// Of all values.
        sum: f64,
        /// How many there are.
        count: u64,
    },
}

impl Metrics {
    /// Everything that is counted, as it stands now.
    #[must_use]
    pub fn families(&self) -> Vec<Family> {
        let counters = Counter::ALL.iter().map(|it| one(it.name(), it.help(), Kind::Counter, self.counter(*it) as f64));
        let gauges = Gauge::ALL.iter().map(|it| one(it.name(), it.help(), Kind::Gauge, self.gauge(*it) as f64));
        let histograms = Histogram::ALL.iter().zip(&self.histograms).map(|(it, cells)| Family {
            name: it.name(),
            help: it.help().to_owned(),
            kind: Kind::Histogram,
            samples: vec![Sample { labels: Vec::new(), reading: cells.read(it.per_unit()) }],
        });
        let ended = Cause::ALL.iter().map(|it| labelled("cause", it.name(), self.ended_for(*it) as f64)).collect();
        let ended = family("tandem_calls_ended_total", "Calls that are over, by cause.", Kind::Counter, ended);
        let build = vec![labelled("version", env!("CARGO_PKG_VERSION"), 1.0)];
        let build = family("tandem_build_info", "Always 1; its labels say what runs.", Kind::Gauge, build);
        let requests = self.requests.family();
        let first = counters.chain(gauges).chain(histograms).chain([ended, build, requests]);
        first.chain(self.queue_families()).chain(self.otlp_families()).collect()
    }

    fn queue_families(&self) -> [Family; 2] {
        let queues = self.queues();
        let depth = queues.iter().map(|(queue, fill)| labelled("queue", queue.name(), fill.depth as f64)).collect();
        let capacity = queues.iter().map(|(queue, it)| labelled("queue", queue.name(), it.capacity as f64)).collect();
        let what: Vec<_> = queues.iter().map(|(queue, _)| format!("{}: {}", queue.name(), queue.help())).collect();
        let what = format!("What is in each bounded queue. {}", what.join(" "));
        [
            family("tandem_queue_depth", &what, Kind::Gauge, depth),
            family("tandem_queue_capacity", "What fits into it.", Kind::Gauge, capacity),
        ]
    }

    fn otlp_families(&self) -> [Family; 2] {
        let of = |pick: fn((u64, u64)) -> u64| {
            let samples = Signal::ALL.iter().map(|it| labelled("signal", it.name(), pick(self.otlp(*it)) as f64));
            samples.collect()
        };
        [
            family(
                "tandem_otlp_exported_total",
                "What the collector took.",
                Kind::Counter,
                of(|(exported, _)| exported),
            ),
            family("tandem_otlp_dropped_total", "What it never got.", Kind::Counter, of(|(_, dropped)| dropped)),
        ]
    }
}

fn family(name: &'static str, help: &str, kind: Kind, samples: Vec<Sample>) -> Family {
    Family { name, help: help.to_owned(), kind, samples }
}

fn one(name: &'static str, help: &str, kind: Kind, value: f64) -> Family {
    family(name, help, kind, vec![Sample { labels: Vec::new(), reading: Reading::Value(value) }])
}

fn labelled(label: &'static str, value: &str, reading: f64) -> Sample {
    Sample { labels: vec![(label, value.to_owned())], reading: Reading::Value(reading) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_name_is_given_once_and_says_what_it_means() {
        let metrics = Metrics::default();
        metrics.took(Histogram::CallSetup, Duration::from_millis(2));
        let families = metrics.families();
        for (n, family) in families.iter().enumerate() {
            assert!(families[..n].iter().all(|other| other.name != family.name), "{}", family.name);
            assert!(!family.help.is_empty() && family.name.starts_with("tandem_"), "{}", family.name);
            assert_eq!(family.kind == Kind::Counter, family.name.ends_with("_total"), "{}", family.name);
        }
        let setup = families.iter().find(|family| family.name == Histogram::CallSetup.name()).unwrap();
        assert!(matches!(setup.samples[0].reading, Reading::Spread { count: 1, sum: 0.002, .. }));
    }

    #[test]
    fn a_call_that_failed_is_counted_as_one_and_one_that_was_declined_is_not() {
        let metrics = Metrics::default();
        [Cause::MediaLost, Cause::Declined, Cause::Normal].into_iter().for_each(|cause| metrics.ended(cause));
        assert_eq!(metrics.counter(Counter::CallsFailed), 1);
    }
}
