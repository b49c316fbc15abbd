//! Who a token of another issuer speaks of, and which of our users that is.

use futures::future::BoxFuture;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tandem_core::account::Role;
use tandem_core::id::{DeviceId, Tenant, UserId};
use tandem_core::party::Number;
use tandem_core::pii::Pii;
use tandem_core::time::WallTime;
use uuid::{Builder, Uuid};

use super::claims::Claims;
use super::config::IdentityConfig;
use super::gate::Proven;
use super::issuer::time;
use super::tokens::TokenError;

/// Longest text of a claim that names somebody, in characters.
const LONGEST: usize = 256;

/// Somebody whom an issuer vouches for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outsider {
    /// Who vouches.
    pub issuer: String,
    /// Whose user.
    pub tenant: Tenant,
    /// What the issuer knows him by. 1..=256 characters.
    pub subject: Pii<String>,
    /// The number he is to have, should he be new.
    pub extension: Option<Number>,
    /// Shown to those he calls, should he be new.
    pub display_name: Option<Pii<String>>,
    /// Whether he becomes a user when there is none yet.
    pub provision: bool,
}

/// The user that somebody is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Insider {
    /// Who.
    pub user_id: UserId,
    /// Sign-in name.
    pub name: Pii<String>,
    /// The number he is reached by.
    pub extension: Number,
    /// Shown to those he calls.
    pub display_name: Option<Pii<String>>,
}

/// Why somebody is no user of ours.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotMapped {
    /// There is no such tenant or user here, and he may not become one.
    #[error("nobody here is known by this identity")]
    Unknown,
    /// He would become one, and his claims do not say with which number.
    #[error("this identity has no extension")]
    NoExtension,
    /// The number or the name he would get is somebody else's.
    #[error("the extension or the name of this identity is taken")]
    Taken,
    /// It cannot be said now.
    #[error("identities cannot be looked up now")]
    Unavailable,
}

/// Knows which user somebody from outside is.
pub trait Outsiders: Send + Sync + 'static {
    /// The user: the one he was before, else the one of that name, else a new one if he may become one.
    fn insider<'a>(&'a self, who: &'a Outsider) -> BoxFuture<'a, Result<Insider, NotMapped>>;
}

/// What a token of an issuer says.
#[derive(Debug)]
pub(super) struct Testimony {
    pub(super) who: Outsider,
    role: Role,
    device_id: DeviceId,
    token_id: Option<Box<str>>,
    begins: Option<WallTime>,
    ends: WallTime,
}

impl Testimony {
    /// From claims that were verified; `None` when they do not say who, or until when.
    pub(super) fn read(config: &IdentityConfig, home: &Tenant, claims: &Value) -> Option<Self> {
        let issuer = config.issuer.clone()?;
        let tenant = match config.tenant_claim.as_str() {
            "" => home.clone(),
            name => text(claims, name)?.parse().ok()?,
        };
        let subject = text(claims, &config.user_claim)?;
        let extension = text(claims, &config.extension_claim).map(|it| it.to_owned().into());
        let display_name = text(claims, "name").map(|it| it.to_owned().into());
        let at = |name| claims.get(name).map(|it| time(it).ok_or(()));
        Some(Self {
            role: role(claim(claims, &config.role_claim)),
            device_id: device(&issuer, &tenant, subject, claims),
            token_id: text(claims, "jti").map(Into::into),
            begins: at("nbf").transpose().ok()?,
            ends: at("exp")?.ok()?,
            who: Outsider {
                issuer,
                tenant,
                subject: subject.to_owned().into(),
                extension,
                display_name,
                provision: config.provision,
            },
        })
    }

    /// Whether it holds now.
    pub(super) fn check(&self, config: &IdentityConfig, now: WallTime) -> Result<(), TokenError> {
        if now >= self.ends + config.leeway {
            return Err(TokenError::Expired);
        }
        match self.begins {
            Some(begins) if now + config.leeway < begins => Err(TokenError::NotYet),
            _ => Ok(()),
        }
    }

    pub(super) fn of(self, user: Insider) -> Proven {
        let claims = Claims {
            tenant: self.who.tenant,
            user_id: user.user_id,
            device_id: self.device_id,
            name: user.name,
            extension: user.extension,
            display_name: user.display_name,
            role: self.role,
            expires: self.ends,
        };
        Proven { claims, token_id: self.token_id }
    }
}

