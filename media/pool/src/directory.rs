//! Which legs there are, who is bridged to whom, and on which worker each lives. Control path only.
//!
//! # Invariants
//! * Legs that are connected by bridges, directly or over others, live on one worker.
//! * A peer never moves. All peers of a call are on one worker; legs of two calls that both have peers cannot be united.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use tandem_core::id::{CallId, ConferenceId, LegId};
use tandem_core::machine::Refusal;

use crate::black_box::BlackBox;
use crate::rooms::Rooms;

/// See the module.
#[derive(Debug)]
pub(crate) struct Directory {
    boxes: HashMap<LegId, Arc<BlackBox>>,
    /// Both ways, and for legs that are not open yet.
    links: HashMap<LegId, Vec<LegId>>,
    /// Legs per worker; `None` for one that was given up.
    load: Vec<Option<usize>>,
    /// How many of them are peers.
    peers: Vec<usize>,
    /// Connections of rooms.
    pub(crate) rooms: Rooms,
}

/// Somebody to be told that a box changed.
pub(crate) type Note = (usize, Arc<BlackBox>);

impl Directory {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            boxes: HashMap::new(),
            links: HashMap::new(),
            load: vec![Some(0); workers],
            peers: vec![0; workers],
            rooms: Rooms::default(),
        }
    }

    pub(crate) fn find(&self, leg: LegId) -> Option<&Arc<BlackBox>> {
        self.boxes.get(&leg)
    }

    /// Files a leg, unless it is there already: then it gives back that one.
    pub(crate) fn file(&mut self, new: Arc<BlackBox>) -> Arc<BlackBox> {
        self.boxes.entry(new.leg).or_insert(new).clone()
    }

    /// The same for a peer, at the home of its call: full when that worker has so many already.
    pub(crate) fn file_peer(
        &mut self,
        new: Arc<BlackBox>,
        call: CallId,
        limit: usize,
    ) -> Result<Arc<BlackBox>, Refusal> {
        if let Some(found) = self.boxes.get(&new.leg) {
            return Ok(found.clone());
        }
        let home = self.seat_peer(&call, limit)?;
        new.move_to(home);
        Ok(self.file(new))
    }

    /// A place for one connection of a room, at the home of its conference: full when that worker has so many peers
    /// already.
    pub(crate) fn seat_room(&mut self, conference: ConferenceId, limit: usize) -> Result<usize, Refusal> {
        self.seat_peer(&conference, limit)
    }

    /// It is free again.
    pub(crate) fn unseat_room(&mut self, home: usize) {
        self.shift(Some(home), |load| load.saturating_sub(1));
        self.unseat_peer(home);
    }

    fn seat_peer(&mut self, of: &impl Hash, limit: usize) -> Result<usize, Refusal> {
        let home = self.home_of(of).ok_or(Refusal::Full)?;
        let peers = self.peers.get_mut(home).filter(|peers| **peers < limit).ok_or(Refusal::Full)?;
        *peers += 1;
        self.shift(Some(home), |load| load + 1);
        Ok(home)
    }

    fn unseat_peer(&mut self, home: usize) {
        if let Some(peers) = self.peers.get_mut(home) {
            *peers = peers.saturating_sub(1);
        }
    }

    pub(crate) fn remove(&mut self, leg: LegId) -> Option<Arc<BlackBox>> {
        let gone = self.boxes.remove(&leg)?;
        for peer in self.links.remove(&leg).unwrap_or_default() {
            if let Some(back) = self.links.get_mut(&peer) {
                back.retain(|other| *other != leg);
                if back.is_empty() {
                    self.links.remove(&peer);
                }
            }
        }
        self.shift(gone.home(), |load| load.saturating_sub(1));
        if let Some(home) = gone.home().filter(|_| gone.is_peer()) {
            self.unseat_peer(home);
        }
        Some(gone)
    }

    pub(crate) fn link(&mut self, one: LegId, other: LegId) {
        for (from, to) in [(one, other), (other, one)] {
            let peers = self.links.entry(from).or_default();
            if !peers.contains(&to) {
                peers.push(to);
            }
        }
    }

    /// Brings a leg and all that it is connected with to one worker. Gives the workers that must look at what changed.
    /// Nothing when there is no worker left.
    pub(crate) fn unite(&mut self, leg: LegId) -> Vec<Note> {
        let members = self.connected(leg);
        let homes = |of_peers: bool| {
            let counted = members.iter().filter(|member| member.is_peer() || !of_peers);
            counted.filter_map(|member| member.home()).filter(|home| self.is_open(*home)).collect::<Vec<_>>()
        };
        let Some(home) = most_common(&homes(true)).or_else(|| most_common(&homes(false))) else {
            return self.settle(leg);
        };
        let mut notes = Vec::new();
        for member in members.into_iter().filter(|member| member.may_move() && member.home() != Some(home)) {
            let old = member.home();
            member.move_to(home);
            self.shift(old, |load| load.saturating_sub(1));
            self.shift(Some(home), |load| load + 1);
            notes.extend(old.map(|old| (old, member.clone())));
            notes.push((home, member));
        }
        notes
    }

    pub(crate) fn of_worker(&self, worker: usize) -> Vec<Arc<BlackBox>> {
        self.boxes.values().filter(|it| it.home() == Some(worker)).cloned().collect()
    }

    /// No leg comes to this worker any more. Gives those that were there.
    pub(crate) fn close_worker(&mut self, worker: usize) -> Vec<Arc<BlackBox>> {
        if let Some(load) = self.load.get_mut(worker) {
            *load = None;
        }
        self.of_worker(worker)
    }

    pub(crate) fn has_worker(&self) -> bool {
        self.load.iter().any(Option::is_some)
    }

    /// A first home: where the fewest are.
    fn settle(&mut self, leg: LegId) -> Vec<Note> {
        let emptiest = self.load.iter().enumerate().filter_map(|(worker, load)| Some((worker, (*load)?)));
        let Some((home, _)) = emptiest.min_by_key(|(_, load)| *load) else { return Vec::new() };
        let Some(found) = self.boxes.get(&leg).filter(|found| found.may_move()).cloned() else { return Vec::new() };
        found.move_to(home);
        self.shift(Some(home), |load| load + 1);
        vec![(home, found)]
    }

    /// The same for a call or a conference each time. When a worker is closed, only what was there goes elsewhere
    /// (rendezvous hashing).
    fn home_of(&self, of: &impl Hash) -> Option<usize> {
        let weight = |worker: &usize| {
            let mut hasher = DefaultHasher::new();
            (of, worker).hash(&mut hasher);
            hasher.finish()
        };
        (0..self.load.len()).filter(|worker| self.is_open(*worker)).max_by_key(weight)
    }

    fn connected(&self, leg: LegId) -> Vec<Arc<BlackBox>> {
        let mut found = vec![leg];
        let mut next = 0;
        while let Some(peers) = found.get(next).map(|leg| self.links.get(leg)) {
            next += 1;
            for peer in peers.into_iter().flatten() {
                if !found.contains(peer) {
                    found.push(*peer);
                }
            }
        }
        found.iter().filter_map(|leg| self.boxes.get(leg).cloned()).collect()
    }

    fn is_open(&self, worker: usize) -> bool {
        self.load.get(worker).is_some_and(Option::is_some)
    }

    fn shift(&mut self, worker: Option<usize>, change: impl Fn(usize) -> usize) {
        if let Some(Some(load)) = worker.and_then(|worker| self.load.get_mut(worker)) {
            *load = change(*load);
        }
    }
}

