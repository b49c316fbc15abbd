//! How media fares, and what that is worth to who listens.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the media of one leg fared, as we received it from its far end, up to now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MediaReport {
    /// Encoding name of what came last: `PCMA`, `opus`. `None` before the first packet.
    pub codec: Option<String>,
    /// RTP packets received from the far end.
    pub received: u64,
    /// RTP packets sent to it.
    pub sent: u64,
    /// Packets that it sent and that did not come, by their sequence numbers. Late ones and repeats do not count below zero.
    pub lost: u64,
    /// Interarrival jitter (RFC 3550, 6.4.1).
    pub jitter: Duration,
    /// From its receiver reports (RFC 3550, 6.4.1); `None` when it sends none.
    pub round_trip: Option<Duration>,
    /// Of what we sent, what it says it lost, in permille; `None` when it sends no reports.
    pub remote_lost_permille: Option<u16>,
    /// Estimated mean opinion score, 1.0..=4.5 (E-model of ITU-T G.107 with loss, delay and jitter; an estimate). `None` without media.
    pub mos: Option<f32>,
    /// How often the worker that carries it was replaced under it.
    pub rebuilds: u32,
}

impl MediaReport {
    /// Of what its far end sent, what did not come, in permille (0..=1000).
    #[must_use]
    pub fn lost_permille(&self) -> u16 {
        let sent = self.received.saturating_add(self.lost).max(1);
        u16::try_from(self.lost.saturating_mul(1_000) / sent).unwrap_or(1_000)
    }
}

/// How the media of a leg fared until it ended, as records and events have it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MediaQuality {
    /// Encoding name of what the far end sent last: `PCMA`, `opus`. `null` when nothing came.
    pub codec: Option<String>,
    /// RTP packets received from the far end.
    pub received: u64,
    /// RTP packets sent to it.
    pub sent: u64,
    /// Packets that it sent and that did not come.
    pub lost: u64,
    /// Interarrival jitter (RFC 3550, 6.4.1), in milliseconds.
    pub jitter_ms: f64,
    /// In milliseconds; `null` when the far end sends no receiver reports.
    pub round_trip_ms: Option<f64>,
    /// Of what we sent, what it says it lost, in permille; `null` when it sends no reports.
    pub remote_lost_permille: Option<u16>,
    /// Estimated mean opinion score, 1.0..=4.5, to two places; `null` without media.
    pub mos: Option<f64>,
}

impl From<MediaReport> for MediaQuality {
    fn from(report: MediaReport) -> Self {
        let ms = |time: Duration| time.as_micros() as f64 / 1_000.0;
        Self {
            codec: report.codec,
            received: report.received,
            sent: report.sent,
            lost: report.lost,
            jitter_ms: ms(report.jitter),
            round_trip_ms: report.round_trip.map(ms),
            remote_lost_permille: report.remote_lost_permille,
            mos: report.mos.map(|mos| (f64::from(mos) * 100.0).round() / 100.0),
        }
    }
}

/// The basic quality of a connection without delay, loss and coding: `R` of ITU-T G.107 with all its other inputs at
/// their defaults.
const BEST: f64 = 93.2;

/// From this on a delay disturbs the conversation itself, in milliseconds.
const NOTICED_MS: f64 = 177.3;

/// One packet, which its sender collects before it leaves.
const PACKET: Duration = Duration::from_millis(20);

/// What a receiver holds back at least, whatever the jitter is.
const LEAST_BUFFER: Duration = Duration::from_millis(40);

/// Estimates the mean opinion score (ITU-T P.800) of audio in a codec, 1.0..=4.5.
///
/// The E-model of ITU-T G.107 without what we cannot know (noise, echo, loudness; all at their defaults, advantage 0):
/// `R = 93.2 - Id - Ie,eff`, and Annex B from `R` to the score. `Id` is its usual linear form,
/// `0.024 d + 0.11 (d - 177.3)` with the second part only above 177.3 ms; `d` is half the round trip (0 while unknown),
/// one packet, and a jitter buffer of twice the jitter. `Ie,eff = Ie + (95 - Ie) Ppl / (Ppl + Bpl)` for losses at random,
/// with `Ie` and `Bpl` of the codec as in ITU-T G.113, Appendix I. That scale is narrowband: a clean wideband codec gets
/// what clean G.711 gets, and codecs that G.113 does not list are an assumption.
///
/// `lost`: which part of the packets did not come, 0.0..=1.0.
#[must_use]
pub fn mean_opinion_score(codec: &str, lost: f64, jitter: Duration, round_trip: Option<Duration>) -> f32 {
    let delay = round_trip.unwrap_or_default() / 2 + PACKET + LEAST_BUFFER.max(jitter * 2);
    let rating = BEST - delay_impairment(delay) - equipment_impairment(codec, lost);
    // Annex B is a cubic that leaves the scale at its ends, and a little before its lower one.
    let rating = rating.clamp(0.0, 100.0);
    let score = 1.0 + 0.035 * rating + rating * (rating - 60.0) * (100.0 - rating) * 7e-6;
    score.clamp(1.0, 4.5) as f32
}

