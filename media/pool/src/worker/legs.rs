//! The legs that a worker carries: brought in line with their black boxes.

use std::os::fd::AsRawFd;
use std::sync::Arc;

use mio::Interest;
use mio::unix::SourceFd;
use tandem_core::id::LegId;
use tandem_core::metric::Counter;
use tandem_core::trace::{Entry, Subject, What};
use tandem_engine::peer::Peer;
use tandem_engine::{Socket, SocketKind};
use tracing::error;

use super::{Worker, token_of};
use crate::black_box::{BlackBox, Carriage};
use crate::pair::Pair;

/// The sockets of a leg that has its own.
const KINDS: [SocketKind; 2] = [SocketKind::Rtp, SocketKind::Rtcp];

impl Worker<'_> {
    pub(super) fn take_over(&mut self, culprit: usize) {
        self.take_over_rooms(culprit);
        let boxes = self.pool.directory.lock().of_worker(self.index);
        if let Some(culprit) = boxes.iter().find(|found| found.serial == culprit) {
            culprit.break_off();
        }
        for found in boxes {
            if found.is_untold() {
                self.broken.push_back(found);
            } else {
                if self.generation > 1 {
                    found.kept.rebuilt();
                }
                self.reconcile(&found);
                self.note_rebuilt(found.leg);
            }
        }
    }

    /// For the story of the leg's call.
    fn note_rebuilt(&self, leg: LegId) {
        if self.generation > 1 {
            let rebuilt = What::Rebuilt { worker: self.index };
            self.pool.trace.note(Subject::Leg(leg), Entry::new(self.pool.clock.now().wall, rebuilt));
        }
    }

    pub(super) fn reconcile_noted(&mut self) {
        while let Some(changed) = self.seat.next_note(self.generation) {
            self.reconcile(&changed);
        }
        while let Some(changed) = self.seat.next_room_note(self.generation) {
            let orders = changed.take_orders();
            self.reconcile_room(&changed, orders);
        }
        if self.seat.takes_review(self.generation) {
            let boxes = self.pool.directory.lock().of_worker(self.index);
            let here: Vec<_> = self.places.iter().flatten().cloned().collect();
            here.iter().chain(&boxes).for_each(|found| self.reconcile(found));
            self.review_rooms();
        }
    }

    /// Brings the engine in line with a box.
    fn reconcile(&mut self, found: &Arc<BlackBox>) {
        if !self.owns(found) {
            return self.drop_leg(found);
        }
        let Some(place) = self.place_of(found).or_else(|| self.take_in(found)) else {
            return self.report_broken(found);
        };
        let (now, watch) = (self.pool.clock.mono(), self.watch());
        let engine = &mut self.engine;
        let step = || found.commands().iter().flatten().for_each(|command| engine.apply(now, command));
        if watch.guarded(found.serial, step).is_none() {
            self.give_up(place, found);
        }
    }

    /// Where the leg is, if it is here.
    fn place_of(&mut self, found: &Arc<BlackBox>) -> Option<usize> {
        let place = self.legs.get(&found.leg).copied()?;
        let here = self.places.get(place).and_then(Clone::clone)?;
        if here.serial == found.serial {
            return Some(place);
        }
        // Released and opened again, and the release came out of turn.
        self.drop_leg(&here);
        None
    }

    /// Takes a leg in. `None`: its sockets cannot be listened to, or it cannot be built.
    fn take_in(&mut self, found: &Arc<BlackBox>) -> Option<usize> {
        let place = self.free.pop().unwrap_or(self.places.len());
        if self.places.len() <= place {
            self.places.resize(place + 1, None);
        }
        if let Some(slot) = self.places.get_mut(place) {
            *slot = Some(found.clone());
        }
        self.legs.insert(found.leg, place);
        let is_heard = found.pair().is_none_or(|pair| self.listen(found.leg, place, pair));
        let (pool, watch, now) = (self.pool, self.watch(), self.pool.clock.mono());
        let engine = &mut self.engine;
        let build = || match &found.carriage {
            Carriage::Pair(_) => engine.open(now, place, found.leg, found.kept.clone()),
            Carriage::Peer(kept) => {
                let peer = Peer::new(now, pool.clock.epoch(), pool.identity.clone(), kept.clone());
                engine.open_peer(now, place, found.leg, found.kept.clone(), peer, kept);
            }
        };
        if is_heard && watch.guarded(found.serial, build).is_some() {
            return Some(place);
        }
        self.drop_leg(found);
        None
    }

    fn listen(&self, leg: LegId, place: usize, pair: &Pair) -> bool {
        KINDS.into_iter().all(|kind| {
            let fd = pair.socket(kind).as_raw_fd();
            let token = token_of(Socket { place, kind });
            let listening = self.poll.registry().register(&mut SourceFd(&fd), token, Interest::READABLE);
            if let Err(refused) = &listening {
                error!(leg_id = %leg, error = %refused, "socket not registered");
            }
            listening.is_ok()
        })
    }

    pub(super) fn drop_leg(&mut self, found: &BlackBox) {
        // A leg may have been released and opened again meanwhile: the one that is here is then another.
        let is_here = |place: &usize| {
            self.places.get(*place).and_then(Option::as_ref).is_some_and(|here| here.serial == found.serial)
        };
        let Some(place) = self.legs.get(&found.leg).copied().filter(is_here) else { return };
        self.legs.remove(&found.leg);
        let watch = self.watch();
        let engine = &mut self.engine;
        let is_clean = watch.guarded(found.serial, || engine.close(place)).is_some();
        self.unregister(found);
        self.vacate(place);
        if is_clean {
            self.free.push(place);
        } else {
            // What is left there is nobody's, and stays until the worker is rebuilt.
            self.pool.metrics.count(Counter::MediaPanics);
            error!(leg_id = %found.leg, worker = self.index, place, "closing broke, place left empty");
        }
    }

    fn unregister(&self, found: &BlackBox) {
        for socket in found.pair().into_iter().flat_map(|pair| KINDS.map(|kind| pair.socket(kind))) {
            // An error says that it is not registered: so much the better.
            let _ = self.poll.registry().deregister(&mut SourceFd(&socket.as_raw_fd()));
        }
    }

    fn vacate(&mut self, place: usize) {
        if let Some(slot) = self.places.get_mut(place) {
            *slot = None;
        }
        self.unfinished.retain(|socket| socket.place != place);
    }

    /// A leg whose step panicked is not touched again. One that is another's by now is none of ours.
    pub(super) fn give_up(&mut self, place: usize, found: &Arc<BlackBox>) {
        self.pool.metrics.count(Counter::MediaPanics);
        if !self.owns(found) {
            return self.drop_leg(found);
        }
        error!(leg_id = %found.leg, worker = self.index, place, "a packet or command broke this leg");
        self.report_broken(found);
        self.drop_leg(found);
    }

    fn report_broken(&mut self, found: &Arc<BlackBox>) {
        found.break_off();
        self.broken.push_back(found.clone());
    }
}
