//! Why a call went as it did, for its operator.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use humantime_serde::re::humantime::format_duration;
use tandem_core::audit::{Action, Actor, Deed};
use tandem_core::id::{CallId, CorrelationId};
use tandem_core::metric::Metrics;
use tandem_core::trace::{Story, render};
use tandem_http::Correlated;
use tandem_storage::Storage;

use crate::audit_trail::note_deed;
use crate::config::Config;
use crate::history::existing_database;
use crate::token::existing_token;
use crate::{ask, traces};

/// How it is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    /// On one screen.
    Screen,
    /// Every note of it, with the texts of all messages.
    Full,
    /// As JSON.
    Json,
}

/// All that one correlation id explains: what the node tells of it or, when no node listens, what is in the database.
///
/// # Errors
/// There is no call with it, the node refuses to tell, or there is neither a node nor a database; each says what to do.
pub(crate) async fn correlated(config: &Config, id: CorrelationId, form: Form) -> Result<String> {
    let unknown = || format!("no call has the correlation id {id} here: `tandem calls` lists live and recent ones");
    let path = format!("/api/v1/ops/correlations/{id}");
    let token = existing_token(&config.storage.data_dir).unwrap_or_default();
    let told = match ask::find(config.http.bind, &token, &path).await {
        Ok(told) => told.with_context(unknown)?,
        Err(error) if !ask::is_nobody_there(&error) => return Err(error),
        Err(error) => {
            let storage = existing_database(config).await.with_context(|| format!("{error:#}"))?;
            let stories = traces::stored_correlated(&storage, id).await?;
            ensure!(!stories.is_empty(), unknown());
            // As the node would have noted it: each tenant's admin sees who read of his calls.
            let whose: BTreeSet<_> = stories.iter().map(|story| story.tenant.clone()).collect();
            let read = |tenant| Deed::new(tenant, Actor::Operator, Action::CorrelationRead, "read").of(id);
            note(config, whose.into_iter().map(read)).await?;
            serde_json::to_value(Correlated::of(id, stories))?
        }
    };
    if form == Form::Json {
        return Ok(serde_json::to_string_pretty(&told)? + "\n");
    }
    let mut out = String::new();
    for call in told.get("calls").and_then(|it| it.as_array()).into_iter().flatten() {
        let call_id = call.get("call_id").and_then(|it| it.as_str()).unwrap_or_default();
        out += &Box::pin(why(config, call_id, form)).await?;
        out += "\n";
    }
    Ok(out)
}

/// The story of a call: what the node tells of it or, when no node listens, what is in the database.
///
/// # Errors
/// There is no such call, the node refuses to tell of it, or there is neither a node nor a database; each says what to do.
pub(crate) async fn why(config: &Config, call: &str, form: Form) -> Result<String> {
    let known = "`tandem calls` lists live and recent ones";
    if let Ok(id) = call.parse::<CorrelationId>() {
        return correlated(config, id, form).await;
    }
    let call_id: CallId = call.parse().with_context(|| format!("{call:?} does not look like call_0192…: {known}"))?;
    let (story, remark) = match live(config, call_id).await {
        Ok(story) => (story, String::new()),
        Err(error) if !ask::is_nobody_there(&error) => return Err(error),
        Err(error) => {
            let storage = existing_database(config).await.with_context(|| format!("{error:#}"))?;
            let remark = format!("The node was not asked ({error:#}); this is what the database has.\n\n");
            let story = traces::stored(&storage, call_id).await?;
            if let Some(Story { tenant, correlation_id, .. }) = &story {
                let deed = Deed::new(tenant.clone(), Actor::Operator, Action::TraceRead, "read").of(call_id);
                note(config, [deed.within(*correlation_id)]).await?;
            }
            (story, remark)
        }
    };
    let age = format_duration(config.trace.retention);
    let unknown = || format!("there is no {call_id} here, or its story is older than {age}: {known}");
    let story = story.with_context(unknown)?;
    Ok(match form {
        Form::Screen => remark + &render(&story, false),
        Form::Full => remark + &render(&story, true),
        Form::Json => serde_json::to_string_pretty(&story)? + "\n",
    })
}

/// In the audit, as the node would have it there. What was read was opened for reading only.
async fn note(config: &Config, deeds: impl IntoIterator<Item = Deed>) -> Result<()> {
    let at_once = tandem_storage::Config { connect_timeout: Duration::ZERO, ..config.storage.clone() };
    let storage = Storage::open(&at_once, Metrics::default().into()).await?;
    for deed in deeds {
        note_deed(config, &storage, deed).await.context("who reads this could not be noted in the audit")?;
    }
    Ok(())
}

async fn live(config: &Config, call: CallId) -> Result<Option<Story>> {
    let token = existing_token(&config.storage.data_dir);
    let path = format!("/api/v1/ops/calls/{call}/trace");
    // Without a token too: it may be that nobody is there.
    let found = ask::find(config.http.bind, token.as_deref().unwrap_or_default(), &path).await;
    if found.as_ref().is_err_and(|error| !ask::is_nobody_there(error)) {
        token?;
    }
    Ok(found?.map(serde_json::from_value).transpose()?)
}
