//! How what is measured is spread over fixed buckets: two atomic additions each time.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{Histogram, Reading};

/// Micro- of the unit that is shown, as all times are kept.
pub(super) const MICROS: u64 = 1_000_000;

/// From half a millisecond, which is what setting up a call takes here, to seconds, in microseconds.
pub(super) const SHORT: &[u64] = &[
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000,
];

/// What people take to answer, in microseconds.
const RINGING: &[u64] = &[
    100_000, 250_000, 500_000, 1_000_000, 2_000_000, 3_000_000, 5_000_000, 8_000_000, 12_000_000, 20_000_000,
    30_000_000, 60_000_000, 90_000_000,
];

/// What people talk, in microseconds.
const TALKING: &[u64] = &[
    1_000_000,
    5_000_000,
    15_000_000,
    30_000_000,
    60_000_000,
    180_000_000,
    300_000_000,
    600_000_000,
    1_800_000_000,
    3_600_000_000,
    7_200_000_000,
];

impl Histogram {
    /// Upper bounds of the buckets but for the last, rising, in what is kept.
    pub(super) const fn bounds(self) -> &'static [u64] {
        match self {
            Self::CallSetup | Self::LedgerCommit => SHORT,
            Self::PostDialDelay | Self::TimeToAnswer => RINGING,
            Self::CallDuration => TALKING,
            // The classes of ITU-T G.107, Annex B, in thousandths.
            Self::MediaMos => &[1_000, 2_000, 2_600, 3_100, 3_600, 4_000, 4_200, 4_300, 4_400],
            Self::MediaLoss => &[0, 1, 2, 5, 10, 20, 30, 50, 100, 200, 500],
            Self::MediaJitter => &[1_000, 2_000, 5_000, 10_000, 20_000, 30_000, 50_000, 100_000, 200_000],
        }
    }

    /// What is kept for one of what is shown.
    pub(super) const fn per_unit(self) -> u64 {
        match self {
            Self::CallSetup
            | Self::LedgerCommit
            | Self::PostDialDelay
            | Self::TimeToAnswer
            | Self::CallDuration
            | Self::MediaJitter => MICROS,
            Self::MediaMos => 1_000,
            Self::MediaLoss => 1,
        }
    }
}

/// One spread.
#[derive(Debug)]
pub(super) struct Cells {
    bounds: &'static [u64],
    /// One more than bounds.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Cells {
    pub(super) fn new(bounds: &'static [u64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum: AtomicU64::new(0) }
    }

    pub(super) fn observe(&self, value: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Relaxed);
            self.sum.fetch_add(value, Relaxed);
        }
    }

    /// As it is shown. What is counted meanwhile may be in its sum and not yet in its buckets.
    pub(super) fn read(&self, per_unit: u64) -> Reading {
        let shown = |value: u64| value as f64 / per_unit as f64;
        let mut count = 0;
        let mut below = Vec::with_capacity(self.bounds.len());
        for (cell, bound) in self.counts.iter().zip(self.bounds) {
            count += cell.load(Relaxed);
            below.push((shown(*bound), count));
        }
        count += self.counts.last().map_or(0, |cell| cell.load(Relaxed));
        Reading::Spread { below, sum: shown(self.sum.load(Relaxed)), count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_in_the_bucket_whose_bound_it_does_not_exceed() {
        let cells = Cells::new(&[1_000, 2_000]);
        [0, 1_000, 1_001, 2_000, 2_001, 9_000].into_iter().for_each(|value| cells.observe(value));
        let expected = Reading::Spread { below: vec![(1.0, 2), (2.0, 4)], sum: 15.002, count: 6 };
        assert_eq!(cells.read(1_000), expected);
    }

    #[test]
    fn bounds_rise() {
        for histogram in Histogram::ALL {
            assert!(histogram.bounds().is_sorted_by(|one, two| one < two), "{}", histogram.name());
        }
    }
}
