//! How many facts per second the ledger carries into SQLite and onto the bus.
//!
//! `cargo run --release -p tandem-storage --example ledger_rate -- [calls] [calls at a time]`

use std::io::Write as _;
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
use tandem_storage::{Bus, Config, Ledger, Storage};
use uuid::Uuid;

const FACTS_PER_CALL: usize = 8;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1).filter_map(|it| it.parse::<usize>().ok());
    let calls = arguments.next().unwrap_or(10_000);
    let at_a_time = arguments.next().unwrap_or(1_000).max(1);
    let dir = std::env::temp_dir().join(format!("ledger_rate_{}", Uuid::now_v7()));
    let config = Config { data_dir: dir.clone(), ..Config::default() };
    let metrics = Arc::new(Metrics::default());
    let storage = Storage::open(&config, metrics.clone()).await?;
    let bus = Bus::new(config.bus_capacity, metrics.clone());
    let ledger = Ledger::open(storage, bus)?;
    let facts = interleaved(calls, at_a_time);

    let start = Instant::now();
    facts.iter().for_each(|fact| ledger.commit(fact));
    report("committed", facts.len(), start.elapsed())?;
    let all = u64::try_from(facts.len())?;
    let start = Instant::now();
    let watch = async {
        for (name, counter) in [("stored", Counter::FactsStored), ("published", Counter::FactsPublished)] {
            while metrics.counter(counter) < all {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            report(name, facts.len(), start.elapsed())?;
        }
        Ok::<_, std::io::Error>(())
    };
    let (writer, relay) = (ledger.clone(), ledger.clone());
    tokio::select! {
        done = watch => done?,
        _ = tokio::spawn(async move { writer.write_loop().await }) => {}
        _ = tokio::spawn(async move { relay.relay_loop().await }) => {}
    }
    std::fs::remove_dir_all(dir)?;
    Ok(())
}

fn report(what: &str, facts: usize, took: Duration) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{what}: {facts} facts in {took:.2?}, {:.0}/s", facts as f64 / took.as_secs_f64())
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
