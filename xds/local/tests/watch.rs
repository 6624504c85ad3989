//! Waiting for a folder to change.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;
use std::path::Path;

use xds_local::{Event, LocalControlPlane, Options, Watch};

fn gateway(port: u16) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: web}}\nspec:\n  servers: [{{port: {{number: {port}, name: http, protocol: HTTP}}, hosts: ['*']}}]\n"
    )
}

fn watch(folder: &Path) -> Watch {
    LocalControlPlane::new(folder, Options::default()).watch()
}

fn listeners(event: &Event) -> Vec<&str> {
    match event {
        Event::Loaded(generated) => generated.summary.listeners.iter().map(|listener| listener.name.as_str()).collect(),
        Event::Rejected(problems) => panic!("{problems:?}"),
    }
}

#[tokio::test]
async fn waiting_ends_with_a_change() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.yaml");
    fs::write(&file, gateway(8080)).unwrap();
    let mut watch = watch(folder.path());
    assert_eq!(listeners(&watch.next().await), ["0.0.0.0_8080"]);
    let (event, ()) = tokio::join!(watch.next(), async { fs::write(&file, gateway(8081)).unwrap() });
    assert_eq!(listeners(&event), ["0.0.0.0_8081"]);
}

#[tokio::test]
async fn others_go_on_while_a_folder_is_read_and_waiting_can_be_given_up() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), gateway(8080)).unwrap();
    let mut watch = watch(folder.path());
    let mut given_up = 0;
    let event = loop {
        tokio::select! {
            biased;
            event = watch.next() => break event,
            () = tokio::task::yield_now() => given_up += 1,
        }
    };
    assert_eq!(listeners(&event), ["0.0.0.0_8080"]);
    assert!(given_up > 0, "the folder was read on the thread of its caller");
}
