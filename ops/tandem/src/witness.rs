//! Facts for the clients and for the stories of calls: each as soon as the journal has it, in the order and under the ids
//! that the bus has them.

use std::sync::Arc;

use tandem_core::audit::AuditEvent;
use tandem_core::event::Fact;
use tandem_core::location::BindingChange;
use tandem_core::ports::LedgerPort;
use tandem_http::Clients;

use crate::tracer::Tracer;

/// A ledger whose facts others hear of.
pub(crate) struct Witness {
    pub(crate) ledger: Arc<dyn LedgerPort>,
    pub(crate) clients: Arc<Clients>,
    pub(crate) tracer: Arc<Tracer>,
}

impl LedgerPort for Witness {
    fn commit(&self, fact: &Fact) {
        self.ledger.commit(fact);
        self.tracer.hear(fact);
        self.clients.hear(fact);
    }

    fn bind(&self, change: &BindingChange) {
        self.ledger.bind(change);
    }

    fn audit(&self, event: &AuditEvent) {
        self.ledger.audit(event);
    }
}
