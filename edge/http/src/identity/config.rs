//! Settings of identities from outside.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The `[identity]` section: whose tokens are taken besides our own.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IdentityConfig {
    /// What `iss` says in tokens of your IAM. Default none: only our own tokens are taken. With it go `jwks_url` and
    /// `audience`.
    pub issuer: Option<String>,
    /// Where its public keys are (a JSON Web Key Set, RFC 7517). `https://`, or `http://` on this machine's loopback.
    pub jwks_url: Option<String>,
    /// What must be in `aud`: this service's name at the IAM.
    pub audience: Option<String>,
    /// Claim with the tenant's slug; in this and the other three a dot goes one level down. Default `tenant`. Empty:
    /// everybody belongs to the node's own tenant.
    pub tenant_claim: String,
    /// Claim that names the user: what he is known by for good. Default `sub`.
    pub user_claim: String,
    /// Claim with the role, `admin` or `user`, a text or a list. Default `role`; without it somebody is a user.
    pub role_claim: String,
    /// Claim with the number that a new user gets. Default `ext`.
    pub extension_claim: String,
    /// Whether somebody who is seen for the first time becomes a user. Default false: there must be one of that name.
    pub provision: bool,
    /// How long keys are used before they are fetched again. Default `10m`, range `10s`..=`1d`.
    #[serde(with = "humantime_serde")]
    pub cache: Duration,
    /// How much longer they are used while the IAM does not answer. Default `1h`, range `0s`..=`7d`.
    #[serde(with = "humantime_serde")]
    pub stale: Duration,
    /// A key that nobody knows makes us fetch once in this time at most. Default `10s`, range `1s`..=`1h`.
    #[serde(with = "humantime_serde")]
    pub unknown_kid_refresh: Duration,
    /// How long it is remembered that a token is good, never beyond its end. Default `1m`, range `0s`..=`15m`.
    #[serde(with = "humantime_serde")]
    pub decision: Duration,
    /// How far the IAM's clock may be from ours. Default `30s`, range `0s`..=`5m`.
    #[serde(with = "humantime_serde")]
    pub leeway: Duration,
    /// Longest time for fetching the keys. Default `5s`, range `100ms`..=`30s`.
    #[serde(with = "humantime_serde")]
    pub fetch_timeout: Duration,
}

impl Default for IdentityConfig {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            issuer: None,
            jwks_url: None,
            audience: None,
            tenant_claim: String::from("tenant"),
            user_claim: String::from("sub"),
            role_claim: String::from("role"),
            extension_claim: String::from("ext"),
            provision: false,
            cache: seconds(600),
            stale: seconds(3_600),
            unknown_kid_refresh: seconds(10),
            decision: seconds(60),
            leeway: seconds(30),
            fetch_timeout: seconds(5),
        }
    }
}

/// What is wrong with these settings.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("identity.{key}: {wanted}")]
pub struct WrongSetting {
    /// Which.
    pub key: &'static str,
    /// What it should be.
    pub wanted: &'static str,
}

impl IdentityConfig {
    /// Whether the settings go together.
    ///
    /// # Errors
    /// The first that does not.
    pub fn check(&self) -> Result<(), WrongSetting> {
        let wrong = |key, wanted| Err(WrongSetting { key, wanted });
        let (second, day) = (Duration::from_secs(1), Duration::from_secs(86_400));
        for (is_right, key, wanted) in [
            ((second * 10..=day).contains(&self.cache), "cache", "10s..=1d"),
            (self.stale <= day * 7, "stale", "0s..=7d"),
            ((second..=second * 3_600).contains(&self.unknown_kid_refresh), "unknown_kid_refresh", "1s..=1h"),
            (self.decision <= second * 900, "decision", "0s..=15m"),
            (self.leeway <= second * 300, "leeway", "0s..=5m"),
            ((second / 10..=second * 30).contains(&self.fetch_timeout), "fetch_timeout", "100ms..=30s"),
            (!self.user_claim.is_empty(), "user_claim", "the name of a claim"),
        ] {
            if !is_right {
                return wrong(key, wanted);
            }
        }
        match (&self.issuer, &self.jwks_url, &self.audience) {
            (None, None, None) => Ok(()),
            (Some(issuer), ..) if issuer.is_empty() || issuer == super::claims::US => wrong("issuer", "not our own"),
            (Some(_), Some(url), Some(audience)) if !audience.is_empty() => {
                if is_private_enough(url) {
                    Ok(())
                } else {
                    wrong("jwks_url", "https://, or http:// on loopback")
                }
            }
            _ => wrong("issuer", "issuer, jwks_url and audience go together"),
        }
    }
}

/// Whether what comes from there cannot have been changed on the way.
fn is_private_enough(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_fetched_over_https_or_from_this_machine() {
        let with = |url: &str| IdentityConfig {
            issuer: Some("https://iam.example".to_owned()),
            jwks_url: Some(url.to_owned()),
            audience: Some("tandem".to_owned()),
            ..IdentityConfig::default()
        };
        for good in ["https://iam.example/keys", "http://127.0.0.1:8080/keys", "http://[::1]/k", "http://localhost/k"] {
            assert_eq!(with(good).check(), Ok(()), "{good}");
        }
        for bad in ["http://iam.example/keys", "http://localhost.evil.example/", "file:///etc/passwd", "keys", ""] {
            assert_eq!(with(bad).check().unwrap_err().key, "jwks_url", "{bad}");
        }
    }

    #[test]
    fn what_does_not_go_together_is_named() {
        assert_eq!(IdentityConfig::default().check(), Ok(()));
        let alone = IdentityConfig { issuer: Some("x".to_owned()), ..IdentityConfig::default() };
        assert_eq!(alone.check().unwrap_err().key, "issuer");
        let ours = IdentityConfig { issuer: Some("tandem".to_owned()), ..IdentityConfig::default() };
        assert_eq!(ours.check().unwrap_err().wanted, "not our own");
        let long = IdentityConfig { decision: Duration::from_secs(901), ..IdentityConfig::default() };
        assert_eq!(long.check().unwrap_err().key, "decision");
    }
}
