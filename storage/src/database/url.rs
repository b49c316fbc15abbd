//! Where the database is, with whatever secret is in that.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// A database's URL: `sqlite://…` or `postgres://…`. Shown and written without what may be a password.
#[derive(Clone, Eq, PartialEq, Deserialize)]
#[serde(from = "String")]
pub struct DatabaseUrl(String);

/// What speaks behind a URL.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Engine {
    /// A file of this node's.
    Sqlite,
    /// A server that nodes share.
    Postgres,
}

impl DatabaseUrl {
    /// What its scheme names; `None` when that is neither.
    #[must_use]
    pub fn engine(&self) -> Option<Engine> {
        match self.0.split(':').next() {
            Some("sqlite") => Some(Engine::Sqlite),
            Some("postgres" | "postgresql") => Some(Engine::Postgres),
            _ => None,
        }
    }

    /// All of it, for the driver only.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for DatabaseUrl {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Parameters may name a password, too; nobody misses the others.
        let (shown, parameters) = self.0.split_once('?').map_or((self.0.as_str(), ""), |(it, _)| (it, "?[hidden]"));
        let (scheme, rest) = shown.split_once("://").unwrap_or(("", shown));
        f.write_str(scheme)?;
        f.write_str(if scheme.is_empty() { "" } else { "://" })?;
        match rest.rsplit_once('@') {
            Some((user, place)) => {
                let (user, password) = user.split_once(':').map_or((user, ""), |(user, _)| (user, ":[hidden]"));
                write!(f, "{user}{password}@{place}{parameters}")
            }
            // A password with a question mark in it has hidden its own end.
            None if self.0.contains('@') => f.write_str("[hidden]"),
            None => write!(f, "{rest}{parameters}"),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for DatabaseUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_way_of_showing_a_url_shows_a_password() {
        for (url, shown) in [
            ("sqlite:///var/lib/tandem.db", "sqlite:///var/lib/tandem.db"),
            ("postgres://db/tandem", "postgres://db/tandem"),
            ("postgres://tandem@db:5432/tandem", "postgres://tandem@db:5432/tandem"),
            ("postgres://tandem:s3cret@db:5432/tandem", "postgres://tandem:[hidden]@db:5432/tandem"),
            ("postgres://tandem:s3:c@ret@db/tandem", "postgres://tandem:[hidden]@db/tandem"),
            ("postgres://db/tandem?password=s3cret", "postgres://db/tandem?[hidden]"),
            ("postgres://tandem:s3?cret@db/tandem", "postgres://[hidden]"),
        ] {
            let url = DatabaseUrl::from(url);
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), shown);
            assert_eq!(serde_json::to_value(&url).unwrap(), shown);
        }
    }

    #[test]
    fn the_scheme_names_the_engine() {
        for (url, engine) in [
            ("sqlite://a.db", Some(Engine::Sqlite)),
            ("postgres://h/d", Some(Engine::Postgres)),
            ("postgresql://h/d", Some(Engine::Postgres)),
            ("mysql://h/d", None),
            ("tandem.db", None),
            ("", None),
        ] {
            assert_eq!(DatabaseUrl::from(url).engine(), engine, "{url}");
        }
    }
}
