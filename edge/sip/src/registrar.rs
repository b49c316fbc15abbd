//! Where our users can be reached (RFC 3261, 10).
//!
//! # Invariants
//! * A request changes all that it asks for, or nothing.
//! * A binding lasts until its device removes it, its time is over, or the account has too many; an older request of the
//!   same Call-ID changes nothing.
//! * The ledger hears of changes to an account in their order: it is told while the account's entry is held.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use tandem_core::account::Account;
use tandem_core::id::Tenant;
use tandem_core::location::{Binding, BindingChange, Flow};
use tandem_core::metric::{Gauge, Metrics};
use tandem_core::ports::{LedgerPort, LocationPort};
use tandem_core::time::WallTime;

use crate::config::Registration;
use crate::header::{Contacts, Name, NameAddr, text};
use crate::message::Message;
use crate::request::Request;
use crate::uri::{Scheme, Uri};

/// Longest contact, in bytes, as the URI in it was written: it is part of a key in the database.
const CONTACT: usize = 400;

/// Characters kept of what a device calls itself.
const USER_AGENT: usize = 200;

/// The table of all bindings. All shards write it, routing reads it.
pub struct Registrar {
    rules: Registration,
    ledger: Arc<dyn LedgerPort>,
    metrics: Arc<Metrics>,
    bindings: DashMap<(Tenant, String), Vec<Arc<Binding>>>,
}

/// What a request asks of one contact.
struct Wish {
    contact: NameAddr,
    /// Zero to remove it.
    lasts: Duration,
}

/// Why a registration is refused.
enum Refused {
    With(u16),
    TooBrief,
    TooLong,
}

impl Registrar {
    /// With nothing bound yet.
    #[must_use]
    pub fn new(rules: Registration, ledger: Arc<dyn LedgerPort>, metrics: Arc<Metrics>) -> Self {
        Self { rules, ledger, metrics, bindings: DashMap::new() }
    }

    /// Takes up what was bound when the node stopped.
    pub fn restore(&self, bindings: Vec<Binding>) {
        self.metrics.shift(Gauge::Registrations, i64::try_from(bindings.len()).unwrap_or(i64::MAX));
        for binding in bindings {
            let key = (binding.tenant.clone(), binding.extension.reveal().clone());
            self.bindings.entry(key).or_default().push(Arc::new(binding));
        }
    }

    /// Ends what is over.
    pub fn expire(&self, now: WallTime) {
        self.bindings.retain(|_, bound| {
            bound.retain(|binding| {
                let lasts = binding.expires > now;
                if !lasts {
                    self.unbound(binding);
                }
                lasts
            });
            !bound.is_empty()
        });
    }

    /// Answers a REGISTER of a device that proved to have these credentials.
    pub(crate) fn register(&self, now: WallTime, request: &Request, account: &Account) -> Message {
        let respond = |status| Message::response_to(&request.message, status);
        if !matches!(request.to.uri().scheme(), Scheme::Sip | Scheme::Sips) {
            return respond(400);
        }
        if request.to.uri().user_text().as_ref() != Some(account.extension.reveal()) {
            return respond(403);
        }
        match self.change(now, request, account) {
            Ok(bound) => {
                let mut response = respond(200);
                bound.iter().for_each(|binding| response.headers.push(Name::Contact, echo(binding, now)));
                response
            }
            Err(Refused::With(status)) => respond(status),
            Err(Refused::TooBrief) => {
                let mut response = respond(423);
                response.headers.push(Name::MinExpires, self.rules.min_s.to_string());
                response
            }
            Err(Refused::TooLong) => {
                let mut response = respond(400);
                response.say("Contact Too Long");
                response
            }
        }
    }

    fn change(&self, now: WallTime, request: &Request, account: &Account) -> Result<Vec<Arc<Binding>>, Refused> {
        let contacts = request.headers().contacts().map_err(|_| Refused::With(400))?;
        let key = (account.tenant.clone(), account.extension.reveal().clone());
        let mut bound = self.bindings.entry(key.clone()).or_default();
        let before = bound.clone();
        let wishes: Vec<Wish> = match contacts {
            Contacts::All if request.headers().expires() == Some(0) => before.iter().filter_map(removal).collect(),
            Contacts::All => return Err(Refused::With(400)),
            Contacts::List(contacts) => self.wishes(request, contacts)?,
        };
        let mut after: Vec<Arc<Binding>> = before.iter().filter(|it| it.expires > now).cloned().collect();
        if wishes.iter().filter(|it| !it.lasts.is_zero()).count() > self.rules.contacts {
            return Err(Refused::With(403));
        }
        for wish in wishes {
            grant(&mut after, wish, now, request, account)?;
        }
        while after.len() > self.rules.contacts && evict(&mut after, &before) {}
        bound.clone_from(&after);
        self.note(&before, &after);
        drop(bound);
        self.bindings.remove_if(&key, |_, bound| bound.is_empty());
        Ok(after)
    }

