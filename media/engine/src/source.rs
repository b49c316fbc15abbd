//! One source of packets as its receiver sees it: loss, jitter, and whether a number can be right (RFC 3550, A.1–A.8).

use tandem_core::time::Timestamp;

use crate::rtcp::ReceptionBlock;

/// A number further ahead than this is a restart of the source, not a loss.
const MAX_DROPOUT: u16 = 3_000;

/// A number further behind than this is a restart of the source, not a packet that was late.
const MAX_MISORDER: u16 = 100;

/// Whether `sequence` can follow `highest`: some lost in between, or a little late.
pub(crate) fn can_follow(highest: u16, sequence: u16) -> bool {
    sequence.wrapping_sub(highest).wrapping_add(MAX_MISORDER) < MAX_DROPOUT + MAX_MISORDER
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    ssrc: u32,
    highest: u16,
    /// Times that the sequence number went round, in the upper half.
    cycles: u32,
    base: u32,
    received: u32,
    /// A restart is believed when its second packet comes: that number.
    restart: Option<u16>,
    expected_before: u32,
    received_before: u32,
    /// Arrival time less timestamp, in units of the format's clock; `None` until there is a packet to compare with.
    transit: Option<u32>,
    /// Sixteen times the jitter, as in RFC 3550, A.8.
    jitter_16: u32,
    /// The middle of the NTP time of its last sender report, and when that came.
    last_report: Option<(u32, Timestamp)>,
}

/// What a source has come to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Tally {
    pub(crate) ssrc: u32,
    /// Its first number.
    pub(crate) base: u32,
    /// Its highest number, with its rollovers.
    pub(crate) highest: u32,
    /// Packets, repeats among them.
    pub(crate) received: u32,
}

impl Tally {
    /// Packets that did not come.
    pub(crate) fn lost(self) -> u64 {
        let expected = self.highest.wrapping_sub(self.base).wrapping_add(1);
        expected.saturating_sub(self.received).into()
    }
}

impl Source {
    /// The same source, as if it had been followed all the time.
    pub(crate) fn resume(tally: Tally, jitter_16: u32) -> Self {
        let highest = tally.highest as u16;
        let source = Self {
            highest,
            cycles: tally.highest - u32::from(highest),
            base: tally.base,
            received: tally.received,
            jitter_16,
            ..Self::new(tally.ssrc, highest)
        };
        // The next report is about what comes from here on.
        let expected_before = tally.highest.wrapping_sub(tally.base).wrapping_add(1);
        Self { expected_before, received_before: tally.received, ..source }
    }

    pub(crate) fn tally(&self) -> Tally {
        let highest = self.cycles.wrapping_add(u32::from(self.highest));
        Tally { ssrc: self.ssrc, base: self.base, highest, received: self.received }
    }

    /// Sixteen times the jitter, in units of the format's clock.
    pub(crate) fn jitter_16(&self) -> u32 {
        self.jitter_16
    }

    pub(crate) fn new(ssrc: u32, sequence: u16) -> Self {
        Self {
            ssrc,
            highest: sequence,
            cycles: 0,
            base: u32::from(sequence),
            received: 1,
            restart: None,
            expected_before: 0,
            received_before: 0,
            transit: None,
            jitter_16: 0,
            last_report: None,
        }
    }

    pub(crate) fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Takes note of a packet. `false`: its number cannot be right, and the packet is not to be believed.
    pub(crate) fn follow(&mut self, ssrc: u32, sequence: u16) -> bool {
        if ssrc != self.ssrc || (self.restart == Some(sequence) && !can_follow(self.highest, sequence)) {
            *self = Self::new(ssrc, sequence);
            return true;
        }
        if !can_follow(self.highest, sequence) {
            self.restart = Some(sequence.wrapping_add(1));
            return false;
        }
        if sequence.wrapping_sub(self.highest) < MAX_DROPOUT {
            if sequence < self.highest {
                self.cycles = self.cycles.wrapping_add(1 << 16);
            }
            self.highest = sequence;
        }
        self.restart = None;
        self.received = self.received.wrapping_add(1);
        true
    }

    /// Measures jitter.
    pub(crate) fn time(&mut self, now: Timestamp, timestamp: u32, clock_rate_hz: u32) {
        let transit = ticks(now, clock_rate_hz).wrapping_sub(timestamp);
        if let Some(before) = self.transit.replace(transit) {
            let change = transit.wrapping_sub(before).cast_signed().unsigned_abs();
            // A jump of the source's clock is no jitter.
            if change < clock_rate_hz {
                self.jitter_16 = (self.jitter_16 + change).saturating_sub((self.jitter_16 + 8) >> 4);
            }
        }
    }

