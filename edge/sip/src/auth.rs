//! Who sends a request (RFC 3261, 22).

use std::sync::Arc;

use tandem_core::account::Account;
use tandem_core::audit::{Action, Actor, Deed};
use tandem_core::id::Tenant;
use tandem_core::metric::Counter;
use tandem_core::time::Now;

use crate::digest::{Credentials, Verdict};
use crate::header::Name;
use crate::message::Message;
use crate::request::Request;
use crate::shared::Shared;

/// The account of this tenant whose password the sender knows.
///
/// # Errors
/// The challenge: the same for an unknown user, a wrong password and none at all, so that nobody learns who exists.
pub(crate) fn authenticate(
    shared: &Shared,
    tenant: &Tenant,
    now: Now,
    request: &Request,
) -> Result<Arc<Account>, Box<Message>> {
    let mut digest = shared.digest.lock();
    let (realm, sha256) = (&shared.config.realm, shared.config.offer_sha256);
    let Some(credentials) = Credentials::find(request.headers(), &Name::Authorization, realm) else {
        return Err(challenge(request, digest.challenges(now.mono, rand::random(), false, sha256)));
    };
    let account = shared.accounts.find(tenant, &credentials.user_name());
    let ha1 = account.as_ref().map(|account| &account.ha1);
    match (digest.verify(&credentials, &request.method, &request.uri, ha1, now.mono), account) {
        (Verdict::Accepted, Some(account)) => Ok(account),
        (Verdict::Stale, _) => Err(challenge(request, digest.challenges(now.mono, rand::random(), true, sha256))),
        (Verdict::Accepted | Verdict::Wrong, _) => {
            shared.metrics.count(Counter::SipAuthFailed);
            let challenges = digest.challenges(now.mono, rand::random(), false, sha256);
            drop(digest);
            refused(shared, tenant, Actor::Nobody, request, "auth_failed");
            Err(challenge(request, challenges))
        }
    }
}

/// For the audit: which rule said no to whom.
pub(crate) fn refused(shared: &Shared, tenant: &Tenant, who: Actor, request: &Request, rule: &'static str) {
    let deed = Deed::new(tenant.clone(), who, Action::SipRefused, rule);
    let method = String::from_utf8_lossy(request.method.as_bytes());
    shared.auditor.note(deed.from(Some(request.flow.remote.ip())).of(method));
}

fn challenge(request: &Request, challenges: Vec<String>) -> Box<Message> {
    let mut response = Message::response_to(&request.message, 401);
    challenges.into_iter().for_each(|challenge| response.headers.push(Name::WwwAuthenticate, challenge));
    Box::new(response)
}
