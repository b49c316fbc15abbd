//! Our side of one leg: the user agent between its dialog and its leg machine.
//!
//! ```text
//!  caller:  Invited ──Answer──▶ Talking ──BYE, Bye──▶ Over
//!  callee:  Inviting ──200────▶ Talking
//!               └── refusal, cancel, timeout ──▶ Over
//! ```
//!
//! # Invariants
//! * A signal's stamp is taken once; a repeat does nothing.
//! * A released agent ends whatever is still alive with its far end, and is forgotten when that is done.
//! * The same goes for one whose code broke; that is forgotten only when its leg was told, too.

mod invited;
mod inviting;
mod talking;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
pub(crate) use invited::Invited;
use inviting::Inviting;
use rand::rngs::StdRng;
use talking::Talking;
use tandem_core::cause::Cause;
use tandem_core::event::Context;
use tandem_core::id::LegId;
use tandem_core::leg::LegInput;
use tandem_core::location::{Flow, Transport};
use tandem_core::machine::Refusal;
use tandem_core::metric::Counter;
use tandem_core::ports::Signal;
use tandem_core::time::{Now, Timestamp};

use crate::compose::{self, Via};
use crate::dialog::Dialog;
use crate::exchange::{Alarm, ClientKey, Exchanges, Outcome};
use crate::header::{Headers, Name};
use crate::message::{Message, Method, Start};
use crate::request::Request;
use crate::shared::Shared;
use crate::uri::Uri;

/// News of one leg that may wait before what only passes is dropped.
const NEWS_LIMIT: usize = 64;

/// How soon news that a leg's inbox had no room for is offered again.
const NEWS_RETRY: Duration = Duration::from_millis(50);

/// What an agent works with.
pub(crate) struct Desk<'a> {
    pub(crate) now: Now,
    pub(crate) shared: &'a Shared,
    pub(crate) exchanges: &'a mut Exchanges,
    pub(crate) rng: &'a mut StdRng,
}

/// See the module.
pub(crate) struct Agent {
    leg: LegId,
    context: Context,
    peer: Peer,
    state: State,
    /// Number of the last signal taken.
    heard: Option<u64>,
    is_released: bool,
    is_broken: bool,
    /// What the leg could not take yet.
    news: VecDeque<LegInput>,
    retry: Option<Timestamp>,
}

/// Where the far end is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    /// The way its messages came or the INVITE went.
    pub(crate) flow: Flow,
    /// It takes requests where it sends from: nothing else is to be looked for.
    pub(crate) is_symmetric: bool,
    /// A trunk may name another address of its own; a phone may not.
    pub(crate) is_trunk: bool,
}

enum State {
    Invited(Box<Invited>),
    Inviting(Box<Inviting>),
    Talking(Box<Talking>),
    Over,
}

impl Agent {
    fn new(leg: LegId, context: Context, peer: Peer, state: State) -> Self {
        let (news, heard, retry) = (VecDeque::new(), None, None);
        Self { leg, context, peer, state, heard, is_released: false, is_broken: false, news, retry }
    }

    /// Of a leg that has no way to anybody yet: all it can do is to tell that.
    pub(crate) fn unborn(leg: LegId, context: Context, number: u64) -> Self {
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let flow = Flow { transport: Transport::Udp, local: nowhere, remote: nowhere, connection: 0 };
        let peer = Peer { flow, is_symmetric: true, is_trunk: false };
        Self { heard: Some(number), ..Self::new(leg, context, peer, State::Over) }
    }

    /// Whether nothing is left to do for anybody.
    pub(crate) fn is_done(&self) -> bool {
        let needs_nobody = self.is_released || self.is_broken && self.news.is_empty();
        needs_nobody && matches!(self.state, State::Over)
    }

