//! What a participant publishes, and what others see of him.

use std::collections::BTreeMap;
use std::sync::Arc;

use smallvec::smallvec;

use super::sections::Round;
use super::{Participant, ParticipantEffect, formats};
use crate::id::TrackId;
use crate::machine::Effects;
use crate::publication::PublicationInput;
use crate::room::description::SectionKind;
use crate::room::signal::{Outcome, Publish, RoomSignal};
use crate::room::view::{LeaveReason, Permission, TrackLayer, TrackView};

/// Tracks of one participant.
pub(super) const MAX_TRACKS: usize = 64;

/// Bytes of metadata, and of all attributes together.
const MAX_TEXT: usize = 64 * 1_024;

/// Bytes of a name.
const MAX_NAME: usize = 256;

impl Participant {
    /// He says what will come. He is told its id, and it is shown to others once it is negotiated.
    pub(super) fn announce(&mut self, publish: Arc<Publish>) -> Effects<ParticipantEffect> {
        let is_known = self.announced.iter().any(|it| it.cid == publish.cid);
        let count = self.announced.len() + self.me.tracks.len();
        if !self.may_publish(&publish) || !is_known && count >= MAX_TRACKS {
            let outcome = if self.may_publish(&publish) { Outcome::TooLarge } else { Outcome::NotAllowed };
            let refusal = RoomSignal::NotPublished { cid: publish.cid.clone(), outcome };
            return smallvec![ParticipantEffect::Signal(refusal)];
        }
        self.announced.retain(|it| it.cid != publish.cid);
        self.announced.push(publish.clone());
        let track = Arc::new(shown(&publish));
        smallvec![ParticipantEffect::Signal(RoomSignal::Published { cid: publish.cid.clone(), track })]
    }

    /// Tracks that an offer brought and took away.
    pub(super) fn publish(&mut self, round: &Round) -> Effects<ParticipantEffect> {
        let mut out = Effects::new();
        for (publish, spec) in &round.taken {
            out.push(ParticipantEffect::OpenTrack(publish.track));
            out.push(ParticipantEffect::TellTrack(publish.track, PublicationInput::Carry(spec.clone())));
            if publish.is_muted {
                out.push(ParticipantEffect::TellTrack(publish.track, PublicationInput::Mute(true)));
            }
        }
        for track in &round.withdrawn {
            out.push(ParticipantEffect::TellTrack(*track, PublicationInput::End));
        }
        if round.taken.is_empty() && round.withdrawn.is_empty() {
            return out;
        }
        out.extend(self.change(|me| {
            me.tracks.retain(|track| !round.withdrawn.contains(&track.id));
            for (publish, spec) in &round.taken {
                let mut view = shown(publish);
                if let Some((codec, _)) = spec.formats.first() {
                    view.mime = formats::mime(spec.kind, codec);
                    view.codec = Some(Arc::new(codec.clone()));
                }
                view.mid = spec.mid.clone();
                view.is_simulcast = spec.layers.len() > 1;
                me.tracks.push(Arc::new(view));
            }
        }));
        out
    }

    pub(super) fn mute(&mut self, track: TrackId, is_muted: bool) -> Effects<ParticipantEffect> {
        let announced = self.announced.iter_mut().find(|it| it.track == track);
        if let Some(publish) = announced {
            Arc::make_mut(publish).is_muted = is_muted;
            return Effects::new();
        }
        let mut out = self.alter(track, |view| view.is_muted = is_muted);
        if !out.is_empty() {
            out.push(ParticipantEffect::TellTrack(track, PublicationInput::Mute(is_muted)));
        }
        out
    }

    pub(super) fn retouch(
        &mut self,
        track: TrackId,
        audio_features: Option<Arc<[i32]>>,
        size: Option<(u32, u32)>,
    ) -> Effects<ParticipantEffect> {
        self.alter(track, |view| {
            if let Some(features) = audio_features {
                view.audio_features = features;
            }
            if let Some((width, height)) = size {
                (view.width, view.height) = (width, height);
            }
        })
    }

    /// The first packet of a layer came.
    pub(super) fn started(&mut self, track: TrackId, layer: u8, ssrc: u32) -> Effects<ParticipantEffect> {
        self.alter(track, |view| {
            let mut layers: Vec<TrackLayer> = view.layers.to_vec();
            if let Some(layer) = layers.get_mut(usize::from(layer)) {
                layer.ssrc = ssrc;
            }
            view.layers = layers.into();
        })
    }

    /// Its actor was given up, or could not be told.
    pub(super) fn lost(&mut self, track: TrackId) -> Effects<ParticipantEffect> {
        if !self.me.tracks.iter().any(|it| it.id == track) {
            return Effects::new();
        }
        let mut sections = (*self.sections).clone();
        sections.unpublish(track);
        self.sections = Arc::new(sections);
        let mut out = self.change(|me| me.tracks.retain(|it| it.id != track));
        out.push(ParticipantEffect::Signal(RoomSignal::Unpublished(track)));
        out
    }

