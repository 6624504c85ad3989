//! The examples of RFC 7541 appendix C, and what is no header block.

use super::*;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().filter(|digit| !digit.is_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap()).collect()
}

/// The fields of a block as `name: value`, one per line.
fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<String, CompressionError> {
    let mut lines = Vec::new();
    decoder.decode(block, |field| {
        lines.push(format!("{}: {}", String::from_utf8_lossy(field.name()), String::from_utf8_lossy(field.value())));
    })?;
    Ok(lines.join("\n"))
}

fn check(decoder: &mut Decoder, hex: &str, expected: &[&str], table_size: usize) {
    assert_eq!(decode(decoder, &bytes(hex)), Ok(expected.join("\n")));
    assert_eq!(decoder.table.size(), table_size);
}

#[test]
fn single_fields() {
    // C.2
    for (hex, line, size) in [
        ("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", "custom-key: custom-header", 55),
        ("040c 2f73 616d 706c 652f 7061 7468", ":path: /sample/path", 0),
        ("1008 7061 7373 776f 7264 0673 6563 7265 74", "password: secret", 0),
        ("82", ":method: GET", 0),
    ] {
        check(&mut Decoder::new(), hex, &[line], size);
    }
}

#[test]
fn requests() {
    let first = &[":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"][..];
    let second = &[first, &["cache-control: no-cache"]].concat();
    let third = &[
        ":method: GET",
        ":scheme: https",
        ":path: /index.html",
        ":authority: www.example.com",
        "custom-key: custom-value",
    ];
    // C.3
    let mut decoder = Decoder::new();
    check(&mut decoder, "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", first, 57);
    check(&mut decoder, "8286 84be 5808 6e6f 2d63 6163 6865", second, 110);
    check(&mut decoder, "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65", third, 164);
    // C.4
    let mut decoder = Decoder::new();
    check(&mut decoder, "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", first, 57);
    check(&mut decoder, "8286 84be 5886 a8eb 1064 9cbf", second, 110);
    check(&mut decoder, "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf", third, 164);
}

#[test]
fn responses_that_evict() {
    const DATE: &str = "date: Mon, 21 Oct 2013 20:13:21 GMT";
    const LOCATION: &str = "location: https://www.example.com";
    let first = &[":status: 302", "cache-control: private", DATE, LOCATION];
    let second = &[":status: 307", "cache-control: private", DATE, LOCATION];
    let third = &[
        ":status: 200",
        "cache-control: private",
        "date: Mon, 21 Oct 2013 20:13:22 GMT",
        LOCATION,
        "content-encoding: gzip",
        "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
    ];
    // A table of 256 bytes, as the examples have it.
    let smaller = "3fe101";
    // C.5
    let mut decoder = Decoder::new();
    check(
        &mut decoder,
        &(smaller.to_owned()
            + "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 \
        2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d"),
        first,
        222,
    );
    check(&mut decoder, "4803 3330 37c1 c0bf", second, 222);
    check(
        &mut decoder,
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a \
        6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 \
        3630 303b 2076 6572 7369 6f6e 3d31",
        third,
        215,
    );
    // C.6
    let mut decoder = Decoder::new();
    check(
        &mut decoder,
        &(smaller.to_owned()
            + "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 \
        82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3"),
        first,
        222,
    );
    check(&mut decoder, "4883 640e ffc1 c0bf", second, 222);
    check(
        &mut decoder,
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 \
        e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
        third,
        215,
    );
}

#[test]
fn what_is_no_block() {
    for (hex, wrong) in [
        ("80", "index 0"),
        ("be", "an index beyond an empty table"),
        ("ff", "half an integer"),
        ("ffffffffff0f", "an integer beyond 32 bits"),
        ("40", "no name"),
        ("4001", "half a name"),
        ("400161", "no value"),
        ("40016102 62", "half a value"),
        ("7f00 00", "the name of an entry that is not there"),
        ("3fe21f", "a table larger than allowed"),
        ("82 20", "a size behind a field"),
        ("0081 ff 00", "a name that is padding only"),
        ("0084 ffffffff 00", "the end of string in a name"),
    ] {
        assert!(decode(&mut Decoder::new(), &bytes(hex)).is_err(), "{wrong}");
    }
    assert_eq!(decode(&mut Decoder::new(), &bytes("20 3fe11f 82")), Ok(":method: GET".to_owned()));
}

#[test]
fn a_name_survives_its_entry() {
    // RFC 7541 4.4: the entry whose name is used goes to make room for the new one.
    let mut decoder = Decoder::new();
    let long = "61".repeat(30);
    check(&mut decoder, &format!("3f41 40 01 78 1e {long}"), &[&("x: ".to_owned() + &"a".repeat(30))], 63);
    check(&mut decoder, &format!("7e 1e {long}"), &[&("x: ".to_owned() + &"a".repeat(30))], 63);
    // Too large for the table: it empties it, and is a field nevertheless.
    let longer = "62".repeat(80);
    check(&mut decoder, &format!("7e 50 {longer}"), &[&("x: ".to_owned() + &"b".repeat(80))], 0);
}

#[test]
fn memory_is_bounded_by_the_table() {
    let mut decoder = Decoder::new();
    for round in 0..10_000u32 {
        let block = [&[0x40, 4][..], &format!("{:04}", round % 10_000).into_bytes(), &[5], b"value"].concat();
        decode(&mut decoder, &block).unwrap();
        assert_eq!(decode(&mut decoder, &[0xbe]), Ok(format!("{:04}: value", round % 10_000)));
    }
    assert!(decoder.table.size() <= TABLE_SIZE);
    assert!(decoder.table.text_capacity() <= 4 * TABLE_SIZE);
}
