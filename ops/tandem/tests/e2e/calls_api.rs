//! The calls API, as a client uses it that is no browser: calls that succeed, everything that is refused, every way in
//! which a call fails, and what the node says of it to its operator.

mod causes;
mod incoming;
mod life;
mod once;
mod provider;
mod records;
mod refusals;
mod witness;

use std::time::Duration;

use serde_json::Value;

use crate::harness::api::{Api, Begun};
use crate::harness::node::{Node, Settings};
use crate::harness::rtp::{RtpEnd, Stream};
use crate::harness::scratch::Scratch;
use crate::harness::ua::Ua;
use crate::harness::webrtc::Peer;
use crate::harness::wire::Message;
use crate::harness::{SOON, eventually};

/// The shortest time that a callee can be let ring.
pub(crate) const SHORTEST: Duration = Duration::from_secs(5);

/// A node, Alice who is signed in, and Bob's phone.
pub(crate) struct Stage {
    pub(crate) alice: Api,
    pub(crate) bob: Ua,
    pub(crate) node: Node,
    _scratch: Scratch,
}

/// Alice's client talks to Bob's phone.
pub(crate) struct Talk {
    pub(crate) call: Begun,
    pub(crate) near: Stream,
    pub(crate) far: Stream,
}

impl Stage {
    pub(crate) fn set(name: &str, settings: &Settings) -> Self {
        let scratch = Scratch::new(name);
        let node = Node::start(&scratch, settings);
        let alice = Api::sign_in(node.http, "alice");
        let mut bob = Ua::new("1002", "bob", node.sip);
        bob.register();
        Self { alice, bob, node, _scratch: scratch }
    }

    /// Alice calls Bob, whose phone rings.
    pub(crate) fn dial(&mut self) -> (Begun, Message) {
        let call = self.alice.initiate("1002");
        let invite = self.bob.incoming("INVITE");
        self.bob.respond(&invite, 180, "");
        (call, invite)
    }

    /// Alice's client answers our offer.
    pub(crate) fn answer(&self, call: &Begun) -> Peer {
        let peer = Peer::answer(&call.offer);
        let (status, answered) = self.alice.answer(&call.call_id, &peer.sdp);
        assert_eq!(status, 200, "{answered}");
        assert_eq!(answered["session_id"], call.session_id.as_str(), "{answered}");
        peer
    }

    /// Alice calls Bob, his phone answers after her client has, and packets flow both ways.
    pub(crate) fn talk(&mut self) -> Talk {
        let (call, invite) = self.dial();
        let peer = self.answer(&call);
        let end = RtpEnd::open();
        self.bob.respond(&invite, 200, &end.sdp());
        self.bob.incoming("ACK");
        self.state_is(&call.call_id, "talking");
        let (near, far) = (peer.talk(), end.talk(&invite.body));
        near.wait_for(20);
        far.wait_for(20);
        Talk { call, near, far }
    }

    /// Alice ends a call, which she could; gives its duration in milliseconds.
    pub(crate) fn terminate(&self, call_id: &str) -> u64 {
        let (status, ended) = self.alice.terminate(call_id);
        assert_eq!((status, &ended["call_id"]), (200, &Value::from(call_id)), "{ended}");
        milliseconds(&ended["duration"])
    }

    /// Bob's phone confirms that it rings no more.
    pub(crate) fn cancelled(&mut self, invite: &Message) {
        let cancel = self.bob.incoming("CANCEL");
        self.bob.respond(&cancel, 200, "");
        self.bob.respond(invite, 487, "");
    }

    /// Waits until a call of Alice's is in that state; gives it.
    pub(crate) fn state_is(&self, call_id: &str, state: &str) -> Value {
        eventually(state, SOON, || Some(self.alice.call(call_id)).filter(|it| it["state"] == state))
    }

    /// Waits until a call of Alice's is over, and stored; that it then is as told.
    pub(crate) fn assert_over(&self, call_id: &str, cause: &str, status: &str) {
        let call = self.state_is(call_id, "ended");
        assert_eq!((call["cause"].as_str(), call["status"].as_str()), (Some(cause), Some(status)), "{call}");
        let ledger = self.node.ledger();
        let cdr = eventually("the CDR", SOON, || ledger.cdrs().into_iter().find(|it| it.call_id() == call_id));
        assert_eq!(cdr.text("cause"), cause);
        let events = ledger.events(call_id);
        let told = events.iter().find(|it| it.kind() == "ended").unwrap();
        assert_eq!((told.text("cause"), cdr.text("correlation_id")), (cause, told.correlation_id()));
    }
}

/// A duration of the API, which is in seconds.
pub(crate) fn milliseconds(seconds: &Value) -> u64 {
    let seconds = seconds.as_f64().unwrap_or_else(|| panic!("no seconds: {seconds}"));
    Duration::from_secs_f64(seconds + 0.000_5).as_millis().try_into().unwrap()
}
