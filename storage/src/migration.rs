//! The schema, step by step. A step that was released is never edited: the next one changes what it made.

mod m0001_accounts;
mod m0002_calls;
mod m0003_outbox;
mod m0004_registrations;
mod m0005_identity;
mod m0006_call_traces;
mod m0007_events;
mod m0008_cdrs;
mod m0009_tenancy;
mod m0010_webhooks;
mod m0011_revocations;
mod m0012_archive;
mod m0013_retention;
mod m0014_webhook_rest;

use sea_orm_migration::prelude::{MigrationTrait, MigratorTrait, async_trait};

/// All steps, in order.
#[derive(Debug)]
pub struct Migrations;

#[async_trait::async_trait]
impl MigratorTrait for Migrations {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_accounts::Migration),
            Box::new(m0002_calls::Migration),
            Box::new(m0003_outbox::Migration),
            Box::new(m0004_registrations::Migration),
            Box::new(m0005_identity::Migration),
            Box::new(m0006_call_traces::Migration),
            Box::new(m0007_events::Migration),
            Box::new(m0008_cdrs::Migration),
            Box::new(m0009_tenancy::Migration),
            Box::new(m0010_webhooks::Migration),
            Box::new(m0011_revocations::Migration),
            Box::new(m0012_archive::Migration),
            Box::new(m0013_retention::Migration),
            Box::new(m0014_webhook_rest::Migration),
        ]
    }
}
