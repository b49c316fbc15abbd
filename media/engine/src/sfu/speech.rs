//! Who speaks: from the levels that audio packets tell (RFC 6464), without decoding any.
//!
//! # Invariants
//! * What is told is rough (eighths), and only what changed: a room of thousands hears little of this.

use std::collections::HashMap;
use std::time::Duration;

use tandem_core::id::ParticipantId;
use tandem_core::room::sfu::Speaker;

/// How often speakers are looked for.
pub(super) const INTERVAL: Duration = Duration::from_millis(400);

/// The quietest that counts as speech, in dB below the loudest.
const SPEECH: u8 = 35;

/// What part of the packets of an interval must be speech, in percent.
const PART: u32 = 40;

/// Levels are told in steps of this.
const STEP: f32 = 1.0 / 8.0;

/// What was heard of a track since the last look.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Loudness {
    packets: u32,
    speech: u32,
    /// Of those that were speech, linear.
    sum: f32,
}

impl Loudness {
    /// `level`: -dBov as a packet has it, 0 the loudest, 127 silence.
    pub(super) fn note(&mut self, level: u8) {
        self.packets += 1;
        if level <= SPEECH {
            self.speech += 1;
            self.sum += linear(level);
        }
    }

    /// 0.0..=1.0, and the start of the next interval.
    pub(super) fn take(&mut self) -> f32 {
        let Self { packets, speech, sum } = std::mem::take(self);
        if packets == 0 || speech * 100 < packets * PART { 0.0 } else { sum / speech as f32 }
    }
}

/// Those of a conference, as they were told.
#[derive(Debug, Default)]
pub(super) struct Speech {
    known: HashMap<ParticipantId, Known>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    smooth: f32,
    told: f32,
    is_active: bool,
    is_here: bool,
}

impl Speech {
    /// Takes in how loud everybody was in the last interval. Gives what changed.
    pub(super) fn update(&mut self, levels: &HashMap<ParticipantId, f32>) -> Vec<Speaker> {
        self.known.values_mut().for_each(|known| known.is_here = false);
        let mut changed = Vec::new();
        for (participant, level) in levels {
            let known = self.known.entry(*participant).or_default();
            known.is_here = true;
            // Over about two intervals.
            known.smooth += (level - known.smooth) * 2.0 / 3.0;
            let is_active = known.smooth >= linear(SPEECH);
            let told = if is_active { (known.smooth / STEP).ceil().min(8.0) * STEP } else { 0.0 };
            if is_active != known.is_active || told.to_bits() != known.told.to_bits() {
                (known.told, known.is_active) = (told, is_active);
                changed.push(Speaker { participant: *participant, level: told, is_active });
            }
        }
        self.known.retain(|_, known| known.is_here);
        changed
    }
}

fn linear(level: u8) -> f32 {
    10_f32.powf(f32::from(level) / -20.0)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn who(n: u128) -> ParticipantId {
        ParticipantId::from_uuid(Uuid::from_u128(n))
    }

    fn loudness(levels: &[u8]) -> f32 {
        let mut loudness = Loudness::default();
        levels.iter().for_each(|level| loudness.note(*level));
        loudness.take()
    }

    #[test]
    fn speech_is_what_is_loud_for_long_enough() {
        assert_eq!(loudness(&[]).to_bits(), 0.0_f32.to_bits());
        assert!(loudness(&[10, 127, 127, 127]) < 0.001, "a click");
        assert!(loudness(&[60, 50, 36]) < 0.001, "a fan");
        assert!((loudness(&[20, 20, 127, 127]) - 0.1).abs() < 0.001);
    }

    #[test]
    fn a_speaker_is_told_of_when_he_begins_and_when_he_ends_and_not_in_between() {
        let mut speech = Speech::default();
        let mut update = |level: f32| speech.update(&HashMap::from([(who(1), level), (who(2), 0.0)]));
        assert!(update(0.0).is_empty());
        let begun = update(0.1);
        assert_eq!(begun, [Speaker { participant: who(1), level: 0.125, is_active: true }]);
        assert!(update(0.1).is_empty() && update(0.11).is_empty());
        let louder = update(1.0);
        assert!(louder[0].is_active && louder[0].level > 0.5);
        let ended: Vec<_> = (0..6).flat_map(|_| update(0.0)).collect();
        assert_eq!(ended.last(), Some(&Speaker { participant: who(1), level: 0.0, is_active: false }));
        assert!(update(0.0).is_empty());
    }

    #[test]
    fn who_leaves_is_forgotten() {
        let mut speech = Speech::default();
        speech.update(&HashMap::from([(who(1), 0.5)]));
        assert!(speech.update(&HashMap::new()).is_empty() && speech.known.is_empty());
    }
}
