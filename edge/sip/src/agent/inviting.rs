//! A callee that we invited.

use std::sync::Arc;

use rand::RngExt;
use tandem_core::cause::{Cause, SipStatus};
use tandem_core::leg::LegInput;
use tandem_core::location::{Flow, Transport};
use tandem_core::media::MediaDescription;
use tandem_core::metric::Counter;
use tandem_core::party::Address;
use tandem_core::ports::Dial;
use tandem_core::time::Timestamp;
use tandem_sdp::{Origin, parse_answer, render_offer};

use super::{Agent, Desk, Peer, State, Talking, description, send_ack, set_description, way};
use crate::compose::{self, Via};
use crate::dialog::Dialog;
use crate::exchange::{Alarm, ClientKey, Outcome};
use crate::header::Name;
use crate::message::{Message, Method};
use crate::request::Request;
use crate::transaction::GIVE_UP;
use crate::uri::Uri;

/// See the module.
pub(super) struct Inviting {
    pub(super) key: ClientKey,
    /// As it was sent.
    invite: Message,
    offer: Arc<MediaDescription>,
    origin: Origin,
    /// What the callee sends before its answer.
    early: Option<Arc<MediaDescription>>,
    /// The leg knows. However often the callee says it, it is news once.
    is_ringing: bool,
    cancel: Option<Cancel>,
}

enum Cancel {
    /// Until a provisional response comes (RFC 3261, 9.1).
    Waits(Cause),
    /// Who does not answer by then never will.
    Sent { until: Timestamp },
}

impl Inviting {
    /// Of no dialog yet: our half of one is all there is to compare.
    pub(super) fn is_with(&self, request: &Request) -> bool {
        self.invite.headers.call_id().is_ok_and(|call_id| call_id == request.call_id())
    }
}

impl Agent {
    /// Calls somebody. `Err` with the leg's first and last news when there is no way to it.
    pub(crate) fn dial(desk: &mut Desk<'_>, dial: &Dial, call_id: String, number: u64) -> Result<Self, LegInput> {
        let (uri, peer) =
            destination(desk, dial).ok_or(LegInput::Refused { cause: Cause::Unreachable, status: None })?;
        let leg = dial.target.leg;
        let via = Via { flow: peer.flow, us: desk.shared.addresses.ours(&peer.flow) };
        let origin = Origin { id: desk.rng.random::<u32>().into(), version: 1 };
        let host = desk.shared.our_host(&dial.context.tenant, &via);
        let mut invite = Message::request(Method::Invite, uri);
        let headers = &mut invite.headers;
        headers.push(Name::MaxForwards, dial.max_forwards.to_string());
        headers.push(Name::From, compose::from(&dial.caller, &host, &compose::tag_of(leg)));
        headers.push(Name::To, format!("<sip:{}@{host}>", compose::user(dial.target.party.number.reveal())));
        headers.push(Name::CallId, call_id);
        headers.push(Name::CSeq, "1 INVITE");
        headers.push(Name::Contact, via.contact());
        headers.push(Name::SessionId, compose::session_id(dial.context.correlation_id));
        headers.push(Name::Allow, compose::ALLOW);
        set_description(&mut invite, render_offer(&dial.offer, &origin));
        let key = desk.exchanges.request(desk.now.mono, desk.rng, &mut invite, &via, Some(leg));
        let offer = dial.offer.clone();
        let inviting = Inviting { key, invite, offer, origin, early: None, is_ringing: false, cancel: None };
        let mut agent = Self::new(leg, dial.context.clone(), peer, State::Inviting(Box::new(inviting)));
        agent.heard = Some(number);
        Ok(agent)
    }

    pub(super) fn cancel(&mut self, desk: &mut Desk<'_>, cause: Cause) {
        let State::Inviting(it) = &mut self.state else { return };
        if it.cancel.is_some() {
            return;
        }
        it.cancel = Some(Cancel::Waits(cause));
        if desk.exchanges.is_proceeding(it.key) {
            self.send_cancel(desk);
        }
    }

    pub(super) fn send_cancel(&mut self, desk: &mut Desk<'_>) {
        let State::Inviting(it) = &mut self.state else { return };
        let Some(Cancel::Waits(cause)) = it.cancel else { return };
        let until = desk.now.mono + GIVE_UP;
        it.cancel = Some(Cancel::Sent { until });
        desk.exchanges.cancel(desk.now.mono, it.key, &compose::cancel_of(&it.invite, cause), self.peer.flow);
        desk.exchanges.arm(Some(until), Alarm::Agent(self.leg));
    }