    /// Whether its code broke before.
    pub(crate) const fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// What its leg wants said. [`Signal::Invite`] is not for here.
    pub(crate) fn signal(&mut self, desk: &mut Desk<'_>, number: u64, signal: Signal) {
        if self.heard >= Some(number) {
            return;
        }
        self.heard = Some(number);
        match (&mut self.state, signal) {
            (State::Invited(_), Signal::Ring) => self.ring(desk),
            (State::Invited(_), Signal::Progress(media)) => self.progress(desk, &media),
            (State::Invited(_), Signal::Answer(media)) => self.answer(desk, media),
            (_, Signal::Reject(cause) | Signal::Cancel(cause) | Signal::Bye(cause)) => self.part(desk, cause),
            (_, Signal::Ring | Signal::Progress(_) | Signal::Answer(_) | Signal::Invite(_) | Signal::Offer(_)) => {}
        }
    }

    /// Its leg is gone: ends whatever is alive.
    pub(crate) fn release(&mut self, desk: &mut Desk<'_>) {
        self.is_released = true;
        self.news.clear();
        self.part(desk, Cause::Normal);
    }

    /// Its code broke, with a response to `heard` in hand: tells the leg and ends whatever is alive.
    pub(crate) fn break_off(&mut self, desk: &mut Desk<'_>, cause: Cause, heard: Option<ClientKey>) {
        self.tell(desk, LegInput::Broken(cause));
        self.is_broken = true;
        self.part(desk, cause);
        if let State::Inviting(it) = &self.state
            && Some(it.key) == heard
        {
            // The sign that a CANCEL waits for is what broke the code.
            self.send_cancel(desk);
        }
    }

    /// Its code broke again: ends at once, and waits for nobody but its leg.
    pub(crate) fn forsake(&mut self, desk: &mut Desk<'_>, cause: Cause) {
        self.is_broken = true;
        if self.retry.is_none() {
            self.news.clear();
        }
        match std::mem::replace(&mut self.state, State::Over) {
            State::Invited(it) => desk.exchanges.forget(it.key()),
            State::Inviting(it) => desk.exchanges.forsake(desk.now.mono, it.key, cause),
            State::Talking(mut it) => self.send_bye(desk, &mut it.dialog, cause),
            State::Over => {}
        }
    }

    /// Ends it from our side, in the way that its state wants.
    pub(crate) fn part(&mut self, desk: &mut Desk<'_>, cause: Cause) {
        match &mut self.state {
            State::Invited(_) => self.reject(desk, cause),
            State::Inviting(_) => self.cancel(desk, cause),
            State::Talking(_) => self.bye(desk, cause),
            State::Over => {}
        }
    }

    /// A request with our tag and its Call-ID. `false`: it is of no dialog of ours.
    pub(crate) fn request(&mut self, desk: &mut Desk<'_>, request: &Request) -> bool {
        let is_mine = match &self.state {
            State::Invited(it) => it.is_with(request),
            State::Talking(it) => it.is_with(request),
            State::Inviting(it) => it.is_with(request),
            State::Over => false,
        };
        if is_mine {
            match &mut self.state {
                State::Invited(_) => self.early_request(desk, request),
                State::Talking(_) => self.talking_request(desk, request),
                // It is about a dialog that we will know only by its answer.
                State::Inviting(_) => self.refuse(desk, request, 491),
                State::Over => {}
            }
        }
        is_mine
    }

    /// An ACK with our tag.
    pub(crate) fn ack(&mut self, desk: &mut Desk<'_>, request: &Request) -> bool {
        match &self.state {
            State::Talking(it) if it.is_with(request) => self.acknowledged(desk, request),
            _ => false,
        }
    }

    /// What became of a request of ours.
    pub(crate) fn outcome(&mut self, desk: &mut Desk<'_>, key: ClientKey, outcome: Outcome) {
        match (&self.state, outcome) {
            (State::Inviting(it), outcome) if it.key == key => self.invite_outcome(desk, outcome),
            // Another device accepted what one had accepted already, or after we gave up.
            (_, Outcome::Response(response)) if is_acceptance(&response) => {
                decline_acceptance(desk, self.peer, key, &response);
            }
            _ => {}
        }
    }

