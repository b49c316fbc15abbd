//! The transactions of one shard, and what is to be sent.
//!
//! # Invariants
//! * A transaction is filed until its machine has ended, and no longer.
//! * Every deadline of a machine has an alarm at or before it.

mod branch;
mod filed;
mod transmit;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

pub(crate) use branch::ClientKey;
use bytes::Bytes;
use filed::{Answers, ClientMachine, ClientSide, ServerMachine, ServerSide, Twin, twin};
use rand::Rng;
use smallvec::SmallVec;
use tandem_core::cause::Cause;
use tandem_core::id::LegId;
use tandem_core::location::{Flow, Transport};
use tandem_core::time::Timestamp;
pub(crate) use transmit::Transmit;

use crate::compose;
use crate::header::Name;
use crate::message::{Message, Method};
use crate::request::Request;
use crate::transaction::{Client, Due, Heard, InviteClient, InviteServer, Server, ServerKey};

/// Devices behind one INVITE of ours whose acceptances are looked at. A callee that makes up more is ignored.
const FORKS: usize = 8;

/// Whose deadline an alarm is.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Alarm {
    Server(ServerKey),
    Client(ClientKey),
    Agent(LegId),
}

/// What became of a request of ours.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// A response that is news; the transaction may not be over.
    Response(Message),
    /// Nobody answered.
    TimedOut,
    /// The connection is gone.
    Unsent,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Exchanges {
    servers: HashMap<ServerKey, ServerSide>,
    /// INVITEs by what stays the same when one comes by two ways.
    twins: HashMap<Twin, ServerKey>,
    clients: HashMap<ClientKey, ClientSide>,
    alarms: BinaryHeap<Reverse<(Timestamp, Alarm)>>,
    out: Vec<Transmit>,
    repeats: u64,
}

impl Exchanges {
    /// A request came: whether it is a repeat, which then has been dealt with.
    pub(crate) fn absorb(&mut self, request: &Request) -> bool {
        let Some(side) = self.servers.get(&request.key) else { return false };
        let again = match &side.machine {
            ServerMachine::Invite(machine, _) => machine.repeat(),
            ServerMachine::Other(machine) => Some(machine.repeat()),
        };
        let (flow, leg) = (side.back, side.leg);
        self.repeats += u64::from(again.is_some());
        self.out.extend(again.map(|bytes| Transmit::again(flow, bytes, leg)));
        true
    }

    /// An ACK came: whether it was for a refusal, and needs no more.
    pub(crate) fn acknowledge(&mut self, now: Timestamp, request: &Request) -> bool {
        let Some(side) = self.servers.get_mut(&request.key) else { return false };
        let ServerMachine::Invite(machine, _) = &mut side.machine else { return false };
        let before = machine.next_deadline();
        let is_ours = machine.acknowledge(now);
        let deadline = machine.next_deadline().filter(|it| Some(*it) != before);
        self.arm(deadline, Alarm::Server(request.key.clone()));
        is_ours
    }

    /// Opens the transaction of an INVITE. It has an owner if it was let in.
    pub(crate) fn open_invite(&mut self, request: &Request, owner: Option<LegId>) {
        let machine = InviteServer::new(request.flow.transport == Transport::Tcp);
        // What is refused is no call that another could come upon.
        let twin = owner.map(|_| twin(request));
        self.twins.extend(twin.iter().map(|twin| (twin.clone(), request.key.clone())));
        let machine = ServerMachine::Invite(machine, twin);
        let leg = owner.or_else(|| leg_of(request.to.tag()));
        self.servers.insert(request.key.clone(), ServerSide { machine, back: request.back, owner, leg });
    }

    /// Answers an INVITE: `false` if it has its final answer already.
    pub(crate) fn respond(&mut self, now: Timestamp, key: &ServerKey, response: &Message) -> bool {
        let Some(side) = self.servers.get_mut(key) else { return false };
        let ServerMachine::Invite(machine, _) = &mut side.machine else { return false };
        let bytes = response.to_bytes();
        if !machine.respond(now, response.status().unwrap_or(500), &bytes) {
            return false;
        }
        let (flow, leg, deadline) = (side.back, side.leg, machine.next_deadline());
        self.out.push(Transmit::new(flow, bytes, leg));
        self.arm(deadline, Alarm::Server(key.clone()));
        true
    }

