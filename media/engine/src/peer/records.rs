//! DTLS after the handshake: application data in records, and the end of the connection (RFC 6347, 4.1).
//!
//! ```text
//!  exported state, in the box ──first record──▶ endpoint ──idle──▶ dropped; the state in the box is newer now
//! ```
//!
//! # Invariants
//! * Only what is sealed with the keys of the handshake is read: data and alerts of epoch 1. Whoever wants to shake
//!   hands again is not heard.
//! * A record number is in the box before its record leaves, and none leaves twice, alerts included.
//! * A record is taken once, whether or not the endpoint was dropped in between.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::state::State;
use rtc_shared::TransportProtocol;
use rtc_shared::error::Error;
use zeroize::Zeroizing;

use super::dtls::{RECORD_HEADER, THEM, US};
use super::identity::Identity;
use super::window::Window;

/// Content types (RFC 5246, 6.2.1).
const ALERT: u8 = 21;
const DATA: u8 = 23;

/// Records in a datagram: more than fit with something in them.
const RECORDS: usize = 16;

/// How often the state in the box is renewed, in records: a new endpoint passes over as many numbers at most.
const RENEWAL: u64 = 512;

/// Numbers that a new endpoint may pass over, if it was not renewed for some reason. Each costs half a microsecond.
const PASSED_OVER: u64 = 100_000;

/// What another worker needs to go on.
#[derive(Default)]
pub(super) struct KeptRecords {
    /// As the library exports it. `None`: there was no handshake, or the connection is closed.
    state: Mutex<Option<Zeroizing<Vec<u8>>>>,
    /// Behind the highest number sent.
    sent: AtomicU64,
    /// Behind the highest number received.
    received: AtomicU64,
}

impl KeptRecords {
    pub(super) fn keep(&self, state: Option<Zeroizing<Vec<u8>>>) {
        *self.state.lock() = state;
    }

    pub(super) fn is_open(&self) -> bool {
        self.state.lock().is_some()
    }

    /// Which numbers came.
    fn window(&self) -> Window {
        self.received.load(Relaxed).checked_sub(1).map_or_else(Window::default, Window::after)
    }

    /// Notes a number before it is used. `false`: somebody used it.
    fn take(&self, number: u64) -> bool {
        self.sent.fetch_max(number + 1, Relaxed) <= number
    }
}

/// What was in a datagram.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// In the order of arrival.
    pub(super) data: Vec<Bytes>,
    /// Something was authentic, and later than all before.
    pub(super) is_newest: bool,
    /// The far end ended the connection; this is for it.
    pub(super) closed: Option<Vec<Bytes>>,
}

/// See the module.
pub(super) struct Records {
    /// `None`: parked.
    endpoint: Option<Box<Endpoint>>,
    received: Window,
}

impl Records {
    pub(super) fn new(kept: &KeptRecords) -> Self {
        Self { endpoint: None, received: kept.window() }
    }

    /// Opens what a datagram has.
    pub(super) fn open(&mut self, now: Instant, identity: &Identity, kept: &KeptRecords, datagram: &[u8]) -> Contents {
        let mut contents = Contents::default();
        for (number, record) in records(datagram).take(RECORDS) {
            if contents.closed.is_some() || !self.received.is_free(number) {
                continue;
            }
            let Some(endpoint) = self.endpoint(now, identity, kept) else { break };
            let read = endpoint.read(now, THEM, None, record.into());
            let answers: Vec<Bytes> =
                std::iter::from_fn(|| endpoint.poll_transmit()).map(|it| it.message.freeze()).collect();
            let is_authentic = match read {
                Ok(events) => contents.take(events, answers, kept),
                Err(Error::ErrAlertFatalOrClose) => {
                    contents.closed = Some(Vec::new());
                    true
                }
                // A warning. The library would answer it with the same, and for ever if we were two.
                Err(_) => false,
            };
            if is_authentic {
                contents.is_newest |= self.received.note(number);
                kept.received.fetch_max(number + 1, Relaxed);
            }
        }
        if contents.closed.is_some() {
            self.endpoint = None;
            kept.keep(None);
        }
        contents
    }