    /// Deals with whatever is due.
    pub(crate) fn tick(&mut self, desk: &mut Desk<'_>) {
        if self.retry.is_some_and(|at| at <= desk.now.mono) {
            self.offer_news(desk);
        }
        match &self.state {
            State::Inviting(_) => self.tick_inviting(desk),
            State::Talking(_) => self.tick_talking(desk),
            State::Invited(_) | State::Over => {}
        }
    }

    /// Tells the leg, in order; what it has no room for is offered again.
    pub(crate) fn tell(&mut self, desk: &mut Desk<'_>, input: LegInput) {
        // What the far end may say any number of times waits for no room.
        let is_passing = matches!(input, LegInput::Ringing | LegInput::EarlyMedia(_));
        if is_passing && self.news.len() >= NEWS_LIMIT {
            desk.shared.metrics.count(Counter::SipOverload);
        } else if !(self.is_released || self.is_broken) {
            self.news.push_back(input);
            if self.retry.is_none() {
                self.offer_news(desk);
            }
        }
    }

    fn offer_news(&mut self, desk: &mut Desk<'_>) {
        self.retry = None;
        while let Some(input) = self.news.front() {
            if desk.shared.calls.tell_leg(self.leg, input.clone()) == Err(Refusal::Full) {
                self.retry = Some(desk.now.mono + NEWS_RETRY);
                desk.exchanges.arm(self.retry, Alarm::Agent(self.leg));
                return;
            }
            self.news.pop_front();
        }
    }

    /// Answers a request in the dialog with a status and nothing more.
    fn refuse(&self, desk: &mut Desk<'_>, request: &Request, status: u16) {
        let response = Message::response_to(&request.message, status);
        finish(desk, request, &response);
    }

    /// A refresh was accepted: a phone is where that came from, on another connection or behind a new port of its NAT. A
    /// trunk stays where the configuration has it.
    fn follow(&mut self, request: &Request) {
        if !self.peer.is_trunk {
            self.peer = Peer { flow: request.flow, is_symmetric: request.is_symmetric, is_trunk: false };
        }
    }

    fn via(&self, desk: &Desk<'_>, flow: Flow) -> Via {
        Via { flow, us: desk.shared.addresses.ours(&flow) }
    }

    /// Puts our Contact and the call's id into a message.
    fn sign(&self, desk: &Desk<'_>, headers: &mut Headers) {
        headers.push(Name::Contact, self.via(desk, self.peer.flow).contact());
        headers.push(Name::SessionId, compose::session_id(self.context.correlation_id));
    }

    /// Says good-bye in a dialog. Whether it is heard changes nothing any more.
    fn send_bye(&self, desk: &mut Desk<'_>, dialog: &mut Dialog, cause: Cause) {
        let Some((uri, headers)) = dialog.request(&Method::Bye) else { return };
        let mut bye = Message { headers, ..Message::request(Method::Bye, uri) };
        bye.headers.push(Name::Reason, compose::reason(cause));
        bye.headers.push(Name::SessionId, compose::session_id(self.context.correlation_id));
        let via = self.via(desk, way(self.peer, dialog.next_hop().as_ref()));
        desk.exchanges.request(desk.now.mono, desk.rng, &mut bye, &via, None);
    }
}

/// Answers an INVITE of a dialog or another request of it, finally.
fn finish(desk: &mut Desk<'_>, request: &Request, response: &Message) {
    if request.method == Method::Invite {
        desk.exchanges.open_invite(request, None);
        desk.exchanges.respond(desk.now.mono, &request.key, response);
    } else {
        desk.exchanges.answer(desk.now.mono, request, response);
    }
}

