//! How requests of HTTP fare, by route: how many, with what outcome, how long.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;

use super::histogram::{Cells, MICROS, SHORT};
use super::{Family, Kind, Sample};

/// Most of them. There are as many as routes, methods and outcomes; this is for who adds one that is none.
const MOST: usize = 2_000;

/// Method, route, and the first digit of the status.
type Key = (&'static str, Arc<str>, u16);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Requests(RwLock<BTreeMap<Key, Arc<Cells>>>);

impl Requests {
    pub(super) fn answered(&self, method: &'static str, route: &str, status: u16, time: Duration) {
        let key = (method, Arc::from(route), status / 100);
        let known = self.0.read().get(&key).cloned();
        let cells = known.or_else(|| {
            let mut all = self.0.write();
            let has_room = all.len() < MOST || all.contains_key(&key);
            has_room.then(|| all.entry(key).or_insert_with(|| Arc::new(Cells::new(SHORT))).clone())
        });
        if let Some(cells) = cells {
            cells.observe(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        }
    }

    pub(super) fn family(&self) -> Family {
        let sample = |((method, route, class), cells): (&Key, &Arc<Cells>)| {
            let labels =
                vec![("method", (*method).to_owned()), ("route", route.to_string()), ("status", format!("{class}xx"))];
            Sample { labels, reading: cells.read(MICROS) }
        };
        Family {
            name: "tandem_http_request_duration_seconds",
            help: String::from("Requests of HTTP: how long each took, by route and kind of status."),
            kind: Kind::Histogram,
            samples: self.0.read().iter().map(sample).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::Reading;

    #[test]
    fn requests_are_told_apart_by_method_route_and_kind_of_status_and_are_bounded() {
        let requests = Requests::default();
        for (method, route, status) in [("GET", "/a/{id}", 200), ("GET", "/a/{id}", 204), ("GET", "/a/{id}", 404)] {
            requests.answered(method, route, status, Duration::from_millis(2));
        }
        let samples = requests.family().samples;
        let counts: Vec<_> = samples.iter().map(|it| (it.labels[2].1.as_str(), it.reading.clone())).collect();
        let [("2xx", Reading::Spread { count: 2, sum, .. }), ("4xx", Reading::Spread { count: 1, .. })] = &counts[..]
        else {
            panic!("{counts:?}")
        };
        assert!((sum - 0.004).abs() < 1e-9);
        (0..3_000).for_each(|n| requests.answered("GET", &n.to_string(), 200, Duration::ZERO));
        assert_eq!(requests.family().samples.len(), MOST);
    }
}
