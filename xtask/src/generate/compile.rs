//! Compiling all definitions, without `protoc`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};
use protox::prost_reflect::DescriptorPool;

/// Every file below `directories`.
pub(super) fn all(directories: &[PathBuf]) -> Result<DescriptorPool> {
    let mut resolver = ChainFileResolver::new();
    for directory in directories {
        resolver.add(Directory(directory.clone()));
    }
    resolver.add(GoogleFileResolver::new());
    let mut compiler = protox::Compiler::with_file_resolver(resolver);
    for directory in directories {
        for file in proto_files(directory)? {
            compiler.open_file(&file).with_context(|| format!("compiling {}", file.display()))?;
        }
    }
    Ok(compiler.descriptor_pool())
}

/// The files of the pool, each after the files it imports, without comments and without custom options.
pub(super) fn descriptor_set(pool: &DescriptorPool) -> FileDescriptorSet {
    let files = pool.file_descriptor_protos().cloned();
    FileDescriptorSet { file: files.map(|file| FileDescriptorProto { source_code_info: None, ..file }).collect() }
}

/// Finds files below one directory, and makes names absolute where the compiler needs it.
struct Directory(PathBuf);

impl FileResolver for Directory {
    fn resolve_path(&self, path: &Path) -> Option<String> {
        path.strip_prefix(&self.0).ok()?.to_str().map(str::to_owned)
    }

    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        let path = self.0.join(name);
        if !path.exists() {
            return Err(protox::Error::file_not_found(name));
        }
        let source = std::fs::read_to_string(&path).map_err(protox::Error::new)?;
        File::from_source(name, &with_absolute_names(source))
    }
}

/// Relative names that `protoc` resolves among the direct imports of a file, and `protox` among all files it has seen:
/// those hold packages like `envoy.extensions.config` and `envoy.extensions.clusters.common`, which shadow them.
const SHADOWED: &[(&str, &str)] = &[
    (" config.", " .envoy.config."),
    (" common.async_files.", " .envoy.extensions.common.async_files."),
    (" common.aws.", " .envoy.extensions.common.aws."),
    (" common.dynamic_forward_proxy.", " .envoy.extensions.common.dynamic_forward_proxy."),
    (" common.ratelimit.", " .envoy.extensions.common.ratelimit."),
    (" common.tap.", " .envoy.extensions.common.tap."),
];

fn with_absolute_names(source: String) -> String {
    SHADOWED.iter().fold(source, |source, (relative, absolute)| source.replace(relative, absolute))
}

/// The .proto files below a directory, in the order of their names.
fn proto_files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(current) = pending.pop() {
        let entries = std::fs::read_dir(&current).with_context(|| format!("reading {}", current.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "proto") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
