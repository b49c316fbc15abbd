//! What comes on the port that all peers of a worker share: rooms' first, then calls'.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tandem_core::metric::Counter;
use tandem_core::time::Timestamp;
use tandem_engine::{Socket, SocketKind};

use super::{PACKET, Worker};
use crate::shared_port::{Joined, READS};

/// Reads of the peers' socket in one turn, each of up to [`READS`] times what the network joined: more, for it has
/// thousands of them; some hundreds of microseconds.
const SHARED_BURST: usize = 16;

impl Worker<'_> {
    pub(super) fn read_shared(&mut self) {
        let Some(shared) = self.pool.shared_ports.get(self.index) else { return };
        let mut reads = [Joined::NOTHING; READS];
        self.rooms.begin_turn();
        for _ in 0..SHARED_BURST {
            if !self.seat.is_held_by(self.generation) {
                return;
            }
            if self.rooms.has_done_enough() {
                break;
            }
            let now = self.pool.clock.mono();
            match shared.receive(&mut self.batch, &mut reads) {
                Ok(count) => {
                    self.take_reads(now, reads.get(..count).unwrap_or_default());
                    // There was no more, and whatever came since has its own event.
                    if count < READS {
                        return;
                    }
                }
                Err(empty) if empty.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {}
            }
        }
        self.is_shared_unfinished = true;
    }

    fn take_reads(&mut self, now: Timestamp, reads: &[Joined]) {
        for read in reads {
            for begin in (read.begin..read.begin + read.len).step_by(read.stride) {
                let end = (begin + read.stride).min(read.begin + read.len);
                self.take_shared(now, read.from, begin..end);
                if self.rooms.is_full() {
                    self.forward_rooms(now);
                }
            }
        }
        self.forward_rooms(now);
    }

    fn take_shared(&mut self, now: Timestamp, from: SocketAddr, at: Range<usize>) {
        if self.take_room(now, from, at.clone()) {
            return;
        }
        let Some(datagram) = self.batch.get(at).filter(|datagram| datagram.len() <= PACKET) else { return };
        // Nobody's leg yet: what cannot even be told apart costs itself.
        let engine = &mut self.engine;
        let found = catch_unwind(AssertUnwindSafe(|| engine.find_peer(from, datagram))).unwrap_or_else(|_| {
            self.pool.metrics.count(Counter::MediaPanics);
            None
        });
        let Some(place) = found else { return };
        let Some(found) = self.places.get(place).and_then(Clone::clone).filter(|found| self.owns(found)) else {
            return;
        };
        // Its answer is sealed where it lies, and needs room.
        let len = datagram.len();
        if let Some(room) = self.buffer.get_mut(..len) {
            room.copy_from_slice(datagram);
        }
        self.take(now, &found, Socket { place, kind: SocketKind::Peer }, from, len);
        self.send_due();
    }
}
