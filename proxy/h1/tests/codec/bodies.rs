//! Where bodies end.

use selvedge_h1::{BodyDecoder, BodyError, BodyLength, Decoded, Version, chunked};

type Expected = Result<(usize, &'static str), BodyError>;

/// Chunked bodies: how many bytes they take and what they hold, or what is wrong.
pub(crate) const CHUNKED: &[(&str, Expected)] = &[
    ("0\r\n\r\n", Ok((5, ""))),
    ("5\r\nhello\r\n0\r\n\r\n", Ok((15, "hello"))),
    ("5\r\nhello\r\n0\r\n\r\nGET /", Ok((15, "hello"))),
    ("1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", Ok((18, "abc"))),
    ("A\r\n0123456789\r\n0\r\n\r\n", Ok((20, "0123456789"))),
    ("a\r\n0123456789\r\n0\r\n\r\n", Ok((20, "0123456789"))),
    ("0000000000000002\r\nab\r\n0\r\n\r\n", Ok((27, "ab"))),
    ("2\r\n\r\n\r\n0\r\n\r\n", Ok((12, "\r\n"))),
    ("000\r\n\r\n", Ok((7, ""))),
    ("2;x=y\r\nab\r\n0;z\r\n\r\n", Ok((18, "ab"))),
    ("2;x=\"y;\tz\"\r\nab\r\n0\r\n\r\n", Ok((21, "ab"))),
    ("2;\r\nab\r\n0\r\n\r\n", Ok((13, "ab"))),
    ("0\r\nX-A: b\r\n\r\n", Ok((13, ""))),
    ("1\r\na\r\n0\r\nX-A:\r\nX-B: \t\u{e9} \r\n\r\n", Ok((28, "a"))),
    // Sizes.
    ("\r\n\r\n", Err(BodyError::ChunkSize)),
    ("g\r\n", Err(BodyError::ChunkSize)),
    ("-1\r\n", Err(BodyError::ChunkSize)),
    ("+1\r\na\r\n0\r\n\r\n", Err(BodyError::ChunkSize)),
    ("0x1\r\na\r\n0\r\n\r\n", Err(BodyError::ChunkSize)),
    (" 1\r\na\r\n0\r\n\r\n", Err(BodyError::ChunkSize)),
    ("1 \r\na\r\n0\r\n\r\n", Err(BodyError::ChunkSize)),
    ("1 ;x\r\na\r\n0\r\n\r\n", Err(BodyError::ChunkSize)),
    ("1_0\r\n", Err(BodyError::ChunkSize)),
    (";x\r\n\r\n", Err(BodyError::ChunkSize)),
    ("10000000000000000\r\n", Err(BodyError::ChunkSize)),
    ("00000000000000000\r\n\r\n", Err(BodyError::ChunkSize)),
    // Line ends.
    ("1\na\r\n0\r\n\r\n", Err(BodyError::ChunkSize)),
    ("1\ra\r\n0\r\n\r\n", Err(BodyError::LineEnd)),
    ("1\r\na\n0\r\n\r\n", Err(BodyError::LineEnd)),
    ("1\r\nab\r\n0\r\n\r\n", Err(BodyError::LineEnd)),
    ("1\r\na\r0\r\n\r\n", Err(BodyError::LineEnd)),
    ("1\r\na0\r\n\r\n", Err(BodyError::LineEnd)),
    ("0\n\n", Err(BodyError::ChunkSize)),
    ("0\r\n\n", Err(BodyError::Trailer)),
    ("0\r\n\rx", Err(BodyError::LineEnd)),
    // Extensions.
    ("1;a\nb\r\na\r\n0\r\n\r\n", Err(BodyError::ChunkExtension)),
    ("1;a\0b\r\n", Err(BodyError::ChunkExtension)),
    ("1;a\u{7f}\r\n", Err(BodyError::ChunkExtension)),
    ("1;a\rb\r\n", Err(BodyError::LineEnd)),
    // Trailers.
    ("0\r\nno colon\r\n\r\n", Err(BodyError::Trailer)),
    ("0\r\n: a\r\n\r\n", Err(BodyError::Trailer)),
    ("0\r\nA : b\r\n\r\n", Err(BodyError::Trailer)),
    ("0\r\n A: b\r\n\r\n", Err(BodyError::Trailer)),
    ("0\r\nA: b\r\n c\r\n\r\n", Err(BodyError::Trailer)),
    ("0\r\nA: b\nC: d\r\n\r\n", Err(BodyError::Trailer)),
    ("0\r\nA: b\0\r\n\r\n", Err(BodyError::Trailer)),
    ("0\r\nA: b\rc\r\n\r\n", Err(BodyError::LineEnd)),
    ("0\r\nA\r\n\r\n", Err(BodyError::Trailer)),
];

fn decode(length: BodyLength, input: &[u8]) -> Result<(usize, Vec<u8>, bool), BodyError> {
    let mut decoder = BodyDecoder::new(length);
    let (mut at, mut data) = (0, vec![]);
    loop {
        let decoded = decoder.decode(&input[at..])?;
        data.extend_from_slice(&input[at..][decoded.data.clone()]);
        at += decoded.consumed;
        assert_eq!(decoded.complete, decoder.is_complete());
        if decoded.complete || decoded.consumed == 0 {
            return Ok((at, data, decoded.complete));
        }
    }
}

#[test]
fn chunked_bodies() {
    for (input, expected) in CHUNKED {
        let outcome = decode(BodyLength::Chunked, input.as_bytes());
        let expected = expected.map(|(consumed, data)| (consumed, data.as_bytes().to_vec(), true));
        assert_eq!(outcome, expected, "{input:?}");
    }
}

#[test]
fn extensions_and_trailers_are_bounded() {
    let chunk = |extension: usize| format!("1;{}\r\na\r\n", "e".repeat(extension));
    // The carriage return counts, too.
    let most = chunked::MAX_EXTENSION_BYTES as usize - 1;
    assert!(decode(BodyLength::Chunked, chunk(most).as_bytes()).is_ok());
    assert_eq!(decode(BodyLength::Chunked, chunk(most + 1).as_bytes()), Err(BodyError::ExtensionsTooLarge));
    let many = chunk(99).repeat(chunked::MAX_EXTENSION_BYTES as usize / 100 + 1);
    assert_eq!(decode(BodyLength::Chunked, many.as_bytes()), Err(BodyError::ExtensionsTooLarge));

    let trailers = |count: usize| format!("0\r\n{}\r\n", "a: b\r\n".repeat(count));
    assert!(decode(BodyLength::Chunked, trailers(100).as_bytes()).is_ok_and(|outcome| outcome.2));
    assert_eq!(decode(BodyLength::Chunked, trailers(101).as_bytes()), Err(BodyError::TrailersTooLarge));
    let long = format!("0\r\na: {}", "b".repeat(chunked::MAX_TRAILER_BYTES as usize));
    assert_eq!(decode(BodyLength::Chunked, long.as_bytes()), Err(BodyError::TrailersTooLarge));
    assert_eq!((BodyError::TrailersTooLarge.status(), BodyError::ChunkSize.status()), (431, 400));
}

#[test]
fn a_huge_chunk_does_not_overflow() {
    let mut decoder = BodyDecoder::new(BodyLength::Chunked);
    let input = b"ffffffffffffffff\r\nabc";
    assert_eq!(decoder.decode(input), Ok(Decoded { consumed: 21, data: 18..21, complete: false }));
    assert_eq!(decoder.end(), Err(BodyError::Truncated));
}

#[test]
fn fixed_bodies() {
    assert_eq!(decode(BodyLength::Fixed(3), b"abcdef"), Ok((3, b"abc".to_vec(), true)));
    assert_eq!(decode(BodyLength::Fixed(0), b"abc"), Ok((0, vec![], true)));
    assert_eq!(decode(BodyLength::None, b"abc"), Ok((0, vec![], true)));
    let mut decoder = BodyDecoder::new(BodyLength::Fixed(u64::MAX));
    assert_eq!(decoder.decode(b"ab"), Ok(Decoded { consumed: 2, data: 0..2, complete: false }));
    assert_eq!(decoder.remaining(), Some(u64::MAX - 2));
    assert_eq!(decoder.end(), Err(BodyError::Truncated));
}

#[test]
fn bodies_that_end_with_the_connection() {
    let mut decoder = BodyDecoder::new(BodyLength::UntilClose);
    assert_eq!(decoder.decode(b"ab"), Ok(Decoded { consumed: 2, data: 0..2, complete: false }));
    assert_eq!((decoder.is_complete(), decoder.remaining()), (false, None));
    assert_eq!(decoder.end(), Ok(()));
    assert!(decoder.is_complete());
}

#[test]
fn chunks_are_written_and_read_back() {
    let mut encoded = vec![];
    let data: Vec<u8> = (0..70_000u32).map(|number| number as u8).collect();
    for size in [0, 1, 15, 16, 255, 256, 4096, 65_536, 70_000] {
        encoded.clear();
        chunked::write_chunk(&data[..size], &mut encoded);
        encoded.extend_from_slice(chunked::LAST_CHUNK);
        assert_eq!(decode(BodyLength::Chunked, &encoded), Ok((encoded.len(), data[..size].to_vec(), true)));
    }
    encoded.clear();
    chunked::write_chunk_start(0xbeef, &mut encoded);
    assert_eq!(encoded, b"beef\r\n");
}

#[test]
fn a_body_is_delimited_as_the_client_understands() {
    assert_eq!(BodyLength::Chunked.towards(Version::Http10), BodyLength::UntilClose);
    assert_eq!(BodyLength::UntilClose.towards(Version::Http11), BodyLength::Chunked);
    assert_eq!(BodyLength::UntilClose.towards(Version::Http10), BodyLength::UntilClose);
    assert_eq!(BodyLength::Fixed(3).towards(Version::Http10), BodyLength::Fixed(3));
    assert!(BodyLength::Fixed(0).is_empty() && BodyLength::None.is_empty() && !BodyLength::Chunked.is_empty());
}
