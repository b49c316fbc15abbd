//! What the API wants of webhooks; the composition root implements it over the database.

use futures::future::BoxFuture;
use tandem_core::id::{DeliveryId, Tenant, WebhookId};
use tandem_core::pii::Pii;
use tandem_core::webhook::{Delivery, DeliveryState, Format, Webhook, WebhookChange};

/// A webhook to be added.
#[derive(Clone, Debug)]
pub struct NewWebhook {
    /// Whose.
    pub tenant: Tenant,
    /// Where requests go.
    pub url: Pii<String>,
    /// How they look.
    pub format: Format,
    /// Types of events, or beginnings of them; empty: all.
    pub events: Vec<String>,
    /// What requests are signed with.
    pub secret: Pii<String>,
}

/// Some deliveries, the latest first.
#[derive(Clone, Debug, Default)]
pub struct DeliveryPage {
    /// These.
    pub deliveries: Vec<Delivery>,
    /// There are older ones.
    pub more: bool,
}

/// Why something was not done.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum WebhookRefused {
    /// The tenant has as many as it may have.
    #[error("there are too many webhooks")]
    TooMany,
    /// Not to be had now.
    #[error("webhooks cannot be reached now")]
    Unavailable,
}

/// The webhooks of all tenants. Whatever is another tenant's is not there.
pub trait Webhooks: Send + Sync + 'static {
    /// Whether requests may go there.
    ///
    /// # Errors
    /// Why not.
    fn check_url(&self, url: &str) -> Result<(), &'static str>;

    /// Adds one.
    fn add(&self, new: NewWebhook) -> BoxFuture<'_, Result<Webhook, WebhookRefused>>;

    /// A tenant's, the oldest first.
    fn list<'a>(&'a self, tenant: &'a Tenant) -> BoxFuture<'a, Result<Vec<Webhook>, WebhookRefused>>;

    /// One of them.
    fn find<'a>(&'a self, tenant: &'a Tenant, id: WebhookId) -> BoxFuture<'a, Result<Option<Webhook>, WebhookRefused>>;

    /// Changes one.
    fn change<'a>(
        &'a self,
        tenant: &'a Tenant,
        id: WebhookId,
        change: WebhookChange,
    ) -> BoxFuture<'a, Result<Option<Webhook>, WebhookRefused>>;

    /// Removes one with its deliveries; whether there was one.
    fn remove<'a>(&'a self, tenant: &'a Tenant, id: WebhookId) -> BoxFuture<'a, Result<bool, WebhookRefused>>;

    /// Signs with this from now on, and for a while with the one before as well; whether there is such a webhook.
    fn rotate_secret<'a>(
        &'a self,
        tenant: &'a Tenant,
        id: WebhookId,
        secret: Pii<String>,
    ) -> BoxFuture<'a, Result<bool, WebhookRefused>>;

    /// Sends an event that never happened. The webhook is there.
    fn test<'a>(&'a self, tenant: &'a Tenant, id: WebhookId) -> BoxFuture<'a, Result<DeliveryId, WebhookRefused>>;

    /// Its deliveries with an id below `before`, or all of them: the latest first, at most `limit`.
    fn deliveries<'a>(
        &'a self,
        tenant: &'a Tenant,
        id: WebhookId,
        state: Option<DeliveryState>,
        before: Option<DeliveryId>,
        limit: u8,
    ) -> BoxFuture<'a, Result<DeliveryPage, WebhookRefused>>;

    /// Sends one again; whether there is such a one.
    fn redeliver<'a>(
        &'a self,
        tenant: &'a Tenant,
        id: WebhookId,
        delivery: DeliveryId,
    ) -> BoxFuture<'a, Result<bool, WebhookRefused>>;

    /// Sends all again that were given up; says how many.
    fn redeliver_dead<'a>(&'a self, tenant: &'a Tenant, id: WebhookId) -> BoxFuture<'a, Result<u64, WebhookRefused>>;
}
