//! A dialog with an answer.

use std::sync::Arc;

use bytes::Bytes;
use tandem_core::cause::Cause;
use tandem_core::id::LegId;
use tandem_core::leg::LegInput;
use tandem_core::location::Flow;
use tandem_core::media::MediaDescription;
use tandem_core::metric::Counter;
use tandem_sdp::{Origin, is_refresh, parse_answer, parse_offer, render_answer, render_offer};

use super::{Agent, Desk, State, description, finish, set_description};
use crate::compose;
use crate::dialog::{Acceptance, Dialog};
use crate::exchange::Alarm;
use crate::front;
use crate::header::Name;
use crate::message::{Message, Method};
use crate::request::Request;
use crate::transaction::Due;

/// See the module.
pub(super) struct Talking {
    pub(super) dialog: Dialog,
    /// What we told the far end that we receive.
    local: Arc<MediaDescription>,
    /// What the far end told us. `None` until the ACK brings it.
    remote: Option<Arc<MediaDescription>>,
    origin: Origin,
    /// A 2xx of ours that waits for its ACK, and its way.
    acceptance: Option<(Acceptance, Flow)>,
    /// Said as soon as that came: BYE may not overtake the ACK (RFC 3261, 15).
    parting: Option<Cause>,
}

/// What an offer in an established dialog is answered with.
enum Refresh {
    /// The same again: with our description, when one is wanted.
    Same(Option<String>),
    /// It wants something else.
    Change,
}

impl Talking {
    pub(super) const fn new(
        dialog: Dialog,
        local: Arc<MediaDescription>,
        remote: Option<Arc<MediaDescription>>,
        origin: Origin,
    ) -> Self {
        Self { dialog, local, remote, origin, acceptance: None, parting: None }
    }

    /// A 2xx was sent; it is repeated until it is acknowledged.
    pub(super) fn accept(&mut self, desk: &mut Desk<'_>, leg: LegId, invite: &Request, response: Bytes) {
        let acceptance = Acceptance::new(desk.now.mono, invite.cseq, response);
        desk.exchanges.arm(Some(acceptance.next_deadline()), Alarm::Agent(leg));
        self.acceptance = Some((acceptance, invite.back));
    }

    pub(super) fn is_with(&self, request: &Request) -> bool {
        self.dialog.is_with(request.call_id(), request.remote_tag())
    }

    fn refresh(&self, request: &Request) -> Refresh {
        let Some(text) = description(&request.message) else {
            let wants_offer = request.method == Method::Invite;
            return Refresh::Same(wants_offer.then(|| render_offer(&self.local, &self.origin)));
        };
        match (parse_offer(text), &self.remote) {
            (Ok(offer), Some(remote)) if is_refresh(remote, &offer.audio) => {
                Refresh::Same(Some(render_answer(&offer, &self.local, &self.origin)))
            }
            _ => Refresh::Change,
        }
    }
}

impl Agent {
    pub(super) fn bye(&mut self, desk: &mut Desk<'_>, cause: Cause) {
        let State::Talking(it) = &mut self.state else { return };
        if it.acceptance.is_some() {
            it.parting = it.parting.or(Some(cause));
            return;
        }
        self.leave(desk, cause);
    }

    fn leave(&mut self, desk: &mut Desk<'_>, cause: Cause) {
        if let State::Talking(mut it) = std::mem::replace(&mut self.state, State::Over) {
            self.send_bye(desk, &mut it.dialog, cause);
        }
    }

    /// The ACK of our 2xx. `false`: it is none of ours, or came before.
    pub(super) fn acknowledged(&mut self, desk: &mut Desk<'_>, request: &Request) -> bool {
        let State::Talking(it) = &mut self.state else { return false };
        if !it.acceptance.as_ref().is_some_and(|(acceptance, _)| acceptance.is_ack(request.cseq)) {
            return false;
        }
        it.acceptance = None;
        if let Some(cause) = it.parting {
            self.leave(desk, cause);
        } else if it.remote.is_none() {
            self.completed(desk, request);
        }
        true
    }

