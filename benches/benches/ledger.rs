//! How many facts a second the ledger carries into its database and onto the bus, how long each takes, and what a fact
//! costs the call that commits it.
//!
//! ```text
//!  commit ──▶ journal ──▶ database ──▶ bus
//!  └ paid by the call ┘   └── behind it ──┘
//! ```
//! Once with SQLite and the bus in the process, once with PostgreSQL and JetStream: each its own, on this machine, with
//! its files synced as in production. `cargo bench -p tandem-benches --bench ledger -- [calls] [calls at a time]`

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tandem_core::cause::Cause;
use tandem_core::cdr::CdrFold;
use tandem_core::event::{Context, Fact, FactBody, Side};
use tandem_core::id::{CallId, CorrelationId, LegId, NodeId, Tenant};
use tandem_core::metric::{Counter, Metrics};
use tandem_core::party::{Identity, Party, TrunkName};
use tandem_core::ports::LedgerPort as _;
use tandem_core::time::WallTime;
use tandem_storage::{Bus, BusConfig, Config, Ledger, Storage};
use tandem_testbed::nats::Nats;
use tandem_testbed::postgres::{Durability, Postgres};
use tokio::runtime::Runtime;
use uuid::Uuid;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const FACTS_PER_CALL: usize = 8;

/// Single calls, one after the other: how long a fact takes when there is nothing to wait for.
const PROBES: usize = 100;

type Failed = Box<dyn std::error::Error>;

/// A ledger with its loops, and what it counts.
struct Stage {
    ledger: Arc<Ledger>,
    metrics: Arc<Metrics>,
}

fn main() -> Result<(), Failed> {
    let mut arguments = std::env::args().skip(1).filter_map(|it| it.parse::<usize>().ok());
    let calls = arguments.next().unwrap_or(10_000);
    let at_a_time = arguments.next().unwrap_or(1_000).max(1);
    let runtime = Runtime::new()?;
    let folder = tempfile::tempdir()?;
    measure(&runtime, "sqlite", calls, at_a_time, &configured(folder.path(), None), &BusConfig::default())?;

    let (postgres, nats) = (Postgres::begin(Durability::Disk)?, Nats::start()?);
    let database = postgres.database()?;
    let folder = tempfile::tempdir()?;
    let bus = BusConfig { nats_url: Some(nats.url().into()), ..BusConfig::default() };
    measure(&runtime, "postgresql", calls, at_a_time, &configured(folder.path(), Some(database.url())), &bus)
}

fn configured(data_dir: &Path, database_url: Option<String>) -> Config {
    Config { data_dir: data_dir.to_owned(), database_url: database_url.map(Into::into), ..Config::default() }
}

