//! What the drill cost, and which kill it is charged to.
//!
//! A lost packet, a silence or a lost call belongs to one kill: that of a media worker if there was one just then, else
//! of an actor of this very call, else of something that all calls share, else of anything. Nothing before it: to none.
//! Only a media worker may cost packets, and each kill no more silence than its limit.

use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;

use super::driver::{Board, LEAD_IN, Standing, Trails};
use super::phones::call_of;
use super::trail::{Gap, Moment, Trail};
use super::victims::{HOWS, KINDS};
use super::{Kill, Options, RECOVERY};
use crate::harness::ledger::Ledger;

/// The longest silence that any kill may cost.
const GAP: Duration = Duration::from_millis(200);

/// How much longer when a media worker hangs: the watchdog looks every half second, and not at the moment at which it
/// begins.
const WATCHDOG: Duration = Duration::from_millis(2_500);

/// A silence below this is nobody's fault.
const USUAL: Duration = Duration::from_millis(40);

/// How long an actor's kill may show in what its calls hear.
const ACTOR_REACH: Duration = Duration::from_secs(2);

/// A packet that is lost may have been sent so long before the kill: it was waiting in a queue.
const BEFORE: Duration = Duration::from_millis(100);

/// How far a record may be from what the driver saw of a talk. Both measure from 200 to BYE; but a node whose SIP hangs
/// just then hears of either up to [`WATCHDOG`] later.
const TALK: Duration = Duration::from_secs(3);

/// How far the median of all records may be: few calls begin or end while something hangs.
const USUAL_TALK: Duration = Duration::from_millis(100);

/// How long a loss of a call may take to show: timers of SIP.
const CALL_REACH: Duration = Duration::from_secs(35);

