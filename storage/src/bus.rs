//! The bus: inside the process, and behind it NATS where there is one.
//!
//! ```text
//!  facts ──(relay)──▶ bus in the process, or with NATS: TANDEM_FACTS_V1
//!  live ─────────────▶ bus in the process, and with NATS: core NATS
//!  registrations ────▶ with NATS: TANDEM_STATE_V1
//!  other nodes' live.identity ──▶ bus in the process
//! ```

mod config;
mod live;
mod nats;
mod state;

use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;
use tandem_core::event::Live;
use tandem_core::id::NodeId;
use tandem_core::location::BindingChange;
use tandem_core::metric::{Counter, Fill, Metrics};
use tandem_core::ports::BusPort;
use tandem_core::revocation::Revocation;
use tokio::sync::broadcast;
use uuid::Uuid;

use crate::database::Storage;
use crate::journal::Journal;
use crate::time::now;

pub use config::BusConfig;
pub use nats::BusError;
pub(crate) use nats::Nats;

/// One event, as subscribers get it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PublishedEvent {
    /// Where it goes: `tandem.v1.<tenant>.…`.
    pub subject: String,
    /// CloudEvents 1.0 in JSON. A fact's `id` stays the same when it is published again.
    pub payload: String,
}

/// Publish and subscribe in memory. A subscriber that is slower than the bus loses the oldest events, and is told.
#[derive(Debug)]
pub struct Bus {
    events: broadcast::Sender<Arc<PublishedEvent>>,
    capacity: usize,
    metrics: Arc<Metrics>,
    outside: Option<Outside>,
}

/// What leaves the process.
#[derive(Debug)]
struct Outside {
    nats: Nats,
    node: NodeId,
    live: live::Live,
    states: state::States,
}

impl Bus {
    /// A bus that holds up to `capacity` events (1..=2^20) for its slowest subscriber.
    #[must_use]
    pub fn new(capacity: usize, metrics: Arc<Metrics>) -> Arc<Self> {
        let capacity = capacity.clamp(1, 1 << 20);
        Arc::new(Self { events: broadcast::Sender::new(capacity), capacity, metrics, outside: None })
    }

    /// The bus of a node: with NATS, where the configuration names a server. One that is away is waited for in the
    /// background.
    ///
    /// # Errors
    /// [`BusError`]: a server that is there and cannot serve, or no credentials.
    pub async fn connect(
        config: &BusConfig,
        node: NodeId,
        capacity: usize,
        metrics: Arc<Metrics>,
    ) -> Result<Arc<Self>, BusError> {
        let mut bus = Self::new(capacity, metrics.clone());
        if let (Some(_), Some(bus)) = (&config.nats_url, Arc::get_mut(&mut bus)) {
            let nats = Nats::connect(config, metrics).await?;
            bus.outside = Some(Outside { nats, node, live: live::Live::new(), states: state::States::default() });
        }
        Ok(bus)
    }

    /// Every event from now on; with NATS without facts, which are in their stream.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<PublishedEvent>> {
        self.events.subscribe()
    }

    /// Events that the slowest subscriber has not read.
    pub(crate) fn behind(&self) -> Fill {
        Fill { depth: self.events.len(), capacity: self.capacity }
    }

    pub(crate) fn nats(&self) -> Option<&Nats> {
        self.outside.as_ref().map(|it| &it.nats)
    }

    /// A contact changed.
    pub(crate) fn bound(&self, change: &BindingChange) {
        if let Some(outside) = &self.outside {
            let (id, event) = state::registration(change, outside.node);
            outside.states.push(id, event, &self.metrics);
        }
    }

    /// Live events to NATS, and those of other nodes from there.
    pub(crate) async fn live_loop(&self) {
        if let Some(Outside { nats, live, .. }) = &self.outside {
            tokio::join!(live.send_loop(nats, &self.metrics), live::receive_loop(nats, self));
        }
    }

    /// State to its stream.
    pub(crate) async fn state_loop(&self, storage: &Storage, journal: &Journal) {
        if let Some(Outside { nats, states, node, .. }) = &self.outside {
            states.publish_loop(nats, *node, storage, journal).await;
        }
    }

    /// `false` when nobody listens.
    pub(crate) fn send(&self, event: PublishedEvent) -> bool {
        self.events.send(Arc::new(event)).is_ok()
    }
}

impl BusPort for Bus {
    fn publish(&self, event: &Live) {
        let event = Arc::new(live(event));
        let is_sent = self.outside.as_ref().is_some_and(|it| it.live.push(event.clone()));
        let is_heard = self.events.send(event).is_ok();
        if !is_sent && !is_heard {
            self.metrics.count(Counter::LiveDropped);
        }
    }
}

