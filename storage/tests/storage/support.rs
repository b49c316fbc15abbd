//! A data folder with a ledger in it, and calls to put into it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use tandem_core::cause::Cause;
use tandem_core::cdr::{CdrFold, Route};
use tandem_core::event::{Context, Fact, FactBody, Side};
use tandem_core::id::{CallId, CorrelationId, DeviceId, LegId, NodeId, Tenant, UserId};
use tandem_core::location::{Binding, Flow, Transport};
use tandem_core::metric::Metrics;
use tandem_core::party::{Identity, Party, TrunkName};
use tandem_core::ports::LedgerPort;
use tandem_core::time::WallTime;
use tandem_storage::{Bus, BusConfig, BusError, Config, Engine, Ledger, PublishedEvent, Storage};
use tandem_testbed::nats::Nats;
use tandem_testbed::postgres::{Database, Postgres};
use tempfile::TempDir;
use uuid::Uuid;

use super::bus::{FACTS, drained, jetstream, messages};
use super::{ENGINE, SERVERS};

pub(crate) const LONG: Duration = Duration::from_secs(20);

/// A data folder, a database on the engine of the bed and its bus. What is opened in it is dropped without a goodbye, as a killed process leaves it.
pub(crate) struct Home {
    pub(crate) config: Config,
    pub(crate) bus: BusConfig,
    /// Where the database is; `None` is in the folder.
    pub(crate) url: Option<String>,
    _dir: TempDir,
    _database: Option<Database<'static>>,
}

/// A process that has the folder open.
pub(crate) struct Process {
    pub(crate) storage: Arc<Storage>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) bus: Arc<Bus>,
    pub(crate) metrics: Arc<Metrics>,
    /// Which node its data folder makes it.
    pub(crate) node: NodeId,
}

impl Home {
    pub(crate) fn new() -> Self {
        let database = (ENGINE == Engine::Postgres).then(|| Postgres::shared().database().unwrap());
        let url = database.as_ref().map(Database::url);
        Self { _database: database, ..Self::at(url) }
    }

    /// One whose database is there, and not dropped with it.
    pub(crate) fn at(url: Option<String>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (busy_timeout, statement_timeout) = (Duration::from_millis(200), Duration::from_secs(10));
        let (data_dir, readers, writers) = (dir.path().join("var"), 2, 2);
        let database_url = url.clone().map(Into::into);
        let config =
            Config { data_dir, database_url, busy_timeout, statement_timeout, readers, writers, ..Config::default() };
        let bus = if SERVERS.is_some() { jetstream_bus() } else { BusConfig::default() };
        Self { config, bus, url, _dir: dir, _database: None }
    }

    /// One with a JetStream on every bed.
    pub(crate) fn with_jetstream() -> Self {
        let home = Self::new();
        if SERVERS.is_some() { home } else { Self { bus: jetstream_bus(), ..home } }
    }

    /// One with a bus of its own, which the test may kill.
    pub(crate) fn with_killable() -> (Self, Nats) {
        let nats = Nats::cluster(SERVERS.unwrap_or(1)).unwrap();
        (Self { bus: BusConfig { nats_url: Some(nats.url().into()), ..jetstream_bus() }, ..Self::new() }, nats)
    }

    pub(crate) async fn open(&self) -> Process {
        self.open_on(&self.bus).await.unwrap()
    }

    pub(crate) async fn open_on(&self, bus: &BusConfig) -> Result<Process, BusError> {
        let metrics = Arc::new(Metrics::default());
        let storage = Storage::open(&self.config, metrics.clone()).await.unwrap();
        let node = tandem_storage::node_id(&self.config.data_dir).unwrap();
        let bus = Bus::connect(bus, node, self.config.bus_capacity, metrics.clone()).await?;
        let ledger = Ledger::open(storage.clone(), bus.clone()).unwrap();
        Ok(Process { storage, ledger, bus, metrics, node })
    }

    pub(crate) fn journal(&self, file: &str) -> PathBuf {
        self.config.data_dir.join("journal").join(file)
    }

