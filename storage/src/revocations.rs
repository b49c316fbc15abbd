//! What was taken back before its time, for nodes that start and for those that the bus did not reach.

use sea_orm::TransactionTrait;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::Expr;
use tandem_core::revocation::{Revocation, Revoked};

use crate::database::{QueryError, Storage, in_time};
use crate::entity::revocation::{ActiveModel, Column, Entity, Model};
use crate::time::now;

impl Storage {
    /// Keeps a revocation. One that is known already holds until the later time.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn revoke(&self, revocation: &Revocation) -> Result<(), QueryError> {
        let (kind, value) = revocation.what.parts();
        let until = revocation.until.date_time();
        let tenant = revocation.tenant.as_str();
        let row = Model {
            tenant: tenant.to_owned(),
            kind: kind.to_owned(),
            value: value.clone(),
            until,
            created_at: now().date_time(),
        };
        let rows = Entity::insert_many([ActiveModel::from(row)]).on_conflict_do_nothing();
        let same = Entity::update_many().filter(Column::Tenant.eq(tenant)).filter(Column::Kind.eq(kind));
        let earlier = same.filter(Column::Value.eq(value)).filter(Column::Until.lt(until));
        let longer = earlier.col_expr(Column::Until, Expr::value(until));
        in_time(async {
            let transaction = self.writer.begin().await?;
            rows.exec_without_returning(&transaction).await?;
            longer.exec(&transaction).await?;
            Ok(transaction.commit().await?)
        })
        .await
    }

    /// Every revocation that has not ended.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn load_revocations(&self) -> Result<Vec<Revocation>, QueryError> {
        let rows = in_time(Entity::find().filter(Column::Until.gt(now().date_time())).all(&self.reader)).await?;
        let revocations: Option<_> = rows.into_iter().map(revocation).collect();
        revocations.ok_or(QueryError::Damaged { table: "revocations" })
    }

    /// Deletes those that have ended; says how many.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn prune_revocations(&self) -> Result<u64, QueryError> {
        let ended = Entity::delete_many().filter(Column::Until.lte(now().date_time()));
        Ok(in_time(ended.exec(&self.writer)).await?.rows_affected)
    }
}

fn revocation(row: Model) -> Option<Revocation> {
    Some(Revocation {
        tenant: row.tenant.parse().ok()?,
        what: Revoked::of(&row.kind, &row.value)?,
        until: row.until.into(),
    })
}
