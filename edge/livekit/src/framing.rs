//! Messages of the signalling: protobuf in binary frames; JSON in text for who speaks it.

use axum::extract::ws::Message;
use livekit_protocol::{SignalRequest, SignalResponse};
use prost::Message as _;

/// Largest message either way, in bytes.
pub(crate) const LARGEST: usize = 2 << 20;

/// How a client writes, and is written to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Framing {
    #[default]
    Binary,
    Text,
}

/// A message that is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("not protobuf: {0}")]
    Binary(#[from] prost::DecodeError),
    #[error("not JSON: {0}")]
    Text(#[from] serde_json::Error),
}

/// Reads a frame. `None`: it carries no message.
pub(crate) fn read(frame: &Message) -> Option<Result<(SignalRequest, Framing), Malformed>> {
    match frame {
        Message::Binary(bytes) => {
            let request = SignalRequest::decode(bytes.as_ref()).map_err(Malformed::from);
            Some(request.map(|request| (request, Framing::Binary)))
        }
        Message::Text(text) => {
            let request = serde_json::from_str(text).map_err(Malformed::from);
            Some(request.map(|request| (request, Framing::Text)))
        }
        Message::Ping(_) | Message::Pong(_) | Message::Close(_) => None,
    }
}

/// Writes a message. `None`: it is too large, or no JSON can say it.
pub(crate) fn write(response: &SignalResponse, framing: Framing) -> Option<Message> {
    let frame = match framing {
        Framing::Binary => Message::Binary(response.encode_to_vec().into()),
        Framing::Text => Message::Text(serde_json::to_string(response).ok()?.into()),
    };
    let length = match &frame {
        Message::Binary(bytes) => bytes.len(),
        Message::Text(text) => text.len(),
        Message::Ping(_) | Message::Pong(_) | Message::Close(_) => 0,
    };
    (length <= LARGEST).then_some(frame)
}

#[cfg(test)]
mod tests {
    use livekit_protocol::{signal_request, signal_response};

    use super::*;

    #[test]
    fn a_client_is_answered_in_what_it_speaks() {
        let ping = SignalRequest { message: Some(signal_request::Message::Ping(7)) };
        let binary = Message::Binary(ping.encode_to_vec().into());
        assert_eq!(read(&binary).unwrap().unwrap(), (ping.clone(), Framing::Binary));
        assert_eq!(read(&Message::Text(r#"{"ping":"7"}"#.into())).unwrap().unwrap(), (ping, Framing::Text));
        let pong = SignalResponse { message: Some(signal_response::Message::Pong(7)) };
        assert_eq!(write(&pong, Framing::Text), Some(Message::Text(r#"{"pong":"7"}"#.into())));
        assert_eq!(write(&pong, Framing::Binary), Some(Message::Binary(pong.encode_to_vec().into())));
    }

    #[test]
    fn what_is_no_message_is_said_to_be_none() {
        assert!(read(&Message::Binary(vec![0xff; 9].into())).unwrap().is_err());
        assert!(read(&Message::Text("{".into())).unwrap().is_err());
        assert!(read(&Message::Ping(Vec::new().into())).is_none());
    }
}
