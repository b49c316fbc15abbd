//! What a participant receives: offers answered, wishes heard, sections asked for.

use std::sync::Arc;

use smallvec::smallvec;

use super::sections::Wanted;
use super::{Participant, ParticipantEffect, ParticipantNews, formats};
use crate::id::{ParticipantId, TrackId};
use crate::machine::Effects;
use crate::media::LocalMedia;
use crate::room::description::{Description, SectionKind};
use crate::room::sfu::{SendSpec, SfuCommand, TransportId, TransportRole, Wish};
use crate::room::signal::{Allowance, Allowed, RoomSignal, Showing, Topology};
use crate::room::view::{LeaveReason, TrackView};

/// What somebody said of a track.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct TrackWish {
    /// Whether he wants it, if he said so.
    is_wanted: Option<bool>,
    /// How he shows it, if he said so.
    showing: Option<Showing>,
    /// He has none of its codecs.
    is_foreign: bool,
}

impl Participant {
    /// Our side of a connection is there.
    pub(super) fn ready(&mut self, role: TransportRole, local: LocalMedia) -> Effects<ParticipantEffect> {
        if role == TransportRole::Subscriber {
            self.subscriber = Some(Arc::new(local));
            Arc::make_mut(&mut self.downlink).renew();
            let mut out = Effects::new();
            self.reconsider(&mut out);
            return out;
        }
        self.local = Some(Arc::new(local));
        match self.early_offer.take() {
            Some((id, offer)) => self.offered(id, &offer),
            None => Effects::new(),
        }
    }

    pub(super) fn offered(&mut self, id: u32, offer: &Arc<Description>) -> Effects<ParticipantEffect> {
        let Some(local) = self.local.clone() else {
            self.early_offer = Some((id, offer.clone()));
            return Effects::new();
        };
        let Some(peer) = local.peer.clone() else { return self.removed(LeaveReason::JoinFailure) };
        let transport = self.transport(TransportRole::Publisher);
        let wanted = if self.is_dual() { Vec::new() } else { self.wanted() };
        let mut sections = (*self.sections).clone();
        let Some(round) = sections.answer(transport, offer, &mut self.announced, &wanted) else {
            return self.removed(LeaveReason::StateMismatch);
        };
        self.sections = Arc::new(sections);
        self.is_asked = false;
        let extensions = formats::numbers(round.answer.iter().map(|section| &**section));
        let connect = SfuCommand::Connect { transport, remote: offer.peer.clone(), extensions };
        let mut out: Effects<ParticipantEffect> = smallvec![ParticipantEffect::Media(connect)];
        out.extend(self.publish(&round));
        for (track, spec) in &round.filled {
            if let Some(wanted) = wanted.iter().find(|it| it.track == *track) {
                self.send(wanted, spec, &mut out);
            }
        }
        self.give_up(&round.foreign, &mut out);
        let tracks = self.sections.carried().map(|(mid, track, _)| (mid, track)).collect();
        let answer = Description {
            peer,
            address: Some(local.rtp),
            mixes_extensions: offer.mixes_extensions,
            sections: round.answer,
        };
        out.push(ParticipantEffect::Signal(RoomSignal::Answer { id, answer: Arc::new(answer), tracks }));
        self.ask(&mut out);
        out
    }

    /// The far end answers our offer.
    pub(super) fn answered(&mut self, id: u32, answer: &Description) -> Effects<ParticipantEffect> {
        let settled = match Arc::make_mut(&mut self.downlink).answered(id, answer) {
            Ok(Some(settled)) => settled,
            Ok(None) => return Effects::new(),
            Err(_mismatch) => return self.removed(LeaveReason::StateMismatch),
        };
        let transport = self.transport(TransportRole::Subscriber);
        let extensions = formats::numbers(answer.sections.iter().map(|section| &**section));
        let connect = SfuCommand::Connect { transport, remote: answer.peer.clone(), extensions };
        let mut out: Effects<ParticipantEffect> = smallvec![ParticipantEffect::Media(connect)];
        for (wanted, spec) in &settled.started {
            self.send(wanted, spec, &mut out);
        }
        self.give_up(&settled.refused, &mut out);
        self.reconsider(&mut out);
        out
    }

