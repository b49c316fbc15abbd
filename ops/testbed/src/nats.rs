//! NATS with JetStream, one server or a cluster: on free loopback ports, with a store of its own.
//!
//! ```text
//!  test program ──start, reap──▶ keeper (a shell) ──▶ nats-server n1, n2, n3
//!        └── ends, however it ends: its end of the pipe closes ──▶ the keeper kills them and deletes the folder
//! ```

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::sleep;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};

use crate::ports;

/// How long a server may take to come up, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Names the program, when it is neither on the path nor where `ops/prepare.sh` puts it.
const PROGRAM: &str = "TANDEM_TEST_NATS_SERVER";

/// What makes a server one of JetStream; the store is each server's own.
const JETSTREAM: &str = "jetstream { store_dir: \"@store\", max_memory_store: 64MB, max_file_store: 1GB }\n";
const STORE: &str = "@store";

/// Accounts of a shared server: tests of a program that each have one.
const ACCOUNTS: usize = 1_000;

/// What the keeper runs: `$1` is the folder, `$2` the program. It answers every word with a line: a server's process
/// id, or that it is gone.
const KEEPER: &str = r#"
dir=$1; program=$2; all=
while read -r word server; do
    case $word in
        start)
            "$program" -c "$dir/$server.conf" >>"$dir/$server.log" 2>&1 </dev/null &
            eval "pid_$server=$!"; all="$all $!"; echo "$!" ;;
        reap)
            eval "gone=\$pid_$server"; wait "$gone"; left=
            for pid in $all; do [ "$pid" = "$gone" ] || left="$left $pid"; done
            all=$left; echo gone ;;
    esac
done
[ -n "$all" ] && kill -KILL $all
wait
rm -rf "$dir"
"#;

/// A server of its own, or a cluster of them. Ends with the test program, whichever way that ends.
#[derive(Debug)]
pub struct Nats {
    dir: PathBuf,
    servers: Vec<Server>,
    keeper: Mutex<Keeper>,
    accounts: AtomicUsize,
}

#[derive(Debug)]
struct Server {
    name: String,
    client: u16,
    monitor: u16,
}

#[derive(Debug)]
struct Keeper {
    shell: Child,
    /// `None` once it was told to end.
    words: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    pids: Vec<Option<Pid>>,
}

impl Nats {
    /// One server.
    ///
    /// # Errors
    /// There is no `nats-server`, or it does not start.
    pub fn start() -> io::Result<Self> {
        Self::begin(1, JETSTREAM)
    }