    /// Another program that looks into the database.
    pub(crate) async fn other_program(&self) -> DatabaseConnection {
        let file = || format!("sqlite://{}/tandem.db", self.config.data_dir.display());
        sea_orm::Database::connect(self.url.clone().unwrap_or_else(file)).await.unwrap()
    }

    /// Another program changes rows.
    pub(crate) async fn execute(&self, sql: &str) {
        self.other_program().await.execute_unprepared(sql).await.unwrap();
    }

    /// Tables of ours, by name.
    pub(crate) async fn tables(&self) -> Vec<String> {
        let tables = on(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
            "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'",
        );
        self.select(&format!("SELECT name FROM ({tables}) t WHERE name <> 'seaql_migrations' ORDER BY name")).await
    }

    /// Columns of a table, each with its type.
    pub(crate) async fn columns(&self, table: &str) -> Vec<String> {
        let shape = "column_name || ' ' || data_type || coalesce('(' || character_maximum_length || ')', '')";
        self.select(&on(
            &format!("SELECT name || ' ' || type FROM pragma_table_info('{table}')"),
            &format!("SELECT {shape} FROM information_schema.columns WHERE table_name = '{table}'"),
        ))
        .await
    }

    /// What `sqlite3` or `psql` shows: one line per row.
    pub(crate) async fn select(&self, sql: &str) -> Vec<String> {
        let db = self.other_program().await;
        let wrapped = Statement::from_string(db.get_database_backend(), sql.to_owned());
        let rows = db.query_all_raw(wrapped).await.unwrap();
        let shown = rows.iter().map(|row| row.try_get_by_index::<String>(0).unwrap());
        shown.collect()
    }
}

/// An account of the bed's servers, empty.
fn jetstream_bus() -> BusConfig {
    let nats = Nats::shared(SERVERS == Some(3));
    let (url, stream_replicas) = (nats.account().unwrap(), nats.servers().len());
    BusConfig { nats_url: Some(url.into()), stream_replicas, ..BusConfig::default() }
}

/// What differs between the engines.
pub(crate) fn on(sqlite: &str, postgres: &str) -> String {
    match ENGINE {
        Engine::Sqlite => sqlite,
        Engine::Postgres => postgres,
    }
    .to_owned()
}

/// Some columns of a row in one line, those that are times as RFC 3339 has them.
pub(crate) fn line(columns: &str) -> String {
    let shown = |name: &str| match name.ends_with("_at") {
        true => on(name, &format!("to_char({name} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"+00:00\"')")),
        false => name.to_owned(),
    };
    let columns: Vec<_> = columns.split(", ").map(shown).collect();
    format!("concat_ws('|', {})", columns.join(", "))
}

impl Process {
    pub(crate) fn commit(&self, facts: &[Fact]) {
        facts.iter().for_each(|fact| self.ledger.commit(fact));
    }

    pub(crate) async fn store(&self) {
        self.ledger.flush(LONG).await.unwrap();
    }

    /// Everything that was stored goes to the bus.
    pub(crate) async fn relay(&self) {
        tokio::select! {
            () = self.ledger.relay_loop() => panic!("the relay returned"),
            () = drained(self) => {}
        }
    }
}

/// Facts on the bus of the bed, from the beginning: whatever that is.
pub(crate) enum Heard {
    Process(tokio::sync::broadcast::Receiver<Arc<PublishedEvent>>),
    JetStream(BusConfig),
}

impl Heard {
    pub(crate) fn of(home: &Home, process: &Process) -> Self {
        match home.bus.nats_url {
            None => Self::Process(process.bus.subscribe()),
            Some(_) => Self::JetStream(home.bus.clone()),
        }
    }

    /// All of them so far, in their order.
    pub(crate) async fn all(&mut self) -> Vec<PublishedEvent> {
        match self {
            Self::Process(events) => std::iter::from_fn(|| events.try_recv().ok().map(|it| (*it).clone())).collect(),
            Self::JetStream(bus) => {
                messages(&jetstream(bus).await, FACTS).await.into_iter().map(|(_, event)| event).collect()
            }
        }
    }
}

