//! Addresses of the far end that passed a connectivity check, and the one that media goes to (RFC 8445, for a lite
//! agent).
//!
//! # Invariants
//! * An address gets in by an authenticated check only, and there are never more than [`LIMIT`].
//! * The address in use is one of them. Authenticated media moves it: the far end sends on the pair that it chose.
//! * Nominations decide as long as there was no media, or when the address in use fell silent. Some nominate every pair
//!   they check and mean the one of the highest priority; others name a pair of a lower one later, and mean it, but
//!   their media is there by then.

use std::net::SocketAddr;
use std::time::Duration;

use tandem_core::time::Timestamp;

/// Addresses in use at a time: some interfaces times two families.
const LIMIT: usize = 8;

/// An address with neither a check nor media for this long yields to a nomination of any priority. Agents check the
/// pair in use every 2–5 s, and media comes far more often.
const SILENCE: Duration = Duration::from_secs(6);

/// A check that passed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Check<'a> {
    /// Changes when the far end restarts ICE.
    pub(super) remote_ufrag: &'a str,
    pub(super) priority: u32,
    pub(super) nominates: bool,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Pairs {
    /// With the time of the last sign of life.
    known: Vec<(SocketAddr, Timestamp)>,
    selected: Option<Selected>,
}

#[derive(Clone, Debug)]
struct Selected {
    address: SocketAddr,
    by: Reason,
}

#[derive(Clone, Debug)]
enum Reason {
    Nomination { remote_ufrag: Box<str>, priority: u32 },
    Media,
}

impl Pairs {
    /// Where media goes.
    pub(super) fn selected(&self) -> Option<SocketAddr> {
        self.selected.as_ref().map(|selected| selected.address)
    }

    pub(super) fn is_known(&self, address: SocketAddr) -> bool {
        self.known.iter().any(|(known, _)| *known == address)
    }

    /// Whether a check or authenticated media came from there of late.
    pub(super) fn is_alive(&self, now: Timestamp, address: SocketAddr) -> bool {
        self.known.iter().any(|(known, heard)| *known == address && now - *heard < SILENCE)
    }

    /// Takes note of a check. `true`: what must be kept has changed.
    pub(super) fn check(&mut self, now: Timestamp, from: SocketAddr, check: Check<'_>) -> bool {
        let is_new = !self.is_known(from);
        if is_new {
            self.admit(now, from);
        }
        let moves = check.nominates && self.yields_to(now, from, check);
        if moves {
            let by = Reason::Nomination { remote_ufrag: check.remote_ufrag.into(), priority: check.priority };
            self.selected = Some(Selected { address: from, by });
        }
        self.heard(now, from);
        is_new || moves
    }

    /// Takes note of an authenticated packet that is newer than all others. `true`: what must be kept has changed.
    pub(super) fn carried(&mut self, now: Timestamp, from: SocketAddr) -> bool {
        self.heard(now, from);
        if !self.is_known(from) || self.selected.as_ref().is_some_and(|it| it.address == from && it.is_by_media()) {
            return false;
        }
        self.selected = Some(Selected { address: from, by: Reason::Media });
        true
    }

    /// Somebody else was in charge until now: nobody counts as silent for that.
    pub(super) fn resume(&mut self, now: Timestamp) {
        self.known.iter_mut().for_each(|(_, heard)| *heard = now);
    }

    fn yields_to(&self, now: Timestamp, from: SocketAddr, check: Check<'_>) -> bool {
        let Some(selected) = &self.selected else { return true };
        let is_silent = || !self.is_alive(now, selected.address);
        match &selected.by {
            Reason::Nomination { remote_ufrag, .. } if **remote_ufrag != *check.remote_ufrag => true,
            Reason::Nomination { priority, .. } if selected.address != from => {
                check.priority >= *priority || is_silent()
            }
            Reason::Nomination { .. } => false,
            Reason::Media => selected.address != from && is_silent(),
        }
    }

    fn heard(&mut self, now: Timestamp, from: SocketAddr) {
        if let Some((_, heard)) = self.known.iter_mut().find(|(known, _)| *known == from) {
            *heard = now;
        }
    }

