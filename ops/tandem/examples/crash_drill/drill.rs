//! Puts calls on a node, breaks its actors one after the other while they talk, and says what that cost.
//!
//! ```text
//!  node ◀── SIP, RTP, WebRTC ──▶ driver (one thread) ──▶ trails ─┐
//!   ▲ └──── tree ────▶ choice                                    ├──▶ verdict ──▶ table
//!   └────── break ────────┴──▶ kills ─────────────────── ledger ─┘
//! ```

#[path = "driver.rs"]
mod driver;
#[path = "phones.rs"]
mod phones;
#[path = "table.rs"]
mod table;
#[path = "trail.rs"]
mod trail;
#[path = "verdict.rs"]
mod verdict;
#[path = "victims.rs"]
mod victims;

use std::collections::{HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use clap::Parser;

use crate::harness::api::Api;
use crate::harness::ledger::Ledger;
use crate::harness::node::{Node, Settings, Trunk};
use crate::harness::ports;
use crate::harness::scratch::Scratch;
use crate::harness::webrtc::Peer;
use driver::{Drive, Order, Standing};
use phones::{Phones, call_of, number};
pub use table::Record;
use trail::{Moment, Stopwatch};
pub use verdict::Verdict;
pub use victims::Desk;
use victims::{Actor, Choice, HOWS, KINDS, Victim};

/// Breaks every kind of actor of a node that carries live calls, and counts what the calls noticed.
///
/// Starts a node of its own on free loopback ports in a scratch folder, and ends only that one. Needs the programs
/// `sqlite3` and, to build the node, `cargo`.
#[derive(Clone, Debug, Parser)]
#[command(name = "crash_drill")]
pub struct Options {
    /// SIP calls that talk at the same time: 100 packets a second each.
    #[arg(long, default_value_t = 20)]
    pub calls: u32,
    /// Calls from WebRTC peers to a SIP phone, besides them.
    #[arg(long, default_value_t = 4)]
    pub peers: u32,
    /// Actors to break. It goes on beyond that until every kind had its share (one in 25), if that takes no longer
    /// than four times as long.
    #[arg(long, default_value_t = 100)]
    pub kills: u32,
    /// How many of them a second, at most.
    #[arg(long, default_value_t = 2.0)]
    pub per_second: f64,
    /// Seconds between two calls that are hung up and placed anew; 0: never.
    #[arg(long, default_value_t = 2.0)]
    pub renew: f64,
    /// Chooses the victims.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Only these ways. All if none is named.
    #[arg(long, value_delimiter = ',', value_parser = HOWS)]
    pub how: Vec<String>,
    /// Only these kinds. All if none is named.
    #[arg(long, value_delimiter = ',', value_parser = KINDS)]
    pub kind: Vec<String>,
    /// Where to write `crash_drill.md` and `crash_drill.json`. Nowhere if it is not named.
    #[arg(long)]
    pub out: Option<std::path::PathBuf>,
    /// By how much everything may take longer than it should: for slow or loaded machines.
    #[arg(long, default_value_t = 1.0)]
    pub slack: f64,
}

/// One actor that was broken.
#[derive(Debug)]
struct Kill {
    victim: Victim,
    at: Moment,
    /// Calls that talked then.
    calls_up: usize,
    /// How long until the tree showed another one in its place.
    replaced: Option<Duration>,
}

/// Calls placed per second at the begin and hung up per second at the end.
const RATE: u32 = 25;

/// Media workers, and shards of calls, legs and tracks: a budget is each one's own, so more of them can be broken in the
/// same time.
const WORKERS: usize = 4;

/// Longest wait for what takes a moment on a node that recovers.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long an actor may take to be back: until a hang is noticed, twice.
const RECOVERY: Duration = Duration::from_secs(6);

/// Media flows undisturbed so long before the first actor is broken and after the last.
const QUIET: Duration = Duration::from_secs(2);

/// Runs the drill. What it does meanwhile is told on standard error.
///
/// # Panics
/// When there is no node to drill, no call can be placed on it before anything is broken, or its ledger cannot be read.
pub fn run(options: &Options) -> Verdict {
    let scratch = Scratch::new("crash-drill");
    let far = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), ports::block(2)));
    let node = Node::start_alone(&scratch, &settings(options, far));
    let desk = Desk::of(&node);
    let watch = Stopwatch::start();
    let drive = Drive::start(watch, Phones::new("1001", "alice", far, node.sip));
    say(watch, &format!("node {} on SIP {} and HTTP {}", node.pid(), node.sip, node.http));

    let (ledger, kills, failures) = (node.ledger(), Vec::new(), Vec::new());
    let mut run = Run { options, watch, drive, desk, ledger, placed: 0, kills, failures, next_renewal: Instant::now() };
    run.place_peers(&node);
    run.place_calls();
    std::thread::sleep(QUIET);
    run.break_things();
    run.recover();
    std::thread::sleep(QUIET);
    run.hang_up();
    say(watch, "reading the ledger");
    let talked = run.drive.board.lock().calls.values().filter(|it| it.up.is_some()).count() as u64;
    run.demand("a record of every call", |run| run.ledger.count("cdrs") >= talked);
    run.demand("an idle node", |run| run.desk.is_idle());
    let Run { drive, ledger, kills, failures, .. } = run;
    let (board, trails) = drive.stop();
    let duration = watch.now().since(Moment::default());
    Verdict::reach(options, &kills, &board, &trails, &ledger, duration, failures)
}

