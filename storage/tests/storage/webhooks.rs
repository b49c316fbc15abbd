//! Webhooks and what is on its way to them.

use std::time::Duration;

use tandem_core::id::{Tenant, WebhookId};
use tandem_core::pii::Pii;
use tandem_core::time::WallTime;
use tandem_core::webhook::{DeliveryState, Format, WebhookChange};
use tandem_storage::{Claimed, NewWebhook, Outcome, Storage, WebhookError};

use super::support::{Home, at, call_id, talked};

const LEASE: Duration = Duration::from_secs(30);

/// Later than everything that is queued here.
fn later() -> WallTime {
    WallTime(at(0).0 + 400 * 86_400 * 1_000_000)
}

pub(crate) async fn add(
    storage: &Storage,
    tenant: &Tenant,
    events: &[&str],
    most: u64,
) -> Result<WebhookId, WebhookError> {
    let new = NewWebhook {
        tenant: tenant.clone(),
        url: Pii::new("https://hooks.example/".to_owned()),
        format: Format::Tandem,
        events: events.iter().map(|it| (*it).to_owned()).collect(),
        secret: Pii::new("whsec_a".to_owned()),
    };
    storage.add_webhook(new, most).await.map(|webhook| webhook.id)
}

fn ids(claimed: &[Claimed]) -> Vec<String> {
    claimed.iter().map(|it| it.event_id.clone()).collect()
}

#[tokio::test]
async fn what_a_webhook_wants_is_queued_with_the_event_once_and_claimed_in_order() {
    let home = Home::new();
    let process = home.open().await;
    let (storage, tenant) = (&process.storage, Tenant::default_tenant());
    let webhook = add(storage, &tenant, &["tandem.call.answered", "tandem.call.ended"], 9).await.unwrap();
    let foreign = add(storage, &"other".parse().unwrap(), &[], 9).await.unwrap();
    for _ in 0..2 {
        process.commit(&talked(1));
        process.commit(&talked(2));
        process.store().await;
    }
    let log = storage.deliveries(&tenant, webhook, None, None, 100).await.unwrap();
    assert_eq!((log.deliveries.len(), log.more), (4, false));
    assert!(storage.deliveries(&tenant, foreign, None, None, 9).await.unwrap().deliveries.is_empty());
    assert_eq!(storage.due_webhooks(later()).await.unwrap().len(), 1);
    let first = storage.claim_deliveries(webhook, 9, later(), LEASE).await.unwrap();
    let mut of_each = ids(&first);
    of_each.sort_unstable();
    assert_eq!(of_each, [format!("{}.4", call_id(1)), format!("{}.4", call_id(2))]);
    assert!(first[0].payload.as_ref().unwrap().reveal().contains("tandem.call.answered.v1"));
    assert!(storage.claim_deliveries(webhook, 9, later(), LEASE).await.unwrap().is_empty(), "they are taken");
    let taken = Outcome::Delivered { status: 200 };
    storage.settle_delivery(webhook, &first[0], &taken, |_| None).await.unwrap();
    let next = storage.claim_deliveries(webhook, 9, later(), LEASE).await.unwrap();
    assert_eq!(ids(&next), [first[0].event_id.replace(".4", ".7")]);
    let after_lease = later() + LEASE;
    let repeated = storage.claim_deliveries(webhook, 9, after_lease, LEASE).await.unwrap();
    assert_eq!((repeated.len(), repeated.iter().map(|it| it.attempts).max()), (2, Some(2)));
    let counted = storage.count_deliveries().await.unwrap();
    assert_eq!(counted, (3, 0));
}

