//! A phone by script: it says exactly what the test wants, and shows exactly what came. UDP only.

use std::collections::{HashMap, VecDeque};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::line::{Dialog, Line, transaction, unique};
use super::wire::Message;
use super::{SOON, ports};

/// How long to wait for an answer before a request is sent again (timer T1 of RFC 3261).
const RESEND: Duration = Duration::from_millis(500);

/// See the module.
pub struct Ua {
    /// Who it is, and where.
    pub line: Line,
    password: &'static str,
    socket: UdpSocket,
    /// Came and nobody has asked for yet.
    unread: VecDeque<Message>,
    /// Transactions that were seen, with what was said last in them.
    said: HashMap<String, Vec<u8>>,
}

/// An INVITE under way.
pub struct Outgoing {
    /// As it was sent last.
    pub invite: Message,
}

impl Ua {
    /// A phone that knows its server, and nothing else yet.
    pub fn new(user: &str, password: &'static str, server: SocketAddr) -> Self {
        Self::at(ports::address(), user, password, server)
    }

    /// As [`new`](Self::new), on an address that was chosen before.
    pub fn at(address: SocketAddr, user: &str, password: &'static str, server: SocketAddr) -> Self {
        let socket = UdpSocket::bind(address).unwrap();
        let (unread, said) = (VecDeque::new(), HashMap::new());
        Self { line: Line { user: user.to_owned(), address, server, domain: None }, password, socket, unread, said }
    }

    /// A phone of a domain's user.
    pub fn of(domain: &'static str, user: &str, password: &'static str, server: SocketAddr) -> Self {
        let mut phone = Self::new(user, password, server);
        phone.line.domain = Some(domain);
        phone
    }

    /// Registers for an hour, with the digest that is asked for.
    pub fn register(&mut self) {
        let (uri, own) = (format!("sip:{}", self.line.host()), self.line.own_uri());
        let request = self.line.request("REGISTER", &uri, &unique("reg"), 1, &own, &own);
        let request = request.with("Expires", "3600");
        let response = self.settle(request).1;
        assert_eq!(response.status(), Some(200), "{}", response.text());
    }

    /// The status of an attempt to register.
    pub fn try_register(&mut self) -> u16 {
        let (uri, own) = (format!("sip:{}", self.line.host()), self.line.own_uri());
        let request = self.line.request("REGISTER", &uri, &unique("reg"), 1, &own, &own).with("Expires", "3600");
        self.settle(request).1.status().unwrap()
    }

    /// Calls a user part; a challenge is answered.
    pub fn invite(&mut self, number: &str, body: &str) -> Outgoing {
        let request = Message { body: body.to_owned(), ..self.line.invite(number) };
        let (invite, first) = self.settle(request);
        self.unread.push_front(first);
        Outgoing { invite }
    }

    /// As [`invite`](Self::invite), to a whole address.
    pub fn invite_to(&mut self, uri: &str, body: &str) -> Outgoing {
        let mut request = Message { body: body.to_owned(), ..self.line.invite("x") };
        request.start = format!("INVITE {uri} SIP/2.0");
        let (invite, first) = self.settle(request);
        self.unread.push_front(first);
        Outgoing { invite }
    }

    /// Waits for a provisional response with that code.
    pub fn progress(&mut self, call: &Outgoing, status: u16) -> Message {
        let branch = call.invite.branch().to_owned();
        self.next(SOON, move |it| it.status() == Some(status) && it.branch() == branch)
    }

    /// Waits for the final response and acknowledges it.
    pub fn finally(&mut self, call: &Outgoing, patience: Duration) -> Message {
        let branch = call.invite.branch().to_owned();
        let is_final = |it: &Message| it.status().is_some_and(|code| code >= 200) && it.method() == "INVITE";
        let response = self.next(patience, move |it| is_final(it) && it.branch() == branch);
        self.acknowledge(&call.invite, &response);
        response
    }

    /// Gives up: CANCEL, which gets its own 200.
    pub fn cancel(&mut self, call: &Outgoing) {
        let mut cancel = call.invite.clone();
        cancel.start = call.invite.start.replacen("INVITE", "CANCEL", 1);
        cancel.body.clear();
        cancel
            .headers
            .retain(|(name, _)| !matches!(name.as_str(), "Contact" | "Authorization" | "Proxy-Authorization"));
        let number = call.invite.number();
        cancel.headers.iter_mut().filter(|it| it.0 == "CSeq").for_each(|it| it.1 = format!("{number} CANCEL"));
        assert_eq!(self.transact(&cancel).status(), Some(200));
    }

