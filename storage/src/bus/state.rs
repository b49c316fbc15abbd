//! State to its stream: where phones are registered, the last value of each.
//!
//! ```text
//!  bound, unbound ──▶ waiting (last value of each subject) ──▶ TANDEM_STATE_V1
//!  the stream is another one than before: the node's registrations out of the database ──▶ waiting
//! ```
//!
//! # Invariants
//! * A subject has one node that writes it: what an old one says of a phone takes nothing back that a new one said.
//! * Only the last value of a subject waits. One that was superseded is not published after its successor.
//! * No subject and no event names a number: an account is a hash of it.

use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use futures::future::join_all;
use parking_lot::Mutex;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tandem_core::id::NodeId;
use tandem_core::location::BindingChange;
use tandem_core::metric::{Counter, Metrics};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::PublishedEvent;
use super::nats::Nats;
use crate::database::Storage;
use crate::journal::Journal;
use crate::stream::STATE;
use crate::time::{Waits, now};

/// Subjects whose value waits; those of more are dropped, and told with their next change.
const WAITING: usize = 65_536;
/// Values that are sent at a time.
const BATCH: usize = 256;
/// Between two looks at whether the stream is still the one that it was, when nothing is to be published.
const LOOK: Duration = Duration::from_secs(30);
/// How long the database may take to have what it is asked for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Values on their way out.
#[derive(Debug, Default)]
pub(super) struct States {
    /// By subject: the event and its id.
    waiting: Mutex<HashMap<String, (String, String)>>,
    changed: Notify,
    /// Which stream has all that is bound here.
    filled: Mutex<Option<i128>>,
}

impl States {
    pub(super) fn push(&self, id: String, event: PublishedEvent, metrics: &Metrics) {
        let mut waiting = self.waiting.lock();
        if waiting.len() >= WAITING && !waiting.contains_key(&event.subject) {
            return metrics.count(Counter::StateDropped);
        }
        waiting.insert(event.subject, (id, event.payload));
        self.changed.notify_one();
    }

    /// Publishes what was pushed, as often as it takes. Never returns.
    pub(super) async fn publish_loop(&self, nats: &Nats, node: NodeId, storage: &Storage, journal: &Journal) {
        let mut waits = Waits::new();
        loop {
            if nats.ready(storage).await.is_ok() && nats.state_made() != *self.filled.lock() {
                self.fill(nats, node, storage, journal).await;
            }
            let batch: Vec<_> = self.waiting.lock().iter().take(BATCH).map(|(k, v)| (k.clone(), v.clone())).collect();
            if batch.is_empty() {
                if timeout(LOOK, self.changed.notified()).await.is_err() {
                    nats.look_again();
                }
                continue;
            }
            let published = match nats.ready(storage).await {
                Ok(()) => join_all(batch.into_iter().map(|(subject, event)| publish(nats, subject, event))).await,
                // The relay says so.
                Err(_) => Vec::new(),
            };
            let mut is_failure = published.is_empty();
            for outcome in published {
                match outcome {
                    Ok((subject, id)) => {
                        let mut waiting = self.waiting.lock();
                        if waiting.get(&subject).is_some_and(|it| it.0 == id) {
                            waiting.remove(&subject);
                        }
                    }
                    Err(error) => {
                        if error.kind() == PublishErrorKind::StreamNotFound {
                            nats.look_again();
                        }
                        tracing::debug!(error = &error as &dyn Error, "state is not published, tried again");
                        is_failure = true;
                    }
                }
            }
            if is_failure {
                sleep(waits.after_failure()).await;
            }
        }
    }

    /// Queues all that is bound at this node: the stream is new to it. What changed meanwhile is newer than the database.
    async fn fill(&self, nats: &Nats, node: NodeId, storage: &Storage, journal: &Journal) {
        let made = nats.state_made();
        let load = async {
            // A phone that is gone may still be there.
            journal.caught_up().await;
            storage.load_bindings(node).await
        };
        let Ok(Ok(bindings)) = timeout(PATIENCE, load).await else { return };
        for binding in bindings {
            let (id, event) = registration(&BindingChange::Bound(binding), node);
            let mut waiting = self.waiting.lock();
            if waiting.len() < WAITING {
                waiting.entry(event.subject).or_insert((id, event.payload));
            }
        }
        *self.filled.lock() = made;
    }
}

