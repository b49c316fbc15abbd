//! Two phones with many calls between them: the caller gives its credentials, the callee is behind a trunk and answers
//! at once. As any phone over UDP they repeat what is not answered (RFC 3261, 17.1 and 13.3.1.4).

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::UdpSocket;

use crate::harness::line::{Dialog, Line, transaction};
use crate::harness::ports;
use crate::harness::rtp::{RtpEnd, destination};
use crate::harness::wire::Message;

/// Timers T1 and T2, and 64 × T1.
const RESEND: Duration = Duration::from_millis(500);
const RESEND_MOST: Duration = Duration::from_secs(4);
const GIVE_UP: Duration = Duration::from_secs(32);

/// Numbers that begin so go to the trunk.
pub const PREFIX: &str = "+4930";

/// Which end of a call.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Side {
    /// Who called.
    Near,
    /// Who was called.
    Far,
}

/// What a phone found out.
pub enum Sign {
    /// Media may flow: from here, to there.
    Up {
        /// Which call.
        call: u32,
        /// Whose media.
        side: Side,
        /// Where it receives.
        end: RtpEnd,
        /// Where it sends.
        to: SocketAddr,
    },
    /// Both sides are over, as it should be.
    Over(u32),
    /// It is over, and should not be.
    Lost(u32, String),
}

/// See the module.
pub struct Phones {
    /// The caller's, then the callee's.
    pub sockets: [UdpSocket; 2],
    lines: [Line; 2],
    password: &'static str,
    parties: HashMap<String, Party>,
    /// Call-IDs of both sides.
    calls: HashMap<u32, Sides>,
    signs: Vec<Sign>,
}

#[derive(Default)]
struct Sides {
    call_ids: [Option<String>; 2],
    is_over: [bool; 2],
    is_leaving: bool,
    is_settled: bool,
}

/// One side of one call.
struct Party {
    call: u32,
    side: Side,
    invite: Message,
    media: Option<RtpEnd>,
    dialog: Option<Dialog>,
    /// What is said until somebody answers it.
    pending: Option<Pending>,
    /// What is said to every repeated answer.
    ack: Option<String>,
    /// What was said to every request.
    said: HashMap<String, String>,
    has_credentials: bool,
}

struct Pending {
    text: String,
    next: Instant,
    wait: Duration,
    until: Instant,
}

impl Side {
    /// Place in a pair.
    pub const fn place(self) -> usize {
        match self {
            Self::Near => 0,
            Self::Far => 1,
        }
    }

    /// The other one.
    pub const fn other(self) -> Self {
        match self {
            Self::Near => Self::Far,
            Self::Far => Self::Near,
        }
    }
}

/// The number that is dialled for a call.
pub fn number(call: u32) -> String {
    format!("{PREFIX}{call:06}")
}

/// The call for which that number was dialled.
pub fn call_of(number: &str) -> Option<u32> {
    number.strip_prefix(PREFIX)?.parse().ok()
}

