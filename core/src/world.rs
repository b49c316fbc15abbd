//! A small world for the tests: a call with its legs, wired as the shells wire them, and everything it committed.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::call::{Call, CallEffect, CallInput, NewCall};
use crate::cause::Cause;
use crate::cdr::Cdr;
use crate::event::{Context, Fact, FactBody};
use crate::id::{CallId, CorrelationId, DeviceId, LegId, NodeId, Tenant, UserId};
use crate::leg::{Leg, LegEffect, LegInput, Negotiation};
use crate::machine::{Machine, Notice, Stamp};
use crate::media::{LocalMedia, MediaDescription};
use crate::party::{Address, Identity, Party, Target, TrunkName};
use crate::ports::Signal;
use crate::time::{Now, Timestamp, WallTime};

pub(crate) const CALLER: u128 = 1;
pub(crate) const CALLEE: u128 = 2;
pub(crate) const SECOND: u128 = 3;

pub(crate) fn leg(n: u128) -> LegId {
    LegId::from_uuid(Uuid::from_u128(n))
}

pub(crate) fn start() -> Now {
    Now { mono: Timestamp(1_000_000), wall: WallTime(1_000_000_000) }
}

pub(crate) fn local(port: u16) -> LocalMedia {
    let at = |port| SocketAddr::from(([192, 0, 2, 1], port));
    LocalMedia::pair(at(port), at(port + 1))
}

/// What a phone offers or answers.
pub(crate) fn phone(port: u16) -> Arc<MediaDescription> {
    Arc::new(MediaDescription { text: Some(format!("sdp of {port}").into()), ..MediaDescription::basic(&local(port)) })
}

pub(crate) fn user(number: &str) -> Party {
    let identity = Identity::User {
        user_id: UserId::from_uuid(Uuid::from_u128(11)),
        device_id: DeviceId::from_uuid(Uuid::from_u128(12)),
    };
    Party { number: number.to_owned().into(), name: None, identity }
}

pub(crate) fn new_call() -> NewCall {
    let context = Context {
        tenant: Tenant::default_tenant(),
        correlation_id: CorrelationId::from_uuid(Uuid::from_u128(0xc0)),
        node: NodeId::from_uuid(Uuid::from_u128(0x40)),
    };
    NewCall {
        call: CallId::from_uuid(Uuid::from_u128(0xca11)),
        leg: leg(CALLER),
        context,
        caller: user("1001"),
        dialled: String::from("1002").into(),
        negotiation: Negotiation::Offered(phone(4_000)),
        max_forwards: 69,
        ring_timeout: Duration::from_secs(90),
    }
}

pub(crate) fn target(n: u128) -> Target {
    let trunk = Identity::Trunk { trunk: TrunkName("out".into()) };
    Target {
        leg: leg(n),
        party: Party { number: String::from("1002").into(), name: None, identity: trunk },
        address: Address::Trunk { address: local(5060).rtp, number: String::from("1002").into(), prefix: None },
    }
}

/// The callee's page.
pub(crate) fn client(n: u128) -> Target {
    Target { party: user("1002"), address: Address::Client(UserId::from_uuid(Uuid::from_u128(11))), ..target(n) }
}

/// Machines and what they did. Every effect is numbered and delivered at once and in order, as slots do it.
pub(crate) struct World {
    pub(crate) now: Now,
    pub(crate) call: Call,
    pub(crate) legs: BTreeMap<LegId, Leg>,
    pub(crate) facts: Vec<Fact>,
    pub(crate) signals: Vec<(LegId, Signal)>,
    pub(crate) looked_up: bool,
    numbers: BTreeMap<LegId, u64>,
    queue: VecDeque<Step>,
}

enum Step {
    Call(CallInput),
    Leg(LegId, LegInput),
}

impl World {
    /// A call that was let in and waits for the plan.
    pub(crate) fn new(birth: NewCall) -> Self {
        let (legs, facts, signals, numbers, queue) = Default::default();
        let call = Call::new(birth);
        let mut world = Self { now: start(), call, legs, facts, signals, looked_up: false, numbers, queue };
        world.call_input(CallInput::Start);
        world
    }

    /// A call whose callee has these devices, all dialled.
    pub(crate) fn dialled(devices: &[u128]) -> Self {
        let mut world = Self::new(new_call());
        world.call_input(CallInput::Routed(Ok(devices.iter().map(|n| target(*n)).collect())));
        world
    }

