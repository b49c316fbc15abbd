//! The engine of one shard: transactions and agents of all Call-IDs that fall to it. No I/O and no clock.
//!
//! ```text
//!  Input ──▶ handle ──▶ transmits, and news to the CallPort
//!  time  ──▶ tick
//! ```
//!
//! # Invariants
//! * A message that breaks the code that handles it ends its own transaction and leg, and no other; both ends of the leg
//!   are told.
//! * The shard of a leg is told by its id, that of a message by its Call-ID; they are the same for one dialog.

mod ids;
mod incoming;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
pub(crate) use ids::{place_of_call_id, place_of_leg};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tandem_core::cause::Cause;
use tandem_core::id::LegId;
use tandem_core::location::{Flow, Transport};
use tandem_core::machine::Stamp;
use tandem_core::metric::{Counter, Gauge};
use tandem_core::ports::{Dial, Signal};
use tandem_core::time::{Now, Timestamp, WallTime};
use tandem_core::trace::{Entry, Subject, Way, What, Wire};

use crate::agent::{Agent, Desk, Peer, decline_acceptance};
use crate::compose;
use crate::exchange::{ClientKey, Exchanges, Outcome, Rung, Transmit};
use crate::header::Name;
use crate::inbox::{Input, Unsent};
use crate::message::{Malformed, Message, Start};
use crate::request::way_back;
use crate::shared::Shared;
use crate::transaction::ServerKey;

/// See the module.
pub(crate) struct Shard {
    /// Which one of how many.
    index: usize,
    shared: Arc<Shared>,
    exchanges: Exchanges,
    agents: HashMap<LegId, Agent>,
    rng: StdRng,
    /// What ends if the code breaks now.
    in_hand: InHand,
    /// Transactions and dialogs counted in the gauges.
    counted: (usize, usize),
    /// See [`SipConfig::break_on`](crate::SipConfig::break_on).
    break_on: Option<String>,
}

#[derive(Default)]
struct InHand {
    server: Option<ServerKey>,
    client: Option<ClientKey>,
    leg: Option<LegId>,
}

impl Shard {
    pub(crate) fn new(index: usize, shared: Arc<Shared>, seed: u64) -> Self {
        let (exchanges, agents, in_hand, rng) =
            (<_>::default(), <_>::default(), <_>::default(), StdRng::seed_from_u64(seed));
        let break_on = shared.config.break_on.clone();
        Self { index, shared, exchanges, agents, rng, in_hand, counted: (0, 0), break_on }
    }

    #[cfg(test)]
    pub(crate) fn break_on(&mut self, call_id: &str) {
        self.break_on = Some(call_id.to_owned());
    }

    /// Handles one input. If that breaks, what it was about ends.
    pub(crate) fn handle(&mut self, now: Now, input: Input) {
        self.in_hand = InHand::default();
        if catch_unwind(AssertUnwindSafe(|| self.step(now, input))).is_err() {
            self.broke(now);
        }
    }

    /// Deals with whatever is due.
    pub(crate) fn tick(&mut self, now: Now) {
        loop {
            self.in_hand = InHand::default();
            match catch_unwind(AssertUnwindSafe(|| self.ring(now))) {
                Ok(true) => {}
                Ok(false) => break,
                Err(_) => self.broke(now),
            }
        }
        self.gauge();
    }