    /// Answers a request that is no INVITE, finally, and absorbs its repeats from now on.
    pub(crate) fn answer(&mut self, now: Timestamp, request: &Request, response: &Message) {
        let bytes = response.to_bytes();
        let leg = response.headers.to().ok().and_then(|to| leg_of(to.tag()));
        // On a stream no repeat can come.
        if request.flow.transport == Transport::Udp {
            let machine = Server::new(now, bytes.clone());
            self.arm(Some(machine.next_deadline()), Alarm::Server(request.key.clone()));
            let side = ServerSide { machine: ServerMachine::Other(machine), back: request.back, owner: None, leg };
            self.servers.insert(request.key.clone(), side);
        }
        self.out.push(Transmit::new(request.back, bytes, leg));
    }

    /// The leg behind the INVITE with this key, and whether that still waits for its final answer.
    pub(crate) fn invite(&self, key: &ServerKey) -> Option<(Option<LegId>, bool)> {
        let side = self.servers.get(key)?;
        match &side.machine {
            ServerMachine::Invite(machine, _) => Some((side.owner, machine.is_proceeding())),
            ServerMachine::Other(_) => None,
        }
    }

    /// Sends without any transaction: answers that are not worth a memory.
    pub(crate) fn send(&mut self, flow: Flow, bytes: Bytes) {
        self.out.push(Transmit::new(flow, bytes, None));
    }

    /// Sends an acceptance of a leg again, which is not its transaction's to do.
    pub(crate) fn send_again(&mut self, flow: Flow, bytes: Bytes, leg: LegId) {
        self.out.push(Transmit::again(flow, bytes, Some(leg)));
    }

    /// The leg behind a request that came before, or that this one cancels.
    pub(crate) fn leg_behind(&self, request: &Request) -> Option<LegId> {
        let cancelled = || self.servers.get(&request.cancelled_key()?);
        let side = self.servers.get(&request.key);
        side.or_else(|| if request.method == Method::Cancel { cancelled() } else { None })?.leg
    }

    /// Whether a request came before.
    pub(crate) fn has_seen(&self, request: &Request) -> bool {
        request.method != Method::Ack && self.servers.contains_key(&request.key)
    }

    /// Sends a request with a new transaction. `message` has no Via yet.
    pub(crate) fn request(
        &mut self,
        now: Timestamp,
        rng: &mut impl Rng,
        message: &mut Message,
        via: &compose::Via,
        owner: Option<LegId>,
    ) -> ClientKey {
        let key = ClientKey::new(rng);
        message.headers.push_front(Name::Via, via.value(key));
        self.start(now, key, message, via.flow, owner);
        key
    }

    /// Sends the CANCEL of an INVITE of ours. It has the same Via.
    pub(crate) fn cancel(&mut self, now: Timestamp, key: ClientKey, cancel: &Message, flow: Flow) {
        self.start(now, key.of_cancel(), cancel, flow, None);
    }

    fn start(&mut self, now: Timestamp, key: ClientKey, message: &Message, flow: Flow, owner: Option<LegId>) {
        let bytes = message.to_bytes();
        let is_stream = flow.transport == Transport::Tcp;
        let machine = if message.method() == Some(&Method::Invite) {
            let answers = Answers { invite: Some(Box::new(message.clone())), acks: SmallVec::new() };
            ClientMachine::Invite(InviteClient::new(now, bytes.clone(), is_stream), answers)
        } else {
            ClientMachine::Other(Client::new(now, bytes.clone(), is_stream))
        };
        let leg = owner.or_else(|| message.headers.from().ok().and_then(|from| leg_of(from.tag())));
        let side = ClientSide { machine, flow, owner, leg };
        self.arm(side.next_deadline(), Alarm::Client(key));
        self.clients.insert(key, side);
        self.out.push(Transmit { about: Some(key), ..Transmit::new(flow, bytes, leg) });
    }

