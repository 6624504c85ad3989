//! A folder that changes while it is watched.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;
use std::path::Path;

use xds_local::{Event, Generated, LocalControlPlane, Options};

fn gateway(port: u16) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: web}}\nspec:\n  servers: [{{port: {{number: {port}, name: http, protocol: HTTP}}, hosts: ['*']}}]\n"
    )
}

fn watch(folder: &Path) -> xds_local::Watch {
    LocalControlPlane::new(folder, Options::default()).watch()
}

fn loaded(event: Option<Event>) -> Generated {
    match event {
        Some(Event::Loaded(generated)) => *generated,
        other => panic!("{other:?}"),
    }
}

fn listeners(generated: &Generated) -> Vec<&str> {
    generated.summary.listeners.iter().map(|listener| listener.name.as_str()).collect()
}

#[test]
fn a_change_is_seen_and_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), gateway(8080)).unwrap();
    let mut watch = watch(folder.path());
    let first = loaded(watch.check());
    assert_eq!(listeners(&first), ["0.0.0.0_8080"]);
    assert!(watch.check().is_none(), "nothing changed");

    fs::write(folder.path().join("b.yaml"), gateway(9090).replace("web", "more")).unwrap();
    let second = loaded(watch.check());
    let changes = second.changes_since(Some(&first));
    let changed: Vec<_> = changes.changed.iter().map(|resource| resource.name.as_str()).collect();
    assert_eq!(changed, ["0.0.0.0_9090", "http.9090"]);
    assert!(changes.removed.is_empty());

    fs::remove_file(folder.path().join("a.yaml")).unwrap();
    let changes = loaded(watch.check()).changes_since(Some(&second));
    assert!(changes.changed.is_empty(), "{changes:?}");
    let removed: Vec<_> = changes.removed.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(removed, ["0.0.0.0_8080", "http.8080"]);
}

#[test]
fn a_bad_folder_is_rejected_until_it_is_good_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.yaml");
    fs::write(&file, gateway(8080)).unwrap();
    let mut watch = watch(folder.path());
    loaded(watch.check());
    fs::write(&file, gateway(8080).replace("HTTP,", "SMTP,").replace("HTTP}", "SMTP}")).unwrap();
    match watch.check() {
        Some(Event::Rejected(problems)) => assert!(problems[0].to_string().starts_with("a.yaml:5: "), "{problems:?}"),
        other => panic!("{other:?}"),
    }
    assert!(watch.check().is_none(), "it is said once");
    fs::write(&file, gateway(8081)).unwrap();
    assert_eq!(listeners(&loaded(watch.check())), ["0.0.0.0_8081"]);
}

#[test]
fn files_replaced_by_renaming_are_seen() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), gateway(8080)).unwrap();
    let mut watch = watch(folder.path());
    loaded(watch.check());
    fs::write(folder.path().join("a.tmp"), gateway(8081)).unwrap();
    assert!(watch.check().is_none());
    fs::rename(folder.path().join("a.tmp"), folder.path().join("a.yaml")).unwrap();
    assert_eq!(listeners(&loaded(watch.check())), ["0.0.0.0_8081"]);
}

#[test]
fn a_mounted_config_map_that_is_turned_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for (name, port) in [("..one", 8080), ("..two", 8081)] {
        fs::create_dir(root.join(name)).unwrap();
        fs::write(root.join(name).join("a.yaml"), gateway(port)).unwrap();
    }
    std::os::unix::fs::symlink("..one", root.join("..data")).unwrap();
    std::os::unix::fs::symlink("..data/a.yaml", root.join("a.yaml")).unwrap();
    let mut watch = watch(root);
    assert_eq!(listeners(&loaded(watch.check())), ["0.0.0.0_8080"]);
    std::os::unix::fs::symlink("..two", root.join("..next")).unwrap();
    fs::rename(root.join("..next"), root.join("..data")).unwrap();
    assert_eq!(listeners(&loaded(watch.check())), ["0.0.0.0_8081"]);
}

#[tokio::test]
async fn waiting_ends_with_a_change() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.yaml");
    fs::write(&file, gateway(8080)).unwrap();
    let mut watch = watch(folder.path());
    assert!(matches!(watch.next().await, Event::Loaded(_)));
    let (event, ()) = tokio::join!(watch.next(), async { fs::write(&file, gateway(8081)).unwrap() });
    assert_eq!(listeners(&loaded(Some(event))), ["0.0.0.0_8081"]);
}