impl Phones {
    /// Neither has said anything yet. The trunk is `far`.
    pub fn new(user: &str, password: &'static str, far: SocketAddr, server: SocketAddr) -> Self {
        let near = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::address().port()));
        let line = |user: &str, address| Line { user: user.to_owned(), address, server, domain: None };
        let socket = |address| UdpSocket::bind(address).unwrap();
        Self {
            sockets: [socket(near), socket(far)],
            lines: [line(user, near), line("world", far)],
            password,
            parties: HashMap::new(),
            calls: HashMap::new(),
            signs: Vec::new(),
        }
    }

    /// Calls the number of this call.
    pub fn call(&mut self, now: Instant, call: u32) {
        let end = RtpEnd::open();
        let invite = Message { body: end.sdp(), ..self.lines[0].invite(&number(call)) };
        self.calls.entry(call).or_default();
        let mut party = Party::new(call, Side::Near, invite, end);
        party.pending = Some(Pending::new(now, party.invite.text()));
        self.say(Side::Near, &party.invite.text());
        self.file(party);
    }

    /// This call has a caller that is no phone: only its other side comes here.
    pub fn expect(&mut self, call: u32) {
        let sides = self.calls.entry(call).or_default();
        sides.is_over[Side::Near.place()] = true;
    }

    /// Hangs up. Every second caller does; the other callers are hung up on.
    pub fn hang_up(&mut self, now: Instant, call: u32) {
        let Some(sides) = self.calls.get_mut(&call) else { return };
        sides.is_leaving = true;
        let first = if call.is_multiple_of(2) { Side::Near } else { Side::Far };
        let side = if sides.call_ids[first.place()].is_some() { first } else { first.other() };
        let Some(id) = sides.call_ids[side.place()].clone() else { return };
        let line = &self.lines[side.place()];
        let Some(party) = self.parties.get_mut(&id) else { return };
        let Some(dialog) = &party.dialog else { return };
        let text = line.bye(dialog).text();
        party.pending = Some(Pending::new(now, text.clone()));
        self.say(side, &text);
    }

    /// What has been found out since the last time.
    pub fn signs(&mut self) -> Vec<Sign> {
        std::mem::take(&mut self.signs)
    }

    /// Reads what has come for one side.
    pub fn receive(&mut self, now: Instant, side: Side) {
        let mut buffer = [0; 65_536];
        while let Ok(length) = self.sockets[side.place()].recv(&mut buffer) {
            let Some(message) = Message::parse(&buffer[..length]) else { continue };
            match message.status() {
                Some(status) => self.response(now, side, &message, status),
                None => self.request(now, side, &message),
            }
        }
    }

    /// Says again what was not answered.
    pub fn expire(&mut self, now: Instant) {
        let mut again = Vec::new();
        let mut given_up = Vec::new();
        for (id, party) in &mut self.parties {
            let Some(pending) = &mut party.pending else { continue };
            if now >= pending.until {
                given_up.push((id.clone(), pending.text.split(' ').next().unwrap_or_default().to_owned()));
                party.pending = None;
            } else if now >= pending.next {
                pending.wait = (pending.wait * 2).min(RESEND_MOST);
                pending.next = now + pending.wait;
                again.push((party.side, pending.text.clone()));
            }
        }
        again.into_iter().for_each(|(side, text)| self.say(side, &text));
        for (id, what) in given_up {
            let Some(call) = self.parties.get(&id).map(|it| it.call) else { continue };
            self.lose(call, format!("nothing came to our {what}"));
        }
    }

    fn response(&mut self, now: Instant, side: Side, response: &Message, status: u16) {
        let Some(party) = self.parties.get_mut(response.header("Call-ID")) else { return };
        let (call, line) = (party.call, &self.lines[side.place()]);
        match (response.method(), status) {
            ("INVITE", 100..200) => {
                // Whoever rings may take its time.
                if let Some(pending) = party.pending.as_mut().filter(|_| party.dialog.is_none()) {
                    pending.next = pending.until;
                }
            }
            ("INVITE", 200..300) => {
                if party.dialog.is_none() {
                    party.pending = None;
                    party.dialog = Some(line.caller_side(&party.invite, response));
                    party.ack = Some(line.acknowledgement(&party.invite, response).text());
                    let (end, to) = (party.media.take(), destination(&response.body));
                    self.signs.extend(end.map(|end| Sign::Up { call, side, end, to }));
                }
                if let Some(ack) = party.ack.clone() {
                    self.say(side, &ack);
                }
            }
            ("INVITE", _) => {
                let ack = line.acknowledgement(&party.invite, response).text();
                // A refusal that is repeated belongs to the INVITE before.
                let is_of_this = response.branch() == party.invite.branch();
                let challenged = line.authorized(&party.invite, response, self.password);
                match challenged.filter(|_| is_of_this && !party.has_credentials) {
                    Some(again) => {
                        party.has_credentials = true;
                        party.invite = again;
                        let text = party.invite.text();
                        party.pending = Some(Pending::new(now, text.clone()));
                        self.say(side, &ack);
                        self.say(side, &text);
                    }
                    None => {
                        self.say(side, &ack);
                        if is_of_this {
                            self.lose(call, format!("refused with {status}"));
                        }
                    }
                }
            }
            ("BYE", 200..300) => {
                party.pending = None;
                self.end(call, side);
            }
            ("BYE", 300..) => self.lose(call, format!("{status} to our BYE")),
            _ => {}
        }
    }

    fn request(&mut self, now: Instant, side: Side, request: &Message) {
        let id = request.header("Call-ID").to_owned();
        let known = self.parties.get(&id).and_then(|party| party.said.get(&transaction(request)));
        if let Some(said) = known.cloned() {
            return self.say(side, &said);
        }
        match (request.method(), self.parties.get_mut(&id)) {
            ("INVITE", None) => self.answer(now, side, request),
            ("ACK", Some(party)) => {
                party.pending = None;
                let to = destination(&party.invite.body);
                let (call, end) = (party.call, party.media.take());
                self.signs.extend(end.map(|end| Sign::Up { call, side, end, to }));
            }
            ("BYE", Some(party)) => {
                let call = party.call;
                self.reply(side, request, 200, "");
                if self.calls.get(&call).is_some_and(|it| it.is_leaving) {
                    self.end(call, side);
                } else {
                    self.lose(call, String::from("hung up by the node"));
                }
            }
            ("INVITE", Some(party)) => {
                let call = party.call;
                self.reply(side, request, 488, "");
                self.lose(call, String::from("renegotiated by the node"));
            }
            ("ACK", None) => {}
            (_, None) => self.reply(side, request, 481, ""),
            (_, Some(_)) => self.reply(side, request, 200, ""),
        }
    }

    /// A call of ours arrives at its other side.
    fn answer(&mut self, now: Instant, side: Side, invite: &Message) {
        let user = invite.uri().strip_prefix("sip:").and_then(|it| it.split('@').next()).unwrap_or_default();
        let Some(call) = call_of(user).filter(|call| self.calls.contains_key(call)) else {
            return self.reply(side, invite, 404, "");
        };
        let end = RtpEnd::open();
        let text = self.lines[side.place()].response(invite, 200, &end.sdp()).text();
        let mut party = Party::new(call, side, invite.clone(), end);
        party.dialog = Some(self.lines[side.place()].callee_side(invite));
        party.pending = Some(Pending::new(now, text.clone()));
        party.said.insert(transaction(invite), text.clone());
        self.file(party);
        self.say(side, &text);
    }

    fn file(&mut self, party: Party) {
        let id = party.invite.header("Call-ID").to_owned();
        let sides = self.calls.entry(party.call).or_default();
        sides.call_ids[party.side.place()] = Some(id.clone());
        self.parties.insert(id, party);
    }

    fn reply(&mut self, side: Side, request: &Message, status: u16, body: &str) {
        let text = self.lines[side.place()].response(request, status, body).text();
        if let Some(party) = self.parties.get_mut(request.header("Call-ID")) {
            party.said.insert(transaction(request), text.clone());
        }
        self.say(side, &text);
    }

    fn say(&self, side: Side, text: &str) {
        // What the system does not take now is said again.
        let _ = self.sockets[side.place()].send_to(text.as_bytes(), self.lines[side.place()].server);
    }

    fn end(&mut self, call: u32, side: Side) {
        let Some(sides) = self.calls.get_mut(&call) else { return };
        sides.is_over[side.place()] = true;
        if sides.is_over == [true; 2] && !std::mem::replace(&mut sides.is_settled, true) {
            self.signs.push(Sign::Over(call));
        }
    }

    fn lose(&mut self, call: u32, why: String) {
        let Some(sides) = self.calls.get_mut(&call) else { return };
        if !std::mem::replace(&mut sides.is_settled, true) {
            self.signs.push(Sign::Lost(call, why));
        }
    }
}

impl Party {
    fn new(call: u32, side: Side, invite: Message, end: RtpEnd) -> Self {
        let said = HashMap::new();
        let (media, has_credentials) = (Some(end), false);
        Self { call, side, invite, media, dialog: None, pending: None, ack: None, said, has_credentials }
    }
}

impl Pending {
    fn new(now: Instant, text: String) -> Self {
        Self { text, next: now + RESEND, wait: RESEND, until: now + GIVE_UP }
    }
}
