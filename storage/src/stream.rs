//! The streams of JetStream: what they keep, and for how long. Declared by every node, alike and as often as it likes.
//!
//! # Invariants
//! * What an operator made larger stays so: a stream is never made to keep less.
//! * A stream of facts that is gone is not quietly begun anew: its history belongs in front.

use std::collections::BTreeSet;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};

use crate::bus::{BusConfig, BusError, Nats};
use crate::database::Storage;

/// The stream of facts.
pub(crate) const FACTS: &str = "TANDEM_FACTS_V1";
/// The stream of state: the last value of each subject.
pub(crate) const STATE: &str = "TANDEM_STATE_V1";

/// Third part of a fact's subject: `tandem.v1.<tenant>.<class>.…`.
const FACT_CLASSES: [&str; 6] = ["call", "cdr", "audit", "conference", "recording", "chat"];
const STATE_CLASSES: [&str; 3] = ["presence", "registration", "trunk"];

/// Why a stream is not there as it has to be.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// It was there, and is not: an empty one in its place would have later facts in front of earlier ones.
    #[error("stream {FACTS} is gone and there is a history: `tandem replay` makes it and fills it")]
    Gone,
    /// It is of another kind than ours.
    #[error("stream {name} is not ours: {what}")]
    Conflict {
        /// Which.
        name: &'static str,
        /// What is not as it has to be.
        what: &'static str,
    },
    /// JetStream refuses it, or does not answer.
    #[error("stream {name} cannot be declared")]
    Refused {
        /// Which.
        name: &'static str,
        /// What it says.
        source: async_nats::Error,
    },
}

/// Whether facts of that subject have a stream, and it can be a subject at all.
pub(crate) fn takes(subject: &str) -> bool {
    let mut parts = subject.split('.');
    let ours = parts.next() == Some("tandem") && parts.next() == Some("v1");
    let class = parts.nth(1).is_some_and(|it| FACT_CLASSES.contains(&it)) && parts.next().is_some();
    let is_plain = |part: &str| !part.is_empty() && !part.contains(['*', '>']) && !part.contains(char::is_whitespace);
    ours && class && subject.split('.').all(is_plain)
}

/// Sees to it that both streams are there. Makes the stream of facts only where no fact was published before.
pub(crate) async fn declare(nats: &Nats, storage: &Storage) -> Result<(), BusError> {
    if let Some(made) = declare_one(nats, state(&nats.config), STATE, true).await? {
        nats.state_is_of(made);
    }
    if declare_one(nats, facts(&nats.config), FACTS, false).await?.is_none() {
        if storage.has_history().await? {
            return Err(StreamError::Gone.into());
        }
        make_facts(nats).await?;
    }
    Ok(())
}

/// Makes the stream of facts, history or not.
pub(crate) async fn make_facts(nats: &Nats) -> Result<(), BusError> {
    declare_one(nats, facts(&nats.config), FACTS, true).await.map(drop)
}

/// Returns when it was made, in nanoseconds since 1970; `None`: it is not there.
async fn declare_one(
    nats: &Nats,
    wanted: Config,
    name: &'static str,
    may_make: bool,
) -> Result<Option<i128>, BusError> {
    let refused = |source: async_nats::Error| StreamError::Refused { name, source };
    let found = match nats.jetstream.get_stream(name).await {
        Ok(stream) => stream.cached_info().clone(),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(it) if it.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                if !may_make {
                    return Ok(None);
                }
                let made = nats.jetstream.create_stream(wanted).await.map_err(|error| refused(error.into()))?;
                tracing::info!(stream = name, "stream made");
                return Ok(Some(made.cached_info().created.unix_timestamp_nanos()));
            }
            _ => return Err(refused(error.into()).into()),
        },
    };
    let made = found.created.unix_timestamp_nanos();
    let merged = merge(found.config.clone(), &wanted, name)?;
    if merged != found.config {
        nats.jetstream.update_stream(merged).await.map_err(|error| refused(error.into()))?;
        tracing::info!(stream = name, "stream changed to what is configured");
    }
    Ok(Some(made))
}

