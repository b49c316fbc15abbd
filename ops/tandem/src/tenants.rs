//! The tenants, in memory: replaced as a whole when the database has other ones.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tandem_core::ports::TenantPort;
use tandem_core::tenancy::Tenants;

/// All tenants of the node.
#[derive(Default)]
pub(crate) struct TenantTable(ArcSwap<Tenants>);

impl TenantTable {
    /// From now on these, and no others.
    pub(crate) fn replace(&self, tenants: Tenants) {
        self.0.store(Arc::new(tenants));
    }
}

impl TenantPort for TenantTable {
    fn tenants(&self) -> Arc<Tenants> {
        self.0.load_full()
    }
}
