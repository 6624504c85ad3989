//! Comparing and replacing generated files.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};

/// The names of files that differ between two flat directories, or are in only one of them.
pub(super) fn directories(fresh: &Path, committed: &Path) -> Result<Vec<String>> {
    let names: BTreeSet<OsString> = names(fresh)?.union(&names(committed)?).cloned().collect();
    let mut stale = Vec::new();
    for name in names {
        stale.extend(files(&fresh.join(&name), &committed.join(&name))?);
    }
    Ok(stale)
}

/// The committed path, if the two files differ or one is missing.
pub(super) fn files(fresh: &Path, committed: &Path) -> Result<Option<String>> {
    let differ = read(fresh)? != read(committed)?;
    Ok(differ.then(|| committed.display().to_string()))
}

/// Makes `target` hold exactly the files of `fresh`.
pub(super) fn replace_directory(fresh: &Path, target: &Path) -> Result<()> {
    fs::create_dir_all(target)?;
    for stale in names(target)?.difference(&names(fresh)?) {
        fs::remove_file(target.join(stale))?;
    }
    for name in names(fresh)? {
        // Unchanged files keep their time of change, so Cargo does not rebuild for nothing.
        if files(&fresh.join(&name), &target.join(&name))?.is_some() {
            fs::copy(fresh.join(&name), target.join(&name))?;
        }
    }
    Ok(())
}

fn names(directory: &Path) -> Result<BTreeSet<OsString>> {
    if !directory.exists() {
        return Ok(BTreeSet::new());
    }
    let entries = fs::read_dir(directory).with_context(|| format!("reading {}", directory.display()))?;
    entries.map(|entry| Ok(entry?.file_name())).collect()
}

fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}
