use bytes::Bytes;

use super::*;

fn state() -> State {
    let received = |name: &str, body: &'static [u8]| Received {
        name: name.into(),
        version: "3".into(),
        body: Bytes::from_static(body),
    };
    State {
        written: std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_800_000_000),
        resources: vec![
            (ResourceType::Listener, received("0.0.0.0_80", b"listener")),
            (ResourceType::Route, received("http.80", b"")),
        ],
    }
}

#[test]
fn what_was_written_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let snapshot = Snapshot::new(&directory.path().join("made"), "istiod 1/../x", "router~edge");
    assert_eq!(snapshot.read().unwrap(), None);
    snapshot.write(&state()).unwrap();
    assert_eq!(snapshot.read().unwrap(), Some(state()));
    let files: Vec<_> =
        fs::read_dir(directory.path().join("made")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files, ["istiod-1----x.snapshot"]);
}

#[test]
fn every_damaged_file_is_refused_with_a_reason() {
    let directory = tempfile::tempdir().unwrap();
    let snapshot = Snapshot::new(directory.path(), "istiod", "router~edge");
    snapshot.write(&state()).unwrap();
    let good = fs::read(&snapshot.path).unwrap();
    let mut damaged: Vec<Vec<u8>> = (0..good.len()).map(|length| good[..length].to_vec()).collect();
    damaged.extend((0..good.len()).map(|index| {
        let mut bytes = good.clone();
        bytes[index] ^= 0x40;
        bytes
    }));
    damaged.push([good.clone(), vec![0]].concat());
    for bytes in damaged {
        fs::write(&snapshot.path, bytes).unwrap();
        let error = snapshot.read().unwrap_err();
        assert!(matches!(error, SnapshotError::Unusable { .. }), "{error}");
    }
    let stranger = Snapshot::new(directory.path(), "istiod", "router~other");
    fs::write(&snapshot.path, good).unwrap();
    assert!(stranger.read().unwrap_err().to_string().contains("belongs to \"router~edge\""));
}

#[test]
fn a_failed_write_is_an_error_and_leaves_the_state_before_it() {
    let directory = tempfile::tempdir().unwrap();
    let snapshot = Snapshot::new(directory.path(), "istiod", "router~edge");
    snapshot.write(&state()).unwrap();
    // A directory in the place of the temporary file: it cannot be written, whoever we are.
    fs::create_dir(snapshot.path.with_extension("new")).unwrap();
    let error = snapshot.write(&State { resources: Vec::new(), ..state() }).unwrap_err();
    assert!(matches!(error, SnapshotError::Io { action: "write", .. }), "{error}");
    assert_eq!(snapshot.read().unwrap(), Some(state()));
}
