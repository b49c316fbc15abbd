//! The accounts, in memory: replaced as a whole when the database has other ones.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tandem_core::account::{Account, Accounts};
use tandem_core::id::Tenant;
use tandem_core::ports::AccountPort;
use tandem_core::routing::Extension;

/// All accounts of the node.
#[derive(Default)]
pub(crate) struct AccountTable(ArcSwap<Accounts>);

impl AccountTable {
    /// From now on these, and no others.
    pub(crate) fn replace(&self, accounts: Vec<Account>) {
        self.0.store(Arc::new(Accounts::new(accounts)));
    }

    /// What can be dialled.
    pub(crate) fn extensions(&self) -> Vec<Extension> {
        self.0.load().iter().map(|account| extension_of(account)).collect()
    }
}

impl AccountPort for AccountTable {
    fn find(&self, tenant: &Tenant, user_name: &str) -> Option<Arc<Account>> {
        self.0.load().find(tenant, user_name).cloned()
    }
}

fn extension_of(account: &Account) -> Extension {
    Extension {
        tenant: account.tenant.clone(),
        number: account.extension.clone(),
        user_id: account.user_id,
        device_id: account.device_id,
    }
}