fn delay_impairment(delay: Duration) -> f64 {
    let ms = delay.as_secs_f64() * 1_000.0;
    0.024 * ms + 0.11 * (ms - NOTICED_MS).max(0.0)
}

fn equipment_impairment(codec: &str, lost: f64) -> f64 {
    let (impairment, robustness) = coding(codec);
    let lost_percent = if lost.is_finite() { lost.clamp(0.0, 1.0) * 100.0 } else { 0.0 };
    impairment + (95.0 - impairment) * lost_percent / (lost_percent + robustness)
}

/// `Ie` and `Bpl`.
fn coding(codec: &str) -> (f64, f64) {
    let table: [(&[&str], (f64, f64)); 5] = [
        // With the loss concealment of its Appendix I, which receivers have.
        (&["PCMU", "PCMA"], (0.0, 25.1)),
        (&["G723"], (15.0, 16.1)),
        (&["GSM"], (20.0, 43.0)),
        (&["GSM-EFR"], (5.0, 10.0)),
        // Not in G.113: clean as G.711, and concealed a little worse.
        (&["opus", "G722"], (0.0, 20.0)),
    ];
    let known = table.iter().find(|(names, _)| names.iter().any(|name| name.eq_ignore_ascii_case(codec)));
    // G.729A, and whatever else saves bandwidth.
    known.map_or((11.0, 19.0), |(_, coding)| *coding)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn score(codec: &str, lost: f64, jitter_ms: u64, round_trip_ms: u64) -> f32 {
        let ms = Duration::from_millis;
        mean_opinion_score(codec, lost, ms(jitter_ms), (round_trip_ms > 0).then(|| ms(round_trip_ms)))
    }

    #[test]
    fn the_score_falls_as_the_e_model_has_it() {
        for (codec, lost, jitter_ms, round_trip_ms, expected) in [
            // R = 93.2 - 1.44
            ("PCMU", 0.0, 0, 0, 4.38),
            ("pcma", 0.0, 20, 0, 4.38),
            ("opus", 0.0, 0, 0, 4.38),
            // R = 93.2 - 1.44 - 95 / 26.1
            ("PCMA", 0.01, 0, 0, 4.29),
            ("PCMA", 0.05, 0, 0, 3.86),
            ("PCMA", 0.20, 0, 0, 2.56),
            // R = 93.2 - 3.84
            ("PCMA", 0.0, 0, 200, 4.33),
            // d = 360 ms: R = 93.2 - 8.64 - 20.1
            ("PCMA", 0.0, 0, 600, 3.33),
            // d = 320 ms: R = 93.2 - 7.68 - 15.7
            ("PCMA", 0.0, 150, 0, 3.59),
            ("G729", 0.0, 0, 0, 4.05),
            ("G729", 0.05, 0, 0, 3.27),
            ("GSM", 0.0, 0, 0, 3.68),
            ("PCMA", 1.0, 5_000, 60_000, 1.0),
        ] {
            let found = score(codec, lost, jitter_ms, round_trip_ms);
            assert!((found - expected).abs() < 0.01, "{codec} {lost} {jitter_ms} {round_trip_ms}: {found}");
        }
    }

    #[test]
    fn what_is_no_number_counts_as_no_loss() {
        assert_eq!(score("PCMA", f64::NAN, 0, 0), score("PCMA", 0.0, 0, 0));
    }

    proptest! {
        #[test]
        fn more_loss_delay_or_jitter_is_never_better(
            lost in 0.0..1.0_f64, jitter in 0..1_000_u64, round_trip in 1..5_000_u64, more in 0.0..1.0_f64,
        ) {
            let here = score("PCMA", lost, jitter, round_trip);
            prop_assert!((1.0..=4.5).contains(&here));
            prop_assert!(score("PCMA", lost + more, jitter, round_trip) <= here);
            prop_assert!(score("PCMA", lost, jitter + 50, round_trip) <= here);
            prop_assert!(score("PCMA", lost, jitter, round_trip + 100) <= here);
        }
    }
}
