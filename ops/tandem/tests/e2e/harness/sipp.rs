//! SIPp as caller or callee: many calls, one result.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::ports;
use super::process::Process;
use super::scratch::Scratch;

/// See the module.
pub struct Sipp {
    /// Where it takes SIP.
    pub address: SocketAddr,
    process: Process,
    folder: PathBuf,
}

/// What a SIPp caller counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tally {
    /// Calls that went as the scenario says.
    pub successful: u64,
    /// Calls that did not.
    pub failed: u64,
}

impl Sipp {
    /// The built-in callee: answers at once, until it is dropped.
    pub fn callee(scratch: &Scratch) -> Self {
        let address = ports::address();
        Self::start(scratch, "callee", address, &["-sn".into(), "uas".into()])
    }

    /// The built-in caller: `calls` calls to `number` at `rate` a second, each held for `hold`.
    pub fn caller(scratch: &Scratch, to: SocketAddr, number: &str, calls: u32, rate: u32, hold: Duration) -> Self {
        Self::caller_at(scratch, ports::address(), to, number, calls, rate, hold)
    }

    /// As [`caller`](Self::caller), on an address that was chosen before.
    pub fn caller_at(
        scratch: &Scratch,
        address: SocketAddr,
        to: SocketAddr,
        number: &str,
        calls: u32,
        rate: u32,
        hold: Duration,
    ) -> Self {
        let mut arguments = vec!["-sn".to_owned(), "uac".into(), "-s".into(), number.into(), to.to_string()];
        arguments.extend(pace(calls, rate, hold));
        Self::start(scratch, "caller", address, &arguments)
    }

    /// A caller with a scenario from `tests/scenarios`, one line of `lines` a call. What it logs is in
    /// [`logged`](Self::logged).
    pub fn scripted(
        scratch: &Scratch,
        address: SocketAddr,
        to: SocketAddr,
        scenario: &str,
        lines: &[String],
        rate: u32,
        hold: Duration,
    ) -> Self {
        let table = scratch.path().join("lines.csv");
        std::fs::write(&table, format!("SEQUENTIAL\n{}\n", lines.join("\n"))).unwrap();
        let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios").join(scenario);
        let mut arguments = vec!["-sf".to_owned(), scenario.display().to_string()];
        arguments.extend(["-inf".into(), table.display().to_string(), "-trace_logs".into(), to.to_string()]);
        arguments.extend(pace(u32::try_from(lines.len()).unwrap(), rate, hold));
        Self::start(scratch, "scripted", address, &arguments)
    }

    /// Waits until all calls are made and over.
    pub fn finish(mut self, patience: Duration) -> Tally {
        self.process.wait(patience);
        self.tally()
    }

    /// Lines that the scenario logged so far.
    pub fn logged(&self) -> Vec<String> {
        self.file("_logs.log").lines().map(str::to_owned).collect()
    }

    /// Whether it still calls.
    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// In how many seconds it sent a message once more.
    pub fn uneasy_seconds(&self) -> usize {
        self.column("Retransmissions(P)").iter().filter(|it| **it > 0).count()
    }

    /// Unplugs it.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    fn start(scratch: &Scratch, role: &str, address: SocketAddr, arguments: &[String]) -> Self {
        let folder = scratch.folder(&format!("sipp-{role}-{}", address.port()));
        // It binds sound at the first, video at the fifth, each with its RTCP, and ends when it cannot.
        let media = ports::block(8);
        let mut command = Command::new("sipp");
        command.current_dir(&folder).args(["-nostdin", "-trace_stat", "-fd", "1", "-trace_err"]);
        command.args(["-i", &address.ip().to_string(), "-p", &address.port().to_string(), "-mp", &media.to_string()]);
        command.args(arguments);
        let process = Process::start(&mut command, &folder.join("screen.log"));
        Self { address, process, folder }
    }

    fn tally(&self) -> Tally {
        Tally { successful: self.counted("SuccessfulCall(C)"), failed: self.counted("FailedCall(C)") }
    }

    fn counted(&self, name: &str) -> u64 {
        self.column(name).last().copied().unwrap_or_else(|| panic!("no {name} in {}", self.folder.display()))
    }

    /// What it counted, second by second.
    fn column(&self, name: &str) -> Vec<u64> {
        let text = self.file("_.csv");
        let mut rows = text.lines().map(|it| it.split(';'));
        let place = rows.next().and_then(|mut it| it.position(|it| it == name));
        let place = place.unwrap_or_else(|| panic!("no {name} in {}", self.folder.display()));
        rows.filter_map(|mut it| it.nth(place)?.parse().ok()).collect()
    }

    /// SIPp names its files `<scenario>_<pid>_<what>`.
    fn file(&self, end: &str) -> String {
        let files = std::fs::read_dir(&self.folder).unwrap().map(|it| it.unwrap().path());
        let found = files.filter(|it| it.to_string_lossy().ends_with(end)).max();
        found.map(|path| std::fs::read_to_string(path).unwrap()).unwrap_or_default()
    }
}

fn pace(calls: u32, rate: u32, hold: Duration) -> [String; 8] {
    let hold = hold.as_millis();
    ["-m", &calls.to_string(), "-r", &rate.to_string(), "-d", &hold.to_string(), "-l", "20000"].map(str::to_owned)
}
