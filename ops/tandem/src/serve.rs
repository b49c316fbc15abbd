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
use tandem_actors::{Auditor, Calls, Clock, Group, Node, Outside, Rooms, RoomsOutside};
use tandem_core::id::Tenant;
use tandem_core::metric::Metrics;
use tandem_core::routing::Trunk;
use tandem_http::identity::{Gate, Issuer, Revocations, Tokens};
use tandem_http::{Api, Clients, OperatorToken, SignIns};
use tandem_media::Pool;
use tandem_provider::{Mock, VoipProvider};
use tandem_sip::{Deps, Registrar, Sip};
use tandem_storage::{Bus, Ledger, Storage, node_id};
use tracing::{info, warn};

use crate::accounts::AccountTable;
use crate::audit_trail::StoredAudit;
use crate::cli::say;
use crate::config::{Config, Provider};
use crate::edges::Edges;
use crate::identity::{StoredAccounts, signing_keys};
use crate::last_media::LastMedia;
use crate::operator::{MEDIA, NodeOperator};
use crate::outsiders::StoredOutsiders;
use crate::plan::LivePlan;
use crate::records::StoredRecords;
use crate::revoker::StoredRevoker;
use crate::services::{
    AccountLoader, Archivist, DiskWatch, HttpService, IssuerKeeper, LedgerWriter, MediaWorker, MockProvider, Relay,
    RevocationKeeper, RoomRelay, SessionKeeper, SipLoop, TraceKeeper,
};
use crate::telemetry::CallSpans;
use crate::tenants::TenantTable;
use crate::token::operator_token;
use crate::tracer::{ReportedMedia, Tracer};
use crate::traces::NodeTraces;
use crate::user_calls::StoredCalls;
use crate::webhooks::{StoredWebhooks, WebhookEngine};
use crate::witness::Witness;
use crate::{limits, rooms, telemetry, users};
use signals::Signals;

/// A node that has been put together and not started.
struct Parts {
    calls: Arc<Calls>,
    rooms: Arc<Rooms>,
    sip: Sip,
    operator: Arc<NodeOperator>,
    groups: Vec<Group>,
}

/// Runs a node until it is told to stop.
///
/// # Errors
/// What it lacks to start. Whatever happens later is no error but supervision's.
pub(crate) async fn run(config: Config, dev: bool) -> Result<()> {
    let metrics = Arc::new(Metrics::default());
    let telemetry = telemetry::start(&config, &metrics)?;
    let outcome = serve(&config, dev, metrics, telemetry.spans.clone()).await;
    telemetry.finish().await;
    outcome
}

