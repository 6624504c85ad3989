//! How a connection of an application begins inside a tunnel: what it is for, and the answer. What follows is its bytes. Of a flow of
//! [datagrams](crate::datagram) nothing follows: it lasts for as long as its stream is open, and they go beside it.

use thiserror::Error;

use crate::reason::harmless;
use crate::varint;

/// The longest host or caller, bytes: a host name has at most 253 (RFC 1035), a SPIFFE ID 2048 (SPIFFE-ID section 2.3).
const MAX_HOST: usize = 253;
const MAX_CALLER: usize = 2048;
/// The longest reason.
const MAX_REASON: usize = 512;
/// The longest frame.
const MAX_CONTENT: u64 = 4096;

mod kind {
    pub(super) const CALL: u64 = 0x01;
    pub(super) const ANSWER: u64 = 0x02;
    pub(super) const FLOW: u64 = 0x03;
}

/// What a connection is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Call {
    /// The service, as it is exported.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Who calls, by its SPIFFE ID, as the near edge has verified it; empty if nobody is known.
    pub caller: String,
    /// What the service's port carries.
    pub transport: Transport,
}

/// What goes to and fro.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Bytes, in order (TCP).
    Bytes,
    /// Datagrams, which may be lost (UDP).
    Datagrams,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum Outcome {
    /// The service has it.
    #[error("connected")]
    Connected,
    /// No such service is exported to who asks.
    #[error("no such service is exported")]
    NotExported,
    /// The caller may not, or the edge may not speak for it.
    #[error("not allowed")]
    Forbidden,
    /// The service has nobody to answer.
    #[error("no endpoint can be reached")]
    Unreachable,
    /// Too much is under way.
    #[error("too much is under way")]
    Overloaded,
    /// Of a later version.
    #[error("refused with code {0}")]
    Other(u64),
}

impl Outcome {
    fn number(self) -> u64 {
        match self {
            Self::Connected => 0,
            Self::NotExported => 1,
            Self::Forbidden => 2,
            Self::Unreachable => 3,
            Self::Overloaded => 4,
            Self::Other(number) => number,
        }
    }

    fn of(number: u64) -> Self {
        match number {
            0 => Self::Connected,
            1 => Self::NotExported,
            2 => Self::Forbidden,
            3 => Self::Unreachable,
            4 => Self::Overloaded,
            number => Self::Other(number),
        }
    }
}

/// The answer to a [`Call`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What becomes of it.
    pub outcome: Outcome,
    /// Why, in up to 200 characters on one line.
    pub reason: String,
}

/// Bytes that are not what a connection begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not the beginning of a connection in a tunnel")]
pub struct Malformed;

/// The call at the beginning and its length; `None` if it is not there as a whole.
///
/// # Errors
/// It is something else.
pub fn take_call(bytes: &[u8]) -> Result<Option<(Call, usize)>, Malformed> {
    let transport = |kind| match kind {
        kind::CALL => Some(Transport::Bytes),
        kind::FLOW => Some(Transport::Datagrams),
        _ => None,
    };
    take(bytes, transport, |transport, content| {
        let (host, content) = take_text(content, MAX_HOST)?;
        let (port, content) = varint::take(content)?;
        let (caller, _) = take_text(content, MAX_CALLER)?;
        Some(Call { host, port: u16::try_from(port).ok()?, caller, transport })
    })
}

/// The answer at the beginning, and its length; `None` if it is not there as a whole.
///
/// # Errors
/// It is something else.
pub fn take_answer(bytes: &[u8]) -> Result<Option<(Answer, usize)>, Malformed> {
    take(
        bytes,
        |kind| (kind == kind::ANSWER).then_some(()),
        |(), content| {
            let (outcome, content) = varint::take(content)?;
            let (reason, _) = take_text(content, MAX_REASON)?;
            Some(Answer { outcome: Outcome::of(outcome), reason: harmless(&reason) })
        },
    )
}

