//! Facts for the clients and for the stories of calls: each as soon as the journal has it, in the order and under the ids
//! that the bus has them. What the journal gets tells of media, too.

use std::sync::Arc;

use tandem_core::audit::AuditEvent;
use tandem_core::event::Fact;
use tandem_core::location::BindingChange;
use tandem_core::ports::LedgerPort;
use tandem_http::Clients;

use crate::last_media::LastMedia;
use crate::tracer::Tracer;

/// A ledger whose facts others hear of.
pub(crate) struct Witness {
    pub(crate) ledger: Arc<dyn LedgerPort>,
    pub(crate) clients: Arc<Clients>,
    pub(crate) tracer: Arc<Tracer>,
    pub(crate) last_media: Arc<LastMedia>,
}

impl LedgerPort for Witness {
    fn commit(&self, fact: &Fact) {
        let completed = self.last_media.complete(fact);
        self.ledger.commit(completed.as_ref().unwrap_or(fact));
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
