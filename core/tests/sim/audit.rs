//! What must hold for every call, whatever happens to it. Each promise is checked where it could be broken first, so
//! that the trail ends there.
//!
//! # Promises
//! * A call begins, ends and is billed exactly once; its facts are numbered without a gap, and nobody steps their clock.
//! * Billed is what the two talked, but for the time that its actors were late.
//! * A call in which nothing broke ends for a reason that its parties gave, and no later than they gave it.
//! * Each leg ends once, says so to its call, to its track and, unless that came from there, to its far end.
//! * Nothing is said to a leg that is over but to go, and nothing at all by a machine that has ended.
//! * Two who talk hear each other, whatever was broken and mended on the way there.
//! * Nothing is left: no leg, no track, no permit, no dialog that is still open.

use std::sync::Arc;
use std::time::Duration;

use tandem_core::call::{Call, CallEffect};
use tandem_core::cause::Cause;
use tandem_core::cdr::{Cdr, CdrFold};
use tandem_core::event::{Fact, FactBody};
use tandem_core::id::{NodeId, TrackId};
use tandem_core::leg::{Leg, LegEffect, LegInput, LegNews};
use tandem_core::machine::{Effects, Machine};
use tandem_core::media::{MediaCommand, MediaDescription};
use tandem_core::ports::Signal;
use tandem_core::time::{Timestamp, WallTime};
use tandem_core::track::{Track, TrackEffect, TrackInput};

use crate::pool;
use crate::wires::{leg_id, place_of};
use crate::world::{LEGS, World};

/// What a call may take beyond what its actors were late.
const TOLERANCE: Duration = Duration::from_millis(2);
/// The longest that any script lets a callee ring.
const LONGEST_RINGING: Duration = Duration::from_millis(90_002);

/// What was seen of one call.
#[derive(Default)]
pub(crate) struct Audit {
    /// How late its actors were, all together.
    pub(crate) slack: Duration,
    /// How often something broke.
    pub(crate) troubles: u32,
    /// Digits that legs heard, and that the call told.
    digits: (u64, u64),
    began: Timestamp,
    wall: Option<WallTime>,
    emitted: u32,
    facts: Vec<Arc<Fact>>,
    /// Numbers of facts that two shells died over.
    abandoned: Vec<u32>,
    ending: Option<Timestamp>,
    legs: [LegAudit; LEGS],
}

#[derive(Default)]
struct LegAudit {
    is_opened: bool,
    /// The call has written that it is over.
    is_written_off: bool,
    began: Option<Timestamp>,
    /// The far end of a connected leg has hung up, and the leg was told.
    far_end_left: Option<Timestamp>,
    connected: Option<Timestamp>,
    ended: Option<(Timestamp, Cause)>,
    is_attached: bool,
}

impl Audit {
    pub(crate) fn opened(&mut self, leg: usize) {
        self.legs[leg].is_opened = true;
    }

    /// The far end of a leg that is connected has hung up.
    pub(crate) fn far_end_left(&mut self, leg: usize, now: Timestamp) {
        self.legs[leg].far_end_left.get_or_insert(now);
    }

    pub(crate) fn has_fact(&self, name: &str) -> bool {
        self.facts.iter().any(|fact| fact.body.name() == name) || !self.abandoned.is_empty()
    }

    pub(crate) fn abandon(&mut self, number: u32) {
        if self.facts.iter().all(|fact| fact.number != number) {
            self.abandoned.push(number);
        }
    }

    /// The leg that answered.
    pub(crate) fn winner(&self) -> Option<usize> {
        self.facts.iter().find_map(|fact| match fact.body {
            FactBody::Answered { leg_id } => Some(place_of(leg_id)),
            _ => None,
        })
    }

