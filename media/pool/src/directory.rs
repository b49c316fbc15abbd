//! Which legs there are, who is bridged to whom, and on which worker each lives. Control path only.
//!
//! # Invariants
//! * Legs that are connected by bridges, directly or over others, live on one worker.

use std::collections::HashMap;
use std::sync::Arc;

use tandem_core::id::LegId;

use crate::black_box::BlackBox;

/// See the module.
#[derive(Debug)]
pub(crate) struct Directory {
    boxes: HashMap<LegId, Arc<BlackBox>>,
    /// Both ways, and for legs that are not open yet.
    links: HashMap<LegId, Vec<LegId>>,
    /// Legs per worker; `None` for one that was given up.
    load: Vec<Option<usize>>,
}

/// Somebody to be told that a box changed.
pub(crate) type Note = (usize, Arc<BlackBox>);

impl Directory {
    pub(crate) fn new(workers: usize) -> Self {
        Self { boxes: HashMap::new(), links: HashMap::new(), load: vec![Some(0); workers] }
    }

    pub(crate) fn find(&self, leg: LegId) -> Option<&Arc<BlackBox>> {
        self.boxes.get(&leg)
    }

    /// Files a leg, unless it is there already: then it gives back that one.
    pub(crate) fn file(&mut self, new: Arc<BlackBox>) -> Arc<BlackBox> {
        self.boxes.entry(new.leg).or_insert(new).clone()
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
        let homes = members.iter().filter_map(|member| member.home()).filter(|home| self.is_open(*home));
        let Some(home) = homes.clone().max_by_key(|home| homes.clone().filter(|other| other == home).count()) else {
            return self.settle(leg);
        };
        let mut notes = Vec::new();
        for member in members.into_iter().filter(|member| member.is_attached() && member.home() != Some(home)) {
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
        let Some(found) = self.boxes.get(&leg).filter(|found| found.is_attached()).cloned() else { return Vec::new() };
        found.move_to(home);
        self.shift(Some(home), |load| load + 1);
        vec![(home, found)]
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
