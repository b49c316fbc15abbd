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
    /// Packets whose sequence number, timestamp or SSRC did not go on from the packet before.
    pub jumps: u32,
    shape: Option<(u32, u16, u32)>,
}

/// A silence between two packets that came one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Gap {
    /// When the first of them came.
    pub from: Moment,
    /// When the second came.
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

    /// A packet came.
    pub fn arrive(&mut self, now: Moment, packet: &Packet) {
        let place = packet.number as usize;
        if place >= self.sent.len() {
            // None of ours: left over on a port that somebody else had before.
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
            self.jumps += 1;
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

    /// Whether the last one that was sent is there, and all between the first that came and that.
    pub fn is_complete(&self) -> bool {
        self.arrived.len() == self.sent.len() && self.first().is_some() && self.lost().next().is_none()
    }

    /// When each of those left that did not come, from the first on that came: what is sent before both sides are
    /// connected has nowhere to go.
    pub fn lost(&self) -> impl Iterator<Item = Moment> {
        let first = self.first().unwrap_or(self.sent.len());
        let came = |place| self.arrived.get(place).is_some_and(|it| *it != Moment::default());
        self.sent.iter().enumerate().skip(first).filter(move |(place, _)| !came(*place)).map(|(_, at)| *at)
    }

    /// The silences, in order. A packet that was overtaken makes none.
    pub fn gaps(&self) -> impl Iterator<Item = Gap> {
        let came = self.arrived.iter().zip(&self.sent).enumerate().filter(|(_, (at, _))| **at != Moment::default());
        let mut last = None;
        came.filter_map(move |(place, (at, sent))| {
            let before = last.replace((place, *at, *sent));
            let (number, from, left) = before?;
            // Lost packets do not make a silence shorter, a driver that was late does not make it longer.
            let steps = PACKET_TIME * u32::try_from(place - number).unwrap_or(u32::MAX);
            let usual = PACKET_TIME + sent.since(left).saturating_sub(steps);
            Some(Gap { from, until: *at, excess: at.since(from).saturating_sub(usual) })
        })
    }

    fn first(&self) -> Option<usize> {
        self.arrived.iter().position(|it| *it != Moment::default())
    }
}