#[tokio::test]
async fn what_failed_waits_or_is_dead_and_goes_again_when_asked() {
    let home = Home::new();
    let process = home.open().await;
    let (storage, tenant) = (&process.storage, Tenant::default_tenant());
    let webhook = add(storage, &tenant, &["tandem.call.ended"], 9).await.unwrap();
    process.commit(&talked(1));
    process.store().await;
    let claimed = storage.claim_deliveries(webhook, 9, later(), LEASE).await.unwrap().remove(0);
    let next_at = later() + Duration::from_secs(60);
    let failed =
        |next_at, gone| Outcome::Failed { status: Some(500), error: "it answered 500".repeat(99), next_at, gone };
    let rest = |failures| (failures == 1).then_some(next_at);
    assert!(storage.settle_delivery(webhook, &claimed, &failed(Some(next_at), false), rest).await.unwrap());
    assert!(storage.claim_deliveries(webhook, 9, later(), LEASE).await.unwrap().is_empty());
    process.commit(&talked(2));
    process.store().await;
    assert!(storage.due_webhooks(later()).await.unwrap().is_empty(), "it rests, whatever is due");
    assert_eq!(storage.due_webhooks(next_at).await.unwrap().len(), 1);
    let other = storage.claim_deliveries(webhook, 9, later(), LEASE).await.unwrap().remove(0);
    assert!(storage.settle_delivery(webhook, &other, &Outcome::Delivered { status: 200 }, |_| None).await.unwrap());
    assert_eq!(storage.webhook(&tenant, webhook).await.unwrap().unwrap().failures, 0, "it is well again");
    let again = storage.claim_deliveries(webhook, 9, next_at, LEASE).await.unwrap().remove(0);
    assert!(!storage.settle_delivery(webhook, &claimed, &failed(None, true), |_| None).await.unwrap(), "too late");
    assert!(storage.settle_delivery(webhook, &again, &failed(None, true), |_| None).await.unwrap());
    let dead = storage.deliveries(&tenant, webhook, Some(DeliveryState::Dead), None, 9).await.unwrap().deliveries;
    assert_eq!((dead[0].attempts, dead[0].last_status), (2, Some(500)));
    let off = storage.webhook(&tenant, webhook).await.unwrap().unwrap();
    assert_eq!((off.enabled, off.failures, off.disabled_reason.is_some()), (false, 1, true));
    assert_eq!(storage.redeliver_dead(&tenant, webhook).await.unwrap(), 1);
    assert!(storage.due_webhooks(later()).await.unwrap().is_empty(), "it is off");
    let on = WebhookChange { enabled: Some(true), ..WebhookChange::default() };
    let on = storage.change_webhook(&tenant, webhook, on).await.unwrap().unwrap();
    assert_eq!((on.enabled, on.failures, on.disabled_reason), (true, 0, None));
    let claimed = storage.claim_deliveries(webhook, 9, later(), LEASE).await.unwrap().remove(0);
    assert_eq!(claimed.attempts, 1);
    assert_eq!(storage.prune_deliveries(later()).await.unwrap(), 1, "what is pending stays");
    storage.settle_delivery(webhook, &claimed, &Outcome::Delivered { status: 204 }, |_| None).await.unwrap();
    assert_eq!(storage.prune_deliveries(later()).await.unwrap(), 1);
}

#[tokio::test]
async fn a_webhook_is_its_tenants_and_there_are_so_many() {
    let home = Home::new();
    let process = home.open().await;
    let (storage, tenant, other) = (&process.storage, Tenant::default_tenant(), "other".parse().unwrap());
    let webhook = add(storage, &tenant, &[], 2).await.unwrap();
    add(storage, &tenant, &[], 2).await.unwrap();
    assert!(matches!(add(storage, &tenant, &[], 2).await, Err(WebhookError::TooMany)));
    add(storage, &other, &[], 2).await.unwrap();
    assert_eq!(storage.list_webhooks(Some(&tenant)).await.unwrap().len(), 2);
    assert_eq!(storage.list_webhooks(None).await.unwrap().len(), 3);
    assert_eq!(storage.webhook(&other, webhook).await.unwrap(), None);
    let off = WebhookChange { enabled: Some(false), ..WebhookChange::default() };
    assert_eq!(storage.change_webhook(&other, webhook, off.clone()).await.unwrap(), None);
    let secret = Pii::new("whsec_b".to_owned());
    assert!(!storage.rotate_webhook_secret(&other, webhook, secret.clone(), later()).await.unwrap());
    assert!(!storage.remove_webhook(&other, webhook).await.unwrap());
    assert!(storage.rotate_webhook_secret(&tenant, webhook, secret, later()).await.unwrap());
    storage.add_test_delivery(&tenant, webhook, |id| format!("{{\"id\":\"{id}.1\"}}")).await.unwrap();
    let due = storage.due_webhooks(at(0) + LEASE * 1_000_000).await.unwrap();
    assert_eq!(due.len(), 1);
    storage.change_webhook(&tenant, webhook, off).await.unwrap().unwrap();
    assert_eq!(storage.give_up_deliveries(later()).await.unwrap(), 1);
    assert_eq!(storage.count_deliveries().await.unwrap(), (0, 1));
    assert!(storage.remove_webhook(&tenant, webhook).await.unwrap());
    assert_eq!(storage.count_deliveries().await.unwrap(), (0, 0), "what was on its way went with it");
}
