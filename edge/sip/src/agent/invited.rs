//! A caller that waits for our answer.

use std::sync::Arc;

use rand::RngExt;
use tandem_core::admission::RETRY_AFTER;
use tandem_core::cause::Cause;
use tandem_core::event::Context;
use tandem_core::id::LegId;
use tandem_core::leg::LegInput;
use tandem_core::media::MediaDescription;
use tandem_sdp::{Offer, Origin, render_answer, render_offer};

use super::{Agent, Desk, Peer, State, Talking, set_description};
use crate::compose;
use crate::dialog::Dialog;
use crate::header::Name;
use crate::message::{Message, Method};
use crate::request::Request;
use crate::transaction::ServerKey;

/// See the module.
pub(crate) struct Invited {
    invite: Request,
    dialog: Dialog,
    /// `None` when the caller wants ours.
    offer: Option<Offer>,
    origin: Origin,
}

impl Invited {
    /// An INVITE that was let in, whose transaction is open.
    pub(crate) fn new(desk: &mut Desk<'_>, invite: Request, dialog: Dialog, offer: Option<Offer>) -> Self {
        Self { invite, dialog, offer, origin: Origin { id: desk.rng.random::<u32>().into(), version: 1 } }
    }

    pub(super) fn is_with(&self, request: &Request) -> bool {
        self.dialog.is_with(request.call_id(), request.remote_tag())
    }

    pub(super) const fn key(&self) -> &ServerKey {
        &self.invite.key
    }

    fn render(&self, media: &MediaDescription) -> String {
        match &self.offer {
            Some(offer) => render_answer(offer, media, &self.origin),
            None => render_offer(media, &self.origin),
        }
    }
}

impl Agent {
    /// Of a caller.
    pub(crate) fn of_caller(leg: LegId, context: Context, peer: Peer, invited: Invited) -> Self {
        Self::new(leg, context, peer, State::Invited(Box::new(invited)))
    }

    /// The INVITE of a caller that waits for our answer.
    pub(crate) fn invite(&self) -> Option<&Request> {
        if let State::Invited(it) = &self.state { Some(&it.invite) } else { None }
    }

    pub(super) fn ring(&mut self, desk: &mut Desk<'_>) {
        if let State::Invited(it) = &self.state {
            let response = self.response(desk, it, 180);
            desk.exchanges.respond(desk.now.mono, &it.invite.key, &response);
        }
    }

    pub(super) fn progress(&mut self, desk: &mut Desk<'_>, media: &MediaDescription) {
        if let State::Invited(it) = &self.state {
            let mut response = self.response(desk, it, 183);
            set_description(&mut response, it.render(media));
            desk.exchanges.respond(desk.now.mono, &it.invite.key, &response);
        }
    }

    pub(super) fn answer(&mut self, desk: &mut Desk<'_>, media: Arc<MediaDescription>) {
        // All that may break comes before the state changes: there still is a caller to be told.
        let State::Invited(it) = &self.state else { return };
        let mut response = self.response(desk, it, 200);
        response.headers.push(Name::Allow, compose::ALLOW);
        set_description(&mut response, it.render(&media));
        let is_sent = desk.exchanges.respond(desk.now.mono, &it.invite.key, &response);
        let State::Invited(it) = std::mem::replace(&mut self.state, State::Over) else { return };
        if is_sent {
            let Invited { invite, dialog, offer, origin } = *it;
            let remote = offer.map(|offer| Arc::new(offer.audio));
            let mut talking = Talking::new(dialog, media, remote, origin);
            talking.accept(desk, self.leg, &invite, response.to_bytes());
            self.state = State::Talking(Box::new(talking));
        }
    }

    pub(super) fn reject(&mut self, desk: &mut Desk<'_>, cause: Cause) {
        let State::Invited(it) = &self.state else { return };
        let mut response = self.response(desk, it, cause.refusal().code());
        if response.status() == Some(503) {
            let wait_s = match cause {
                Cause::RateLimited | Cause::Throttled => RETRY_AFTER.as_secs(),
                _ => desk.shared.config.limits.retry_after_s.into(),
            };
            response.headers.push(Name::RetryAfter, wait_s.to_string());
        }
        response.headers.push(Name::Reason, format!("Q.850;cause={}", cause.q850()));
        desk.exchanges.respond(desk.now.mono, &it.invite.key, &response);
        self.state = State::Over;
    }

    /// The caller gave up; the CANCEL has its answer already.
    pub(crate) fn cancelled(&mut self, desk: &mut Desk<'_>) {
        if matches!(self.state, State::Invited(_)) {
            self.reject(desk, Cause::Cancelled);
            self.tell(desk, LegInput::Cancelled);
        }
    }

    /// A request in the dialog before our answer.
    pub(super) fn early_request(&mut self, desk: &mut Desk<'_>, request: &Request) {
        let State::Invited(it) = &mut self.state else { return };
        if it.dialog.take(request.cseq).is_err() {
            return self.refuse(desk, request, 500);
        }
        match request.method {
            Method::Bye => {
                self.refuse(desk, request, 200);
                self.reject(desk, Cause::Cancelled);
                self.tell(desk, LegInput::HungUp(Cause::Cancelled));
            }
            Method::Invite => {
                // The first one is not answered yet (RFC 3261, 14.2).
                let mut response = Message::response_to(&request.message, 500);
                response.headers.push(Name::RetryAfter, "1");
                super::finish(desk, request, &response);
            }
            Method::Update if request.message.body.is_empty() => {
                it.dialog.retarget(request.headers());
                self.follow(request);
                self.accept_refresh(desk, request);
            }
            Method::Update => self.refuse(desk, request, 491),
            _ => self.other_request(desk, request),
        }
    }

    fn response(&self, desk: &Desk<'_>, it: &Invited, status: u16) -> Message {
        let mut response = Message::response_to(&it.invite.message, status);
        response.headers.tag_to(&compose::tag_of(self.leg));
        if status < 300 {
            response.headers.copy(&Name::RecordRoute, &it.invite.message.headers);
        }
        self.sign(desk, &mut response.headers);
        response
    }
}
