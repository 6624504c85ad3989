//! Writing messages.

use h1::{BodyLength, Fields, Header, Method, RequestHead, ResponseHead, Scheme};

use crate::config::Role;
use crate::connection::Connection;
use crate::error::OpenError;
use crate::frame::{self, HEADER, flag, kind};
use crate::hpack::Encoder;
use crate::stream::{Progress, Stream};
use crate::streams::Key;
use crate::window::ReceiveWindow;

impl<T> Connection<T> {
    /// Client: whether [`Connection::open`] may succeed now.
    pub fn can_open(&self) -> bool {
        self.check_open().is_ok()
    }

    fn check_open(&self) -> Result<(), OpenError> {
        if self.role == Role::Server || self.is_going_away() || self.failed.is_some() {
            return Err(OpenError::GoingAway);
        }
        if self.streams.next_own > frame::MAX_STREAM_ID {
            return Err(OpenError::NoMoreIds);
        }
        let full = self.streams.len() >= self.peer.max_concurrent_streams as usize;
        if full { Err(OpenError::TooManyStreams) } else { Ok(()) }
    }

    /// Client: opens a stream and writes its request head; `end` if neither content nor trailers follow. A head with an
    /// upgrade is written as extended CONNECT (RFC 8441).
    pub fn open(
        &mut self,
        head: &RequestHead,
        scheme: Scheme,
        end: bool,
        value: T,
        out: &mut Vec<u8>,
    ) -> Result<Key, OpenError> {
        self.check_open()?;
        if head.upgrade().is_some() && !self.peer.extended_connect {
            return Err(OpenError::ExtendedConnect);
        }
        let id = self.streams.next_own;
        self.streams.next_own += 2;
        let start = out.len();
        out.extend_from_slice(&[0; HEADER]);
        self.encoder.begin(out);
        write_request(&self.encoder, head, scheme, out);
        frame::finish_header_block(start, id, end, self.peer.max_payload, out);
        Ok(self.streams.insert(Stream {
            id,
            value: Some(value),
            receiving: Progress::Head,
            sending: if end { Progress::Ended } else { Progress::Content },
            reset: None,
            send_window: self.peer.initial_window,
            receive_window: ReceiveWindow::new(self.config.initial_stream_window),
            held: 0,
            head_bytes: 0,
            content_left: None,
            since: None,
            method: head.method,
            protocol: head.upgrade().map(Box::from),
        }))
    }

    /// Server: writes a response head, perhaps an interim one; `end` if neither content nor trailers follow. A 101, which
    /// answers extended CONNECT, is written as 200. Does nothing on a stream that is gone.
    pub fn send_response(&mut self, key: Key, head: &ResponseHead, end: bool, out: &mut Vec<u8>) {
        let stream = self.streams.get_mut(key);
        let Some(stream) = stream.filter(|stream| stream.reset.is_none() && stream.sending == Progress::Head) else {
            return;
        };
        let end = end && !head.is_interim();
        if !head.is_interim() {
            stream.sending = if end { Progress::Ended } else { Progress::Content };
        }
        let is_tunnel = stream.method == Method::Connect;
        let start = out.len();
        out.extend_from_slice(&[0; HEADER]);
        self.encoder.begin(out);
        write_response(&self.encoder, head, is_tunnel, out);
        frame::finish_header_block(start, key.stream_id(), end, self.peer.max_payload, out);
    }

    /// Ends a message with trailers. Does nothing on a stream that is gone, or before its head.
    pub fn send_trailers(&mut self, key: Key, trailers: &Fields, out: &mut Vec<u8>) {
        if trailers.is_empty() {
            self.send_data(key, &[], true, out);
            return;
        }
        let Some(stream) = self.sending_stream(key) else { return };
        stream.sending = Progress::Ended;
        let start = out.len();
        out.extend_from_slice(&[0; HEADER]);
        self.encoder.begin(out);
        write_fields(&self.encoder, trailers, out);
        frame::finish_header_block(start, key.stream_id(), true, self.peer.max_payload, out);
    }

    /// How many bytes of content the peer would take now.
    #[inline]
    pub fn send_window(&self, key: Key) -> usize {
        let stream = self.streams.get(key).filter(|stream| stream.may_send_content());
        let window = stream.map_or(0, |stream| stream.send_window.min(self.send_window));
        usize::try_from(window).unwrap_or(0)
    }

