//! Webhooks as the API asks for them, over the database.

use std::error::Error;
use std::sync::Arc;

use futures::future::BoxFuture;
use reqwest::Url;
use serde_json::json;
use tandem_actors::Clock;
use tandem_core::id::{DeliveryId, NodeId, Tenant, WebhookId};
use tandem_core::pii::Pii;
use tandem_core::webhook::{DeliveryState, Webhook, WebhookChange};
use tandem_http::{DeliveryPage, NewWebhook, WebhookRefused, Webhooks};
use tandem_storage::{QueryError, Storage, WebhookError};
use tracing::error;

use super::addresses::may_be_public;
use super::config::WebhooksConfig;

/// See the module.
pub(crate) struct StoredWebhooks {
    pub(crate) storage: Arc<Storage>,
    pub(crate) config: WebhooksConfig,
    pub(crate) clock: Clock,
    pub(crate) node: NodeId,
}

impl StoredWebhooks {
    /// An event that never happened, as CloudEvents has it.
    fn test_event(&self, tenant: &Tenant, aggregate: &str) -> String {
        let event = json!({
            "specversion": "1.0",
            "id": format!("{aggregate}.1"),
            "source": format!("/tandem/{}", self.node),
            "type": "tandem.webhook.test.v1",
            "subject": format!("tandem.v1.{tenant}.webhook.test"),
            "time": self.clock.now().wall,
            "datacontenttype": "application/json",
            "tenantid": tenant,
            "data": {},
        });
        event.to_string()
    }
}

impl Webhooks for StoredWebhooks {
    fn check_url(&self, url: &str) -> Result<(), &'static str> {
        let url = Url::parse(url).map_err(|_| "it is none")?;
        match url.scheme() {
            "https" => {}
            "http" if self.config.allow_http => {}
            _ => return Err("it has to begin with https://"),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("no user and password in it");
        }
        if !self.config.allow_private && !may_be_public(&url) {
            return Err("its address is not public");
        }
        Ok(())
    }

    fn add(&self, new: NewWebhook) -> BoxFuture<'_, Result<Webhook, WebhookRefused>> {
        let NewWebhook { tenant, url, format, events, secret } = new;
        let new = tandem_storage::NewWebhook { tenant, url, format, events, secret };
        Box::pin(async move {
            self.storage.add_webhook(new, self.config.per_tenant).await.map_err(|error| match error {
                WebhookError::TooMany => WebhookRefused::TooMany,
                WebhookError::Query(error) => no_answer(error),
            })
        })
    }

    fn list<'a>(&'a self, tenant: &'a Tenant) -> BoxFuture<'a, Result<Vec<Webhook>, WebhookRefused>> {
        Box::pin(async move { self.storage.list_webhooks(Some(tenant)).await.map_err(no_answer) })
    }

    fn find<'a>(&'a self, tenant: &'a Tenant, id: WebhookId) -> BoxFuture<'a, Result<Option<Webhook>, WebhookRefused>> {
        Box::pin(async move { self.storage.webhook(tenant, id).await.map_err(no_answer) })
    }

    fn change<'a>(
        &'a self,
        tenant: &'a Tenant,
        id: WebhookId,
        change: WebhookChange,
    ) -> BoxFuture<'a, Result<Option<Webhook>, WebhookRefused>> {
        Box::pin(async move { self.storage.change_webhook(tenant, id, change).await.map_err(no_answer) })
    }

    fn remove<'a>(&'a self, tenant: &'a Tenant, id: WebhookId) -> BoxFuture<'a, Result<bool, WebhookRefused>> {
        Box::pin(async move { self.storage.remove_webhook(tenant, id).await.map_err(no_answer) })
    }

    fn rotate_secret<'a>(
        &'a self,
        tenant: &'a Tenant,
        id: WebhookId,
        secret: Pii<String>,
    ) -> BoxFuture<'a, Result<bool, WebhookRefused>> {
        let until = self.clock.now().wall + self.config.secret_overlap;
        Box::pin(async move { self.storage.rotate_webhook_secret(tenant, id, secret, until).await.map_err(no_answer) })
    }

    fn test<'a>(&'a self, tenant: &'a Tenant, id: WebhookId) -> BoxFuture<'a, Result<DeliveryId, WebhookRefused>> {
        Box::pin(async move {
            let event = |aggregate: &str| self.test_event(tenant, aggregate);
            self.storage.add_test_delivery(tenant, id, event).await.map_err(no_answer)
        })
    }

    fn deliveries<'a>(
        &'a self,
        tenant: &'a Tenant,
        id: WebhookId,
        state: Option<DeliveryState>,
        before: Option<DeliveryId>,
        limit: u8,
    ) -> BoxFuture<'a, Result<DeliveryPage, WebhookRefused>> {
        Box::pin(async move {
            let page = self.storage.deliveries(tenant, id, state, before, limit).await.map_err(no_answer)?;
            Ok(DeliveryPage { deliveries: page.deliveries, more: page.more })
        })
    }

    fn redeliver<'a>(
        &'a self,
        tenant: &'a Tenant,
        id: WebhookId,
        delivery: DeliveryId,
    ) -> BoxFuture<'a, Result<bool, WebhookRefused>> {
        Box::pin(async move { self.storage.redeliver(tenant, id, delivery).await.map_err(no_answer) })
    }

    fn redeliver_dead<'a>(&'a self, tenant: &'a Tenant, id: WebhookId) -> BoxFuture<'a, Result<u64, WebhookRefused>> {
        Box::pin(async move { self.storage.redeliver_dead(tenant, id).await.map_err(no_answer) })
    }
}

fn no_answer(error: QueryError) -> WebhookRefused {
    error!(error = &error as &dyn Error, "database does not say anything of webhooks");
    WebhookRefused::Unavailable
}
