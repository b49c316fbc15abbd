//! The outcome for people, and for scripts.

use std::fmt;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::verdict::{Row, Verdict};

/// Where and how it was made.
pub struct Record {
    cores: usize,
    processor: String,
    profile: &'static str,
    commit: String,
    command: String,
}

impl Record {
    /// Of this run on this machine.
    pub fn of_this() -> Self {
        let information = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = information.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            processor: model.map(|it| it.1.to_owned()).unwrap_or_default(),
            profile: if cfg!(debug_assertions) { "dev" } else { "release" },
            commit: commit(),
            command: std::env::args().skip(1).collect::<Vec<_>>().join(" "),
        }
    }
}

impl Verdict {
    /// Writes `crash_drill.md` and `crash_drill.json` into a folder.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&self, record: &Record, folder: &Path) -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join("crash_drill.md"), format!("{record}\n{self}"))?;
        let mut value = serde_json::to_value(self)?;
        value["machine"] = record.json();
        std::fs::write(folder.join("crash_drill.json"), format!("{value:#}\n"))
    }
}

impl Record {
    fn json(&self) -> Value {
        let Self { cores, processor, profile, commit, command } = self;
        json!({ "cores": cores, "processor": processor, "profile": profile, "commit": commit, "arguments": command })
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cores, processor, profile, commit, command } = self;
        writeln!(
            f,
            "Machine: {cores} cores, {processor}; node and driver share them. Commit {commit}, {profile} build."
        )?;
        writeln!(f, "Command: `crash_drill {command}`")
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["kind", "how", "kills", "calls up", "calls lost", "packets lost"];
        let head = [&head[..], &["gap p50", "p99", "max (ms)", "restarts", "after p50", "max (ms)"]].concat();
        writeln!(f, "| {} |", head.join(" | "))?;
        writeln!(f, "|---|---|{}", "--:|".repeat(head.len() - 2))?;
        for row in &self.rows {
            writeln!(f, "{row}")?;
        }
        let (sent, received) = self.packets;
        let cdrs = &self.cdrs;
        writeln!(
            f,
            "\n{} calls in {:.0} s; {sent} packets sent, {received} received; the driver was late by at most {} ms.",
            self.calls, self.seconds, self.driver_late_ms
        )?;
        writeln!(
            f,
            "CDRs: {} expected, {} found, {} doubled, {} wrong; talk times are off by {} ms in the median, {} ms at most.",
            cdrs.expected, cdrs.found, cdrs.doubled, cdrs.wrong, cdrs.talk_off_ms[0], cdrs.talk_off_ms[2]
        )?;
        writeln!(
            f,
            "Packets without a kill before them that were lost: {}; doubled: {}; of another stream: {}; out of line with \
             the one before: {}, of them without a worker that hung: {}.",
            self.unexplained.1, self.doubled_packets, self.foreign_packets, self.jumps, self.stray_jumps
        )?;
        writeln!(
            f,
            "Directions of calls that began late because something was broken while they were set up: {}, at most {} ms.",
            self.late_streams, self.late_ms
        )?;
        self.lost_calls.iter().try_for_each(|it| writeln!(f, "* lost: {it}"))?;
        self.silences.iter().try_for_each(|it| writeln!(f, "* {it}"))?;
        self.failures.iter().try_for_each(|it| writeln!(f, "* **failed**: {it}"))
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, how, kills, calls_up, calls_lost, packets_lost, restarted, .. } = self;
        let ([p50, p99, most], [after, _, longest]) = (self.gap_ms, self.restarted_ms);
        write!(f, "| {kind} | {how} | {kills} | {calls_up} | {calls_lost} | {packets_lost} ")?;
        write!(f, "| {p50} | {p99} | {most} | {restarted} | {after} | {longest} |")
    }
}

fn commit() -> String {
    let folder = env!("CARGO_MANIFEST_DIR");
    let ask = |arguments: &[&str]| {
        let output = Command::new("git").current_dir(folder).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = ask(&["rev-parse", "--short", "HEAD"]).unwrap_or_else(|| String::from("unknown"));
    let is_changed = ask(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|it| !it.is_empty());
    if is_changed { format!("{commit} (changed)") } else { commit }
}