/// An acceptance that nobody wants: it must be acknowledged, and then hung up (RFC 3261, 13.2.2.4).
pub(crate) fn decline_acceptance(desk: &mut Desk<'_>, peer: Peer, key: ClientKey, response: &Message) {
    let Some(mut dialog) = Dialog::with_callee(response, None) else { return };
    let way = way(peer, dialog.next_hop().as_ref());
    let via = Via { flow: way, us: desk.shared.addresses.ours(&way) };
    send_ack(desk, &dialog, key, &via);
    let Some((uri, headers)) = dialog.request(&Method::Bye) else { return };
    let mut bye = Message { headers, ..Message::request(Method::Bye, uri) };
    bye.headers.push(Name::Reason, compose::reason(Cause::Cancelled));
    desk.exchanges.request(desk.now.mono, desk.rng, &mut bye, &via, None);
}

fn send_ack(desk: &mut Desk<'_>, dialog: &Dialog, key: ClientKey, via: &Via) {
    let Some((uri, headers)) = dialog.ack() else { return };
    let mut ack = Message { headers, ..Message::request(Method::Ack, uri) };
    ack.headers.push_front(Name::Via, via.value(ClientKey::new(desk.rng)));
    let tag = dialog.remote_tag().clone();
    desk.exchanges.acknowledged(key, tag, via.flow, ack.to_bytes());
}

/// Which way a request of ours in a dialog goes. Over a connection: that one. A phone behind a NAT is only where its
/// packets come from; another is where it says, if that is on the machine it speaks from. A trunk is where it says,
/// unless that is an address of its own network behind a NAT.
fn way(peer: Peer, next_hop: Option<&Uri>) -> Flow {
    let literal = next_hop.and_then(|uri| {
        let ip: IpAddr = uri.host().trim_matches(['[', ']']).parse().ok()?;
        Some(SocketAddr::new(ip, uri.port().unwrap_or(5060)))
    });
    let Some(said) = literal.filter(|_| peer.flow.transport == Transport::Udp) else { return peer.flow };
    let source = peer.flow.remote.ip();
    let is_near = said.ip() == source && !peer.is_symmetric;
    let is_behind_nat = is_private(said.ip()) && !is_private(source);
    if is_near || peer.is_trunk && !is_behind_nat { Flow { remote: said, ..peer.flow } } else { peer.flow }
}

fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_loopback() || ip.is_unicast_link_local(),
    }
}

fn is_acceptance(response: &Message) -> bool {
    let is_invite = response.headers.cseq().is_ok_and(|cseq| cseq.method == Method::Invite);
    is_invite && matches!(response.start, Start::Response { status: 200..300, .. })
}

/// The body, when it is a session description.
fn description(message: &Message) -> Option<&Bytes> {
    let is_sdp = message.headers.content_type().ok().flatten().is_some_and(|it| it.is("application", "sdp"));
    (is_sdp && !message.body.is_empty()).then_some(&message.body)
}

fn set_description(message: &mut Message, text: String) {
    message.headers.push(Name::ContentType, compose::ACCEPT);
    message.body = text.into();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_is_where_it_sends_from_and_a_trunk_where_it_says() {
        for (is_trunk, is_symmetric, contact, goes_to) in [
            (false, true, "sip:a@192.0.2.9:5070", "192.0.2.9:40000"),
            (false, false, "sip:a@192.0.2.9:5070", "192.0.2.9:5070"),
            (false, false, "sip:a@203.0.113.1", "192.0.2.9:40000"),
            (true, false, "sip:a@203.0.113.1", "203.0.113.1:5060"),
            (true, true, "sip:a@10.0.0.1:5070", "192.0.2.9:40000"),
            (true, false, "sip:a@sbc.example", "192.0.2.9:40000"),
        ] {
            let local = "198.51.100.1:5060".parse().unwrap();
            let remote = "192.0.2.9:40000".parse().unwrap();
            let flow = Flow { transport: Transport::Udp, local, remote, connection: 0 };
            let peer = Peer { flow, is_symmetric, is_trunk };
            let uri = Uri::from_text(contact).unwrap();
            assert_eq!(way(peer, Some(&uri)).remote.to_string(), goes_to, "{contact}");
            let stream = Peer { flow: Flow { transport: Transport::Tcp, ..flow }, ..peer };
            assert_eq!(way(stream, Some(&uri)).remote, remote, "a connection is the way");
        }
    }
}
