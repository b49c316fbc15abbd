//! Signing in, over the database: what the HTTP edge asks for.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::future::BoxFuture;
use tandem_core::id::{DeviceId, Tenant};
use tandem_core::revocation::{Revocation, Revoked};
use tandem_core::time::WallTime;
use tandem_http::identity::{ACCESS_TOKEN_LIFE, Accounts, Ended, Opened, Revoker, SigningKey, Unavailable};
use tandem_storage::{ClosedSession, HashError, KeyError, QueryError, RefreshToken, SignInError, Storage, User};

/// How much longer another node may take a token for good.
const CLOCKS_DIFFER: Duration = Duration::from_secs(60);

/// The users and their sessions as the database has them.
pub(crate) struct StoredAccounts {
    storage: Arc<Storage>,
    revoker: Arc<dyn Revoker>,
}

impl StoredAccounts {
    pub(crate) const fn new(storage: Arc<Storage>, revoker: Arc<dyn Revoker>) -> Self {
        Self { storage, revoker }
    }
}

/// The keys of the database, which gets its first one here. The first of them signs.
///
/// # Errors
/// The database does not answer.
pub(crate) async fn signing_keys(storage: &Storage) -> Result<Vec<SigningKey>, KeyError> {
    let keys = storage.signing_keys().await?;
    Ok(keys.into_iter().map(|key| SigningKey { kid: key.kid, pkcs8: key.pkcs8.to_vec() }).collect())
}

impl Accounts for StoredAccounts {
    fn sign_in<'a>(
        &'a self,
        tenant: &'a Tenant,
        name: &'a str,
        password: &'a str,
    ) -> BoxFuture<'a, Result<Option<Opened>, Unavailable>> {
        Box::pin(async move {
            let Some(user) = self.storage.verify_password(tenant, name, password).await.map_err(no_sign_in)? else {
                return Ok(None);
            };
            let (device_id, token) = self.storage.open_session(tenant, user.user_id).await.map_err(no_answer)?;
            Ok(Some(opened(user, device_id, &token)))
        })
    }

    fn refresh<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Option<Opened>, Unavailable>> {
        Box::pin(async move {
            let session = self.storage.refresh_session(token).await.map_err(no_answer)?;
            Ok(session.map(|(device_id, user, next)| opened(user, device_id, &next)))
        })
    }

    fn sign_out<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Option<Ended>, Unavailable>> {
        Box::pin(async move {
            let closed = self.storage.close_session(token).await.map_err(no_answer)?;
            let Some(ClosedSession { tenant, user_id, device_id }) = closed else { return Ok(None) };
            // His last access token was signed before now.
            let until = now() + ACCESS_TOKEN_LIFE + CLOCKS_DIFFER;
            let what = Revoked::DeviceId(device_id);
            self.revoker.revoke(&Revocation { tenant: tenant.clone(), what, until }).await?;
            Ok(Some(Ended { tenant, user_id, device_id }))
        })
    }
}

fn now() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime(0) + since
}

fn opened(user: User, device_id: DeviceId, token: &RefreshToken) -> Opened {
    Opened {
        tenant: user.tenant,
        user_id: user.user_id,
        device_id,
        name: user.name,
        extension: user.extension,
        display_name: user.display_name,
        role: user.role,
        refresh_token: token.reveal().to_owned().into(),
    }
}

fn no_sign_in(error: SignInError) -> Unavailable {
    match error {
        SignInError::Hash(HashError::Busy) => {
            tracing::debug!("too many sign in at once");
            Unavailable
        }
        SignInError::Hash(HashError::Failed) => {
            tracing::error!("passwords cannot be checked");
            Unavailable
        }
        SignInError::Query(error) => no_answer(error),
    }
}

fn no_answer(error: QueryError) -> Unavailable {
    tracing::error!(error = &error as &dyn Error, "database does not say who signs in");
    Unavailable
}

#[cfg(test)]
mod tests {
    use tandem_core::id::NodeId;
    use tandem_core::metric::Metrics;
    use tandem_core::time::WallTime;
    use tandem_http::identity::{Revocations, Role, Tokens};
    use tandem_storage::{Bus, Config, NewUser};

    use super::*;
    use crate::revoker::StoredRevoker;

    const NOW: WallTime = WallTime(1_790_000_000_000_000);

    async fn storage(folder: &tempfile::TempDir) -> Arc<Storage> {
        let config = Config { data_dir: folder.path().to_owned(), ..Config::default() };
        let storage = Storage::open(&config, Arc::new(Metrics::default())).await.unwrap();
        let tenant = Tenant::default_tenant();
        let (name, extension, password, realm) = ("alice", "1001", "secret", "tandem");
        let alice = NewUser { tenant: &tenant, name, extension, display_name: None, password, realm, role: Role::User };
        storage.add_user(alice).await.unwrap();
        storage
    }

    #[tokio::test]
    async fn a_user_signs_in_goes_on_and_signs_out() {
        let folder = tempfile::tempdir().unwrap();
        let storage = storage(&folder).await;
        let tenant = Tenant::default_tenant();
        let tokens = Tokens::new(signing_keys(&storage).await.unwrap()).unwrap();
        let revocations = Arc::new(Revocations::default());
        let (bus, node) = (Bus::new(1, Arc::default()), NodeId::from_uuid(uuid::Uuid::nil()));
        let revoker = StoredRevoker { storage: storage.clone(), revocations: revocations.clone(), bus, node };
        let accounts = StoredAccounts::new(storage, Arc::new(revoker));
        assert_eq!(accounts.sign_in(&tenant, "alice", "wrong").await, Ok(None));
        let first = accounts.sign_in(&tenant, "alice", "secret").await.unwrap().unwrap();
        let second = accounts.refresh(first.refresh_token.reveal()).await.unwrap().unwrap();
        assert_eq!((second.device_id, second.user_id), (first.device_id, first.user_id));
        let token = tokens.issue(&second.claims(NOW), NOW).unwrap();
        assert_eq!(tokens.verify(&token, NOW).unwrap().user_id, first.user_id);
        let ended = accounts.sign_out(second.refresh_token.reveal()).await.unwrap().unwrap();
        assert_eq!((ended.user_id, ended.device_id), (first.user_id, first.device_id));
        assert_eq!(accounts.refresh(second.refresh_token.reveal()).await, Ok(None));
        assert_eq!(revocations.len(), 1, "his access tokens end with it");
        assert_eq!(accounts.sign_out("whatever").await, Ok(None));
        assert_eq!(revocations.len(), 1);
    }
}