    /// Waits for a new request of that method. A repeated one gets what its first got.
    pub fn incoming(&mut self, method: &str) -> Message {
        let method = method.to_owned();
        let request = self.next(SOON, move |it| it.status().is_none() && it.method() == method);
        self.said.entry(transaction(&request)).or_default();
        request
    }

    /// Whether no new request of that method comes for so long.
    pub fn is_spared(&mut self, method: &str, patience: Duration) -> bool {
        self.try_next(patience, &|it| it.status().is_none() && it.method() == method).is_none()
    }

    /// Answers a request.
    pub fn respond(&mut self, request: &Message, status: u16, body: &str) {
        let bytes = self.line.response(request, status, body).text().into_bytes();
        self.socket.send_to(&bytes, self.line.server).unwrap();
        self.said.insert(transaction(request), bytes);
    }

    /// The caller's side of a call that was answered with `response`.
    pub fn caller_side(&self, call: &Outgoing, response: &Message) -> Dialog {
        self.line.caller_side(&call.invite, response)
    }

    /// The callee's side of a call that was answered.
    pub fn callee_side(&self, invite: &Message) -> Dialog {
        self.line.callee_side(invite)
    }

    /// Hangs up.
    pub fn bye(&mut self, dialog: &Dialog) {
        let bye = self.line.bye(dialog);
        assert_eq!(self.transact(&bye).status(), Some(200));
    }

    /// Takes the other side's BYE and gives it back.
    pub fn hung_up(&mut self) -> Message {
        let bye = self.incoming("BYE");
        self.respond(&bye, 200, "");
        bye
    }

    /// Sends a request, and once more with credentials when they are asked for. Gives what was sent last and the first
    /// thing that was said to it.
    fn settle(&mut self, request: Message) -> (Message, Message) {
        let response = self.transact(&request);
        let Some(again) = self.line.authorized(&request, &response, self.password) else { return (request, response) };
        if request.method() == "INVITE" {
            self.acknowledge(&request, &response);
        }
        let response = self.transact(&again);
        (again, response)
    }

    /// Sends a request until something is said to it. For an INVITE that may be 100: who asks for credentials does it
    /// before that.
    fn transact(&mut self, request: &Message) -> Message {
        let deadline = Instant::now() + SOON;
        let (branch, method) = (request.branch().to_owned(), request.method().to_owned());
        let answers = |it: &Message| it.status().is_some() && it.branch() == branch && it.method() == method;
        while Instant::now() < deadline {
            self.socket.send_to(request.text().as_bytes(), self.line.server).unwrap();
            if let Some(response) = self.try_next(RESEND, &answers) {
                return response;
            }
        }
        panic!("no answer to\n{}", request.text());
    }

    fn acknowledge(&self, invite: &Message, response: &Message) {
        let ack = self.line.acknowledgement(invite, response);
        self.socket.send_to(ack.text().as_bytes(), self.line.server).unwrap();
    }

    fn next(&mut self, patience: Duration, wanted: impl Fn(&Message) -> bool) -> Message {
        let user = self.line.user.clone();
        self.try_next(patience, &wanted).unwrap_or_else(|| panic!("{user} waited {patience:?} in vain"))
    }

    fn try_next(&mut self, patience: Duration, wanted: &dyn Fn(&Message) -> bool) -> Option<Message> {
        if let Some(place) = self.unread.iter().position(wanted) {
            return self.unread.remove(place);
        }
        let deadline = Instant::now() + patience;
        let mut buffer = [0; 65_536];
        loop {
            let left = deadline.checked_duration_since(Instant::now()).filter(|it| !it.is_zero())?;
            self.socket.set_read_timeout(Some(left)).unwrap();
            let Ok((length, _)) = self.socket.recv_from(&mut buffer) else { continue };
            let Some(message) = Message::parse(&buffer[..length]) else { continue };
            if let (None, Some(said)) = (message.status(), self.said.get(&transaction(&message))) {
                self.socket.send_to(said, self.line.server).unwrap();
            } else if wanted(&message) {
                return Some(message);
            } else {
                self.unread.push_back(message);
            }
        }
    }
}
