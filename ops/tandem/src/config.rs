//! Everything that an operator may decide, from one file and the environment.

mod reference;
mod telemetry;
mod trace;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use config::{Environment, File, FileFormat};
use serde::{Deserialize, Serialize};
use tandem_core::numbering::NumberingPlan;
use tandem_http::identity::IdentityConfig;
use tandem_sip::config::{SipConfig, TrunkConfig};
use tracing_subscriber::EnvFilter;

use crate::webhooks::WebhooksConfig;

pub(crate) use reference::reference;
pub(crate) use telemetry::{OtlpProtocol, TelemetryConfig};
pub(crate) use trace::{Keep, TraceConfig};

/// Read when no file is named and this one exists.
const DEFAULT_FILE: &str = "tandem.toml";

/// Settings that are lists: in the environment their items are separated by commas.
const LISTS: [&str; 4] = ["sip.udp", "sip.tcp", "sip.domains", "http.trusted_proxies"];

/// The whole configuration.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) node: NodeConfig,
    pub(crate) log: LogConfig,
    pub(crate) ops: OpsConfig,
    pub(crate) http: tandem_http::config::Config,
    pub(crate) sip: SipConfig,
    pub(crate) media: tandem_media::Config,
    pub(crate) calls: tandem_actors::Config,
    pub(crate) storage: tandem_storage::Config,
    pub(crate) bus: tandem_storage::BusConfig,
    pub(crate) voip: VoipConfig,
    pub(crate) trace: TraceConfig,
    pub(crate) identity: IdentityConfig,
    pub(crate) webhooks: WebhooksConfig,
    pub(crate) telemetry: TelemetryConfig,
    pub(crate) rooms: tandem_livekit::Config,
    /// Carriers and PBXs, in the order in which they are tried.
    pub(crate) trunk: Vec<TrunkConfig>,
}

/// The `[node]` section.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct NodeConfig {
    /// Country whose numbers may be dialled without a country code (ISO 3166, two letters). Default none.
    pub(crate) home_country: Option<String>,
}

/// The `[ops]` section.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct OpsConfig {
    /// Whether the operator may break parts of the node on purpose (`tandem break`). Default false.
    pub(crate) allow_break: bool,
}

/// The `[voip]` section.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct VoipConfig {
    /// Who calls numbers outside: `sip` (the trunks), or `mock` (nobody is called; the number's last four digits say
    /// what happens: 0486 busy, 0603 declined, 0404 unknown, 0408 timeout, 0480 no answer, 0503 failure, 0200 hangs up,
    /// others answer). Default `sip`. The variable VOIP_PROVIDER means the same.
    pub(crate) provider: Provider,
}

/// Who calls numbers outside.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Provider {
    /// Our own border, over the trunks.
    #[default]
    Sip,
    /// Nobody; every number has its script.
    Mock,
}

/// The `[log]` section.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LogConfig {
    /// `pretty` for people, `json` for collectors. Default `pretty`.
    pub(crate) format: LogFormat,
    /// What is logged, as directives of tracing-subscriber (`info,tandem_sip=debug`). Default `info`.
    /// The audit is logged whatever it is.
    pub(crate) filter: String,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    #[default]
    Pretty,
    Json,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::default(), filter: String::from("info") }
    }
}

impl LogConfig {
    /// What is logged. ractor tells of every actor that ends, which here is the usual thing; so do migrations, the
    /// driver of connections that it replaces, and the DTLS library of every extension that a browser greets it with. The audit comes last: no filter silences it.
    ///
    /// # Errors
    /// Directives that cannot be read.
    pub(crate) fn directives(&self) -> Result<EnvFilter> {
        let filter = &self.filter;
        EnvFilter::try_new(format!(
            "ractor=warn,sea_orm_migration=warn,sqlx=warn,sqlx_core=warn,rtc_dtls=error,{filter},audit=info"
        ))
        .context("log.filter")
    }
}

impl Config {
    /// From a file and from `TANDEM__SECTION__KEY`, which wins. Without a file named, `tandem.toml` if there is one.
    ///
    /// # Errors
    /// A file that cannot be read, a key that does not exist, or a value out of its range; each with the key's path.
    pub(crate) fn load(file: Option<&Path>) -> Result<Self> {
        let source = match file {
            Some(path) => File::from(path).format(FileFormat::Toml),
            None => File::new(DEFAULT_FILE, FileFormat::Toml).required(false),
        };
        Self::assemble(config::Config::builder().add_source(source).add_source(aliases()).add_source(environment()))
    }

    fn assemble(builder: config::ConfigBuilder<config::builder::DefaultState>) -> Result<Self> {
        let config: Self = builder.build()?.try_deserialize()?;
        config.checked()
    }

    /// Only this machine can reach the node.
    pub(crate) fn on_loopback(mut self) -> Self {
        to_loopback_ip(&mut self.media.address);
        self.media.announce = None;
        self.sip.announce = None;
        self.webhooks.allow_http = true;
        self.webhooks.allow_private = true;
        let http = &mut self.http.bind;
        self.sip.udp.iter_mut().chain(&mut self.sip.tcp).chain([http]).for_each(to_loopback);
        self
    }

    /// How numbers are read.
    ///
    /// # Errors
    /// A country that does not exist.
    pub(crate) fn numbering(&self) -> Result<NumberingPlan> {
        NumberingPlan::new(self.node.home_country.as_deref()).context("node.home_country")
    }

    fn checked(mut self) -> Result<Self> {
        self.numbering()?;
        self.log.directives()?;
        ensure!(!self.http.request_timeout.is_zero(), "http.request_timeout: at least 1 ms");
        ensure!(self.http.connections > 0, "http.connections: at least 1");
        self.storage.check().context("storage")?;
        self.bus.check().context("bus")?;
        self.media.check()?;
        self.trace.check()?;
        self.identity.check()?;
        self.webhooks.check()?;
        self.telemetry.check()?;
        self.sip.trunk.append(&mut self.trunk);
        Ok(self)
    }
}

