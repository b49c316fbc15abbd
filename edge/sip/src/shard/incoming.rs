//! Requests that come in: to the transaction, the dialog, the registrar or the door they belong to.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tandem_core::audit::Actor;
use tandem_core::call::NewCall;
use tandem_core::cause::Cause;
use tandem_core::event::Context;
use tandem_core::id::{CallId, CorrelationId, LegId, Tenant};
use tandem_core::leg::Negotiation;
use tandem_core::location::Flow;
use tandem_core::metric::Counter;
use tandem_core::party::{Identity, Party, TrunkName};
use tandem_core::time::Now;
use tandem_sdp::{Offer, parse_offer};
use uuid::Uuid;

use super::{Shard, ids};
use crate::agent::{Agent, Invited, Peer};
use crate::auth;
use crate::compose;
use crate::dialog::Dialog;
use crate::front;
use crate::header::Name;
use crate::message::{Message, Method};
use crate::request::Request;

/// Max-Forwards of a request that has none, and the most that is believed (RFC 3261, 16.6).
const MAX_FORWARDS: u8 = 70;

/// Most that is believed of what somebody calls himself, in characters.
const LONGEST_NAME: usize = 128;

/// Who calls, and whether it came from a trunk.
struct Caller {
    party: Party,
    tenant: Tenant,
    is_trunk: bool,
}

impl Caller {
    fn actor(&self) -> Actor {
        match &self.party.identity {
            Identity::User { user_id, .. } => Actor::User(*user_id),
            Identity::Trunk { trunk } => Actor::Trunk(trunk.clone()),
        }
    }
}

impl Shard {
    pub(super) fn request(&mut self, now: Now, flow: Flow, message: Message) {
        self.shared.metrics.count(Counter::SipRequests);
        let Some(request) = Request::new(message, flow) else {
            return self.shared.metrics.count(Counter::SipMalformed);
        };
        self.in_hand.server = Some(request.key.clone());
        let leg = request.to_tag().and_then(compose::leg_of).or_else(|| self.exchanges.leg_behind(&request));
        self.note_received(now, leg, flow, &request.message, self.exchanges.has_seen(&request));
        match request.method {
            Method::Ack => self.ack(now, &request),
            _ if self.exchanges.absorb(&request) => {}
            Method::Cancel => self.cancel(now, &request),
            // What ends a call makes room, as a CANCEL does: both are let in even where there is none.
            Method::Bye => self.fresh(now, request),
            _ if !self.has_room() => {
                self.shared.metrics.count(Counter::SipOverload);
                self.answer_once(&request, self.unavailable(&request));
            }
            _ => self.fresh(now, request),
        }
    }

    fn ack(&mut self, now: Now, request: &Request) {
        if self.exchanges.acknowledge(now.mono, request) {
            return;
        }
        let mut is_known = false;
        if let Some(leg) = request.to_tag().and_then(compose::leg_of) {
            self.with_agent(now, leg, |agent, desk| is_known = agent.ack(desk, request));
        }
        if !is_known {
            self.shared.metrics.count(Counter::SipUnmatched);
        }
    }

    /// Only an INVITE that waits can be cancelled; whatever it is, the CANCEL itself is answered (RFC 3261, 9.2).
    fn cancel(&mut self, now: Now, request: &Request) {
        let invite = request.cancelled_key().and_then(|key| self.exchanges.invite(&key));
        let Some((owner, is_proceeding)) = invite else { return self.refuse(now, request, 481) };
        let mut response = Message::response_to(&request.message, 200);
        owner.iter().for_each(|leg| response.headers.tag_to(&compose::tag_of(*leg)));
        self.answer(now, request, response);
        if let (Some(leg), true) = (owner, is_proceeding) {
            self.with_agent(now, leg, Agent::cancelled);
        }
    }

    /// A request that is no repeat.
    fn fresh(&mut self, now: Now, request: Request) {
        if let Some(refusal) = front::refuse_unknown(&request) {
            return self.answer_anybody(now, &request, refusal);
        }
        if let Some(tag) = request.to_tag() {
            return self.in_dialog(now, &request, compose::leg_of(tag));
        }
        match request.method {
            Method::Invite => self.invite(now, request),
            Method::Register => self.register(now, &request),
            Method::Bye => self.refuse(now, &request, 481),
            _ => self.answer_anybody(now, &request, front::answer_of_endpoint(&request)),
        }
    }