fn live(event: &Live) -> PublishedEvent {
    match event {
        Live::Digit { context, call, leg_id, digit } => {
            let subject = format!("tandem.v1.{}.live.call.{call}.digit", context.tenant);
            let payload = json!({
                "specversion": "1.0",
                "id": Uuid::now_v7(),
                "source": format!("/tandem/{}", context.node),
                "type": "tandem.call.digit.v1",
                "subject": subject,
                "time": now(),
                "datacontenttype": "application/json",
                "tenantid": context.tenant,
                "correlationid": context.correlation_id,
                "callid": call,
                "data": { "leg_id": leg_id, "digit": digit },
            });
            PublishedEvent { payload: payload.to_string(), subject }
        }
        Live::Revoked { node, revocation } => {
            let subject = format!("tandem.v1.{}.live.identity.revoked", revocation.tenant);
            let payload = json!({
                "specversion": "1.0",
                "id": Uuid::now_v7(),
                "source": format!("/tandem/{node}"),
                "type": "tandem.identity.revoked.v1",
                "subject": subject,
                "time": now(),
                "datacontenttype": "application/json",
                "tenantid": revocation.tenant,
                "data": revocation,
            });
            PublishedEvent { payload: payload.to_string(), subject }
        }
    }
}

impl PublishedEvent {
    /// What was revoked, if that is what it tells. Only what is its subject's tenant's: the subject is what a NATS account
    /// may be bound to. None lasts longer than [`Revocation::LONGEST`] from now.
    #[must_use]
    pub fn revocation(&self) -> Option<Revocation> {
        #[derive(Deserialize)]
        struct Told {
            data: Revocation,
        }
        let tenant = self.subject.strip_prefix("tandem.v1.")?.strip_suffix(".live.identity.revoked")?;
        let Told { data } = serde_json::from_str(&self.payload).ok()?;
        let until = data.until.min(crate::time::now() + Revocation::LONGEST);
        (data.tenant.as_str() == tenant).then_some(Revocation { until, ..data })
    }
}

#[cfg(test)]
mod tests {
    use tandem_core::event::Context;
    use tandem_core::id::{CallId, CorrelationId, LegId, NodeId, Tenant};
    use tandem_core::revocation::Revoked;
    use tandem_core::time::WallTime;

    use super::*;

    #[test]
    fn a_revocation_is_read_as_it_was_told() {
        let bus = Bus::new(8, Arc::default());
        let mut events = bus.subscribe();
        let what = Revoked::Token("t1".to_owned());
        let until = WallTime(1_790_000_000_000_000);
        let revocation = Revocation { tenant: Tenant::default_tenant(), what, until };
        let node = NodeId::from_uuid(Uuid::from_u128(7));
        bus.publish(&Live::Revoked { node, revocation: revocation.clone() });
        let event = events.try_recv().unwrap();
        assert_eq!(event.subject, "tandem.v1.default.live.identity.revoked");
        assert_eq!(event.revocation(), Some(revocation));
        let other = PublishedEvent { subject: "tandem.v1.default.live.call.x.digit".to_owned(), ..(*event).clone() };
        assert_eq!(other.revocation(), None);
        let foreign = PublishedEvent { subject: "tandem.v1.acme.live.identity.revoked".to_owned(), ..(*event).clone() };
        assert_eq!(foreign.revocation(), None, "one tenant's subject takes nothing from another's");
    }

    #[test]
    fn no_revocation_from_elsewhere_lasts_for_ever() {
        let bus = Bus::new(8, Arc::default());
        let mut events = bus.subscribe();
        let (what, until) = (Revoked::Token("t1".to_owned()), crate::time::now() + 3 * Revocation::LONGEST);
        let revocation = Revocation { tenant: Tenant::default_tenant(), what, until };
        bus.publish(&Live::Revoked { node: NodeId::from_uuid(Uuid::from_u128(7)), revocation });
        let heard = events.try_recv().unwrap().revocation().unwrap();
        assert!(heard.until <= crate::time::now() + Revocation::LONGEST);
    }

    #[test]
    fn a_digit_reaches_who_listens_and_is_counted_when_nobody_does() {
        let metrics = Arc::new(Metrics::default());
        let bus = Bus::new(8, metrics.clone());
        let id = Uuid::from_u128(7);
        let context = Context {
            tenant: Tenant::default_tenant(),
            correlation_id: CorrelationId::from_uuid(id),
            node: NodeId::from_uuid(id),
        };
        let digit = Live::Digit { context, call: CallId::from_uuid(id), leg_id: LegId::from_uuid(id), digit: '5' };
        bus.publish(&digit);
        assert_eq!(metrics.counter(Counter::LiveDropped), 1);
        let mut events = bus.subscribe();
        bus.publish(&digit);
        let event = events.try_recv().unwrap();
        assert_eq!(event.subject, "tandem.v1.default.live.call.call_00000000000000000000000000000007.digit");
        let payload: serde_json::Value = serde_json::from_str(&event.payload).unwrap();
        assert_eq!((&payload["data"]["digit"], &payload["callid"]), (&json!("5"), &json!(CallId::from_uuid(id))));
        assert_eq!(metrics.counter(Counter::LiveDropped), 1);
    }
}
