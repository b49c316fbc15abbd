//! What the drill cost, and which kill it is charged to.
//!
//! A lost packet, a silence or a lost call belongs to one kill: that of a media worker if there was one just then, else
//! of an actor of this very call, else of something that all calls share, else of anything. Nothing before it: to none.

use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;

use super::driver::{Board, Standing, Trails};
use super::phones::call_of;
use super::trail::{Gap, Moment};
use super::victims::KINDS;
use super::{Kill, Options};
use crate::harness::ledger::Ledger;

/// The longest silence that a media worker's end may cost.
const GAP: Duration = Duration::from_millis(200);

/// How much longer when it hangs: the watchdog looks every half second, and not at the moment at which it begins.
const WATCHDOG: Duration = Duration::from_millis(2_500);

/// A silence below this is nobody's fault.
const USUAL: Duration = Duration::from_millis(40);

/// A packet that is lost may have been sent so long before the kill: it was waiting in a queue.
const BEFORE: Duration = Duration::from_millis(100);

/// How far the record may be from what the driver saw of a talk. It measures from 200 to BYE, as the node does, but not
/// at the same moment.
const TALK: Duration = Duration::from_secs(3);

/// How long a loss of a call may take to show: timers of SIP.
const CALL_REACH: Duration = Duration::from_secs(35);

/// See the module.
#[derive(Debug, Serialize)]
pub struct Verdict {
    /// One for each kind and way.
    pub rows: Vec<Row>,
    /// Whose cause is not known: calls, packets.
    pub unexplained: (u64, u64),
    /// Every packet that was sent, and those that came.
    pub packets: (u64, u64),
    /// Packets that came twice, and those that did not go on from the one before.
    pub doubled_packets: u64,
    /// See [`Verdict::doubled_packets`].
    pub jumps: u64,
    /// Calls that talked.
    pub calls: u64,
    /// What was expected of the ledger, and what it has.
    pub cdrs: Cdrs,
    /// All of the run, in seconds.
    pub seconds: f64,
    /// The longest that the driver itself was late, in milliseconds: silences up to that are its own.
    pub driver_late_ms: u64,
    /// What was seen of every lost call.
    pub lost_calls: Vec<String>,
    /// Why this is no success. Nothing: it is.
    pub failures: Vec<String>,
}

/// The records of the whole run.
#[derive(Debug, Default, Serialize)]
pub struct Cdrs {
    /// Calls that talked.
    pub expected: u64,
    /// Of those, how many have a record.
    pub found: u64,
    /// Records and closing events too many.
    pub doubled: u64,
    /// Records whose talk time is not what the driver saw, or whose cause is not that somebody hung up.
    pub wrong: u64,
}

/// One kind, broken in one way.
#[derive(Debug, Default, Serialize)]
pub struct Row {
    /// Of the actor.
    pub kind: &'static str,
    /// In which way.
    pub how: &'static str,
    /// How often.
    pub kills: usize,
    /// Calls that talked then, at least.
    pub calls_up: usize,
    /// Calls that it cost.
    pub calls_lost: u64,
    /// Packets that it cost.
    pub packets_lost: u64,
    /// The longest silence after each kill, in milliseconds: median, 99 of 100, all.
    pub gap_ms: [u64; 3],
    /// How many the tree showed started again.
    pub restarted: usize,
    /// After how long, in milliseconds: median, 99 of 100, all.
    pub restarted_ms: [u64; 3],
}

/// What one kill cost.
#[derive(Clone, Debug, Default)]
struct Cost {
    calls: u64,
    packets: u64,
    gap: Duration,
}

struct Court<'a> {
    kills: &'a [Kill],
    costs: Vec<Cost>,
    unexplained: (u64, u64),
    /// What the node calls each call.
    names: HashMap<u32, String>,
}

