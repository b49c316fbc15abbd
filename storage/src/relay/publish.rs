//! Some events into the stream of facts: each once, and those of one aggregate in their order.
//!
//! ```text
//!  call A   1 2 3      wave 1: A1 B7 C4   all acknowledged ──▶ wave 2: A2 B8 ──▶ wave 3: A3
//!  call B   7 8                     └── one fails: its call goes no further
//!  call C   4
//! ```
//! An aggregate has one event under way at a time: were its second one sent before the first is acknowledged, a leader
//! that dies in between could take the second and not the first.
//!
//! # Invariants
//! * An event is counted as published only when JetStream acknowledged it, or was found to have it: by its own id, since
//!   a later one of the same aggregate may have come before it.
//! * Nothing waits longer than [`DEADLINE`].

use std::collections::{HashMap, VecDeque};
use std::error::Error as _;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use futures::future::join_all;
use futures::{StreamExt as _, stream};
use sea_orm::FromQueryResult;
use sea_orm::prelude::DateTimeUtc;
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use crate::bus::Nats;
use crate::stream::{FACTS, takes};

/// How long a batch may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);
/// Questions to a stream at a time.
const QUESTIONS: usize = 64;
/// Clocks of nodes and servers differ by less.
const SKEW: Duration = Duration::from_secs(60);

/// An event that is to be published.
#[derive(Clone, Debug, FromQueryResult)]
pub(crate) struct Row {
    /// Its place in the queue.
    pub(crate) id: i64,
    pub(crate) aggregate: String,
    pub(crate) seq: i32,
    pub(crate) created_at: DateTimeUtc,
    pub(crate) subject: String,
    pub(crate) payload: String,
}

/// What is asked of the stream before a batch is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ask {
    /// Nothing: none of it was sent before, or the stream knows it again by itself.
    Nothing,
    /// What it has: that is left out, however long ago it came.
    Known,
    /// The same; and what would come behind a later event of its aggregate is refused.
    Order,
}

/// What became of a batch.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// In the stream: by their places in the queue.
    pub(crate) published: Vec<i64>,
    /// Of these, how many were there already.
    pub(crate) were_there: usize,
    /// Never to be taken as they are, and why.
    pub(crate) refused: Vec<(i64, String)>,
    /// Why the rest was not tried, or did not get through.
    pub(crate) failure: Option<String>,
}

/// Publishes rows, those of each aggregate in the order they have, but for what the stream is found to have.
pub(crate) async fn publish(nats: &Nats, rows: Vec<Row>, ask: Ask) -> Outcome {
    let deadline = Instant::now() + DEADLINE;
    let mut outcome = Outcome::default();
    let mut lines = lines(rows);
    if ask != Ask::Nothing {
        let asked = stream::iter(lines.into_iter().map(|line| known(nats, line))).buffer_unordered(QUESTIONS);
        let Ok(asked) = timeout_at(deadline, asked.collect::<Vec<_>>()).await else {
            outcome.failure = Some(String::from("the stream does not say in time what it has"));
            return outcome;
        };
        lines = Vec::new();
        for found in asked {
            match found {
                Ok(line) => {
                    let line = without_known(line, ask, &mut outcome);
                    lines.push(line);
                }
                Err(error) => outcome.failure = Some(error.to_string()),
            }
        }
        if outcome.failure.is_some() {
            return outcome;
        }
    }
    while !lines.is_empty() && outcome.failure.is_none() {
        lines = wave(nats, lines, deadline, &mut outcome).await;
    }
    outcome
}

/// Rows by aggregate.
fn lines(rows: Vec<Row>) -> Vec<VecDeque<Row>> {
    let mut places = HashMap::new();
    let mut lines: Vec<VecDeque<Row>> = Vec::new();
    for row in rows {
        let place = *places.entry(row.aggregate.clone()).or_insert_with(|| {
            lines.push(VecDeque::new());
            lines.len() - 1
        });
        if let Some(line) = lines.get_mut(place) {
            line.push_back(row);
        }
    }
    lines
}

/// Sends the first of each line and waits for all acknowledgements. Returns the lines that go on.
async fn wave(nats: &Nats, lines: Vec<VecDeque<Row>>, deadline: Instant, outcome: &mut Outcome) -> Vec<VecDeque<Row>> {
    let sent = lines.into_iter().filter_map(|mut line| {
        let row = line.pop_front()?;
        Some(async move { (row.id, timeout_at(deadline, send(nats, row)).await, line) })
    });
    let mut next = Vec::new();
    for (id, sent, line) in join_all(sent).await {
        match sent {
            Ok(Ok(())) => {
                outcome.published.push(id);
                next.push(line);
            }
            Ok(Err(NotTaken::Never(why))) => outcome.refused.push((id, why)),
            Ok(Err(NotTaken::NotNow(error))) => {
                if error.kind() == PublishErrorKind::StreamNotFound {
                    nats.look_again();
                }
                outcome.failure = Some(told(&error));
            }
            Err(_) => outcome.failure = Some(String::from("no acknowledgement in time")),
        }
    }
    next.retain(|line| !line.is_empty());
    next
}

