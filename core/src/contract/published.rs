//! Every type of event that there is.

use std::borrow::Cow;

use crate::audit::Action;
use crate::event::Class;

/// One type of event, in one version.
pub(super) struct Published {
    /// CloudEvents type with its version.
    pub(super) event_type: &'static str,
    /// How it reaches those who want it; `None`: only by webhooks.
    pub(super) class: Option<Class>,
    /// Where, below its tenant, with [`PARAMETERS`].
    pub(super) subject: Cow<'static, str>,
    pub(super) data: Data,
    pub(super) summary: &'static str,
}

/// What an event is of.
#[derive(Clone, Copy)]
pub(super) enum Data {
    /// [`FactBody`](crate::event::FactBody) with this tag.
    Fact(&'static str),
    Audit(Action),
    Digit,
    Registration,
    Revocation,
    Nothing,
}

impl Data {
    /// Ids of its events, as a regular expression, where they mean anything.
    pub(super) const fn ids(self) -> Option<&'static str> {
        match self {
            Self::Fact(_) => Some("^call_[0-9a-f]{32}\\.[0-9]+$"),
            Self::Audit(_) => Some("^audit_[0-9a-f]{32}\\.1$"),
            Self::Nothing => Some("^test_[0-9a-f]{32}\\.1$"),
            Self::Digit | Self::Registration | Self::Revocation => None,
        }
    }
}

/// What stands for something in subjects: name, meaning, regular expression, example.
pub(super) const PARAMETERS: [(&str, &str, &str, &str); 5] = [
    ("tenant", "Whose: a slug of 1 to 32 of a-z, 0-9 and -", "[a-z0-9-]{1,32}", "default"),
    ("call_id", "Which call", "call_[0-9a-f]{32}", "call_01934f3c8a6b7d52a1b0c9d8e7f60123"),
    ("audit_id", "Which entry", "audit_[0-9a-f]{32}", "audit_01934f3c8a6b7d52a1b0c9d8e7f60123"),
    ("account", "Which account: a hash, which names nobody", "[0-9a-f]{32}", "01934f3c8a6b7d52a1b0c9d8e7f60123"),
    ("contact", "Which of its contacts: a hash", "[0-9a-f]{32}", "01934f3c8a6b7d52a1b0c9d8e7f60124"),
];

/// All there are.
pub(super) fn all() -> Vec<Published> {
    let audit = Action::ALL.iter().map(|action| Published {
        event_type: action.event_type(),
        class: Some(Class::Fact),
        subject: Cow::Owned(format!("audit.{}.{{audit_id}}", action.name())),
        data: Data::Audit(*action),
        summary: action.about(),
    });
    FACTS.into_iter().chain(OTHERS).chain(audit).collect()
}

const FACTS: [Published; 7] = [
    fact(
        "tandem.call.started.v1",
        "call.{call_id}.started",
        "started",
        "A caller was let in: the first fact of a call",
    ),
    fact("tandem.call.dialled.v1", "call.{call_id}.dialled", "dialled", "One way to the callee is being tried"),
    fact("tandem.call.ringing.v1", "call.{call_id}.ringing", "ringing", "The first device of the callee rings"),
    fact("tandem.call.answered.v1", "call.{call_id}.answered", "answered", "The callee answered: billing begins"),
    fact("tandem.call.leg_ended.v1", "call.{call_id}.leg_ended", "leg_ended", "A leg is over"),
    fact("tandem.call.ended.v1", "call.{call_id}.ended", "ended", "The call is over"),
    fact("tandem.cdr.closed.v1", "cdr.{call_id}", "cdr_closed", "The billing record: the last fact of a call"),
];

const OTHERS: [Published; 4] = [
    Published {
        event_type: "tandem.call.digit.v1",
        class: Some(Class::Live),
        subject: Cow::Borrowed("live.call.{call_id}.digit"),
        data: Data::Digit,
        summary: "A party pressed a key; may be lost",
    },
    Published {
        event_type: "tandem.registration.changed.v1",
        class: Some(Class::State),
        subject: Cow::Borrowed("registration.{account}.{contact}"),
        data: Data::Registration,
        summary: "Where a phone may be reached has changed; the last one of a subject counts",
    },
    Published {
        event_type: "tandem.identity.revoked.v1",
        class: Some(Class::Live),
        subject: Cow::Borrowed("live.identity.revoked"),
        data: Data::Revocation,
        summary: "A token, a user or a session was taken back; may be lost",
    },
    Published {
        event_type: "tandem.webhook.test.v1",
        class: None,
        subject: Cow::Borrowed("webhook.test"),
        data: Data::Nothing,
        summary: "Somebody tries a webhook: nothing happened. Only sent to that webhook, never over NATS",
    },
];

const fn fact(event_type: &'static str, subject: &'static str, tag: &'static str, summary: &'static str) -> Published {
    let (class, subject) = (Some(Class::Fact), Cow::Borrowed(subject));
    Published { event_type, class, subject, data: Data::Fact(tag), summary }
}