    /// A response came: whose it is, if it is news. `None` also for what belongs to nothing.
    pub(crate) fn hear(&mut self, now: Timestamp, key: ClientKey, response: &Message) -> Option<Option<LegId>> {
        let side = self.clients.get_mut(&key)?;
        let status = response.status()?;
        let before = side.next_deadline();
        let heard = match &mut side.machine {
            ClientMachine::Invite(machine, answers) => {
                let invite = answers.invite.as_ref();
                let ack = || invite.map_or_else(Bytes::new, |it| compose::ack_of_refusal(it, response).to_bytes());
                let heard = machine.hear(now, status, ack);
                if status >= 200 {
                    answers.invite = None;
                }
                let to = response.headers.to().ok()?;
                let acked = answers.acks.iter().find(|(tag, ..)| Some(tag.as_ref()) == to.tag());
                if let (200..300, Some((_, flow, ack))) = (status, acked) {
                    self.out.push(Transmit::again(*flow, ack.clone(), side.leg));
                    self.repeats += 1;
                    return None;
                }
                if answers.acks.len() >= FORKS {
                    return None;
                }
                heard
            }
            ClientMachine::Other(machine) => machine.hear(now, status),
        };
        let (flow, owner, leg, deadline) = (side.flow, side.owner, side.leg, side.next_deadline());
        // Else the far end could pile alarms up.
        self.arm(deadline.filter(|it| Some(*it) != before), Alarm::Client(key));
        let (bytes, is_news) = match heard {
            Heard::New => (None, true),
            Heard::Refused(ack) => (Some(ack), true),
            Heard::Repeat(again) => (again, false),
        };
        let transmit = |bytes| Transmit { is_repeat: !is_news, ..Transmit::new(flow, bytes, leg) };
        self.out.extend(bytes.map(transmit));
        is_news.then_some(owner)
    }

    /// Acknowledges an acceptance of our INVITE, now and whenever it comes again.
    pub(crate) fn acknowledged(&mut self, key: ClientKey, tag: Bytes, flow: Flow, ack: Bytes) {
        let side = self.clients.get_mut(&key);
        let leg = side.as_ref().and_then(|side| side.leg);
        if let Some(ClientSide { machine: ClientMachine::Invite(_, answers), .. }) = side {
            answers.acks.push((tag, flow, ack.clone()));
        }
        self.out.push(Transmit::new(flow, ack, leg));
    }

    /// Whether a response of that key would belong to anything.
    pub(crate) fn knows(&self, key: ClientKey) -> bool {
        self.clients.contains_key(&key)
    }

    /// Whether an INVITE of ours may be cancelled now.
    pub(crate) fn is_proceeding(&self, key: ClientKey) -> bool {
        let side = self.clients.get(&key);
        side.is_some_and(|it| matches!(&it.machine, ClientMachine::Invite(machine, _) if machine.is_proceeding()))
    }

    /// Gives a request of ours up. Whose it was.
    pub(crate) fn abandon(&mut self, key: ClientKey) -> Option<LegId> {
        self.clients.remove(&key)?.owner
    }

    /// The leg that a request of ours belongs to, whoever cares for what becomes of it.
    pub(crate) fn leg_of_request(&self, key: ClientKey) -> Option<LegId> {
        self.clients.get(&key)?.leg
    }

    /// Whose a request of ours is.
    pub(crate) fn owner(&self, key: ClientKey) -> Option<LegId> {
        self.clients.get(&key)?.owner
    }

    /// Gives a request of ours up that nobody will care for any more. An INVITE that rings is cancelled.
    pub(crate) fn forsake(&mut self, now: Timestamp, key: ClientKey, cause: Cause) {
        let is_proceeding = self.is_proceeding(key);
        let Some(ClientSide { machine, flow, .. }) = self.clients.remove(&key) else { return };
        if let (ClientMachine::Invite(_, Answers { invite: Some(invite), .. }), true) = (machine, is_proceeding) {
            self.cancel(now, key, &compose::cancel_of(&invite, cause), flow);
        }
    }

    /// Whether an INVITE came before by another way (RFC 3261, 8.2.2.2).
    pub(crate) fn is_merged(&self, invite: &Request) -> bool {
        self.twins.get(&twin(invite)).is_some_and(|first| *first != invite.key)
    }

