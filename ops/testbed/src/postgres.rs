//! PostgreSQL in a cluster of its own: made by `initdb`, on a free loopback port, without a password.
//!
//! ```text
//!  test program ──start, stop, reap──▶ keeper (a shell) ──▶ postgres
//!        └── ends, however it ends: its end of the pipe closes ──▶ the keeper ends postgres and deletes the folder
//! ```

use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread::sleep;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};

use crate::ports;

/// PostgreSQL refuses to run as root; Debian's package makes this user.
const USER: &str = "postgres";

/// How long a server may take to come up or to go, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the keeper runs: `$1` is the cluster's folder, the rest is the server's command. It answers every word with a
/// line: the server's process id, or that it is gone.
const KEEPER: &str = r#"
dir=$1; shift
pid=
while read -r word; do
    case $word in
        start) "$@" >>"$dir/log" 2>&1 </dev/null & pid=$!; echo "$pid" ;;
        reap) wait "$pid"; echo gone; pid= ;;
    esac
done
[ -n "$pid" ] && kill -QUIT "$pid" && wait "$pid"
rm -rf "$dir"
"#;

/// Whether what was committed survives the machine, too, or only the server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Durability {
    /// As in production: every commit waits for the disk.
    Disk,
    /// A commit waits for the kernel: survives `kill -9` and is quick.
    Process,
}

/// A cluster with its server. Ends with the test program, whichever way that ends.
#[derive(Debug)]
pub struct Postgres {
    dir: PathBuf,
    bin: PathBuf,
    port: u16,
    keeper: Mutex<Keeper>,
    databases: AtomicU32,
}

#[derive(Debug)]
struct Keeper {
    shell: Child,
    /// `None` once it was told to end.
    words: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    server: Option<Pid>,
}

/// An empty database of a cluster, dropped with this.
#[derive(Debug)]
pub struct Database<'a> {
    postgres: &'a Postgres,
    name: String,
}

impl Postgres {
    /// The cluster that all tests of a program share, started by the first one.
    ///
    /// # Panics
    /// There is no PostgreSQL on this machine: that is a failure, not a reason to skip a test.
    #[must_use]
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| match Self::begin(Durability::Process) {
            Ok(postgres) => postgres,
            #[expect(clippy::panic, reason = "a test without its server has failed")]
            Err(error) => panic!("no PostgreSQL for the tests (Debian: postgresql): {error}"),
        })
    }

    /// A cluster of one's own, for whoever kills it.
    ///
    /// # Errors
    /// PostgreSQL is not installed, or does not start.
    pub fn begin(durability: Durability) -> io::Result<Self> {
        let bin = binaries()?;
        // Not the test's own temporary folder: the keeper deletes it, also when the test is killed.
        let dir = tempfile::Builder::new().prefix("tandem-postgres-").tempdir()?.keep();
        let owner = is_root().then(user).transpose()?;
        if let Some((uid, gid)) = owner {
            chown(&dir, Some(uid), Some(gid))?;
        }
        let data = dir.join("data");
        let mut initdb = unprivileged(&bin.join("initdb"));
        initdb.arg("-D").arg(&data).args(["-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]);
        succeed(&mut initdb)?;
        let port = ports::free()?;
        let mut server = unprivileged(&bin.join("postgres"));
        server.arg("-D").arg(&data).arg("-k").arg(&dir).args(["-h", "127.0.0.1", "-p", &port.to_string()]);
        for setting in ["shared_buffers=32MB", "max_connections=400", "max_wal_size=256MB", "log_min_messages=fatal"] {
            server.args(["-c", setting]);
        }
        if durability == Durability::Process {
            server.args(["-c", "fsync=off", "-c", "full_page_writes=off"]);
        }
        let keeper = Mutex::new(Keeper::new(&dir, &server)?);
        let postgres = Self { dir, bin, port, keeper, databases: AtomicU32::new(0) };
        postgres.start()?;
        Ok(postgres)
    }

    /// A database of its own for a test.
    ///
    /// # Errors
    /// The server does not make one.
    pub fn database(&self) -> io::Result<Database<'_>> {
        let name = format!("test_{}", self.databases.fetch_add(1, Relaxed));
        succeed(self.client("createdb").arg(&name))?;
        Ok(Database { postgres: self, name })
    }

    /// Where a database of that name is, or would be.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    /// Kills the server with everything that belongs to it, as a crash does.
    ///
    /// # Errors
    /// The keeper is gone.
    pub fn kill9(&self) -> io::Result<()> {
        let mut keeper = self.keeper.lock();
        if let Some(server) = keeper.server.take() {
            // Its children first would be a crash that it recovers from by itself. Stopped, it has no new ones meanwhile.
            kill_process(server, Signal::STOP)?;
            let children = children(server);
            kill_process(server, Signal::KILL)?;
            for child in &children {
                let _ = kill_process(*child, Signal::KILL);
            }
            keeper.say("reap")?;
            // The next one does not start while one of them still has the shared memory.
            let deadline = Instant::now() + PATIENCE;
            while children.iter().any(|it| is_alive(it.as_raw_nonzero().get())) && Instant::now() < deadline {
                sleep(Duration::from_millis(5));
            }
        }
        Ok(())
    }

    /// Stops whoever serves a connection now (SIGSTOP): to its client the server has vanished without a word. New
    /// connections are served. Only [`kill9`](Self::kill9) ends such a server quickly.
    pub fn freeze_connections(&self) {
        let children = self.keeper.lock().server.map(children).unwrap_or_default();
        let title = |pid: &Pid| fs::read_to_string(format!("/proc/{}/cmdline", pid.as_raw_nonzero()));
        let serves = |pid: &Pid| title(pid).is_ok_and(|title| title.contains(" 127.0.0.1("));
        for child in children.into_iter().filter(serves) {
            let _ = kill_process(child, Signal::STOP);
        }
    }

    /// Ends the server in good order; connections are cut.
    ///
    /// # Errors
    /// The keeper is gone.
    pub fn stop(&self) -> io::Result<()> {
        let mut keeper = self.keeper.lock();
        if let Some(server) = keeper.server.take() {
            kill_process(server, Signal::INT)?;
            keeper.say("reap")?;
        }
        Ok(())
    }

    /// Starts the server again and waits until it answers. One that runs is left alone.
    ///
    /// # Errors
    /// It does not come up; with what it logged.
    pub fn start(&self) -> io::Result<()> {
        let mut keeper = self.keeper.lock();
        if keeper.server.is_some() {
            return Ok(());
        }
        let pid = keeper.say("start")?.trim().parse().map_err(io::Error::other)?;
        keeper.server = Pid::from_raw(pid);
        let deadline = Instant::now() + PATIENCE;
        while !self.client("pg_isready").arg("-q").status()?.success() {
            if !is_alive(pid) || Instant::now() > deadline {
                let log = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
                return Err(io::Error::other(format!("PostgreSQL does not start:\n{log}")));
            }
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command.args(["-h", "127.0.0.1", "-U", USER, "-p", &self.port.to_string()]);
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let mut keeper = self.keeper.lock();
        drop(keeper.words.take());
        let _ = keeper.shell.wait();
    }
}

impl Keeper {
    fn new(dir: &Path, server: &Command) -> io::Result<Self> {
        let mut command = Command::new("sh");
        command.arg("-c").arg(KEEPER).arg("keeper").arg(dir).arg(server.get_program()).args(server.get_args());
        // A group of its own: what ends the tests from the terminal must not end the one that cleans up after them.
        command.process_group(0).current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut shell = command.spawn()?;
        let (words, answers) = (shell.stdin.take(), shell.stdout.take());
        let answers = BufReader::new(answers.ok_or(io::ErrorKind::BrokenPipe)?);
        Ok(Self { shell, words, answers, server: None })
    }

    fn say(&mut self, word: &str) -> io::Result<String> {
        writeln!(self.words.as_mut().ok_or(io::ErrorKind::BrokenPipe)?, "{word}")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        Ok(answer)
    }
}

impl Database<'_> {
    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        self.postgres.url(&self.name)
    }
}