    /// When to call [`tick`](Self::tick).
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.exchanges.next_deadline()
    }

    /// What is to be sent, in order.
    pub(crate) fn take_out(&mut self) -> Vec<Transmit> {
        self.shared.metrics.add(Counter::SipRetransmissions, self.exchanges.take_repeats());
        self.exchanges.take_out()
    }

    fn step(&mut self, now: Now, input: Input) {
        match input {
            Input::Datagram(flow, bytes) => self.read(now, flow, &bytes),
            Input::Framed(flow, message) => self.received(now, flow, *message),
            Input::Signal(stamp, signal) => self.signal(now, stamp, signal),
            Input::Release(leg) => self.with_agent(now, leg, Agent::release),
            Input::Unsent(Unsent(key)) => self.unsent(now, key),
        }
    }

    fn read(&mut self, now: Now, flow: Flow, bytes: &Bytes) {
        match Message::read(bytes) {
            Ok(message) => self.received(now, flow, message),
            Err(malformed) => {
                self.shared.metrics.count(Counter::SipMalformed);
                let answer = malformed_answer(flow, &malformed);
                answer.into_iter().for_each(|it| self.exchanges.send(it.flow, it.bytes));
            }
        }
    }

    fn received(&mut self, now: Now, flow: Flow, message: Message) {
        match message.start {
            Start::Request { .. } => {
                self.drill(&message);
                self.request(now, flow, message);
            }
            Start::Response { .. } => self.response(now, flow, &message),
        }
    }

    /// The drill hook of the configuration.
    #[allow(clippy::panic, reason = "breaking is what it is for")]
    fn drill(&mut self, message: &Message) {
        let Some(mark) = &self.break_on else { return };
        let Ok(call_id) = message.headers.call_id() else { return };
        if call_id.windows(mark.len().max(1)).any(|it| it == mark.as_bytes()) {
            self.in_hand.leg = self.leg_of(message);
            panic!("drill: this Call-ID breaks the code");
        }
    }

    /// For the story of the leg's call.
    fn note_received(&self, now: Now, leg: Option<LegId>, flow: Flow, message: &Message, is_repeat: bool) {
        let Some(leg) = leg.filter(|leg| self.shared.trace.follows(*leg)) else { return };
        let entry = sip_entry(now.wall, Way::In, flow, &message.to_bytes(), is_repeat);
        self.shared.trace.note(Subject::Leg(leg), entry);
    }

    fn leg_of(&self, message: &Message) -> Option<LegId> {
        let tags = [message.headers.to(), message.headers.from()];
        let legs = tags.iter().flatten().filter_map(|it| compose::leg_of(it.tag()?));
        legs.into_iter().find(|leg| self.agents.contains_key(leg))
    }

    fn response(&mut self, now: Now, flow: Flow, response: &Message) {
        self.shared.metrics.count(Counter::SipResponses);
        let key = ClientKey::of_response(response).filter(|key| self.exchanges.knows(*key));
        let Some(key) = key else { return self.shared.metrics.count(Counter::SipUnmatched) };
        self.in_hand.client = Some(key);
        self.drill(response);
        let behind = self.exchanges.leg_of_request(key);
        let heard = self.exchanges.hear(now.mono, key, response);
        self.note_received(now, behind, flow, response, heard.is_none());
        let Some(Some(leg)) = heard else { return };
        if self.agents.contains_key(&leg) {
            let outcome = Outcome::Response(response.clone());
            self.with_agent(now, leg, |agent, desk| agent.outcome(desk, key, outcome));
        } else if matches!(response.status(), Some(200..300)) {
            let peer = Peer { flow, is_symmetric: true, is_trunk: false };
            decline_acceptance(&mut self.desk(now), peer, key, response);
        } else if self.exchanges.is_proceeding(key) {
            // It would ring for ever.
            self.exchanges.forsake(now.mono, key, Cause::SignallingLost);
        }
    }

    /// A request of ours could not be sent.
    fn unsent(&mut self, now: Now, key: ClientKey) {
        if let Some(leg) = self.exchanges.abandon(key) {
            self.with_agent(now, leg, |agent, desk| agent.outcome(desk, key, Outcome::Unsent));
        }
    }

    fn ring(&mut self, now: Now) -> bool {
        match self.exchanges.ring(now.mono) {
            Ok(Some(Rung::Agent(leg))) => self.with_agent(now, leg, Agent::tick),
            Ok(Some(Rung::TimedOut(leg, key))) => {
                self.with_agent(now, leg, |agent, desk| agent.outcome(desk, key, Outcome::TimedOut));
            }
            Ok(None) => {}
            Err(_) => return false,
        }
        true
    }

    fn signal(&mut self, now: Now, stamp: Stamp<LegId>, signal: Signal) {
        match signal {
            Signal::Invite(dial) => self.dial(now, stamp, &dial),
            signal => self.with_agent(now, stamp.from, |agent, desk| agent.signal(desk, stamp.number, signal)),
        }
    }

    fn dial(&mut self, now: Now, stamp: Stamp<LegId>, dial: &Dial) {
        if self.agents.contains_key(&stamp.from) {
            return;
        }
        self.in_hand.leg = Some(stamp.from);
        // If the next lines break or find no way, this one tells the leg.
        self.agents.insert(stamp.from, Agent::unborn(stamp.from, dial.context.clone(), stamp.number));
        let call_id = ids::call_id_for(&mut self.rng, self.index, self.shared.config.shards);
        match Agent::dial(&mut self.desk(now), dial, call_id, stamp.number) {
            Ok(agent) => drop(self.agents.insert(stamp.from, agent)),
            Err(news) => self.with_agent(now, stamp.from, |agent, desk| agent.tell(desk, news)),
        }
    }

    /// Works with an agent, if it is there, and forgets it if that was all.
    fn with_agent(&mut self, now: Now, leg: LegId, work: impl FnOnce(&mut Agent, &mut Desk<'_>)) {
        self.in_hand.leg = Some(leg);
        let Self { shared, exchanges, agents, rng, .. } = self;
        let Some(agent) = agents.get_mut(&leg) else { return };
        work(agent, &mut Desk { now, shared, exchanges, rng });
        if agent.is_done() {
            agents.remove(&leg);
        }
    }

    fn desk(&mut self, now: Now) -> Desk<'_> {
        Desk { now, shared: &self.shared, exchanges: &mut self.exchanges, rng: &mut self.rng }
    }

    /// The code broke. What was in hand ends.
    fn broke(&mut self, now: Now) {
        self.shared.metrics.count(Counter::SipPanics);
        let InHand { server, client, leg } = std::mem::take(&mut self.in_hand);
        let asked = || server.as_ref().and_then(|key| self.exchanges.invite(key)?.0);
        let heard = || client.and_then(|key| self.exchanges.owner(key));
        if let Some(leg) = leg.or_else(asked).or_else(heard) {
            self.end(now, leg, client);
        }
        // What still has an agent is ended by that. Nothing else would end the rest.
        let invite = server.as_ref().and_then(|key| Some((key, self.exchanges.invite(key)?)));
        if let Some((key, (owner, true))) = invite
            && !self.has_agent(owner)
        {
            self.exchanges.forget(key);
        }
        if let Some(key) = client
            && !self.has_agent(self.exchanges.owner(key))
        {
            self.exchanges.forsake(now.mono, key, Cause::SignallingLost);
        }
    }

    fn has_agent(&self, leg: Option<LegId>) -> bool {
        leg.is_some_and(|leg| self.agents.contains_key(&leg))
    }

    /// Ends a leg whose code broke. Its agent says good-bye in due form; if that breaks too, or the code breaks again
    /// before the good-bye is over, at once, and what it had is forgotten.
    fn end(&mut self, now: Now, leg: LegId, heard: Option<ClientKey>) {
        let Some(mut agent) = self.agents.remove(&leg) else { return };
        tracing::error!(leg_id = %leg, "signalling of a leg broke; it ends");
        self.shared.trace.note(Subject::Leg(leg), Entry::new(now.wall, What::Broke));
        let is_first = !agent.is_broken();
        let cause = Cause::SignallingLost;
        let good_bye = || agent.break_off(&mut self.desk(now), cause, heard);
        let is_said = is_first && catch_unwind(AssertUnwindSafe(good_bye)).is_ok();
        if !is_said && catch_unwind(AssertUnwindSafe(|| agent.forsake(&mut self.desk(now), cause))).is_err() {
            tracing::error!(leg_id = %leg, "its far end could not be told");
        }
        if !agent.is_done() {
            self.agents.insert(leg, agent);
        }
    }

    fn gauge(&mut self) {
        let count = (self.exchanges.len(), self.agents.len());
        let moved = |now: usize, before: usize| {
            i64::try_from(now).unwrap_or(i64::MAX) - i64::try_from(before).unwrap_or(i64::MAX)
        };
        self.shared.metrics.shift(Gauge::SipTransactions, moved(count.0, self.counted.0));
        self.shared.metrics.shift(Gauge::SipDialogs, moved(count.1, self.counted.1));
        self.counted = count;
    }
}