pub(crate) fn uuid(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

pub(crate) fn node() -> NodeId {
    NodeId::from_uuid(uuid(0x40))
}

pub(crate) fn call_id(n: u128) -> CallId {
    CallId::from_uuid(uuid(0xca11_0000 + n))
}

pub(crate) fn leg(call: u128, n: u128) -> LegId {
    LegId::from_uuid(uuid(call * 16 + n))
}

/// A second of the test's day.
pub(crate) fn at(second: i64) -> WallTime {
    WallTime(1_790_000_000_000_000 + second * 1_000_000 + 123_456)
}

/// Alice (1001, on our device) calls 1002 behind a trunk: rings after 1 s, answered after 3 s, the callee hangs up
/// after 63 s.
pub(crate) fn talked(n: u128) -> Vec<Fact> {
    let (caller, callee) = (leg(n, 1), leg(n, 2));
    let over =
        |leg_id| FactBody::LegEnded { leg_id, cause: Cause::Normal, sip_status: None, rang_at: None, media: None };
    let answered = Fact { sdp: Some("v=0 answer".into()), ..fact(n, 4, 3, FactBody::Answered { leg_id: callee }) };
    let mut facts = vec![
        Fact { sdp: Some("v=0 offer".into()), ..fact(n, 1, 0, started(caller)) },
        fact(
            n,
            2,
            0,
            FactBody::Dialled {
                leg_id: callee,
                callee: bob(),
                route: Some(Route::Trunk { prefix: Some("+".to_owned()) }),
            },
        ),
        fact(n, 3, 1, FactBody::Ringing { leg_id: callee }),
        answered,
        fact(n, 5, 63, over(callee)),
        fact(n, 6, 63, over(caller)),
        fact(n, 7, 63, FactBody::Ended { cause: Cause::Normal, by: Side::Callee }),
    ];
    let mut fold = CdrFold::begin(&facts[0]).unwrap();
    facts.iter().for_each(|fact| fold.apply(fact));
    facts.push(fact(n, 8, 63, FactBody::CdrClosed(Box::new(fold.record(node())))));
    facts
}

pub(crate) fn fact(call: u128, number: u32, second: i64, body: FactBody) -> Fact {
    let context = Context {
        tenant: Tenant::default_tenant(),
        correlation_id: CorrelationId::from_uuid(uuid(0xc0_0000 + call)),
        node: node(),
    };
    Fact { context, call: call_id(call), number, at: at(second), caused_by: None, sdp: None, body }
}

fn started(leg_id: LegId) -> FactBody {
    let identity = Identity::User { user_id: UserId::from_uuid(uuid(11)), device_id: DeviceId::from_uuid(uuid(12)) };
    let caller = Party { number: "1001".to_owned().into(), name: Some("Alice".to_owned().into()), identity };
    FactBody::Started { leg_id, caller, dialled: "1002".to_owned().into() }
}

fn bob() -> Party {
    let identity = Identity::Trunk { trunk: TrunkName("out".into()) };
    Party { number: "1002".to_owned().into(), name: None, identity }
}

pub(crate) fn binding(contact: &str, expires: WallTime) -> Binding {
    Binding {
        tenant: Tenant::default_tenant(),
        user_id: UserId::from_uuid(uuid(11)),
        device_id: DeviceId::from_uuid(uuid(12)),
        extension: "1001".to_owned().into(),
        contact: contact.to_owned(),
        parameters: ";q=1".to_owned(),
        flow: Flow {
            transport: Transport::Udp,
            local: "127.0.0.1:5060".parse().unwrap(),
            remote: "127.0.0.1:5062".parse().unwrap(),
            connection: 0,
        },
        call_id: "abc@phone".to_owned(),
        cseq: 4_000_000_000,
        user_agent: Some("phone/1".to_owned()),
        expires,
    }
}