    /// One server that has this in its configuration, too: `max_payload: 1000`.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn configured(more: &str) -> io::Result<Self> {
        Self::begin(1, &format!("{JETSTREAM}{more}"))
    }

    /// The server, or the cluster of three, that all tests of a program share, started by the first one. Nobody may kill
    /// it. Messages are up to 64 KiB; each test has an [`account`](Self::account).
    ///
    /// # Panics
    /// There is no `nats-server` on this machine: that is a failure, not a reason to skip a test.
    #[must_use]
    pub fn shared(is_cluster: bool) -> &'static Self {
        static SHARED: [OnceLock<Nats>; 2] = [OnceLock::new(), OnceLock::new()];
        let [one, three] = &SHARED;
        let (place, servers) = if is_cluster { (three, 3) } else { (one, 1) };
        let accounts: String = (0..ACCOUNTS)
            .map(|n| format!("t{n}: {{ jetstream: enabled, users: [{{ user: t{n}, password: t{n} }}] }}\n"))
            .collect();
        let more = format!("{JETSTREAM}max_payload: 65536\naccounts {{\n{accounts}}}\n");
        place.get_or_init(|| match Self::begin(servers, &more) {
            Ok(nats) => nats,
            #[expect(clippy::panic, reason = "a test without its server has failed")]
            Err(error) => panic!("no NATS for the tests: {error}"),
        })
    }

    /// Where a test finds an account of its own on a [`shared`](Self::shared) server: its streams and subjects are
    /// nobody else's.
    ///
    /// # Errors
    /// All of them are given away.
    pub fn account(&self) -> io::Result<String> {
        let account = self.accounts.fetch_add(1, Relaxed);
        if account >= ACCOUNTS {
            return Err(io::Error::other("no account is left on the shared NATS server"));
        }
        Ok(self.url().replace("nats://", &format!("nats://t{account}:t{account}@")))
    }

    /// One server that has no JetStream.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn without_jetstream() -> io::Result<Self> {
        Self::begin(1, "")
    }

    /// A cluster of so many servers that has a leader.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn cluster(servers: usize) -> io::Result<Self> {
        Self::begin(servers, JETSTREAM)
    }

    fn begin(servers: usize, more: &str) -> io::Result<Self> {
        let program = program()?;
        // Not the test's own temporary folder: the keeper deletes it, also when the test is killed.
        let dir = tempfile::Builder::new().prefix("tandem-nats-").tempdir()?.keep();
        let (mut all, mut routes) = (Vec::new(), Vec::new());
        for n in 1..=servers {
            all.push(Server { name: format!("n{n}"), client: ports::free()?, monitor: ports::free()? });
            routes.push(ports::free()?);
        }
        for (server, route) in all.iter().zip(&routes) {
            let text = configuration(&dir, server, *route, &routes, more);
            fs::write(dir.join(format!("{}.conf", server.name)), text)?;
        }
        let keeper = Mutex::new(Keeper::new(&dir, &program, servers)?);
        let nats = Self { dir, servers: all, keeper, accounts: AtomicUsize::new(0) };
        nats.start_all()?;
        Ok(nats)
    }

    /// Its servers, by number.
    #[must_use]
    pub fn servers(&self) -> std::ops::Range<usize> {
        0..self.servers.len()
    }

    /// Starts every server that does not run, and waits until all are in order.
    ///
    /// # Errors
    /// One does not come up; with what it logged.
    pub fn start_all(&self) -> io::Result<()> {
        self.servers().try_for_each(|n| self.launch(n))?;
        self.servers().try_for_each(|n| self.healthy(n))
    }

    /// Where its servers are, separated by commas.
    #[must_use]
    pub fn url(&self) -> String {
        let urls = self.servers.iter().map(|it| format!("nats://127.0.0.1:{}", it.client));
        urls.collect::<Vec<_>>().join(",")
    }

    /// Which server has that name (as JetStream tells who leads a stream).
    #[must_use]
    pub fn server(&self, name: &str) -> Option<usize> {
        self.servers.iter().position(|it| it.name == name)
    }

    /// Kills a server, as a crash does.
    ///
    /// # Errors
    /// The keeper is gone.
    pub fn kill9(&self, server: usize) -> io::Result<()> {
        let mut keeper = self.keeper.lock();
        if let Some(pid) = keeper.pids.get_mut(server).and_then(Option::take) {
            kill_process(pid, Signal::KILL)?;
            let name = self.name(server)?;
            keeper.say(&format!("reap {name}"))?;
        }
        Ok(())
    }

    /// Stops a server where it is: it keeps its connections and answers nothing.
    ///
    /// # Errors
    /// It does not run.
    pub fn hang(&self, server: usize) -> io::Result<()> {
        self.signal(server, Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// It does not run.
    pub fn wake(&self, server: usize) -> io::Result<()> {
        self.signal(server, Signal::CONT)
    }

    /// Starts a server again, on its store, and waits until it is in order. One that runs is left alone.
    ///
    /// # Errors
    /// It does not come up; with what it logged.
    pub fn start_again(&self, server: usize) -> io::Result<()> {
        self.launch(server)?;
        self.healthy(server)
    }

    fn launch(&self, server: usize) -> io::Result<()> {
        let mut keeper = self.keeper.lock();
        if keeper.pids.get(server).is_some_and(Option::is_none) {
            let name = self.name(server)?;
            let pid = keeper.say(&format!("start {name}"))?.trim().parse().map_err(io::Error::other)?;
            if let Some(place) = keeper.pids.get_mut(server) {
                *place = Pid::from_raw(pid);
            }
        }
        Ok(())
    }

    /// Waits until JetStream works there: in a cluster that means that it knows a leader.
    fn healthy(&self, server: usize) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let monitor = self.servers.get(server).map(|it| it.monitor).ok_or(io::ErrorKind::NotFound)?;
        while !is_healthy(monitor) {
            if Instant::now() > deadline {
                let log = fs::read_to_string(self.dir.join(format!("{}.log", self.name(server)?)));
                return Err(io::Error::other(format!("nats-server does not start:\n{}", log.unwrap_or_default())));
            }
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn signal(&self, server: usize, signal: Signal) -> io::Result<()> {
        let pid = self.keeper.lock().pids.get(server).copied().flatten().ok_or(io::ErrorKind::NotFound)?;
        Ok(kill_process(pid, signal)?)
    }

    fn name(&self, server: usize) -> io::Result<&str> {
        self.servers.get(server).map(|it| it.name.as_str()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let mut keeper = self.keeper.lock();
        drop(keeper.words.take());
        let _ = keeper.shell.wait();
    }
}

impl Keeper {
    fn new(dir: &Path, program: &Path, servers: usize) -> io::Result<Self> {
        let mut command = Command::new("sh");
        command.arg("-c").arg(KEEPER).arg("keeper").arg(dir).arg(program);
        // A group of its own: what ends the tests from the terminal must not end the one that cleans up after them.
        command.process_group(0).current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut shell = command.spawn()?;
        let (words, answers) = (shell.stdin.take(), shell.stdout.take());
        let answers = BufReader::new(answers.ok_or(io::ErrorKind::BrokenPipe)?);
        Ok(Self { shell, words, answers, pids: vec![None; servers] })
    }

    fn say(&mut self, word: &str) -> io::Result<String> {
        writeln!(self.words.as_mut().ok_or(io::ErrorKind::BrokenPipe)?, "{word}")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        Ok(answer)
    }
}

fn configuration(dir: &Path, server: &Server, route: u16, routes: &[u16], more: &str) -> String {
    let Server { name, client, monitor } = server;
    let store = dir.join(name);
    let mut text = format!(
        "server_name: {name}\nlisten: 127.0.0.1:{client}\nhttp: 127.0.0.1:{monitor}\n{}\n",
        more.replace(STORE, &store.to_string_lossy())
    );
    if routes.len() > 1 {
        let routes: Vec<_> = routes.iter().map(|it| format!("nats://127.0.0.1:{it}")).collect();
        text += &format!("cluster {{ name: tandem, listen: 127.0.0.1:{route}, routes: [{}] }}\n", routes.join(", "));
    }
    text
}

fn is_healthy(monitor: u16) -> bool {
    let ask = || -> io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", monitor))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.lines().next().is_some_and(|line| line.contains(" 200 ")))
}

/// On the path, unless the environment names one; else where `ops/prepare.sh` puts it.
fn program() -> io::Result<PathBuf> {
    let named = std::env::var_os(PROGRAM).map(PathBuf::from);
    let built = std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache/tandem/bin/nats-server"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|it| it.join("nats-server")).filter(|it| is_new_enough(it));
    let found = named.into_iter().chain(built).filter(|it| it.exists()).chain(on_path).next();
    found.ok_or_else(|| io::Error::other("no nats-server 2.11 or later on this machine (ops/prepare.sh installs it)"))
}

/// Debian's own is too old.
fn is_new_enough(program: &Path) -> bool {
    let Ok(output) = Command::new(program).arg("--version").output() else { return false };
    let text = String::from_utf8_lossy(&output.stdout);
    let mut numbers = text.rsplit('v').next().unwrap_or_default().split('.').map(|it| it.trim().parse::<u32>());
    matches!((numbers.next(), numbers.next()), (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= (2, 11))
}
