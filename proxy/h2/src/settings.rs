//! SETTINGS (RFC 9113 6.5).

use crate::config::{Config, Role};
use crate::error::{Code, ConnectionError};
use crate::frame::{self, DEFAULT_WINDOW, MAX_PAYLOAD, MAX_WINDOW, kind};

mod id {
    pub(super) const HEADER_TABLE_SIZE: u16 = 0x1;
    pub(super) const ENABLE_PUSH: u16 = 0x2;
    pub(super) const MAX_CONCURRENT_STREAMS: u16 = 0x3;
    pub(super) const INITIAL_WINDOW_SIZE: u16 = 0x4;
    pub(super) const MAX_FRAME_SIZE: u16 = 0x5;
    pub(super) const MAX_HEADER_LIST_SIZE: u16 = 0x6;
    pub(super) const ENABLE_CONNECT_PROTOCOL: u16 = 0x8;
}

/// Streams that we open at once before the peer said how many it takes (RFC 9113 6.5.2: no less than 100 is recommended).
const STREAMS_BEFORE_SETTINGS: u32 = 100;

/// Larger frames save nothing and hold up other streams.
const LARGEST_PAYLOAD_SENT: usize = 64 << 10;

/// What the peer asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerSettings {
    pub(crate) header_table_size: u32,
    pub(crate) max_concurrent_streams: u32,
    pub(crate) initial_window: i64,
    /// The longest payload that we send.
    pub(crate) max_payload: usize,
    pub(crate) extended_connect: bool,
}

impl PeerSettings {
    pub(crate) fn new() -> Self {
        PeerSettings {
            header_table_size: 4096,
            max_concurrent_streams: STREAMS_BEFORE_SETTINGS,
            initial_window: DEFAULT_WINDOW,
            max_payload: MAX_PAYLOAD,
            extended_connect: false,
        }
    }

    /// What they are before the first frame, when that says nothing else.
    pub(crate) fn after_first_frame(mut self) -> Self {
        self.max_concurrent_streams = u32::MAX;
        self
    }

    /// Applies the payload of a frame. The last of several values counts.
    pub(crate) fn apply(&mut self, payload: &[u8], role: Role) -> Result<(), ConnectionError> {
        for setting in payload.as_chunks::<6>().0 {
            let [i1, i2, v1, v2, v3, v4] = *setting;
            let value = u32::from_be_bytes([v1, v2, v3, v4]);
            match u16::from_be_bytes([i1, i2]) {
                id::HEADER_TABLE_SIZE => self.header_table_size = value,
                // A server must not say 1 (RFC 9113 6.5.2).
                id::ENABLE_PUSH if value > 1 || (value == 1 && role == Role::Client) => {
                    return Err(ConnectionError::protocol("invalid SETTINGS_ENABLE_PUSH"));
                }
                id::MAX_CONCURRENT_STREAMS => self.max_concurrent_streams = value,
                id::INITIAL_WINDOW_SIZE if i64::from(value) > MAX_WINDOW => {
                    return Err(ConnectionError::new(Code::FLOW_CONTROL_ERROR, "invalid SETTINGS_INITIAL_WINDOW_SIZE"));
                }
                id::INITIAL_WINDOW_SIZE => self.initial_window = value.into(),
                id::MAX_FRAME_SIZE if !(MAX_PAYLOAD as u32..1 << 24).contains(&value) => {
                    return Err(ConnectionError::protocol("invalid SETTINGS_MAX_FRAME_SIZE"));
                }
                id::MAX_FRAME_SIZE => self.max_payload = (value as usize).min(LARGEST_PAYLOAD_SENT),
                id::ENABLE_CONNECT_PROTOCOL if value > 1 || (value == 0 && self.extended_connect) => {
                    return Err(ConnectionError::protocol("invalid SETTINGS_ENABLE_CONNECT_PROTOCOL"));
                }
                id::ENABLE_CONNECT_PROTOCOL => self.extended_connect = value == 1,
                _ => {}
            }
        }
        Ok(())
    }
}

/// Writes our own settings.
pub(crate) fn write(config: &Config, role: Role, out: &mut Vec<u8>) {
    let start = out.len();
    frame::write_header(0, kind::SETTINGS, 0, 0, out);
    match role {
        Role::Client => put(id::ENABLE_PUSH, 0, out),
        Role::Server => put(id::MAX_CONCURRENT_STREAMS, config.max_concurrent_streams, out),
    }
    put(id::INITIAL_WINDOW_SIZE, config.initial_stream_window, out);
    put(id::MAX_HEADER_LIST_SIZE, u32::try_from(config.heads.max_head_bytes).unwrap_or(u32::MAX), out);
    if role == Role::Server && config.allow_connect {
        put(id::ENABLE_CONNECT_PROTOCOL, 1, out);
    }
    // A handful of settings: the length fits one byte.
    let length = (out.len() - start - frame::HEADER) as u8;
    if let Some(low_byte) = out.get_mut(start + 2) {
        *low_byte = length;
    }
}

fn put(id: u16, value: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&id.to_be_bytes());
    out.extend_from_slice(&value.to_be_bytes());
}
