//! A connection whose every question ends: a server that vanished says nothing for ever, and the driver waits as long.

use std::ops::Deref;
use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, Statement};
use sea_orm_migration::prelude::async_trait;
use tokio::time::timeout;

use super::late;

/// Statements have a deadline. Those of a transaction that is begun here have none of their own: whoever begins one says
/// [`in_time`](super::in_time).
#[derive(Clone, Debug)]
pub(crate) struct Bounded {
    db: DatabaseConnection,
    limit: Duration,
}

impl Bounded {
    pub(super) const fn new(db: DatabaseConnection, limit: Duration) -> Self {
        Self { db, limit }
    }

    async fn within<T: Send>(&self, asked: impl Future<Output = Result<T, DbErr>> + Send) -> Result<T, DbErr> {
        timeout(self.limit, asked).await.unwrap_or_else(|_| Err(late()))
    }
}

impl Deref for Bounded {
    type Target = DatabaseConnection;

    fn deref(&self) -> &DatabaseConnection {
        &self.db
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Bounded {
    fn get_database_backend(&self) -> DbBackend {
        self.db.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.within(self.db.execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.within(self.db.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.within(self.db.query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.within(self.db.query_all_raw(statement)).await
    }
}