    /// Sends a track that there is a section for.
    fn send(&self, wanted: &Wanted, spec: &Arc<SendSpec>, out: &mut Effects<ParticipantEffect>) {
        let (track, transport) = (wanted.track, self.receiving_transport());
        let send = SfuCommand::Send { track, transport, spec: spec.clone(), wish: self.wish_for(track) };
        out.push(ParticipantEffect::Media(send));
        let news = ParticipantNews::Receives { publisher: wanted.publisher, track };
        out.push(ParticipantEffect::TellConference(news));
    }

    /// These he cannot receive.
    fn give_up(&mut self, tracks: &[TrackId], out: &mut Effects<ParticipantEffect>) {
        for track in tracks {
            self.wishes.entry(*track).or_default().is_foreign = true;
            out.push(ParticipantEffect::Signal(RoomSignal::NotReceived { track: *track, is_codec: true }));
        }
    }

    /// Whether he receives on a connection of its own.
    pub(super) fn is_dual(&self) -> bool {
        self.birth.join.topology == Topology::Dual
    }

    fn receiving_transport(&self) -> TransportId {
        self.transport(if self.is_dual() { TransportRole::Subscriber } else { TransportRole::Publisher })
    }

    pub(super) fn subscribe(&mut self, tracks: &[TrackId], is_wanted: bool) -> Effects<ParticipantEffect> {
        let mut out = Effects::new();
        for track in tracks {
            if self.find(*track).is_some() {
                self.wishes.entry(*track).or_default().is_wanted = Some(is_wanted);
            } else if is_wanted {
                out.push(ParticipantEffect::Signal(RoomSignal::NotReceived { track: *track, is_codec: false }));
            }
        }
        self.reconsider(&mut out);
        out
    }

    pub(super) fn show(&mut self, tracks: &[TrackId], how: Showing) -> Effects<ParticipantEffect> {
        let mut out = Effects::new();
        for track in tracks {
            if self.find(*track).is_some() {
                self.wishes.entry(*track).or_default().showing = Some(how);
                out.extend(self.resend(*track));
            }
        }
        out
    }

    /// Shows these no longer, and only these, after a cut.
    pub(super) fn hide(&mut self, tracks: &[TrackId]) -> Effects<ParticipantEffect> {
        self.show(tracks, Showing { is_disabled: true, quality: None, width: 0, height: 0 })
    }

    /// Somebody said who may receive what he publishes.
    pub(super) fn allowed(
        &mut self,
        publisher: ParticipantId,
        allowance: Arc<Allowance>,
    ) -> Effects<ParticipantEffect> {
        let tracks: Vec<TrackId> =
            self.others.get(&publisher).map_or_else(Vec::new, |it| it.tracks.iter().map(|track| track.id).collect());
        let before: Vec<bool> = tracks.iter().map(|track| self.may_receive(publisher, *track)).collect();
        if allowance.all {
            self.allowances.remove(&publisher);
        } else {
            self.allowances.insert(publisher, allowance);
        }
        let mut out = Effects::new();
        for (track, before) in tracks.into_iter().zip(before) {
            let is_allowed = self.may_receive(publisher, track);
            if is_allowed != before {
                out.push(ParticipantEffect::Signal(RoomSignal::MayReceive { publisher, track, is_allowed }));
            }
        }
        self.reconsider(&mut out);
        out
    }

    /// After others, permissions or wishes changed: what he gets no longer is stopped, and sections are asked for.
    pub(super) fn reconsider(&mut self, out: &mut Effects<ParticipantEffect>) {
        let wanted = self.wanted();
        let is_wanted = |track| wanted.iter().any(|it| it.track == track);
        let drained = if self.is_dual() {
            Arc::make_mut(&mut self.downlink).drain(is_wanted)
        } else {
            Arc::make_mut(&mut self.sections).drain(is_wanted)
        };
        let transport = self.receiving_transport();
        out.extend(
            drained.into_iter().map(|track| ParticipantEffect::Media(SfuCommand::StopSending { track, transport })),
        );
        if self.is_dual() { self.offer(&wanted, out) } else { self.ask(out) }
    }

    /// Offers him what has changed, unless he has not answered the last offer.
    fn offer(&mut self, wanted: &[Wanted], out: &mut Effects<ParticipantEffect>) {
        let transport = self.receiving_transport();
        let homeless = Arc::make_mut(&mut self.downlink).fill(transport, wanted);
        self.give_up(&homeless, out);
        let Some(local) = self.subscriber.clone() else { return };
        if let Some((id, offer, tracks)) = Arc::make_mut(&mut self.downlink).offer(&local) {
            out.push(ParticipantEffect::Signal(RoomSignal::Offer { id, offer, tracks }));
        }
    }