/// See the module.
#[derive(Debug, Serialize)]
pub struct Verdict {
    /// One for each kind and way.
    pub rows: Vec<Row>,
    /// Whose cause is not known: calls, packets.
    pub unexplained: (u64, u64),
    /// The longest silence whose cause is not known, in milliseconds.
    pub unexplained_gap_ms: u64,
    /// Every packet that was sent, and those that came.
    pub packets: (u64, u64),
    /// Packets that came twice.
    pub doubled_packets: u64,
    /// Packets that came to somebody else.
    pub foreign_packets: u64,
    /// Directions of a call in which nothing ever came.
    pub silent_streams: u64,
    /// Directions of calls that began late, because something was broken while they were set up.
    pub late_streams: u64,
    /// How late, at most, in milliseconds.
    pub late_ms: u64,
    /// Packets that did not go on from the one before.
    pub jumps: u64,
    /// Of these, how many without a media worker that hung just before.
    pub stray_jumps: u64,
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
    /// Every silence that was too long.
    pub silences: Vec<String>,
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
    /// How far the records' talk time is from what the driver saw, in milliseconds: median, 99 of 100, all.
    pub talk_off_ms: [u64; 3],
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
    /// How many could not be, because their call ended.
    pub ended: usize,
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
    board: &'a Board,
    slack: f64,
    costs: Vec<Cost>,
    unexplained: (u64, u64),
    unexplained_gap: Duration,
    silences: Vec<String>,
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
        failures: Vec<String>,
    ) -> Self {
        let (cdrs, names) = compare(board, ledger);
        let (slack, costs) = (options.slack, vec![Cost::default(); kills.len()]);
        let (unexplained, unexplained_gap) = ((0, 0), Duration::ZERO);
        let mut court = Court { kills, board, slack, costs, unexplained, unexplained_gap, silences: Vec::new(), names };
        let mut lost_calls = Vec::new();
        for (call, standing) in &board.calls {
            if let Some((at, why)) = &standing.lost {
                lost_calls.push(court.lose(*call, *at, why));
            }
        }
        let (mut silent_streams, mut stray_jumps) = (0, 0);
        let (mut late_streams, mut late) = (0, Duration::ZERO);
        for (call, pair) in trails {
            let Some((standing, up)) = board.calls.get(call).and_then(|it| Some((it, it.up?))) else { continue };
            let since = up.after(LEAD_IN.mul_f64(slack));
            for trail in pair {
                silent_streams += u64::from(trail.is_silent(since));
                let (mut since, mut flows) = (since, since);
                if let Some((left, came)) = trail.begin().filter(|(_, came)| *came > since && court.delays(up, *came)) {
                    late_streams += 1;
                    late = late.max(came.since(up));
                    (since, flows) = (left.max(since), came);
                }
                trail.gaps(flows).for_each(|gap| court.hear(*call, &gap));
                // What a call lost after its end was its end's fault.
                let end = standing.lost.as_ref().map(|it| it.0);
                let counts = |at: &Moment| end.is_none_or(|end| at.after(BEFORE) < end);
                trail.lost(since).filter(counts).for_each(|at| court.miss(*call, at));
                stray_jumps += trail.jumps.iter().filter(|at| !court.skips(**at)).count() as u64;
            }
        }
        let both = || trails.values().flatten();
        let sum = |of: fn(&Trail) -> usize| both().map(of).sum::<usize>() as u64;
        let mut verdict = Self {
            rows: court.rows(),
            unexplained: court.unexplained,
            unexplained_gap_ms: millis(court.unexplained_gap),
            packets: (sum(|it| it.sent()), sum(|it| it.received())),
            doubled_packets: sum(|it| it.doubled as usize),
            foreign_packets: sum(|it| it.foreign as usize),
            silent_streams,
            late_streams,
            late_ms: millis(late),
            jumps: sum(|it| it.jumps.len()),
            stray_jumps,
            calls: cdrs.expected,
            cdrs,
            seconds: duration.as_secs_f64(),
            driver_late_ms: millis(board.late),
            lost_calls,
            silences: court.silences,
            failures,
        };
        verdict.failures.extend(verdict.judge(slack));
        verdict
    }

    fn judge(&self, slack: f64) -> Vec<String> {
        let mut failures = Vec::new();
        let mut demand = |holds: bool, otherwise: String| (!holds).then(|| failures.push(otherwise));
        let Cdrs { expected, found, doubled, wrong, talk_off_ms: [off, ..] } = self.cdrs;
        let is_within = |time: u64, most: Duration| u128::from(time) <= most.as_millis();
        demand(found == expected, format!("{} calls without a record", expected - found));
        demand(doubled == 0, format!("{doubled} records or closing events too many"));
        demand(wrong == 0, format!("{wrong} records that do not say what happened"));
        demand(is_within(off, USUAL_TALK.mul_f64(slack)), format!("records are {off} ms off in the median"));
        demand(self.lost_calls.is_empty(), format!("{} calls lost", self.lost_calls.len()));
        demand(self.unexplained.1 == 0, format!("{} packets lost with nothing broken before", self.unexplained.1));
        demand(self.doubled_packets == 0, format!("{} packets came twice", self.doubled_packets));
        demand(self.foreign_packets == 0, format!("{} packets came to somebody else", self.foreign_packets));
        demand(self.silent_streams == 0, format!("nothing came in {} directions of calls", self.silent_streams));
        demand(self.stray_jumps == 0, format!("{} packets out of line, and no worker hung", self.stray_jumps));
        let gap = self.unexplained_gap_ms;
        demand(is_within(gap, GAP.mul_f64(slack)), format!("silent for {gap} ms with nothing broken before"));
        for row in &self.rows {
            let Row { kind, how, kills, packets_lost, gap_ms: [_, p99, _], restarted, ended, .. } = row;
            demand(is_within(*p99, limit(kind, how, slack)), format!("{kind} {how}: silent for {p99} ms"));
            demand(*kind == "worker" || *packets_lost == 0, format!("{kind} {how}: {packets_lost} packets lost"));
            let missing = kills - restarted - ended;
            demand(missing == 0, format!("{kind} {how}: {missing} of {kills} did not come back"));
        }
        failures
    }
}