    /// The caller made no offer: its answer to ours is here.
    fn completed(&mut self, desk: &mut Desk<'_>, request: &Request) {
        let State::Talking(it) = &mut self.state else { return };
        match description(&request.message).and_then(|text| parse_answer(text).ok()) {
            Some(answer) => {
                let answer = Arc::new(answer);
                it.remote = Some(answer.clone());
                self.tell(desk, LegInput::Completed(answer));
            }
            None => {
                desk.shared.metrics.count(Counter::SdpMalformed);
                self.leave(desk, Cause::Incompatible);
                self.tell(desk, LegInput::Broken(Cause::Incompatible));
            }
        }
    }

    pub(super) fn tick_talking(&mut self, desk: &mut Desk<'_>) {
        let State::Talking(it) = &mut self.state else { return };
        let Some((acceptance, flow)) = &mut it.acceptance else { return };
        match acceptance.tick(desk.now.mono) {
            Due::Resend(response) => {
                let deadline = Some(acceptance.next_deadline());
                desk.exchanges.send_again(*flow, response, self.leg);
                desk.shared.metrics.count(Counter::SipRetransmissions);
                desk.exchanges.arm(deadline, Alarm::Agent(self.leg));
            }
            Due::TimedOut | Due::Ended => {
                let cause = it.parting.unwrap_or(Cause::Timeout);
                self.leave(desk, cause);
                self.tell(desk, LegInput::Broken(Cause::Timeout));
            }
            Due::Nothing => {}
        }
    }

    /// A request in the dialog.
    pub(super) fn talking_request(&mut self, desk: &mut Desk<'_>, request: &Request) {
        let State::Talking(it) = &mut self.state else { return };
        if it.dialog.take(request.cseq).is_err() {
            return self.refuse(desk, request, 500);
        }
        match request.method {
            Method::Bye => {
                self.refuse(desk, request, 200);
                self.state = State::Over;
                self.tell(desk, LegInput::HungUp(compose::cause_of(&request.message)));
            }
            Method::Invite => self.reinvited(desk, request),
            Method::Update => self.updated(desk, request),
            _ => self.other_request(desk, request),
        }
    }

    /// A re-INVITE: the same again is accepted, anything else refused.
    fn reinvited(&mut self, desk: &mut Desk<'_>, request: &Request) {
        let State::Talking(it) = &self.state else { return };
        if it.acceptance.is_some() || it.parting.is_some() {
            return self.refuse(desk, request, 491);
        }
        let response = self.refreshed(desk, request);
        finish(desk, request, &response);
        if let (State::Talking(it), Some(200)) = (&mut self.state, response.status()) {
            it.accept(desk, self.leg, request, response.to_bytes());
        }
    }

    fn updated(&mut self, desk: &mut Desk<'_>, request: &Request) {
        let response = self.refreshed(desk, request);
        finish(desk, request, &response);
    }

    /// The answer to a re-INVITE or UPDATE.
    fn refreshed(&mut self, desk: &Desk<'_>, request: &Request) -> Message {
        if let Some(refusal) = front::refuse_extensions(request).or_else(|| front::refuse_body(request)) {
            return refusal;
        }
        let refuse = |status| Message::response_to(&request.message, status);
        let State::Talking(it) = &mut self.state else { return refuse(481) };
        let Refresh::Same(text) = it.refresh(request) else { return refuse(488) };
        it.dialog.retarget(request.headers());
        self.follow(request);
        let mut response = refuse(200);
        response.headers.copy(&Name::RecordRoute, request.headers());
        response.headers.push(Name::Allow, compose::ALLOW);
        self.sign(desk, &mut response.headers);
        text.into_iter().for_each(|text| set_description(&mut response, text));
        response
    }

    /// UPDATE without an offer: only its Contact counts.
    pub(super) fn accept_refresh(&self, desk: &mut Desk<'_>, request: &Request) {
        let mut response = Message::response_to(&request.message, 200);
        self.sign(desk, &mut response.headers);
        finish(desk, request, &response);
    }

    /// A request in the dialog that changes nothing there.
    pub(super) fn other_request(&self, desk: &mut Desk<'_>, request: &Request) {
        finish(desk, request, &front::answer_of_endpoint(request));
    }
}
