//! What all shards have in common.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parking_lot::Mutex;
use tandem_actors::Auditor;
use tandem_core::id::{NodeId, Tenant};
use tandem_core::metric::Metrics;
use tandem_core::party::TrunkName;
use tandem_core::ports::{AccountPort, CallPort, TenantPort};
use tandem_core::trace::TracePort;

use crate::addresses::Addresses;
use crate::compose::Via;
use crate::config::{Network, SipConfig, TrunkConfig};
use crate::digest::Digest;
use crate::registrar::Registrar;
use crate::uri::{Scheme, Uri};

pub(crate) struct Shared {
    pub(crate) config: SipConfig,
    pub(crate) calls: Arc<dyn CallPort>,
    pub(crate) accounts: Arc<dyn AccountPort>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) trace: Arc<dyn TracePort>,
    pub(crate) registrar: Arc<Registrar>,
    pub(crate) digest: Mutex<Digest>,
    /// New calls are refused.
    pub(crate) is_door_closed: AtomicBool,
    pub(crate) addresses: Addresses,
    pub(crate) tenants: Arc<dyn TenantPort>,
    pub(crate) auditor: Arc<Auditor>,
    pub(crate) node: NodeId,
    /// Where our datagram sockets are bound.
    pub(crate) locals: Vec<SocketAddr>,
    pub(crate) trunks: Vec<SourceTrunk>,
}

/// A trunk as its calls come.
pub(crate) struct SourceTrunk {
    pub(crate) name: TrunkName,
    pub(crate) tenant: Tenant,
    sources: Vec<Network>,
}

impl SourceTrunk {
    pub(crate) fn of(config: &TrunkConfig) -> Self {
        let TrunkConfig { name, tenant, sources, .. } = config;
        Self { name: TrunkName(name.as_str().into()), tenant: tenant.clone(), sources: sources.clone() }
    }
}

impl Shared {
    /// The trunk that sends from this address.
    pub(crate) fn trunk_of(&self, source: IpAddr) -> Option<&SourceTrunk> {
        self.trunks.iter().find(|trunk| trunk.sources.iter().any(|it| it.contains(source)))
    }

    /// Whether messages from there are a trunk's: its calls, or what it says to ours. No rate of its own limits them.
    pub(crate) fn is_peer(&self, source: IpAddr) -> bool {
        self.trunk_of(source).is_some() || self.config.trunk.iter().any(|it| it.address.ip() == source)
    }

    /// Whether a Request-URI is for us.
    pub(crate) fn serves(&self, uri: &Uri) -> bool {
        let host = uri.host().trim_matches(['[', ']']);
        let is_ours = |domain: &String| domain.eq_ignore_ascii_case(host);
        uri.scheme() == Scheme::Tel
            || self.config.domains.is_empty()
            || host.parse::<IpAddr>().is_ok()
            || self.config.domains.iter().any(is_ours)
            || self.tenants.tenants().owner(host).is_some()
    }

    /// Whose user an address is: its domain's tenant's, and the default one's where the host is nobody's domain.
    pub(crate) fn tenant_of(&self, uri: &Uri) -> Tenant {
        self.tenants.tenants().of_host(uri.host())
    }

    /// Whether an address is at another tenant's domain: nobody there is known here.
    pub(crate) fn is_foreign(&self, tenant: &Tenant, uri: &Uri) -> bool {
        self.tenants.tenants().owner(uri.host()).is_some_and(|owner| owner != tenant)
    }

    /// The host of addresses that we give to a tenant's users on this way.
    pub(crate) fn our_host(&self, tenant: &Tenant, via: &Via) -> String {
        if let Some(domain) = self.tenants.tenants().domain_of(tenant) {
            return domain.to_owned();
        }
        match (self.config.domains.first(), via.us.ip()) {
            (Some(domain), _) => domain.clone(),
            (None, IpAddr::V4(ip)) => ip.to_string(),
            (None, IpAddr::V6(ip)) => format!("[{ip}]"),
        }
    }

    /// The socket that reaches an address.
    pub(crate) fn local_for(&self, remote: SocketAddr) -> Option<SocketAddr> {
        let fits = |local: &&SocketAddr| local.is_ipv4() == remote.is_ipv4();
        let near =
            |local: &&SocketAddr| local.ip().is_unspecified() || local.ip().is_loopback() == remote.ip().is_loopback();
        self.locals.iter().filter(fits).find(near).or_else(|| self.locals.iter().find(fits)).copied()
    }
}
