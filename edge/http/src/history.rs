//! What the API wants to know of calls that are over; the composition root implements it over the database.

use futures::future::BoxFuture;
use tandem_core::id::{CallId, Tenant, UserId};

use crate::user_call::UserCall;

/// The calls of users, as they were stored.
pub trait History: Send + Sync + 'static {
    /// The user's calls with an id below `before`, or all of them: the latest first, at most `limit` (1..=100).
    ///
    /// # Errors
    /// [`HistoryUnavailable`].
    fn page<'a>(
        &'a self,
        tenant: &'a Tenant,
        user: UserId,
        before: Option<CallId>,
        limit: u8,
    ) -> BoxFuture<'a, Result<Page, HistoryUnavailable>>;

    /// One of the user's own calls. Takes as long for somebody else's as for one that never was.
    ///
    /// # Errors
    /// [`HistoryUnavailable`].
    fn find<'a>(
        &'a self,
        tenant: &'a Tenant,
        user: UserId,
        call: CallId,
    ) -> BoxFuture<'a, Result<Option<UserCall>, HistoryUnavailable>>;
}

/// Some of a user's calls, the latest first.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// These.
    pub calls: Vec<UserCall>,
    /// There are older ones.
    pub more: bool,
}

/// It cannot be asked now.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the history of calls cannot be read now")]
pub struct HistoryUnavailable;
