//! HPACK: blocks that we can decode are decoded alike by another decoder, and both read what we encode.
//!
//! An input is a sequence of blocks, each behind a byte with its length: the table lives from one block to the next.

use h2::fuzzing::{BlockDecoder, Field, encode};
use loona_hpack::decoder::{DecoderError, IntegerDecodingError};

/// Decodes the blocks up to the first that is refused.
pub fn run(mut input: &[u8]) -> bool {
    let (mut ours, mut theirs) = (BlockDecoder::default(), loona_hpack::Decoder::new());
    let mut taken = false;
    while let [length, rest @ ..] = input {
        let (block, behind) = rest.split_at(rest.len().min(usize::from(*length)));
        input = behind;
        let fields = match ours.decode(block) {
            Ok(fields) => fields,
            Err(error) => {
                let lost = error == h2::fuzzing::BEYOND_TABLE && theirs.decode(block).is_ok();
                assert!(!lost, "our table has lost a field of {:?}", block.escape_ascii().to_string());
                break;
            }
        };
        let expected = match theirs.decode(block) {
            Ok(expected) => expected,
            Err(error) if is_their_rule(error) => break,
            Err(error) => panic!("{error:?} in {:?}", block.escape_ascii().to_string()),
        };
        assert_eq!(fields, expected, "{:?}", block.escape_ascii().to_string());
        round_trip(&fields);
        taken |= !fields.is_empty();
    }
    taken
}

/// What loona-hpack refuses, but RFC 7541 does not: integers that take more bytes than it likes, though their value is small, and a
/// block that ends with a new size of the table.
fn is_their_rule(error: DecoderError) -> bool {
    let long_integer = DecoderError::IntegerDecodingError(IntegerDecodingError::TooManyOctets);
    error == long_integer || error == DecoderError::SizeUpdateAtEnd
}

fn round_trip(fields: &[Field]) {
    let block = encode(fields);
    assert_eq!(BlockDecoder::default().decode(&block).as_deref(), Ok(fields), "we, of what we encoded");
    let theirs = loona_hpack::Decoder::new().decode(&block).expect("they, of what we encoded");
    assert_eq!(theirs, fields, "they, of what we encoded");
}