fn settings(options: &Options, far: SocketAddr) -> Settings {
    let trunk = Trunk { caller: far, callee: far };
    let calls = u16::try_from(options.calls + options.peers).unwrap_or(u16::MAX);
    let count = WORKERS.to_string();
    let environment = vec![
        ("TANDEM__MEDIA__WORKERS", count.clone()),
        ("TANDEM__CALLS__SHARDS", count),
        ("TANDEM__LOG__FILTER", String::from("info")),
    ];
    // Two pairs a call, and as many that rest after one.
    let media_ports = calls.saturating_mul(8).clamp(64, 8_000);
    Settings { media_ports, trunk: Some(trunk), environment, ..Settings::default() }
}

struct Run<'a> {
    options: &'a Options,
    watch: Stopwatch,
    drive: Drive,
    desk: Desk,
    ledger: Ledger,
    placed: u32,
    kills: Vec<Kill>,
    /// What did not happen in time.
    failures: Vec<String>,
    next_renewal: Instant,
}

impl Run<'_> {
    fn place_peers(&mut self, node: &Node) {
        if self.options.peers == 0 {
            return;
        }
        for n in 0..self.options.peers {
            // A user has one call at a time.
            let name = format!("drill-peer-{n}");
            node.add_user(&name, &format!("{}", 5_000 + n));
            let user = Api::sign_in(node.http, &name);
            let call = self.placed;
            self.placed += 1;
            self.drive.order(Order::Expect(call));
            let begun = user.initiate(&number(call));
            let peer = Peer::answer(&begun.offer);
            let (status, answer) = user.answer(&begun.call_id, &peer.sdp);
            assert_eq!(status, 200, "{answer}");
            self.drive.order(Order::Join(call, peer.ends()));
        }
        self.wait_until_all_are_up();
        say(self.watch, &format!("{} WebRTC calls talk", self.options.peers));
    }

    fn place_calls(&mut self) {
        for _ in 0..self.options.calls {
            self.place();
            std::thread::sleep(Duration::from_secs(1) / RATE);
        }
        self.wait_until_all_are_up();
        say(self.watch, &format!("{} SIP calls talk", self.options.calls));
    }

    fn place(&mut self) {
        self.drive.order(Order::Call(self.placed));
        self.placed += 1;
    }

    fn wait_until_all_are_up(&self) {
        let wanted = self.placed as usize;
        wait(PATIENCE, || self.up() >= wanted);
        let board = self.drive.board.lock();
        let failed: Vec<_> = board.calls.iter().filter(|(_, it)| !it.is_up()).collect();
        assert!(failed.is_empty(), "calls that do not talk before anything is broken: {failed:?}");
    }

    fn up(&self) -> usize {
        self.drive.board.lock().calls.values().filter(|it| it.is_up()).count()
    }

    /// The drill itself.
    fn break_things(&mut self) {
        let Options { kills, per_second, seed, kind, how, .. } = self.options;
        let mut choice = Choice::new(kind, how, *seed);
        let pause = Duration::from_secs_f64(1.0 / per_second.max(0.01));
        let begin = Instant::now();
        let longest = pause * *kills * 4 + PATIENCE;
        let (mut due, mut told) = (begin, begin);
        loop {
            let is_enough = self.kills.len() >= *kills as usize;
            let lacking = self.lacking(&choice);
            if is_enough && lacking.is_empty() {
                return;
            }
            if begin.elapsed() > longest || choice.kinds().next().is_none() {
                let (broken, seconds) = (self.kills.len(), begin.elapsed().as_secs());
                let what = format!("only {broken} of {kills} broken within {seconds} s, too few of {lacking:?}");
                return self.failures.push(what);
            }
            if let Some(tree) = self.desk.tree() {
                self.note_replaced(&tree);
                if is_enough {
                    choice.only(&lacking);
                }
                self.break_one(&mut choice, &tree);
            }
            self.renew();
            if told.elapsed() > Duration::from_secs(1) {
                told = Instant::now();
                self.tell();
            }
            due = (due + pause).max(Instant::now() - pause);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }

    /// The kinds that have not had their share yet.
    fn lacking(&self, choice: &Choice) -> Vec<&'static str> {
        let share = (self.options.kills as usize).div_ceil(25);
        let count = |kind: &str| self.kills.iter().filter(|it| it.victim.kind == kind).count();
        choice.kinds().filter(|kind| count(kind) < share).collect()
    }

    fn break_one(&mut self, choice: &mut Choice, tree: &[Actor]) {
        let Some(victim) = choice.next(Instant::now(), tree) else { return };
        let (at, calls_up) = (self.watch.now(), self.up());
        match self.desk.break_actor(&victim.actor.id, victim.how) {
            Some(204) => self.kills.push(Kill { victim, at, calls_up, replaced: None }),
            Some(409) if (victim.kind, victim.how) == ("worker", "kill") => choice.cannot(&victim),
            // It had ended or not begun, or nobody could take the order.
            status => say(self.watch, &format!("{status:?} to the order to {} {}", victim.how, victim.actor.id)),
        }
    }

    /// Who is back since it was broken.
    fn note_replaced(&mut self, tree: &[Actor]) {
        let now = self.watch.now();
        let actors: HashMap<&str, &Actor> = tree.iter().map(|it| (it.id.as_str(), it)).collect();
        for kill in self.kills.iter_mut().filter(|it| it.replaced.is_none()) {
            let Some(actor) = actors.get(kill.victim.actor.id.as_str()) else { continue };
            if actor.restarts > kill.victim.actor.restarts {
                // As old as it is, it began so long ago; unless that is the age of what it works on.
                let (waited, age) = (now.since(kill.at), Duration::from_millis(actor.age_ms));
                kill.replaced = Some(waited.checked_sub(age).unwrap_or(waited));
            }
        }
    }

    /// Hangs the oldest call up that has not just lost an actor, and places another.
    fn renew(&mut self) {
        if self.options.renew <= 0.0 || self.options.calls == 0 || Instant::now() < self.next_renewal {
            return;
        }
        self.next_renewal = Instant::now() + Duration::from_secs_f64(self.options.renew);
        let (first, tender) = (self.options.peers, self.tender());
        let may = |call: &u32| !tender.contains(call) && self.drive.standing(*call).is_up();
        let oldest = (first..self.placed).find(may);
        if let Some(call) = oldest {
            self.drive.order(Order::HangUp(call));
            self.place();
        }
    }

    /// The calls that have lost an actor lately: whether it comes back shows only while they live.
    fn tender(&self) -> HashSet<u32> {
        let now = self.watch.now();
        let lately = self.kills.iter().filter(|it| it.replaced.is_none() || now.since(it.at) < RECOVERY);
        let names: HashSet<&str> = lately.filter_map(|it| it.victim.call.as_deref()).collect();
        let known = self.ledger.dialled();
        known.iter().filter(|(_, name)| names.contains(name.as_str())).filter_map(|it| call_of(&it.0)).collect()
    }

    /// Waits until all that was broken is back.
    fn recover(&mut self) {
        let begin = Instant::now();
        while begin.elapsed() < RECOVERY.mul_f64(self.options.slack) {
            if let Some(tree) = self.desk.tree() {
                self.note_replaced(&tree);
                let is_there = |name: &String| tree.iter().any(|it| it.id == *name);
                let may_come = |it: &Kill| it.replaced.is_none() && it.victim.call.as_ref().is_none_or(is_there);
                if !self.kills.iter().any(may_come) {
                    break;
                }
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        self.tell();
        // Whoever is still ringing is let in first.
        self.demand("an answer to every call", |run| run.all_calls(|it| it.up.is_some() || it.is_settled()));
    }

    fn all_calls(&self, are: impl Fn(&Standing) -> bool) -> bool {
        self.drive.board.lock().calls.values().all(are)
    }

    /// Waits for something that is a failure if it does not happen.
    fn demand(&mut self, what: &str, is_there: impl Fn(&Self) -> bool) {
        if !wait(PATIENCE, || is_there(self)) {
            self.failures.push(format!("{what}: not within {PATIENCE:?}"));
        }
    }

    fn hang_up(&mut self) {
        say(self.watch, "hanging up");
        for call in (0..self.placed).filter(|call| self.drive.standing(*call).is_up()).collect::<Vec<_>>() {
            self.drive.order(Order::HangUp(call));
            std::thread::sleep(Duration::from_secs(1) / RATE);
        }
        self.demand("the end of every call", |run| run.all_calls(Standing::is_settled));
    }

    fn tell(&self) {
        let (up, board) = (self.up(), self.drive.board.lock());
        let lost = board.calls.values().filter(|it| it.lost.is_some()).count();
        let back = self.kills.iter().filter(|it| it.replaced.is_some()).count();
        let (sent, received) = board.packets;
        let on_the_way = sent.saturating_sub(received);
        let last = self.kills.last().map(|it| format!("{} {}", it.victim.how, it.victim.actor.id)).unwrap_or_default();
        let kills = self.kills.len();
        drop(board);
        say(
            self.watch,
            &format!(
                "{kills} broken, {back} back, {up} calls up, {lost} lost, {received} packets, {on_the_way} not yet; {last}"
            ),
        );
    }
}

fn say(watch: Stopwatch, text: &str) {
    eprintln!("{:7.1} s  {text}", watch.now().since(Moment::default()).as_secs_f64());
}

/// Whether it happened in time.
fn wait(patience: Duration, is_there: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        if is_there() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
