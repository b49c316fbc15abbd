//! What a phone says, without the socket that says it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::digest;
use super::wire::{Message, parameter};

static UNIQUE: AtomicU64 = AtomicU64::new(1);

/// A phone's place in the world.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its user part.
    pub user: String,
    /// Where it takes SIP.
    pub address: SocketAddr,
    /// Whom it speaks to.
    pub server: SocketAddr,
    /// What it says after the `@`; the server's address unless it has one.
    pub domain: Option<&'static str>,
}

/// One side of an established call.
#[derive(Clone, Debug)]
pub struct Dialog {
    call_id: String,
    local: String,
    remote: String,
    target: String,
    next_number: u32,
}

impl Line {
    /// A request outside of any dialog, or inside of one.
    pub fn request(&self, method: &str, uri: &str, call_id: &str, number: u32, from: &str, to: &str) -> Message {
        let bracketed = |it: &str| if it.contains('<') { it.to_owned() } else { format!("<{it}>") };
        Message::new(format!("{method} {uri} SIP/2.0"))
            .with("Via", self.via())
            .with("Max-Forwards", "70")
            .with("From", tagged(&bracketed(from), &self.user))
            .with("To", bracketed(to))
            .with("Call-ID", call_id)
            .with("CSeq", format!("{number} {method}"))
            .with("Contact", self.contact())
    }

    /// The INVITE of a new call to a user part, with no body yet.
    pub fn invite(&self, number: &str) -> Message {
        let uri = format!("sip:{number}@{}", self.host());
        self.request("INVITE", &uri, &unique("call"), 1, &self.own_uri(), &uri)
    }

    /// The request that is said instead of one that was challenged; `None` when that is no challenge.
    pub fn authorized(&self, request: &Message, response: &Message, password: &str) -> Option<Message> {
        let (asks, answers) = match response.status() {
            Some(401) => ("WWW-Authenticate", "Authorization"),
            Some(407) => ("Proxy-Authenticate", "Proxy-Authorization"),
            _ => return None,
        };
        let challenge = response.all(asks).find(|it| !it.contains("SHA-256")).unwrap();
        let credentials = digest::answer(challenge, request.method(), request.uri(), &self.user, password);
        let mut again = request.clone().with(answers, credentials);
        let cseq = format!("{} {}", request.number() + 1, request.method());
        for (name, value) in &mut again.headers {
            match name.as_str() {
                "Via" => *value = self.via(),
                "CSeq" => value.clone_from(&cseq),
                _ => {}
            }
        }
        Some(again)
    }

    /// The ACK to a final response: of the same transaction to a refusal, of the dialog to an answer.
    pub fn acknowledgement(&self, invite: &Message, response: &Message) -> Message {
        let accepted = response.status().is_some_and(|code| code < 300);
        let uri = if accepted { response.contact() } else { invite.uri() };
        let via = if accepted { self.via() } else { invite.header("Via").to_owned() };
        Message::new(format!("ACK {uri} SIP/2.0"))
            .with("Via", via)
            .with("Max-Forwards", "70")
            .with("From", response.header("From"))
            .with("To", response.header("To"))
            .with("Call-ID", response.header("Call-ID"))
            .with("CSeq", format!("{} ACK", invite.number()))
    }

    /// A response to a request.
    pub fn response(&self, request: &Message, status: u16, body: &str) -> Message {
        let mut response = Message::new(format!("SIP/2.0 {status} Because"));
        for (name, value) in &request.headers {
            let name = name.as_str();
            if ["Via", "From", "Call-ID", "CSeq", "Record-Route"].iter().any(|it| it.eq_ignore_ascii_case(name)) {
                response = response.with(name, value);
            }
        }
        let response = response.with("To", tagged(request.header("To"), &self.user)).with("Contact", self.contact());
        Message { body: body.to_owned(), ..response }
    }

    /// The caller's side of a call that was answered with `response`.
    pub fn caller_side(&self, invite: &Message, response: &Message) -> Dialog {
        Dialog {
            call_id: invite.header("Call-ID").to_owned(),
            local: response.header("From").to_owned(),
            remote: response.header("To").to_owned(),
            target: response.contact().to_owned(),
            next_number: invite.number() + 1,
        }
    }

    /// The callee's side of a call that was answered.
    pub fn callee_side(&self, invite: &Message) -> Dialog {
        Dialog {
            call_id: invite.header("Call-ID").to_owned(),
            local: tagged(invite.header("To"), &self.user),
            remote: invite.header("From").to_owned(),
            target: invite.contact().to_owned(),
            next_number: 1,
        }
    }

    /// What hangs up.
    pub fn bye(&self, dialog: &Dialog) -> Message {
        let Dialog { call_id, local, remote, target, next_number } = dialog;
        self.request("BYE", target, call_id, *next_number, local, remote)
    }

    /// Its own address of record.
    pub fn own_uri(&self) -> String {
        format!("sip:{}@{}", self.user, self.host())
    }

    /// Where its users are.
    pub fn host(&self) -> String {
        self.domain.map_or_else(|| self.server.to_string(), str::to_owned)
    }

    fn via(&self) -> String {
        format!("SIP/2.0/UDP {};rport;branch=z9hG4bK{}", self.address, unique("b"))
    }

    fn contact(&self) -> String {
        format!("<sip:{}@{}>", self.user, self.address)
    }
}

/// A token that no other call, request or process has.
pub fn unique(kind: &str) -> String {
    format!("{kind}{}x{}", std::process::id(), UNIQUE.fetch_add(1, Relaxed))
}

/// Names the transaction of a request.
pub fn transaction(request: &Message) -> String {
    format!("{} {}", request.method(), request.branch())
}

/// A From or To value with a tag, its own if it has one.
fn tagged(value: &str, tag: &str) -> String {
    if parameter(value, "tag").is_some() { value.to_owned() } else { format!("{value};tag=t{tag}") }
}
