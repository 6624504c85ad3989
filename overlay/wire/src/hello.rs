//! What each side of a link says first of all: a version, and which of the nodes of its edge it is.

use thiserror::Error;

use crate::varint;

const VERSION: u64 = 1;

/// The first words of a node on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Each worker of an edge is a node with links of its own; this is the number of the one that speaks. A hub has 0.
    pub shard: u16,
}

/// First words that cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HelloError {
    /// Of another version of the protocol.
    #[error("its hello is of version {0}; {known} is known here", known = VERSION)]
    Version(u64),
    /// It is cut off, or the shard is not a number of 16 bits.
    #[error("its hello is malformed")]
    Malformed,
}

impl Hello {
    /// As bytes.
    pub fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        varint::put(&mut bytes, VERSION);
        varint::put(&mut bytes, u64::from(self.shard));
        bytes
    }

    /// Of the content of a hello. What a later node adds behind it is not looked at.
    ///
    /// # Errors
    /// It cannot be understood.
    pub fn parse(content: &[u8]) -> Result<Self, HelloError> {
        let (version, rest) = varint::take(content).ok_or(HelloError::Malformed)?;
        if version != VERSION {
            return Err(HelloError::Version(version));
        }
        let (shard, _) = varint::take(rest).ok_or(HelloError::Malformed)?;
        Ok(Self { shard: u16::try_from(shard).map_err(|_| HelloError::Malformed)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_cut_off_is_an_error() {
        for shard in [0, 1, 63, 64, u16::MAX] {
            let mut bytes = Hello { shard }.to_bytes();
            assert_eq!(Hello::parse(&bytes), Ok(Hello { shard }));
            (0..bytes.len()).for_each(|cut| assert_eq!(Hello::parse(&bytes[..cut]), Err(HelloError::Malformed)));
            bytes.push(9);
            assert_eq!(Hello::parse(&bytes), Ok(Hello { shard }));
        }
    }

    #[test]
    fn what_is_no_hello_is_an_error() {
        assert_eq!(Hello::parse(&[2, 0]), Err(HelloError::Version(2)));
        assert_eq!(Hello::parse(&[1, 0x80, 1, 0, 0]), Err(HelloError::Malformed));
        let error = Hello::parse(b"\x3fgarbage").unwrap_err();
        assert_eq!(error.to_string(), "its hello is of version 63; 1 is known here");
    }
}
