//! Calls flow from one SIPp through a node to another, their facts into PostgreSQL and from there into a JetStream
//! cluster of three; meanwhile one of the five is killed (`kill -9`) every few seconds and started again. In the end
//! every call must have one record, and every fact must be in the stream once.
//!
//! ```text
//!  SIPp ──▶ node ──▶ journal ──▶ PostgreSQL ──▶ NATS 0, 1, 2 (stream TANDEM_FACTS_V1, three replicas)
//!            ✗                       ✗            ✗
//! ```

mod stream;
mod verdict;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use clap::Parser;
use tandem_testbed::nats::Nats;
use tandem_testbed::postgres::{Durability, Postgres};

use crate::harness::node::{Node, Settings, Trunk};
use crate::harness::scratch::Scratch;
use crate::harness::sipp::Sipp;
use crate::harness::{SOON, eventually, ports};

pub use verdict::Verdict;

/// What is drilled.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "facts_drill",
    about = "Kills the node, its database and its bus under calls, and counts their facts."
)]
pub struct Options {
    /// How many calls.
    #[arg(long, default_value_t = 10_000)]
    pub calls: u32,
    /// How many begin in a second.
    #[arg(long, default_value_t = 40)]
    pub per_second: u32,
    /// How long each is held, in milliseconds.
    #[arg(long, default_value_t = 1_500)]
    pub hold_ms: u64,
    /// From one kill to the next, in milliseconds.
    #[arg(long, default_value_t = 6_000)]
    pub every_ms: u64,
    /// How long what was killed stays away, in milliseconds.
    #[arg(long, default_value_t = 2_000)]
    pub away_ms: u64,
    /// Which is killed when: the same number, the same order.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Who can be killed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Victim {
    /// PostgreSQL.
    Database,
    /// One of the three NATS servers.
    Bus(usize),
    /// The node itself.
    Node,
}

/// How often what was killed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kills {
    /// The node.
    pub node: usize,
    /// PostgreSQL.
    pub database: usize,
    /// A NATS server.
    pub bus: usize,
}

/// Drills, and says what came of it.
pub fn run(options: &Options) -> Verdict {
    let scratch = Scratch::new("facts-drill");
    let postgres = Postgres::begin(Durability::Disk).unwrap();
    let database = postgres.database().unwrap();
    let url = database.url();
    let bus = Nats::cluster(3).unwrap();
    let callee = Sipp::callee(&scratch);
    let from = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), ports::block(2)));
    let settings = Settings {
        media_ports: 2_000,
        trunk: Some(Trunk { caller: from, callee: callee.address }),
        environment: vec![
            ("TANDEM__STORAGE__DATABASE_URL", url.clone()),
            ("TANDEM__BUS__NATS_URL", bus.url()),
            ("TANDEM__BUS__STREAM_REPLICAS", String::from("3")),
        ],
        ..Settings::default()
    };
    let mut node = Node::start_alone(&scratch, &settings);
    let numbers: Vec<String> = (0..options.calls).map(|n| format!("+4930{}", 2_000_000 + n)).collect();
    let hold = Duration::from_millis(options.hold_ms);
    let mut caller =
        Sipp::scripted(&scratch, from, node.sip, "numbered_caller.xml", &numbers, options.per_second, hold);

    let began = Instant::now();
    let (mut kills, mut state) = (Kills::default(), options.seed);
    // Some of its calls wait for ever for a node that died; those that it begins, it begins in this time.
    let all_begun = Duration::from_secs(u64::from(options.calls / options.per_second.max(1))) + hold;
    while caller.is_running() && began.elapsed() < all_begun {
        std::thread::sleep(Duration::from_millis(options.every_ms));
        let victims = next(&mut state);
        eprintln!("{:>4} s: {victims:?}, {} calls answered", began.elapsed().as_secs(), caller.logged().len());
        for victim in &victims {
            match victim {
                Victim::Node => node.kill(),
                Victim::Database => postgres.kill9().unwrap(),
                Victim::Bus(n) => bus.kill9(*n).unwrap(),
            }
            kills.count(*victim);
        }
        std::thread::sleep(Duration::from_millis(options.away_ms));
        for victim in &victims {
            match victim {
                Victim::Node => node.restart(),
                Victim::Database => postgres.start().unwrap(),
                Victim::Bus(n) => bus.start_again(*n).unwrap(),
            }
        }
    }
    let answered = caller.logged();
    drop(caller);
    let seconds = began.elapsed().as_secs_f64();
    // A node that was killed tells of its last calls at its next start.
    node.kill();
    node.restart();
    eventually("an empty outbox", SOON * 6, || (node.metric("tandem_outbox_events") == 0).then_some(()));
    let mut verdict = Verdict::of(&url, &bus.url(), &answered, options.calls, kills, seconds);
    verdict.rebuild(&url, &bus.url(), || node.command(&["replay"]));
    verdict
}

/// Who is killed next: one, or two of them at once, in the order in which they come back: a node is not ready without
/// its database. Node and database come up twice as often as each NATS server.
fn next(state: &mut u64) -> Vec<Victim> {
    let mut one = || {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        match (*state >> 33) % 7 {
            0 | 1 => Victim::Node,
            2 | 3 => Victim::Database,
            n => Victim::Bus(usize::try_from(n).unwrap_or_default() - 4),
        }
    };
    let mut victims = vec![one(), one()];
    victims.sort_unstable();
    victims.dedup();
    // Two of three NATS servers away are the whole bus away: that too.
    victims
}

impl Kills {
    fn count(&mut self, victim: Victim) {
        *match victim {
            Victim::Node => &mut self.node,
            Victim::Database => &mut self.database,
            Victim::Bus(_) => &mut self.bus,
        } += 1;
    }
}
