//! The seeds, which must be what `seeds.sha256` says. A damaged seed would be refused by its target, and so pass without
//! testing anything.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// The list, in the format of `sha256sum`, and the folder it is about.
pub(crate) const LIST: &str = "seeds.sha256";
pub(crate) const FOLDER: &str = "seeds";

/// An input in the repository.
#[derive(Debug, PartialEq)]
pub(crate) struct Seed {
    pub(crate) target: String,
    pub(crate) path: PathBuf,
    pub(crate) content: Vec<u8>,
}

/// Reads all seeds; the error is one line that names what is damaged.
pub(crate) fn read(root: &Path) -> Result<Vec<Seed>, String> {
    let list = root.join(LIST);
    let text = std::fs::read_to_string(&list).map_err(|error| format!("{}: {error}", list.display()))?;
    let mut seeds = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let entry = line.split_once("  ").and_then(|(checksum, path)| Some((checksum, path, target(path)?)));
        let (checksum, path, target) =
            entry.ok_or_else(|| format!("{}:{}: not a checksum and a seed", list.display(), number + 1))?;
        let path = root.join(path);
        let content = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        if hexadecimal(&Sha256::digest(&content)) != checksum {
            return Err(format!("{}: not the seed that {LIST} lists", path.display()));
        }
        seeds.push(Seed { target: target.to_owned(), path, content });
    }
    let listed: BTreeSet<&Path> = seeds.iter().map(|seed| seed.path.as_path()).collect();
    match files(&root.join(FOLDER))?.iter().find(|path| !listed.contains(path.as_path())) {
        Some(unknown) => Err(format!("{}: {LIST} does not list it", unknown.display())),
        None => Ok(seeds),
    }
}

/// The target of `seeds/<target>/<name>`.
fn target(path: &str) -> Option<&str> {
    let (target, name) = path.strip_prefix(FOLDER)?.strip_prefix('/')?.split_once('/')?;
    (!name.contains('/')).then_some(target)
}

/// What the folders in `folder` hold.
fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    for target in entries(folder)? {
        files.extend(entries(&target)?);
    }
    Ok(files)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let describe = |error: std::io::Error| format!("{}: {error}", folder.display());
    let entries = std::fs::read_dir(folder).map_err(describe)?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(describe)).collect()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
