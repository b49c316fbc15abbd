//! Which transaction a request belongs to (RFC 3261, 17.2.3).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Names a server transaction.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct ServerKey(Arc<[u8]>);

/// What of a request tells its transaction.
#[derive(Clone, Copy, Debug)]
pub struct Marks<'a> {
    /// Of the top Via, when it is one that its sender made unique in space and time.
    pub branch: Option<&'a [u8]>,
    /// Of the top Via: the host as written, and the port.
    pub sent_by: (&'a str, u16),
    /// Of the request.
    pub method: &'a [u8],
    /// Of the CSeq.
    pub cseq: u32,
    /// As written.
    pub call_id: &'a [u8],
    /// Of the From.
    pub from_tag: &'a [u8],
}

impl ServerKey {
    /// The transaction of a request. An ACK is filed under its INVITE.
    #[must_use]
    pub fn of(marks: &Marks<'_>) -> Self {
        Self::filed_under(marks, if marks.method == b"ACK" { b"INVITE" } else { marks.method })
    }

    /// The INVITE that a CANCEL is about.
    #[must_use]
    pub fn of_cancelled(marks: &Marks<'_>) -> Self {
        Self::filed_under(marks, b"INVITE")
    }

    fn filed_under(marks: &Marks<'_>, method: &[u8]) -> Self {
        let (host, port) = marks.sent_by;
        let port = port.to_be_bytes();
        // By RFC 2543 the whole of a request names it. The To tag is left out, because the ACK of a refusal has one and
        // its INVITE has not.
        Self(match marks.branch {
            Some(branch) => [branch, &b" "[..], host.as_bytes(), &port, method].concat().into(),
            None => {
                let Marks { call_id, from_tag, cseq, .. } = marks;
                let cseq = cseq.to_be_bytes();
                [call_id, &b" "[..], from_tag, b" ", &cseq, host.as_bytes(), &port, method].concat().into()
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invite(branch: Option<&'static [u8]>) -> Marks<'static> {
        Marks { branch, sent_by: ("a.example", 5060), method: b"INVITE", cseq: 1, call_id: b"c", from_tag: b"f" }
    }

    #[test]
    fn an_ack_and_a_cancel_find_their_invite() {
        for branch in [Some(&b"z9hG4bKx"[..]), None] {
            let key = ServerKey::of(&invite(branch));
            assert_eq!(ServerKey::of(&Marks { method: b"ACK", ..invite(branch) }), key);
            assert_eq!(ServerKey::of_cancelled(&Marks { method: b"CANCEL", ..invite(branch) }), key);
            assert_ne!(ServerKey::of(&Marks { method: b"CANCEL", ..invite(branch) }), key);
        }
    }

    #[test]
    fn two_senders_with_one_branch_have_two_transactions() {
        let other = Marks { sent_by: ("b.example", 5060), ..invite(Some(b"z9hG4bKx")) };
        assert_ne!(ServerKey::of(&other), ServerKey::of(&invite(Some(b"z9hG4bKx"))));
    }

    #[test]
    fn without_a_unique_branch_the_call_decides() {
        let other = |branch| Marks { call_id: b"d", ..invite(branch) };
        assert_ne!(ServerKey::of(&other(None)), ServerKey::of(&invite(None)));
        assert_eq!(ServerKey::of(&other(Some(b"z9hG4bKx"))), ServerKey::of(&invite(Some(b"z9hG4bKx"))));
    }
}
