//! Why a call went as it did, for its operator.

use anyhow::{Context, Result, ensure};
use humantime_serde::re::humantime::format_duration;
use tandem_core::id::{CallId, CorrelationId};
use tandem_core::trace::{Story, render};
use tandem_http::Correlated;

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
            (traces::stored(&storage, call_id).await?, remark)
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
