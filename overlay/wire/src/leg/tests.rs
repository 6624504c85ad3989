use super::writing::put_integers;
use super::*;

fn frames() -> Vec<LegFrame<'static>> {
    let progress = Progress { delivered: 70_000, allowed: 1 << 40 };
    let open = Open {
        key: StreamKey { session: [9; 16], number: 1 << 33 },
        resumes: true,
        progress,
        from: "store-1".into(),
        from_shard: 2,
        to: "store-2".into(),
        to_shard: Some(0),
        tenant: "acme".into(),
        class: 3,
    };
    vec![
        LegFrame::Open(Open { to_shard: None, from_shard: 0, ..open.clone() }),
        LegFrame::Open(open),
        LegFrame::Accept { progress, shard: 3 },
        LegFrame::Refuse(RefuseCode::NoRoute, "hub-1 knows no edge store-2".into()),
        LegFrame::Data(1 << 20, b"bytes"),
        LegFrame::Ack(progress),
        LegFrame::Fin(77),
        LegFrame::Reset(3),
    ]
}

#[test]
fn what_is_written_is_read_and_what_is_cut_off_waits() {
    for frame in frames() {
        let mut bytes = Vec::new();
        put(&mut bytes, &frame);
        for cut in 0..bytes.len() {
            assert_eq!(take(&bytes[..cut]), Ok(None));
        }
        let length = bytes.len();
        bytes.extend_from_slice(b"next");
        assert_eq!(take(&bytes), Ok(Some((frame, length))));
    }
}

#[test]
fn of_data_that_is_cut_off_there_is_what_has_come() {
    for frame in frames() {
        let mut bytes = Vec::new();
        put(&mut bytes, &frame);
        for cut in 0..=bytes.len() {
            let begun = take_begun(&bytes[..cut]);
            let LegFrame::Data(offset, data) = frame else {
                assert_eq!(begun, None);
                continue;
            };
            let missing = bytes.len() - cut;
            let come = data.len().saturating_sub(missing);
            let expected = (missing > 0 && come > 0).then_some(Begun { offset, data: &data[..come], missing });
            assert_eq!(begun, expected, "{cut} bytes");
        }
    }
    let mut long = Vec::new();
    varint::put(&mut long, kind::DATA);
    varint::put(&mut long, 1 << 20);
    long.extend_from_slice(b"0bytes");
    assert_eq!(take_begun(&long), None);
}

#[test]
fn content_that_is_too_short_or_too_long_is_an_error() {
    for frame in frames().into_iter().filter(|frame| !matches!(frame, LegFrame::Data(..))) {
        let mut bytes = Vec::new();
        put(&mut bytes, &frame);
        for wrong in [bytes.len() - 3, bytes.len() - 1] {
            let mut changed = vec![bytes[0], wrong as u8];
            changed.extend_from_slice(&bytes[2..]);
            changed.push(0);
            assert!(bytes[1] < 64 && take(&changed).is_err(), "{frame:?} with {wrong} bytes");
        }
    }
    let mut long = Vec::new();
    varint::put(&mut long, kind::DATA);
    varint::put(&mut long, 1 << 20);
    assert_eq!(take(&long), Err(LegFrameError::TooLong { kind: kind::DATA, length: 1 << 20 }));
}

#[test]
fn a_shard_is_a_number_of_16_bits() {
    let frames = frames();
    let LegFrame::Open(open) = &frames[0] else { panic!("another order") };
    for (from_shard, to_shard) in [(u16::MAX, Some(u16::MAX)), (0, None)] {
        let mut bytes = Vec::new();
        let frame = LegFrame::Open(Open { from_shard, to_shard, ..open.clone() });
        put(&mut bytes, &frame);
        assert_eq!(take(&bytes), Ok(Some((frame, bytes.len()))));
    }
    let mut bytes = Vec::new();
    put_integers(&mut bytes, kind::ACCEPT, &[0, 0, 1 << 16]);
    assert_eq!(take(&bytes), Err(LegFrameError::Malformed(kind::ACCEPT)));
}
