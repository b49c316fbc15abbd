//! What was heard from a leg's far end, counted above the engine: an engine that is built anew counts on.
//!
//! ```text
//!  packet ─▶ received, source's highest number     two plain stores
//!  tick ───▶ jitter, codec ┐
//!  RTCP ───▶ round trip ───┴─ under a lock         never per packet
//! ```

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use tandem_core::quality::{MediaReport, mean_opinion_score};
use tandem_core::time::Timestamp;

use crate::rtcp::ReceptionBlock;
use crate::source::{Source, Tally};

/// See the module. Only one engine writes it at a time.
#[derive(Debug, Default)]
pub(crate) struct Hearing {
    /// Packets of all sources.
    received: AtomicU64,
    /// SSRC of the present source (upper half) and its highest number with its rollovers (lower half).
    highest: AtomicU64,
    rebuilds: AtomicU32,
    rare: Mutex<Rare>,
}

#[derive(Debug, Default)]
struct Rare {
    present: Option<Present>,
    /// Of sources that are over.
    lost: u64,
    /// Of what came last, with its clock in Hz.
    codec: Option<(String, u32)>,
    /// Sixteen times the jitter, in units of that clock.
    jitter_16: u32,
    /// The middle of the NTP time of our newest sender report, and when it left.
    reported: Option<(u32, Timestamp)>,
    round_trip: Option<Duration>,
    remote_lost_permille: Option<u16>,
}

/// The source that is heard at present.
#[derive(Clone, Copy, Debug)]
struct Present {
    /// Its first number.
    base: u32,
    /// Packets received before it.
    received_before: u64,
}

impl Hearing {
    /// The source goes on in a new engine.
    pub(crate) fn source(&self) -> Option<Source> {
        let rare = self.rare.lock();
        rare.present.map(|present| Source::resume(self.tally(present), rare.jitter_16))
    }

    /// A packet of the source was taken note of.
    pub(crate) fn note(&self, source: &Source) {
        let tally = source.tally();
        let received = self.received.load(Relaxed);
        // Held until the numbers fit the new source, or a report in between would find the old one's.
        let mut rare = (tally.received == 1).then(|| self.rare.lock());
        if let Some(rare) = &mut rare {
            self.close(rare);
            rare.present = Some(Present { base: tally.base, received_before: received });
        }
        self.highest.store(u64::from(tally.ssrc) << 32 | u64::from(tally.highest), Relaxed);
        self.received.store(received + 1, Relaxed);
    }

    /// The source is over, or nobody listens any more: what comes then was not lost.
    pub(crate) fn end(&self) {
        self.close(&mut self.rare.lock());
    }

    /// What is measured and not counted.
    pub(crate) fn measure(&self, source: &Source, codec: &str, clock_rate_hz: u32) {
        let mut rare = self.rare.lock();
        rare.jitter_16 = source.jitter_16();
        if rare.codec.as_ref().is_none_or(|(name, rate)| name != codec || *rate != clock_rate_hz) {
            rare.codec = Some((codec.to_owned(), clock_rate_hz));
        }
    }

    /// A sender report of ours leaves.
    pub(crate) fn reported(&self, now: Timestamp, ntp_middle: u32) {
        self.rare.lock().reported = Some((ntp_middle, now));
    }

    /// The far end says how it receives us. `sent`: packets so far.
    pub(crate) fn told(&self, now: Timestamp, block: &ReceptionBlock, sent: u32) {
        let mut rare = self.rare.lock();
        // By our own clock, not the wall: that may be stepped. An answer to an older report tells no less, but seldom comes.
        let since = rare.reported.filter(|(ntp, _)| *ntp == block.last_sr).map(|(_, at)| now - at);
        let held = Duration::from_micros((u64::from(block.delay) * 1_000_000) >> 16);
        if let Some(round_trip) = since.and_then(|since| since.checked_sub(held)) {
            rare.round_trip = Some(round_trip);
        }
        let lost = u64::try_from(block.lost).unwrap_or(0);
        let permille = (lost * 1_000).checked_div(sent.into()).unwrap_or(0).min(1_000);
        rare.remote_lost_permille = u16::try_from(permille).ok();
    }

    /// Another worker has taken it over.
    pub(crate) fn rebuilt(&self) {
        self.rebuilds.fetch_add(1, Relaxed);
    }

    /// `None`: nothing came and nothing was `sent`.
    pub(crate) fn report(&self, sent: u64) -> Option<MediaReport> {
        let rare = self.rare.lock();
        let received = self.received.load(Relaxed);
        if received == 0 && sent == 0 {
            return None;
        }
        let lost = rare.lost + rare.present.map_or(0, |present| self.tally(present).lost());
        let (codec, clock_rate_hz) = rare.codec.clone().unzip();
        let jitter = u64::from(rare.jitter_16) * 1_000_000 / 16 / u64::from(clock_rate_hz.unwrap_or(8_000)).max(1);
        let jitter = Duration::from_micros(jitter);
        let part = lost as f64 / (lost + received).max(1) as f64;
        let heard = codec.as_deref().filter(|_| received > 0);
        Some(MediaReport {
            mos: heard.map(|codec| mean_opinion_score(codec, part, jitter, rare.round_trip)),
            codec,
            received,
            sent,
            lost,
            jitter,
            round_trip: rare.round_trip,
            remote_lost_permille: rare.remote_lost_permille,
            rebuilds: self.rebuilds.load(Relaxed),
        })
    }

