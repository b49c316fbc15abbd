//! Transactions as they are filed: a machine, its way, and whose it is.

use bytes::Bytes;
use smallvec::SmallVec;
use tandem_core::id::LegId;
use tandem_core::location::Flow;
use tandem_core::time::Timestamp;

use crate::message::Message;
use crate::request::Request;
use crate::transaction::{Client, InviteClient, InviteServer, Server};

/// From tag, Call-ID, number and Request-URI of an INVITE. RFC 3261, 8.2.2.2, leaves the last one out; but a proxy that
/// forks one INVITE to two of our numbers means two calls, and what comes to one number by two ways names it twice.
pub(super) type Twin = (Bytes, Bytes, u32, Bytes);

pub(super) struct ServerSide {
    pub(super) machine: ServerMachine,
    pub(super) back: Flow,
    pub(super) owner: Option<LegId>,
    /// The leg that it belongs to, whoever cares for it.
    pub(super) leg: Option<LegId>,
}

pub(super) enum ServerMachine {
    /// With the twin, if it was let in.
    Invite(InviteServer, Option<Twin>),
    Other(Server),
}

pub(super) struct ClientSide {
    pub(super) machine: ClientMachine,
    pub(super) flow: Flow,
    pub(super) owner: Option<LegId>,
    /// The leg that it belongs to, whoever cares for it.
    pub(super) leg: Option<LegId>,
}

pub(super) enum ClientMachine {
    Invite(InviteClient, Answers),
    Other(Client),
}

/// What an INVITE of ours needs to answer its responses by itself.
pub(super) struct Answers {
    /// What the ACK of a refusal is made of, until there is a final response.
    pub(super) invite: Option<Box<Message>>,
    /// The ACK of each acceptance, by the To tag: more than one device may accept.
    pub(super) acks: SmallVec<[(Bytes, Flow, Bytes); 1]>,
}

pub(super) fn twin(invite: &Request) -> Twin {
    let copy = Bytes::copy_from_slice;
    (copy(invite.remote_tag()), copy(invite.call_id()), invite.cseq, copy(invite.uri.raw()))
}

impl ClientSide {
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        match &self.machine {
            ClientMachine::Invite(machine, _) => machine.next_deadline(),
            ClientMachine::Other(machine) => machine.next_deadline(),
        }
    }
}
