//! Stories of calls that are over: written once, packed, and deleted when they are too old.

use std::fmt;
use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::Query;
use tandem_core::event::FactBody;
use tandem_core::id::CallId;
use tandem_core::time::WallTime;
use tandem_core::trace::{Entry, Story};

use crate::database::{QueryError, Storage};
use crate::entity::call_trace::{ActiveModel, Column, Entity, Model};

/// Stories that one call of `prune_traces` deletes: a moment of the writer's time.
const PRUNED_AT_ONCE: u64 = 500;

/// More than any story unpacks to.
const LARGEST: u64 = 16 << 20;

/// A story as its row has it.
#[derive(Clone, PartialEq)]
pub struct PackedTrace(Model);

/// A story that cannot be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// It has no JSON.
    #[error("story has no JSON")]
    Json(#[from] serde_json::Error),
    /// It does not compress.
    #[error("story does not compress")]
    Compress(#[from] io::Error),
}

impl PackedTrace {
    /// JSON, compressed. Takes some hundred microseconds of a processor: not for a task that others wait for.
    ///
    /// # Errors
    /// [`PackError`].
    pub fn of(story: &Story) -> Result<Self, PackError> {
        let mut packer = ZlibEncoder::new(Vec::new(), Compression::fast());
        packer.write_all(&serde_json::to_vec(story)?)?;
        let ended_at = story.record().map(|record| record.ended_at);
        let ended_at = ended_at.or(story.entries.last().map(|entry| entry.at)).unwrap_or_default();
        Ok(Self(Model {
            call_id: story.call_id.to_string(),
            tenant: story.tenant.to_string(),
            correlation_id: story.correlation_id.to_string(),
            ended_at: ended_at.date_time(),
            body: packer.finish()?,
        }))
    }

    /// Bytes that it takes in its row.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.body.len()
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.body.is_empty()
    }
}

impl fmt::Debug for PackedTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PackedTrace({})", self.0.call_id)
    }
}

impl Storage {
    /// Keeps stories, in one transaction. One that is there already stays as it is.
    ///
    /// # Errors
    /// [`QueryError`]; none was kept.
    pub async fn keep_traces(&self, traces: Vec<PackedTrace>) -> Result<(), QueryError> {
        let rows = traces.into_iter().map(|trace| ActiveModel::from(trace.0));
        Entity::insert_many(rows).on_conflict_do_nothing().exec_without_returning(&self.writer).await?;
        Ok(())
    }

    /// The story of a call that is over.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn trace(&self, call: CallId) -> Result<Option<Story>, QueryError> {
        let Some(row) = Entity::find_by_id(call.to_string()).one(&self.reader).await? else { return Ok(None) };
        let mut text = Vec::new();
        let unpacked = ZlibDecoder::new(row.body.as_slice()).take(LARGEST).read_to_end(&mut text);
        let story = unpacked.ok().and_then(|_| serde_json::from_slice(&text).ok());
        story.map(Some).ok_or(QueryError::Damaged { table: "call_traces" })
    }

    /// What the facts of a call tell, for one whose story was not kept: no messages, and nothing of what broke.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn bare_trace(&self, call: CallId) -> Result<Option<Story>, QueryError> {
        let facts = self.facts_of(&call.to_string()).await?;
        let is_over = facts.last().is_some_and(|fact| matches!(fact.body, FactBody::CdrClosed(_)));
        Ok(Story::of(facts.iter().map(Entry::of_fact).collect(), 0, is_over))
    }

    /// Deletes stories of calls that ended before then, up to 500; says how many.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn prune_traces(&self, before: WallTime) -> Result<u64, QueryError> {
        let old = Query::select()
            .column(Column::CallId)
            .from(Entity)
            .and_where(Column::EndedAt.lt(before.date_time()))
            .limit(PRUNED_AT_ONCE)
            .to_owned();
        let old = Entity::delete_many().filter(Column::CallId.in_subquery(old));
        Ok(old.exec(&self.writer).await?.rows_affected)
    }
}
