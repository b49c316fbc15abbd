//! A node: the program under test in a process of its own, on loopback, with the development accounts.

use std::collections::HashMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use serde_json::Value;
use tandem_actors::tree::PartView;

use super::ledger::Ledger;
use super::process::Process;
use super::scratch::Scratch;
use super::{SOON, eventually, http, ports, program};

/// Tests that load the machine run alone.
static MACHINE: RwLock<()> = RwLock::new(());

/// What a test wants of its node. Everything else is the default.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a callee may ring.
    pub ring_timeout: Duration,
    /// How long a talking leg may be silent.
    pub silence_timeout: Duration,
    /// Ports for media: two a leg.
    pub media_ports: u16,
    /// Where the trunk's calls come from and go to; numbers with `+` are its.
    pub trunk: Option<Trunk>,
    /// Who calls numbers outside: `sip` or `mock`.
    pub provider: &'static str,
    /// Whether its parts may be broken.
    pub allow_break: bool,
    /// Settings that few want, as variables of its environment: `TANDEM__MEDIA__WORKERS`.
    pub environment: Vec<(&'static str, String)>,
}

/// A carrier.
#[derive(Clone, Copy, Debug)]
pub struct Trunk {
    /// Who calls.
    pub caller: SocketAddr,
    /// Who is called.
    pub callee: SocketAddr,
}

