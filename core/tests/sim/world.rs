//! The world: a heap of (time, call, what happens), the calls, and the weather that all of them share.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::time::Duration;

use tandem_core::call::{Call, CallInput};
use tandem_core::cause::Cause;
use tandem_core::id::NodeId;
use tandem_core::leg::{Leg, LegInput};
use tandem_core::media::MediaNews;
use tandem_core::time::{Now, Timestamp, WallTime};
use tandem_core::track::Track;
use uuid::Uuid;

use crate::audit::Audit;
use crate::dice::Dice;
use crate::far::Dialog;
use crate::pool::Port;
use crate::script::Script;
use crate::shell;
use crate::slot::Slot;
use crate::wires::Wired;

/// The caller and up to four devices of the callee.
pub(crate) const LEGS: usize = 5;
/// Lines of the trail that are kept.
const TRAIL: usize = 40;
/// How long calls come in, and how long the world waits before it ends those that are left.
const DAY: Duration = Duration::from_secs(3_600);
const LAST_CALL: Duration = Duration::from_secs(4_500);

/// A machine of a call: 0 is the caller's leg or track.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Part {
    Call,
    Leg(usize),
    Track(usize),
}

/// What happens to a call.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// It comes in.
    Begin,
    /// The shell looks into its slot.
    Wake(Part),
    /// The supervisor has seen a shell die.
    Restart(Part),
    /// The supervisor has seen a shell end that had nothing left to do.
    Remove(Part),
    /// The network brings news of a leg's far end to the edge.
    News(usize, LegInput),
    /// The edge offers again what a full inbox did not take.
    Retry(usize),
    /// The pool has news of a leg.
    Media(usize, MediaNews),
    /// The pool gave a track up.
    TrackLost(usize),
    /// The operator ends it.
    End(Cause),
    /// Is it as it should be?
    Probe,
    /// The weather: the wall clock is stepped, supervisors change, a worker dies.
    Weather,
}

/// What goes wrong in one call, in 10,000ths of its steps.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) crash: u64,
    pub(crate) refuse: u64,
    pub(crate) inbox: usize,
}

/// One call with all that belongs to it.
pub(crate) struct CallWorld {
    pub(crate) call: Option<Slot<Call>>,
    pub(crate) legs: [Option<Slot<Leg>>; LEGS],
    pub(crate) tracks: [Option<Slot<Track>>; LEGS],
    pub(crate) dialogs: [Option<Dialog>; LEGS],
    pub(crate) ports: [Option<Port>; LEGS],
    pub(crate) audit: Audit,
    pub(crate) script: Script,
    pub(crate) faults: Faults,
    trail: VecDeque<String>,
}

/// What a seed was, for the fingerprint and the summary.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Tally {
    pub(crate) calls: u64,
    pub(crate) refused_at_door: u64,
    pub(crate) answered: u64,
    pub(crate) crashes: u64,
    pub(crate) given_up: u64,
    pub(crate) refusals: u64,
    pub(crate) messages_lost: u64,
    pub(crate) media_lost: u64,
    pub(crate) probes: u64,
    pub(crate) events: u64,
    pub(crate) fingerprint: u64,
}

pub(crate) struct World {
    pub(crate) dice: Dice,
    pub(crate) mono: Timestamp,
    wall_offset: i64,
    heap: BinaryHeap<Reverse<(Timestamp, u64, u32, usize)>>,
    /// What the heap's entries mean, by their place; places that are free again.
    due: Vec<Option<What>>,
    free: Vec<usize>,
    next_event: u64,
    pub(crate) calls: BTreeMap<u32, CallWorld>,
    pub(crate) permits: BTreeSet<u32>,
    pub(crate) limit: usize,
    /// Supervisors change: nothing is appointed or woken before this.
    stalled_until: Timestamp,
    pub(crate) tally: Tally,
    pub(crate) keeps_trails: bool,
    /// Whose event is being dealt with.
    pub(crate) current: u32,
}

