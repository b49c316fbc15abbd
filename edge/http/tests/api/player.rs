//! Plays the calls: opens them, tells their facts, and does what their legs are told.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tandem_core::call::NewCall;
use tandem_core::cause::Cause;
use tandem_core::event::{Context, Fact, FactBody, Side};
use tandem_core::id::{CallId, CorrelationId, DeviceId, LegId, NodeId, Tenant, TrackId, UserId};
use tandem_core::leg::LegInput;
use tandem_core::machine::{Refusal, Stamp};
use tandem_core::media::{LocalMedia, MediaDescription, PeerDescription};
use tandem_core::party::{Address, Identity, Party, Target, TrunkName};
use tandem_core::ports::{CallPort, Dial, EdgePort, Signal};
use tandem_core::time::WallTime;
use tandem_http::Clients;
use uuid::Uuid;

/// See the module.
#[derive(Default)]
pub(crate) struct Player {
    clients: OnceLock<Arc<Clients>>,
    stage: Mutex<Stage>,
}

#[derive(Default)]
struct Stage {
    /// What becomes of the next calls.
    plot: Plot,
    told: Vec<(LegId, LegInput)>,
    calls: HashMap<CallId, Played>,
    opened: usize,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Plot {
    /// They get their offer, and the callee is dialled.
    #[default]
    Offer,
    /// They are refused in place of an offer.
    Refuse(Cause),
    /// They are not let in.
    Closed(Cause),
    /// Legs take nothing.
    Full,
}

struct Played {
    context: Context,
    caller: LegId,
    callees: Vec<LegId>,
    numbers: u32,
    stamps: u64,
    is_answered: bool,
}

impl Player {
    pub(crate) fn join(&self, clients: Arc<Clients>) {
        assert!(self.clients.set(clients).is_ok());
    }

    pub(crate) fn clients(&self) -> &Arc<Clients> {
        self.clients.get().unwrap()
    }

    pub(crate) fn plot(&self, plot: Plot) {
        self.stage.lock().plot = plot;
    }

    /// How many calls were opened.
    pub(crate) fn opened(&self) -> usize {
        self.stage.lock().opened
    }

    /// What a leg was told.
    pub(crate) fn told(&self, leg: LegId) -> Vec<&'static str> {
        self.stage.lock().told.iter().filter(|(it, _)| *it == leg).map(|(_, input)| input.name()).collect()
    }

    /// The next fact of a call.
    pub(crate) fn fact(&self, call: CallId, body: FactBody) -> Fact {
        let (context, number) = {
            let mut stage = self.stage.lock();
            let played = stage.calls.get_mut(&call).unwrap();
            played.numbers += 1;
            (played.context.clone(), played.numbers)
        };
        let at = WallTime(1_790_000_000_000_000 + i64::from(number) * 1_234_000);
        let fact = Fact { context, call, number, at, caused_by: None, sdp: None, body };
        self.clients().hear(&fact);
        fact
    }

    pub(crate) fn signal(&self, leg: LegId, call: CallId, signal: Signal) -> Result<(), Refusal> {
        let number = {
            let mut stage = self.stage.lock();
            let played = stage.calls.get_mut(&call).unwrap();
            played.stamps += 1;
            played.stamps
        };
        self.clients().signal(Stamp { from: leg, number }, signal)
    }

    pub(crate) fn ring(&self, call: CallId) {
        let leg = self.stage.lock().calls[&call].callees[0];
        self.fact(call, FactBody::Ringing { leg_id: leg });
    }

    pub(crate) fn answer(&self, call: CallId, leg: LegId) {
        self.stage.lock().calls.get_mut(&call).unwrap().is_answered = true;
        self.fact(call, FactBody::Answered { leg_id: leg });
    }

    /// The callee of a call that was initiated answers.
    pub(crate) fn callee_answers(&self, call: CallId) {
        let leg = self.stage.lock().calls[&call].callees[0];
        self.answer(call, leg);
    }

    pub(crate) fn end(&self, call: CallId, cause: Cause) {
        let legs = {
            let mut stage = self.stage.lock();
            let Some(played) = stage.calls.get_mut(&call) else { return };
            let legs: Vec<_> = std::iter::once(played.caller).chain(played.callees.drain(..)).collect();
            legs
        };
        for leg_id in &legs {
            self.fact(
                call,
                FactBody::LegEnded { leg_id: *leg_id, cause, sip_status: None, rang_at: None, media: None },
            );
        }
        self.fact(call, FactBody::Ended { cause, by: Side::System });
        self.stage.lock().calls.remove(&call);
        legs.iter().for_each(|leg| self.clients().release(*leg));
    }

