//! Who somebody from outside is here, and what is revoked.

use std::time::Duration;

use tandem_core::account::Role;
use tandem_core::id::Tenant;
use tandem_core::revocation::{Revocation, Revoked};
use tandem_core::time::WallTime;
use tandem_storage::{ExternalIdentity, IdentityError, NewUser, Storage};

use super::support::Home;

fn identity<'a>(tenant: &'a Tenant, subject: &'a str, provision: bool) -> ExternalIdentity<'a> {
    ExternalIdentity {
        tenant,
        issuer: "https://iam.example",
        subject,
        extension: Some("1007"),
        display_name: Some("Somebody"),
        provision,
        realm: "tandem",
    }
}

async fn alice(storage: &Storage) {
    let tenant = Tenant::default_tenant();
    let (name, extension, password, realm) = ("alice", "1001", "secret", "tandem");
    let role = Role::User;
    let new = NewUser { tenant: &tenant, name, extension, display_name: None, role, password, realm };
    storage.add_user(new).await.unwrap();
}

#[tokio::test]
async fn somebody_is_the_user_of_his_name_and_stays_it_when_that_changes() {
    let home = Home::new();
    let storage = home.open().await.storage;
    alice(&storage).await;
    let tenant = Tenant::default_tenant();
    let user = storage.external_user(&identity(&tenant, "alice", false)).await.unwrap();
    assert_eq!(user.extension.reveal(), "1001");
    home.execute("UPDATE users SET name = 'alicia'").await;
    let same = storage.external_user(&identity(&tenant, "alice", false)).await.unwrap();
    assert_eq!((same.user_id, same.name.reveal().as_str()), (user.user_id, "alicia"));
    let other: Tenant = "other".parse().unwrap();
    for who in [identity(&tenant, "stranger", false), identity(&other, "alice", true)] {
        assert!(matches!(storage.external_user(&who).await, Err(IdentityError::Unknown)));
    }
}

#[tokio::test]
async fn who_may_become_a_user_becomes_one_once_with_a_number_and_no_password() {
    let home = Home::new();
    let storage = home.open().await.storage;
    alice(&storage).await;
    let tenant = Tenant::default_tenant();
    let who = identity(&tenant, "somebody", true);
    let (one, other) = tokio::join!(storage.external_user(&who), storage.external_user(&who));
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!((one.user_id, one.extension.reveal().as_str()), (other.user_id, "1007"));
    let version = storage.load_accounts().await.unwrap();
    assert_eq!(version.len(), 2, "he can be called");
    assert!(storage.verify_password(&tenant, "somebody", "").await.unwrap().is_none());
    let taken = ExternalIdentity { extension: Some("1001"), ..identity(&tenant, "thief", true) };
    assert!(matches!(storage.external_user(&taken).await, Err(IdentityError::Taken)));
    for extension in [None, Some(""), Some("1 2"), Some("sip:x@y")] {
        let who = ExternalIdentity { extension, ..identity(&tenant, "nobody", true) };
        assert!(matches!(storage.external_user(&who).await, Err(IdentityError::NoExtension)), "{extension:?}");
    }
    assert_eq!(storage.list_users().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_revocation_holds_until_the_later_time_and_is_deleted_then() {
    let home = Home::new();
    let storage = home.open().await.storage;
    let now = WallTime::from(chrono_now());
    let of =
        |id: &str, until| Revocation { tenant: Tenant::default_tenant(), what: Revoked::Token(id.to_owned()), until };
    let hour = Duration::from_secs(3_600);
    for until in [now + hour, now + hour * 2, now + hour] {
        storage.revoke(&of("lasting", until)).await.unwrap();
    }
    storage.revoke(&of("over", now)).await.unwrap();
    assert_eq!(storage.load_revocations().await.unwrap(), [of("lasting", now + hour * 2)]);
    assert_eq!(storage.prune_revocations().await.unwrap(), 1);
    assert_eq!(home.select("SELECT value FROM revocations").await, ["lasting"]);
}

fn chrono_now() -> sea_orm::prelude::DateTimeUtc {
    std::time::SystemTime::now().into()
}
