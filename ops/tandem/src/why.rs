//! Why a call went as it did, for its operator.

use anyhow::{Context, Result};
use tandem_core::id::CallId;
use tandem_core::metric::Metrics;
use tandem_core::trace::{Story, render};
use tandem_storage::Storage;

use crate::config::Config;
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

/// The story of a call: what the node tells of it, else what is in the database.
///
/// # Errors
/// There is no such call, or nobody can be asked; each says what to do.
pub(crate) async fn why(config: &Config, call: &str, form: Form) -> Result<String> {
    let known = "`tandem calls` lists live and recent ones";
    let call_id: CallId = call.parse().with_context(|| format!("{call:?} does not look like call_0192…: {known}"))?;
    let (story, remark) = match live(config, call_id).await {
        Ok(story) => (story, String::new()),
        Err(error) => {
            let storage = Storage::open(&config.storage, Metrics::default().into()).await;
            let storage = storage.with_context(|| format!("the node was not asked ({error:#})"))?;
            let remark = format!("The node was not asked ({error:#}); this is what the database has.\n\n");
            (traces::stored(&storage, call_id).await?, remark)
        }
    };
    let days = config.trace.retention.as_secs() / 86_400;
    let unknown = || format!("there is no {call_id} here, or it is older than {days} days: {known}");
    let story = story.with_context(unknown)?;
    Ok(match form {
        Form::Screen => remark + &render(&story, false),
        Form::Full => remark + &render(&story, true),
        Form::Json => serde_json::to_string_pretty(&story)? + "\n",
    })
}

async fn live(config: &Config, call: CallId) -> Result<Option<Story>> {
    let token = existing_token(&config.storage.data_dir)?;
    let path = format!("/api/v1/ops/calls/{call}/trace");
    let found = ask::find(config.http.bind, &token, &path).await.context("it does not answer")?;
    Ok(found.map(serde_json::from_value).transpose()?)
}