    /// Somebody from outside calls a user: his clients and, if wanted, his phone.
    pub(crate) fn incoming(&self, tenant: &Tenant, user: UserId, has_phone: bool) -> Incoming {
        let (call, caller, leg, phone) = (call_id(), leg_id(), leg_id(), leg_id());
        let context = Context {
            tenant: tenant.clone(),
            correlation_id: CorrelationId::from_uuid(Uuid::new_v4()),
            node: NodeId::from_uuid(Uuid::from_u128(1)),
        };
        let mut callees = vec![leg];
        callees.extend(has_phone.then_some(phone));
        let played = Played { context: context.clone(), caller, callees, numbers: 0, stamps: 0, is_answered: false };
        self.stage.lock().calls.insert(call, played);
        let outside = Party {
            number: String::from("+4915112345678").into(),
            name: Some(String::from("Anna").into()),
            identity: Identity::Trunk { trunk: TrunkName("carrier".into()) },
        };
        let called = Party {
            number: String::from("1001").into(),
            name: None,
            identity: Identity::User { user_id: user, device_id: DeviceId::from_uuid(Uuid::from_u128(3)) },
        };
        let dialled = String::from("1001").into();
        self.fact(call, FactBody::Started { leg_id: caller, caller: outside.clone(), dialled });
        self.fact(call, FactBody::Dialled { leg_id: leg, callee: called.clone(), route: None });
        if has_phone {
            self.fact(call, FactBody::Dialled { leg_id: phone, callee: called.clone(), route: None });
        }
        let dial = Dial {
            context,
            call,
            caller: outside,
            target: Target { leg, party: called, address: Address::Client(user) },
            offer: Arc::new(offer()),
            max_forwards: 69,
        };
        self.signal(leg, call, Signal::Invite(Arc::new(dial.clone()))).unwrap();
        Incoming { call, leg, phone, dial: Arc::new(dial) }
    }

    fn open(&self, new: NewCall, plot: Plot) {
        let callee = leg_id();
        let played = Played {
            context: new.context,
            caller: new.leg,
            callees: Vec::new(),
            numbers: 0,
            stamps: 0,
            is_answered: false,
        };
        self.stage.lock().calls.insert(new.call, played);
        self.fact(new.call, FactBody::Started { leg_id: new.leg, caller: new.caller, dialled: new.dialled });
        if let Plot::Refuse(cause) = plot {
            self.signal(new.leg, new.call, Signal::Reject(cause)).unwrap();
            return self.end(new.call, cause);
        }
        self.stage.lock().calls.get_mut(&new.call).unwrap().callees.push(callee);
        let party = Party {
            number: String::from("102").into(),
            name: Some(String::from("Bob").into()),
            identity: Identity::Trunk { trunk: TrunkName("carrier".into()) },
        };
        self.fact(new.call, FactBody::Dialled { leg_id: callee, callee: party, route: None });
        self.signal(new.leg, new.call, Signal::Offer(Arc::new(offer()))).unwrap();
    }
}

pub(crate) struct Incoming {
    pub(crate) call: CallId,
    /// Of the clients.
    pub(crate) leg: LegId,
    /// Of the phone, if there is one.
    pub(crate) phone: LegId,
    pub(crate) dial: Arc<Dial>,
}

impl CallPort for Player {
    fn open_call(&self, new: NewCall) -> Result<(), Cause> {
        let plot = {
            let mut stage = self.stage.lock();
            stage.opened += 1;
            stage.plot
        };
        match plot {
            Plot::Closed(cause) => return Err(cause),
            plot => self.open(new, plot),
        }
        Ok(())
    }

    fn tell_leg(&self, leg: LegId, input: LegInput) -> Result<(), Refusal> {
        let (call, is_answered) = {
            let mut stage = self.stage.lock();
            if stage.plot == Plot::Full {
                return Err(Refusal::Full);
            }
            stage.told.push((leg, input.clone()));
            let is_his = |played: &&Played| played.caller == leg || played.callees.contains(&leg);
            let found = stage.calls.iter().find(|(_, played)| is_his(played));
            found.map(|(call, played)| (*call, played.is_answered)).ok_or(Refusal::Gone)?
        };
        match input {
            LegInput::Answered(_) => self.answer(call, leg),
            LegInput::HungUp(_) if !is_answered => self.end(call, Cause::Cancelled),
            LegInput::HungUp(cause) | LegInput::HangUp(cause) | LegInput::Refused { cause, .. } => {
                self.end(call, cause);
            }
            _ => {}
        }
        Ok(())
    }

    fn track_lost(&self, _: TrackId) -> Result<(), Refusal> {
        Ok(())
    }
}

fn call_id() -> CallId {
    CallId::from_uuid(Uuid::now_v7())
}

fn leg_id() -> LegId {
    LegId::from_uuid(Uuid::now_v7())
}

/// What we offer a client.
pub(crate) fn offer() -> MediaDescription {
    let at = "192.0.2.9:7882".parse().unwrap();
    let peer = PeerDescription {
        ufrag: "abcd".into(),
        password: String::from("0123456789012345678901").into(),
        fingerprint: [7; 32],
        ssrc: Some(1),
    };
    MediaDescription::proposal(true).relayed_at(&LocalMedia { rtp: at, rtcp: at, peer: Some(Arc::new(peer)) })
}

/// What a client answers.
pub(crate) fn answer() -> String {
    let fingerprint = ["0A"; 32].join(":");
    format!(
        "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0 126\r\n\
         c=IN IP4 0.0.0.0\r\na=ice-ufrag:wxyz\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=fingerprint:sha-256 \
         {fingerprint}\r\na=setup:active\r\na=mid:0\r\na=sendrecv\r\na=rtcp-mux\r\na=rtpmap:0 PCMU/8000\r\n\
         a=rtpmap:126 telephone-event/8000\r\na=ssrc:7 cname:x\r\n"
    )
}
