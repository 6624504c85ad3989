//! Where the .proto definitions are.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// A package that is only fetched, never compiled: it names the pinned package that carries Envoy's definitions.
const MANIFEST: &str = "xtask/envoy-protos/Cargo.toml";
const PACKAGE: &str = "envoy-types";

/// The directories `import` lines are relative to, our own first.
pub(super) fn directories(repository: &Path) -> Result<Vec<PathBuf>> {
    let package = package_directory(repository)?.join("proto");
    let mut directories = vec![repository.join("xds/api/proto")];
    directories.extend(IMPORT_ROOTS.iter().map(|root| package.join(root)));
    Ok(directories)
}

/// Inside the package, each upstream project has its own directory.
const IMPORT_ROOTS: &[&str] = &[
    "cel-spec/proto",
    "client_model",
    "data-plane-api",
    "googleapis",
    "opentelemetry-proto",
    "protoc-gen-validate",
    "ratelimit/api",
    "xds",
];

fn package_directory(repository: &Path) -> Result<PathBuf> {
    let metadata = cargo_metadata(&repository.join(MANIFEST))?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let package = packages
        .iter()
        .find(|package| package["name"] == PACKAGE)
        .with_context(|| format!("cargo metadata does not list {PACKAGE}"))?;
    let manifest = package["manifest_path"].as_str().context("a package without manifest_path")?;
    Ok(Path::new(manifest).parent().context("a manifest without a directory")?.to_owned())
}

fn cargo_metadata(manifest: &Path) -> Result<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked", "--manifest-path"])
        .arg(manifest)
        .output()
        .context("running cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    serde_json::from_slice(&output.stdout).context("reading what cargo metadata printed")
}
