//! What a database says no to for what is in it, however often it is asked.

use sea_orm::{DbErr, RuntimeErr};

/// Whether the same rows would be refused again: what they hold is wrong. Everything else passes (a server that is away,
/// a lock, a full disk).
pub(crate) fn is_refusal(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) = error else {
        return matches!(error, DbErr::TryIntoErr { .. } | DbErr::Type(_) | DbErr::Json(_));
    };
    match &**error {
        sqlx::Error::Database(refusal) => {
            let code = refusal.code().unwrap_or_default();
            if refusal.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some() {
                is_postgres_refusal(&code)
            } else {
                is_sqlite_refusal(&code)
            }
        }
        sqlx::Error::Encode(_) | sqlx::Error::InvalidArgument(_) => true,
        _ => false,
    }
}

/// By class (PostgreSQL's appendix A): cardinality, data, integrity, a program limit.
fn is_postgres_refusal(code: &str) -> bool {
    ["21", "22", "23", "54"].iter().any(|class| code.starts_with(class))
}

/// By primary code: TOOBIG, CONSTRAINT, MISMATCH, RANGE.
fn is_sqlite_refusal(code: &str) -> bool {
    code.parse::<u32>().is_ok_and(|code| [18, 19, 20, 25].contains(&(code & 0xff)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_no_refusal() {
        for (code, is_refusal) in [("22001", true), ("23514", true), ("40001", false), ("57P01", false), ("", false)] {
            assert_eq!(is_postgres_refusal(code), is_refusal, "{code}");
        }
        for (code, is_refusal) in [("1811", true), ("2067", true), ("5", false), ("13", false), ("", false)] {
            assert_eq!(is_sqlite_refusal(code), is_refusal, "{code}");
        }
        assert!(!is_refusal(&DbErr::Conn(RuntimeErr::Internal(String::from("away")))));
    }
}