    /// When there is no room, whoever has been silent for longest goes, but never the address in use.
    fn admit(&mut self, now: Timestamp, from: SocketAddr) {
        if self.known.len() >= LIMIT {
            let selected = self.selected();
            let others = self.known.iter().enumerate().filter(|(_, (known, _))| Some(*known) != selected);
            if let Some((oldest, _)) = others.min_by_key(|(_, (_, heard))| *heard) {
                self.known.swap_remove(oldest);
            }
        }
        self.known.push((from, now));
    }
}

impl Selected {
    const fn is_by_media(&self) -> bool {
        matches!(self.by, Reason::Media)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOW: u32 = 1_853_628_159;
    const HIGH: u32 = 1_853_759_231;

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    fn ms(ms: u64) -> Timestamp {
        Timestamp(1_000_000 + ms * 1_000)
    }

    fn check(priority: u32, nominates: bool) -> Check<'static> {
        Check { remote_ufrag: "theirs", priority, nominates }
    }

    #[test]
    fn who_nominates_every_pair_means_the_one_of_the_highest_priority() {
        let mut pairs = Pairs::default();
        for (n, (port, priority)) in [(1, LOW), (2, HIGH), (3, LOW), (1, LOW)].into_iter().enumerate() {
            pairs.check(ms(n as u64 * 50), at(port), check(priority, true));
        }
        assert_eq!(pairs.selected(), Some(at(2)));
    }

    #[test]
    fn media_moves_to_a_pair_of_lower_priority_before_its_nomination_and_back() {
        let mut pairs = Pairs::default();
        assert!(pairs.check(ms(0), at(1), check(HIGH, true)));
        assert!(pairs.check(ms(100), at(2), check(LOW, false)));
        assert_eq!(pairs.selected(), Some(at(1)));
        assert!(pairs.carried(ms(120), at(2)));
        pairs.check(ms(160), at(2), check(LOW, true));
        assert!(!pairs.check(ms(200), at(1), check(HIGH, true)));
        assert_eq!(pairs.selected(), Some(at(2)));
        assert!(pairs.carried(ms(220), at(1)) && !pairs.carried(ms(240), at(1)));
        assert_eq!(pairs.selected(), Some(at(1)));
    }

    #[test]
    fn nobody_is_selected_for_a_check_alone_or_for_media_from_elsewhere() {
        let mut pairs = Pairs::default();
        pairs.check(ms(0), at(1), check(HIGH, false));
        assert!(!pairs.carried(ms(1), at(2)));
        assert_eq!(pairs.selected(), None);
        assert!(pairs.is_known(at(1)) && !pairs.is_known(at(2)));
    }

    #[test]
    fn a_silent_pair_yields_to_any_nomination_and_a_living_one_does_not() {
        for by_media in [false, true] {
            let mut pairs = Pairs::default();
            pairs.check(ms(0), at(1), check(HIGH, true));
            if by_media {
                pairs.carried(ms(1), at(1));
            }
            pairs.check(ms(5_000), at(2), check(LOW, true));
            assert_eq!(pairs.selected(), Some(at(1)));
            pairs.check(ms(6_100), at(2), check(LOW, true));
            assert_eq!(pairs.selected(), Some(at(2)));
        }
    }

    #[test]
    fn after_an_ice_restart_the_new_nomination_counts() {
        let mut pairs = Pairs::default();
        pairs.check(ms(0), at(1), check(HIGH, true));
        pairs.check(ms(10), at(2), Check { remote_ufrag: "restarted", ..check(LOW, true) });
        assert_eq!(pairs.selected(), Some(at(2)));
    }

    #[test]
    fn when_there_are_too_many_the_one_silent_for_longest_goes_but_not_the_one_in_use() {
        let mut pairs = Pairs::default();
        pairs.check(ms(0), at(1), check(HIGH, true));
        for port in 2..=9 {
            pairs.check(ms(port.into()), at(port), check(LOW, false));
        }
        assert_eq!(pairs.known.len(), LIMIT);
        assert!(pairs.is_known(at(1)) && !pairs.is_known(at(2)) && pairs.is_known(at(9)));
    }
}