impl Drop for Database<'_> {
    fn drop(&mut self) {
        // Whoever is still connected is cut. A server that is down has nothing to drop.
        let mut dropdb = self.postgres.client("dropdb");
        let _ = dropdb.args(["--force", "--if-exists", &self.name]).stderr(Stdio::null()).status();
    }
}

/// Debian keeps them out of the way, one folder a version: the newest.
fn binaries() -> io::Result<PathBuf> {
    let version = |path: &PathBuf| path.file_name().and_then(|it| it.to_str()).and_then(|it| it.parse::<u32>().ok());
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|it| it.path());
    let newest = installed.filter(|path| path.join("bin/initdb").exists()).max_by_key(version);
    let on_path = || std::env::split_paths(&std::env::var_os("PATH")?).find(|it| it.join("initdb").exists());
    newest.map(|it| it.join("bin")).or_else(on_path).ok_or_else(|| io::Error::other("no initdb on this machine"))
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs a program as somebody who may not do everything.
fn unprivileged(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={USER}"), format!("--regid={USER}"), String::from("--clear-groups")]).arg(program);
    command.current_dir("/");
    command
}

/// The user and group that [`unprivileged`] makes of root.
fn user() -> io::Result<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd")?;
    let line = users.lines().find(|line| line.split(':').next() == Some(USER));
    let mut ids = line.into_iter().flat_map(|line| line.split(':').skip(2)).filter_map(|it| it.parse().ok());
    ids.next().zip(ids.next()).ok_or_else(|| io::Error::other(format!("no user {USER} on this machine")))
}

fn succeed(command: &mut Command) -> io::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{}: {said}", command.get_program().to_string_lossy())))
}

/// Processes whose parent that is.
fn children(parent: Pid) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|it| it.file_name().to_str()?.parse::<i32>().ok());
    let is_child = |pid: &i32| field(*pid, 1).is_some_and(|it| it == parent.as_raw_nonzero().to_string());
    pids.filter(is_child).filter_map(Pid::from_raw).collect()
}

fn is_alive(pid: i32) -> bool {
    field(pid, 0).is_some_and(|state| state != "Z")
}

/// A field of `/proc/<pid>/stat` behind the name: its state, its parent.
fn field(pid: i32, n: usize) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(n).map(str::to_owned)
}
