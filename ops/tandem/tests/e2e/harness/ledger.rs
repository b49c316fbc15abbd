//! What a node wrote down, read past it with the `sqlite3` or the `psql` program.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::{SOON, eventually};

/// The database of a node.
pub struct Ledger(Place);

enum Place {
    File(PathBuf),
    Server(String),
}

/// A billing record, as its row has it.
#[derive(Clone, Debug)]
pub struct Cdr(Value);

/// An event of the history: CloudEvents in JSON.
#[derive(Clone, Debug)]
pub struct Event(Value);

impl Ledger {
    /// The database in that file.
    pub const fn at(path: PathBuf) -> Self {
        Self(Place::File(path))
    }

    /// The PostgreSQL database at that URL.
    pub const fn on(url: String) -> Self {
        Self(Place::Server(url))
    }

    /// Waits for the record of the only call there was.
    pub fn the_cdr(&self) -> Cdr {
        let found = eventually("a CDR", SOON, || Some(self.cdrs()).filter(|it| !it.is_empty()));
        assert_eq!(found.len(), 1, "{found:?}");
        found.into_iter().next().unwrap()
    }

    /// All records.
    pub fn cdrs(&self) -> Vec<Cdr> {
        self.query("SELECT * FROM cdrs").into_iter().map(Cdr).collect()
    }

    /// How many rows a query counts.
    pub fn count(&self, from: &str) -> u64 {
        let rows = self.query(&format!("SELECT count(*) AS n FROM {from}"));
        rows.first().map_or(0, |row| row["n"].as_u64().unwrap())
    }

    /// Everything that a query finds, as text.
    pub fn rows(&self, sql: &str) -> String {
        Value::Array(self.query(sql)).to_string()
    }

    /// What was dialled for each call, over or not, and the call.
    pub fn dialled(&self) -> Vec<(String, String)> {
        let text = |row: &Value, column: &str| row[column].as_str().unwrap().to_owned();
        let rows = self.query("SELECT dialled, id FROM calls");
        rows.iter().map(|row| (text(row, "dialled"), text(row, "id"))).collect()
    }

    /// Every event of a call, in order.
    pub fn events(&self, call: &str) -> Vec<Event> {
        let rows = self.query(&format!("SELECT payload FROM events WHERE aggregate = '{call}' ORDER BY seq"));
        let body = |row: Value| row["payload"].as_str().and_then(|it| serde_json::from_str(it).ok());
        rows.into_iter().filter_map(body).map(Event).collect()
    }

    /// A node that is ready has its database, and never keeps it busy for long: whatever fails here is a failure.
    fn query(&self, sql: &str) -> Vec<Value> {
        let mut command = match &self.0 {
            Place::File(path) => {
                let mut command = Command::new("sqlite3");
                command.args(["-readonly", "-json", "-cmd", ".timeout 20000"]).arg(path).arg(sql);
                command
            }
            Place::Server(url) => {
                let mut command = Command::new("psql");
                command.args([url, "-AtXqc"]).arg(format!("SELECT json_agg(t) FROM ({sql}) t"));
                command
            }
        };
        let output = command.output().expect("sqlite3 or psql");
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        // Of no rows they say nothing.
        if output.stdout.trim_ascii().is_empty() { Vec::new() } else { serde_json::from_slice(&output.stdout).unwrap() }
    }
}

impl Cdr {
    /// A column as text; empty when it is NULL.
    pub fn text(&self, column: &str) -> &str {
        let value = self.0.get(column).unwrap_or_else(|| panic!("no {column} in {}", self.0));
        value.as_str().unwrap_or_default()
    }

    /// A column as a number.
    pub fn number(&self, column: &str) -> u64 {
        self.0[column].as_u64().unwrap_or_else(|| panic!("no {column} in {}", self.0))
    }

    /// Its call.
    pub fn call_id(&self) -> &str {
        self.text("call_id")
    }
}

impl Event {
    /// `<call>.<number>`.
    pub fn id(&self) -> &str {
        self.0["id"].as_str().unwrap_or_default()
    }

    /// `started`, `dialled`, …, as in its type `tandem.call.started.v1`.
    pub fn kind(&self) -> &str {
        let kind = self.0["type"].as_str().unwrap_or_default();
        kind.split('.').nth(2).unwrap_or_default()
    }

    /// Its correlation id.
    pub fn correlation_id(&self) -> &str {
        self.0["correlationid"].as_str().unwrap_or_default()
    }

    /// A field of its envelope as text.
    pub fn envelope(&self, field: &str) -> &str {
        self.0[field].as_str().unwrap_or_default()
    }

    /// All of it.
    pub fn json(&self) -> String {
        self.0.to_string()
    }

    /// A field of its data.
    pub fn field(&self, field: &str) -> &Value {
        &self.0["data"][field]
    }

    /// A field of its data as text.
    pub fn text(&self, field: &str) -> &str {
        self.0["data"][field].as_str().unwrap_or_default()
    }
}