    pub(super) fn describe(
        &mut self,
        request: Option<u32>,
        metadata: Option<Arc<str>>,
        name: Option<Arc<str>>,
        attributes: &BTreeMap<String, String>,
    ) -> Effects<ParticipantEffect> {
        let mut merged = (*self.me.attributes).clone();
        for (key, value) in attributes {
            if value.is_empty() {
                merged.remove(key);
            } else {
                merged.insert(key.clone(), value.clone());
            }
        }
        let text: usize = merged.iter().map(|(key, value)| key.len() + value.len()).sum();
        let is_too_large = metadata.as_ref().is_some_and(|it| it.len() > MAX_TEXT)
            || name.as_ref().is_some_and(|it| it.len() > MAX_NAME)
            || text > MAX_TEXT;
        let may = request.is_none() || self.me.permission.can_update_metadata;
        let outcome = if !may {
            Outcome::NotAllowed
        } else if is_too_large {
            Outcome::TooLarge
        } else {
            Outcome::Done
        };
        let mut out = Effects::new();
        if let Some(request) = request {
            out.push(ParticipantEffect::Signal(RoomSignal::Outcome { request, outcome }));
        }
        if outcome == Outcome::Done {
            out.extend(self.change(|me| {
                me.metadata = metadata.unwrap_or_else(|| me.metadata.clone());
                me.name = name.unwrap_or_else(|| me.name.clone());
                me.attributes = Arc::new(merged);
            }));
        }
        out
    }

    /// Replaces what he may do. What he publishes without leave is ended.
    pub(super) fn permit(&mut self, permission: Permission) -> Effects<ParticipantEffect> {
        let is_allowed = |track: &TrackView| {
            permission.can_publish && (permission.sources.is_empty() || permission.sources.contains(&track.source))
        };
        let ended: Vec<TrackId> = self.me.tracks.iter().filter(|it| !is_allowed(it)).map(|it| it.id).collect();
        let mut sections = (*self.sections).clone();
        ended.iter().for_each(|track| sections.unpublish(*track));
        self.sections = Arc::new(sections);
        let mut out = self.change(|me| {
            me.permission = permission;
            me.tracks.retain(|it| !ended.contains(&it.id));
        });
        for track in ended {
            out.push(ParticipantEffect::TellTrack(track, PublicationInput::End));
            out.push(ParticipantEffect::Signal(RoomSignal::Unpublished(track)));
        }
        self.reconsider(&mut out);
        out
    }

    /// What he has after a cut. A track that we do not know means that he and we have lost each other.
    pub(super) fn sync(
        &mut self,
        published: &[TrackId],
        exceptions: &[TrackId],
        disabled: &[TrackId],
    ) -> Effects<ParticipantEffect> {
        let is_known = |id: &TrackId| {
            self.me.tracks.iter().any(|it| it.id == *id) || self.announced.iter().any(|it| it.track == *id)
        };
        if !published.iter().all(is_known) {
            return self.removed(LeaveReason::StateMismatch);
        }
        let mut out = self.subscribe(exceptions, !self.birth.join.auto_subscribe);
        out.extend(self.hide(disabled));
        out
    }

    fn may_publish(&self, publish: &Publish) -> bool {
        let permission = &self.me.permission;
        let is_media = matches!(publish.kind, SectionKind::Audio | SectionKind::Video);
        is_media
            && permission.can_publish
            && (permission.sources.is_empty() || permission.sources.contains(&publish.source))
    }

    /// Changes one of his tracks, and tells others. Nothing when there is no such track.
    fn alter(&mut self, track: TrackId, change: impl FnOnce(&mut TrackView)) -> Effects<ParticipantEffect> {
        let Some(place) = self.me.tracks.iter().position(|it| it.id == track) else { return Effects::new() };
        self.change(|me| {
            if let Some(view) = me.tracks.get_mut(place) {
                change(Arc::make_mut(view));
            }
        })
    }
}

/// As it is shown before it is negotiated.
fn shown(publish: &Publish) -> TrackView {
    TrackView {
        id: publish.track,
        kind: publish.kind,
        source: publish.source,
        name: publish.name.clone(),
        stream: publish.stream.clone(),
        is_muted: publish.is_muted,
        width: publish.width,
        height: publish.height,
        mime: Arc::default(),
        codec: None,
        mid: Arc::default(),
        is_simulcast: publish.layers.len() > 1,
        layers: publish.layers.clone(),
        disable_red: publish.disable_red,
        encryption: publish.encryption,
        audio_features: publish.audio_features.clone(),
    }
}
