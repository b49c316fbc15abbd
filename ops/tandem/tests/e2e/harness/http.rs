//! One HTTP request, one response.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::SOON;

/// A response.
#[derive(Debug)]
pub struct Answer {
    /// 200, 404, …
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// As it came.
    pub body: String,
}

/// Status and body of `<method> <path>`; `None` when nobody answers.
pub fn request(to: SocketAddr, method: &str, path: &str, token: &str, body: &str) -> Option<(u16, String)> {
    let answer = exchange(to, method, path, &[("authorization", &format!("Bearer {token}"))], body)?;
    Some((answer.status, answer.body))
}

/// The whole response to a request with these headers; `None` when nobody answers.
pub fn exchange(to: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Option<Answer> {
    let mut stream = TcpStream::connect_timeout(&to, SOON).ok()?;
    stream.set_read_timeout(Some(SOON)).ok()?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n");
    headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
    let length = body.len();
    write!(stream, "{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}").ok()?;
    let mut response = Vec::new();
    // Whoever refuses a body early may reset the connection behind the response.
    let _ = stream.read_to_end(&mut response);
    Answer::read(&String::from_utf8_lossy(&response))
}

impl Answer {
    fn read(text: &str) -> Option<Self> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        let headers = head.split("\r\n").filter_map(header).collect();
        Some(Self { status, headers, body: body.to_owned() })
    }

    /// The first value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|it| it.0 == name).map(|it| it.1.as_str())
    }
}
