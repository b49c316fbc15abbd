//! Everything that one correlation id explains, for the operator. Who reads it is noted in the audit log.

use std::collections::BTreeSet;

use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tandem_core::audit::{Action, Actor, Deed};
use tandem_core::cdr::Cdr;
use tandem_core::id::{CallId, CorrelationId, Tenant};
use tandem_core::trace::{Entry, Span, Story, What};
use tokio::task::spawn_blocking;

use crate::api::Shared;
use crate::auth::CameFrom;
use crate::problem::{ErrorBody, Problem};

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
    /// `null` while the call lives.
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
        // Before the end it would be a false one: a call that its node lost.
        let (cdr, spans) = (story.is_over.then(|| story.record()).flatten(), story.spans());
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

/// Everything that one correlation id explains: of up to 100 calls the story by kinds, the record and the spans.
#[utoipa::path(get, path = "/api/v1/ops/correlations/{correlation_id}", operation_id = "read_correlation", tag = "ops", security(("operator" = [])),
    params(("correlation_id" = String, Path, pattern = "^[0-9a-f]{32}$")),
    responses(
        (status = 200, description = "As `tandem why --json` prints it. For people: fields come and go", body = Object),
        (status = 401, description = "`unauthorized`", body = ErrorBody),
        (status = 404, description = "`not_found`: no call has it", body = ErrorBody),
        (status = 503, description = "`unavailable`", body = ErrorBody, headers(("Retry-After" = u64, description = "Seconds"))),
    ))]
pub(crate) async fn correlation(
    State(shared): State<Shared>,
    Extension(CameFrom(from)): Extension<CameFrom>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
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
    // Each tenant's admin sees who read of his calls.
    let mut whose: BTreeSet<Tenant> = stories.iter().flatten().map(|story| story.tenant.clone()).collect();
    if whose.is_empty() {
        whose.insert(Tenant::operator());
    }
    for tenant in whose {
        shared.audit(Deed { tenant, ..read(&correlation_id.to_string(), from, outcome) });
    }
    let stories = stories?;
    if stories.is_empty() {
        return Err(Problem::NotFound);
    }
    // A hundred long stories take a while.
    let text = spawn_blocking(move || serde_json::to_vec(&Correlated::of(correlation_id, stories))).await;
    let text = text.ok().and_then(Result::ok).ok_or(Problem::Unavailable)?;
    Ok(([(CONTENT_TYPE, "application/json")], text).into_response())
}

fn read(id: &str, from: std::net::IpAddr, outcome: &'static str) -> Deed {
    Deed::new(Tenant::operator(), Actor::Operator, Action::CorrelationRead, outcome).from(Some(from)).of(id)
}

#[cfg(test)]
mod tests {
    use tandem_core::event::{Context, Fact, FactBody};
    use tandem_core::id::{DeviceId, LegId, NodeId, UserId};
    use tandem_core::party::{Identity, Party};
    use tandem_core::time::WallTime;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_call_that_lives_has_no_record() {
        let id = Uuid::from_u128(7);
        let (tenant, correlation_id, node) =
            (Tenant::default_tenant(), CorrelationId::from_uuid(id), NodeId::from_uuid(id));
        let identity = Identity::User { user_id: UserId::from_uuid(id), device_id: DeviceId::from_uuid(id) };
        let caller = Party { number: String::from("1001").into(), name: None, identity };
        let (leg_id, dialled) = (LegId::from_uuid(id), String::from("1002").into());
        let fact = Fact {
            context: Context { tenant, correlation_id, node },
            call: CallId::from_uuid(id),
            number: 1,
            at: WallTime(1_790_000_000_000_000),
            caused_by: None,
            sdp: None,
            body: FactBody::Started { leg_id, caller, dialled },
        };
        for is_over in [false, true] {
            let story = Story::of(vec![Entry::of_fact(&fact)], 0, is_over).unwrap();
            let told = Correlated::of(correlation_id, vec![story]);
            assert_eq!(told.calls.iter().filter(|call| call.cdr.is_some()).count(), usize::from(is_over));
        }
    }
}