/// Appends a call. A host or caller that is too long makes it one that nobody takes.
pub fn put_call(out: &mut Vec<u8>, call: &Call) {
    let mut content = Vec::new();
    put_text(&mut content, &call.host);
    varint::put(&mut content, u64::from(call.port));
    put_text(&mut content, &call.caller);
    let kind = match call.transport {
        Transport::Bytes => kind::CALL,
        Transport::Datagrams => kind::FLOW,
    };
    put(out, kind, &content);
}

/// Appends an answer. Of a long reason only the beginning is sent.
pub fn put_answer(out: &mut Vec<u8>, outcome: Outcome, reason: &str) {
    let mut content = Vec::new();
    varint::put(&mut content, outcome.number());
    put_text(&mut content, &reason[..reason.floor_char_boundary(MAX_REASON)]);
    put(out, kind::ANSWER, &content);
}

/// `wanted` says what is made of a type. What a later version adds to the content is not looked at.
fn take<K, T>(
    bytes: &[u8],
    wanted: impl FnOnce(u64) -> Option<K>,
    parse: impl FnOnce(K, &[u8]) -> Option<T>,
) -> Result<Option<(T, usize)>, Malformed> {
    let Some((kind, rest)) = varint::take(bytes) else { return Ok(None) };
    let Some((length, rest)) = varint::take(rest) else { return Ok(None) };
    let kind = wanted(kind).filter(|_| length <= MAX_CONTENT).ok_or(Malformed)?;
    let Some((content, rest)) = rest.split_at_checked(length as usize) else { return Ok(None) };
    Ok(Some((parse(kind, content).ok_or(Malformed)?, bytes.len() - rest.len())))
}

fn put(out: &mut Vec<u8>, kind: u64, content: &[u8]) {
    varint::put(out, kind);
    varint::put(out, content.len() as u64);
    out.extend_from_slice(content);
}

fn take_text(bytes: &[u8], longest: usize) -> Option<(String, &[u8])> {
    let (length, rest) = varint::take(bytes)?;
    let length = usize::try_from(length).ok().filter(|length| *length <= longest)?;
    let (text, rest) = rest.split_at_checked(length)?;
    Some((String::from_utf8(text.to_vec()).ok()?, rest))
}

fn put_text(content: &mut Vec<u8>, text: &str) {
    varint::put(content, text.len() as u64);
    content.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_cut_off_waits() {
        let call = Call {
            host: "ratings.shop.global".into(),
            port: 9080,
            caller: "spiffe://cluster.local/ns/shop/sa/web".into(),
            transport: Transport::Bytes,
        };
        let flow = Call { transport: Transport::Datagrams, ..call.clone() };
        let mut bytes = Vec::new();
        put_call(&mut bytes, &flow);
        assert_eq!(take_call(&bytes), Ok(Some((flow, bytes.len()))));
        bytes.clear();
        put_call(&mut bytes, &call);
        let length = bytes.len();
        (0..length).for_each(|cut| assert_eq!(take_call(&bytes[..cut]), Ok(None)));
        bytes.extend_from_slice(b"GET /");
        assert_eq!(take_call(&bytes), Ok(Some((call, length))));
        assert_eq!(take_answer(&bytes), Err(Malformed));

        let mut bytes = Vec::new();
        put_answer(&mut bytes, Outcome::Forbidden, &"é\n".repeat(1000));
        let answer = Answer { outcome: Outcome::Forbidden, reason: "é?".repeat(100) };
        assert_eq!(take_answer(&bytes), Ok(Some((answer, bytes.len()))));
    }

    #[test]
    fn what_is_too_long_or_no_text_is_refused() {
        for (host, caller) in [("h".repeat(254), String::new()), ("h".into(), "c".repeat(2049))] {
            let mut bytes = Vec::new();
            put_call(&mut bytes, &Call { host, port: 1, caller, transport: Transport::Bytes });
            assert_eq!(take_call(&bytes), Err(Malformed));
        }
        assert_eq!(take_call(&[1, 5, 1, 0xff, 1, 0, 0]), Err(Malformed));
        assert_eq!(take_call(&[1, 0x80, 1, 0, 0]), Err(Malformed));
    }
}