impl Verdict {
    pub(super) fn reach(
        options: &Options,
        kills: &[Kill],
        board: &Board,
        trails: &Trails,
        ledger: &Ledger,
        duration: Duration,
    ) -> Self {
        let (cdrs, names) = compare(board, ledger);
        let mut court = Court { kills, costs: vec![Cost::default(); kills.len()], unexplained: (0, 0), names };
        let mut lost_calls = Vec::new();
        for (call, standing) in &board.calls {
            if let Some((at, why)) = &standing.lost {
                lost_calls.push(court.lose(*call, *at, why));
            }
        }
        for (call, pair) in trails {
            for trail in pair {
                trail.gaps().for_each(|gap| court.hear(*call, &gap));
                // What a call lost after its end was its end's fault.
                let end = board.calls.get(call).and_then(|it| it.lost.as_ref()).map(|it| it.0);
                let counts = |at: &Moment| end.is_none_or(|end| at.after(BEFORE) < end);
                trail.lost().filter(counts).for_each(|at| court.miss(*call, at));
            }
        }
        let both = || trails.values().flatten();
        let sum = |of: fn(&super::trail::Trail) -> usize| both().map(of).sum::<usize>() as u64;
        let mut verdict = Self {
            rows: court.rows(),
            unexplained: court.unexplained,
            packets: (sum(|it| it.sent()), sum(|it| it.received())),
            doubled_packets: sum(|it| it.doubled as usize),
            jumps: sum(|it| it.jumps as usize),
            calls: cdrs.expected,
            cdrs,
            seconds: duration.as_secs_f64(),
            driver_late_ms: millis(board.late),
            lost_calls,
            failures: Vec::new(),
        };
        verdict.failures = verdict.judge(options);
        verdict
    }

    fn judge(&self, options: &Options) -> Vec<String> {
        let mut failures = Vec::new();
        let mut demand = |holds: bool, otherwise: String| (!holds).then(|| failures.push(otherwise));
        let Cdrs { expected, found, doubled, wrong } = self.cdrs;
        demand(found == expected, format!("{} calls without a record", expected - found));
        demand(doubled == 0, format!("{doubled} records or closing events too many"));
        demand(wrong == 0, format!("{wrong} records that do not say what happened"));
        demand(self.lost_calls.is_empty(), format!("{} calls lost", self.lost_calls.len()));
        demand(self.unexplained.1 == 0, format!("{} packets lost before anything was broken", self.unexplained.1));
        demand(self.doubled_packets == 0, format!("{} packets came twice", self.doubled_packets));
        for row in &self.rows {
            let Row { kind, how, packets_lost, gap_ms: [_, p99, _], .. } = row;
            if *kind == "worker" {
                let most = (if *how == "hang" { GAP + WATCHDOG } else { GAP }).mul_f64(options.slack);
                demand(u128::from(*p99) <= most.as_millis(), format!("{kind} {how}: silent for {p99} ms"));
            } else {
                demand(*packets_lost == 0, format!("{kind} {how}: {packets_lost} packets lost"));
            }
        }
        failures
    }
}

