//! The operator's command line.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};
use tandem_actors::drill::How;
use tandem_core::account::Role;
use tandem_core::id::Tenant;
use tandem_core::metric::Metrics;
use tandem_storage::Storage;
use tokio::runtime::{Builder, Runtime};

use crate::config::{Config, reference};
use crate::contracts::Contract;
use crate::replay::ReplayArguments;
use crate::users::Added;
use crate::why::{Form, why};
use crate::{breaking, contracts, history, outbox, replay, serve, tenant_list, tree, users};

/// A SIP node whose calls survive its crashes.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// Configuration file; `tandem.toml` if there is one.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a node until SIGTERM or Ctrl-C; the second one stops it at once.
    Serve {
        /// Development: loopback only, users alice, bob and carol (1001 to 1003) whose passwords are their names.
        #[arg(long)]
        dev: bool,
    },
    /// Those who may register.
    #[command(subcommand)]
    User(UserCommand),
    /// Those whose users these are.
    #[command(subcommand)]
    Tenant(TenantCommand),
    /// The configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Live and recent calls.
    Calls {
        /// How many recent ones.
        #[arg(long, default_value_t = 20)]
        limit: u64,
    },
    /// Every actor of the running node: live in a terminal, once where there is none.
    Tree {
        /// As JSON, once.
        #[arg(long)]
        json: bool,
    },
    /// Break an actor of the running node, to see it recover; only where `ops.allow_break` is set.
    Break {
        /// As `tandem tree` has it: node, edges, edges/sip.0, calls.0, calls.0/supervisor, call_…, leg_…, trk_…, worker.0.
        id: String,
        /// How.
        #[arg(long)]
        how: Way,
    },
    /// What integrators are promised: events (AsyncAPI, JSON Schemas) and the API (OpenAPI).
    Contracts {
        /// Which; all of them unless one is named.
        what: Option<Contract>,
        /// Write files into this folder instead of printing.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// What is on its way to the bus, and what is in the way.
    Outbox {
        /// Put events that were set aside back into the queue.
        #[arg(long)]
        retry: bool,
    },
    /// Publish the history again, into a stream that lost it. What the stream has is left out; facts of now wait.
    Replay(ReplayArguments),
    /// Why a call went as it did: its messages, what broke and was restarted, its media, its end. Times are UTC.
    Why {
        /// Which, as `tandem calls` shows it; or a correlation id, for all that it explains.
        call_id: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
        /// Every note, with the texts of all messages.
        #[arg(long, conflicts_with = "json")]
        full: bool,
    },
}

/// [`How`], on the command line.
#[derive(Clone, Copy, ValueEnum)]
enum Way {
    /// It panics when it is woken next.
    Panic,
    /// By a kill signal.
    Kill,
    /// It does not come back from its next wake, and a watchdog replaces it.
    Hang,
}

impl From<Way> for How {
    fn from(way: Way) -> Self {
        match way {
            Way::Panic => Self::Panic,
            Way::Kill => Self::Kill,
            Way::Hang => Self::Hang,
        }
    }
}

#[derive(Subcommand)]
enum UserCommand {
    /// Add one; the password is read from standard input.
    Add {
        /// Sign-in name.
        name: String,
        /// The number that its phones register.
        #[arg(long)]
        extension: String,
        /// Shown to those it calls.
        #[arg(long)]
        display_name: Option<String>,
        /// Whose, as `tandem tenant list` has it.
        #[arg(long, default_value = "default")]
        tenant: Tenant,
        /// What he may do: user (call) or admin (see and change what belongs to his tenant).
        #[arg(long, default_value = "user")]
        role: Role,
    },
    /// Show all.
    List,
}

#[derive(Subcommand)]
enum TenantCommand {
    /// Add one, or domains to one that is there.
    Add {
        /// Its name: a slug of lower-case letters, digits and dashes.
        tenant: Tenant,
        /// A SIP domain and HTTP host that is its alone; may be repeated.
        #[arg(long = "domain", value_name = "DOMAIN")]
        domains: Vec<String>,
    },
    /// From now on its users may not sign in, register or begin calls; calls that are answered go on.
    Disable {
        /// Which.
        tenant: Tenant,
    },
    /// From now on they may again.
    Enable {
        /// Which.
        tenant: Tenant,
    },
    /// Show all.
    List,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Read it, and say what is wrong with it.
    Check,
    /// Print every setting with its default and what it means.
    Reference,
}

/// Does what the command line says; what goes wrong is told in one line.
pub(crate) fn run() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _closed = writeln!(std::io::stderr(), "tandem: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Cli {
    fn run(self) -> Result<()> {
        let load = || Config::load(self.config.as_deref());
        match self.command {
            Command::Serve { dev } => {
                let config = load()?;
                runtime()?.block_on(serve::run(if dev { config.on_loopback() } else { config }, dev))
            }
            Command::User(command) => say(&runtime()?.block_on(command.run(&load()?))?),
            Command::Tenant(command) => say(&runtime()?.block_on(command.run(&load()?))?),
            Command::Config(ConfigCommand::Check) => load().and_then(|_| say("The configuration is right.\n")),
            Command::Config(ConfigCommand::Reference) => say(&reference()?),
            Command::Contracts { what, out } => say(&contracts::show(what, out.as_deref())?),
            Command::Tree { json } => tree::show(&runtime()?, &load()?, json),
            Command::Break { id, how } => say(&runtime()?.block_on(breaking::part(&load()?, &id, how.into()))?),
            Command::Why { call_id, json, full } => {
                let form = if json {
                    Form::Json
                } else if full {
                    Form::Full
                } else {
                    Form::Screen
                };
                say(&runtime()?.block_on(why(&load()?, &call_id, form))?)
            }
            Command::Outbox { retry } => say(&runtime()?.block_on(outbox::show(&load()?, retry))?),
            Command::Replay(arguments) => say(&runtime()?.block_on(replay::run(&load()?, arguments))?),
            Command::Calls { limit } => say(&runtime()?.block_on(history::calls(&load()?, limit))?),
        }
    }
}

impl UserCommand {
    async fn run(self, config: &Config) -> Result<String> {
        // Somebody sits and waits.
        let at_once = tandem_storage::Config { connect_timeout: Duration::ZERO, ..config.storage.clone() };
        let storage = Storage::open(&at_once, Metrics::default().into()).await?;
        match self {
            Self::Add { name, extension, display_name, tenant, role } => {
                let display_name = display_name.as_deref();
                let (tenant, name, extension) = (&tenant, name.as_str(), extension.as_str());
                users::add(config, &storage, Added { tenant, name, extension, display_name, role }).await
            }
            Self::List => users::list(&storage).await,
        }
    }
}

impl TenantCommand {
    async fn run(self, config: &Config) -> Result<String> {
        let storage = Storage::open(&config.storage, Metrics::default().into()).await?;
        match self {
            Self::Add { tenant, domains } => tenant_list::add(config, &storage, &tenant, &domains).await,
            Self::Disable { tenant } => tenant_list::enable(config, &storage, &tenant, false).await,
            Self::Enable { tenant } => tenant_list::enable(config, &storage, &tenant, true).await,
            Self::List => tenant_list::list(&storage).await,
        }
    }
}

fn runtime() -> Result<Runtime> {
    Ok(Builder::new_multi_thread().enable_all().thread_name("tandem").build()?)
}

/// To standard output. A reader that has gone is no error.
pub(crate) fn say(text: &str) -> Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
