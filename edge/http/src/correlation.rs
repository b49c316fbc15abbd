//! Everything that one correlation id explains, for the operator. Who reads it is noted in the audit log.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use serde::Serialize;
use tandem_core::audit::{Action, Actor, Deed};
use tandem_core::cdr::Cdr;
use tandem_core::id::{CallId, CorrelationId, Tenant};
use tandem_core::trace::{Entry, Span, Story, What};

use crate::api::Shared;
use crate::auth::CameFrom;
use crate::problem::Problem;

/// What one id explains.
#[derive(Clone, Debug, Serialize)]
pub struct Correlated {
    correlation_id: CorrelationId,
    calls: Vec<CorrelatedCall>,
}

/// One call of it, by kinds. Each kind is in the order of time.
#[derive(Clone, Debug, Serialize)]
struct CorrelatedCall {
    call_id: CallId,
    tenant: Tenant,
    is_over: bool,
    /// Notes that there was no room for.
    dropped: u64,
    api: Vec<Entry>,
    client_events: Vec<Entry>,
    sip: Vec<Entry>,
    restarts: Vec<Entry>,
    media: Vec<Entry>,
    facts: Vec<Entry>,
    /// As it is up to now, while the call lives.
    cdr: Option<Cdr>,
    spans: Vec<Span>,
}

impl Correlated {
    /// Of all calls with this id, the first one first.
    #[must_use]
    pub fn of(correlation_id: CorrelationId, stories: Vec<Story>) -> Self {
        Self { correlation_id, calls: stories.into_iter().map(CorrelatedCall::of).collect() }
    }
}

impl CorrelatedCall {
    fn of(story: Story) -> Self {
        let (cdr, spans) = (story.record(), story.spans());
        let mut call = Self {
            call_id: story.call_id,
            tenant: story.tenant,
            is_over: story.is_over,
            dropped: story.dropped,
            api: Vec::new(),
            client_events: Vec::new(),
            sip: Vec::new(),
            restarts: Vec::new(),
            media: Vec::new(),
            facts: Vec::new(),
            cdr,
            spans,
        };
        for entry in story.entries {
            let kind = match &entry.what {
                What::Message { text, .. } if text.text().starts_with("event ") => &mut call.client_events,
                What::Message { text, .. } if text.text().lines().next().is_some_and(|it| it.contains("SIP/2.0")) => {
                    &mut call.sip
                }
                What::Message { .. } => &mut call.api,
                What::Fact { .. } | What::Settled { .. } => &mut call.facts,
                What::Restarted { .. } | What::Rebuilt { .. } | What::Broke => &mut call.restarts,
                What::Media { .. } => &mut call.media,
            };
            kind.push(entry);
        }
        call
    }
}

pub(crate) async fn correlation(
    State(shared): State<Shared>,
    Extension(CameFrom(from)): Extension<CameFrom>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Correlated>, Problem> {
    let Some(correlation_id) = id.ok().and_then(|Path(id)| id.parse::<CorrelationId>().ok()) else {
        shared.audit(read("", from, "no_id"));
        return Err(Problem::NotFound);
    };
    let stories = shared.api.traces.correlated(correlation_id).await;
    let outcome = match &stories {
        Ok(stories) if stories.is_empty() => "not_found",
        Ok(_) => "read",
        Err(_) => "unavailable",
    };
    shared.audit(read(&correlation_id.to_string(), from, outcome));
    let stories = stories?;
    if stories.is_empty() {
        return Err(Problem::NotFound);
    }
    Ok(Json(Correlated::of(correlation_id, stories)))
}

fn read(id: &str, from: std::net::IpAddr, outcome: &'static str) -> Deed {
    Deed::new(Tenant::operator(), Actor::Operator, Action::CorrelationRead, outcome).from(Some(from)).of(id)
}
