//! The edges as one: every leg belongs to the edge that carries it.

use std::sync::Arc;

use tandem_core::id::LegId;
use tandem_core::machine::{Refusal, Stamp};
use tandem_core::party::Address;
use tandem_core::ports::{EdgePort, Signal};
use tandem_http::Clients;
use tandem_provider::VoipProvider;

/// See the module.
pub(crate) struct Edges {
    /// Phones, and trunks unless a provider has them.
    pub(crate) sip: Arc<dyn EdgePort>,
    /// Browsers.
    pub(crate) clients: Arc<Clients>,
    /// Numbers outside, when it is not our own border that calls them.
    pub(crate) provider: Option<Arc<dyn VoipProvider>>,
}

impl Edges {
    fn for_address(&self, address: &Address) -> &dyn EdgePort {
        match (address, &self.provider) {
            (Address::Client(_), _) => &*self.clients,
            (Address::Trunk { .. }, Some(provider)) => &**provider,
            (Address::Trunk { .. } | Address::Contact(_), _) => &*self.sip,
        }
    }

    fn of(&self, leg: LegId) -> &dyn EdgePort {
        match &self.provider {
            _ if self.clients.carries(leg) => &*self.clients,
            Some(provider) if provider.carries(leg) => &**provider,
            _ => &*self.sip,
        }
    }
}

impl EdgePort for Edges {
    fn signal(&self, stamp: Stamp<LegId>, signal: Signal) -> Result<(), Refusal> {
        let edge = match &signal {
            Signal::Invite(dial) => self.for_address(&dial.target.address),
            _ => self.of(stamp.from),
        };
        edge.signal(stamp, signal)
    }

    fn release(&self, leg: LegId) {
        self.of(leg).release(leg);
    }
}
