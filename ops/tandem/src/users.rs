//! Adding and listing users.

use std::io::{BufRead, IsTerminal, Write};

use anyhow::{Context, Result, ensure};
use tandem_core::account::Role;
use tandem_core::audit::Action;
use tandem_core::id::{Tenant, UserId};
use tandem_storage::{AccountError, NewUser, Storage};

use crate::audit_trail;
use crate::config::Config;
use crate::table::table;

/// Names and extensions of the development accounts; each password is the name.
pub(crate) const DEVELOPMENT: [(&str, &str); 3] = [("alice", "1001"), ("bob", "1002"), ("carol", "1003")];

const HAS_DEVELOPMENT_ACCOUNTS: &str = "the database has development accounts: use --dev, or another storage.data_dir";

/// Adds the development accounts that are not there yet.
///
/// # Errors
/// The database does not take them.
pub(crate) async fn add_development_accounts(storage: &Storage, realm: &str) -> Result<(), AccountError> {
    let (tenant, role) = (Tenant::default_tenant(), Role::User);
    for (name, extension) in DEVELOPMENT {
        let new = NewUser { tenant: &tenant, name, extension, display_name: None, password: name, realm, role };
        match storage.add_user(new).await {
            Ok(_) | Err(AccountError::AlreadyExists) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Their passwords are public: whoever finds such a node may call out at its owner's cost.
///
/// # Errors
/// A development account has its development password, or the database does not answer.
pub(crate) async fn refuse_development_accounts(storage: &Storage, realm: &str) -> Result<()> {
    let tenant = Tenant::default_tenant();
    for account in storage.load_accounts().await? {
        let is_known = DEVELOPMENT.into_iter().any(|(name, extension)| {
            let role = Role::User;
            let known = NewUser { tenant: &tenant, name, extension, display_name: None, password: name, realm, role };
            known.digests() == account.ha1
        });
        ensure!(!is_known, "{HAS_DEVELOPMENT_ACCOUNTS}");
    }
    // There is no realm in what browsers sign in with: it holds after the realm was changed.
    for user in storage.list_users().await? {
        let name = user.name.reveal();
        let is_known = DEVELOPMENT.iter().any(|(known, _)| known == name)
            && storage.verify_password(&user.tenant, name, name).await?.is_some();
        ensure!(!is_known, "{HAS_DEVELOPMENT_ACCOUNTS}");
    }
    Ok(())
}

/// Somebody to be added from the command line.
pub(crate) struct Added<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) name: &'a str,
    pub(crate) extension: &'a str,
    pub(crate) display_name: Option<&'a str>,
    pub(crate) role: Role,
}

/// Adds one user; the password is a line of standard input.
///
/// # Errors
/// No password, no such tenant, a name or extension that is taken or empty, or a database that does not take it.
pub(crate) async fn add(config: &Config, storage: &Storage, added: Added<'_>) -> Result<String> {
    let Added { tenant, name, extension, display_name, role } = added;
    let is_dialable = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_' | '*');
    ensure!(!name.is_empty(), "the name is empty");
    ensure!(!extension.is_empty() && extension.chars().all(is_dialable), "the extension cannot be dialled");
    let is_there = *tenant == Tenant::default_tenant()
        || storage.list_tenants().await?.iter().any(|listed| listed.tenant == *tenant);
    ensure!(is_there, "there is no tenant {tenant}: `tandem tenant add {tenant}`");
    let password = read_password()?;
    let realm = &config.sip.realm;
    let new = NewUser { tenant, name, extension, display_name, password: &password, realm, role };
    let id: UserId = storage.add_user(new).await?;
    audit_trail::note(config, storage, tenant, Action::UserAdded, id).await?;
    Ok(format!("{id}\n"))
}

/// All users as a table.
///
/// # Errors
/// The database does not answer.
pub(crate) async fn list(storage: &Storage) -> Result<String> {
    let users = storage.list_users().await?;
    let row = |user: &tandem_storage::User| {
        let display_name = user.display_name.as_ref().map(|it| it.reveal().clone()).unwrap_or_default();
        let (tenant, role, id) = (user.tenant.to_string(), user.role.name().to_owned(), user.user_id.to_string());
        [user.extension.reveal().clone(), user.name.reveal().clone(), display_name, tenant, role, id]
    };
    Ok(table(["EXTENSION", "NAME", "DISPLAY NAME", "TENANT", "ROLE", "ID"], &users.iter().map(row).collect::<Vec<_>>()))
}

fn read_password() -> Result<String> {
    let input = std::io::stdin();
    if input.is_terminal() {
        let mut prompt = std::io::stderr();
        write!(prompt, "Password (shown as you type): ").and_then(|()| prompt.flush())?;
    }
    let mut line = String::new();
    input.lock().read_line(&mut line).context("no password")?;
    let password = line.trim_end_matches(['\r', '\n']);
    ensure!(!password.is_empty(), "the password is empty");
    Ok(password.to_owned())
}

#[cfg(test)]
mod tests {
    use tandem_core::metric::Metrics;
    use tandem_storage::Config;

    use super::*;

    #[tokio::test]
    async fn development_accounts_are_known_whatever_the_realm_and_other_passwords_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config { data_dir: folder.path().to_owned(), ..Config::default() };
        let storage = Storage::open(&config, Metrics::default().into()).await.unwrap();
        let tenant = Tenant::default_tenant();
        let own = NewUser {
            tenant: &tenant,
            name: "alice",
            extension: "2001",
            display_name: None,
            password: "s3cret",
            realm: "tandem",
            role: Role::User,
        };
        storage.add_user(own).await.unwrap();
        refuse_development_accounts(&storage, "tandem").await.unwrap();
        add_development_accounts(&storage, "tandem").await.unwrap();
        for realm in ["tandem", "elsewhere"] {
            assert!(refuse_development_accounts(&storage, realm).await.is_err(), "{realm}");
        }
    }
}
