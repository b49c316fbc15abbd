//! What became of every packet of one direction of a call.

use std::time::{Duration, Instant};

use crate::harness::rtp::{PACKET_TIME, Packet};

/// A moment of the run, in tenths of a millisecond since its begin: 0 is before everything.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Moment(u32);

/// The clock of a run.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

/// See the module. Packets are numbered from 0.
#[derive(Debug, Default)]
pub struct Trail {
    sent: Vec<Moment>,
    arrived: Vec<Moment>,
    /// Packets that came a second time.
    pub doubled: u32,
    /// Packets that came and are another stream's.
    pub foreign: u32,
    /// When a packet came whose sequence number, timestamp or SSRC did not go on from the packet before.
    pub jumps: Vec<Moment>,
    shape: Option<(u32, u16, u32)>,
}

/// A silence between two packets that came one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Gap {
    /// When the first of them came.
    pub from: Moment,
    /// When the second came; if none did, when the last one was sent.
    pub until: Moment,
    /// How much longer than it takes when all goes well; what the driver itself sent late is not in it.
    pub excess: Duration,
}

impl Stopwatch {
    /// From now on.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Never 0.
    pub fn now(&self) -> Moment {
        Moment(u32::try_from(self.0.elapsed().as_micros() / 100).unwrap_or(u32::MAX).saturating_add(1))
    }
}

impl Moment {
    /// How long after an earlier one.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::from(self.0.saturating_sub(earlier.0)) * 100)
    }

    /// So much later.
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(u32::try_from(wait.as_micros() / 100).unwrap_or(u32::MAX)))
    }
}

impl Trail {
    /// The next packet leaves now. Gives its number.
    pub fn send(&mut self, now: Moment) -> u32 {
        self.sent.push(now);
        u32::try_from(self.sent.len() - 1).unwrap_or(u32::MAX)
    }

    /// A packet came; those of this trail have that mark.
    pub fn arrive(&mut self, now: Moment, packet: &Packet, mark: u32) {
        let place = packet.number as usize;
        if packet.mark != mark || place >= self.sent.len() {
            self.foreign += 1;
            return;
        }
        self.arrived.resize(self.sent.len(), Moment::default());
        let number = packet.number;
        let shape = (
            packet.ssrc,
            packet.sequence.wrapping_sub((number & 0xffff) as u16),
            packet.timestamp.wrapping_sub(number.wrapping_mul(160)),
        );
        if self.shape.replace(shape).is_some_and(|before| before != shape) {
            self.jumps.push(now);
        }
        if self.arrived[place] == Moment::default() {
            self.arrived[place] = now;
        } else {
            self.doubled += 1;
        }
    }

    /// How many were sent.
    pub fn sent(&self) -> usize {
        self.sent.len()
    }

    /// How many came.
    pub fn received(&self) -> usize {
        self.arrived.iter().filter(|it| **it != Moment::default()).count()
    }

    /// Whether none came, although some were sent after that moment.
    pub fn is_silent(&self, since: Moment) -> bool {
        self.received() == 0 && self.sent.last().is_some_and(|it| *it > since)
    }

    /// When the first one left that came, and when it came: some wait in a socket that nobody reads yet.
    pub fn begin(&self) -> Option<(Moment, Moment)> {
        self.sent.iter().enumerate().find_map(|(place, left)| Some((*left, self.came(place)?)))
    }

    /// Whether the last one that was sent is there, and all between that moment and then.
    pub fn is_complete(&self, since: Moment) -> bool {
        let last = self.sent.len().checked_sub(1);
        last.is_some_and(|it| self.came(it).is_some()) && self.lost(since).next().is_none()
    }

    /// When each of those left that did not come, from that moment on: what is sent before both sides are connected has
    /// nowhere to go.
    pub fn lost(&self, since: Moment) -> impl Iterator<Item = Moment> {
        let first = self.sent.partition_point(|it| *it <= since);
        let sent = self.sent.iter().enumerate().skip(first);
        sent.filter(|(place, _)| self.came(*place).is_none()).map(|(_, at)| *at)
    }

    /// The silences from that moment on, in order. A packet that was overtaken makes none; one before the first that came,
    /// or after the last, is as long as packets were sent.
    pub fn gaps(&self, since: Moment) -> impl Iterator<Item = Gap> {
        let (first, end) = (self.sent.partition_point(|it| *it <= since), self.sent.len());
        let came = self.sent.iter().enumerate().skip(first).filter_map(move |(place, sent)| {
            let at = self.came(place).or_else(|| (place + 1 == end).then_some(*sent))?;
            Some((place, at, *sent))
        });
        // As if that had come at once.
        let before = first.checked_sub(1).and_then(|place| Some((place, *self.sent.get(place)?)));
        let mut last = before.map(|(place, sent)| (place, sent, sent));
        came.filter_map(move |(place, at, sent)| {
            let (number, from, left) = last.replace((place, at, sent))?;
            // Lost packets do not make a silence shorter, a driver that was late does not make it longer.
            let steps = PACKET_TIME * u32::try_from(place - number).unwrap_or(u32::MAX);
            let usual = PACKET_TIME + sent.since(left).saturating_sub(steps);
            Some(Gap { from, until: at, excess: at.since(from).saturating_sub(usual) })
        })
    }

    fn came(&self, place: usize) -> Option<Moment> {
        self.arrived.get(place).copied().filter(|it| *it != Moment::default())
    }
}