/// What is there, with what has to be.
fn merge(found: Config, wanted: &Config, name: &'static str) -> Result<Config, StreamError> {
    let conflict = |what| Err(StreamError::Conflict { name, what });
    if found.retention != RetentionPolicy::Limits {
        return conflict("its retention is not `limits`");
    }
    if found.max_messages_per_subject != wanted.max_messages_per_subject {
        return conflict("it keeps another number of messages per subject");
    }
    if found.mirror.is_some() || found.sealed || found.no_ack {
        return conflict("it is a mirror, sealed or without acknowledgements");
    }
    if found.storage != StorageType::File || found.max_messages > 0 || found.max_bytes > 0 {
        tracing::warn!(stream = name, "stream may lose what is younger than its greatest age: it is not ours alone");
    }
    let keeps_longer = found.max_age.is_zero() || found.max_age > wanted.max_age;
    if keeps_longer || found.num_replicas > wanted.num_replicas {
        tracing::warn!(stream = name, "stream keeps more than is configured, and is left so");
    }
    let subjects: BTreeSet<&String> = found.subjects.iter().chain(&wanted.subjects).collect();
    let subjects = if subjects.len() == found.subjects.len() {
        found.subjects.clone()
    } else {
        subjects.into_iter().cloned().collect()
    };
    Ok(Config {
        subjects,
        max_age: if keeps_longer { found.max_age } else { wanted.max_age },
        num_replicas: found.num_replicas.max(wanted.num_replicas),
        duplicate_window: found.duplicate_window.max(wanted.duplicate_window),
        discard: wanted.discard,
        allow_direct: true,
        ..found
    })
}

fn facts(config: &BusConfig) -> Config {
    let description = Some(String::from("What happened, once per id, in order per call"));
    Config { description, ..common(config, FACTS, &FACT_CLASSES) }
}

fn state(config: &BusConfig) -> Config {
    let description = Some(String::from("The last value of each subject"));
    Config { description, max_messages_per_subject: 1, ..common(config, STATE, &STATE_CLASSES) }
}

/// Old messages go by age alone, so that no fact is ever refused for want of room.
fn common(config: &BusConfig, name: &str, classes: &[&str]) -> Config {
    Config {
        name: name.to_owned(),
        subjects: classes.iter().map(|it| format!("tandem.v1.*.{it}.>")).collect(),
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::Old,
        storage: StorageType::File,
        max_messages_per_subject: -1,
        max_age: config.stream_max_age,
        duplicate_window: config.duplicate_window,
        num_replicas: config.stream_replicas,
        allow_direct: true,
        ..Config::default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_subject_is_taken_when_it_is_plain_and_of_a_class_of_facts() {
        for taken in ["tandem.v1.default.call.call_1.started", "tandem.v1.a-b.cdr.call_1", "tandem.v1.x.audit.login"] {
            assert!(takes(taken), "{taken}");
        }
        for wrong in [
            "tandem.v1.default.live.call.call_1.digit",
            "tandem.v1.default.registration.ab",
            "tandem.v1.default.cdr",
            "tandem.v1.default.cdr.",
            "tandem.v1..cdr.call_1",
            "tandem.v2.default.cdr.call_1",
            "tandem.v1.default.cdr.call 1",
            "tandem.v1.default.cdr.>",
            "tandem.v1.*.cdr.call_1",
            "",
        ] {
            assert!(!takes(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_stream_is_made_to_keep_more_and_never_less_and_one_of_another_kind_is_refused() {
        let wanted = facts(&BusConfig::default());
        let small = Config {
            max_age: Duration::from_secs(60),
            subjects: vec!["tandem.v1.*.cdr.>".to_owned(), "theirs.>".to_owned()],
            duplicate_window: Duration::from_secs(1),
            allow_direct: false,
            ..wanted.clone()
        };
        let grown = merge(small, &wanted, FACTS).unwrap();
        assert_eq!((grown.max_age, grown.duplicate_window), (wanted.max_age, wanted.duplicate_window));
        assert!(grown.allow_direct && wanted.subjects.iter().all(|it| grown.subjects.contains(it)));
        assert!(grown.subjects.contains(&"theirs.>".to_owned()));

        let large = Config { max_age: Duration::ZERO, num_replicas: 3, ..wanted.clone() };
        assert_eq!(merge(large.clone(), &wanted, FACTS).unwrap(), large);
        assert_eq!(merge(wanted.clone(), &wanted, FACTS).unwrap(), wanted);

        let queue = Config { retention: RetentionPolicy::WorkQueue, ..wanted.clone() };
        let last = Config { max_messages_per_subject: 1, ..wanted.clone() };
        for foreign in [queue, last] {
            assert!(matches!(merge(foreign, &wanted, FACTS), Err(StreamError::Conflict { .. })));
        }
    }
}
