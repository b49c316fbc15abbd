//! Adding, listing and disabling tenants.

use anyhow::{Context, Result, ensure};
use tandem_core::audit::Action;
use tandem_core::id::Tenant;
use tandem_storage::{AccountError, ListedTenant, Storage};

use crate::audit_trail::note;
use crate::config::Config;
use crate::table::table;

/// Longest domain (RFC 1035, 2.3.4), in bytes.
const LONGEST: usize = 253;

/// Adds a tenant, or domains to one that is there.
///
/// # Errors
/// The name is the node's own, a domain is none or is taken, or the database does not take it.
pub(crate) async fn add(config: &Config, storage: &Storage, tenant: &Tenant, domains: &[String]) -> Result<String> {
    ensure!(*tenant != Tenant::operator(), "{tenant} is what the node's own audit goes under: take another name");
    for domain in domains {
        ensure!(is_domain(domain), "{domain:?} is no domain: letters, digits, dashes and dots, no port and no address");
    }
    match storage.add_tenant(tenant, domains).await {
        Err(AccountError::AlreadyExists) if domains.is_empty() => Err(AccountError::AlreadyExists.into()),
        added => added.context("a domain belongs to one tenant only: see `tandem tenant list`"),
    }
    .with_context(|| format!("tenant {tenant} was not added"))?;
    note(config, storage, tenant, Action::TenantAdded, tenant).await?;
    Ok(format!("{tenant}\n"))
}

/// From now on a tenant is served, or not.
///
/// # Errors
/// There is no such tenant, or the database does not take it.
pub(crate) async fn enable(config: &Config, storage: &Storage, tenant: &Tenant, is_enabled: bool) -> Result<String> {
    ensure!(storage.enable_tenant(tenant, is_enabled).await?, "there is no tenant {tenant}");
    note(config, storage, tenant, Action::TenantChanged, tenant).await?;
    Ok(format!("{tenant} {}\n", if is_enabled { "enabled" } else { "disabled" }))
}

/// All tenants as a table.
///
/// # Errors
/// The database does not answer.
pub(crate) async fn list(storage: &Storage) -> Result<String> {
    let row = |listed: &ListedTenant| {
        let state = if listed.is_enabled { "enabled" } else { "disabled" };
        [listed.tenant.to_string(), state.to_owned(), listed.domains.join(" ")]
    };
    Ok(table(["TENANT", "STATE", "DOMAINS"], &storage.list_tenants().await?.iter().map(row).collect::<Vec<_>>()))
}

fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    text.len() <= LONGEST && text.split('.').all(is_label) && text.parse::<std::net::IpAddr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_has_no_port_and_is_no_address() {
        for domain in ["acme.example", "a", "xn--bcher-kva.example", "A-1.example"] {
            assert!(is_domain(domain), "{domain}");
        }
        for wrong in ["", ".", "acme.example:5060", "192.0.2.1", "::1", "a..b", "a b", "é.example", &"a".repeat(254)] {
            assert!(!is_domain(wrong), "{wrong}");
        }
    }
}