    /// Has him offer again when there are tracks without a section. Not before his first offer: that has some.
    fn ask(&mut self, out: &mut Effects<ParticipantEffect>) {
        if self.is_dual() || self.is_asked || self.local.is_none() || *self.sections == super::Sections::default() {
            return;
        }
        let wanted = self.wanted();
        let audio = self.sections.missing(SectionKind::Audio, &wanted);
        let video = self.sections.missing(SectionKind::Video, &wanted);
        if audio.is_some() || video.is_some() {
            self.is_asked = true;
            let (audio, video) = (audio.unwrap_or(0), video.unwrap_or(0));
            out.push(ParticipantEffect::Signal(RoomSignal::SectionsNeeded { audio, video }));
        }
    }

    /// Every track that he is to get.
    fn wanted(&self) -> Vec<Wanted> {
        if !self.me.permission.can_subscribe {
            return Vec::new();
        }
        let mut wanted = Vec::new();
        for other in self.others.values() {
            for track in &other.tracks {
                let wish = self.wishes.get(&track.id).copied().unwrap_or_default();
                let is_wanted = wish.is_wanted.unwrap_or(self.birth.join.auto_subscribe) && !wish.is_foreign;
                if let Some(codec) = track.codec.clone().filter(|_| is_wanted && self.may_receive(other.id, track.id)) {
                    wanted.push(Wanted {
                        track: track.id,
                        kind: track.kind,
                        codec,
                        publisher: other.id,
                        stream: track.stream.clone(),
                        label: label(track),
                    });
                }
            }
        }
        wanted
    }

    fn may_receive(&self, publisher: ParticipantId, track: TrackId) -> bool {
        let Some(allowance) = self.allowances.get(&publisher) else { return true };
        let is_me = |who: &Allowed| match who {
            Allowed::Id(id) => *id == self.id,
            Allowed::Identity(identity) => *identity == self.me.identity,
        };
        let is_this = |tracks: &Option<Vec<TrackId>>| tracks.as_ref().is_none_or(|it| it.contains(&track));
        allowance.all || allowance.some.iter().any(|(who, tracks)| is_me(who) && is_this(tracks))
    }

    fn find(&self, track: TrackId) -> Option<&Arc<TrackView>> {
        self.others.values().flat_map(|other| &other.tracks).find(|it| it.id == track)
    }

    /// What of a track he wants now.
    fn wish_for(&self, track: TrackId) -> Wish {
        let showing = self.wishes.get(&track).and_then(|wish| wish.showing);
        match (showing, self.find(track)) {
            (Some(showing), Some(view)) => Wish { is_paused: showing.is_disabled, max_layer: layer_for(view, showing) },
            _ => Wish::ALL,
        }
    }

    fn resend(&self, track: TrackId) -> Option<ParticipantEffect> {
        let spec = if self.is_dual() { self.downlink.sent(track) } else { self.sections.spec_of(track) }?;
        let transport = self.receiving_transport();
        Some(ParticipantEffect::Media(SfuCommand::Send { track, transport, spec, wish: self.wish_for(track) }))
    }
}

/// What a track is called where it is sent: as clients parse it.
fn label(track: &TrackView) -> Arc<str> {
    track.sid().into()
}

/// The lowest layer that fills the element, or the one that was chosen.
fn layer_for(view: &TrackView, showing: Showing) -> u8 {
    let chosen = showing.quality.and_then(|quality| view.layers.iter().rposition(|layer| layer.quality <= quality));
    let fills = |layer: &crate::room::view::TrackLayer| {
        // A client rounds: an element of a few pixels more is filled as well.
        u64::from(layer.width) * u64::from(layer.height) * 10
            >= u64::from(showing.width) * u64::from(showing.height) * 9
    };
    let sized = (showing.width > 0 && showing.height > 0).then(|| view.layers.iter().position(fills)).flatten();
    let layer = match (chosen, sized) {
        (Some(chosen), Some(sized)) => Some(chosen.min(sized)),
        (chosen, sized) => chosen.or(sized),
    };
    layer.map_or(u8::MAX, |layer| u8::try_from(layer).unwrap_or(u8::MAX))
}
