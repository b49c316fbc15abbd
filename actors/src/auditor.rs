//! The one place where deeds become events of the audit: damped, logged, journalled.

use std::sync::Arc;

use parking_lot::Mutex;
use tandem_core::audit::damping::Dampers;
use tandem_core::audit::{AuditEvent, Deed};
use tandem_core::id::{AuditId, NodeId};
use tandem_core::ports::LedgerPort;
use tracing::{info, warn};
use uuid::Uuid;

use crate::clock::Clock;

/// See the module. Never waits.
pub struct Auditor {
    ledger: Arc<dyn LedgerPort>,
    node: NodeId,
    clock: Clock,
    dampers: Mutex<Dampers>,
}

impl Auditor {
    /// Of this process, into this journal.
    #[must_use]
    pub fn new(ledger: Arc<dyn LedgerPort>, node: NodeId, clock: Clock) -> Self {
        let dampers = Mutex::new(Dampers::new(clock.now().mono));
        Self { ledger, node, clock, dampers }
    }

    /// Notes a deed, unless it is one of too many refusals: then it is counted in the next of them.
    pub fn note(&self, deed: Deed) {
        let now = self.clock.now();
        let Some(hushed) = self.dampers.lock().admit(&deed, now.mono) else { return };
        log(&deed, hushed);
        let id = AuditId::from_uuid(Uuid::now_v7());
        self.ledger.audit(&AuditEvent { id, node: self.node, at: now.wall, hushed, deed });
    }
}

/// With the target `audit`, which no filter leaves out.
fn log(deed: &Deed, hushed: u64) {
    let Deed { tenant, who, from, action, what, outcome, correlation_id } = deed;
    let (who, action, what, outcome) = (who.to_string(), action.name(), what.as_deref().unwrap_or(""), &**outcome);
    let (tenant, from) = (tenant.as_str(), from.map(tracing::field::display));
    let correlation_id = correlation_id.map(tracing::field::display);
    if deed.action.is_refusal() {
        warn!(target: "audit", who, from, action, what, outcome, tenant, correlation_id, hushed, "refused");
    } else {
        info!(target: "audit", who, from, action, what, outcome, tenant, correlation_id, "done");
    }
}

impl std::fmt::Debug for Auditor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auditor").field("node", &self.node).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tandem_core::audit::{Action, Actor};
    use tandem_core::event::Fact;
    use tandem_core::id::Tenant;
    use tandem_core::location::BindingChange;

    use super::*;

    #[derive(Default)]
    struct Noted(Mutex<Vec<AuditEvent>>);

    impl LedgerPort for Noted {
        fn commit(&self, _: &Fact) {}

        fn bind(&self, _: &BindingChange) {}

        fn audit(&self, event: &AuditEvent) {
            self.0.lock().push(event.clone());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_refusals_is_a_few_events_and_the_deeds_between_them_are_all_there() {
        let (noted, clock) = (Arc::new(Noted::default()), Clock::start());
        let auditor = Auditor::new(noted.clone(), NodeId::from_uuid(Uuid::from_u128(1)), clock);
        let refused = Deed::new(Tenant::default_tenant(), Actor::Nobody, Action::RequestRefused, "unauthorized");
        let read = Deed::new(Tenant::default_tenant(), Actor::Operator, Action::TraceRead, "read");
        for _ in 0..100 {
            auditor.note(refused.clone());
            auditor.note(read.clone());
        }
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        auditor.note(refused.clone());
        let events = noted.0.lock();
        let of = |deed: &Deed| events.iter().filter(|it| it.deed == *deed).map(|it| it.hushed).collect::<Vec<_>>();
        assert_eq!((of(&refused), of(&read).len()), (vec![0, 0, 0, 0, 0, 95], 100));
        assert!(events.windows(2).all(|pair| pair[0].id < pair[1].id));
    }
}
