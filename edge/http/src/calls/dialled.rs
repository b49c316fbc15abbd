//! What may be dialled: an E.164 number, an extension, or a SIP URI of ours.

use tandem_core::party::Number;

use crate::problem::Problem;

/// Longest number, in bytes.
const LONGEST: usize = 64;

/// Reads what somebody wants to call. Visual separators that no number has (spaces) are dropped.
pub(super) fn read(text: &str, is_ours: impl Fn(&str) -> bool) -> Result<Number, Problem> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Problem::invalid("phone_number is required"));
    }
    let uri = ["sip:", "sips:"].iter().find_map(|scheme| strip_scheme(text, scheme));
    let number: String = match uri {
        Some(uri) => user_of(uri, is_ours)?.to_owned(),
        None => text.chars().filter(|c| *c != ' ').collect(),
    };
    if number.len() > LONGEST {
        return Err(Problem::invalid(format!("phone_number is longer than {LONGEST} characters")));
    }
    let has_legal = |c: char| c.is_ascii_alphanumeric() || "+*#-.()_".contains(c);
    if !number.chars().all(has_legal) || !number.chars().any(|c| c.is_ascii_alphanumeric()) {
        return Err(Problem::invalid("phone_number has characters that no number has"));
    }
    Ok(number.into())
}

fn strip_scheme<'a>(text: &'a str, scheme: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(scheme.len())?;
    head.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// The user part of `user@host`, when the host is one of ours.
fn user_of(uri: &str, is_ours: impl Fn(&str) -> bool) -> Result<&str, Problem> {
    let (user, host) = uri.split_once('@').ok_or_else(|| Problem::invalid("phone_number is no SIP URI of a user"))?;
    let host = host.split([';', '?']).next().unwrap_or_default();
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let host = match host.rsplit_once(':') {
        Some((host, port)) if is_port(port) && (host.ends_with(']') || !host.contains(':')) => host,
        _ => host,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if is_ours(host) { Ok(user) } else { Err(Problem::invalid("phone_number is at a host that is not ours")) }
}

#[cfg(test)]
mod tests {

    fn read(text: &str) -> Result<String, String> {
        let ours = [String::from("tandem.example"), String::from("192.0.2.1"), String::from("2001:db8::1")];
        super::read(text, |host| ours.iter().any(|domain| domain.eq_ignore_ascii_case(host)))
            .map(|number| number.into_inner())
            .map_err(|problem| problem.to_string())
    }

    #[test]
    fn numbers_extensions_and_our_own_uris_can_be_dialled() {
        for (dialled, number) in [
            ("+493012345678", "+493012345678"),
            (" +49 30 123-456 ", "+4930123-456"),
            ("101", "101"),
            ("*21#", "*21#"),
            ("alice", "alice"),
            ("sip:101@tandem.example", "101"),
            ("SIP:alice@TANDEM.example:5060;transport=tcp", "alice"),
            ("sips:101@192.0.2.1?subject=x", "101"),
            ("sip:101@[2001:db8::1]:5060", "101"),
        ] {
            assert_eq!(read(dialled).as_deref(), Ok(number), "{dialled}");
        }
    }

    #[test]
    fn nothing_else_can_and_the_reason_is_told() {
        let long = "1".repeat(65);
        for (dialled, reason) in [
            ("", "phone_number is required"),
            ("  ", "phone_number is required"),
            (&long, "phone_number is longer than 64 characters"),
            ("+49;ext=1", "phone_number has characters that no number has"),
            ("a\r\nb", "phone_number has characters that no number has"),
            ("++", "phone_number has characters that no number has"),
            ("äöü", "phone_number has characters that no number has"),
            ("sip:101@elsewhere.example", "phone_number is at a host that is not ours"),
            ("sip:101", "phone_number is no SIP URI of a user"),
            ("sip:a b@tandem.example", "phone_number has characters that no number has"),
        ] {
            assert_eq!(read(dialled), Err(reason.to_owned()), "{dialled}");
        }
    }
}
