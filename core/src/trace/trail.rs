//! The notes of one call while it lives, bounded: of messages and of everything else, the beginning and the end.
//!
//! ```text
//!  messages   ├─ head ─┤ … dropped, counted … ├─ tail ─┤
//!  the rest   ├─ head ─┤ … dropped, counted … ├─ tail ─┤     a flood of messages drives no failure out
//! ```

use std::collections::VecDeque;

use super::{Entry, Story, What};

/// Most that the notes of one call take in memory, in bytes.
pub const LIMIT: usize = 64 << 10;

/// Of that for messages; half for their beginning, half for their end.
const MESSAGES: usize = 48 << 10;

/// The same for everything else. What is missing to [`LIMIT`] is what the lists themselves may take.
const OTHERS: usize = 12 << 10;

/// What a fact takes beside its own fields: the names and numbers in it.
const FACT_TEXTS: usize = 320;

/// See the module.
#[derive(Debug)]
pub struct Trail {
    messages: Lane,
    others: Lane,
    /// Number of the last fact: one that comes again is no second note.
    last_fact: u32,
}

#[derive(Debug)]
struct Lane {
    /// For the head, and again for the tail.
    half: usize,
    head: Vec<Entry>,
    head_bytes: usize,
    is_head_full: bool,
    tail: VecDeque<Entry>,
    tail_bytes: usize,
    dropped: u64,
}

impl Default for Trail {
    fn default() -> Self {
        Self { messages: Lane::new(MESSAGES / 2), others: Lane::new(OTHERS / 2), last_fact: 0 }
    }
}

impl Trail {
    /// Takes a note. A fact that is there already changes nothing.
    pub fn take(&mut self, entry: Entry) {
        match &entry.what {
            What::Message { .. } => self.messages.push(entry),
            What::Fact { fact } if fact.number <= self.last_fact => {}
            What::Fact { fact } => {
                self.last_fact = fact.number;
                self.others.push(entry);
            }
            What::Restarted { .. } | What::Rebuilt { .. } | What::Broke | What::Media { .. } | What::Settled { .. } => {
                self.others.push(entry)
            }
        }
    }

    /// There is no room for a note anywhere.
    pub const fn drop_one(&mut self) {
        self.others.dropped += 1;
    }

    /// What it takes, in bytes: at most [`LIMIT`].
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.messages.bytes() + self.others.bytes()
    }

    /// The story up to now. `None` while there is no fact.
    #[must_use]
    pub fn story(&self, is_over: bool) -> Option<Story> {
        let lanes = [&self.messages, &self.others];
        let entries = lanes.iter().flat_map(|lane| lane.head.iter().chain(&lane.tail)).cloned().collect();
        Story::of(entries, lanes.iter().map(|lane| lane.dropped).sum(), is_over)
    }
}

impl Lane {
    const fn new(half: usize) -> Self {
        let head = Vec::new();
        Self { half, head, head_bytes: 0, is_head_full: false, tail: VecDeque::new(), tail_bytes: 0, dropped: 0 }
    }

    const fn bytes(&self) -> usize {
        self.head_bytes + self.tail_bytes
    }

    fn push(&mut self, entry: Entry) {
        let cost = cost(&entry);
        self.is_head_full |= self.head_bytes + cost > self.half;
        if !self.is_head_full {
            self.head_bytes += cost;
            return self.head.push(entry);
        }
        self.tail_bytes += cost;
        self.tail.push_back(entry);
        while self.tail_bytes > self.half
            && let Some(oldest) = self.tail.pop_front()
        {
            self.tail_bytes -= self::cost(&oldest);
            self.dropped += 1;
        }
    }
}