    fn in_dialog(&mut self, now: Now, request: &Request, leg: Option<LegId>) {
        let mut is_known = false;
        if let Some(leg) = leg {
            self.with_agent(now, leg, |agent, desk| is_known = agent.request(desk, request));
        }
        if !is_known {
            self.refuse(now, request, 481);
        }
    }

    fn register(&mut self, now: Now, request: &Request) {
        if let Some(refusal) = front::refuse_extensions(request) {
            return self.answer_anybody(now, request, refusal);
        }
        if !self.shared.serves(&request.uri) {
            return self.refuse(now, request, 404);
        }
        let tenant = self.shared.tenant_of(&request.uri);
        match auth::authenticate(&self.shared, &tenant, now, request) {
            Ok(account) if !self.is_served(&tenant, Actor::User(account.user_id), request) => {
                self.reply(now, request, 403);
            }
            Ok(account) => {
                let response = self.shared.registrar.register(now.wall, request, &account);
                self.answer(now, request, response);
            }
            Err(challenge) => self.answer_once(request, *challenge),
        }
    }

    /// A new call, or why not.
    fn invite(&mut self, now: Now, request: Request) {
        let hops = request.headers().max_forwards().ok().flatten().unwrap_or(MAX_FORWARDS).min(MAX_FORWARDS);
        let refusal = match hops {
            _ if self.exchanges.is_merged(&request) => Some(Message::response_to(&request.message, 482)),
            0 => Some(Message::response_to(&request.message, 483)),
            _ if self.shared.is_door_closed.load(Relaxed) => Some(self.unavailable(&request)),
            _ => front::refuse_extensions(&request),
        };
        if let Some(refusal) = refusal {
            return self.answer_anybody(now, &request, refusal);
        }
        let caller = match self.caller(now, &request) {
            Ok(caller) => caller,
            Err(challenge) => return self.answer_once(&request, *challenge),
        };
        if !self.is_served(&caller.tenant, caller.actor(), &request) {
            return self.reply(now, &request, 403);
        }
        match self.offer(&request) {
            Ok(offer) => self.let_in(now, request, caller, offer, hops.saturating_sub(1)),
            Err(refusal) => self.answer(now, &request, *refusal),
        }
    }

    fn caller(&self, now: Now, request: &Request) -> Result<Caller, Box<Message>> {
        if let Some(trunk) = self.shared.trunk_of(request.flow.remote.ip()) {
            return Ok(Caller { party: behind(&trunk.name, request), tenant: trunk.tenant.clone(), is_trunk: true });
        }
        // Who says that he is another tenant's has to know a password there.
        let tenant = self.shared.tenant_of(request.from.uri());
        let account = auth::authenticate(&self.shared, &tenant, now, request)?;
        let identity = Identity::User { user_id: account.user_id, device_id: account.device_id };
        let name = account.display_name.clone().map(Into::into);
        Ok(Caller { party: Party { number: account.extension.clone(), name, identity }, tenant, is_trunk: false })
    }

    /// Whether a tenant's users may register and call now; noted when not.
    fn is_served(&self, tenant: &Tenant, who: Actor, request: &Request) -> bool {
        let is_enabled = self.shared.tenants.tenants().is_enabled(tenant);
        if !is_enabled {
            auth::refused(&self.shared, tenant, who, request, "tenant_disabled");
        }
        is_enabled
    }

    /// What the caller offers. `None`: it wants ours.
    fn offer(&self, request: &Request) -> Result<Option<Offer>, Box<Message>> {
        if let Some(refusal) = front::refuse_body(request) {
            return Err(Box::new(refusal));
        }
        if request.message.body.is_empty() {
            return Ok(None);
        }
        parse_offer(&request.message.body).map(Some).map_err(|error| {
            self.shared.metrics.count(Counter::SdpMalformed);
            let mut refusal = Message::response_to(&request.message, 488);
            refusal.headers.push(Name::Warning, format!("399 tandem \"{error}\""));
            Box::new(refusal)
        })
    }