/// A message for the story of its call.
pub(crate) fn sip_entry(at: WallTime, direction: Way, flow: Flow, bytes: &[u8], is_repeat: bool) -> Entry {
    let (peer, text) = (Some(flow.remote.into()), Wire::of_sip(bytes));
    Entry::new(at, What::Message { direction, peer, is_repeat, text })
}

/// The answer to what is no proper message, if anybody waits for that. Nothing is remembered of it.
pub(crate) fn malformed_answer(flow: Flow, malformed: &Malformed) -> Option<Transmit> {
    let mut response = malformed.response()?;
    let back = way_back(&malformed.headers, flow);
    response.headers.stamp_via(flow.remote);
    if response.status() == Some(501) {
        response.headers.push(Name::Allow, compose::ALLOW);
    }
    response.headers.tag_to("none");
    Some(Transmit::new(back, response.to_bytes(), None))
}

/// Answers at the door of a shard that has no room, without any state: 503 to an INVITE, silence to all else.
pub(crate) fn turn_away(shared: &Shared, flow: Flow, datagram: &Bytes) -> Option<Transmit> {
    if flow.transport != Transport::Udp || !datagram.starts_with(b"INVITE ") {
        return None;
    }
    let message = Message::read(datagram).ok()?;
    let back = way_back(&message.headers, flow);
    let mut response = Message::response_to(&message, 503);
    response.headers.stamp_via(flow.remote);
    response.headers.tag_to("none");
    response.headers.push(Name::RetryAfter, shared.config.limits.retry_after_s.to_string());
    Some(Transmit::new(back, response.to_bytes(), None))
}

#[cfg(test)]
mod tests;