impl World {
    /// A day with so many calls.
    pub(crate) fn new(seed: u64, calls: u32, keeps_trails: bool) -> Self {
        let mut dice = Dice::new(seed);
        let limit = dice.pick(&[(6, usize::MAX), (2, 60), (1, 20)]);
        let mut world = Self {
            dice,
            mono: Timestamp(1_000_000_000),
            wall_offset: 1_790_000_000_000_000,
            heap: BinaryHeap::new(),
            due: Vec::new(),
            free: Vec::new(),
            next_event: 0,
            calls: BTreeMap::new(),
            permits: BTreeSet::new(),
            limit,
            stalled_until: Timestamp::default(),
            tally: Tally::default(),
            keeps_trails,
            current: 0,
        };
        for call in 0..calls {
            let begins = world.dice.millis(0, millis(DAY));
            world.after(begins, call, What::Begin);
            // Whoever is still there then is told to go.
            world.after(LAST_CALL, call, What::End(Cause::Shutdown));
        }
        for _ in 0..60 {
            let at = world.dice.millis(0, millis(DAY));
            world.after(at, u32::MAX, What::Weather);
        }
        world
    }

    /// Until nothing is left to happen, or until the node dies.
    pub(crate) fn run(&mut self) {
        let dies = self.dice.chance(2_500).then(|| self.mono + self.dice.millis(0, millis(DAY)));
        while let Some(Reverse((at, _, call, place))) = self.heap.pop() {
            let Some(what) = self.due[place].take() else { continue };
            self.free.push(place);
            if dies.is_some_and(|dies| dies < at) {
                let node = NodeId::from_uuid(Uuid::from_u128(0x41));
                for (call, it) in &self.calls {
                    self.current = *call;
                    it.audit.close_lost(node);
                }
                return;
            }
            self.mono = at;
            self.current = call;
            self.tally.events += 1;
            let mix = self.tally.fingerprint.rotate_left(7) ^ at.0 ^ u64::from(call);
            self.tally.fingerprint = mix.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            self.happen(call, what);
        }
        assert!(self.permits.is_empty(), "permits that were never returned: {:?}", self.permits);
        assert!(self.calls.is_empty(), "calls that never ended: {:?}", self.calls.keys());
    }

    fn happen(&mut self, call: u32, what: What) {
        let stalled = self.stalled_until - self.mono;
        if !stalled.is_zero() && matches!(what, What::Wake(_) | What::Restart(_) | What::Remove(_)) {
            self.slow(call, stalled);
            return self.after(stalled, call, what);
        }
        macro_rules! shell {
            ($does:ident, $part:expr) => {
                match $part {
                    Part::Call => shell::$does::<Call>(self, call, 0),
                    Part::Leg(n) => shell::$does::<Leg>(self, call, n),
                    Part::Track(n) => shell::$does::<Track>(self, call, n),
                }
            };
        }
        match what {
            What::Begin => crate::script::begin(self, call),
            What::Weather => self.change_weather(),
            What::Wake(part) => shell!(wake, part),
            What::Restart(part) => shell!(restart, part),
            What::Remove(part) => shell!(remove, part),
            What::News(leg, input) => crate::far::arrive(self, call, leg, input),
            What::Retry(leg) => crate::far::retry(self, call, leg),
            What::Media(leg, news) => crate::pool::tell(self, call, leg, news),
            What::TrackLost(leg) => self.notify::<Leg>(call, leg, LegInput::TrackLost),
            What::End(cause) => self.notify::<Call>(call, 0, CallInput::End(cause)),
            What::Probe => Audit::probe(self, call),
        }
        Audit::close_if_gone(self, call);
    }

    fn change_weather(&mut self) {
        match self.dice.roll(4) {
            // The wall clock is stepped, by up to an hour either way.
            0 | 1 => self.wall_offset += i64::try_from(self.dice.roll(7_200_000_000)).unwrap() - 3_600_000_000,
            2 => self.stalled_until = self.mono + self.dice.millis(0, 120),
            // A media worker dies for good: its legs hear of it, or their tracks are given up.
            _ => {
                let talking: Vec<_> = self.calls.keys().copied().filter(|call| call % 8 == 3).collect();
                for call in talking {
                    let leg = usize::try_from(self.dice.roll(2)).unwrap();
                    let what = if self.dice.chance(5_000) {
                        What::Media(leg, MediaNews::Broken)
                    } else {
                        What::TrackLost(leg)
                    };
                    self.trouble(call, || "its media worker dies".into());
                    self.tally.media_lost += 1;
                    let at = self.dice.millis(0, 20);
                    self.after(at, call, what);
                }
            }
        }
    }

