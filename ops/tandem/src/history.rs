//! The calls that were and the calls that are, as tables.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use serde::Deserialize;
use tandem_core::metric::Metrics;
use tandem_core::time::WallTime;
use tandem_storage::{OpenError, RecentCall, Storage};

use crate::ask;
use crate::config::Config;
use crate::table::table;
use crate::token::existing_token;

/// What of a live call is shown.
#[derive(Deserialize)]
struct LiveCall {
    call_id: String,
    correlation_id: String,
    state: String,
    legs: Vec<LiveLeg>,
}

#[derive(Deserialize)]
struct LiveLeg {
    state: Option<String>,
}

/// The last `limit` calls, and what the node says of those that live, if it runs.
///
/// # Errors
/// There is no database, or it does not answer.
pub(crate) async fn calls(config: &Config, limit: u64) -> Result<String> {
    let storage = existing_database(config).await?;
    let recent = storage.recent_calls(limit).await?;
    let head = ["STARTED", "FROM", "DIALLED", "CALLEE", "STATUS", "TALKED", "CAUSE", "CALL"];
    let recent = table(head, &recent.iter().map(recent_row).collect::<Vec<_>>());
    let live = match live(config).await {
        Ok(live) => live,
        Err(error) => format!("Live calls are not known: {error:#}.\n"),
    };
    Ok(format!("{live}\n{recent}"))
}

/// The node's database, to be read only.
///
/// # Errors
/// There is none, or it does not answer.
pub(crate) async fn existing_database(config: &Config) -> Result<Arc<Storage>> {
    let storage = Storage::open_existing(&config.storage, Metrics::default().into()).await;
    storage.map_err(|error| match error {
        OpenError::Missing { .. } => anyhow!("{error}: is this the node's working directory, or its --config?"),
        error => error.into(),
    })
}

async fn live(config: &Config) -> Result<String> {
    let token = existing_token(&config.storage.data_dir)?;
    let calls = ask::get(config.http.bind, &token, "/api/v1/ops/calls").await.context("the node does not answer")?;
    let calls: Vec<LiveCall> = serde_json::from_value(calls)?;
    Ok(table(["LIVE CALL", "STATE", "LEGS", "CORRELATION"], &calls.iter().map(live_row).collect::<Vec<_>>()))
}

fn live_row(call: &LiveCall) -> [String; 4] {
    let legs: Vec<_> = call.legs.iter().map(|leg| leg.state.as_deref().unwrap_or("gone")).collect();
    [call.call_id.clone(), call.state.clone(), legs.join(" "), call.correlation_id.clone()]
}

fn recent_row(call: &RecentCall) -> [String; 8] {
    let talked = call.answered_at.zip(call.ended_at).map(|(from, to)| format!("{:.1} s", (to - from).as_secs_f64()));
    [
        to_the_second(call.started_at),
        call.caller.reveal().clone(),
        call.dialled.reveal().clone(),
        call.callee.as_ref().map(|it| it.reveal().clone()).unwrap_or_default(),
        call.status.name().to_owned(),
        talked.unwrap_or_default(),
        call.cause.map(|cause| cause.name().to_owned()).unwrap_or_default(),
        call.call_id.to_string(),
    ]
}

/// `2026-11-21T10:00:00Z`.
fn to_the_second(time: WallTime) -> String {
    let text = time.rfc3339();
    text.split_once('.').map_or(text.clone(), |(seconds, _)| format!("{seconds}Z"))
}
