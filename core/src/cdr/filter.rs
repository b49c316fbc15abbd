//! Which records somebody wants, and may have.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use uuid::Uuid;

use super::{Cdr, Direction};
use crate::cause::Cause;
use crate::id::{CallId, CorrelationId, Tenant, UserId};
use crate::party::{Number, TrunkName};
use crate::time::WallTime;

/// Which records are wanted: those that every condition holds for. None: all there are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CdrFilter {
    /// Whose. `None` only for the operator.
    pub tenant: Option<Tenant>,
    /// Only calls in which this user called or was called: what somebody without rights may see.
    pub seen_by: Option<UserId>,
    /// Started then or later.
    pub from: Option<WallTime>,
    /// Started before.
    pub to: Option<WallTime>,
    /// The caller's number, as it came or in E.164.
    pub caller: Option<Number>,
    /// The callee's number or what was dialled, as it came or in E.164.
    pub callee: Option<Number>,
    /// One of them.
    pub number: Option<Number>,
    /// This user called or was called.
    pub user_id: Option<UserId>,
    /// It came or left by this trunk.
    pub trunk: Option<TrunkName>,
    /// It ended so.
    pub cause: Option<Cause>,
    /// It was answered, or was not.
    pub answered: Option<bool>,
    /// It went that way.
    pub direction: Option<Direction>,
    /// They talked at least so long; whole milliseconds count.
    pub min_duration: Option<Duration>,
    /// Everything that followed from one request.
    pub correlation_id: Option<CorrelationId>,
    /// This call.
    pub call_id: Option<CallId>,
}

/// A place in a list of records, the latest first: those after it began earlier. New records do not move it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct CdrCursor {
    /// When the last record before the place started.
    pub started_at: WallTime,
    /// Its call.
    pub call_id: CallId,
}

/// It did not come with a page.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a cursor")]
pub struct InvalidCursor;

impl From<&Cdr> for CdrCursor {
    fn from(record: &Cdr) -> Self {
        Self { started_at: record.started_at, call_id: record.call_id }
    }
}

impl fmt::Display for CdrCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{}", self.started_at.0, self.call_id.uuid().simple())
    }
}

impl FromStr for CdrCursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        if text.len() != 48 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(InvalidCursor);
        }
        let (micros, call) = text.split_at(16);
        let micros = u64::from_str_radix(micros, 16).map_err(|_| InvalidCursor)?;
        let call = Uuid::try_parse(call).map_err(|_| InvalidCursor)?;
        Ok(Self { started_at: WallTime(micros.cast_signed()), call_id: CallId::from_uuid(call) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_was_given() {
        for micros in [-1, 0, 1_790_000_000_123_456] {
            let cursor = CdrCursor { started_at: WallTime(micros), call_id: CallId::from_uuid(Uuid::from_u128(7)) };
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        for wrong in ["", "7", &"g".repeat(48), &"0".repeat(47), &"é".repeat(24)] {
            assert_eq!(wrong.parse::<CdrCursor>(), Err(InvalidCursor));
        }
    }
}
