//! Telling others of events by HTTP: where to, of what, and how often it is tried.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{DeliveryId, Tenant, WebhookId};
use crate::pii::Pii;
use crate::time::WallTime;

/// How a request looks and is signed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// The CloudEvent as it is, signed with HMAC-SHA-256 in headers of ours.
    #[default]
    Tandem,
}

/// What somebody wants to be told of, and where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Webhook {
    /// Which.
    pub id: WebhookId,
    /// Whose.
    pub tenant: Tenant,
    /// Where requests go. It may hold somebody's token.
    pub url: Pii<String>,
    /// How they look.
    pub format: Format,
    /// Types of events, or beginnings of them; empty: all.
    pub events: Vec<String>,
    /// Whether events are sent, and new ones queued.
    pub enabled: bool,
    /// Why it is not, when nobody switched it off.
    pub disabled_reason: Option<String>,
    /// Requests that failed since the last that did not.
    pub failures: u32,
    /// Since when.
    pub created_at: WallTime,
}

/// What becomes of a webhook.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct WebhookChange {
    /// Where requests go from now on.
    pub url: Option<Pii<String>>,
    /// What is wanted from now on.
    pub events: Option<Vec<String>>,
    /// Whether from now on anything is. Switching it on again forgets why it was off.
    pub enabled: Option<bool>,
}

/// Where a delivery is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// It will be tried, again or for the first time.
    Pending,
    /// Somebody took it.
    Delivered,
    /// It was tried for long enough; it is sent again when somebody asks for that.
    Dead,
}

/// One event on its way to one webhook.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Delivery {
    /// Which.
    pub id: DeliveryId,
    /// Where to.
    pub webhook_id: WebhookId,
    /// The event's, the same whenever it is sent.
    pub event_id: String,
    /// Its type.
    pub event_type: String,
    /// Where it is.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: u32,
    /// When it will be tried, if it is pending.
    pub next_at: WallTime,
    /// The last answer's status.
    pub last_status: Option<u16>,
    /// What was wrong with the last try.
    pub last_error: Option<String>,
    /// When it was queued.
    pub created_at: WallTime,
    /// When somebody took it.
    pub delivered_at: Option<WallTime>,
}

/// Requests in a row that fail until a webhook counts as failing: it gets one at a time, and rests between them.
pub const FAILING: u32 = 3;

/// Longest time that a failing webhook is left alone.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// How long, and how often, it is tried.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Patience {
    /// Before the second try; each further pause is twice as long.
    pub first: Duration,
    /// No pause is longer.
    pub longest: Duration,
    /// After this time nothing is tried any more.
    pub give_up: Duration,
}

impl Patience {
    /// When the next try is due after `attempts` that failed, the first of them at `since`; `None`: never. `spread` in
    /// 0.0..=1.0 moves it by up to a fifth either way, so that what failed together is not tried together.
    #[must_use]
    pub fn next(&self, attempts: u32, since: WallTime, now: WallTime, spread: f64) -> Option<WallTime> {
        let doubled = 2_u32.saturating_pow(attempts.saturating_sub(1).min(30));
        let pause = self.first.saturating_mul(doubled).min(self.longest);
        let pause = pause.mul_f64(0.8 + 0.4 * spread.clamp(0.0, 1.0));
        (now - since < self.give_up).then(|| now + pause)
    }

    /// Until when a webhook is left alone after so many requests in a row that failed; `None`: it is not. Each rest is
    /// twice as long as the one before, and short enough that whoever is back is soon noticed.
    #[must_use]
    pub fn rest(&self, failures: u32, now: WallTime) -> Option<WallTime> {
        let rests = failures.checked_sub(FAILING)?;
        let rest = self.first.saturating_mul(2_u32.saturating_pow(rests.min(30)));
        Some(now + rest.min(self.longest).min(LONGEST_REST))
    }
}

impl Format {
    /// As it is stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tandem => "tandem",
        }
    }

    /// From that.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        (name == Self::Tandem.name()).then_some(Self::Tandem)
    }
}

impl DeliveryState {
    /// As it is stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }

    /// From that.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        [Self::Pending, Self::Delivered, Self::Dead].into_iter().find(|it| it.name() == name)
    }
}

/// Whether somebody who wants these types of events wants this one: any of them is its type, or its beginning up to a dot.
#[must_use]
pub fn wants(events: &[String], event_type: &str) -> bool {
    let is = |wanted: &String| {
        event_type
            .strip_prefix(wanted.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.') || wanted.ends_with('.'))
    };
    events.is_empty() || events.iter().any(is)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_wanted_by_its_name_or_its_beginning() {
        let type_ = "tandem.call.answered.v1";
        for (wanted, is) in [
            ("tandem.call.answered.v1", true),
            ("tandem.call.answered", true),
            ("tandem.call", true),
            ("tandem.call.", true),
            ("tandem", true),
            ("tandem.cal", false),
            ("tandem.call.answered.v1.x", false),
            ("tandem.cdr", false),
        ] {
            assert_eq!(wants(&[wanted.to_owned()], type_), is, "{wanted}");
        }
        assert!(wants(&[], type_));
        assert!(wants(&["tandem.cdr".to_owned(), "tandem.call".to_owned()], type_));
    }

    #[test]
    fn pauses_double_up_to_the_longest_until_it_was_tried_for_long_enough() {
        let (second, day) = (Duration::from_secs(1), Duration::from_secs(86_400));
        let patience = Patience { first: second * 5, longest: second * 3_600, give_up: day };
        let since = WallTime(1_790_000_000_000_000);
        let pause = |attempts, spread| patience.next(attempts, since, since, spread).map(|at| at - since);
        let seconds = [(1, 5), (2, 10), (3, 20), (10, 2_560), (11, 3_600), (12, 3_600), (u32::MAX, 3_600)];
        for (attempts, expected) in seconds {
            assert_eq!(pause(attempts, 0.5), Some(second * expected), "{attempts}");
        }
        assert_eq!((pause(1, 0.0), pause(1, 1.0)), (Some(second * 4), Some(second * 6)));
        assert!(patience.next(9, since, WallTime((since + day).0 - 1), 0.5).is_some());
        assert_eq!(patience.next(9, since, since + day, 0.5), None);
    }

    #[test]
    fn who_fails_rests_twice_as_long_each_time_but_never_for_long() {
        let (second, day) = (Duration::from_secs(1), Duration::from_secs(86_400));
        let patience = Patience { first: second * 5, longest: second * 3_600, give_up: day };
        let now = WallTime(1_790_000_000_000_000);
        let rest = |patience: Patience, failures| patience.rest(failures, now).map(|at| (at - now).as_secs());
        for (failures, expected) in [(0, None), (2, None), (3, Some(5)), (4, Some(10)), (6, Some(40)), (7, Some(60))] {
            assert_eq!(rest(patience, failures), expected, "{failures}");
        }
        assert_eq!(rest(patience, u32::MAX), Some(60));
        assert_eq!(rest(Patience { longest: second * 7, ..patience }, u32::MAX), Some(7));
    }
}
