//! What a panic says: where and on which thread. Never its payload, which may quote what somebody sent.

use std::panic;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Instant;

use tracing::error;

/// Panics logged per second; a peer that finds a way to cause them must not fill the disk.
const PER_SECOND: u64 = 5;

/// Replaces the standard hook, which prints the payload.
pub(super) fn install_hook() {
    let limit = Limit::default();
    let start = Instant::now();
    panic::set_hook(Box::new(move |info| {
        let Some(suppressed) = limit.admit(start.elapsed().as_secs()) else { return };
        let location = info.location().map(ToString::to_string).unwrap_or_default();
        let thread = thread::current();
        error!(location, thread = thread.name().unwrap_or("unnamed"), suppressed, "panic");
    }));
}

/// Counts per second. Two threads at the turn of a second may count one panic twice or not: nobody minds.
#[derive(Default)]
struct Limit {
    second: AtomicU64,
    seen: AtomicU64,
    suppressed: AtomicU64,
}

impl Limit {
    /// Whether this one may be logged, and how many were not since the last one.
    fn admit(&self, second: u64) -> Option<u64> {
        if self.second.swap(second, Relaxed) != second {
            self.seen.store(0, Relaxed);
        }
        if self.seen.fetch_add(1, Relaxed) < PER_SECOND {
            return Some(self.suppressed.swap(0, Relaxed));
        }
        self.suppressed.fetch_add(1, Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_panics_is_cut_and_its_size_is_told() {
        let limit = Limit::default();
        let logged = (0..100).filter_map(|_| limit.admit(7)).count();
        assert_eq!(logged, 5);
        assert_eq!(limit.admit(8), Some(95));
        assert_eq!(limit.admit(8), Some(0));
    }
}
