//! Rust types from descriptors.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use prost_types::FileDescriptorSet;

/// Writes one file per protobuf package into `directory`, and `mod.rs`, which declares the tree of modules.
pub(super) fn write(set: FileDescriptorSet, directory: &Path) -> Result<()> {
    fs::create_dir_all(directory)?;
    let mut config = prost_build::Config::new();
    config
        // A push of many megabytes is decoded without copying what is inside its resources.
        .bytes(["."])
        .extern_path(".google.protobuf.Any", "crate::Any")
        // Encoding is deterministic, so equal content has equal bytes.
        .btree_map(["."])
        .enable_type_names()
        .type_name_domain(["."], "type.googleapis.com")
        .include_file("mod.rs");
    tonic_prost_build::configure()
        .build_transport(false)
        .out_dir(directory)
        .compile_fds_with_config(set, config)
        .context("generating Rust")?;
    plain_file_names(directory)
}

/// Packages called `type` and `match` come in files like `envoy.r#type.v3.rs`; some tools trip over the `#`.
fn plain_file_names(directory: &Path) -> Result<()> {
    let index = directory.join("mod.rs");
    let text = fs::read_to_string(&index)?;
    let quoted = text.split('"').skip(1).step_by(2);
    for name in quoted.filter(|name| name.contains("r#")) {
        fs::rename(directory.join(name), directory.join(name.replace("r#", "")))?;
    }
    let is_include = |line: &str| line.trim_start().starts_with("include!");
    let lines = text.lines().map(|line| if is_include(line) { line.replace("r#", "") } else { line.to_owned() });
    fs::write(&index, lines.map(|line| line + "\n").collect::<String>())?;
    Ok(())
}