async fn serve(config: &Config, dev: bool, metrics: Arc<Metrics>, spans: CallSpans) -> Result<()> {
    limits::check(config);
    let mut signals = Signals::listen()?;
    // A database that is away may be waited for; whoever does not want to says so.
    let parts = tokio::select! {
        parts = assemble(config, dev, metrics, spans) => parts?,
        () = signals.next() => return Ok(()),
    };
    let Parts { calls, rooms, sip, operator, groups } = parts;
    let node = Node::start(calls.clone(), rooms, groups).await?;
    operator.set_started(node.tree().clone());
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
async fn assemble(config: &Config, dev: bool, metrics: Arc<Metrics>, spans: CallSpans) -> Result<Parts> {
    let clock = Clock::start();
    let storage = Storage::open(&config.storage, metrics.clone()).await?;
    let node = node_id(&config.storage.data_dir)?;
    let bus = Bus::connect(&config.bus, node, config.storage.bus_capacity, metrics.clone()).await?;
    let ledger = Ledger::open(storage.clone(), bus.clone())?;
    ledger.recover(node).await?;
    if dev {
        users::add_development_accounts(&storage, &config.sip.realm).await?;
    } else {
        users::refuse_development_accounts(&storage, &config.sip.realm).await?;
        ensure!(config.sip.break_on.is_none(), "sip.break_on: only with --dev");
        ensure!(config.media.break_on.is_none(), "media.break_on: only with --dev");
    }

    let calls = Calls::new(&config.calls, clock.clone(), metrics.clone());
    let accounts = Arc::new(AccountTable::default());
    let registrar = Registrar::new(config.sip.registration.clone(), ledger.clone(), metrics.clone());
    let registrar = Arc::new(registrar);
    registrar.restore(storage.load_bindings(node).await?);
    let tracer = Arc::new(Tracer::new(config.trace.memory_bytes, clock.clone(), metrics.clone()));
    let clients = Clients::new(calls.clone(), node, clock.clone(), metrics.clone(), tracer.clone());
    let plan = Arc::new(LivePlan::new(registrar.clone(), clients.clone()));
    let (tenants, sip_clock) = (Arc::new(TenantTable::default()), clock.clone());
    let auditor = Arc::new(Auditor::new(ledger.clone(), node, clock.clone()));
    let (rooms, livekit) = rooms::assemble(config, dev, (node, &clock), &auditor, &metrics);
    let deps = Deps {
        calls: calls.clone(),
        accounts: accounts.clone(),
        registrar,
        metrics: metrics.clone(),
        trace: tracer.clone(),
        clock: Arc::new(move || sip_clock.now()),
        tenants: tenants.clone(),
        auditor: auditor.clone(),
        node,
    };
    let sip = Sip::new(config.sip.clone(), deps).context("the SIP border cannot begin")?;
    let pool = Pool::new(config.media.clone(), calls.clone(), metrics.clone())?.traced(tracer.clone());
    let pool = Arc::new(pool.with_rooms(rooms.clone(), livekit.clone()));
    livekit.connect(pool.clone());
    rooms.connect(RoomsOutside { edge: livekit.clone(), sfu: pool.clone() });
    let last_media = Arc::new(LastMedia::new(pool.clone()));
    let media = Arc::new(ReportedMedia {
        media: pool.clone(),
        tracer: tracer.clone(),
        last: last_media.clone(),
        clock: clock.clone(),
        metrics: metrics.clone(),
    });
    storage.tell_settled(tracer.clone());
    let (of_calls, of_rooms, of_pool) = (Arc::downgrade(&calls), Arc::downgrade(&rooms), Arc::downgrade(&pool));
    metrics.watch(of_calls);
    metrics.watch(of_rooms);
    metrics.watch(of_pool);
    let mock = (config.voip.provider == Provider::Mock).then(|| Mock::new(calls.clone()));
    if let Some(mock) = &mock {
        let of_mock = Arc::downgrade(mock);
        metrics.watch(of_mock);
    }
    let provider = mock.clone().map(|mock| mock as Arc<dyn VoipProvider>);
    calls.connect(Outside {
        edge: Arc::new(Edges { sip: Arc::new(sip.clone()), clients: clients.clone(), provider }),
        media: media.clone(),
        ledger: Arc::new(Witness {
            ledger: ledger.clone(),
            clients: clients.clone(),
            tracer: tracer.clone(),
            last_media,
        }),
        bus: bus.clone(),
        plan: plan.clone(),
        trace: tracer.clone(),
    });

    let tokens = Arc::new(Tokens::new(signing_keys(&storage).await?)?);
    let keeper = SessionKeeper { storage: storage.clone(), tokens: tokens.clone() };
    let revocations = Arc::new(Revocations::default());
    let revocation_keeper = RevocationKeeper {
        storage: storage.clone(),
        revocations: revocations.clone(),
        bus: bus.clone(),
        clock: clock.clone(),
        metrics: metrics.clone(),
    };
    // Nobody is let in before it is known whom not to.
    revocation_keeper.load().await.map_err(anyhow::Error::from_boxed)?;
    let issuer = Issuer::new(&config.identity, clock.clone(), metrics.clone()).context("identity")?;
    let mut gate = Gate::new(tokens.clone(), revocations.clone(), clock.clone(), metrics.clone());
    if let Some(issuer) = &issuer {
        let outsiders = StoredOutsiders { storage: storage.clone(), realm: config.sip.realm.clone() };
        gate = gate.with_issuer(issuer.clone(), Arc::new(outsiders), Tenant::default_tenant());
    }
    let revoker = Arc::new(StoredRevoker { storage: storage.clone(), revocations, bus: bus.clone(), node });
    let stored = Arc::new(StoredAccounts::new(storage.clone(), revoker.clone()));
    let sign_ins = Arc::new(SignIns::new(stored, tokens, clock.clone(), metrics.clone()));
    let webhooks =
        StoredWebhooks { storage: storage.clone(), config: config.webhooks.clone(), clock: clock.clone(), node };
    let engine = WebhookEngine::new(storage.clone(), config.webhooks.clone(), clock.clone(), metrics.clone());
    let engine = engine.context("webhooks")?;
    let history = Arc::new(StoredCalls(storage.clone()));
    let records = Arc::new(StoredRecords(storage.clone()));
    let traces = NodeTraces { tracer: tracer.clone(), media, storage: storage.clone(), clock: clock.clone() };
    let trace_keeper = TraceKeeper {
        tracer,
        storage: storage.clone(),
        config: config.trace.clone(),
        clock: clock.clone(),
        metrics: metrics.clone(),
        spans,
    };
    let archivist = Archivist { storage: storage.clone(), clock: clock.clone() };
    let (trunks, numbering) = (trunks(config), config.numbering()?);
    let loader =
        AccountLoader { storage: storage.clone(), accounts, tenants: tenants.clone(), plan, trunks, numbering };
    loader.load().await?;
    let workers: Vec<_> = MediaWorker::all(&pool, &clock).collect();
    let operator = Arc::new(NodeOperator::new(calls.clone(), pool, workers.clone()));
    let token = OperatorToken::new(operator_token(&config.storage.data_dir)?);
    let api = Api {
        metrics: metrics.clone(),
        operator: operator.clone(),
        token,
        may_break: config.ops.allow_break,
        clients,
        sign_ins,
        gate: Arc::new(gate),
        revoker,
        webhooks: Arc::new(webhooks),
        history,
        records,
        traces: Arc::new(traces),
        tenants: tenants.clone(),
        auditor,
        audit: Arc::new(StoredAudit(storage.clone())),
        domains: domains(config).into(),
        ring_timeout: config.sip.ring_timeout,
        beside: livekit.router(),
    };
    let bind = config.http.bind;
    let listener = TcpListener::bind(bind).with_context(|| format!("http.bind {bind}"))?;
    let http = HttpService { listener, api, config: config.http.clone() };

    let services = Group::new("services").with(Arc::new(revocation_keeper)).with(Arc::new(engine));
    let services = match issuer {
        Some(issuer) => services.with(Arc::new(IssuerKeeper(issuer))),
        None => services,
    };
    let disk = DiskWatch { ledger: ledger.clone(), calls: calls.clone() };
    let groups = vec![
        Group::new("ledger").with(Arc::new(LedgerWriter(ledger.clone()))).with(Arc::new(disk)),
        Group::new("bus").with(Arc::new(Relay(ledger))),
        workers.into_iter().fold(Group::new(MEDIA), Group::with),
        with_provider(SipLoop::join(Group::new("edges"), &sip), mock)
            .with(Arc::new(http))
            .with(Arc::new(RoomRelay(livekit))),
        services.with(Arc::new(loader)).with(Arc::new(keeper)).with(Arc::new(trace_keeper)).with(Arc::new(archivist)),
    ];
    Ok(Parts { calls, rooms, sip, operator, groups })
}

fn with_provider(edges: Group, mock: Option<Arc<Mock>>) -> Group {
    match mock {
        Some(mock) => edges.with(Arc::new(MockProvider(mock))),
        None => edges,
    }
}

fn trunks(config: &Config) -> Vec<Trunk> {
    let named = |name: &str| tandem_core::party::TrunkName(name.into());
    if config.voip.provider == Provider::Mock {
        let nowhere = ([0, 0, 0, 0], 0).into();
        let everybody = Tenant::default_tenant();
        return vec![Trunk {
            name: named("mock"),
            tenant: everybody,
            address: nowhere,
            prefixes: vec![String::from("+")],
        }];
    }
    let trunk = |it: &tandem_sip::config::TrunkConfig| Trunk {
        name: named(&it.name),
        tenant: it.tenant.clone(),
        address: it.address,
        prefixes: it.prefixes.clone(),
    };
    config.sip.trunk.iter().map(trunk).collect()
}

/// Hosts whose users are ours.
fn domains(config: &Config) -> Vec<String> {
    let sip = &config.sip;
    let bound = sip.udp.iter().chain(&sip.tcp).map(|address| address.ip().to_string());
    let announced = sip.announce.map(|address| address.to_string());
    sip.domains.iter().cloned().chain([sip.realm.clone()]).chain(bound).chain(announced).collect()
}

/// What a newcomer needs to make a first call.
fn greeting(config: &Config) -> String {
    let accounts = users::DEVELOPMENT.map(|(name, extension)| format!("{extension} ({name}, password {name})"));
    let sip = config.sip.udp.first().map(ToString::to_string).unwrap_or_default();
    format!(
        "Tandem is ready. Page http://{}/ · SIP {sip} (UDP, TCP) · accounts {} · Ctrl-C stops it.\n",
        config.http.bind,
        accounts.join(", "),
    )
}