fn measure(
    runtime: &Runtime,
    name: &str,
    calls: usize,
    at_a_time: usize,
    config: &Config,
    bus: &BusConfig,
) -> Result<(), Failed> {
    let stage = runtime.block_on(Stage::open(config, bus))?;
    let facts = interleaved(calls, at_a_time);
    let (stored, published) = (Counter::FactsStored, Counter::FactsPublished);
    let begun = [stored, published].map(|counter| stage.metrics.counter(counter));

    let mut taken: Vec<Duration> = Vec::with_capacity(facts.len());
    let start = Instant::now();
    for fact in &facts {
        let before = Instant::now();
        stage.ledger.commit(fact);
        taken.push(before.elapsed());
    }
    let mut rates = [start.elapsed(); 3];
    for (n, (counter, begun)) in [stored, published].into_iter().zip(begun).enumerate() {
        runtime.block_on(stage.reaches(counter, begun + facts.len() as u64));
        if let Some(rate) = rates.get_mut(n + 1) {
            *rate = start.elapsed();
        }
    }
    let rates = rates.map(|took| facts.len() as f64 / took.as_secs_f64());

    let mut waits = [Vec::new(), Vec::new()];
    for _ in 0..PROBES {
        let facts = call();
        let begun = [stored, published].map(|counter| stage.metrics.counter(counter));
        let start = Instant::now();
        facts.iter().for_each(|fact| stage.ledger.commit(fact));
        for ((counter, begun), waits) in [stored, published].into_iter().zip(begun).zip(&mut waits) {
            runtime.block_on(stage.reaches(counter, begun + facts.len() as u64));
            waits.push(start.elapsed());
        }
    }
    report(name, rates, &mut taken, &mut waits);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a bench reports there")]
fn report(
    name: &str,
    [committed, stored, published]: [f64; 3],
    taken: &mut [Duration],
    waits: &mut [Vec<Duration>; 2],
) {
    let us = |time: Duration| time.as_secs_f64() * 1e6;
    let (p50, p99, most) = (us(share(taken, 50)), us(share(taken, 99)), us(share(taken, 100)));
    let [to_database, to_bus] = waits.each_mut().map(|it| [share(it, 50), share(it, 99)].map(us).map(|it| it / 1e3));
    println!("ledger: {name}: {committed:.0} facts/s committed, {stored:.0}/s stored, {published:.0}/s published");
    println!(
        "ledger: {name}: commit (all that a call waits for) p50 {p50:.1} µs, p99 {p99:.1} µs, longest {most:.0} µs"
    );
    println!(
        "ledger: {name}: a call alone is in the database after {:.1} ms (p99 {:.1}), on the bus after {:.1} ms (p99 {:.1})",
        to_database[0], to_database[1], to_bus[0], to_bus[1]
    );
    println!(
        r#"{{"bench":"ledger","on":"{name}","stored_per_s":{stored:.0},"published_per_s":{published:.0},"commit_p50_us":{p50:.1},"commit_p99_us":{p99:.1},"published_p50_ms":{:.1},"published_p99_ms":{:.1}}}"#,
        to_bus[0], to_bus[1]
    );
}

/// Of these times the one that so many percent do not exceed.
fn share(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times.get((times.len() * percent / 100).min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}

impl Stage {
    async fn open(config: &Config, bus: &BusConfig) -> Result<Self, Failed> {
        let metrics = Arc::new(Metrics::default());
        let node = NodeId::from_uuid(Uuid::from_u128(1));
        let storage = Storage::open(config, metrics.clone()).await?;
        let bus = Bus::connect(bus, node, config.bus_capacity, metrics.clone()).await?;
        let ledger = Ledger::open(storage, bus)?;
        ledger.recover(node).await?;
        let (writer, relay) = (ledger.clone(), ledger.clone());
        tokio::spawn(async move { writer.write_loop().await });
        tokio::spawn(async move { relay.relay_loop().await });
        Ok(Self { ledger, metrics })
    }

    async fn reaches(&self, counter: Counter, count: u64) {
        while self.metrics.counter(counter) < count {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    }
}

/// The facts of many calls as they come: every call of a group is at the same point.
fn interleaved(calls: usize, at_a_time: usize) -> Vec<Fact> {
    let calls: Vec<Vec<Fact>> = (0..calls).map(|_| call()).collect();
    let groups = calls.chunks(at_a_time);
    groups
        .flat_map(|group| (0..FACTS_PER_CALL).flat_map(|n| group.iter().filter_map(move |it| it.get(n).cloned())))
        .collect()
}

fn call() -> Vec<Fact> {
    let (call, caller, callee) =
        (CallId::from_uuid(Uuid::now_v7()), LegId::from_uuid(Uuid::now_v7()), LegId::from_uuid(Uuid::now_v7()));
    let node = NodeId::from_uuid(Uuid::from_u128(1));
    let correlation_id = CorrelationId::from_uuid(Uuid::now_v7());
    let context = Context { tenant: Tenant::default_tenant(), correlation_id, node };
    let party = |number: &str| Party {
        number: number.to_owned().into(),
        name: None,
        identity: Identity::Trunk { trunk: TrunkName("bench".into()) },
    };
    let over =
        |leg_id| FactBody::LegEnded { leg_id, cause: Cause::Normal, sip_status: None, rang_at: None, media: None };
    let started = FactBody::Started { leg_id: caller, caller: party("1001"), dialled: "1002".to_owned().into() };
    let bodies = [
        started,
        FactBody::Dialled { leg_id: callee, callee: party("1002"), route: None },
        FactBody::Ringing { leg_id: callee },
        FactBody::Answered { leg_id: callee },
        over(callee),
        over(caller),
        FactBody::Ended { cause: Cause::Normal, by: Side::Callee },
    ];
    let fact = |number: u32, body: FactBody| {
        let has_sdp = matches!(body, FactBody::Started { .. } | FactBody::Answered { .. });
        let at = WallTime(1_790_000_000_000_000 + i64::from(number) * 1_000_001);
        let sdp = has_sdp.then(|| "x".repeat(600).into());
        Fact { context: context.clone(), call, number, at, caused_by: None, sdp, body }
    };
    let mut facts: Vec<Fact> = (1..).zip(bodies).map(|(number, body)| fact(number, body)).collect();
    let fold = facts.split_first().and_then(|(first, rest)| {
        let mut fold = CdrFold::begin(first)?;
        rest.iter().for_each(|it| fold.apply(it));
        Some(fold)
    });
    facts.extend(fold.map(|fold| fact(fold.next_number(), FactBody::CdrClosed(Box::new(fold.record(node))))));
    facts
}
