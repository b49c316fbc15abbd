//! Tenants, and the domains that are theirs.

use std::collections::{HashMap, HashSet};

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::Expr;
use sea_orm::{DbErr, QueryOrder, TransactionTrait};
use tandem_core::id::Tenant;
use tandem_core::tenancy::Tenants;
use tandem_core::time::WallTime;

use crate::accounts::AccountError;
use crate::database::{QueryError, Storage, in_time};
use crate::entity::{tenant, tenant_domain};
use crate::time::now;

/// One tenant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ListedTenant {
    /// Which.
    pub tenant: Tenant,
    /// Whether its users may sign in, register and begin calls.
    pub is_enabled: bool,
    /// SIP domains and HTTP hosts that are its, in lower case.
    pub domains: Vec<String>,
    /// When it was added.
    pub created_at: WallTime,
}

impl Storage {
    /// Adds a tenant, or domains to one that is there.
    ///
    /// # Errors
    /// [`AccountError::AlreadyExists`]: a domain is another one's, or the tenant is there and no domain was given. Nothing
    /// was added.
    pub async fn add_tenant(&self, tenant: &Tenant, domains: &[String]) -> Result<(), AccountError> {
        let at = now().date_time();
        let row = tenant::Model { id: tenant.to_string(), created_at: at, enabled: true };
        let rows = tenant::Entity::insert_many([tenant::ActiveModel::from(row)]).on_conflict_do_nothing();
        let is_named = !domains.is_empty();
        let domains = domains.iter().map(|domain| {
            let (domain, tenant) = (domain.to_ascii_lowercase(), tenant.to_string());
            tenant_domain::ActiveModel::from(tenant_domain::Model { domain, tenant, created_at: at })
        });
        let domains = tenant_domain::Entity::insert_many(domains);
        in_time(async {
            let transaction = self.writer.begin().await?;
            let added = rows.exec_without_returning(&transaction).await?;
            if !is_named && !matches!(added, sea_orm::TryInsertResult::Inserted(1..)) {
                return Err(AccountError::AlreadyExists);
            }
            domains.exec_without_returning(&transaction).await?;
            Ok(transaction.commit().await?)
        })
        .await
    }

    /// From now on a tenant's users may sign in, register and begin calls, or may not. `false`: there is no such tenant.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn enable_tenant(&self, tenant: &Tenant, is_enabled: bool) -> Result<bool, QueryError> {
        let rows = tenant::Entity::update_many().filter(tenant::Column::Id.eq(tenant.as_str()));
        let rows = rows.col_expr(tenant::Column::Enabled, Expr::value(is_enabled));
        Ok(rows.exec(&self.writer).await?.rows_affected > 0)
    }

    /// Every tenant, by name.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn list_tenants(&self) -> Result<Vec<ListedTenant>, QueryError> {
        let mut domains = self.domains().await?;
        let tenants = tenant::Entity::find().order_by_asc(tenant::Column::Id).all(&self.reader).await?;
        let listed = |row: tenant::Model| {
            let domains = domains.remove(&row.id).unwrap_or_default();
            let (is_enabled, created_at) = (row.enabled, row.created_at.into());
            Some(ListedTenant { tenant: row.id.parse().ok()?, is_enabled, domains, created_at })
        };
        let listed: Option<_> = tenants.into_iter().map(listed).collect();
        listed.ok_or(QueryError::Damaged { table: "tenants" })
    }

    /// Whose every domain is, and who is not served.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn load_tenants(&self) -> Result<Tenants, QueryError> {
        let listed = self.list_tenants().await?;
        let disabled: HashSet<_> = listed.iter().filter(|it| !it.is_enabled).map(|it| it.tenant.clone()).collect();
        let domains = listed.into_iter().flat_map(|ListedTenant { tenant, domains, .. }| {
            domains.into_iter().map(move |domain| (domain, tenant.clone()))
        });
        Ok(Tenants::new(domains, disabled))
    }

    async fn domains(&self) -> Result<HashMap<String, Vec<String>>, DbErr> {
        let rows = tenant_domain::Entity::find().order_by_asc(tenant_domain::Column::Domain).all(&self.reader).await?;
        let mut domains: HashMap<String, Vec<String>> = HashMap::new();
        for row in rows {
            domains.entry(row.tenant).or_default().push(row.domain);
        }
        Ok(domains)
    }
}