impl Court<'_> {
    fn lose(&mut self, call: u32, at: Moment, why: &str) -> String {
        let charged = self.charge(call, at, at, |_| CALL_REACH);
        let name = self.names.get(&call).cloned().unwrap_or_default();
        let told = |kill: &Kill| format!("after {} {}", kill.victim.how, kill.victim.actor.id);
        let after = charged.map_or_else(|| String::from("after nothing"), |it| told(&self.kills[it]));
        match charged {
            Some(kill) => self.costs[kill].calls += 1,
            None => self.unexplained.0 += 1,
        }
        let at = at.since(Moment::default()).as_secs_f64();
        format!("call {call} {name} at {at:.1} s: {why} ({after})")
    }

    fn miss(&mut self, call: u32, at: Moment) {
        match self.charge(call, at, at.after(BEFORE), reach) {
            Some(kill) => self.costs[kill].packets += 1,
            None => self.unexplained.1 += 1,
        }
    }

    fn hear(&mut self, call: u32, gap: &Gap) {
        if gap.excess > USUAL {
            if let Some(kill) = self.charge(call, gap.from, gap.until, reach) {
                self.costs[kill].gap = self.costs[kill].gap.max(gap.excess);
            }
            return;
        }
        // The usual ones are everybody's.
        let first = self.kills.partition_point(|kill| kill.at.after(reach(kill)) < gap.from);
        for place in first..self.kills.len() {
            let kill = &self.kills[place];
            if kill.at > gap.until {
                break;
            }
            if self.concern(kill, call) > 0 {
                self.costs[place].gap = self.costs[place].gap.max(gap.excess);
            }
        }
    }

    /// The kill that is to blame for what happened to a call between these moments, if there was one that recently.
    fn charge(&self, call: u32, from: Moment, until: Moment, reach: impl Fn(&Kill) -> Duration) -> Option<usize> {
        let lately = self.kills.iter().enumerate().filter(|(_, it)| it.at <= until && it.at.after(reach(it)) >= from);
        lately.max_by_key(|(place, kill)| (self.concern(kill, call), *place)).map(|(place, _)| place)
    }

    /// How near a kill was to a call; 0: it was another call's.
    fn concern(&self, kill: &Kill, call: u32) -> u8 {
        match &kill.victim.call {
            None if kill.victim.kind == "worker" => 3,
            Some(name) if self.names.get(&call) == Some(name) => 2,
            None => 1,
            Some(_) => 0,
        }
    }

    fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for kind in KINDS {
            for how in ["panic", "kill", "hang"] {
                let of_it = |kill: &&Kill| kill.victim.kind == kind && kill.victim.how == how;
                let kills: Vec<&Kill> = self.kills.iter().filter(of_it).collect();
                if kills.is_empty() {
                    continue;
                }
                let costs = self.kills.iter().zip(&self.costs).filter(|(kill, _)| of_it(kill)).map(|(_, cost)| cost);
                rows.push(Row {
                    kind,
                    how,
                    kills: kills.len(),
                    calls_up: kills.iter().map(|it| it.calls_up).min().unwrap_or_default(),
                    calls_lost: costs.clone().map(|it| it.calls).sum(),
                    packets_lost: costs.clone().map(|it| it.packets).sum(),
                    gap_ms: spread(costs.map(|it| it.gap)),
                    restarted: kills.iter().filter(|it| it.replaced.is_some()).count(),
                    restarted_ms: spread(kills.iter().filter_map(|it| it.replaced)),
                });
            }
        }
        rows
    }
}

/// How long a kill may show: a hang until the watchdog has seen it.
fn reach(kill: &Kill) -> Duration {
    let notice = if kill.victim.how == "hang" { WATCHDOG } else { Duration::ZERO };
    notice + Duration::from_secs(2)
}

/// The records of the run, and the names of its calls.
fn compare(board: &Board, ledger: &Ledger) -> (Cdrs, HashMap<u32, String>) {
    let (mut names, mut cdrs) = (HashMap::new(), Cdrs::default());
    let records = ledger.cdrs();
    for record in &records {
        let Some(call) = call_of(record.text("dialled")) else { continue };
        if names.insert(call, record.call_id().to_owned()).is_some() {
            cdrs.doubled += 1;
        }
        let Some(standing) = board.calls.get(&call).filter(|it| it.up.is_some()) else { continue };
        let talked = Duration::from_millis(record.number("talk_ms"));
        if record.text("cause") != "normal" || talk(standing).is_none_or(|it| it.abs_diff(talked) > TALK) {
            cdrs.wrong += 1;
        }
    }
    let up = board.calls.iter().filter(|(_, it)| it.up.is_some());
    cdrs.expected = up.clone().count() as u64;
    cdrs.found = up.filter(|(call, _)| names.contains_key(call)).count() as u64;
    let closed = "outbox WHERE event_type = 'tandem.cdr.closed.v1'";
    cdrs.doubled += ledger.count(closed) - ledger.count(&format!("(SELECT DISTINCT aggregate FROM {closed})"));
    (cdrs, names)
}

/// How long the driver saw it talk.
fn talk(standing: &Standing) -> Option<Duration> {
    let end = standing.bye.or_else(|| standing.lost.as_ref().map(|it| it.0))?;
    Some(end.since(standing.up?))
}

/// Median, 99 of 100, greatest; in milliseconds.
fn spread(times: impl Iterator<Item = Duration>) -> [u64; 3] {
    let mut times: Vec<Duration> = times.collect();
    times.sort();
    let at = |percent: usize| times.get((times.len() * percent).div_ceil(100).saturating_sub(1)).copied();
    [50, 99, 100].map(|percent| at(percent).map_or(0, millis))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