    fn let_in(&mut self, now: Now, request: Request, caller: Caller, offer: Option<Offer>, max_forwards: u8) {
        let dialled = request.uri.user_text().filter(|it| !it.is_empty());
        let (Some(dialled), true) = (dialled, self.shared.serves(&request.uri)) else {
            return self.reply(now, &request, 404);
        };
        if self.shared.is_foreign(&caller.tenant, &request.uri) {
            auth::refused(&self.shared, &caller.tenant, caller.actor(), &request, "foreign_domain");
            return self.reply(now, &request, 404);
        }
        let (index, shards) = (self.index, self.shared.config.shards);
        let leg = ids::leg_for(&mut self.rng, now.wall, index, shards);
        let Some(dialog) = Dialog::with_caller(&request.message, &compose::tag_of(leg)) else {
            return self.reply(now, &request, 400);
        };
        let context = Context {
            tenant: caller.tenant,
            correlation_id: CorrelationId::from_uuid(self.uuid_v4()),
            node: self.shared.node,
        };
        let peer = Peer { flow: request.flow, is_symmetric: request.is_symmetric, is_trunk: caller.is_trunk };
        let new = NewCall {
            call: CallId::from_uuid(ids::uuid_v7(&mut self.rng, now.wall)),
            leg,
            context: context.clone(),
            caller: caller.party,
            dialled: dialled.into(),
            negotiation: match &offer {
                Some(offer) => Negotiation::Offered(Arc::new(offer.audio.clone())),
                None => Negotiation::Late,
            },
            max_forwards,
            ring_timeout: self.shared.config.ring_timeout,
        };
        self.exchanges.open_invite(&request, Some(leg));
        let trying = Message::response_to(&request.message, 100);
        self.exchanges.respond(now.mono, &request.key, &trying);
        self.in_hand.leg = Some(leg);
        let invited = Invited::new(&mut self.desk(now), request, dialog, offer);
        self.agents.insert(leg, Agent::of_caller(leg, context, peer, invited));
        match self.shared.calls.open_call(new) {
            Ok(()) => {
                let invite = self.agents.get(&leg).and_then(Agent::invite);
                invite.into_iter().for_each(|it| self.note_received(now, Some(leg), it.flow, &it.message, false));
            }
            Err(cause) => self.turn_back(now, leg, cause),
        }
    }

    /// The call was not let in, and nobody will release its leg.
    fn turn_back(&mut self, now: Now, leg: LegId, cause: Cause) {
        self.with_agent(now, leg, |agent, desk| {
            agent.part(desk, cause);
            agent.release(desk);
        });
    }

    fn unavailable(&self, request: &Request) -> Message {
        let mut response = Message::response_to(&request.message, 503);
        response.headers.push(Name::RetryAfter, self.shared.config.limits.retry_after_s.to_string());
        response
    }

    /// Whether one more transaction may be remembered.
    fn has_room(&self) -> bool {
        self.exchanges.servers() < self.shared.config.limits.transactions / self.shared.config.shards.max(1)
    }

    /// Sends a final response to a request outside dialogs, from somebody we know.
    fn reply(&mut self, now: Now, request: &Request, status: u16) {
        self.answer(now, request, Message::response_to(&request.message, status));
    }

    /// The same to somebody who may be a stranger.
    fn refuse(&mut self, now: Now, request: &Request, status: u16) {
        self.answer_anybody(now, request, Message::response_to(&request.message, status));
    }

    fn answer(&mut self, now: Now, request: &Request, mut response: Message) {
        response.headers.tag_to(&self.stray_tag(request));
        if request.method == Method::Invite {
            self.exchanges.open_invite(request, None);
            self.exchanges.respond(now.mono, &request.key, &response);
        } else {
            self.exchanges.answer(now.mono, request, &response);
        }
    }

    /// Answers a request whose sender proved nothing. Only a trunk's is remembered: a forged one would have us repeat
    /// the answer to a victim, and many would fill the memory.
    fn answer_anybody(&mut self, now: Now, request: &Request, response: Message) {
        if self.has_room() && self.shared.trunk_of(request.flow.remote.ip()).is_some() {
            self.answer(now, request, response);
        } else {
            self.answer_once(request, response);
        }
    }

    /// Answers without remembering that: who asks again is answered again, and the same.
    fn answer_once(&mut self, request: &Request, mut response: Message) {
        response.headers.tag_to(&self.stray_tag(request));
        self.exchanges.send(request.back, response.to_bytes());
    }

    /// A To tag where there is no dialog: the same for every repeat, and no leg's.
    fn stray_tag(&self, request: &Request) -> String {
        format!("s{:016x}", ids::stray(request))
    }

    fn uuid_v4(&mut self) -> Uuid {
        use rand::RngExt;
        uuid::Builder::from_random_bytes(self.rng.random()).into_uuid()
    }
}

/// Somebody behind a trunk, as its From says.
fn behind(trunk: &TrunkName, request: &Request) -> Party {
    let number = request.from.uri().user_text().unwrap_or_default();
    let name = request.from.display_name().map(|name| name.chars().take(LONGEST_NAME).collect::<String>().into());
    Party { number: number.into(), name, identity: Identity::Trunk { trunk: trunk.clone() } }
}