    fn wishes(&self, request: &Request, contacts: impl IntoIterator<Item = NameAddr>) -> Result<Vec<Wish>, Refused> {
        let wish = |contact: NameAddr| {
            if !matches!(contact.uri().scheme(), Scheme::Sip | Scheme::Sips) {
                return Err(Refused::With(400));
            }
            if contact.uri().raw().len() > CONTACT {
                return Err(Refused::TooLong);
            }
            let said = contact.params().value("expires").and_then(|it| seconds(&it));
            match said.or_else(|| request.headers().expires()).unwrap_or(self.rules.default_s) {
                0 => Ok(Wish { contact, lasts: Duration::ZERO }),
                brief if brief < self.rules.min_s => Err(Refused::TooBrief),
                long => Ok(Wish { contact, lasts: Duration::from_secs(long.min(self.rules.max_s).into()) }),
            }
        };
        contacts.into_iter().map(wish).collect()
    }

    /// Tells the ledger what is different now. It never waits.
    fn note(&self, before: &[Arc<Binding>], after: &[Arc<Binding>]) {
        let kept: HashSet<&str> = after.iter().map(|it| it.contact.as_str()).collect();
        before.iter().filter(|it| !kept.contains(it.contact.as_str())).for_each(|it| self.unbound(it));
        let known: HashSet<&str> = before.iter().map(|it| it.contact.as_str()).collect();
        for binding in after {
            if !before.iter().any(|it| Arc::ptr_eq(it, binding)) {
                self.metrics.shift(Gauge::Registrations, i64::from(!known.contains(binding.contact.as_str())));
                self.ledger.bind(&BindingChange::Bound((**binding).clone()));
            }
        }
    }

    fn unbound(&self, binding: &Binding) {
        self.metrics.shift(Gauge::Registrations, -1);
        let Binding { tenant, extension, contact, .. } = binding.clone();
        self.ledger.bind(&BindingChange::Unbound { tenant, extension, contact });
    }
}

impl LocationPort for Registrar {
    fn contacts(&self, tenant: &Tenant, extension: &str) -> Vec<Arc<Binding>> {
        self.bindings.get(&(tenant.clone(), extension.to_owned())).map_or_else(Vec::new, |it| it.clone())
    }
}

fn grant(
    bound: &mut Vec<Arc<Binding>>,
    wish: Wish,
    now: WallTime,
    request: &Request,
    account: &Account,
) -> Result<(), Refused> {
    let Wish { contact, lasts } = wish;
    let is_same =
        |it: &Arc<Binding>| Uri::from_text(it.contact.as_str()).is_ok_and(|uri| uri.is_equivalent(contact.uri()));
    let at = bound.iter().position(is_same);
    let call_id = text(request.call_id());
    if let Some(old) = at.and_then(|at| bound.get(at))
        && old.call_id == call_id
        && old.cseq >= request.cseq
    {
        return Err(Refused::With(500));
    }
    if let Some(at) = at {
        bound.remove(at);
    }
    if !lasts.is_zero() {
        bound.push(Arc::new(Binding {
            tenant: account.tenant.clone(),
            user_id: account.user_id,
            device_id: account.device_id,
            extension: account.extension.clone(),
            contact: text(contact.uri().raw()),
            parameters: parameters(&contact),
            flow: flow_to(&contact, request),
            call_id,
            cseq: request.cseq,
            user_agent: user_agent(request),
            expires: now + lasts,
        }));
    }
    Ok(())
}

/// Makes room for what is new: a phone that makes up another contact at each start never removes the last one. An older
/// binding of the same device goes first, then the one that would end first. `false`: all of them are new.
fn evict(bound: &mut Vec<Arc<Binding>>, before: &[Arc<Binding>]) -> bool {
    let is_old = |binding: &Arc<Binding>| before.iter().any(|it| Arc::ptr_eq(it, binding));
    let devices: Vec<Vec<u8>> = bound.iter().filter(|it| !is_old(it)).filter_map(instance).collect();
    let is_other = |binding| instance(binding).is_none_or(|it| !devices.contains(&it));
    let old = bound.iter().enumerate().filter(|(_, it)| is_old(it));
    let Some((at, _)) = old.min_by_key(|(_, it)| (is_other(it), it.expires)) else { return false };
    bound.remove(at);
    true
}

/// What a device calls itself, for good (RFC 5626, 4.1).
fn instance(binding: &Arc<Binding>) -> Option<Vec<u8>> {
    let contact = NameAddr::parse(&format!("<{}>{}", binding.contact, binding.parameters).into())?;
    contact.params().value("+sip.instance").map(|it| it.to_vec())
}