    /// Its sender report came.
    pub(crate) fn reported(&mut self, now: Timestamp, ntp_middle: u32) {
        self.last_report = Some((ntp_middle, now));
    }

    /// What we report of it, and the start of the next interval.
    pub(crate) fn report(&mut self, now: Timestamp) -> ReceptionBlock {
        let highest = self.cycles.wrapping_add(u32::from(self.highest));
        let expected = highest.wrapping_sub(self.base).wrapping_add(1);
        let expected_now = expected.wrapping_sub(self.expected_before);
        let lost_now = i64::from(expected_now) - i64::from(self.received.wrapping_sub(self.received_before));
        self.expected_before = expected;
        self.received_before = self.received;
        let lost = i64::from(expected) - i64::from(self.received);
        let (last_sr, delay) = self.last_report.map_or((0, 0), |(ntp, at)| (ntp, delay_65536ths(now, at)));
        ReceptionBlock {
            ssrc: self.ssrc,
            fraction_lost: fraction(lost_now, expected_now),
            lost: i32::try_from(lost.clamp(-0x80_0000, 0x7f_ffff)).unwrap_or(0),
            highest,
            jitter: self.jitter_16 >> 4,
            last_sr,
            delay,
        }
    }
}

/// The monotonic clock in units of a format's clock, modulo 2^32.
pub(crate) fn ticks(at: Timestamp, clock_rate_hz: u32) -> u32 {
    (u128::from(at.0) * u128::from(clock_rate_hz) / 1_000_000) as u32
}

/// In 256ths, as a report has it.
fn fraction(lost: i64, expected: u32) -> u8 {
    if expected == 0 || lost <= 0 {
        return 0;
    }
    u8::try_from((lost << 8) / i64::from(expected)).unwrap_or(u8::MAX)
}

fn delay_65536ths(now: Timestamp, at: Timestamp) -> u32 {
    u32::try_from(((now - at).as_micros() << 16) / 1_000_000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(10_000_000);

    #[test]
    fn loss_since_the_last_report_is_a_fraction_and_all_loss_a_number() {
        let mut source = Source::new(7, 65_530);
        for sequence in (1..=99_u16).filter(|n| n % 4 != 0).map(|n| 65_530_u16.wrapping_add(n)) {
            assert!(source.follow(7, sequence));
        }
        let block = source.report(NOW);
        assert_eq!((block.fraction_lost, block.lost), (61, 24));
        assert_eq!(block.highest, 65_530 + 99);
        assert_eq!(source.report(NOW).fraction_lost, 0);
    }

    #[test]
    fn a_late_packet_and_a_repeated_one_are_no_loss() {
        let mut source = Source::new(7, 10);
        assert!([12, 11, 11, 13].into_iter().all(|sequence| source.follow(7, sequence)));
        let block = source.report(NOW);
        assert_eq!((block.fraction_lost, block.lost, block.highest), (0, -1, 13));
    }

    #[test]
    fn one_wild_number_is_not_believed_and_two_in_a_row_are() {
        let mut source = Source::new(7, 10);
        assert!(!source.follow(7, 40_000));
        assert!(source.follow(7, 11));
        assert!(!source.follow(7, 50_000));
        assert!(source.follow(7, 50_001));
        assert_eq!(source.report(NOW).highest, 50_001);
    }

    #[test]
    fn another_ssrc_starts_anew() {
        let mut source = Source::new(7, 10);
        assert!(source.follow(8, 60_000));
        assert_eq!(source.ssrc(), 8);
        assert_eq!(source.report(NOW).lost, 0);
    }

    #[test]
    fn packets_that_come_as_they_were_spoken_have_no_jitter_and_others_do() {
        let mut source = Source::new(7, 0);
        (0..50_u32).for_each(|n| source.time(Timestamp(u64::from(n) * 20_000), n * 160, 8000));
        assert_eq!(source.report(NOW).jitter, 0);
        (50..100_u32).for_each(|n| source.time(Timestamp(u64::from(n + n % 2) * 20_000), n * 160, 8000));
        assert!((100..=160).contains(&source.report(NOW).jitter));
    }

    #[test]
    fn the_delay_since_a_sender_report_is_in_65536ths_of_a_second() {
        let mut source = Source::new(7, 0);
        source.reported(Timestamp(9_500_000), 0xabcd_0001);
        let block = source.report(NOW);
        assert_eq!((block.last_sr, block.delay), (0xabcd_0001, 32_768));
    }
}
