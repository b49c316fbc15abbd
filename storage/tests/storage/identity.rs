//! Who signs in, for how long, and with whose signature.

use tandem_core::id::{DeviceId, Tenant, UserId};
use tandem_core::metric::Metrics;
use tandem_storage::{ClosedSession, RefreshToken, RefreshedSession, Storage, User};

use super::accounts::alice;
use super::support::{Home, LONG, Process, on, uuid};

async fn signed_in(home: &Home) -> (Process, UserId) {
    let process = home.open().await;
    let user = process.storage.add_user(alice(&Tenant::default_tenant())).await.unwrap();
    (process, user)
}

#[tokio::test]
async fn only_the_right_password_of_the_right_user_of_the_right_tenant_signs_in() {
    let home = Home::new();
    let (process, user_id) = signed_in(&home).await;
    let (tenant, other) = (Tenant::default_tenant(), "other".parse().unwrap());
    let user = process.storage.verify_password(&tenant, "alice", "secret").await.unwrap().unwrap();
    assert_eq!((user.user_id, user.extension.reveal().as_str()), (user_id, "1001"));
    assert_eq!(process.storage.user(&tenant, user_id).await.unwrap(), Some(user));
    for (tenant, name, password) in [
        (&tenant, "alice", "Secret"),
        (&tenant, "alice", ""),
        (&tenant, "alicia", "secret"),
        (&tenant, "", "secret"),
        (&tenant, "alice\0", "secret"),
        (&tenant, "alice", "secret\0"),
        (&other, "alice", "secret"),
    ] {
        let user = process.storage.verify_password(tenant, name, password).await.unwrap();
        assert_eq!(user, None, "{tenant} {name} {password}");
    }
    assert_eq!(process.storage.user(&other, user_id).await.unwrap(), None);
    assert_eq!(process.storage.user(&tenant, UserId::from_uuid(uuid(1))).await.unwrap(), None);
}

#[tokio::test]
async fn a_user_from_before_there_were_hashes_gets_one_with_the_right_password_only() {
    let home = Home::new();
    let (process, user_id) = signed_in(&home).await;
    let tenant = Tenant::default_tenant();
    home.execute("UPDATE users SET password_hash = NULL").await;
    let hashes = "SELECT substr(password_hash, 1, 10) FROM users WHERE password_hash IS NOT NULL";
    assert_eq!(process.storage.verify_password(&tenant, "alice", "wrong").await.unwrap(), None);
    assert_eq!(home.select(hashes).await, [""; 0]);
    for _ in 0..2 {
        let user = process.storage.verify_password(&tenant, "alice", "secret").await.unwrap();
        assert_eq!(user.unwrap().user_id, user_id);
        assert_eq!(home.select(hashes).await, ["$argon2id$"]);
    }
}

fn goes_on(refreshed: RefreshedSession) -> Option<(DeviceId, Box<User>, RefreshToken)> {
    match refreshed {
        RefreshedSession::GoesOn(device_id, user, next) => Some((device_id, user, next)),
        RefreshedSession::Reused(_) | RefreshedSession::Unknown => None,
    }
}

#[tokio::test]
async fn a_token_continues_its_session_once_and_is_kept_nowhere() {
    let home = Home::new();
    let (process, user) = signed_in(&home).await;
    let storage = &process.storage;
    let (device, mut token) = storage.open_session(&Tenant::default_tenant(), user).await.unwrap();
    for _ in 0..3 {
        let (same, who, next) = goes_on(storage.refresh_session(token.reveal()).await.unwrap()).unwrap();
        assert_eq!((same, who.user_id), (device, user));
        assert_ne!(next, token);
        assert_eq!((next.reveal().len(), format!("{next:?}").as_str()), (64, "[hidden]"));
        token = next;
    }
    for file in std::fs::read_dir(&home.config.data_dir).unwrap() {
        let path = file.unwrap().path();
        let bytes = if path.is_file() { std::fs::read(path).unwrap() } else { Vec::new() };
        assert!(!bytes.windows(20).any(|it| it == &token.reveal().as_bytes()[..20]));
    }
}

#[tokio::test]
async fn a_token_that_comes_again_however_old_ends_the_session_for_everybody() {
    for uses_before in 1..=3 {
        let home = Home::new();
        let (process, user) = signed_in(&home).await;
        let storage = &process.storage;
        let tenant = Tenant::default_tenant();
        let (device_id, stolen) = storage.open_session(&tenant, user).await.unwrap();
        let (_, other) = storage.open_session(&tenant, user).await.unwrap();
        let mut current = stolen.clone();
        for _ in 0..uses_before {
            current = goes_on(storage.refresh_session(current.reveal()).await.unwrap()).unwrap().2;
        }
        let reused = storage.refresh_session(stolen.reveal()).await.unwrap();
        let (tenant, user_id) = (Tenant::default_tenant(), user);
        let ended = RefreshedSession::Reused(ClosedSession { tenant, user_id, device_id });
        assert_eq!(reused, ended, "after {uses_before} uses");
        for token in [&current, &stolen] {
            let refreshed = storage.refresh_session(token.reveal()).await.unwrap();
            assert_eq!(refreshed, RefreshedSession::Unknown, "after {uses_before} uses");
        }
        assert!(goes_on(storage.refresh_session(other.reveal()).await.unwrap()).is_some(), "another session goes on");
    }
}