fn removal(binding: &Arc<Binding>) -> Option<Wish> {
    let contact = NameAddr::parse(&format!("<{}>", binding.contact).into())?;
    Some(Wish { contact, lasts: Duration::ZERO })
}

/// Where the device is reached: where it sends from, unless it is not behind a NAT and listens at another port.
fn flow_to(contact: &NameAddr, request: &Request) -> Flow {
    let said = contact.uri().host().trim_matches(['[', ']']).parse::<IpAddr>();
    if request.is_symmetric || said != Ok(request.flow.remote.ip()) {
        return request.flow;
    }
    let remote = SocketAddr::new(request.flow.remote.ip(), contact.uri().port().unwrap_or(5060));
    Flow { remote, ..request.flow }
}

fn user_agent(request: &Request) -> Option<String> {
    let said = request.headers().first(&Name::UserAgent)?;
    Some(text(said).chars().filter(|c| !c.is_control()).take(USER_AGENT).collect())
}

/// The contact's parameters as they were written, but for `expires`, which is ours to say.
fn parameters(contact: &NameAddr) -> String {
    let kept = contact.params().iter().filter(|param| !param.name.eq_ignore_ascii_case(b"expires"));
    kept.fold(String::new(), |all, param| {
        let value = param.value.map_or_else(String::new, |value| format!("={}", text(value)));
        format!("{all};{}{value}", text(param.name))
    })
}

fn echo(binding: &Binding, now: WallTime) -> String {
    let left = (binding.expires - now).as_secs();
    format!("<{}>{};expires={left}", binding.contact, binding.parameters)
}

/// Seconds, cut off at the largest number. `None` for what is no number: it is as if nothing was said.
fn seconds(digits: &[u8]) -> Option<u32> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| std::str::from_utf8(digits).ok()?.parse().ok().or(Some(u32::MAX))).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{Ask, X, account, flow};
    use bytes::Bytes;
    use dashmap::try_result::TryResult;
    use parking_lot::Mutex;
    use std::sync::{OnceLock, Weak};
    use tandem_core::event::Fact;

    /// Looks whether the account's entry is held when it is told of a change.
    #[derive(Default)]
    struct Witness {
        registrar: OnceLock<Weak<Registrar>>,
        was_held: Mutex<Vec<bool>>,
    }

    impl LedgerPort for Witness {
        fn audit(&self, _: &tandem_core::audit::AuditEvent) {}

        fn commit(&self, _: &Fact) {}

        fn bind(&self, _: &BindingChange) {
            let registrar = self.registrar.get().unwrap().upgrade().unwrap();
            let key = (Tenant::default_tenant(), String::from("1002"));
            self.was_held.lock().push(matches!(registrar.bindings.try_get(&key), TryResult::Locked));
        }
    }

    #[test]
    fn a_contact_that_no_database_takes_as_a_key_is_refused_and_the_answer_says_why() {
        let registrar =
            Registrar::new(Registration::default(), Arc::new(crate::world::Notes::default()), Arc::default());
        let now = WallTime(1_700_000_000_000_000);
        for (length, status) in [(CONTACT, 200), (CONTACT + 1, 400)] {
            let ask = Ask { method: "REGISTER", ..Ask::default() };
            let text = ask.text().replace('\n', "\r\n").replace("\r\r", "\r");
            let begin = text.find("Contact: <").unwrap() + "Contact: <".len();
            let end = begin + text[begin..].find('>').unwrap();
            let uri = format!("sip:{}@192.0.2.1", "x".repeat(length - "sip:@192.0.2.1".len()));
            let text = format!("{}{uri}{}", &text[..begin], &text[end..]);
            let request = Request::new(Message::read(&Bytes::from(text)).unwrap(), flow(X)).unwrap();
            let answer = registrar.register(now, &request, &account("1002"));
            assert_eq!(answer.status(), Some(status));
            let says_why = String::from_utf8_lossy(&answer.to_bytes()).starts_with("SIP/2.0 400 Contact Too Long");
            assert_eq!(says_why, status == 400);
        }
    }

    #[test]
    fn the_ledger_is_told_before_anybody_else_can_change_the_same_account() {
        let witness = Arc::new(Witness::default());
        let registrar = Arc::new(Registrar::new(Registration::default(), witness.clone(), Arc::default()));
        witness.registrar.set(Arc::downgrade(&registrar)).unwrap();
        let text = Ask { method: "REGISTER", ..Ask::default() }.text().replace('\n', "\r\n").replace("\r\r", "\r");
        let request = Request::new(Message::read(&Bytes::from(text)).unwrap(), flow(X)).unwrap();
        let now = WallTime(1_700_000_000_000_000);
        assert_eq!(registrar.register(now, &request, &account("1002")).status(), Some(200));
        registrar.expire(now + Duration::from_secs(10_000));
        assert_eq!(*witness.was_held.lock(), [true, true]);
    }
}
