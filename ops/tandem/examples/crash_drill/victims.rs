//! Whom to break next: kinds in turn, and nobody so often that its supervisor gives it up.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::harness::http;
use crate::harness::node::Node;

/// The kinds of the tree.
pub const KINDS: [&str; 9] = ["call", "leg", "track", "worker", "service", "root", "supervisor", "group", "node"];

/// The ways to break an actor.
pub const HOWS: [&str; 3] = ["panic", "kill", "hang"];

/// In which ways each is broken in turn. A hang costs its watchdog's patience: it is one of five.
const WAYS: [&str; 5] = ["panic", "kill", "panic", "kill", "hang"];

/// How long a hung media worker is left alone with those who watch over it.
const WATCH: Duration = Duration::from_secs(4);

/// Their kinds. Whoever breaks them meanwhile makes the watchdog begin anew.
const WATCHERS: [&str; 3] = ["service", "group", "node"];

/// One line of the operator's tree.
#[derive(Clone, Debug, Deserialize)]
pub struct Actor {
    /// What `break` takes.
    pub id: String,
    /// One of [`KINDS`].
    pub kind: String,
    /// Whose it is: a track's leg, a leg's call.
    pub owner: Option<String>,
    /// How often it was started again.
    pub restarts: u64,
    /// How long it is there.
    pub age_ms: u64,
}

/// The operator's endpoints.
pub struct Desk {
    /// Where the node is.
    pub http: SocketAddr,
    /// The operator's token.
    pub token: String,
}

/// See the module.
pub struct Choice {
    kinds: Vec<&'static str>,
    ways: Vec<&'static str>,
    turn: usize,
    /// Which way is next, by kind.
    next_way: HashMap<&'static str, usize>,
    /// When each was broken.
    broken: HashMap<String, Vec<Instant>>,
    impossible: HashSet<(&'static str, &'static str)>,
    /// Until when no watcher is broken.
    watched: Option<Instant>,
    dice: u64,
}

/// Who, and how.
#[derive(Clone, Debug)]
pub struct Victim {
    /// Its kind.
    pub kind: &'static str,
    /// How it is broken.
    pub how: &'static str,
    /// As it was before.
    pub actor: Actor,
    /// The call that it belongs to, if any.
    pub call: Option<String>,
}

impl Desk {
    /// Of a node that runs.
    pub fn of(node: &Node) -> Self {
        Self { http: node.http, token: node.operator_token() }
    }

    /// The tree; `None` while nobody answers.
    pub fn tree(&self) -> Option<Vec<Actor>> {
        let (status, body) = http::request(self.http, "GET", "/api/v1/ops/tree", &self.token, "")?;
        (status == 200).then(|| serde_json::from_str(&body).ok())?
    }

    /// Whether no call is left.
    pub fn is_idle(&self) -> bool {
        self.tree().is_some_and(|tree| !tree.iter().any(|it| ["call", "leg", "track"].contains(&it.kind.as_str())))
    }

    /// The status of an attempt; `None` when the answer did not come.
    pub fn break_actor(&self, id: &str, how: &str) -> Option<u16> {
        let body = serde_json::json!({ "id": id, "how": how }).to_string();
        Some(http::request(self.http, "POST", "/api/v1/ops/break", &self.token, &body)?.0)
    }
}

impl Choice {
    /// Among these kinds and ways; all if there are none.
    pub fn new(kinds: &[String], ways: &[String], seed: u64) -> Self {
        let among = |all: &[&'static str], some: &[String]| -> Vec<&'static str> {
            all.iter().copied().filter(|it| some.is_empty() || some.iter().any(|wanted| wanted == it)).collect()
        };
        Self {
            kinds: among(&KINDS, kinds),
            ways: among(&WAYS, ways),
            turn: 0,
            next_way: HashMap::new(),
            broken: HashMap::new(),
            impossible: HashSet::new(),
            watched: None,
            dice: seed,
        }
    }

    /// The next one of a tree; `None` when every one of them has to recover first.
    pub fn next(&mut self, now: Instant, tree: &[Actor]) -> Option<Victim> {
        for _ in 0..self.kinds.len() {
            let kind = self.kinds[self.turn % self.kinds.len()];
            self.turn += 1;
            let Some(how) = self.way(kind) else { continue };
            if WATCHERS.contains(&kind) && self.watched.is_some_and(|until| now < until) {
                continue;
            }
            let able: Vec<&Actor> = tree.iter().filter(|it| it.kind == kind && self.may(now, it)).collect();
            if able.is_empty() {
                continue;
            }
            let actor = able[self.roll() % able.len()].clone();
            *self.next_way.entry(kind).or_default() += 1;
            self.broken.entry(actor.id.clone()).or_default().push(now);
            if (kind, how) == ("worker", "hang") {
                self.watched = Some(now + WATCH);
            }
            let call = call_of(tree, &actor);
            return Some(Victim { kind, how, actor, call });
        }
        None
    }

    /// The node does not do that to this kind: not to be tried again.
    pub fn cannot(&mut self, victim: &Victim) {
        self.impossible.insert((victim.kind, victim.how));
    }

    /// From now on only these kinds.
    pub fn only(&mut self, kinds: &[&'static str]) {
        self.kinds = kinds.to_vec();
    }

    /// The kinds that are broken in some way.
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> {
        let able = |kind| self.ways.iter().any(|how| !self.impossible.contains(&(kind, *how)));
        self.kinds.iter().copied().filter(move |kind| able(*kind))
    }

    fn way(&self, kind: &'static str) -> Option<&'static str> {
        let next = self.next_way.get(kind).copied().unwrap_or_default();
        let ways = (0..self.ways.len()).map(|n| self.ways[(next + n) % self.ways.len()]);
        ways.into_iter().find(|how| !self.impossible.contains(&(kind, *how)))
    }

    /// Whether one more stays within what its supervisor answers with a new one.
    fn may(&self, now: Instant, actor: &Actor) -> bool {
        let (most, window) = pace(&actor.kind);
        let lately = self.broken.get(&actor.id).map_or(0, |all| all.iter().filter(|at| now - **at < window).count());
        lately < most
    }

    /// SplitMix64: the same seed, the same victims.
    fn roll(&mut self) -> usize {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.dice;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) >> 1).unwrap_or_default()
    }
}

/// How many times one of a kind is broken in how long. Slots are given up at the fourth failure in 30 s (tracks: 10 s),
/// media threads at the fourth in a minute; what stands as long as the node comes back later and later unless it was well
/// for a second, and a hang of it is noticed within two.
fn pace(kind: &str) -> (usize, Duration) {
    match kind {
        "track" => (2, Duration::from_secs(11)),
        "call" | "leg" => (2, Duration::from_secs(31)),
        "worker" => (2, Duration::from_secs(61)),
        _ => (1, Duration::from_secs(5)),
    }
}

fn call_of(tree: &[Actor], actor: &Actor) -> Option<String> {
    let mut at = actor;
    for _ in 0..3 {
        if at.kind == "call" {
            return Some(at.id.clone());
        }
        let owner = at.owner.as_ref()?;
        at = tree.iter().find(|it| it.id == *owner)?;
    }
    None
}