    /// Forgets a transaction, whatever its state.
    pub(crate) fn forget(&mut self, key: &ServerKey) {
        if let Some(ServerSide { machine: ServerMachine::Invite(_, Some(twin)), .. }) = self.servers.remove(key)
            && self.twins.get(&twin) == Some(key)
        {
            self.twins.remove(&twin);
        }
    }

    /// Deals with one due alarm, unless it is an agent's, which is given back. `Err` when nothing is due.
    pub(crate) fn ring(&mut self, now: Timestamp) -> Result<Option<Rung>, NothingDue> {
        let due = self.alarms.peek().is_some_and(|Reverse((at, _))| *at <= now);
        let Some(Reverse((_, alarm))) = due.then(|| self.alarms.pop()).flatten() else { return Err(NothingDue) };
        Ok(match alarm {
            Alarm::Agent(leg) => Some(Rung::Agent(leg)),
            Alarm::Server(key) => {
                self.ring_server(now, key);
                None
            }
            Alarm::Client(key) => self.ring_client(now, key),
        })
    }

    fn ring_server(&mut self, now: Timestamp, key: ServerKey) {
        let Some(side) = self.servers.get_mut(&key) else { return };
        let (due, next) = match &mut side.machine {
            ServerMachine::Invite(machine, _) => (machine.tick(now), machine.next_deadline()),
            ServerMachine::Other(machine) => (machine.tick(now), Some(machine.next_deadline())),
        };
        let (flow, leg) = (side.back, side.leg);
        match due {
            Due::Ended | Due::TimedOut => self.forget(&key),
            Due::Resend(bytes) => {
                self.resend(Transmit::again(flow, bytes, leg));
                self.arm(next, Alarm::Server(key));
            }
            // An early alarm of a deadline that moved on: the one for the new deadline is there already.
            Due::Nothing => {}
        }
    }

    fn ring_client(&mut self, now: Timestamp, key: ClientKey) -> Option<Rung> {
        let side = self.clients.get_mut(&key)?;
        let due = match &mut side.machine {
            ClientMachine::Invite(machine, _) => machine.tick(now),
            ClientMachine::Other(machine) => machine.tick(now),
        };
        let (flow, owner, leg, next) = (side.flow, side.owner, side.leg, side.next_deadline());
        match due {
            Due::Ended => drop(self.clients.remove(&key)),
            Due::TimedOut => {
                self.clients.remove(&key);
                return owner.map(|leg| Rung::TimedOut(leg, key));
            }
            Due::Resend(bytes) => {
                self.resend(Transmit { about: Some(key), ..Transmit::again(flow, bytes, leg) });
                self.arm(next, Alarm::Client(key));
            }
            Due::Nothing => {}
        }
        None
    }

    fn resend(&mut self, transmit: Transmit) {
        self.repeats += 1;
        self.out.push(transmit);
    }

    /// Sets an alarm.
    pub(crate) fn arm(&mut self, deadline: Option<Timestamp>, alarm: Alarm) {
        if let Some(at) = deadline {
            self.alarms.push(Reverse((at, alarm)));
        }
    }

    /// When the next alarm rings.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.alarms.peek().map(|Reverse((at, _))| *at)
    }

    /// What is to be sent, in order.
    pub(crate) fn take_out(&mut self) -> Vec<Transmit> {
        std::mem::take(&mut self.out)
    }

    /// Messages sent again since the last time.
    pub(crate) fn take_repeats(&mut self) -> u64 {
        std::mem::take(&mut self.repeats)
    }

    #[cfg(test)]
    pub(crate) fn alarms(&self) -> usize {
        self.alarms.len()
    }

    /// How many requests of others are remembered.
    pub(crate) fn servers(&self) -> usize {
        self.servers.len()
    }

    /// How many transactions there are.
    pub(crate) fn len(&self) -> usize {
        self.servers.len() + self.clients.len()
    }
}

/// The leg whose tag of ours this is.
fn leg_of(tag: Option<&[u8]>) -> Option<LegId> {
    compose::leg_of(tag?)
}

/// Nothing is due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NothingDue;

/// What an alarm brought that others must deal with.
#[derive(Debug)]
pub(crate) enum Rung {
    /// A deadline of an agent.
    Agent(LegId),
    /// A request of an agent was not answered.
    TimedOut(LegId, ClientKey),
}
