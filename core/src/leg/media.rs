//! What a leg does about its media: offers, answers, its track.

use std::sync::Arc;

use smallvec::smallvec;

use super::{Leg, LegEffect, LegNews, Role};
use crate::id::{LegId, TrackId};
use crate::machine::Effects;
use crate::media::{LocalMedia, MediaDescription, TrackSpec};
use crate::ports::Signal;
use crate::track::TrackInput;

impl Leg {
    /// The caller's port pair is there.
    pub(super) fn ready(&mut self, local: LocalMedia) -> Effects<LegEffect> {
        self.local = Some(local);
        Effects::new()
    }

    /// The callee sends media before its answer.
    pub(super) fn early(&mut self, answer: Arc<MediaDescription>) -> Effects<LegEffect> {
        self.remote = Some(answer.clone());
        let mut out = self.carry();
        out.push(LegEffect::TellCall(LegNews::EarlyMedia(answer)));
        out
    }

    /// The caller hears what the callee sends before its answer. With no codec in common it just hears nothing yet.
    pub(super) fn progress(&mut self, callee: &MediaDescription) -> Effects<LegEffect> {
        // To an INVITE without an offer ours may go out reliably only (RFC 3262): it waits for the answer.
        if self.remote.is_none() {
            return smallvec![LegEffect::Signal(Signal::Ring)];
        }
        let Some(answer) = self.answer_for(callee) else { return Effects::new() };
        self.told = Some(answer.clone());
        let mut out = self.carry();
        out.push(LegEffect::Signal(Signal::Progress(answer)));
        out
    }

    /// The caller's answer to our offer came with its ACK.
    pub(super) fn completed(&mut self, answer: Arc<MediaDescription>) -> Effects<LegEffect> {
        self.remote = Some(answer);
        self.carry()
    }

    pub(super) fn bridge(&self, peer: LegId) -> Effects<LegEffect> {
        smallvec![LegEffect::TellTrack(self.track(), TrackInput::Bridge(TrackId::audio_of(peer)))]
    }

    /// What the caller gets, given what the callee answered: the answer to its offer, or our offer if it made none.
    pub(super) fn answer_for(&self, callee: &MediaDescription) -> Option<Arc<MediaDescription>> {
        let local = self.local?;
        let answer = match &self.birth.role {
            Role::Caller { offer: Some(offer) } => offer.answered_like(callee, local)?,
            Role::Caller { offer: None } | Role::Callee(_) => {
                MediaDescription::basic(local).answered_like(callee, local)?
            }
        };
        Some(Arc::new(answer))
    }

    /// Tells the track what is negotiated so far; nothing until both sides have spoken.
    pub(super) fn carry(&self) -> Effects<LegEffect> {
        let (Some(local), Some(remote)) = (&self.told, &self.remote) else { return Effects::new() };
        let spec = TrackSpec { leg: self.id, local: local.clone(), remote: remote.clone() };
        smallvec![LegEffect::TellTrack(self.track(), TrackInput::Carry(spec))]
    }
}
