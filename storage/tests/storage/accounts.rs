//! Users, credentials and the schema they live in.

use std::os::unix::fs::PermissionsExt;

use sea_orm::ConnectionTrait;
use sea_orm_migration::MigratorTrait;
use tandem_core::account::{Accounts, Role};
use tandem_core::id::Tenant;
use tandem_storage::{AccountError, Engine, Migrations, NewUser, QueryError};

use super::ENGINE;
use super::support::{Home, on};

pub(crate) fn alice(tenant: &Tenant) -> NewUser<'_> {
    NewUser {
        tenant,
        name: "alice",
        extension: "1001",
        display_name: Some("Alice"),
        password: "secret",
        realm: "tandem",
        role: Role::User,
    }
}

#[tokio::test]
async fn a_user_that_was_added_can_sign_and_her_password_is_nowhere() {
    let home = Home::new();
    let storage = home.open().await.storage;
    let tenant = Tenant::default_tenant();
    let user_id = storage.add_user(alice(&tenant)).await.unwrap();

    let accounts = Accounts::new(storage.load_accounts().await.unwrap());
    let account = accounts.find(&tenant, "1001").unwrap();
    assert_eq!((account.user_id, account.display_name.as_deref()), (user_id, Some("Alice")));
    // printf '1001:tandem:secret' | md5sum; … | sha256sum
    assert_eq!(account.ha1.md5, "c3c13a6f925563ab1a4905f6c3073f30");
    assert_eq!(account.ha1.sha256, "e8670af9e80710bf69ec1b0f407f917a54ca848c7a6ced3526b0907b2cd73d4b");
    let listed = storage.list_users().await.unwrap();
    assert_eq!((listed.len(), listed[0].name.reveal().as_str()), (1, "alice"));
    drop(storage);
    if ENGINE == Engine::Sqlite {
        let database = std::fs::metadata(home.config.data_dir.join("tandem.db")).unwrap();
        assert_eq!(database.permissions().mode() & 0o077, 0);
    }
    for file in std::fs::read_dir(&home.config.data_dir).unwrap() {
        let path = file.unwrap().path();
        let bytes = if path.is_file() { std::fs::read(path).unwrap() } else { Vec::new() };
        assert!(!bytes.windows(6).any(|it| it == b"secret"));
    }
}

#[tokio::test]
async fn a_name_or_extension_is_given_once_in_a_tenant() {
    let home = Home::new();
    let storage = home.open().await.storage;
    let (tenant, other) = (Tenant::default_tenant(), "other".parse().unwrap());
    storage.add_user(alice(&tenant)).await.unwrap();
    for taken in [NewUser { name: "bob", ..alice(&tenant) }, NewUser { extension: "1002", ..alice(&tenant) }] {
        assert!(matches!(storage.add_user(taken).await, Err(AccountError::AlreadyExists)));
    }
    storage.add_user(alice(&other)).await.unwrap();
    assert_eq!(storage.list_users().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_running_node_notices_what_another_process_added() {
    let home = Home::new();
    let node = home.open().await.storage;
    let before = node.accounts_version().await.unwrap();
    assert_eq!(node.accounts_version().await.unwrap(), before);
    let metrics = std::sync::Arc::default();
    let tool = tandem_storage::Storage::open(&home.config, metrics).await.unwrap();
    tool.add_user(alice(&Tenant::default_tenant())).await.unwrap();
    assert_ne!(node.accounts_version().await.unwrap(), before);
}

#[tokio::test]
async fn every_step_of_the_schema_can_be_taken_back_and_taken_again() {
    let home = Home::new();
    drop(home.open().await);
    let db = home.other_program().await;
    let all = [
        "audit_events",
        "call_traces",
        "calls",
        "cdrs",
        "devices",
        "events",
        "external_identities",
        "legs",
        "outbox",
        "outbox_shards",
        "registrations",
        "revocations",
        "sessions",
        "signing_keys",
        "tenant_domains",
        "tenants",
        "users",
        "webhook_deliveries",
        "webhook_endpoints",
    ];
    assert_eq!(home.tables().await, all);
    Migrations::down(&db, None).await.unwrap();
    assert_eq!(home.tables().await, [""; 0]);
    Migrations::up(&db, None).await.unwrap();
    assert_eq!(home.tables().await, all);
    for table in all {
        let tenants = home.columns(table).await.iter().filter(|it| it.starts_with("tenant ")).count();
        // A key signs for every tenant; the outbox points at events, which have theirs.
        let has_tenant = !["tenants", "signing_keys", "outbox", "outbox_shards"].contains(&table);
        assert_eq!(tenants, usize::from(has_tenant), "{table}");
    }
    let session = on("session_id varchar(255)", "session_id character varying(255)");
    assert!(home.columns("calls").await.contains(&session));
}

#[tokio::test]
async fn whatever_is_there_already_is_a_conflict_and_nothing_else_is() {
    let home = Home::new();
    home.open().await.storage.add_user(alice(&Tenant::default_tenant())).await.unwrap();
    let db = home.other_program().await;
    let again = "INSERT INTO tenants SELECT * FROM tenants";
    let orphan = "INSERT INTO sessions VALUES ('a', 'b', 'nobody', 'c', 'd', '2026-01-01T00:00:00+00:00', \
        '2026-01-01T00:00:00+00:00', NULL)";
    let nothing = "SELECT 1 FROM nothing";
    for (sql, is_conflict) in [(again, true), (orphan, false), (nothing, false)] {
        let error = QueryError::from(db.execute_unprepared(sql).await.unwrap_err());
        assert_eq!(matches!(error, QueryError::Conflict), is_conflict, "{error:?}");
    }
}
