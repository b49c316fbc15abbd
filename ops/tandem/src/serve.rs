//! Puts a node together, runs it, and takes it apart again.
//!
//! ```text
//!  telemetry ▶ database ▶ recovery ▶ calls ▶ SIP ▶ plan ▶ media ▶ accounts ▶ HTTP ▶ services ▶ ready
//!  drain ▶ services, the last group first ▶ journal flushed ▶ telemetry
//! ```

mod signals;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tandem_actors::{Calls, Clock, Group, Node, Outside};
use tandem_core::id::Tenant;
use tandem_core::metric::Metrics;
use tandem_core::routing::Trunk;
use tandem_http::{Api, OperatorToken};
use tandem_media::Pool;
use tandem_sip::{Deps, Registrar, Sip};
use tandem_storage::{Bus, Ledger, Storage, node_id};
use tracing::{info, warn};

use crate::accounts::AccountTable;
use crate::cli::say;
use crate::config::Config;
use crate::operator::NodeOperator;
use crate::plan::LivePlan;
use crate::services::{AccountLoader, DiskWatch, HttpService, LedgerWriter, MediaWorker, Relay, SipLoop};
use crate::token::operator_token;
use crate::{limits, telemetry, users};
use signals::Signals;

/// A node that has been put together and not started.
struct Parts {
    calls: Arc<Calls>,
    sip: Sip,
    operator: Arc<NodeOperator>,
    groups: Vec<Group>,
}

/// Runs a node until it is told to stop.
///
/// # Errors
/// What it lacks to start. Whatever happens later is no error but supervision's.
pub(crate) async fn run(config: Config, dev: bool) -> Result<()> {
    let telemetry = telemetry::start(&config.log)?;
    let outcome = serve(&config, dev).await;
    telemetry.finish().await;
    outcome
}

async fn serve(config: &Config, dev: bool) -> Result<()> {
    limits::check(config);
    let mut signals = Signals::listen()?;
    let Parts { calls, sip, operator, groups } = assemble(config, dev).await?;
    let node = Node::start(calls.clone(), groups).await?;
    operator.set_started();
    info!("ready");
    if dev {
        say(&greeting(config))?;
    }
    signals.next().await;
    info!(drain_timeout_s = config.calls.drain_timeout.as_secs(), "stopping");
    sip.close_door();
    let stopping = node.stop(config.calls.drain_timeout);
    tokio::pin!(stopping);
    let left = tokio::select! {
        left = &mut stopping => left,
        () = signals.next() => {
            info!("stopping at once");
            tokio::join!(&mut stopping, calls.drain(Duration::ZERO)).0
        }
    };
    if left > 0 {
        warn!(calls = left, "calls left, to be ended at the next start");
    }
    info!("stopped");
    Ok(())
}

/// Everything that can fail for want of a file, a port or a right fails here, before anything runs.
async fn assemble(config: &Config, dev: bool) -> Result<Parts> {
    let (metrics, clock) = (Arc::new(Metrics::default()), Clock::start());
    let storage = Storage::open(&config.storage, metrics.clone()).await?;
    let node = node_id(&config.storage.data_dir)?;
    let bus = Bus::new(config.storage.bus_capacity, metrics.clone());
    let ledger = Ledger::open(storage.clone(), bus.clone())?;
    ledger.recover(node).await?;
    if dev {
        users::add_development_accounts(&storage, &config.sip.realm).await?;
    } else {
        users::refuse_development_accounts(&storage, &config.sip.realm).await?;
        ensure!(config.sip.break_on.is_none(), "sip.break_on: only with --dev");
    }

    let calls = Calls::new(&config.calls, clock.clone(), metrics.clone());
    let accounts = Arc::new(AccountTable::default());
    let registrar = Registrar::new(config.sip.registration.clone(), ledger.clone(), metrics.clone());
    let registrar = Arc::new(registrar);
    registrar.restore(storage.load_bindings().await?);
    let plan = Arc::new(LivePlan::new(registrar.clone()));
    let sip_clock = clock.clone();
    let deps = Deps {
        calls: calls.clone(),
        accounts: accounts.clone(),
        registrar,
        metrics: metrics.clone(),
        clock: Arc::new(move || sip_clock.now()),
        tenant: Tenant::default_tenant(),
        node,
    };
    let sip = Sip::new(config.sip.clone(), deps).context("the SIP border cannot begin")?;
    let pool = Arc::new(Pool::new(config.media.clone(), calls.clone(), metrics.clone())?);
    calls.connect(Outside {
        edge: Arc::new(sip.clone()),
        media: pool.clone(),
        ledger: ledger.clone(),
        bus: bus.clone(),
        plan: plan.clone(),
    });

    let loader = AccountLoader { storage, accounts, plan, trunks: trunks(config), numbering: config.numbering()? };
    loader.load().await?;
    let operator = Arc::new(NodeOperator::new(calls.clone(), pool.clone()));
    let token = OperatorToken::new(operator_token(&config.storage.data_dir)?);
    let api = Api { metrics: metrics.clone(), operator: operator.clone(), token, may_break: dev };
    let bind = config.http.bind;
    let listener = TcpListener::bind(bind).with_context(|| format!("http.bind {bind}"))?;
    let http = HttpService { listener, api, config: config.http.clone() };

    let disk = DiskWatch { ledger: ledger.clone(), calls: calls.clone() };
    let groups = vec![
        Group::new("ledger").with(Arc::new(LedgerWriter(ledger.clone()))).with(Arc::new(disk)),
        Group::new("bus").with(Arc::new(Relay(ledger))),
        MediaWorker::all(&pool, &clock).fold(Group::new("media"), Group::with),
        SipLoop::join(Group::new("edges"), &sip).with(Arc::new(http)),
        Group::new("services").with(Arc::new(loader)),
    ];
    Ok(Parts { calls, sip, operator, groups })
}

fn trunks(config: &Config) -> Vec<Trunk> {
    let trunk = |it: &tandem_sip::config::TrunkConfig| Trunk {
        name: tandem_core::party::TrunkName(it.name.as_str().into()),
        address: it.address,
        prefixes: it.prefixes.clone(),
    };
    config.sip.trunk.iter().map(trunk).collect()
}

/// What a newcomer needs to make a first call.
fn greeting(config: &Config) -> String {
    let accounts = users::DEVELOPMENT.map(|(name, extension)| format!("{extension} ({name}, password {name})"));
    let sip = config.sip.udp.first().map(ToString::to_string).unwrap_or_default();
    format!(
        "Tandem is ready. SIP {sip} (UDP, TCP) · accounts {} · http://{}/metrics · Ctrl-C stops it.\n",
        accounts.join(", "),
        config.http.bind
    )
}
