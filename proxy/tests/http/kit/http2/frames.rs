//! Frames as bytes.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::kit::{Backend, within};

/// How a client begins (RFC 9113 section 3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADER: usize = 9;

/// Types of frames (RFC 9113 section 6).
pub(crate) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const PRIORITY: u8 = 2;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PING: u8 = 6;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const WINDOW_UPDATE: u8 = 8;
    pub(crate) const CONTINUATION: u8 = 9;
}

/// Flags of frames.
pub(crate) mod flag {
    pub(crate) const END_STREAM: u8 = 1;
    pub(crate) const ACK: u8 = 1;
    pub(crate) const END_HEADERS: u8 = 4;
}

/// Identifiers of settings.
pub(crate) mod setting {
    pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;
}

/// One end of a connection that says just what it is told to.
pub(crate) struct Frames {
    stream: TcpStream,
    received: Vec<u8>,
}

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Self {
        Self { kind, flags, stream, payload: payload.into() }
    }

    /// A whole head.
    pub(crate) fn headers(stream: u32, end: bool, fields: &[(&str, &str)]) -> Self {
        let flags = if end { flag::END_HEADERS | flag::END_STREAM } else { flag::END_HEADERS };
        Self::new(kind::HEADERS, flags, stream, block(fields))
    }

    /// A request without a body.
    pub(crate) fn get(stream: u32, path: &str) -> Self {
        Self::headers(stream, true, &[(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", path)])
    }

    /// The head of a request with one.
    pub(crate) fn post(stream: u32, path: &str) -> Self {
        Self::headers(stream, false, &[(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", path)])
    }

    pub(crate) fn data(stream: u32, end: bool, content: &str) -> Self {
        Self::new(kind::DATA, if end { flag::END_STREAM } else { 0 }, stream, content)
    }

    pub(crate) fn reset(stream: u32, code: u32) -> Self {
        Self::new(kind::RST_STREAM, 0, stream, code.to_be_bytes())
    }

    pub(crate) fn settings(settings: &[(u16, u32)]) -> Self {
        let pairs = settings.iter().flat_map(|(name, value)| {
            let [n1, n2] = name.to_be_bytes();
            let [v1, v2, v3, v4] = value.to_be_bytes();
            [n1, n2, v1, v2, v3, v4]
        });
        Self::new(kind::SETTINGS, 0, 0, pairs.collect::<Vec<u8>>())
    }

    pub(crate) fn go_away(last: u32, code: u32) -> Self {
        Self::new(kind::GOAWAY, 0, 0, [last.to_be_bytes(), code.to_be_bytes()].concat())
    }

    pub(crate) fn window_update(stream: u32, increment: u32) -> Self {
        Self::new(kind::WINDOW_UPDATE, 0, stream, increment.to_be_bytes())
    }

    pub(crate) fn ends_stream(&self) -> bool {
        matches!(self.kind, kind::DATA | kind::HEADERS) && self.flags & flag::END_STREAM != 0
    }

    /// Of RST_STREAM and GOAWAY.
    pub(crate) fn code(&self) -> u32 {
        let start = if self.kind == kind::GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[start..start + 4].try_into().unwrap())
    }

    /// Of GOAWAY.
    pub(crate) fn last_stream(&self) -> u32 {
        u32::from_be_bytes(self.payload[..4].try_into().unwrap())
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[self.kind, self.flags], &self.stream.to_be_bytes(), &self.payload].concat()
    }
}

/// A field section in which everything is literal (RFC 7541 section 6.2.2).
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            put_length(text.len(), &mut block);
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// An integer with a prefix of 7 bits (RFC 7541 section 5.1).
fn put_length(length: usize, out: &mut Vec<u8>) {
    let Some(mut rest) = length.checked_sub(127) else { return out.push(length as u8) };
    out.push(127);
    while rest >= 128 {
        out.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    out.push(rest as u8);
}

impl Frames {
    /// A client that has said what clients say first.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::connect_with(address, &[]).await
    }

    /// A client with settings of its own.
    pub(crate) async fn connect_with(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let mut frames = Self::connect_silently(address).await;
        frames.send_bytes(PREFACE).await;
        frames.send(&[Frame::settings(settings)]).await;
        frames
    }

    /// A client that has said nothing.
    pub(crate) async fn connect_silently(address: SocketAddr) -> Self {
        let stream = within("a connect", TcpStream::connect(address)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, received: Vec::new() }
    }

    /// A server that has said what servers say first.
    pub(crate) async fn accept(backend: &Backend, settings: &[(u16, u32)]) -> Self {
        let mut frames = Self { stream: backend.accept().await.stream, received: Vec::new() };
        while frames.received.len() < PREFACE.len() {
            assert!(frames.receive().await, "no preface");
        }
        assert_eq!(frames.received.drain(..PREFACE.len()).collect::<Vec<u8>>(), PREFACE);
        frames.send(&[Frame::settings(settings)]).await;
        frames
    }

    pub(crate) async fn send(&mut self, frames: &[Frame]) {
        let bytes: Vec<u8> = frames.iter().flat_map(Frame::bytes).collect();
        self.send_bytes(&bytes).await;
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        within("sending", self.stream.write_all(bytes)).await.unwrap();
    }

    /// Sends as long as the gateway takes it; `false` if it has closed.
    pub(crate) async fn try_send(&mut self, frames: &[Frame]) -> bool {
        let bytes: Vec<u8> = frames.iter().flat_map(Frame::bytes).collect();
        within("sending", self.stream.write_all(&bytes)).await.is_ok()
    }

    /// The next frame; `None` when the other side has closed.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.take() {
                return Some(frame);
            }
            if !self.receive().await {
                return None;
            }
        }
    }

    /// Passes over everything up to a frame of this kind, acknowledgements aside.
    pub(crate) async fn until(&mut self, kind: u8) -> Frame {
        self.until_some(|frame| frame.kind == kind).await
    }

    /// Passes over everything up to such a frame.
    pub(crate) async fn until_some(&mut self, wanted: impl Fn(&Frame) -> bool) -> Frame {
        loop {
            let frame = self.next().await.unwrap();
            if wanted(&frame) {
                return frame;
            }
        }
    }

    /// Reads to the end of the connection.
    pub(crate) async fn closes(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next().await {
            frames.push(frame);
        }
        frames
    }

    /// Gives back the memory of what was read.
    pub(crate) fn forget(&mut self) {
        self.received = Vec::new();
    }

    fn take(&mut self) -> Option<Frame> {
        let [l1, l2, l3, kind, flags, s1, s2, s3, s4] = *self.received.first_chunk::<HEADER>()?;
        let length = u32::from_be_bytes([0, l1, l2, l3]) as usize;
        let payload = self.received.get(HEADER..HEADER + length)?.to_vec();
        self.received.drain(..HEADER + length);
        Some(Frame { kind, flags, stream: u32::from_be_bytes([s1, s2, s3, s4]), payload })
    }

    /// `false` at the end. A reset counts as one.
    async fn receive(&mut self) -> bool {
        within("bytes", self.stream.read_buf(&mut self.received)).await.is_ok_and(|count| count > 0)
    }
}