    fn close(&self, rare: &mut Rare) {
        if let Some(present) = rare.present.take() {
            rare.lost += self.tally(present).lost();
        }
    }

    fn tally(&self, present: Present) -> Tally {
        let (received, highest) = (self.received.load(Relaxed), self.highest.load(Relaxed));
        Tally {
            ssrc: (highest >> 32) as u32,
            base: present.base,
            highest: highest as u32,
            received: received.saturating_sub(present.received_before) as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(10_000_000);

    fn hear(hearing: &Hearing, source: &mut Source, ssrc: u32, sequences: impl IntoIterator<Item = u16>) {
        for sequence in sequences {
            assert!(source.follow(ssrc, sequence));
            hearing.note(source);
        }
    }

    fn begin(hearing: &Hearing, ssrc: u32, sequence: u16) -> Source {
        let source = Source::new(ssrc, sequence);
        hearing.note(&source);
        source
    }

    fn block(last_sr: u32, delay: u32, lost: i32) -> ReceptionBlock {
        ReceptionBlock { ssrc: 1, fraction_lost: 0, lost, highest: 0, jitter: 0, last_sr, delay }
    }

    #[test]
    fn without_media_there_is_nothing_to_report() {
        let hearing = Hearing::default();
        assert_eq!(hearing.report(0), None);
        let sent = hearing.report(3).unwrap();
        assert_eq!((sent.sent, sent.received, sent.codec, sent.mos), (3, 0, None, None));
    }

    #[test]
    fn loss_is_counted_over_sources_engines_and_rollovers() {
        let hearing = Hearing::default();
        let mut source = begin(&hearing, 7, 65_530);
        hear(&hearing, &mut source, 7, [65_531, 65_533, 65_535, 2]);
        assert_eq!(hearing.report(0).map(|it| (it.received, it.lost)), Some((5, 4)));
        let mut rebuilt = hearing.source().unwrap();
        hear(&hearing, &mut rebuilt, 7, [3, 5]);
        assert_eq!(hearing.report(0).map(|it| (it.received, it.lost)), Some((7, 5)));
        assert_eq!(rebuilt.report(NOW).lost, 5, "the far end hears the same");
        hear(&hearing, &mut rebuilt, 8, [100, 102]);
        assert_eq!(hearing.report(0).map(|it| (it.received, it.lost)), Some((9, 6)));
        hearing.end();
        assert!(hearing.source().is_none());
        begin(&hearing, 8, 5_000);
        assert_eq!(hearing.report(0).map(|it| (it.received, it.lost)), Some((10, 6)));
    }

    #[test]
    fn a_packet_that_is_late_takes_its_loss_back_and_one_that_comes_twice_is_none_less() {
        let hearing = Hearing::default();
        let mut source = begin(&hearing, 7, 1);
        hear(&hearing, &mut source, 7, [3]);
        assert_eq!(hearing.report(0).unwrap().lost, 1);
        hear(&hearing, &mut source, 7, [2, 2, 3]);
        assert_eq!(hearing.report(0).map(|it| (it.received, it.lost)), Some((5, 0)));
    }

    #[test]
    fn a_round_trip_is_the_time_to_the_answer_less_what_the_far_end_held_it() {
        let hearing = Hearing::default();
        for (last_sr, delay, expected) in [
            (0, 0, None),
            (6, 32_768, None),
            // Held for longer than it was away.
            (5, 65_536, None),
            (5, 32_768, Some(Duration::from_millis(120))),
            // What was found stays.
            (4, 0, Some(Duration::from_millis(120))),
        ] {
            hearing.reported(NOW, 5);
            hearing.told(NOW + Duration::from_millis(620), &block(last_sr, delay, 0), 10);
            assert_eq!(hearing.report(1).unwrap().round_trip, expected, "{last_sr} {delay}");
        }
    }

    #[test]
    fn what_the_far_end_lost_is_a_part_of_what_we_sent() {
        let hearing = Hearing::default();
        assert_eq!(hearing.report(1).unwrap().remote_lost_permille, None);
        for (lost, sent, permille) in [(5, 1_000, 5), (-3, 1_000, 0), (2_000, 1_000, 1_000), (1, 0, 0)] {
            hearing.told(NOW, &block(0, 0, lost), sent);
            assert_eq!(hearing.report(1).unwrap().remote_lost_permille, Some(permille));
        }
    }
}
