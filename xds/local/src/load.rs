//! A folder of YAML and JSON files to typed objects.

mod budget;
pub(crate) mod duration;
pub(crate) mod field;
pub(crate) mod yaml;

use std::fs::{self, DirEntry, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use budget::Budget;

use crate::object::{Objects, Reader};
use crate::problem::{Place, Problems};

/// Files bigger than this are refused.
const MAX_FILE_BYTES: u64 = 16 << 20;
/// Folders that come to more than this are refused.
const MAX_FOLDER_BYTES: usize = 64 << 20;
/// Folders with more files than this are refused.
const MAX_FILES: usize = 10_000;
/// Folders nested deeper than this are refused, which also ends loops of symbolic links.
const MAX_FOLDER_DEPTH: usize = 16;

/// Reads every object in a folder. What cannot be read is reported, and the rest is read all the same.
pub(crate) fn folder(directory: &Path, problems: &Problems) -> Objects {
    let mut reader = Reader::new(problems);
    let mut budget = Budget::new(MAX_FOLDER_BYTES);
    for path in files(directory, problems) {
        let file = relative(directory, &path);
        match read(&path, &mut budget).and_then(|text| yaml::parse(&text, &mut budget)) {
            Ok(documents) => documents.iter().for_each(|document| reader.read(document, &file)),
            Err(error) => problems.error(&Place { file, line: error.line }, error.message),
        }
        if budget.is_spent() {
            break;
        }
    }
    reader.finish()
}

/// The files of a folder that hold objects, in all its folders, sorted. Names that begin with a dot are left out, among them the
/// hidden folders of a mounted ConfigMap, whose visible names are links.
pub(crate) fn files(directory: &Path, problems: &Problems) -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(directory, directory, 0, &mut found, problems);
    found.sort();
    if found.len() > MAX_FILES {
        problems.error(&whole(directory, directory), format!("has more than {MAX_FILES} files"));
        found.truncate(MAX_FILES);
    }
    found
}

fn collect(root: &Path, directory: &Path, depth: usize, found: &mut Vec<PathBuf>, problems: &Problems) {
    if depth > MAX_FOLDER_DEPTH {
        problems.error(&whole(root, directory), format!("is nested deeper than {MAX_FOLDER_DEPTH} folders"));
        return;
    }
    match fs::read_dir(directory) {
        Ok(entries) => sort_out(root, directory, depth, entries, found, problems),
        Err(error) => problems.error(&whole(root, directory), format!("cannot be read: {error}")),
    }
}

fn sort_out(
    root: &Path,
    directory: &Path,
    depth: usize,
    entries: impl Iterator<Item = io::Result<DirEntry>>,
    found: &mut Vec<PathBuf>,
    problems: &Problems,
) {
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            // What was not listed must not pass for what was deleted.
            Err(error) => return problems.error(&whole(root, directory), format!("cannot be read: {error}")),
        };
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('.') || found.len() > MAX_FILES {
            continue;
        }
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => collect(root, &path, depth + 1, found, problems),
            Ok(_) if holds_objects(&path) => found.push(path),
            // It may be a folder, which must not pass for deleted.
            Err(error) if holds_objects(&path) || !is_gone_or_plain(&entry, &error) => {
                problems.error(&whole(root, &path), format!("cannot be read: {error}"));
            }
            Ok(_) | Err(_) => {}
        }
    }
}

/// Whether an entry that cannot be looked at was removed meanwhile, or is no folder and no link to one.
fn is_gone_or_plain(entry: &DirEntry, error: &io::Error) -> bool {
    match entry.file_type() {
        Ok(kind) if kind.is_file() => true,
        Ok(kind) => error.kind() == io::ErrorKind::NotFound && !kind.is_symlink(),
        Err(_) => false,
    }
}

fn holds_objects(path: &Path) -> bool {
    path.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known))
}

fn read(path: &Path, budget: &mut Budget) -> Result<String, yaml::Error> {
    let failure = |message: String| yaml::Error { line: 0, message };
    let unreadable = |error: io::Error| failure(format!("cannot be read: {error}"));
    // Before it is opened, because opening a pipe waits for its writer.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(failure("is not a file".into()));
    }
    let file = File::open(path).map_err(unreadable)?;
    let bytes = read_at_most(file, MAX_FILE_BYTES).map_err(unreadable)?;
    let bytes = bytes.ok_or_else(|| failure(format!("is bigger than {} MiB", MAX_FILE_BYTES >> 20)))?;
    budget.spend(bytes.len(), 0)?;
    String::from_utf8(bytes).map_err(|error| {
        let good = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
        let line = 1 + good.filter(|byte| **byte == b'\n').count();
        yaml::Error { line: u32::try_from(line).unwrap_or(u32::MAX), message: "not UTF-8 text".into() }
    })
}

/// Everything there is, nothing if that is more than `limit` bytes. What a file says of its size may be wrong by now.
fn read_at_most(source: impl io::Read, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    source.take(limit + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= limit).then_some(bytes))
}

fn whole(root: &Path, path: &Path) -> Place {
    Place { file: relative(root, path), line: 0 }
}

fn relative(root: &Path, path: &Path) -> Arc<str> {
    let shown = path.strip_prefix(root).ok().filter(|rest| !rest.as_os_str().is_empty()).unwrap_or(path);
    shown.to_string_lossy().into()
}

#[cfg(test)]
mod tests;
