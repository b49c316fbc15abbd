//! What concerns everybody in a room: who speaks, and how all fare.

use std::collections::HashMap;
use std::time::Duration;

use tandem_core::id::{ConferenceId, ParticipantId};
use tandem_core::room::sfu::{Quality, SfuNews, Speakers};
use tandem_core::time::Timestamp;

use super::Sfu;
use super::speech::{self, Speech};

/// How often it is looked how all fare.
const QUALITY: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(super) struct Room {
    pub(super) members: usize,
    speech: Speech,
}

impl Sfu {
    /// Does what is due by time for whole rooms.
    pub fn expire_rooms(&mut self, now: Timestamp) {
        if now >= self.next_speech {
            self.next_speech = now + speech::INTERVAL;
            self.listen();
        }
        if now >= self.next_quality {
            let is_first = self.next_quality == Timestamp(0);
            self.next_quality = now + QUALITY;
            if !is_first {
                self.judge();
            }
        }
    }

    fn listen(&mut self) {
        let mut levels: HashMap<ConferenceId, HashMap<ParticipantId, f32>> = HashMap::new();
        for transport in self.transports.iter_mut().flatten() {
            let level = levels.entry(transport.conference).or_default().entry(transport.id.participant).or_default();
            for intake in transport.intakes.iter_mut().flatten().filter(|it| !it.is_video()) {
                let loudness = intake.loudness.take();
                *level = level.max(if intake.is_muted { 0.0 } else { loudness });
            }
        }
        for (conference, levels) in levels {
            let changed = self.rooms.entry(conference).or_default().speech.update(&levels);
            if !changed.is_empty() {
                self.speakers.push_back(Speakers { conference, changed });
            }
        }
    }

    fn judge(&mut self) {
        let mut found: HashMap<ParticipantId, Quality> = HashMap::new();
        for transport in self.transports.iter_mut().flatten() {
            if let Some(quality) = transport.quality() {
                let worst = found.entry(transport.id.participant).or_insert(quality);
                *worst = quality.min(*worst);
            }
        }
        for (participant, quality) in found {
            if self.qualities.insert(participant, quality) != Some(quality) {
                self.news.push_back((participant, SfuNews::Quality(quality)));
            }
        }
    }
}