    pub(crate) fn of_call(world: &mut World, call: u32, change: (&Call, &Call), effects: &Effects<CallEffect>) {
        let (before, after) = change;
        let now = world.now().mono;
        let it = &mut world.calls.get_mut(&call).unwrap().audit;
        assert!(!before.is_ended() || effects.is_empty(), "an ended call wants nothing");
        assert!(!after.is_ended() || after.next_deadline().is_none(), "an ended call arms no timer");
        if matches!(after.state_name(), "ending" | "ended") {
            it.ending.get_or_insert(now);
        }
        for effect in effects {
            match effect {
                CallEffect::Commit(fact) => {
                    it.emitted += 1;
                    if it.emitted == 1 {
                        it.began = now;
                    }
                    assert_eq!(fact.number, it.emitted, "facts are numbered without a gap");
                    let lasted = now - it.began;
                    let first = *it.wall.get_or_insert(fact.at);
                    assert_eq!(fact.at, first + lasted, "nobody steps the clock of a call");
                    assert_eq!(
                        fact.number == 1,
                        matches!(fact.body, FactBody::Started { .. }),
                        "it starts once, first"
                    );
                    if let FactBody::LegEnded { leg_id, .. } = fact.body {
                        let leg = &mut it.legs[place_of(leg_id)];
                        assert!(!std::mem::replace(&mut leg.is_written_off, true), "a leg is written off once");
                    }
                }
                CallEffect::OpenLeg(_, leg) => {
                    let leg = &mut it.legs[place_of(*leg)];
                    assert!(!leg.is_written_off, "a leg that is over is not opened");
                    leg.is_opened = true;
                }
                CallEffect::TellLeg(leg, input) => {
                    let leg = &it.legs[place_of(*leg)];
                    assert!(leg.is_opened, "only a leg that was opened is told");
                    assert!(
                        !leg.is_written_off || matches!(input, LegInput::HangUp(_)),
                        "a leg that is over is told to {}",
                        input.name()
                    );
                }
                CallEffect::Publish(_) => {
                    it.digits.1 += 1;
                    assert!(it.digits.1 <= it.digits.0, "a digit is told once");
                }
                CallEffect::LookUp(_) => {}
            }
        }
        if after.is_ended() && !before.is_ended() {
            let last = effects.last();
            let is_record = |effect: &CallEffect| matches!(effect, CallEffect::Commit(fact) if matches!(fact.body, FactBody::CdrClosed(_)));
            assert!(effects.iter().any(is_record), "an ended call has written its record, not {last:?}");
        }
    }

    pub(crate) fn of_leg(
        world: &mut World,
        call: u32,
        n: usize,
        change: (&Leg, &Leg),
        input: &str,
        effects: &Effects<LegEffect>,
    ) {
        let (before, after) = change;
        let now = world.now().mono;
        let it = &mut world.calls.get_mut(&call).unwrap().audit;
        let leg = &mut it.legs[n];
        assert!(!before.is_ended() || effects.is_empty(), "an ended leg wants nothing");
        assert!(!after.is_ended() || after.next_deadline().is_none(), "an ended leg arms no timer");
        let is_news = |effect: &&LegEffect| matches!(effect, LegEffect::TellCall(LegNews::Digit(_)));
        it.digits.0 += effects.iter().filter(is_news).count() as u64;
        if after.state_name() == "connected" && before.state_name() != "connected" {
            leg.connected = Some(now);
            let watches = effects.contains(&LegEffect::Media(MediaCommand::Watch { leg: leg_id(call, n) }));
            assert!(watches, "a connected leg is watched");
        }
        if before.state_name() == "new" {
            leg.began.get_or_insert(now);
        }
        let must_end = matches!(input, "lost" | "refused effect" | "refused invite" | "given up");
        assert!(after.is_ended() || !must_end, "a leg that cannot do what it must ends");
        if !after.is_ended() || before.is_ended() {
            return;
        }
        if let (1.., None, Some(began)) = (n, leg.connected, leg.began) {
            assert!(now - began <= LONGEST_RINGING + it.slack, "a callee does not ring for ever");
        }
        let said: Vec<_> = effects.iter().filter_map(Self::last_word).collect();
        let came_from_there = matches!(input, "refused" | "cancelled" | "hung_up") || input == "refused invite";
        let expected: &[&str] = match before.state_name() {
            "new" | "preparing" => &[],
            _ if came_from_there => &[],
            "offered" | "proposing" | "awaiting" | "agreed" => &["reject"],
            "dialled" | "ringing" => &["cancel"],
            _ => &["bye"],
        };
        let is_refused_invite = input == "refused invite" && said == ["cancel"];
        assert!(said == expected || is_refused_invite, "a leg that ends by {input} says {said:?} to its far end");
        let ends: Vec<_> = effects.iter().filter(|it| matches!(it, LegEffect::TellTrack(_, TrackInput::End))).collect();
        assert_eq!(ends.len(), 1, "a leg ends its track");
        let Some(LegEffect::TellCall(LegNews::Ended { cause, .. })) = effects.last() else {
            panic!("a leg tells its call that it is over, not {:?}", effects.last());
        };
        leg.ended = Some((now, *cause));
    }