async fn publish(
    nats: &Nats,
    subject: String,
    (id, payload): (String, String),
) -> Result<(String, String), PublishError> {
    let message = PublishMessage::build().message_id(&id).expected_stream(STATE).payload(payload.into());
    nats.jetstream.send_publish(subject.clone(), message).await?.await?;
    Ok((subject, id))
}

/// The state of a contact after a change, and its event's id.
pub(super) fn registration(change: &BindingChange, node: NodeId) -> (String, PublishedEvent) {
    let (tenant, extension, contact, data) = match change {
        BindingChange::Bound(it) => {
            let data =
                json!({ "status": "bound", "user_id": it.user_id, "device_id": it.device_id, "until": it.expires });
            (&it.tenant, it.extension.reveal(), &it.contact, data)
        }
        BindingChange::Unbound { tenant, extension, contact } => {
            (tenant, extension.reveal(), contact, json!({ "status": "unbound" }))
        }
    };
    let account = short_hash(&[tenant.as_str(), extension]);
    let contact = short_hash(&[tenant.as_str(), extension, contact]);
    let subject = format!("tandem.v1.{tenant}.registration.{account}.{contact}.{node}");
    let id = Uuid::now_v7().to_string();
    let payload = json!({
        "specversion": "1.0",
        "id": id,
        "source": format!("/tandem/{node}"),
        "type": "tandem.registration.changed.v1",
        "subject": subject,
        "time": now(),
        "datacontenttype": "application/json",
        "tenantid": tenant,
        "data": data,
    });
    (id, PublishedEvent { payload: payload.to_string(), subject })
}

/// Half of a SHA-256, in hex: names without telling.
fn short_hash(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unbound(extension: &str, contact: &str) -> BindingChange {
        let tenant = tandem_core::id::Tenant::default_tenant();
        BindingChange::Unbound { tenant, extension: extension.to_owned().into(), contact: contact.to_owned() }
    }

    #[test]
    fn a_contact_has_a_subject_under_its_accounts_which_names_nobody() {
        let node = NodeId::from_uuid(Uuid::from_u128(1));
        let event = |change| registration(&change, node).1;
        let (one, other) =
            (event(unbound("+4930123456", "sip:+4930123456@a")), event(unbound("+4930123456", "sip:b@b")));
        let account = |event: &PublishedEvent| event.subject.rsplitn(3, '.').last().unwrap().to_owned();
        assert_ne!(one.subject, other.subject);
        assert_eq!(account(&one), account(&other));
        assert_ne!(account(&one), account(&event(unbound("1001", "sip:b@b"))));
        let elsewhere = registration(&unbound("1001", "sip:b@b"), NodeId::from_uuid(Uuid::from_u128(2))).1;
        assert_ne!(event(unbound("1001", "sip:b@b")).subject, elsewhere.subject, "each node speaks for itself");
        assert!(!format!("{one:?}").contains("4930123456"), "{one:?}");
    }

    #[test]
    fn only_the_last_value_of_a_subject_waits_and_more_subjects_than_fit_are_counted() {
        let (states, metrics) = (States::default(), Metrics::default());
        let push = |n: usize, id: &str| {
            let event = PublishedEvent { subject: n.to_string(), payload: String::new() };
            states.push(id.to_owned(), event, &metrics);
        };
        (0..=WAITING).for_each(|n| push(n, "first"));
        push(0, "second");
        assert_eq!(states.waiting.lock().len(), WAITING);
        assert_eq!(states.waiting.lock()["0"].0, "second");
        assert_eq!(metrics.counter(Counter::StateDropped), 1);
    }
}