fn environment() -> Environment {
    let environment = Environment::with_prefix("TANDEM").prefix_separator("__").separator("__");
    let environment = environment.try_parsing(true).list_separator(",");
    LISTS.iter().fold(environment, |environment, key| environment.with_list_parse_key(key))
}

/// Variables that integrators know by other names than ours. Ours win.
fn aliases() -> Environment {
    let known = [("VOIP_PROVIDER", "TANDEM__VOIP__PROVIDER")];
    let set = known.into_iter().filter_map(|(theirs, ours)| Some((ours.to_owned(), std::env::var(theirs).ok()?)));
    environment().source(Some(set.collect()))
}

fn to_loopback(address: &mut SocketAddr) {
    let mut ip = address.ip();
    to_loopback_ip(&mut ip);
    address.set_ip(ip);
}

fn to_loopback_ip(ip: &mut IpAddr) {
    if !ip.is_loopback() {
        *ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    fn load(toml: &str, variables: &[(&str, &str)]) -> Result<Config> {
        let pairs = variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let variables = environment().source(Some(pairs.collect::<HashMap<_, _>>()));
        let file = File::from_str(toml, FileFormat::Toml);
        Config::assemble(config::Config::builder().add_source(file).add_source(variables))
    }

    #[test]
    fn nothing_at_all_gives_the_documented_ports() {
        let config = load("", &[]).unwrap();
        assert_eq!(config.http.bind.to_string(), "0.0.0.0:7880");
        assert_eq!(config.sip.udp, ["0.0.0.0:5060".parse::<SocketAddr>().unwrap()]);
        assert_eq!(config.storage.data_dir, Path::new("var"));
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let file = "[http]\nbind = \"127.0.0.1:1\"\n[calls]\ndrain_timeout = \"5s\"\n";
        let variables = [
            ("TANDEM__HTTP__BIND", "127.0.0.1:2"),
            ("TANDEM__CALLS__MAX_CALLS", "7"),
            ("TANDEM__SIP__UDP", "127.0.0.1:3,127.0.0.1:4"),
            ("TANDEM__SIP__REALM", "1001"),
        ];
        let config = load(file, &variables).unwrap();
        assert_eq!(config.http.bind.port(), 2);
        assert_eq!(config.calls.max_calls.get(), 7);
        assert_eq!(config.calls.drain_timeout.as_secs(), 5);
        assert_eq!(config.sip.udp.len(), 2);
        assert_eq!(config.sip.realm, "1001");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_key() {
        for (file, named) in [
            ("[http]\nbind = \"nowhere\"\n", "http.bind"),
            ("[calls]\nmax_calls = 0\n", "calls.max_calls"),
            ("[http]\nconnections = 0\n", "http.connections"),
            ("[node]\nhome_country = \"xx\"\n", "node.home_country"),
            ("[media]\nworkers = 1000\n", "media.workers"),
            ("[storage]\nbatch = 0\n", "storage: batch"),
            ("[bus]\nstream_replicas = 2\n", "bus: stream_replicas"),
            ("[trace]\nretention = \"1s\"\n", "trace.retention"),
            ("[trace]\nkeep = \"some\"\n", "trace.keep"),
            ("[webhooks]\nparallel = 0\n", "webhooks.parallel"),
            ("[identity]\nissuer = \"https://iam.example\"\n", "identity.issuer"),
            ("[telemetry]\nkeep_calls = 1.5\n", "telemetry.keep_calls"),
            ("[telemetry]\nprotocol = \"http\"\n", "telemetry.protocol"),
            ("[telemetry]\nendpoint = \"collector:4317\"\n", "telemetry.endpoint"),
            ("[log]\nfilter = \"a=b=c\"\n", "log.filter"),
            ("[http]\nbnid = \"127.0.0.1:1\"\n", "bnid"),
            ("[[trunk]]\nname = \"a\"\naddress = \"1.2.3.4\"\n", "trunk[0]"),
        ] {
            let error = format!("{:#}", load(file, &[]).expect_err(file));
            assert!(error.contains(named), "{named} is not in {error:?}");
        }
    }

    #[test]
    fn no_filter_silences_the_audit() {
        for filter in ["", "warn", "tandem=info", "off", "audit=off"] {
            let config = LogConfig { filter: filter.to_owned(), ..LogConfig::default() };
            let log = tracing_subscriber::registry().with(config.directives().unwrap());
            tracing::subscriber::with_default(log, || {
                assert!(tracing::enabled!(target: "audit", tracing::Level::INFO), "{filter}");
                assert!(!tracing::enabled!(target: "elsewhere", tracing::Level::INFO), "{filter}");
            });
        }
    }

    #[test]
    fn a_trunk_is_known_to_the_border() {
        let file =
            "[[trunk]]\nname = \"a\"\nmatch = [\"192.0.2.0/24\"]\naddress = \"192.0.2.1:5060\"\nprefixes = [\"+\"]\n";
        let config = load(file, &[]).unwrap();
        assert_eq!(config.sip.trunk.len(), 1);
    }

    #[test]
    fn in_development_only_this_machine_reaches_the_node() {
        let config = load("[sip]\nudp = [\"192.0.2.1:5070\", \"127.0.0.2:5060\"]\n", &[]).unwrap().on_loopback();
        assert_eq!(config.http.bind.to_string(), "127.0.0.1:7880");
        let addresses: Vec<_> = config.sip.udp.iter().map(ToString::to_string).collect();
        assert_eq!(addresses, ["127.0.0.1:5070", "127.0.0.2:5060"]);
    }
}