    /// A call from a browser, whose callee has these devices, all dialled.
    pub(crate) fn from_browser(targets: Vec<Target>) -> Self {
        let mut world = Self::new(NewCall { negotiation: Negotiation::AtOnce, ..new_call() });
        world.call_input(CallInput::Routed(Ok(targets)));
        world
    }

    /// A call that one device answered.
    pub(crate) fn talking() -> Self {
        let mut world = Self::dialled(&[CALLEE]);
        world.leg_input(CALLEE, LegInput::Ringing);
        world.leg_input(CALLEE, LegInput::Answered(phone(5_000)));
        world
    }

    pub(crate) fn call_input(&mut self, input: CallInput) {
        self.queue.push_back(Step::Call(input));
        self.run();
    }

    pub(crate) fn leg_input(&mut self, n: u128, input: LegInput) {
        self.queue.push_back(Step::Leg(leg(n), input));
        self.run();
    }

    /// Time passes; whatever is due is ticked.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.now = self.now.after(time);
        let due = |deadline: Option<Timestamp>, now: Now| deadline.is_some_and(|at| at <= now.mono);
        if due(self.call.next_deadline(), self.now) {
            self.call_input(CallInput::Notice(Notice::Tick));
        }
        let ripe: Vec<_> =
            self.legs.iter().filter(|(_, leg)| due(leg.next_deadline(), self.now)).map(|(id, _)| *id).collect();
        for id in ripe {
            self.queue.push_back(Step::Leg(id, LegInput::Notice(Notice::Tick)));
        }
        self.run();
    }

    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.facts.iter().map(|fact| fact.body.name()).collect()
    }

    pub(crate) fn record(&self) -> Cdr {
        match &self.facts.last().expect("facts").body {
            FactBody::CdrClosed(record) => (**record).clone(),
            other => panic!("the last fact is {}", other.name()),
        }
    }

    /// What was said to the far end of a leg.
    pub(crate) fn said(&self, n: u128) -> Vec<&Signal> {
        self.signals.iter().filter(|(id, _)| *id == leg(n)).map(|(_, signal)| signal).collect()
    }

    /// The last thing said to the far end of a leg.
    pub(crate) fn last_said(&self, n: u128) -> Option<Signal> {
        self.said(n).last().map(|signal| (*signal).clone())
    }

    pub(crate) fn cause(&self) -> Cause {
        self.record().cause
    }

    fn run(&mut self) {
        while let Some(step) = self.queue.pop_front() {
            match step {
                Step::Call(input) => {
                    let mut next = self.call.clone();
                    if let Ok(effects) = next.handle(self.now, input) {
                        self.call = next;
                        effects.into_iter().for_each(|effect| self.perform(effect));
                    }
                }
                Step::Leg(id, input) => self.leg_step(id, input),
            }
        }
    }

    fn leg_step(&mut self, id: LegId, input: LegInput) {
        let Some(mut next) = self.legs.get(&id).cloned() else { return };
        let Ok(effects) = next.handle(self.now, input) else { return };
        self.legs.insert(id, next);
        for effect in effects {
            let number = self.numbers.entry(id).or_default();
            let stamp = Stamp { from: id, number: *number };
            *number += 1;
            match effect {
                LegEffect::OpenMedia(_) => {
                    let port = 10_000 + u16::try_from(id.uuid().as_u128() * 2).unwrap_or(0);
                    self.queue.push_back(Step::Leg(id, LegInput::MediaReady(local(port))));
                }
                LegEffect::Signal(signal) => self.signals.push((id, signal)),
                LegEffect::TellCall(news) => {
                    self.queue.push_back(Step::Call(CallInput::Leg(stamp, news)));
                }
                LegEffect::Media(_) | LegEffect::OpenTrack(_) | LegEffect::TellTrack(..) => {}
            }
        }
    }

    fn perform(&mut self, effect: CallEffect) {
        match effect {
            CallEffect::Commit(fact) => self.facts.push((*fact).clone()),
            CallEffect::OpenLeg(leg, id) => drop(self.legs.insert(id, *leg)),
            CallEffect::TellLeg(id, input) => self.queue.push_back(Step::Leg(id, input)),
            CallEffect::LookUp(_) => self.looked_up = true,
            CallEffect::Publish(_) => {}
        }
    }
}