/// See the module.
pub struct Node {
    /// Where it takes SIP, over UDP and TCP.
    pub sip: SocketAddr,
    /// Where it takes HTTP.
    pub http: SocketAddr,
    process: Process,
    folder: PathBuf,
    environment: Vec<(&'static str, String)>,
    _turn: Turn,
}

/// Held as long as the node runs, and after that no more.
#[expect(dead_code, reason = "only its end matters")]
enum Turn {
    Shared(RwLockReadGuard<'static, ()>),
    Alone(RwLockWriteGuard<'static, ()>),
}

impl Default for Settings {
    fn default() -> Self {
        let (ring_timeout, silence_timeout) = (Duration::from_secs(60), Duration::from_secs(30));
        let environment = Vec::new();
        let (media_ports, trunk, provider) = (64, None, "sip");
        Self { ring_timeout, silence_timeout, media_ports, trunk, provider, allow_break: true, environment }
    }
}

impl Node {
    /// Starts a node and waits until it is ready.
    pub fn start(scratch: &Scratch, settings: &Settings) -> Self {
        Self::begin(scratch, settings, Turn::Shared(MACHINE.read()))
    }

    /// As [`start`](Self::start), while no other test has one.
    pub fn start_alone(scratch: &Scratch, settings: &Settings) -> Self {
        Self::begin(scratch, settings, Turn::Alone(MACHINE.write()))
    }

    /// Kills it (`kill -9`).
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Asks it to end (SIGTERM): it takes no new calls, and ends when the last one has.
    pub fn terminate(&self) {
        self.process.terminate();
    }

    /// Waits until it has ended by itself.
    pub fn ended(&mut self, patience: Duration) -> std::process::ExitStatus {
        self.process.wait(patience)
    }

    /// Starts it again on its data.
    pub fn restart(&mut self) {
        self.process = run(&self.folder, &self.environment);
        self.ready();
    }

    /// What it wrote down.
    pub fn ledger(&self) -> Ledger {
        let url = self.environment.iter().find(|(name, _)| *name == "TANDEM__STORAGE__DATABASE_URL");
        let file = || Ledger::at(self.folder.join("var/tandem.db"));
        url.map_or_else(file, |(_, url)| Ledger::on(url.clone()))
    }

    /// Everything it logged, in lines.
    pub fn log(&self) -> Vec<String> {
        self.process.output().lines().map(str::to_owned).collect()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Adds a user whose password is the name.
    pub fn add_user(&self, name: &str, extension: &str) {
        self.add_user_with(name, extension, name, &[]);
    }

    /// Adds a user with that password and these options of the command; says which.
    pub fn add_user_with(&self, name: &str, extension: &str, password: &str, options: &[&str]) -> String {
        let mut command = Command::new(program());
        command.current_dir(&self.folder).args(["user", "add", name, "--extension", extension]).args(options);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        writeln!(child.stdin.take().unwrap(), "{password}").unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "user {name}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Its operator's token.
    pub fn operator_token(&self) -> String {
        std::fs::read_to_string(self.folder.join("var/operator.token")).unwrap().trim().to_owned()
    }

    /// The calls that are not over, as its operator sees them.
    pub fn calls(&self) -> Value {
        serde_json::from_str(&self.operate("GET", "/api/v1/ops/calls", "", 200)).unwrap()
    }

    /// All metrics as they stand now, as text.
    pub fn metrics(&self) -> String {
        let (status, text) = http::request(self.http, "GET", "/metrics", "", "").unwrap();
        assert_eq!(status, 200);
        text
    }

    /// A metric as it stands now.
    pub fn metric(&self, name: &str) -> i64 {
        let text = self.metrics();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.and_then(|it| it.parse().ok()).unwrap_or_else(|| panic!("no {name} in\n{text}"))
    }

    /// Every actor there is.
    pub fn tree(&self) -> Vec<PartView> {
        serde_json::from_str(&self.operate("GET", "/api/v1/ops/tree", "", 200)).unwrap()
    }

    /// Restarts of each actor, by its id.
    pub fn restarts(&self) -> HashMap<String, u32> {
        self.tree().into_iter().map(|part| (part.id, part.restarts)).collect()
    }

    /// Breaks an actor: `kill`, `panic` or `hang`.
    pub fn break_actor(&self, id: &str, how: &str) {
        let body = serde_json::json!({ "id": id, "how": how });
        self.operate("POST", "/api/v1/ops/break", &body.to_string(), 204);
    }

    /// As [`break_actor`](Self::break_actor), where there may be none just now.
    pub fn try_break(&self, id: &str, how: &str) {
        let body = serde_json::json!({ "id": id, "how": how });
        let _ = http::request(self.http, "POST", "/api/v1/ops/break", &self.operator_token(), &body.to_string());
    }

    /// What a command of the program says, run on this node's configuration; `Err` with what it complains of.
    pub fn command(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new(program());
        command.envs(self.environment.iter().cloned());
        let output =
            command.current_dir(&self.folder).args(["--config", "tandem.toml"]).args(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    /// That none of these numbers, nor any `sip:` URI with one, is in the log.
    pub fn assert_not_logged(&self, numbers: &[&str]) {
        for line in self.log() {
            for number in numbers {
                let shapes = [format!("sip:{number}"), format!("{number}@"), format!("\"{number}\"")];
                let named =
                    if number.len() > 6 { line.contains(number) } else { shapes.iter().any(|it| line.contains(it)) };
                assert!(!named, "{number} in the log: {line}");
            }
        }
    }

    fn begin(scratch: &Scratch, settings: &Settings, turn: Turn) -> Self {
        let (sip, http) = (ports::address(), ports::address());
        let folder = scratch.folder("node");
        std::fs::write(folder.join("tandem.toml"), configuration(settings, sip, http)).unwrap();
        let environment = settings.environment.clone();
        let process = run(&folder, &environment);
        let mut node = Self { sip, http, process, folder, environment, _turn: turn };
        node.ready();
        node
    }

    fn ready(&mut self) {
        let (http, process) = (self.http, &mut self.process);
        eventually("readiness of the node", SOON, || {
            assert!(process.is_running(), "the node ended:\n{}", process.output());
            http::request(http, "GET", "/readyz", "", "").filter(|it| it.0 == 200)
        });
    }

    fn operate(&self, method: &str, path: &str, body: &str, expected: u16) -> String {
        // Who breaks the HTTP edge itself may have to connect again.
        let ask = || http::request(self.http, method, path, &self.operator_token(), body);
        let (status, answer) = eventually("an answer to the operator", SOON, ask);
        assert_eq!(status, expected, "{method} {path} {body}: {answer}");
        answer
    }
}

fn run(folder: &Path, environment: &[(&'static str, String)]) -> Process {
    let mut command = Command::new(program());
    command.envs(environment.iter().cloned());
    command.current_dir(folder).args(["serve", "--dev", "--config", "tandem.toml"]);
    Process::start(&mut command, &folder.join("node.log"))
}

fn configuration(settings: &Settings, sip: SocketAddr, http: SocketAddr) -> String {
    let Settings { ring_timeout, silence_timeout, media_ports, trunk, provider, allow_break, .. } = settings;
    let first = ports::block(*media_ports);
    let last = first + media_ports - 1;
    let mut text = format!(
        "[voip]\nprovider = \"{provider}\"\n\n[http]\nbind = \"{http}\"\n\n[sip]\nudp = [\"{sip}\"]\ntcp = [\"{sip}\"]\nring_timeout = \"{}ms\"\n\n\
         [media]\nfirst_port = {first}\nlast_port = {last}\nfirst_peer_port = 0\nsilence_timeout = \"{}ms\"\n\n\
         [log]\nformat = \"json\"\nfilter = \"info,tandem=debug\"\n\n[ops]\nallow_break = {allow_break}\n",
        ring_timeout.as_millis(),
        silence_timeout.as_millis()
    );
    if let Some(Trunk { caller, callee }) = trunk {
        text += &format!(
            "\n[[trunk]]\nname = \"world\"\nmatch = [\"{}/32\"]\naddress = \"{callee}\"\nprefixes = [\"+\"]\n",
            caller.ip()
        );
    }
    text
}
