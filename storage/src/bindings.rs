//! Registrations: one row per contact of an account, kept by the node that has it.
//!
//! # Invariants
//! * A node reads and deletes its own rows only: the phone can be reached by nobody else, and a contact that expired in
//!   one node's memory may have been refreshed at another.

use std::collections::BTreeMap;

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{Condition, DbErr, Iterable};
use tandem_core::id::NodeId;
use tandem_core::location::{Binding, BindingChange, Flow, Transport};

use crate::database::{QueryError, Storage};
use crate::entity::registration::{ActiveModel, Column, Entity, Model};
use crate::time::now;

impl Storage {
    /// Every contact of a node that has not expired. Its flow names no connection: that died with the process.
    ///
    /// # Errors
    /// [`QueryError::Database`]. A row that cannot be read is left out and logged: its device registers again.
    pub async fn load_bindings(&self, node: NodeId) -> Result<Vec<Binding>, QueryError> {
        let rows = Entity::find().filter(is_of(node)).filter(Column::ExpiresAt.gt(now().date_time()));
        let rows = rows.all(&self.reader).await?;
        let bindings = rows.into_iter().filter_map(|row| {
            let binding = of(row);
            if binding.is_none() {
                tracing::error!("registration row is damaged and left out");
            }
            binding
        });
        Ok(bindings.collect())
    }
}

/// Stores what is left of some changes: the last one of each contact.
pub(crate) async fn store(db: &impl ConnectionTrait, node: NodeId, changes: &[&BindingChange]) -> Result<(), DbErr> {
    // In the order of the key: two nodes that change the same contacts must not wait for each other.
    let mut last = BTreeMap::new();
    for change in changes {
        last.insert(key(change), *change);
    }
    let mut bound = Vec::new();
    for (key, change) in last {
        match change {
            BindingChange::Bound(binding) => bound.push(ActiveModel::from(row(node, binding))),
            BindingChange::Unbound { .. } => {
                let (tenant, extension, contact) = key;
                let key = (tenant.to_owned(), extension.to_owned(), contact.to_owned());
                Entity::delete_by_id(key).filter(is_of(node)).exec(db).await?;
            }
        }
    }
    Entity::insert_many(bound).on_conflict(update()).exec_without_returning(db).await?;
    Ok(())
}

/// Rows from before there were nodes are anybody's.
fn is_of(node: NodeId) -> Condition {
    Condition::any().add(Column::NodeId.eq(node.to_string())).add(Column::NodeId.is_null())
}

fn key(change: &BindingChange) -> (&str, &str, &str) {
    match change {
        BindingChange::Bound(it) => (it.tenant.as_str(), it.extension.reveal(), &it.contact),
        BindingChange::Unbound { tenant, extension, contact } => (tenant.as_str(), extension.reveal(), contact),
    }
}

fn update() -> OnConflict {
    let key = [Column::Tenant, Column::Extension, Column::Contact];
    let others = Column::iter().filter(|column| !key.iter().any(|it| it.as_str() == column.as_str()));
    OnConflict::columns(key).update_columns(others).to_owned()
}

fn row(node: NodeId, binding: &Binding) -> Model {
    Model {
        tenant: binding.tenant.to_string(),
        extension: binding.extension.reveal().clone(),
        contact: binding.contact.clone(),
        user_id: binding.user_id.to_string(),
        device_id: binding.device_id.to_string(),
        parameters: binding.parameters.clone(),
        transport: binding.flow.transport.name().to_owned(),
        local_address: binding.flow.local.to_string(),
        remote_address: binding.flow.remote.to_string(),
        sip_call_id: binding.call_id.clone(),
        cseq: i64::from(binding.cseq),
        user_agent: binding.user_agent.clone(),
        expires_at: binding.expires.date_time(),
        updated_at: now().date_time(),
        node_id: Some(node.to_string()),
    }
}

fn of(row: Model) -> Option<Binding> {
    let transport = [Transport::Udp, Transport::Tcp].into_iter().find(|it| it.name() == row.transport)?;
    Some(Binding {
        tenant: row.tenant.parse().ok()?,
        user_id: row.user_id.parse().ok()?,
        device_id: row.device_id.parse().ok()?,
        extension: row.extension.into(),
        contact: row.contact,
        parameters: row.parameters,
        flow: Flow {
            transport,
            local: row.local_address.parse().ok()?,
            remote: row.remote_address.parse().ok()?,
            connection: 0,
        },
        call_id: row.sip_call_id,
        cseq: u32::try_from(row.cseq).ok()?,
        user_agent: row.user_agent,
        expires: row.expires_at.into(),
    })
}
