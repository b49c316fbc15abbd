//! What waits for receivers, fetched for each as runs of packets of one size: one system call sends a run.

use std::net::SocketAddr;

use tandem_core::time::Timestamp;

use super::Sfu;
use super::codec::Kind;
use super::forward::Outcome;

/// Packets that may wait for their receivers until they are fetched: then it is time to fetch them. Some ten milliseconds
/// of work, so that of a full worker's packets several go to each of a thousand receivers at a time.
const WAITING: usize = 8_192;

#[derive(Default)]
pub(super) struct Queue {
    pub(super) entries: Vec<(u32, u32)>,
    next: usize,
    pub(super) is_filled: bool,
}

/// Packets for one receiver, ready to go: all of `segment` bytes, the last perhaps of fewer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Run {
    /// Where to.
    pub to: SocketAddr,
    /// Bytes in all.
    pub len: usize,
    /// Bytes of each.
    pub segment: usize,
}

/// A run that is being filled.
struct Build<'a> {
    out: &'a mut [u8],
    len: usize,
    segment: usize,
    count: usize,
    limit: usize,
    is_closed: bool,
}

impl<'a> Build<'a> {
    fn new(out: &'a mut [u8], limit: usize) -> Self {
        Self { out, len: 0, segment: 0, count: 0, limit: limit.max(1), is_closed: false }
    }

    /// Room for a packet of that size. `None`: it belongs to the next run.
    fn room(&mut self, planned: usize) -> Option<&mut [u8]> {
        let fits = self.count == 0 || self.count < self.limit && planned <= self.segment;
        if self.is_closed || !fits || self.len + planned > self.out.len() {
            self.is_closed = self.len > 0;
            return if self.len == 0 { Some(&mut []) } else { None };
        }
        self.out.get_mut(self.len..self.len + planned)
    }

    fn rest(&mut self) -> &mut [u8] {
        self.out.get_mut(self.len..).unwrap_or_default()
    }

    fn add(&mut self, len: usize) {
        if self.count == 0 {
            self.segment = len;
        }
        // Only the last may be shorter.
        self.is_closed = len < self.segment;
        self.len += len;
        self.count += 1;
    }

    /// A packet that stands alone.
    fn close(&mut self, len: usize) {
        self.add(len);
        self.is_closed = true;
    }
}

impl Sfu {
    /// Whether so much waits that it should be fetched before more is received.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.waiting >= WAITING
    }

    /// A place that has something to be fetched with [`forward`](Self::forward). When there is none left, the datagrams
    /// of this batch are not needed any more.
    pub fn poll_filled(&mut self) -> Option<usize> {
        let place = self.filled.pop_front();
        if place.is_none() {
            self.arrivals.clear();
            self.waiting = 0;
            self.ask_for_keys();
        }
        place
    }

    /// The next run of packets for the connection at a place, at most `segments` of them, until there is none. `batch`:
    /// where the datagrams lie.
    #[must_use]
    pub fn forward(
        &mut self,
        now: Timestamp,
        place: usize,
        batch: &[u8],
        out: &mut [u8],
        segments: usize,
    ) -> Option<Run> {
        let mut run = Build::new(out, segments);
        while self.forward_queued(now, place, batch, &mut run) {}
        if run.len == 0 {
            self.forward_missed(place, &mut run);
        }
        let (len, segment) = (run.len, run.segment);
        let to = self.transport(place).and_then(|transport| transport.peer.address());
        if let Some(to) = to.filter(|_| len > 0) {
            return Some(Run { to, len, segment });
        }
        if let Some(queue) = self.queues.get_mut(place) {
            queue.entries.clear();
            (queue.next, queue.is_filled) = (0, false);
        }
        None
    }

    /// Fills a run. `true`: it is to go on, for there was a change that others must see first.
    fn forward_queued(&mut self, now: Timestamp, place: usize, batch: &[u8], run: &mut Build<'_>) -> bool {
        let Self { transports, queues, arrivals, keys, counts, .. } = self;
        let (Some(transport), Some(queue)) =
            (transports.get_mut(place).and_then(Option::as_deref_mut), queues.get_mut(place))
        else {
            return false;
        };
        let Some(overhead) = transport.peer.seal_overhead() else { return false };
        let mut changed = None;
        while let Some(&(arrival, slot)) = queue.entries.get(queue.next) {
            let (Some(arrival), Some(forward)) = (
                arrivals.get(arrival as usize),
                transport.forwards.get_mut(slot as usize).and_then(Option::as_deref_mut),
            ) else {
                queue.next += 1;
                continue;
            };
            let Some(room) = run.room(forward.planned(arrival, overhead)) else { break };
            queue.next += 1;
            let payload = batch.get(arrival.begin..arrival.end).unwrap_or_default();
            let before = forward.layers();
            match forward.send(now, &transport.peer, arrival, payload, room) {
                Outcome::Sent(len) => {
                    counts.forwarded += 1;
                    run.add(len);
                }
                Outcome::Nothing => {}
                Outcome::NeedsKey => keys.extend(forward.source.map(|(at, track)| (at, track, arrival.layer))),
            }
            if forward.layers() != before {
                changed = forward.source.map(|source| (source, slot as usize, forward.layers()));
                break;
            }
        }
        let Some((source, slot, layers)) = changed else { return false };
        self.mark(source, place, slot, layers);
        true
    }

    fn forward_missed(&mut self, place: usize, run: &mut Build<'_>) {
        let mut payload = [0_u8; 2_048];
        loop {
            let Some(transport) = self.transport(place) else { return };
            let Some((slot, missed)) = transport.next_missed() else { return };
            let Some(source) = self.forward_at(place, slot).and_then(|forward| forward.source) else { continue };
            let found = self.intake_at(source).and_then(|intake| {
                let layer = intake.layer(missed.layer).filter(|layer| layer.ssrc == missed.ssrc)?;
                let (past, bytes) = layer.history.find(missed.number)?;
                payload.get_mut(..bytes.len())?.copy_from_slice(bytes);
                let len = bytes.len();
                Some((past, len, intake.kind_of(past.payload_type)?.0 == Kind::Vp8))
            });
            let Some((past, len, is_vp8)) = found else { continue };
            let Some(transport) = self.transports.get_mut(place).and_then(Option::as_deref_mut) else { return };
            let Some(forward) = transport.forwards.get_mut(slot).and_then(Option::as_deref_mut) else { continue };
            let bytes = payload.get(..len).unwrap_or_default();
            // Each its own run: repairs are few, and of all sizes.
            let room = run.rest();
            if let Some(sealed) = forward.repair(&transport.peer, &missed, past, is_vp8, bytes, room) {
                self.counts.repaired += 1;
                run.close(sealed);
                return;
            }
        }
    }
}
