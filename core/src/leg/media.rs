//! What a leg does about its media: offers, answers, its track.

use std::sync::Arc;

use smallvec::smallvec;

use super::{ANSWER_TIMEOUT, Leg, LegEffect, LegNews, Negotiation, Role, State};
use crate::cause::Cause;
use crate::id::{LegId, TrackId};
use crate::machine::Effects;
use crate::media::{LocalMedia, MediaCommand, MediaDescription, TrackSpec};
use crate::ports::Signal;
use crate::time::Now;
use crate::track::TrackInput;

impl Leg {
    /// Makes the offer that the caller wants at once, as soon as there is what to offer and a peer to offer it with.
    pub(super) fn propose(&mut self, now: Now, proposal: Option<Arc<MediaDescription>>) -> Effects<LegEffect> {
        let (Some(proposed), Some(local)) = (&proposal, &self.local) else {
            self.state = State::Proposing { proposal };
            return Effects::new();
        };
        let offer = Arc::new(proposed.relayed_at(local));
        self.told = Some(offer.clone());
        self.state = State::Awaiting { answer_by: now.mono + ANSWER_TIMEOUT, callee: None };
        smallvec![LegEffect::Signal(Signal::Offer(offer))]
    }

    /// The caller has answered our offer.
    pub(super) fn agree(
        &mut self,
        answer: Arc<MediaDescription>,
        callee: Option<&MediaDescription>,
    ) -> Effects<LegEffect> {
        self.remote = Some(answer);
        self.state = State::Agreed;
        match callee {
            None => self.carry(),
            Some(callee) => self.connect(callee),
        }
    }

    /// Caller and callee have both answered our offers.
    pub(super) fn connect(&mut self, callee: &MediaDescription) -> Effects<LegEffect> {
        let (Some(told), Some(remote)) = (&self.told, &self.remote) else { return Effects::new() };
        if !remote.shares_audio_with(callee) {
            return self.end(Cause::Incompatible, None);
        }
        let answer = LegEffect::Signal(Signal::Answer(told.clone()));
        self.state = State::Connected;
        let mut out = self.carry();
        out.push(answer);
        out.push(LegEffect::Media(MediaCommand::Watch { leg: self.id }));
        out
    }

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
        let local = self.local.as_ref()?;
        let answer = match &self.birth.role {
            Role::Caller(Negotiation::Offered(offer)) => offer.answered_like(callee, local)?,
            Role::Caller(Negotiation::Late | Negotiation::AtOnce) | Role::Callee(_) => {
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
