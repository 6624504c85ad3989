//! `cargo xtask generate`: .proto definitions in, `xds/api/src/generated/` and `xds/api/descriptors.bin` out.
//!
//! The definitions of Envoy come out of a pinned package (see `sources`), Istio's own few are in `xds/api/proto/`.
//! Rust types are made only for what the messages in `roots` reach; the descriptor set holds every message there is.

mod compare;
mod compile;
mod prune;
mod roots;
mod rust;
mod sensitive;
mod sources;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use prost::Message;

/// Where the output goes, relative to the root of the repository.
const TARGET_DIRECTORY: &str = "xds/api";

/// Makes the output and puts it in place; with `check`, only compares it with what is in place.
pub(super) fn run(check: bool) -> Result<()> {
    let repository = repository_root()?;
    let definitions = sources::directories(&repository)?;
    let pool = compile::all(&definitions)?;
    let all = compile::descriptor_set(&pool);

    let scratch = tempfile::tempdir().context("making a scratch directory")?;
    let fresh = Output::under(scratch.path());
    std::fs::write(&fresh.descriptors, all.encode_to_vec())?;
    rust::write(prune::reachable_from(&all, roots::FILES)?, &fresh.rust)?;
    sensitive::write(&pool, &fresh.rust.join("sensitive_fields.rs"))?;

    let committed = Output::under(&repository.join(TARGET_DIRECTORY));
    if !check {
        return fresh.replace(&committed);
    }
    let stale = fresh.differences(&committed)?;
    if !stale.is_empty() {
        bail!("not current, run `cargo xtask generate`:\n  {}", stale.join("\n  "));
    }
    Ok(())
}

/// The two things that are generated.
struct Output {
    descriptors: PathBuf,
    rust: PathBuf,
}

impl Output {
    fn under(directory: &Path) -> Self {
        Self { descriptors: directory.join("descriptors.bin"), rust: directory.join("src/generated") }
    }

    fn replace(&self, target: &Self) -> Result<()> {
        std::fs::copy(&self.descriptors, &target.descriptors)?;
        compare::replace_directory(&self.rust, &target.rust)
    }

    fn differences(&self, committed: &Self) -> Result<Vec<String>> {
        let mut stale = compare::directories(&self.rust, &committed.rust)?;
        stale.extend(compare::files(&self.descriptors, &committed.descriptors)?);
        Ok(stale)
    }
}

fn repository_root() -> Result<PathBuf> {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().map(Path::to_owned).context("xtask has no parent directory")
}
