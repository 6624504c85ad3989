//! What goes over a link of announcements: kind, length, content.

use std::io;

use overlay_wire::catalogue::Stamp;
use overlay_wire::varint;
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::identity::{Signature, SignedTrust};

/// The longest content: an announcement, its signature and the certificate.
const LONGEST: u64 = 4 * 1024 * 1024 + 16 * 1024;
/// The longest certificate or signature.
const LONGEST_PART: usize = 8 * 1024;

/// What signatures are good for.
pub(super) const ANNOUNCEMENT: &str = "selvedge announcement 1";
pub(super) const CONFIRMATION: &str = "selvedge confirmation 1";

mod kind {
    pub(super) const ANNOUNCE: u64 = 1;
    pub(super) const CONFIRM: u64 = 2;
    pub(super) const TRUST: u64 = 3;
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// An announcement, as its edge has signed it.
    Announce(Signed),
    /// A [`Confirmation`], as its edge has signed it.
    Confirm(Signed),
    /// Whom to believe, and whom no longer, as the authority has signed it.
    Trust(SignedTrust),
}

/// Bytes that somebody has signed, to be passed on as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// What is signed.
    pub payload: Vec<u8>,
    /// Who says so.
    pub signature: Signature,
}

/// The edge lives, and what it announced is good still.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Confirmation {
    pub(super) epoch: u64,
    pub(super) sequence: u64,
    /// Grows each time, so that an old one is no use to who repeats it.
    pub(super) beat: u64,
}

impl Confirmation {
    /// Of the announcement.
    pub(super) fn stamp(&self) -> Stamp {
        Stamp { epoch: self.epoch, sequence: self.sequence }
    }
}

impl Message {
    /// As bytes.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let (kind, content) = match self {
            Self::Announce(signed) => (kind::ANNOUNCE, signed.to_bytes()),
            Self::Confirm(signed) => (kind::CONFIRM, signed.to_bytes()),
            Self::Trust(trust) => (kind::TRUST, trust.to_bytes()),
        };
        let mut bytes = Vec::with_capacity(content.len() + 12);
        varint::put(&mut bytes, kind);
        varint::put(&mut bytes, content.len() as u64);
        bytes.extend_from_slice(&content);
        bytes
    }
}

/// What a stream says of the next message, before its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    kind: u64,
    /// Of the content, bytes.
    pub(super) length: u64,
}

impl Header {
    /// Whether it says no more than that the edge lives.
    pub(super) fn is_confirmation(self) -> bool {
        self.kind == kind::CONFIRM
    }

    /// Of the next message; `None` at the end of the stream.
    ///
    /// # Errors
    /// The stream broke, or there is too much of it.
    pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Self>> {
        let Some(kind) = read_integer(stream).await? else { return Ok(None) };
        let length = read_integer(stream).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if length > LONGEST {
            return Err(io::Error::other(format!("a message of {length} bytes")));
        }
        Ok(Some(Self { kind, length }))
    }

    /// The message itself; `None` if it is one of a later version.
    ///
    /// # Errors
    /// The stream broke, or what came is no message.
    pub(super) async fn message(self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Message>> {
        let mut content = vec![0; self.length as usize];
        stream.read_exact(&mut content).await?;
        let message = match self.kind {
            kind::ANNOUNCE => Signed::from_bytes(&content).map(Message::Announce),
            kind::CONFIRM => Signed::from_bytes(&content).map(Message::Confirm),
            kind::TRUST => SignedTrust::from_bytes(&content).map(Message::Trust),
            _ => return Ok(None),
        };
        message.map(Some).ok_or_else(|| io::Error::other("a message that is cut off"))
    }
}

impl Signed {
    /// As bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.payload.len() + 1024);
        for part in [&self.signature.certificate[..], &self.signature.bytes] {
            varint::put(&mut bytes, part.len() as u64);
            bytes.extend_from_slice(part);
        }
        bytes.extend_from_slice(&self.payload);
        bytes
    }

    /// Of the content of a message; `None` if it is cut off. Whether it is believed is another question.
    pub fn from_bytes(content: &[u8]) -> Option<Self> {
        let (certificate, rest) = take_part(content)?;
        let (bytes, payload) = take_part(rest)?;
        let certificate = CertificateDer::from(certificate.to_vec());
        Some(Self { payload: payload.to_vec(), signature: Signature { certificate, bytes: bytes.to_vec() } })
    }
}

fn take_part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = varint::take(bytes)?;
    let length = usize::try_from(length).ok().filter(|length| *length <= LONGEST_PART)?;
    rest.split_at_checked(length)
}

async fn read_integer(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<u64>> {
    let mut bytes = Vec::with_capacity(8);
    loop {
        match stream.read_u8().await {
            Ok(byte) => bytes.push(byte),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && bytes.is_empty() => return Ok(None),
            Err(error) => return Err(error),
        }
        if let Some((integer, _)) = varint::take(&bytes) {
            return Ok(Some(integer));
        }
    }
}
