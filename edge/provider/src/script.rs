//! What the mock provider does when a number is dialled: told by the number's last four digits.

use std::time::Duration;

use tandem_core::cause::Cause;

/// One thing that happens to the leg.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Act {
    Ring,
    Answer,
    Refuse(Cause),
    HangUp,
}

const SOON: Duration = Duration::from_millis(100);
const LATER: Duration = Duration::from_millis(500);

/// What happens, and how long after the number was dialled. Any number without a script of its own rings and answers.
pub(crate) fn script(number: &str) -> Vec<(Duration, Act)> {
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    let last = digits.len().checked_sub(4).and_then(|at| digits.get(at..)).unwrap_or_default();
    match last {
        "0486" => vec![(SOON, Act::Ring), (LATER, Act::Refuse(Cause::Busy))],
        "0603" => vec![(SOON, Act::Ring), (LATER, Act::Refuse(Cause::Declined))],
        "0404" => vec![(SOON, Act::Refuse(Cause::UnknownNumber))],
        "0408" => vec![(2 * LATER, Act::Refuse(Cause::Timeout))],
        "0480" => vec![(SOON, Act::Ring)],
        "0503" => vec![(SOON, Act::Refuse(Cause::Congestion))],
        "0200" => vec![(SOON, Act::Ring), (LATER, Act::Answer), (3 * LATER, Act::HangUp)],
        _ => vec![(SOON, Act::Ring), (LATER, Act::Answer)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_four_digits_choose_what_happens() {
        for (number, last) in [
            ("+15550000486", Act::Refuse(Cause::Busy)),
            ("+1 555 000-0603", Act::Refuse(Cause::Declined)),
            ("+15550000404", Act::Refuse(Cause::UnknownNumber)),
            ("+15550000408", Act::Refuse(Cause::Timeout)),
            ("+15550000503", Act::Refuse(Cause::Congestion)),
            ("+15550000480", Act::Ring),
            ("+15550000200", Act::HangUp),
            ("+15550001234", Act::Answer),
            ("12", Act::Answer),
        ] {
            assert_eq!(script(number).last().map(|(_, act)| *act), Some(last), "{number}");
        }
    }

    #[test]
    fn a_script_goes_forward_in_time() {
        for number in ["0486", "0603", "0200", "1234"] {
            assert!(script(number).is_sorted_by_key(|(after, _)| *after), "{number}");
        }
    }
}