    fn last_word(effect: &LegEffect) -> Option<&'static str> {
        match effect {
            LegEffect::Signal(Signal::Reject(_)) => Some("reject"),
            LegEffect::Signal(Signal::Cancel(_)) => Some("cancel"),
            LegEffect::Signal(Signal::Bye(_)) => Some("bye"),
            _ => None,
        }
    }

    pub(crate) fn of_track(
        world: &mut World,
        call: u32,
        n: usize,
        change: (&Track, &Track),
        effects: &Effects<TrackEffect>,
    ) {
        let (before, after) = change;
        let leg = &mut world.calls.get_mut(&call).unwrap().audit.legs[n];
        assert!(!before.is_ended() || effects.is_empty(), "an ended track wants nothing");
        assert_eq!(after.next_deadline(), None, "a track arms no timer");
        for effect in effects {
            match effect {
                TrackEffect::Media(MediaCommand::Attach { .. }) => leg.is_attached = true,
                TrackEffect::Media(MediaCommand::Detach { .. }) => leg.is_attached = false,
                _ => {}
            }
        }
        assert!(!after.is_ended() || !leg.is_attached, "a track that ended is detached");
    }

    /// A fact reaches the journal; whoever commits it again adds nothing.
    pub(crate) fn commit(world: &mut World, call: u32, fact: Arc<Fact>) {
        let it = &mut world.calls.get_mut(&call).unwrap().audit;
        let mixed = world.tally.fingerprint.rotate_left(9) ^ fact.at.0.unsigned_abs() ^ u64::from(fact.number);
        world.tally.fingerprint = mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        if let Some(first) = it.facts.iter().find(|first| first.number == fact.number) {
            assert_eq!(*first, fact, "a repeat is the same fact");
            return;
        }
        let last = it.facts.last().map_or(0, |fact| fact.number);
        assert!(fact.number > last, "facts come in order");
        assert!((last + 1..fact.number).all(|lost| it.abandoned.contains(&lost)), "fact {} after {last}", fact.number);
        it.facts.push(fact);
    }

    /// A leg's slot is gone, and with it all that was filed under the leg.
    pub(crate) fn leg_gone(world: &World, call: u32, n: usize) {
        let it = &world.calls[&call];
        assert!(it.audit.legs[n].ended.is_some() || it.audit.troubles > 0, "leg {n} is gone and did not end");
    }

    /// The node dies with its calls: what it owes is what is missing in the journal, once.
    pub(crate) fn close_lost(&self, node: NodeId) {
        let Some(first) = self.facts.first().filter(|_| self.abandoned.is_empty()) else { return };
        let mut fold = CdrFold::begin(first).unwrap();
        self.facts.iter().for_each(|fact| fold.apply(fact));
        let owed = fold.close_lost(first.at, node);
        let all: Vec<_> = self.facts.iter().map(|fact| &**fact).chain(&owed).collect();
        let count = |name| all.iter().filter(|fact| fact.body.name() == name).count();
        assert_eq!((count("ended"), count("cdr")), (1, 1), "a lost call ends once and is billed once");
        assert!(all.iter().zip(1..).all(|(fact, number)| fact.number == number), "its facts go on without a gap");
    }

    /// In a quiet moment: is everything as those who talk, or ring, want it?
    pub(crate) fn probe(world: &mut World, call: u32) {
        let Some(it) = world.calls.get(&call) else { return };
        let (Some(slot), true) = (&it.call, it.is_idle()) else { return };
        let leg = |n: usize| it.legs[n].as_ref().map(|slot| slot.machine.state_name());
        let audit = &it.audit;
        world.tally.probes += 1;
        match slot.machine.state_name() {
            "talking" if audit.abandoned.is_empty() => {
                let winner = audit.winner().expect("a call that talks was answered");
                let completed = it.dialogs[0].as_ref().is_some_and(|dialog| dialog.far.is_some());
                if leg(0) != Some("connected") {
                    return assert!(matches!(leg(0), Some("awaiting")), "the caller is {:?}", leg(0));
                }
                assert_eq!(leg(winner), Some("connected"), "who answered is there");
                let others = (1..LEGS).filter(|n| *n != winner).find(|n| it.legs[*n].is_some());
                assert_eq!(others, None, "who did not answer is gone");
                if completed && !it.script.is_noisy {
                    Self::hears(world, call, 0, winner);
                    Self::hears(world, call, winner, 0);
                }
                assert!(audit.troubles > 0 || audit.digits.0 == audit.digits.1, "every digit is told");
            }
            "ringing" if audit.troubles == 0 => {
                let hears = it.dialogs[0].as_ref().is_some_and(|dialog| dialog.hears_ringing);
                assert!(hears, "the caller of a call that rings hears it");
            }
            _ => {}
        }
    }

    /// What `from` sends comes to `to`.
    fn hears(world: &World, call: u32, from: usize, to: usize) {
        let it = &world.calls[&call];
        let port = it.ports[from].as_ref().expect("whoever talks has a port");
        assert_eq!(port.bridge, Some(TrackId::audio_of(leg_id(call, to))), "leg {from} is bridged to {to}");
        assert!(port.is_watched, "leg {from} is watched");
        let spec = port.attached.as_ref().expect("whoever talks is attached");
        assert_eq!(spec.local.rtp, pool::local(call, from).rtp, "leg {from} was told its own port");
        let far: Option<&MediaDescription> = it.dialogs[from].as_ref().and_then(|dialog| dialog.far.as_deref());
        assert_eq!(Some(spec.remote.rtp), far.map(|far| far.rtp), "leg {from} is sent what it wants where it wants it");
    }

    /// All machines of a call are gone: what is left is what it was.
    pub(crate) fn close_if_gone(world: &mut World, call: u32) {
        if !world.calls.get(&call).is_some_and(|it| it.is_gone()) {
            return;
        }
        let it = &world.calls[&call];
        let audit = &it.audit;
        assert!(!world.permits.contains(&call), "its permit was returned");
        assert!(it.ports.iter().all(Option::is_none), "no port of it is left");
        assert!(it.dialogs.iter().all(Option::is_none), "no dialog of it is left");
        // What the journal never got, nobody can sum up.
        if audit.abandoned.is_empty() {
            audit.check_facts();
        }
        world.calls.remove(&call);
    }

    fn check_facts(&self) {
        let count = |name| self.facts.iter().filter(|fact| fact.body.name() == name).count();
        let names: Vec<_> = self.facts.iter().map(|fact| fact.body.name()).collect();
        assert_eq!((count("started"), count("ended"), count("cdr")), (1, 1, 1), "{names:?}");
        assert!(count("answered") <= 1 && count("ringing") <= 1, "{names:?}");
        assert_eq!(names.last(), Some(&"cdr"), "the record is last: {names:?}");
        assert_eq!(count("dialled") + 1, count("leg_ended"), "every leg is written off: {names:?}");
        let FactBody::CdrClosed(record) = &self.facts.last().unwrap().body else { unreachable!() };
        let mut fold = CdrFold::begin(&self.facts[0]).unwrap();
        self.facts.iter().for_each(|fact| fold.apply(fact));
        assert_eq!(fold.record(record.node_id), **record, "the record is a fold of the facts");
        let at = |name| self.facts.iter().find(|fact| fact.body.name() == name).map(|fact| fact.at);
        let talked = at("answered").zip(at("ended")).map_or(Duration::ZERO, |(from, until)| until - from);
        assert_eq!(u128::from(record.talk_ms), talked.as_millis(), "billed is from the answer to the end");
        self.check_bill(record);
        self.check_causes(record);
    }

    /// Billed is from the answer until the first of the two, or the call, is over.
    fn check_bill(&self, record: &Cdr) {
        let stops = |n: usize| {
            let leg = &self.legs[n];
            leg.ended.map(|(at, _)| at).into_iter().chain(leg.far_end_left).min()
        };
        let within = self.slack + TOLERANCE;
        let ended = self.ending.expect("it ended");
        match self.winner() {
            Some(winner) => {
                let from = self.legs[winner].connected.expect("who answered was connected");
                let until = [Some(ended), stops(0), stops(winner)].into_iter().flatten().min().unwrap();
                let (talked, billed) = (until - from, Duration::from_millis(record.talk_ms));
                assert!(talked.abs_diff(billed) <= within, "billed {billed:?}, talked {talked:?}, late {within:?}");
            }
            None => {
                assert_eq!((record.talk_ms, record.answered_at), (0, None), "nobody answered");
                for leg in self.legs.iter().skip(1).filter(|_| self.troubles == 0) {
                    let gone = ended.min(stops(0).unwrap_or(ended));
                    let in_vain = leg.connected.is_none_or(|at| at + within >= gone);
                    assert!(in_vain, "somebody answered and the record does not know it");
                }
            }
        }
        let lasted = ended - self.began;
        let written = record.ended_at - record.started_at;
        assert!(lasted.abs_diff(written) <= within, "it lasted {lasted:?} and wrote {written:?}");
    }

    /// Where nothing broke, everything ends as it was ended.
    fn check_causes(&self, record: &Cdr) {
        if self.troubles > 0 {
            return;
        }
        let excused =
            |cause| !matches!(cause, Cause::SystemFailure | Cause::MediaLost | Cause::SignallingLost | Cause::Overload);
        assert!(excused(record.cause), "nothing broke, and it ended with {:?}", record.cause);
        for leg in &record.legs {
            let own = self.legs[place_of(leg.leg_id)].ended.map(|(_, cause)| cause);
            assert_eq!(leg.cause, own, "leg {} ended as it said", place_of(leg.leg_id));
        }
        let closed = self.facts.last().unwrap().at - self.facts[0].at;
        let ended = record.ended_at - record.started_at;
        assert!(closed.abs_diff(ended) <= self.slack + TOLERANCE, "it waits {:?} for its record", closed - ended);
    }
}
