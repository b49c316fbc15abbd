//! Reliable messages of one participant: the number of the last one that he sent, and the last ones that he was sent.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use tandem_core::id::ParticipantId;

/// See the module.
#[derive(Default)]
pub(super) struct Kept {
    /// 0: he sent none.
    pub(super) sent: u32,
    messages: VecDeque<(ParticipantId, u32, Bytes)>,
    bytes: usize,
}

/// What a message costs besides its bytes, which its receivers share.
const OVERHEAD: usize = 64;

impl Kept {
    /// Keeps a message; the oldest ones make room for it.
    pub(super) fn push(&mut self, from: ParticipantId, sequence: u32, message: Bytes, most: usize) {
        self.bytes += message.len() + OVERHEAD;
        self.messages.push_back((from, sequence, message));
        while self.bytes > most
            && let Some((_, _, oldest)) = self.messages.pop_front()
        {
            self.bytes -= oldest.len() + OVERHEAD;
        }
    }

    /// What came after what he has seen. Of publishers of whom he has seen nothing: everything.
    pub(super) fn after(&self, seen: &[(ParticipantId, u32)]) -> Vec<Bytes> {
        let seen: HashMap<_, _> = seen.iter().copied().collect();
        let is_missed = |from: &ParticipantId, sequence: u32| seen.get(from).is_none_or(|last| sequence > *last);
        let missed = self.messages.iter().filter(|(from, sequence, _)| is_missed(from, *sequence));
        missed.map(|(_, _, message)| message.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn who(n: u128) -> ParticipantId {
        ParticipantId::from_uuid(Uuid::from_u128(n))
    }

    #[test]
    fn what_was_missed_of_each_publisher_comes_again_in_order() {
        let mut kept = Kept::default();
        for (from, sequence) in [(1, 1), (2, 1), (1, 2), (2, 2), (1, 3)] {
            kept.push(who(from), sequence, Bytes::from(format!("{from}/{sequence}")), 10_000);
        }
        assert_eq!(kept.after(&[(who(1), 1)]), ["2/1", "1/2", "2/2", "1/3"]);
        assert_eq!(kept.after(&[(who(1), 3), (who(2), 2)]), [""; 0]);
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let mut kept = Kept::default();
        (1..=10).for_each(|n| kept.push(who(1), n, vec![0; 36].into(), 350));
        assert_eq!(kept.after(&[]).len(), 3);
        kept.push(who(1), 11, vec![0; 1_000].into(), 350);
        assert_eq!((kept.after(&[]).len(), kept.bytes), (0, 0), "one that is too large for all of it");
    }
}
