//! What a user's clients were told lately, for those that lost their connection.

use std::collections::VecDeque;
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use tandem_core::time::Timestamp;

/// How long an event can be asked for again.
pub(super) const KEPT_FOR: Duration = Duration::from_secs(300);

/// How many are kept.
const KEPT: usize = 256;

/// See the module. Events have numbers that rise, with gaps.
pub(super) struct Replay {
    events: VecDeque<(Timestamp, u64, Utf8Bytes)>,
    /// Everything after it is here.
    floor: u64,
}

impl Replay {
    /// Knows nothing up to `floor`.
    pub(super) const fn after(floor: u64) -> Self {
        Self { events: VecDeque::new(), floor }
    }

    pub(super) fn push(&mut self, now: Timestamp, number: u64, frame: Utf8Bytes) {
        self.events.push_back((now, number, frame));
        if self.events.len() > KEPT {
            self.drop_oldest();
        }
        self.forget_old(now);
    }

    /// Lets go of what is too old to be asked for.
    pub(super) fn forget_old(&mut self, now: Timestamp) {
        while self.events.front().is_some_and(|(at, _, _)| now - *at > KEPT_FOR) {
            self.drop_oldest();
        }
    }

    /// Everything after `number`. `None`: not all of it is here.
    pub(super) fn since(&self, number: u64) -> Option<Vec<Utf8Bytes>> {
        let missed = self.events.iter().filter(|(_, it, _)| *it > number).map(|(_, _, frame)| frame.clone());
        (number >= self.floor).then(|| missed.collect())
    }

    fn drop_oldest(&mut self) {
        if let Some((_, number, _)) = self.events.pop_front() {
            self.floor = number;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::default() + Duration::from_secs(seconds)
    }

    fn texts(replay: &Replay, number: u64) -> Option<Vec<String>> {
        replay.since(number).map(|frames| frames.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_was_missed_comes_again_and_no_more() {
        let mut replay = Replay::after(10);
        for number in [12, 15, 20] {
            replay.push(at(0), number, number.to_string().into());
        }
        assert_eq!(texts(&replay, 10).unwrap(), ["12", "15", "20"]);
        assert_eq!(texts(&replay, 15).unwrap(), ["20"]);
        assert_eq!(texts(&replay, 20).unwrap(), Vec::<String>::new());
        assert_eq!(texts(&replay, 9), None);
    }

    #[test]
    fn too_many_and_too_old_are_forgotten_and_whoever_missed_them_is_told_so() {
        let mut replay = Replay::after(0);
        for number in 1..=300 {
            replay.push(at(0), number, number.to_string().into());
        }
        assert_eq!(texts(&replay, 43), None);
        assert_eq!(texts(&replay, 44).unwrap().len(), KEPT);
        replay.push(at(301), 301, "301".into());
        assert_eq!(texts(&replay, 299), None);
        assert_eq!(texts(&replay, 300).unwrap(), ["301"]);
    }
}
