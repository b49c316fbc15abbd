//! A client that says what it is told to.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::{SinkExt, StreamExt};
use livekit_protocol::signal_request::Message as Request;
use livekit_protocol::signal_response::Message as Response;
use livekit_protocol::wrapped_join_request::Compression;
use livekit_protocol::{JoinRequest, JoinResponse, SignalRequest, SignalResponse, WrappedJoinRequest};
use prost::Message as _;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::world::{World, within};

pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

pub(crate) fn packed(request: &JoinRequest) -> String {
    let wrapped = WrappedJoinRequest { compression: Compression::None.into(), join_request: request.encode_to_vec() };
    URL_SAFE_NO_PAD.encode(wrapped.encode_to_vec())
}

pub(crate) fn query(token: &str, request: &JoinRequest) -> String {
    format!("access_token={token}&join_request={}", packed(request))
}

impl Client {
    /// Opens a socket. Gives the status when it is refused.
    pub(crate) async fn open(world: &World, path_and_query: &str) -> Result<Self, (u16, String)> {
        let url = format!("ws://{}{path_and_query}", world.address);
        match within("connecting", connect_async(url)).await {
            Ok((socket, _)) => Ok(Self { socket }),
            Err(Error::Http(response)) => {
                let text = response.body().clone().unwrap_or_default();
                Err((response.status().as_u16(), String::from_utf8(text).unwrap()))
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Comes in on a single connection.
    pub(crate) async fn join(world: &World, token: &str, request: &JoinRequest) -> (Self, JoinResponse) {
        let mut client = Self::open(world, &format!("/rtc/v1?{}", query(token, request))).await.unwrap();
        let Some(Response::Join(join)) = client.next().await else { panic!("the first message is the join") };
        (client, join)
    }

    pub(crate) async fn say(&mut self, request: Request) {
        let request = SignalRequest { message: Some(request) };
        self.socket.send(Message::Binary(request.encode_to_vec().into())).await.unwrap();
    }

    /// The next message; `None`: the socket is closed.
    pub(crate) async fn next(&mut self) -> Option<Response> {
        loop {
            match within("a message", self.socket.next()).await {
                Some(Ok(Message::Binary(bytes))) => return SignalResponse::decode(bytes).unwrap().message,
                Some(Ok(Message::Text(text))) => panic!("text: {text}"),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    /// The next message of which something can be made.
    pub(crate) async fn find<T>(&mut self, find: impl Fn(Response) -> Option<T>) -> T {
        loop {
            let message = self.next().await.expect("it comes before the end");
            if let Some(found) = find(message) {
                return found;
            }
        }
    }
}
