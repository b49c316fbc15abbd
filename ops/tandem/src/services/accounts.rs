//! Follows the accounts and tenants in the database: whoever adds one, whichever process, the node knows it within seconds.

use std::sync::Arc;
use std::time::Duration;

use tandem_actors::{Service, ServiceError};
use tandem_core::numbering::NumberingPlan;
use tandem_core::routing::{Plan, Trunk};
use tandem_storage::{AccountsVersion, QueryError, Storage};
use tokio_util::sync::CancellationToken;

use crate::accounts::AccountTable;
use crate::plan::LivePlan;
use crate::tenants::TenantTable;

/// How often the database is asked.
const LOOK: Duration = Duration::from_secs(2);

/// See the module.
pub(crate) struct AccountLoader {
    pub(crate) storage: Arc<Storage>,
    pub(crate) accounts: Arc<AccountTable>,
    pub(crate) tenants: Arc<TenantTable>,
    pub(crate) plan: Arc<LivePlan>,
    pub(crate) trunks: Vec<Trunk>,
    pub(crate) numbering: NumberingPlan,
}

impl AccountLoader {
    /// Takes over the accounts as they are now; what can be dialled changes with them. The version is older than what was
    /// loaded, never newer.
    ///
    /// # Errors
    /// The database does not answer; the accounts stay as they were.
    pub(crate) async fn load(&self) -> Result<AccountsVersion, QueryError> {
        self.tenants.replace(self.storage.load_tenants().await?);
        let version = self.storage.accounts_version().await?;
        self.accounts.replace(self.storage.load_accounts().await?);
        let plan = Plan::new(self.accounts.extensions(), self.trunks.clone(), self.numbering.clone());
        self.plan.replace(plan);
        Ok(version)
    }

    async fn follow(&self) -> Result<(), QueryError> {
        let mut loaded = self.load().await?;
        loop {
            tokio::time::sleep(LOOK).await;
            self.tenants.replace(self.storage.load_tenants().await?);
            if self.storage.accounts_version().await? != loaded {
                loaded = self.load().await?;
            }
        }
    }
}

impl Service for AccountLoader {
    fn name(&self) -> &str {
        "accounts"
    }

    async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<(), ServiceError> {
        Ok(stop.run_until_cancelled(self.follow()).await.unwrap_or(Ok(()))?)
    }
}