impl Court<'_> {
    fn lose(&mut self, call: u32, at: Moment, why: &str) -> String {
        let charged = self.charge(call, at, at, Duration::ZERO, |_| CALL_REACH);
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
        match self.charge(call, at, at.after(BEFORE), Duration::ZERO, |kill| self.reach(kill)) {
            Some(kill) => self.costs[kill].packets += 1,
            None => self.unexplained.1 += 1,
        }
    }

    fn hear(&mut self, call: u32, gap: &Gap) {
        if gap.excess > USUAL {
            let place = self.charge(call, gap.from, gap.until, gap.excess, |kill| self.reach(kill));
            let most =
                place.and_then(|it| self.kills.get(it)).map(|it| limit(it.victim.kind, it.victim.how, self.slack));
            if gap.excess > most.unwrap_or(GAP) {
                let [from, until] = [gap.from, gap.until].map(|it| it.since(Moment::default()).as_secs_f64());
                let up = self.board.calls.get(&call).and_then(|it| it.up).unwrap_or_default();
                let up = up.since(Moment::default()).as_secs_f64();
                self.silences.push(format!("call {call}, up at {up:.2} s: silent from {from:.2} s to {until:.2} s"));
            }
            let longest = place.map_or(&mut self.unexplained_gap, |it| &mut self.costs[it].gap);
            *longest = gap.excess.max(*longest);
            return;
        }
        // The usual ones are everybody's.
        let first = self.kills.partition_point(|kill| kill.at.after(ACTOR_REACH) < gap.from);
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

    /// The kill that is to blame for what happened to a call between these moments, if there was one that recently: of
    /// those as near to it, one that may cost that much silence.
    fn charge(
        &self,
        call: u32,
        from: Moment,
        until: Moment,
        silence: Duration,
        reach: impl Fn(&Kill) -> Duration,
    ) -> Option<usize> {
        let lately = self.kills.iter().enumerate().filter(|(_, it)| it.at <= until && it.at.after(reach(it)) >= from);
        let may = |it: &Kill| limit(it.victim.kind, it.victim.how, self.slack) >= silence;
        lately.max_by_key(|(place, kill)| (self.concern(kill, call), may(kill), *place)).map(|(place, _)| place)
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

    /// Whether the media of a call that was up at one moment may begin only at another: something that it takes was broken
    /// just then, and was not back.
    fn delays(&self, up: Moment, begin: Moment) -> bool {
        let is_near = |it: &Kill| it.at <= begin && it.at.after(RECOVERY) >= up;
        begin.since(up) <= RECOVERY && self.kills.iter().any(is_near)
    }

    /// Whether numbers may skip then: whoever goes on for a media worker that hung does not know its last ones.
    fn skips(&self, at: Moment) -> bool {
        let is_hang = |it: &&Kill| (it.victim.kind, it.victim.how) == ("worker", "hang");
        self.kills.iter().filter(is_hang).any(|it| it.at <= at && it.at.after(self.reach(it)) >= at)
    }

    /// How long a kill may show.
    fn reach(&self, kill: &Kill) -> Duration {
        let Kill { victim, .. } = kill;
        if victim.kind == "worker" { limit(victim.kind, victim.how, self.slack) } else { ACTOR_REACH }
    }

    /// Whether its call ended before it could be back.
    fn has_ended(&self, kill: &Kill) -> bool {
        let Some(name) = &kill.victim.call else { return false };
        let number = self.names.iter().find(|it| it.1 == name).map(|it| it.0);
        let standing = number.and_then(|it| self.board.calls.get(it));
        let end = standing.and_then(|it| it.leaving.or_else(|| it.lost.as_ref().map(|it| it.0)));
        end.is_some_and(|end| end < kill.at.after(RECOVERY))
    }

    fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for kind in KINDS {
            for how in HOWS {
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
                    ended: kills.iter().filter(|it| it.replaced.is_none() && self.has_ended(it)).count(),
                    restarted_ms: spread(kills.iter().filter_map(|it| it.replaced)),
                });
            }
        }
        rows
    }
}

/// The longest silence that this may cost.
fn limit(kind: &str, how: &str, slack: f64) -> Duration {
    let notice = if (kind, how) == ("worker", "hang") { WATCHDOG } else { Duration::ZERO };
    notice + GAP.mul_f64(slack)
}

/// The records of the run, and the names of its calls.
fn compare(board: &Board, ledger: &Ledger) -> (Cdrs, HashMap<u32, String>) {
    let (mut names, mut cdrs, mut off) = (HashMap::new(), Cdrs::default(), Vec::new());
    let records = ledger.cdrs();
    for record in &records {
        let Some(call) = call_of(record.text("dialled")) else { continue };
        if names.insert(call, record.call_id().to_owned()).is_some() {
            cdrs.doubled += 1;
        }
        let Some(standing) = board.calls.get(&call).filter(|it| it.up.is_some()) else { continue };
        let talked = Duration::from_millis(record.number("talk_ms"));
        let difference = talk(standing).map(|it| it.abs_diff(talked));
        off.extend(difference);
        if record.text("cause") != "normal" || difference.is_none_or(|it| it > TALK) {
            cdrs.wrong += 1;
        }
    }
    cdrs.talk_off_ms = spread(off.into_iter());
    let up = board.calls.iter().filter(|(_, it)| it.up.is_some());
    cdrs.expected = up.clone().count() as u64;
    cdrs.found = up.filter(|(call, _)| names.contains_key(call)).count() as u64;
    let closed = "events WHERE event_type = 'tandem.cdr.closed.v1'";
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
