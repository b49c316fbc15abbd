//! What the database and the stream say after the drill, against each other and against what the caller saw.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::process::Command;

use serde_json::Value;

use super::Kills;
use super::stream::{self, Told};

/// See the module.
#[derive(Debug)]
pub struct Verdict {
    kills: Kills,
    seconds: f64,
    asked: u32,
    /// Calls that the caller saw answered.
    answered: usize,
    /// Rows of `calls`, of `cdrs`, of `events`, messages in the stream, and in the one that was rebuilt.
    calls: usize,
    records: usize,
    events: usize,
    told: usize,
    rebuilt: usize,
    /// Records of calls that died with the node.
    lost_with_node: usize,
    /// What does not hold.
    pub failures: Vec<String>,
}

impl Verdict {
    /// Of the database and the stream as they are now. `answered`: the numbers of the calls that the caller saw
    /// answered.
    pub fn of(database: &str, bus: &str, answered: &[String], asked: u32, kills: Kills, seconds: f64) -> Self {
        let calls = column(database, "SELECT id FROM calls");
        let open = column(database, "SELECT id FROM calls WHERE NOT closed");
        let records = column(database, "SELECT call_id FROM cdrs");
        let numbers: HashSet<String> =
            column(database, "SELECT dialled FROM cdrs WHERE answered_at IS NOT NULL").into_iter().collect();
        let events: Vec<String> = column(database, "SELECT aggregate || '.' || seq FROM events");
        let told = stream::read(bus);
        let mut failures = Vec::new();
        let mut expect = |holds: bool, what: String| {
            if !holds {
                failures.push(what);
            }
        };
        expect(open.is_empty(), format!("{} calls without an end: {:?}", open.len(), first(&open)));
        let (of_calls, of_records) = (set(&calls), set(&records));
        expect(of_records.len() == records.len(), String::from("a call has two records"));
        let missing: Vec<_> = of_calls.symmetric_difference(&of_records).collect();
        expect(
            missing.is_empty(),
            format!("{} calls and records without each other: {:?}", missing.len(), first(&missing)),
        );
        // The journal has its answer before the caller hears of it.
        let unbilled: Vec<_> = answered.iter().filter(|it| !numbers.contains(*it)).collect();
        expect(unbilled.is_empty(), format!("{} answered calls not billed: {:?}", unbilled.len(), first(&unbilled)));
        expect(!answered.is_empty(), String::from("no call was answered"));
        failures.extend(against(&events, &told));
        failures.extend(order(&told));
        let lost_with_node = column(database, "SELECT call_id FROM cdrs WHERE cause = 'node_lost'").len();
        let (answered, calls, records, events) = (answered.len(), calls.len(), records.len(), events.len());
        let told = told.len();
        Self { kills, seconds, asked, answered, calls, records, events, told, rebuilt: 0, lost_with_node, failures }
    }

    /// Deletes the stream, has it rebuilt, and compares it with the database: ids and texts.
    pub fn rebuild(&mut self, database: &str, bus: &str, replay: impl FnOnce() -> Result<String, String>) {
        stream::delete(bus);
        if let Err(error) = replay() {
            return self.failures.push(format!("replay: {error}"));
        }
        // The replay itself is audited, after it.
        let is_replay = |it: &Told| it.payload["type"] == "tandem.audit.events_replayed.v1";
        let told: Vec<Told> = stream::read(bus).into_iter().filter(|it| !is_replay(it)).collect();
        self.rebuilt = told.len();
        let before = "SELECT aggregate || '.' || seq FROM events WHERE event_type <> 'tandem.audit.events_replayed.v1'";
        let events = column(database, before);
        self.failures.extend(against(&events, &told).map(|it| format!("rebuilt: {it}")));
        self.failures.extend(order(&told).map(|it| format!("rebuilt: {it}")));
        let texts: HashSet<String> = column(database, "SELECT payload FROM events").into_iter().collect();
        let texts: HashSet<Value> = texts.iter().map(|it| serde_json::from_str(it).unwrap()).collect();
        let strange = told.iter().filter(|it| !texts.contains(&it.payload)).count();
        if strange > 0 {
            self.failures.push(format!("rebuilt: {strange} messages say something else than the database"));
        }
    }
}

/// Every id of the database once in the stream, and no other.
fn against(events: &[String], told: &[Told]) -> impl Iterator<Item = String> {
    let ids: Vec<String> = told.iter().map(|it| it.id.clone()).collect();
    let (ours, theirs) = (set(events), set(&ids));
    let missing: Vec<_> = ours.difference(&theirs).collect();
    let foreign: Vec<_> = theirs.difference(&ours).collect();
    let doubled = ids.len() - theirs.len();
    let failures = [
        (missing.len(), format!("{} facts not in the stream: {:?}", missing.len(), first(&missing))),
        (foreign.len(), format!("{} messages that no row has: {:?}", foreign.len(), first(&foreign))),
        (doubled, format!("{doubled} facts twice in the stream")),
    ];
    failures.into_iter().filter(|it| it.0 > 0).map(|it| it.1).collect::<Vec<_>>().into_iter()
}

/// Within an aggregate 1, 2, 3, …
fn order(told: &[Told]) -> Option<String> {
    let mut last: HashMap<&str, u64> = HashMap::new();
    let wrong = told.iter().filter(|it| {
        let before = last.insert(&it.aggregate, it.seq).unwrap_or(0);
        it.seq != before + 1
    });
    let wrong: Vec<_> = wrong.map(|it| &it.id).collect();
    (!wrong.is_empty()).then(|| format!("{} facts out of order: {:?}", wrong.len(), first(&wrong)))
}

fn set(texts: &[String]) -> HashSet<&str> {
    texts.iter().map(String::as_str).collect()
}

fn first<T>(all: &[T]) -> &[T] {
    &all[..all.len().min(3)]
}

/// One column of a query, by the database's own client.
fn column(database: &str, sql: &str) -> Vec<String> {
    let output = Command::new("psql").args(["-X", "-A", "-t", "-c", sql, database]).output().expect("psql");
    assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, seconds, asked, answered, calls, records, events, told, rebuilt, lost_with_node, .. } = self;
        writeln!(f, "| what | how many |\n|---|--:|")?;
        writeln!(f, "| calls asked for, in {seconds:.0} s | {asked} |")?;
        writeln!(
            f,
            "| kills of the node, of PostgreSQL, of a NATS server | {}, {}, {} |",
            kills.node, kills.database, kills.bus
        )?;
        writeln!(f, "| calls that the caller saw answered | {answered} |")?;
        writeln!(f, "| calls in the database | {calls} |")?;
        writeln!(f, "| records in the database, one a call | {records} |")?;
        writeln!(f, "| of them ended by the node's death | {lost_with_node} |")?;
        writeln!(f, "| facts in the database | {events} |")?;
        writeln!(f, "| facts in the stream, each once, in order | {told} |")?;
        writeln!(f, "| facts in the stream that `tandem replay` rebuilt | {rebuilt} |")?;
        self.failures.iter().try_for_each(|it| writeln!(f, "* **failed**: {it}"))
    }
}