fn most_common(homes: &[usize]) -> Option<usize> {
    homes.iter().copied().max_by_key(|home| homes.iter().filter(|other| *other == home).count())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::black_box::Carriage;

    fn call(n: u128) -> CallId {
        CallId::from_uuid(Uuid::from_u128(n))
    }

    fn peer(n: u128) -> Arc<BlackBox> {
        let kept = tandem_engine::peer::Kept::new(n.to_string(), "a password of ICE, 24 long".into());
        Arc::new(BlackBox::new(LegId::from_uuid(Uuid::from_u128(n)), 1, Carriage::Peer(Arc::new(kept))))
    }

    #[test]
    fn calls_spread_over_workers_and_only_those_of_a_closed_one_go_elsewhere() {
        let mut directory = Directory::new(4);
        let homes = |directory: &Directory| (0..400).map(|n| directory.home_of(&call(n)).unwrap()).collect::<Vec<_>>();
        let before = homes(&directory);
        assert!((0..4).all(|worker| before.iter().filter(|home| **home == worker).count() > 40));
        directory.close_worker(2);
        for (before, after) in before.into_iter().zip(homes(&directory)) {
            assert!(after != 2 && (before == after || before == 2));
        }
    }

    #[test]
    fn peers_of_a_call_are_together_and_count_until_they_are_gone() {
        let mut directory = Directory::new(3);
        let first = directory.file_peer(peer(1), call(7), 2).unwrap();
        let second = directory.file_peer(peer(2), call(7), 2).unwrap();
        assert!(first.home().is_some() && first.home() == second.home());
        assert_eq!(directory.file_peer(peer(3), call(7), 2).err(), Some(Refusal::Full));
        assert!(Arc::ptr_eq(&directory.file_peer(peer(1), call(8), 2).unwrap(), &first));
        directory.remove(first.leg);
        directory.remove(first.leg);
        assert!(directory.file_peer(peer(3), call(7), 2).is_ok());
        directory.remove(second.leg);
        directory.remove(peer(3).leg);
        assert!(directory.load.iter().all(|load| *load == Some(0)) && directory.peers.iter().all(|peers| *peers == 0));
    }
}
