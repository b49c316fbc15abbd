//! A reader of the events of a user: the WebSocket, without a browser.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;
use socket2::{Domain, Socket, Type};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, HandshakeError, Message, WebSocket, client};

use super::SOON;

/// See the module.
pub struct Events {
    socket: WebSocket<TcpStream>,
    /// Every frame that was read, in order.
    pub seen: Vec<Value>,
}

/// What a reader gets next.
#[derive(Debug)]
pub enum Next {
    /// A frame.
    Frame(Value),
    /// Nothing for that long.
    Silence,
    /// The server closed it with this code and reason, if it gave any.
    Closed(Option<(u16, String)>),
}

impl Events {
    /// Opens a stream of the user of that token, from `cursor` on if there is one. Its first frame is read already.
    pub fn open(http: SocketAddr, token: &str, cursor: Option<&str>) -> Self {
        let mut events = Self::try_open(http, token, cursor).expect("a WebSocket");
        let first = events.next_frame();
        let expected = if cursor.is_some() { ["resumed", "snapshot"] } else { ["snapshot"; 2] };
        assert!(expected.iter().any(|kind| first["type"] == *kind), "{first}");
        events
    }

    /// As [`open`](Self::open), but with nothing read; the status when the server refuses.
    pub fn try_open(http: SocketAddr, token: &str, cursor: Option<&str>) -> Result<Self, u16> {
        Self::over(TcpStream::connect_timeout(&http, SOON).unwrap(), http, token, cursor)
    }

    /// As [`open`](Self::open), with a socket that takes little before somebody reads from it, and nothing read.
    pub fn open_slow(http: SocketAddr, token: &str) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        socket.connect(&http.into()).unwrap();
        Self::over(socket.into(), http, token, None).expect("a WebSocket")
    }

    fn over(stream: TcpStream, http: SocketAddr, token: &str, cursor: Option<&str>) -> Result<Self, u16> {
        let cursor = cursor.map(|it| format!("&cursor={it}")).unwrap_or_default();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let address = format!("ws://{http}/api/v1/events?access_token={token}{cursor}");
        match client(address, stream) {
            Ok((socket, _)) => Ok(Self { socket, seen: Vec::new() }),
            Err(HandshakeError::Failure(Error::Http(response))) => Err(response.status().as_u16()),
            Err(error) => panic!("no WebSocket: {error}"),
        }
    }

    /// What comes next.
    pub fn next(&mut self, patience: Duration) -> Next {
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            self.socket.get_ref().set_read_timeout(Some(left)).unwrap();
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    let frame: Value = serde_json::from_str(&text).unwrap();
                    self.seen.push(frame.clone());
                    return Next::Frame(frame);
                }
                Ok(Message::Close(close)) => {
                    return Next::Closed(close.map(|it| (CloseCode::into(it.code), it.reason.to_string())));
                }
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    if Instant::now() >= deadline {
                        return Next::Silence;
                    }
                }
                Err(_) => return Next::Closed(None),
            }
        }
    }

    /// The next frame, which must come.
    pub fn next_frame(&mut self) -> Value {
        match self.next(SOON) {
            Next::Frame(frame) => frame,
            other => panic!("no frame: {other:?}; came before: {:#?}", self.seen),
        }
    }

    /// Waits for an event of that type, whatever comes before it.
    pub fn expect(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.next_frame();
            if frame["type"] == kind {
                return frame;
            }
        }
    }

    /// Says goodbye.
    pub fn close(mut self) {
        let _ = self.socket.close(None);
        let _ = self.socket.flush();
    }
}
