//! Whose a request is: the domains of tenants, and which of them are served.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::id::Tenant;
use crate::ports::TenantPort;

/// The tenants of a node. Read on every request, replaced as a whole.
#[derive(Clone, Debug, Default)]
pub struct Tenants {
    domains: HashMap<String, Tenant>,
    /// The domain that a tenant's addresses are given with.
    names: HashMap<Tenant, String>,
    disabled: HashSet<Tenant>,
}

/// A node that serves one tenant, at every host.
#[derive(Clone, Copy, Debug)]
pub struct OneTenant;

impl TenantPort for OneTenant {
    fn tenants(&self) -> Arc<Tenants> {
        Arc::default()
    }
}

impl Tenants {
    /// From what the database has: domains without a port, in any case, the first of each being what its addresses are
    /// given with; and the tenants that are not served now.
    #[must_use]
    pub fn new(domains: impl IntoIterator<Item = (String, Tenant)>, disabled: HashSet<Tenant>) -> Self {
        let mut tenants = Self { disabled, ..Self::default() };
        for (domain, tenant) in domains {
            let domain = domain.to_ascii_lowercase();
            tenants.names.entry(tenant.clone()).or_insert_with(|| domain.clone());
            tenants.domains.insert(domain, tenant);
        }
        tenants
    }

    /// Whose a host is, with or without a port; the default tenant's when it is nobody's, as every address is.
    #[must_use]
    pub fn of_host(&self, host: &str) -> Tenant {
        self.named(host).cloned().unwrap_or_else(Tenant::default_tenant)
    }

    /// Whose domain a host is, if it is one.
    #[must_use]
    pub fn owner(&self, host: &str) -> Option<&Tenant> {
        self.named(host)
    }

    /// The domain that a tenant's addresses are given with.
    #[must_use]
    pub fn domain_of(&self, tenant: &Tenant) -> Option<&str> {
        self.names.get(tenant).map(String::as_str)
    }

    /// Whether its users may sign in, register and begin calls.
    #[must_use]
    pub fn is_enabled(&self, tenant: &Tenant) -> bool {
        !self.disabled.contains(tenant)
    }

    fn named(&self, host: &str) -> Option<&Tenant> {
        if self.domains.is_empty() {
            return None;
        }
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_end_matches('.');
        self.domains.get(&name.to_ascii_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_its_domain_s_tenant_s_and_else_the_default_one_s() {
        let acme: Tenant = "acme".parse().unwrap();
        let tenants = Tenants::new([(String::from("Acme.example"), acme.clone())], HashSet::new());
        for host in ["acme.example", "ACME.example", "acme.example:5060", "acme.example."] {
            assert_eq!(tenants.of_host(host), acme, "{host}");
            assert_eq!(tenants.owner(host), Some(&acme));
        }
        for host in ["", "example", "sub.acme.example", "192.0.2.1", "192.0.2.1:5060", "[2001:db8::1]:5060", "::1"] {
            assert_eq!(tenants.of_host(host), Tenant::default_tenant(), "{host}");
            assert_eq!(tenants.owner(host), None);
        }
        assert_eq!(tenants.domain_of(&acme), Some("acme.example"));
        assert_eq!(tenants.domain_of(&Tenant::default_tenant()), None);
    }

    #[test]
    fn a_disabled_tenant_is_not_served_and_others_are() {
        let acme: Tenant = "acme".parse().unwrap();
        let tenants = Tenants::new([], HashSet::from([acme.clone()]));
        assert!(!tenants.is_enabled(&acme));
        assert!(tenants.is_enabled(&Tenant::default_tenant()));
    }
}
