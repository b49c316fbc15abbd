//! Who receives which track, and which layer of it.

use super::Sfu;
use super::forward::Forward;
use super::intake::Subscriber;

impl Sfu {
    /// Connects what goes out with what comes in, once both are here.
    pub(super) fn link(&mut self, place: usize, slot: usize) {
        let Some(track) = self.forward_at(place, slot).map(|forward| forward.track) else { return };
        let Some(source) = self.tracks.get(&track).copied() else { return };
        let Some(intake) = self.intake_at(source) else { return };
        let spec = intake.spec.clone();
        if !intake.subscribers.iter().any(|it| (it.place, it.slot) == (place, slot)) {
            intake.subscribers.push(Subscriber { place, slot, layers: 0 });
        }
        if let Some(forward) = self.forward_at(place, slot) {
            forward.link(source, &spec);
        }
    }

    pub(super) fn unlink(&mut self, subscribers: &[Subscriber]) {
        for subscriber in subscribers {
            if let Some(forward) = self.forward_at(subscriber.place, subscriber.slot) {
                forward.unlink();
            }
        }
    }

    pub(super) fn unsubscribe(&mut self, place: usize, slot: usize, gone: &Forward) {
        if let Some(intake) = gone.source.and_then(|source| self.intake_at(source)) {
            intake.subscribers.retain(|it| (it.place, it.slot) != (place, slot));
        }
        if let Some(wanted) = self.wanted.get_mut(&gone.track) {
            wanted.retain(|it| *it != (place, slot));
            if wanted.is_empty() {
                self.wanted.remove(&gone.track);
            }
        }
    }

    /// Chooses the layer for everybody who receives a track.
    pub(super) fn aim_all(&mut self, place: usize, slot: usize) {
        let subscribers = self.intake_at((place, slot)).map(|intake| intake.subscribers.clone()).unwrap_or_default();
        for subscriber in subscribers {
            self.aim(subscriber.place, subscriber.slot);
        }
    }

    pub(super) fn aim(&mut self, place: usize, slot: usize) {
        let Some(forward) = self.forward_at(place, slot) else { return };
        let (max_layer, Some(source)) = (forward.wish.max_layer, forward.source) else { return };
        let Some(intake) = self.intake_at(source) else { return };
        let (target, is_video) = (intake.best(max_layer), intake.is_video());
        let is_muted = intake.is_muted;
        let Some(forward) = self.forward_at(place, slot) else { return };
        if is_muted {
            forward.stop();
        }
        let needs_key = forward.aim(target);
        let layers = forward.layers();
        self.mark(source, place, slot, layers);
        if let Some(layer) = target.filter(|_| needs_key && is_video)
            && let Some(layer) = self.intake_at(source).and_then(|intake| intake.layer(layer))
        {
            layer.want_key();
            self.due.push_back(source.0);
        }
    }

    pub(super) fn mark(&mut self, source: (usize, usize), place: usize, slot: usize, layers: u8) {
        let Some(intake) = self.intake_at(source) else { return };
        if let Some(it) = intake.subscribers.iter_mut().find(|it| (it.place, it.slot) == (place, slot)) {
            it.layers = layers;
        }
    }
}