enum NotTaken {
    Never(String),
    NotNow(PublishError),
}

async fn send(nats: &Nats, row: Row) -> Result<(), NotTaken> {
    if !takes(&row.subject) {
        return Err(NotTaken::Never(String::from("no stream takes this subject")));
    }
    let mut headers = HeaderMap::new();
    headers.insert("Tandem-Seq", row.seq.to_string());
    if let Some(traceparent) = traceparent(&row.payload) {
        headers.insert("traceparent", traceparent);
    }
    let message = PublishMessage::build()
        .headers(headers)
        .message_id(format!("{}.{}", row.aggregate, row.seq))
        .expected_stream(FACTS)
        .payload(row.payload.into());
    let acknowledged = match nats.jetstream.send_publish(row.subject, message).await {
        Ok(sent) => sent.await,
        Err(error) => Err(error),
    };
    acknowledged
        .map(drop)
        .map_err(|error| if is_final(&error) { NotTaken::Never(told(&error)) } else { NotTaken::NotNow(error) })
}

/// Whether it will be refused as often as it is tried, whatever becomes of the servers.
fn is_final(error: &PublishError) -> bool {
    let said = error.source().and_then(|it| it.downcast_ref::<async_nats::jetstream::Error>());
    let too_large = [ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM, ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM];
    error.kind() == PublishErrorKind::MaxPayloadExceeded || said.is_some_and(|it| too_large.contains(&it.error_code()))
}

fn told(error: &PublishError) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// The trace that the event belongs to, as the event itself says.
pub(crate) fn traceparent(payload: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Traced {
        traceparent: Option<String>,
    }
    // A header has one line.
    let traced: Traced = serde_json::from_str(payload).ok()?;
    traced.traceparent.filter(|it| it.is_ascii() && !it.contains(char::is_control))
}

/// Which rows of a line the stream has.
async fn known(nats: &Nats, line: VecDeque<Row>) -> Result<Vec<(Row, bool)>, async_nats::Error> {
    let mut asked = Vec::with_capacity(line.len());
    for row in line {
        let is_known = takes(&row.subject) && has(nats, &row).await?;
        asked.push((row, is_known));
    }
    Ok(asked)
}

/// What is to be sent of a line. An event that was set aside may be missing in front of a later one.
fn without_known(line: Vec<(Row, bool)>, ask: Ask, outcome: &mut Outcome) -> VecDeque<Row> {
    let behind = line.iter().rposition(|(_, is_known)| *is_known).unwrap_or_default();
    let mut rest = VecDeque::new();
    for (n, (row, is_known)) in line.into_iter().enumerate() {
        if is_known {
            outcome.were_there += 1;
            outcome.published.push(row.id);
        } else if ask == Ask::Order && n < behind {
            outcome.refused.push((row.id, String::from("the stream has a later event of the same aggregate")));
        } else {
            rest.push_back(row);
        }
    }
    rest
}

/// Whether the stream has that event.
async fn has(nats: &Nats, row: &Row) -> Result<bool, async_nats::Error> {
    let id = format!("{}.{}", row.aggregate, row.seq);
    let Some(last) = get(nats, &json!({ "last_by_subj": row.subject })).await? else { return Ok(false) };
    if last.id.as_deref() == Some(&id) {
        return Ok(true);
    }
    let mut question = if row.subject.contains(&row.aggregate) {
        // A subject of its own, with a few events.
        json!({ "next_by_subj": row.subject, "seq": 1 })
    } else {
        // One that it shares with others: those since then are looked through.
        json!({ "next_by_subj": row.subject, "start_time": (row.created_at - SKEW).to_rfc3339() })
    };
    while let Some(found) = get(nats, &question).await? {
        if found.id.as_deref() == Some(&id) {
            return Ok(true);
        }
        question = json!({ "next_by_subj": row.subject, "seq": found.place + 1 });
    }
    Ok(false)
}

/// A message of the stream, by its headers.
struct Found {
    id: Option<String>,
    place: u64,
}

async fn get(nats: &Nats, question: &serde_json::Value) -> Result<Option<Found>, async_nats::Error> {
    let subject = format!("$JS.API.DIRECT.GET.{FACTS}");
    let answer = nats.client.request(subject, question.to_string().into()).await?;
    let header = |name: &str| answer.headers.as_ref().and_then(|it| it.get(name)).map(|it| it.as_str());
    match answer.status.map(|it| it.as_u16()) {
        None | Some(200) => {}
        Some(404) => return Ok(None),
        Some(status) => return Err(format!("the stream does not say what it has: status {status}").into()),
    }
    Ok(Some(Found {
        id: header("Nats-Msg-Id").map(str::to_owned),
        place: header("Nats-Sequence").and_then(|it| it.parse().ok()).ok_or("a message of the stream has no place")?,
    }))
}
