//! One leg's far end in a browser.

use std::sync::Arc;

use tandem_core::cause::Cause;
use tandem_core::id::{CallId, LegId};
use tandem_core::media::MediaDescription;
use tandem_core::ports::Signal;
use tandem_sdp::{Origin, render_peer_offer};
use tokio::sync::oneshot;

/// What a caller that wants our offer gets: its text, or why there is none.
pub(crate) type Proposed = Result<String, Cause>;

/// See the module.
pub(super) struct Line {
    pub(super) call: CallId,
    pub(super) is_caller: bool,
    pub(super) state: LineState,
    /// Its leg's signals up to here were taken.
    heard: Option<u64>,
}

pub(super) enum LineState {
    /// The caller waits for our offer.
    Asked(oneshot::Sender<Proposed>),
    /// Our offer is with the client.
    Offered(Arc<MediaDescription>),
    /// One client's answer is being told to the leg.
    Claimed(Arc<MediaDescription>),
    /// The leg has the client's answer.
    Answered,
    /// The leg is over.
    Over,
}

impl Line {
    /// Of a caller.
    pub(super) const fn asked(call: CallId, asked: oneshot::Sender<Proposed>) -> Self {
        Self { call, is_caller: true, state: LineState::Asked(asked), heard: None }
    }

    /// Of a callee, invited by its leg's signal of that number.
    pub(super) const fn invited(call: CallId, offer: Arc<MediaDescription>, number: u64) -> Self {
        Self { call, is_caller: false, state: LineState::Offered(offer), heard: Some(number) }
    }

    /// A user has one of these at a time: a call that he makes, or took.
    pub(super) const fn is_in_use(&self) -> bool {
        match self.state {
            LineState::Asked(_) | LineState::Claimed(_) | LineState::Answered => true,
            LineState::Offered(_) => self.is_caller,
            LineState::Over => false,
        }
    }

    /// Its caller still waits for our offer.
    pub(super) const fn is_asked(&self) -> bool {
        matches!(self.state, LineState::Asked(_))
    }

    /// Takes a signal of its leg; one that came already changes nothing.
    pub(super) fn hear(&mut self, leg: LegId, number: u64, signal: Signal) {
        if self.heard >= Some(number) {
            return;
        }
        self.heard = Some(number);
        match signal {
            Signal::Offer(offer) => self.propose(leg, offer),
            Signal::Reject(cause) | Signal::Cancel(cause) | Signal::Bye(cause) => self.end(cause),
            // Clients hear of these by the facts of the call.
            Signal::Invite(_) | Signal::Ring | Signal::Progress(_) | Signal::Answer(_) => {}
        }
    }

    pub(super) fn end(&mut self, cause: Cause) {
        if let LineState::Asked(asked) = std::mem::replace(&mut self.state, LineState::Over) {
            let _gone = asked.send(Err(cause));
        }
    }

    fn propose(&mut self, leg: LegId, offer: Arc<MediaDescription>) {
        if !matches!(self.state, LineState::Asked(_)) {
            return;
        }
        let Some(text) = offer_text(leg, &offer) else { return self.end(Cause::SystemFailure) };
        if let LineState::Asked(asked) = std::mem::replace(&mut self.state, LineState::Offered(offer)) {
            let _gone = asked.send(Ok(text));
        }
    }
}

/// Our offer as the client gets it. `None` when it is none of a WebRTC peer.
pub(super) fn offer_text(leg: LegId, offer: &MediaDescription) -> Option<String> {
    let id = u64::try_from(leg.uuid().as_u128() & u128::from(u64::MAX >> 1)).unwrap_or(0);
    render_peer_offer(offer, &Origin { id, version: 1 })
}
