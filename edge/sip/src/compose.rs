//! Messages of ours and their parts. Nothing here copies from one side of a call to the other.

use std::fmt::Write;
use std::net::SocketAddr;

use tandem_core::cause::Cause;
use tandem_core::id::{CorrelationId, LegId};
use tandem_core::location::{Flow, Transport};

use crate::exchange::ClientKey;
use crate::header::{Name, quote};
use crate::message::{Message, Method};
use tandem_core::party::Party;

/// The methods we serve.
pub(crate) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, REGISTER";

/// The only kind of body we read.
pub(crate) const ACCEPT: &str = "application/sdp";

/// Where a request of ours goes, and where its responses find us.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Via {
    pub(crate) flow: Flow,
    /// Our address as the far end sees it.
    pub(crate) us: SocketAddr,
}

impl Via {
    pub(crate) fn value(&self, key: ClientKey) -> String {
        let transport = self.flow.transport.name();
        format!("SIP/2.0/{transport} {};branch={};rport", self.us, key.text())
    }

    /// Our Contact on this way.
    pub(crate) fn contact(&self) -> String {
        match self.flow.transport {
            Transport::Udp => format!("<sip:{}>", self.us),
            Transport::Tcp => format!("<sip:{};transport=tcp>", self.us),
        }
    }
}

/// The tag of our side of a leg's dialog. It is the leg's id, so that a request in the dialog names its leg.
pub(crate) fn tag_of(leg: LegId) -> String {
    leg.uuid().simple().to_string()
}

/// The leg whose tag this is.
pub(crate) fn leg_of(tag: &[u8]) -> Option<LegId> {
    let hex = std::str::from_utf8(tag).ok().filter(|it| it.len() == 32)?;
    uuid::Uuid::try_parse(hex).ok().map(LegId::from_uuid)
}

/// The ACK of a refusal: it belongs to the INVITE's transaction and goes the same way (RFC 3261, 17.1.1.3).
pub(crate) fn ack_of_refusal(invite: &Message, response: &Message) -> Message {
    let mut ack = within(invite, Method::Ack);
    ack.headers.remove(&Name::To);
    ack.headers.copy(&Name::To, &response.headers);
    ack
}

/// The CANCEL of an INVITE (RFC 3261, 9.1), with why (RFC 3326).
pub(crate) fn cancel_of(invite: &Message, cause: Cause) -> Message {
    let mut cancel = within(invite, Method::Cancel);
    cancel.headers.push(Name::Reason, reason(cause));
    cancel.headers.copy(&Name::SessionId, &invite.headers);
    cancel
}

fn within(invite: &Message, method: Method) -> Message {
    let mut message = Message { body: bytes::Bytes::new(), ..invite.clone() };
    message.headers = crate::header::Headers::new();
    let copied = [Name::Via, Name::Route, Name::MaxForwards, Name::From, Name::To, Name::CallId];
    copied.iter().for_each(|name| message.headers.copy(name, &invite.headers));
    let number = invite.headers.cseq().map_or(1, |cseq| cseq.number);
    message.headers.push(Name::CSeq, format!("{number} {method}"));
    if let crate::message::Start::Request { method: asked, .. } = &mut message.start {
        *asked = method;
    }
    message
}

/// Why, for CANCEL and BYE. Phones show no missed call for `SIP;cause=200`.
pub(crate) fn reason(cause: Cause) -> String {
    let sip = match cause {
        Cause::Normal | Cause::AnsweredElsewhere => 200,
        other => other.refusal().code(),
    };
    format!("Q.850;cause={};text=\"{}\", SIP;cause={sip}", cause.q850(), cause.name())
}

/// Why the far end hung up.
pub(crate) fn cause_of(message: &Message) -> Cause {
    let mut cause = None;
    for reason in message.headers.reasons() {
        let Some(value) = reason.cause else { continue };
        if reason.protocol.eq_ignore_ascii_case(b"Q.850") {
            return u8::try_from(value).map_or(Cause::Normal, Cause::from_q850);
        }
        if reason.protocol.eq_ignore_ascii_case(b"SIP") && value >= 300 {
            cause = tandem_core::cause::SipStatus::new(value).map(Cause::from_sip);
        }
    }
    cause.unwrap_or(Cause::Normal)
}

/// `Session-ID` (RFC 7989). The far end's half is not known or not repeated.
pub(crate) fn session_id(id: CorrelationId) -> String {
    format!("{id};remote=00000000000000000000000000000000")
}

/// A From of ours that shows who calls.
pub(crate) fn from(caller: &Party, host: &str, tag: &str) -> String {
    let number = caller.number.reveal();
    let number = if number.is_empty() { "anonymous" } else { number };
    let uri = format!("<sip:{}@{host}>;tag={tag}", user(number));
    caller.name.as_ref().map_or(uri.clone(), |name| format!("{} {uri}", quote(name.reveal())))
}

/// A user part: what is not plainly allowed there is escaped.
pub(crate) fn user(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()+".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // A String takes everything.
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_part_cannot_leave_its_place() {
        assert_eq!(user("+49-30"), "+49-30");
        assert_eq!(user("a@b>\r\n\"ü\0"), "a%40b%3E%0D%0A%22%C3%BC%00");
    }

    #[test]
    fn a_tag_names_its_leg_and_nothing_else_does() {
        let leg = LegId::from_uuid(uuid::Uuid::from_u128(7));
        assert_eq!(leg_of(tag_of(leg).as_bytes()), Some(leg));
        for wrong in [&b""[..], b"7", b"leg_7", &[0xff; 32], b"00000000-0000-0000-0000-00000007"] {
            assert_eq!(leg_of(wrong), None);
        }
    }

    #[test]
    fn a_reason_is_read_as_it_was_written_for_every_cause_that_a_party_can_have() {
        for cause in [Cause::Normal, Cause::AnsweredElsewhere, Cause::Busy, Cause::NoAnswer, Cause::Declined] {
            let mut bye = Message::response(200);
            bye.headers.push(Name::Reason, reason(cause));
            assert_eq!(cause_of(&bye), cause);
        }
        assert_eq!(cause_of(&Message::response(200)), Cause::Normal);
    }
}