    /// Seals a record. `None`: there are no keys, or the number was another's; what it carried is lost.
    pub(super) fn seal(
        &mut self,
        now: Instant,
        identity: &Identity,
        kept: &KeptRecords,
        payload: &[u8],
    ) -> Option<Bytes> {
        let endpoint = self.endpoint(now, identity, kept)?;
        let (number, record) = write(endpoint, now, payload)?;
        let is_ours = kept.take(number);
        if number.is_multiple_of(RENEWAL) {
            renew(endpoint, kept);
        }
        is_ours.then_some(record)
    }

    /// Lets go of what can be made again.
    pub(super) fn park(&mut self, kept: &KeptRecords) {
        if let Some(endpoint) = self.endpoint.take() {
            renew(&endpoint, kept);
        }
    }

    pub(super) fn is_parked(&self) -> bool {
        self.endpoint.is_none()
    }

    fn endpoint(&mut self, now: Instant, identity: &Identity, kept: &KeptRecords) -> Option<&mut Endpoint> {
        if self.endpoint.is_none() {
            self.endpoint = restore(now, identity, kept).map(Box::new);
        }
        self.endpoint.as_deref_mut()
    }
}

impl Contents {
    /// `true`: something was authentic.
    fn take(&mut self, events: Vec<EndpointEvent>, answers: Vec<Bytes>, kept: &KeptRecords) -> bool {
        let mut is_authentic = false;
        for event in events {
            match event {
                EndpointEvent::ApplicationData(data) => self.data.push(data.freeze()),
                EndpointEvent::PeerClosed => self.closed = Some(Vec::new()),
                _ => continue,
            }
            is_authentic = true;
        }
        if let Some(farewell) = &mut self.closed {
            farewell.extend(answers.into_iter().filter(|it| number_of(it).is_some_and(|number| kept.take(number))));
        }
        is_authentic
    }
}

/// The endpoint again, its next number one that was not used.
fn restore(now: Instant, identity: &Identity, kept: &KeptRecords) -> Option<Endpoint> {
    let mut state = State::new(identity.provider(), false);
    state.unmarshal_binary(kept.state.lock().as_ref()?).ok()?;
    let mut endpoint = Endpoint::new(US, TransportProtocol::UDP, None);
    // It calls itself a client, by the only door there is for a state. The keys have their direction from the state.
    endpoint.connect(now, THEM, identity.preferred(), Some(state)).ok()?;
    let next = kept.sent.load(Relaxed);
    if next > 0 {
        let is_behind = |number: u64| number + 1 < next;
        let mut passed = std::iter::from_fn(|| write(&mut endpoint, now, &[])).map(|(number, _)| number);
        let last = passed.by_ref().take(PASSED_OVER as usize).find(|number| !is_behind(*number));
        kept.sent.fetch_max(last? + 1, Relaxed);
    }
    Some(endpoint)
}

/// A record and its number.
fn write(endpoint: &mut Endpoint, now: Instant, payload: &[u8]) -> Option<(u64, Bytes)> {
    endpoint.write(now, THEM, payload).ok()?;
    let record = endpoint.poll_transmit()?.message.freeze();
    Some((number_of(&record)?, record))
}

fn renew(endpoint: &Endpoint, kept: &KeptRecords) {
    let state = endpoint.get_connection_state(THEM).and_then(export);
    // Of a connection that was closed meanwhile nothing is kept.
    let mut place = kept.state.lock();
    if let (Some(_), Some(state)) = (place.as_ref(), state) {
        *place = Some(state);
    }
}

/// What an endpoint can be made of again.
pub(super) fn export(state: &State) -> Option<Zeroizing<Vec<u8>>> {
    state.marshal_binary().ok().map(Zeroizing::new)
}

/// Those of a datagram that may be ours, with their numbers.
fn records(mut datagram: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    std::iter::from_fn(move || {
        let &[.., high, low] = datagram.first_chunk::<RECORD_HEADER>()?;
        let len = RECORD_HEADER + usize::from(u16::from_be_bytes([high, low]));
        let (record, rest) = datagram.split_at_checked(len)?;
        datagram = rest;
        Some(record)
    })
    .filter(|record| matches!(record, [ALERT | DATA, _, _, 0, 1, ..]))
    .filter_map(|record| Some((number_of(record)?, record)))
}

/// The 48 bits of the number in a record's header.
fn number_of(record: &[u8]) -> Option<u64> {
    let &[_, _, _, _, _, a, b, c, d, e, f, ..] = record.first_chunk::<RECORD_HEADER>()?;
    Some(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
}