    pub(super) fn tick_inviting(&mut self, desk: &mut Desk<'_>) {
        if let State::Inviting(it) = &self.state
            && let Some(Cancel::Sent { until }) = it.cancel
            && until <= desk.now.mono
        {
            desk.exchanges.abandon(it.key);
            self.state = State::Over;
        }
    }

    pub(super) fn invite_outcome(&mut self, desk: &mut Desk<'_>, outcome: Outcome) {
        let response = match outcome {
            Outcome::Response(response) => response,
            Outcome::TimedOut => return self.refused(desk, Cause::Timeout, SipStatus::new(408)),
            Outcome::Unsent => return self.refused(desk, Cause::Unreachable, None),
        };
        match response.status() {
            Some(..200) => self.provisional(desk, &response),
            Some(200..300) => self.accepted(desk, &response),
            Some(status) => {
                let status = SipStatus::new(status);
                self.refused(desk, status.map_or(Cause::SystemFailure, Cause::from_sip), status);
            }
            None => {}
        }
    }

    fn provisional(&mut self, desk: &mut Desk<'_>, response: &Message) {
        let State::Inviting(it) = &mut self.state else { return };
        if it.cancel.is_some() {
            return self.send_cancel(desk);
        }
        let early = description(response).and_then(|text| parse_answer(text).ok()).map(Arc::new);
        let is_new = early.is_some() && early != it.early;
        if is_new {
            it.early.clone_from(&early);
        }
        let rings = matches!(response.status(), Some(180..=182)) && !it.is_ringing;
        it.is_ringing |= rings;
        if rings {
            self.tell(desk, LegInput::Ringing);
        }
        if let Some(media) = early.filter(|_| is_new) {
            self.tell(desk, LegInput::EarlyMedia(media));
        }
    }

    fn accepted(&mut self, desk: &mut Desk<'_>, response: &Message) {
        // All that reads what the network sent comes first: if it breaks, there still is an INVITE to end.
        let State::Inviting(it) = &self.state else { return };
        let Some(dialog) = Dialog::with_callee(response, it.invite.uri()) else {
            // Without a tag there is nothing to acknowledge or hang up.
            return self.refused(desk, Cause::SystemFailure, None);
        };
        let via = self.via(desk, way(self.peer, dialog.next_hop().as_ref()));
        send_ack(desk, &dialog, it.key, &via);
        let media = match description(response) {
            Some(text) => parse_answer(text).map(Arc::new).ok(),
            // The answer came with a provisional response, and that was all.
            None => it.early.clone(),
        };
        let State::Inviting(it) = std::mem::replace(&mut self.state, State::Over) else { return };
        let was_cancelled = it.cancel.is_some();
        let mut talking = Talking::new(dialog, it.offer, media.clone(), it.origin);
        match media {
            Some(media) if !was_cancelled => {
                self.state = State::Talking(Box::new(talking));
                self.tell(desk, LegInput::Answered(media));
            }
            Some(_) => self.send_bye(desk, &mut talking.dialog, Cause::Cancelled),
            None => {
                desk.shared.metrics.count(Counter::SdpMalformed);
                self.send_bye(desk, &mut talking.dialog, Cause::Incompatible);
                self.tell(desk, LegInput::Refused { cause: Cause::Incompatible, status: None });
            }
        }
    }

    fn refused(&mut self, desk: &mut Desk<'_>, cause: Cause, status: Option<SipStatus>) {
        self.state = State::Over;
        self.tell(desk, LegInput::Refused { cause, status });
    }
}

/// The Request-URI and the way. The URI that a device registered is used as it wrote it, but for headers in it: they
/// would steer our INVITE.
fn destination(desk: &Desk<'_>, dial: &Dial) -> Option<(Uri, Peer)> {
    match &dial.target.address {
        Address::Contact(binding) => {
            let uri = binding.contact.split('?').next().unwrap_or_default();
            let peer = Peer { flow: binding.flow, is_symmetric: true, is_trunk: false };
            Some((Uri::from_text(uri).ok()?, peer))
        }
        Address::Client(_) => None, // another edge's
        Address::Trunk { address, number, .. } => {
            let uri = Uri::from_text(format!("sip:{}@{address}", compose::user(number.reveal()))).ok()?;
            let local = desk.shared.local_for(*address)?;
            let flow = Flow { transport: Transport::Udp, local, remote: *address, connection: 0 };
            Some((uri, Peer { flow, is_symmetric: false, is_trunk: true }))
        }
    }
}
