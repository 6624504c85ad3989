//! `docs/support.md`, written from the code that decides about each field.

use std::path::Path;

use anyhow::{Context as _, bail};

/// Writes the page, or checks that it is current.
pub(crate) fn run(check: bool) -> anyhow::Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/support.md");
    let current = xds_model::fate::support_markdown();
    if !check {
        return std::fs::write(&path, current).with_context(|| format!("cannot write {}", path.display()));
    }
    let committed = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    if committed != current {
        bail!("docs/support.md is not current: run `cargo xtask support`");
    }
    Ok(())
}
