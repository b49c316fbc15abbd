//! Waiting for what must happen.

use std::time::{Duration, Instant};

/// Longest wait for something that normally takes a moment: the machine may have two cores and much else to do.
pub const SOON: Duration = Duration::from_secs(20);

/// Waits until `probe` gives something.
///
/// # Panics
/// When it does not in time: then what was waited for did not happen.
pub fn eventually<T>(what: &str, patience: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within {patience:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