    /// Whether the peer takes no content now, on whichever stream.
    pub fn is_blocked(&self) -> bool {
        self.send_window <= 0
    }

    /// Writes as much of `data` as the peer takes now and returns how much that was. `end` ends the message with the last of
    /// `data`, at once if that is empty. Takes nothing on a stream that is gone, or before its head.
    pub fn send_data(&mut self, key: Key, data: &[u8], end: bool, out: &mut Vec<u8>) -> usize {
        let window = self.send_window(key);
        let taken = data.len().min(window);
        let end = end && taken == data.len();
        let Some(stream) = self.sending_stream(key).filter(|_| taken > 0 || end) else { return 0 };
        stream.send_window -= taken as i64;
        if end {
            stream.sending = Progress::Ended;
        }
        self.send_window -= taken as i64;
        let frames = write_data(data.get(..taken).unwrap_or_default(), key, end, self.peer.max_payload, out);
        self.abuse.sent_data(frames, taken, taken > 0 && taken == window);
        taken
    }

    #[inline]
    fn sending_stream(&mut self, key: Key) -> Option<&mut Stream<T>> {
        self.streams.get_mut(key).filter(|stream| stream.may_send_content())
    }
}

/// Writes content and says in how many frames.
#[inline]
fn write_data(mut data: &[u8], key: Key, end: bool, max_payload: usize, out: &mut Vec<u8>) -> u32 {
    let mut frames = 1;
    while let Some((piece, rest)) = data.split_at_checked(max_payload).filter(|(_, rest)| !rest.is_empty()) {
        frame::write_header(piece.len(), kind::DATA, 0, key.stream_id(), out);
        out.extend_from_slice(piece);
        data = rest;
        frames += 1;
    }
    frame::write_header(data.len(), kind::DATA, if end { flag::END_STREAM } else { 0 }, key.stream_id(), out);
    out.extend_from_slice(data);
    frames
}

fn write_request(encoder: &Encoder, head: &RequestHead, scheme: Scheme, out: &mut Vec<u8>) {
    match head.upgrade() {
        Some(protocol) => {
            encoder.method(Method::Connect.as_str(), out);
            encoder.protocol(protocol, out);
        }
        None => encoder.method(head.method.as_str(), out),
    }
    encoder.authority(head.authority(), out);
    if head.method != Method::Connect {
        encoder.scheme(scheme, out);
        encoder.path(head.path_and_query(), out);
    }
    write_fields(encoder, head.fields(), out);
    if let (BodyLength::Fixed(length), None) = (head.body, head.upgrade()) {
        write_content_length(encoder, length, out);
    }
}

fn write_response(encoder: &Encoder, head: &ResponseHead, is_tunnel: bool, out: &mut Vec<u8>) {
    let status = if head.status == 101 { 200 } else { head.status };
    encoder.status(status, out);
    write_fields(encoder, head.fields(), out);
    match (head.body, head.content_length) {
        _ if status < 200 || status == 204 || (is_tunnel && status < 300) => {}
        (BodyLength::Fixed(length), _) | (BodyLength::None, Some(length)) => write_content_length(encoder, length, out),
        _ => {}
    }
}

/// Writes the fields but those of HTTP/1's connections and framing.
#[inline]
fn write_fields(encoder: &Encoder, fields: &Fields, out: &mut Vec<u8>) {
    for field in fields.iter_written() {
        // Nothing else may be asked for (RFC 9113 8.2.2).
        if field.header == Header::Te && field.value != b"trailers" {
            continue;
        }
        // White space around a value is malformed here (RFC 9113 8.2.1); what was configured may have it.
        encoder.field(field.header, field.name, field.value.trim_ascii(), out);
    }
}

fn write_content_length(encoder: &Encoder, length: u64, out: &mut Vec<u8>) {
    encoder.field(Header::ContentLength, b"", itoa::Buffer::new().format(length).as_bytes(), out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn numbers_run_out() {
        let mut connection: Connection<()> = Connection::new(Role::Client, Config::default());
        connection.streams.next_own = frame::MAX_STREAM_ID;
        let mut out = Vec::new();
        let mut open = || connection.open(&RequestHead::new(), Scheme::Http, true, (), &mut out).map(Key::stream_id);
        assert_eq!(open(), Ok(frame::MAX_STREAM_ID));
        assert_eq!(open(), Err(OpenError::NoMoreIds));
    }
}