/// What a note takes. A list may have as much room again as it has entries.
fn cost(entry: &Entry) -> usize {
    let texts = match &entry.what {
        What::Message { text, .. } => text.len(),
        What::Fact { fact } => size_of_val(&**fact) + FACT_TEXTS,
        What::Restarted { why, .. } => why.len(),
        What::Rebuilt { .. } | What::Broke | What::Settled { .. } => 0,
        What::Media { report } => report.codec.as_ref().map_or(0, String::len),
    };
    2 * size_of::<Entry>() + texts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Fact, FactBody};
    use crate::leg::LegInput;
    use crate::time::WallTime;
    use crate::trace::{Part, Way, Wire};
    use crate::world::{CALLER, World};

    fn message(n: i64) -> Entry {
        let text = format!("MESSAGE number-{n} SIP/2.0\r\nX: {}\r\n\r\n", "x".repeat(700));
        let (direction, text) = (Way::In, Wire::of_sip(text.as_bytes()));
        Entry::new(WallTime(n), What::Message { direction, peer: None, is_repeat: false, text })
    }

    fn facts() -> Vec<Fact> {
        let mut world = World::talking();
        world.leg_input(CALLER, LegInput::HungUp(crate::cause::Cause::Normal));
        world.facts
    }

    #[test]
    fn a_call_with_ten_thousand_messages_stays_bounded_and_keeps_its_start_its_end_and_every_failure() {
        let mut trail = Trail::default();
        let facts = facts();
        trail.take(Entry::of_fact(&facts[0]));
        for n in 0..10_000 {
            trail.take(message(n));
            if n == 5_000 {
                let why = String::from("failed");
                trail.take(Entry::new(WallTime(n), What::Restarted { actor: Part::Leg, why, is_given_up: false }));
            }
            assert!(trail.bytes() <= LIMIT);
        }
        let story = trail.story(true).unwrap();
        let kept: Vec<String> = story
            .entries
            .iter()
            .filter_map(|entry| match &entry.what {
                What::Message { text, .. } => Some(text.summary()),
                _ => None,
            })
            .collect();
        assert_eq!(kept.first().unwrap(), "MESSAGE number-0");
        assert_eq!(kept.last().unwrap(), "MESSAGE number-9999");
        assert!(kept.len() > 40, "{}", kept.len());
        assert_eq!(story.dropped, 10_000 - kept.len() as u64);
        assert!(story.entries.iter().any(|entry| matches!(entry.what, What::Restarted { .. })));
        assert!(story.is_failed());
    }

    #[test]
    fn a_flood_of_failures_is_bounded_too() {
        let mut trail = Trail::default();
        trail.take(Entry::of_fact(&facts()[0]));
        for n in 0..10_000 {
            trail.take(Entry::new(WallTime(n), What::Rebuilt { worker: 0 }));
        }
        assert!(trail.bytes() <= LIMIT);
        assert!(trail.story(false).unwrap().dropped > 0);
    }

    #[test]
    fn a_fact_that_comes_again_is_no_second_note_and_without_one_there_is_no_story() {
        let mut trail = Trail::default();
        trail.take(message(1));
        assert_eq!(trail.story(false), None);
        let facts = facts();
        for fact in facts.iter().chain(&facts) {
            trail.take(Entry::of_fact(fact));
        }
        let story = trail.story(true).unwrap();
        assert_eq!(story.entries.len(), facts.len() + 1);
        let FactBody::CdrClosed(record) = &facts.last().unwrap().body else { panic!("no record") };
        assert_eq!(story.record().as_ref(), Some(&**record));
        assert!(!story.is_failed());
    }

    #[test]
    fn a_story_survives_its_json_and_shows_nobody_by_debug() {
        let mut trail = Trail::default();
        facts().iter().for_each(|fact| trail.take(Entry::of_fact(fact)));
        trail.take(message(1));
        trail.take(Entry::new(WallTime(2), What::Broke));
        let story = trail.story(true).unwrap();
        let text = serde_json::to_string(&story).unwrap();
        assert_eq!(serde_json::from_str::<Story>(&text).unwrap(), story);
        let number = story.record().unwrap().caller.number.into_inner();
        assert!(text.contains(&number) && !format!("{story:?}").contains(&number));
    }
}