#[tokio::test]
async fn of_two_who_use_a_token_at_once_at_most_one_goes_on_and_not_for_long() {
    let home = Home::new();
    let (process, user) = signed_in(&home).await;
    let storage = &process.storage;
    let (_, token) = storage.open_session(&Tenant::default_tenant(), user).await.unwrap();
    let (one, two) = tokio::join!(storage.refresh_session(token.reveal()), storage.refresh_session(token.reveal()));
    let winners: Vec<_> = [one.unwrap(), two.unwrap()].into_iter().filter_map(goes_on).collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(storage.refresh_session(winners[0].2.reveal()).await.unwrap(), RefreshedSession::Unknown);
}

#[tokio::test]
async fn a_closed_an_expired_and_an_invented_session_all_continue_nothing() {
    let home = Home::new();
    let (process, user) = signed_in(&home).await;
    let storage = &process.storage;
    let tenant = Tenant::default_tenant();
    let (_, closed) = storage.open_session(&tenant, user).await.unwrap();
    storage.close_session(closed.reveal()).await.unwrap();
    assert_eq!(storage.refresh_session(closed.reveal()).await.unwrap(), RefreshedSession::Unknown);

    let (device, expired) = storage.open_session(&tenant, user).await.unwrap();
    let (_, open) = storage.open_session(&tenant, user).await.unwrap();
    assert_eq!(storage.prune_sessions().await.unwrap(), 0);
    home.execute(&format!("UPDATE sessions SET expires_at = '2026-01-01T00:00:00+00:00' WHERE id = '{device}'")).await;
    assert_eq!(storage.refresh_session(expired.reveal()).await.unwrap(), RefreshedSession::Unknown);
    assert_eq!(storage.prune_sessions().await.unwrap(), 1);
    assert_eq!(storage.prune_sessions().await.unwrap(), 0);

    let short = &open.reveal()[..60];
    let altered = format!("{}AAAA", &open.reveal()[..60]);
    for invented in ["", "x", "ä", short, &"A".repeat(64), &"A".repeat(100_000), &format!("{}=", open.reveal())] {
        assert_eq!(storage.refresh_session(invented).await.unwrap(), RefreshedSession::Unknown, "{invented}");
        storage.close_session(invented).await.unwrap();
    }
    assert!(
        goes_on(storage.refresh_session(open.reveal()).await.unwrap()).is_some(),
        "none of that touched another one"
    );
    assert!(matches!(storage.refresh_session(&altered).await.unwrap(), RefreshedSession::Reused(_)));
    home.execute(&on("PRAGMA foreign_keys = ON; DELETE FROM users", "DELETE FROM users")).await;
    assert_eq!(home.select("SELECT id FROM sessions").await, [""; 0]);
    assert!(storage.open_session(&tenant, user).await.is_err());
}

#[tokio::test]
async fn nodes_that_look_for_the_first_key_at_once_make_one() {
    for _ in 0..10 {
        let mut home = Home::new();
        home.config.busy_timeout = LONG; // they write at once
        let one = home.open().await.storage;
        let two = Storage::open(&home.config, std::sync::Arc::new(Metrics::default())).await.unwrap();
        let (first, second) = tokio::join!(one.signing_keys(), two.signing_keys());
        let (first, second) = (first.unwrap(), second.unwrap());
        assert_eq!((first.len(), &first), (1, &second));
        assert_eq!(two.signing_keys().await.unwrap(), first);
        assert_eq!(format!("{:?}", first[0]), format!("SigningKey {{ kid: {:?}, .. }}", first[0].kid));
    }
}

#[tokio::test]
async fn a_new_key_is_published_before_it_signs_and_the_old_one_verifies_after_it_signed() {
    let home = Home::new();
    let storage = home.open().await.storage;
    let kids = async || storage.signing_keys().await.unwrap().iter().map(|key| key.kid.clone()).collect::<Vec<_>>();
    let old = kids().await;
    storage.rotate_signing_key().await.unwrap();
    let published = kids().await;
    assert_eq!((published.len(), &published[0]), (2, &old[0]));

    let retire = async |ago: &str| {
        let at =
            on(&format!("strftime('%Y-%m-%dT%H:%M:%S+00:00', 'now', '-{ago}')"), &format!("now() - interval '{ago}'"));
        home.execute(&format!("UPDATE signing_keys SET retired_at = {at} WHERE kid = '{}'", old[0])).await;
    };
    retire("10 minutes").await;
    assert_eq!(kids().await, [published[1].clone(), old[0].clone()]);
    retire("2 hours").await;
    assert_eq!(kids().await, [published[1].clone()]);
    storage.rotate_signing_key().await.unwrap();
    assert_eq!(home.select("SELECT cast(generation AS text) FROM signing_keys ORDER BY 1").await, ["2", "3"]);
}

#[tokio::test]
async fn keys_that_were_all_retired_by_hand_are_followed_by_a_new_one() {
    let home = Home::new();
    let storage = home.open().await.storage;
    let old = storage.signing_keys().await.unwrap();
    home.execute("UPDATE signing_keys SET retired_at = '2026-01-01T00:00:00+00:00'").await;
    let new = storage.signing_keys().await.unwrap();
    assert_eq!(new.len(), 1);
    assert_ne!(new[0].kid, old[0].kid);
}
