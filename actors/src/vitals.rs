//! What is known of an actor that stands as long as its node, whichever actor that is just now; and how it is noticed
//! that one has stopped moving.
//!
//! ```text
//!  actor ── beat, whenever it is woken, and at least each [`BEAT`] ──▶ Vitals ◀── Watch ── whoever supervises it
//! ```

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use ractor::{ActorCell, ActorStatus};
use tandem_core::restart::BackOff;
use tandem_core::time::Timestamp;

use crate::drill::{How, Trap, suffer};

/// Longest time between two beats of an actor that is well.
pub(crate) const BEAT: Duration = Duration::from_millis(500);

/// Looks in a row, a beat apart, at which nothing was heard: that is two seconds.
const PATIENCE: u8 = 4;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Vitals {
    starts: AtomicU32,
    /// When the present one began, on the node's monotonic clock.
    began: AtomicU64,
    beats: AtomicU32,
    actor: Mutex<Option<ActorCell>>,
    trap: Trap,
}

impl Vitals {
    /// From now on it is this one.
    pub(crate) fn begin(&self, actor: ActorCell, now: Timestamp) {
        self.starts.fetch_add(1, Relaxed);
        self.began.store(now.0, Relaxed);
        *self.actor.lock() = Some(actor);
    }

    /// It moves.
    pub(crate) fn beat(&self) {
        self.beats.fetch_add(1, Relaxed);
    }

    /// It was woken: a beat, and the place where it breaks when that is asked for.
    pub(crate) async fn wake(&self) {
        self.beat();
        suffer(self.trap.spring()).await;
    }

    /// Breaks it: at once, or within a beat. Whether there is one.
    pub(crate) fn break_actor(&self, how: How) -> bool {
        let Some(actor) = self.living() else { return false };
        if !self.trap.lay(how) {
            actor.kill();
        }
        true
    }

    /// Ends it and whatever is below it. ractor would do the latter when it is dead, and it may be stuck where no kill
    /// reaches it.
    pub(crate) fn put_down(&self) {
        if let Some(actor) = self.actor.lock().take() {
            put_down(&actor);
        }
    }

    /// Whether somebody is there, as the tree has it.
    pub(crate) fn state(&self) -> &'static str {
        if self.living().is_some() { "running" } else { "waiting" }
    }

    pub(crate) fn age(&self, now: Timestamp) -> Duration {
        now - Timestamp(self.began.load(Relaxed))
    }

    /// How often it was started again.
    pub(crate) fn restarts(&self) -> u32 {
        self.starts.load(Relaxed).saturating_sub(1)
    }

    fn living(&self) -> Option<ActorCell> {
        self.actor.lock().clone().filter(|actor| actor.get_status() < ActorStatus::Stopping)
    }
}

/// From the top: whoever is above does not answer for those below any more.
fn put_down(actor: &ActorCell) {
    let children = actor.get_children();
    actor.kill();
    children.iter().for_each(put_down);
}

/// Listens for beats. To be asked each [`BEAT`]; looks that come in a heap, after a pause of the whole process, count
/// once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Watch {
    heard: u32,
    missed: u8,
    looked: Timestamp,
    heard_at: Timestamp,
}

impl Watch {
    /// Whether nothing was heard for too long.
    pub(crate) fn is_silent(&mut self, vitals: &Vitals, now: Timestamp) -> bool {
        let beats = vitals.beats.load(Relaxed);
        if std::mem::replace(&mut self.heard, beats) != beats {
            (self.missed, self.looked, self.heard_at) = (0, now, now);
        } else if now - self.looked >= BEAT / 2 {
            (self.missed, self.looked) = (self.missed + 1, now);
        }
        self.missed >= PATIENCE
    }

    /// When it was last known to be well. Never: at the start of the clock.
    pub(crate) const fn heard_at(&self) -> Timestamp {
        self.heard_at
    }
}

/// The delay before an actor that stands as long as its node is started again.
pub(crate) const fn back_off() -> BackOff {
    BackOff::new(Duration::from_millis(100), Duration::from_secs(30)).forgotten_after(Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(look: u64) -> Timestamp {
        Timestamp(0) + BEAT * u32::try_from(look).unwrap()
    }

    #[test]
    fn four_looks_without_a_beat_are_too_many_and_a_heap_of_them_is_one() {
        let (vitals, mut watch) = (Vitals::default(), Watch::default());
        vitals.beat();
        assert!((0..4).all(|look| !watch.is_silent(&vitals, at(look))));
        assert!((0..100).all(|_| !watch.is_silent(&vitals, at(3))));
        vitals.beat();
        assert!((4..8).all(|look| !watch.is_silent(&vitals, at(look))));
        assert!(watch.is_silent(&vitals, at(8)));
    }
}
