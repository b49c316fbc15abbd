//! What a request is answered with whatever it is about: the checks of RFC 3261, 8.2, in its order.

use crate::compose::{ACCEPT, ALLOW};
use crate::header::Name;
use crate::message::{Message, Method};
use crate::request::Request;
use crate::uri::Scheme;

/// The refusal of a method or a kind of address that we do not know.
pub(crate) fn refuse_unknown(request: &Request) -> Option<Message> {
    if matches!(request.method, Method::Other(_)) {
        return Some(answer_of_endpoint(request));
    }
    let is_known = matches!(request.uri.scheme(), Scheme::Sip | Scheme::Sips | Scheme::Tel);
    (!is_known).then(|| Message::response_to(&request.message, 416))
}

/// The refusal of extensions that are required: we have none.
pub(crate) fn refuse_extensions(request: &Request) -> Option<Message> {
    let required: Vec<&[u8]> = request.headers().tokens(&Name::Require).collect();
    if required.is_empty() {
        return None;
    }
    let mut response = Message::response_to(&request.message, 420);
    response.headers.push(Name::Unsupported, required.join(&b", "[..]));
    Some(response)
}

/// The refusal of a body that is no session description, and of a sender that takes none.
pub(crate) fn refuse_body(request: &Request) -> Option<Message> {
    let headers = request.headers();
    let is_sdp = headers.content_type().ok().flatten().is_some_and(|it| it.is("application", "sdp"));
    let is_plain = headers.tokens(&Name::ContentEncoding).all(|it| it.eq_ignore_ascii_case(b"identity"));
    if !(request.message.body.is_empty() || is_sdp && is_plain) {
        let mut response = Message::response_to(&request.message, 415);
        response.headers.push(Name::Accept, ACCEPT);
        response.headers.push(Name::AcceptEncoding, "identity");
        return Some(response);
    }
    if !headers.accepts("application", "sdp") {
        let mut response = Message::response_to(&request.message, 406);
        response.headers.push(Name::Warning, "399 tandem \"only application/sdp is spoken here\"");
        return Some(response);
    }
    None
}

/// The answer to a request that is for us as an endpoint and changes nothing.
pub(crate) fn answer_of_endpoint(request: &Request) -> Message {
    let status = match request.method {
        Method::Options => 200,
        Method::Other(_) => 501,
        _ => 405,
    };
    if let (200, Some(refusal)) = (status, refuse_extensions(request)) {
        return refusal;
    }
    let mut response = Message::response_to(&request.message, status);
    response.headers.push(Name::Allow, ALLOW);
    if status == 200 {
        response.headers.push(Name::Accept, ACCEPT);
        response.headers.push(Name::Supported, "");
    }
    response
}
