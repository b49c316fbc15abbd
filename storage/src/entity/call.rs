//! Calls, as a projection of their facts.

use sea_orm::entity::prelude::*;
use tandem_core::cause::Cause;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "calls")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub tenant: String,
    pub correlation_id: String,
    pub node_id: String,
    pub session_id: String,
    pub status: CallStatus,
    pub caller: String,
    pub callee: Option<String>,
    pub dialled: String,
    pub started_at: DateTimeUtc,
    pub ringing_at: Option<DateTimeUtc>,
    pub answered_at: Option<DateTimeUtc>,
    pub ended_at: Option<DateTimeUtc>,
    pub cause: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub sdp_offer: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub sdp_answer: Option<String>,
    pub last_fact: i32,
    pub closed: bool,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Where a call stands, in the words of the calls API. A projection: the facts decide.
#[derive(Clone, Copy, Debug, Eq, PartialEq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))")]
pub enum CallStatus {
    /// The caller was let in.
    #[sea_orm(string_value = "initialized")]
    Initialized,
    /// The callee is being reached.
    #[sea_orm(string_value = "connecting")]
    Connecting,
    /// They talk.
    #[sea_orm(string_value = "active")]
    Active,
    /// It is over, and was answered or its caller gave up: nothing went wrong.
    #[sea_orm(string_value = "completed")]
    Completed,
    /// It is over, was never answered, and not because its caller gave up.
    #[sea_orm(string_value = "failed")]
    Failed,
}

impl CallStatus {
    /// Of a call that is over.
    pub(crate) const fn of_ended(was_answered: bool, cause: Cause) -> Self {
        if was_answered || matches!(cause, Cause::Cancelled) { Self::Completed } else { Self::Failed }
    }

    /// As rows and the API have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Initialized => "initialized",
            Self::Connecting => "connecting",
            Self::Active => "active",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }
}
