//! Every bootstrap that Istio's own tests hold is one that we can read, and write back unchanged in meaning.

// Clippy sees only the test functions themselves as tests, not their helpers.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

use prost::Message;
use serde_json::Value;
use xds_api::envoy::config::bootstrap::v3::Bootstrap;
use xds_api::json;

/// Istio's module names this many in `pkg/bootstrap/testdata`; fewer means we look in the wrong place.
const AT_LEAST: usize = 28;

#[test]
fn all_of_istios_bootstraps_parse() {
    let files = golden_files(&istio_module_directory().join("pkg/bootstrap/testdata"));
    assert!(files.len() >= AT_LEAST, "only {} bootstraps found", files.len());
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let document: Value = serde_json::from_str(&text).unwrap();

        let bootstrap: Bootstrap =
            json::parse(document.clone()).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert!(bootstrap.node.is_some_and(|node| !node.id.is_empty()), "{}: no node", file.display());

        let encoded = json::from_json("envoy.config.bootstrap.v3.Bootstrap", document).unwrap();
        let written = json::to_json("envoy.config.bootstrap.v3.Bootstrap", &encoded).unwrap();
        let again: Bootstrap = json::parse(written).unwrap();
        assert_eq!(again, Bootstrap::decode(encoded).unwrap(), "{}: changed by a round trip", file.display());
    }
}

fn golden_files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.to_str().is_some_and(|path| path.ends_with("_golden.json"))).collect()
}

/// Where the source of Istio is: `ISTIO_MODULE_DIR`, or else where Go keeps the version that `conformance/` uses.
fn istio_module_directory() -> PathBuf {
    if let Some(directory) = std::env::var_os("ISTIO_MODULE_DIR") {
        return directory.into();
    }
    let conformance = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance");
    let arguments = ["list", "-m", "-f", "{{.Dir}}", "istio.io/istio"];
    let hint = "set ISTIO_MODULE_DIR, or run `go mod download istio.io/istio` in conformance/";
    let output = Command::new("go").args(arguments).current_dir(conformance).output();
    let output = output.unwrap_or_else(|error| panic!("running go: {error}; {hint}"));
    let directory = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    assert!(
        output.status.success() && !directory.is_empty(),
        "Istio's source is not there: {}; {hint}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    directory.into()
}