/// A claim by its name, or else by its path.
fn claim<'a>(claims: &'a Value, path: &str) -> Option<&'a Value> {
    claims.get(path).or_else(|| path.split('.').try_fold(claims, |within, name| within.get(name)))
}

/// A claim that is a text of a sane length without control characters.
fn text<'a>(claims: &'a Value, path: &str) -> Option<&'a str> {
    let text = claim(claims, path)?.as_str()?;
    let is_sane = (1..=LONGEST).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    is_sane.then_some(text)
}

fn role(claim: Option<&Value>) -> Role {
    let is_admin = |it: &Value| it.as_str() == Some("admin");
    let listed = claim.and_then(Value::as_array).is_some_and(|roles| roles.iter().any(is_admin));
    if listed || claim.is_some_and(is_admin) { Role::Admin } else { Role::User }
}

/// The same for the same sign-in at the IAM: its session if it says so, else this token, else the app.
fn device(issuer: &str, tenant: &Tenant, subject: &str, claims: &Value) -> DeviceId {
    let of = ["sid", "jti", "azp"].into_iter().find_map(|name| Some((name, text(claims, name)?)));
    let (kind, value) = of.unwrap_or_default();
    let mut hash = Sha256::new();
    for part in [issuer, tenant.as_str(), subject, kind, value] {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    let first = hash.finalize().first_chunk::<16>().copied().unwrap_or_default();
    let uuid: Uuid = Builder::from_custom_bytes(first).into_uuid();
    DeviceId::from_uuid(uuid)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config() -> IdentityConfig {
        IdentityConfig { issuer: Some("https://iam.example".to_owned()), ..IdentityConfig::default() }
    }

    fn read(config: &IdentityConfig, claims: &Value) -> Option<Testimony> {
        Testimony::read(config, &Tenant::default_tenant(), claims)
    }

    fn good() -> Value {
        json!({"sub": "alice", "tenant": "acme", "exp": 1_790_000_900, "nbf": 1_790_000_000.5, "sid": "s1", "jti": "t1"})
    }

    #[test]
    fn claims_are_found_by_name_and_by_path() {
        let config = IdentityConfig {
            tenant_claim: "https://a.example/tenant".to_owned(),
            role_claim: "realm_access.roles".to_owned(),
            ..config()
        };
        let mut claims = good();
        claims["https://a.example/tenant"] = json!("other");
        claims["realm_access"] = json!({"roles": ["offline", "admin"]});
        let found = read(&config, &claims).unwrap();
        assert_eq!((found.who.tenant.as_str(), found.role), ("other", Role::Admin));
        assert_eq!(found.begins, Some(WallTime(1_790_000_000_000_000)));
    }

    #[test]
    fn without_a_user_a_tenant_or_an_end_it_says_nothing() {
        assert!(read(&config(), &good()).is_some());
        for (name, value) in [
            ("sub", json!("")),
            ("sub", json!(7)),
            ("sub", json!("a\nb")),
            ("sub", json!("x".repeat(257))),
            ("tenant", json!("A B")),
            ("tenant", Value::Null),
            ("exp", Value::Null),
            ("exp", json!("1790000900")),
            ("exp", json!(-1)),
            ("exp", json!(1e300)),
            ("nbf", json!("soon")),
        ] {
            let mut claims = good();
            claims[name] = value.clone();
            assert!(read(&config(), &claims).is_none(), "{name} {value}");
        }
        let everybody_here = IdentityConfig { tenant_claim: String::new(), ..config() };
        assert_eq!(read(&everybody_here, &good()).unwrap().who.tenant, Tenant::default_tenant());
    }

    #[test]
    fn a_device_is_the_same_for_a_session_and_another_for_others() {
        let of = |change: &dyn Fn(&mut Value)| {
            let mut claims = good();
            change(&mut claims);
            read(&config(), &claims).unwrap().device_id
        };
        let device = of(&|_| ());
        assert_eq!(of(&|it| it["jti"] = json!("t2")), device, "a refreshed token");
        for (name, value) in [("sid", "s2"), ("sub", "bob"), ("tenant", "other")] {
            assert_ne!(of(&|it| it[name] = json!(value)), device, "{name}");
        }
        assert_ne!(of(&|it| drop(it.as_object_mut().unwrap().remove("sid"))), device);
    }
}
