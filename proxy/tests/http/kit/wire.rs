//! One end of a connection, as bytes with as little HTTP as reading them needs.

use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{closes, says, within};

/// A connection and what arrived on it but was not looked at yet.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    received: Vec<u8>,
}

/// The head of a message.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    /// Request or status line.
    pub(crate) line: String,
    fields: Vec<(String, String)>,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self { stream, received: Vec::new() }
    }

    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::new(within("a connect", TcpStream::connect(address)).await.unwrap())
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        within("sending", self.stream.write_all(bytes.as_ref())).await.unwrap();
    }

    /// Ends what is sent; what comes is still read.
    pub(crate) async fn finish(&mut self) {
        within("sending", self.stream.shutdown()).await.unwrap();
    }

    /// Reads a head; everything behind it stays.
    pub(crate) async fn head(&mut self) -> Head {
        loop {
            if let Some(end) = self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                let rest = self.received.split_off(end + 4);
                let head = std::mem::replace(&mut self.received, rest);
                return Head::parse(std::str::from_utf8(&head).unwrap());
            }
            assert!(self.receive().await > 0, "no head: {:?}", String::from_utf8_lossy(&self.received));
        }
    }

    /// Reads exactly this.
    pub(crate) async fn says(&mut self, expected: &str) {
        let known = self.received.len().min(expected.len());
        let begin: Vec<u8> = self.received.drain(..known).collect();
        assert_eq!(String::from_utf8_lossy(&begin), expected[..known]);
        says(&mut self.stream, &expected.as_bytes()[known..]).await;
    }

    /// Sends something to the other end of a tunnel, which answers.
    pub(crate) async fn talks_with(&mut self, other: &mut Self) {
        self.send("ping").await;
        other.says("ping").await;
        other.send("pong").await;
        self.says("pong").await;
    }

    /// Reads a body that is delimited as `head` says.
    pub(crate) async fn body(&mut self, head: &Head) -> String {
        if head.get("transfer-encoding") == Some("chunked") {
            return self.chunks().await;
        }
        let length = head.get("content-length").map_or(0, |length| length.parse().unwrap());
        self.take(length).await
    }

    /// Reads a whole message.
    pub(crate) async fn message(&mut self) -> (Head, String) {
        let head = self.head().await;
        let body = self.body(&head).await;
        (head, body)
    }

    /// Sends a request and reads the answer.
    pub(crate) async fn ask(&mut self, request: &str) -> (Head, String) {
        self.send(request).await;
        self.message().await
    }

    /// Reads until the other side closes.
    pub(crate) async fn closes(&mut self) -> String {
        let mut received = std::mem::take(&mut self.received);
        received.extend(closes(&mut self.stream).await);
        String::from_utf8(received).unwrap()
    }

    /// Reads this many bytes and forgets them.
    pub(crate) async fn discard(&mut self, mut count: u64) {
        let known = self.received.len().min(usize::try_from(count).unwrap());
        self.received.drain(..known);
        count -= known as u64;
        let mut buffer = vec![0; 64 * 1024];
        while count > 0 {
            let most = buffer.len().min(usize::try_from(count).unwrap());
            let received = within("bytes", self.stream.read(&mut buffer[..most])).await.unwrap();
            assert!(received > 0, "closed with {count} bytes to come");
            count -= received as u64;
        }
    }

    /// Closes by a reset.
    pub(crate) fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Reads until the other side ends, which says this before; whether its end is a reset.
    pub(crate) async fn is_reset_after(&mut self, words: &str) -> bool {
        let mut received = std::mem::take(&mut self.received);
        let ended = within("the end of a connection", self.stream.read_to_end(&mut received)).await;
        assert_eq!(String::from_utf8_lossy(&received), words);
        ended.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
    }

    /// Waits for bytes, which stay in the socket.
    pub(crate) async fn bytes_come(&self) {
        within("bytes", self.stream.readable()).await.unwrap();
    }

    /// Sends until the other side has closed.
    pub(crate) async fn sends_until_the_end(&mut self) {
        let sending = async { while self.stream.write_all(b"more").await.is_ok() {} };
        within("the end of a connection", sending).await;
    }

    /// Whether the other side has closed.
    pub(crate) fn is_closed(&self) -> bool {
        let mut byte = [0];
        match self.stream.try_read(&mut byte) {
            Ok(0) => true,
            Ok(_) => panic!("unexpected bytes"),
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }

    async fn chunks(&mut self) -> String {
        let mut body = String::new();
        loop {
            let line = self.line().await;
            let size = usize::from_str_radix(&line, 16).unwrap();
            body += &self.take(size).await;
            assert_eq!(self.line().await, "");
            if size == 0 {
                return body;
            }
        }
    }

    async fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.received.windows(2).position(|window| window == b"\r\n") {
                let line = self.take(end).await;
                self.take(2).await;
                return line;
            }
            assert!(self.receive().await > 0, "closed within a line");
        }
    }

    async fn take(&mut self, count: usize) -> String {
        while self.received.len() < count {
            assert!(self.receive().await > 0, "closed after {} of {count} bytes", self.received.len());
        }
        String::from_utf8(self.received.drain(..count).collect()).unwrap()
    }

    async fn receive(&mut self) -> usize {
        within("bytes", self.stream.read_buf(&mut self.received)).await.unwrap()
    }
}

impl Head {
    /// Bytes that it took, with the empty line.
    pub(crate) fn wire_length(&self) -> u64 {
        let fields = self.fields.iter().map(|(name, value)| name.len() + value.len() + ": \r\n".len());
        (self.line.len() + "\r\n\r\n".len() + fields.sum::<usize>()) as u64
    }

    fn parse(text: &str) -> Self {
        let mut lines = text.trim_end().split("\r\n");
        let line = lines.next().unwrap().to_owned();
        let field = |line: &str| {
            let (name, value) = line.split_once(": ").or_else(|| line.split_once(':')).unwrap();
            (name.to_ascii_lowercase(), value.to_owned())
        };
        Self { line, fields: lines.map(field).collect() }
    }

    pub(crate) fn status(&self) -> u16 {
        self.line.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// The value of a field; there must not be two of them.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let first = values.next();
        assert_eq!(values.next(), None, "more than one {name}");
        first
    }
}
