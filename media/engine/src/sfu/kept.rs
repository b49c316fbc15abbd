//! What the far ends of a room must not notice the loss of, besides the [`peer::Kept`](crate::peer::Kept) of their
//! connections.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use tandem_core::id::TrackId;

use super::forward::{Anchors, Last};
use super::vp8;

/// Which streams of a connection belong to which tracks: their packets stop saying so once they were heard.
#[derive(Debug, Default)]
pub struct Bindings(Mutex<Vec<Binding>>);

/// One stream of a track.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Binding {
    pub(super) ssrc: u32,
    pub(super) track: TrackId,
    pub(super) layer: u8,
    /// Its packets are retransmissions.
    pub(super) is_repair: bool,
}

impl Bindings {
    pub(super) fn all(&self) -> Vec<Binding> {
        self.0.lock().clone()
    }

    pub(super) fn keep(&self, all: Vec<Binding>) {
        *self.0.lock() = all;
    }
}

/// How a track goes out on a connection: from where its numbers are counted, and the last of them. The lock is taken
/// when the layer changes, never per packet.
#[derive(Default)]
pub struct Forwarded {
    anchors: Mutex<Anchors>,
    /// Of the last packet: timestamp, and the picture's numbers if it was VP8.
    last: AtomicU64,
}

impl Forwarded {
    pub(super) fn anchors(&self) -> Anchors {
        *self.anchors.lock()
    }

    pub(super) fn keep_anchors(&self, anchors: Anchors) {
        *self.anchors.lock() = anchors;
    }

    pub(super) fn keep_last(&self, last: Last) {
        let vp8::Numbers { picture, base_layer, key } = last.picture;
        let flags = u64::from(picture.is_some()) | u64::from(base_layer.is_some()) << 1 | u64::from(key.is_some()) << 2;
        let numbers = u64::from(picture.unwrap_or(0)) << 17
            | u64::from(base_layer.unwrap_or(0)) << 9
            | u64::from(key.unwrap_or(0)) << 4;
        // Bit 3: something was sent at all.
        self.last.store(u64::from(last.timestamp) << 32 | numbers | 1 << 3 | flags, Relaxed);
    }

    pub(super) fn last(&self) -> Option<Last> {
        let word = self.last.load(Relaxed);
        let has = |bit: u32| word >> bit & 1 == 1;
        has(3).then(|| Last {
            timestamp: (word >> 32) as u32,
            picture: vp8::Numbers {
                picture: has(0).then_some((word >> 17) as u16 & 0x7fff),
                base_layer: has(1).then_some((word >> 9) as u8),
                key: has(2).then_some((word >> 4) as u8 & 0x1f),
            },
        })
    }
}

impl fmt::Debug for Forwarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forwarded").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_numbers_come_back_as_they_were() {
        let kept = Forwarded::default();
        assert_eq!(kept.last(), None);
        for picture in [
            vp8::Numbers::default(),
            vp8::Numbers { picture: Some(0x7fff), base_layer: None, key: Some(31) },
            vp8::Numbers { picture: None, base_layer: Some(255), key: None },
        ] {
            let last = Last { timestamp: u32::MAX - 1, picture };
            kept.keep_last(last);
            assert_eq!(kept.last(), Some(last));
        }
    }
}
