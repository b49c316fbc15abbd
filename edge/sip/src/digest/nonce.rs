//! Nonces, and which of them were used how often.

use std::collections::BTreeMap;
use std::time::Duration;

use hmac::{Hmac, Mac};
use sha2::Sha256;
use tandem_core::time::Timestamp;

use super::hex;

/// Nonces remembered. A registered phone uses one per [`super::Digest`] lifetime; some 50 octets each.
const REMEMBERED: usize = 65_536;

/// How far a count may be behind the highest one that came: requests overtake each other.
const WINDOW: u32 = 64;

/// What a nonce says.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Nonce {
    /// When.
    pub(super) issued: Timestamp,
    /// Makes it unlike all others of that moment.
    pub(super) salt: u64,
}

/// The counts seen, per nonce.
#[derive(Debug)]
pub(super) struct UsedNonces {
    seen: BTreeMap<Nonce, Seen>,
    /// Nothing is known any more of nonces up to this one.
    forgotten: Option<Nonce>,
}

/// The highest count of a nonce, and which of the 64 up to it came (the lowest bit is the highest count's).
#[derive(Clone, Copy, Debug)]
struct Seen {
    highest: u32,
    bits: u64,
}

impl Nonce {
    /// As it goes into a challenge.
    pub(super) fn signed(self, key: &[u8; 32]) -> String {
        let text = format!("{:016x}{:016x}", self.issued.0, self.salt);
        let signature = hex(&signature(key, &text).finalize().into_bytes());
        text + &signature
    }

    /// Reads a nonce of ours. `None` if it is not.
    pub(super) fn verified(nonce: &[u8], key: &[u8; 32]) -> Option<Self> {
        let nonce = std::str::from_utf8(nonce).ok()?;
        let (text, signed) = nonce.split_at_checked(32)?;
        signature(key, text).verify_slice(&bytes(signed)?).ok()?;
        let (issued, salt) = text.split_at_checked(16)?;
        let number = |digits| u64::from_str_radix(digits, 16).ok();
        Some(Self { issued: Timestamp(number(issued)?), salt: number(salt)? })
    }
}

impl UsedNonces {
    pub(super) const fn new() -> Self {
        Self { seen: BTreeMap::new(), forgotten: None }
    }

    /// Notes a count, and tells whether it is the first time.
    pub(super) fn mark(&mut self, nonce: Nonce, count: u32, now: Timestamp, lifetime: Duration) -> bool {
        if let Some(seen) = self.seen.get_mut(&nonce) {
            return seen.mark(count);
        }
        if self.forgotten.is_some_and(|forgotten| nonce <= forgotten) {
            return false;
        }
        while let Some(oldest) = self.seen.first_entry()
            && now - oldest.key().issued > lifetime
        {
            oldest.remove(); // too old to be accepted anyway
        }
        if self.seen.len() >= REMEMBERED {
            self.forgotten = self.seen.pop_first().map(|(oldest, _)| oldest).max(self.forgotten);
        }
        self.seen.insert(nonce, Seen { highest: count, bits: 1 });
        true
    }
}

impl Seen {
    fn mark(&mut self, count: u32) -> bool {
        if let Some(ahead @ 1..) = count.checked_sub(self.highest) {
            self.bits = self.bits.checked_shl(ahead).unwrap_or(0) | 1;
            self.highest = count;
            return true;
        }
        let behind = self.highest.saturating_sub(count);
        let is_new = behind < WINDOW && self.bits >> behind & 1 == 0;
        if is_new {
            self.bits |= 1 << behind;
        }
        is_new
    }
}

fn signature(key: &[u8; 32], text: &str) -> Hmac<Sha256> {
    // a key of any length will do, so the other arm is never taken; it would sign nothing that could be verified
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&Default::default()));
    mac.update(text.as_bytes());
    mac
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
    hex.as_bytes()
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];
    const LIFETIME: Duration = Duration::from_secs(60);

    fn nonce(issued: u64) -> Nonce {
        Nonce { issued: Timestamp(issued), salt: 1 }
    }

    #[test]
    fn a_nonce_is_known_by_its_signature_only() {
        let nonce = nonce(5);
        let text = nonce.signed(&KEY);
        assert_eq!(Nonce::verified(text.as_bytes(), &KEY), Some(nonce));
        assert_eq!(Nonce::verified(text.as_bytes(), &[8; 32]), None);
        for at in 0..text.len() {
            let mut forged = text.clone().into_bytes();
            forged[at] = if forged[at] == b'0' { b'1' } else { b'0' };
            assert_eq!(Nonce::verified(&forged, &KEY), None, "{at}");
        }
        for wrong in [&b""[..], b"x", "ü".repeat(40).as_bytes(), &text.as_bytes()[..60]] {
            assert_eq!(Nonce::verified(wrong, &KEY), None);
        }
    }

    #[test]
    fn counts_may_overtake_each_other_but_not_repeat() {
        let mut used = UsedNonces::new();
        let mut mark = |count| used.mark(nonce(1), count, Timestamp(1), LIFETIME);
        let verdicts = [1, 2, 2, 1, 5, 4, 3, 4, 200, 136, 137, 137, u32::MAX, u32::MAX, 0].map(&mut mark);
        let right = [true, true, false, false, true, true, true, false, true, false, true, false, true, false, false];
        assert_eq!(verdicts, right);
    }

    #[test]
    fn what_was_forgotten_counts_as_used() {
        let mut used = UsedNonces::new();
        let room = u64::try_from(REMEMBERED).unwrap();
        for issued in 10..10 + room + 1 {
            assert!(used.mark(nonce(issued), 1, Timestamp(issued), LIFETIME));
        }
        assert_eq!(used.seen.len(), REMEMBERED);
        assert!(!used.mark(nonce(10), 2, Timestamp(99), LIFETIME), "dropped for want of room");
        assert!(!used.mark(nonce(5), 1, Timestamp(99), LIFETIME), "older than what was dropped");
        assert!(used.mark(nonce(11), 2, Timestamp(99), LIFETIME));
    }

    #[test]
    fn what_is_too_old_makes_room() {
        let mut used = UsedNonces::new();
        assert!(used.mark(nonce(0), 1, Timestamp(0), LIFETIME));
        let later = Timestamp(0) + LIFETIME + Duration::from_micros(1);
        assert!(used.mark(Nonce { issued: later, salt: 2 }, 1, later, LIFETIME));
        assert_eq!(used.seen.len(), 1);
    }
}