    pub(crate) fn now(&self) -> Now {
        let wall = i64::try_from(self.mono.0).unwrap() + self.wall_offset;
        Now { mono: self.mono, wall: WallTime(wall) }
    }

    pub(crate) fn after(&mut self, delay: Duration, call: u32, what: What) {
        let number = self.next_event;
        self.next_event += 1;
        let place = self.free.pop().unwrap_or_else(|| {
            self.due.push(None);
            self.due.len() - 1
        });
        self.heap.push(Reverse((self.mono + delay, number, call, place)));
        self.due[place] = Some(what);
    }

    /// Wakes the shell of a part, unless that is under way.
    pub(crate) fn wake<M: Wired>(&mut self, call: u32, n: usize) {
        let delay = if self.dice.chance(100) { self.dice.millis(0, 10) } else { self.dice.millis(0, 0) };
        let delay = delay + Duration::from_micros(1 + self.dice.roll(60));
        let Some(slot) = M::slot(self, call, n) else { return };
        if !slot.is_down && !slot.is_awake {
            slot.is_awake = true;
            self.slow(call, delay);
            self.after(delay, call, What::Wake(M::part(n)));
        }
    }

    /// What the node itself must say and says once: above the limit of the inbox.
    pub(crate) fn notify<M: Wired>(&mut self, call: u32, n: usize, input: M::Input) {
        if let Some(slot) = M::slot(self, call, n) {
            let _ended = slot.push(input, usize::MAX);
            self.wake::<M>(call, n);
        }
    }

    /// This much of what happens to the call is its actors' fault.
    pub(crate) fn slow(&mut self, call: u32, by: Duration) {
        if let Some(it) = self.calls.get_mut(&call) {
            it.audit.slack += by;
        }
    }

    /// Something broke here: what the call may end with from now on is not only what the parties want.
    pub(crate) fn trouble(&mut self, call: u32, why: impl FnOnce() -> String) {
        if let Some(it) = self.calls.get_mut(&call) {
            it.audit.troubles += 1;
        }
        self.note(call, || format!("!! {}", why()));
    }

    pub(crate) fn note(&mut self, call: u32, line: impl FnOnce() -> String) {
        if self.keeps_trails
            && let Some(it) = self.calls.get_mut(&call)
        {
            if it.trail.len() == TRAIL {
                it.trail.pop_front();
            }
            let mut line = format!("{:>13.6}  {}", self.mono.0 as f64 / 1e6 - 1_000.0, line());
            line.truncate(line.char_indices().nth(260).map_or(line.len(), |(at, _)| at));
            it.trail.push_back(line);
        }
    }

    /// The last events of the call that the world broke over.
    pub(crate) fn trail(&self) -> String {
        let call = self.calls.get(&self.current).or_else(|| self.calls.values().next());
        let lines = call.map(|it| it.trail.iter().map(|line| format!("  {line}\n")).collect::<String>());
        format!("call {}\n{}", self.current, lines.unwrap_or_default())
    }
}

impl CallWorld {
    pub(crate) fn new(script: Script, faults: Faults) -> Self {
        let (legs, tracks, dialogs, ports, audit, trail) = Default::default();
        Self { call: None, legs, tracks, dialogs, ports, audit, script, faults, trail }
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.call.is_none() && self.legs.iter().all(Option::is_none) && self.tracks.iter().all(Option::is_none)
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.call.as_ref().is_none_or(Slot::is_idle)
            && self.legs.iter().flatten().all(Slot::is_idle)
            && self.tracks.iter().flatten().all(Slot::is_idle)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap()
}
