//! Replacing a file as a whole. What is to take its place has a name of its own each time: two processes may write the same file, one of which takes over from the
//! other.

use std::fs::{self, File, FileType};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// Nobody writes for so long: what is older was left by a process that was killed.
const LEFT_BEHIND_AFTER: Duration = Duration::from_mins(10);
/// How the name ends under which something is written.
const UNFINISHED: &str = ".new";

/// Gives a file another content, on the disk, for its owner alone.
///
/// # Errors
/// The disk is full, or the folder is gone. What was there before is there still.
pub fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let begin = format!(".{}.", name.to_string_lossy());
    // It may be them that fill the disk.
    remove_left_behind(folder, |name, _| name.starts_with(&begin) && name.ends_with(UNFINISHED));
    // If it comes to nothing the file is removed: it may be a full disk.
    let mut new = tempfile::Builder::new().prefix(&begin).suffix(UNFINISHED).tempfile_in(folder)?;
    new.write_all(bytes)?;
    new.as_file().sync_all()?;
    new.persist(path)?;
    // The new name is on the disk with the folder.
    File::open(folder)?.sync_all()
}

/// Moves a file out of the way that is of no use, so that somebody can look at it: its ending becomes `refused`. Where it is then.
///
/// # Errors
/// It cannot be moved.
pub fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let aside = path.with_extension("refused");
    fs::rename(path, &aside)?;
    Ok(aside)
}

/// Removes what was to become a file and did not, which its name and its type say. Where that fails the file is replaced all the same.
pub(crate) fn remove_left_behind(folder: &Path, is_unfinished: impl Fn(&str, FileType) -> bool) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let (name, file_type) = (entry.file_name(), entry.file_type());
        let is_unfinished = name.to_str().zip(file_type.ok()).is_some_and(|(name, of)| is_unfinished(name, of));
        if is_unfinished && age(&entry).is_some_and(|age| age >= LEFT_BEHIND_AFTER) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn age(entry: &fs::DirEntry) -> Option<Duration> {
    entry.metadata().ok()?.modified().ok()?.elapsed().ok()
}

/// A certificate as text (RFC 7468).
pub(super) fn pem(certificate: &[u8]) -> String {
    let encoded = BASE64_STANDARD.encode(certificate);
    let mut text = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for line in encoded.as_bytes().chunks(64) {
        text.extend(line.iter().map(|byte| char::from(*byte)));
        text.push('\n');
    }
    text + "-----END CERTIFICATE-----\n"
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::os::unix::fs::PermissionsExt as _;
    use std::thread;
    use std::time::SystemTime;

    use super::*;

    fn names(folder: &Path) -> BTreeSet<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn whoever_else_writes_the_same_file_there_is_one_content_or_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trust");
        let contents: Vec<Vec<u8>> = (0..4_u8).map(|writer| vec![writer; 100_000]).collect();
        thread::scope(|scope| {
            for content in &contents {
                scope.spawn(|| {
                    for _ in 0..50 {
                        replace_file(&path, content).unwrap();
                        assert!(contents.contains(&fs::read(&path).unwrap()));
                    }
                });
            }
        });
        assert_eq!(names(folder.path()), BTreeSet::from(["trust".into()]));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_a_process_left_behind_that_was_killed_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let age = |name: &str, age: Duration| {
            let file = File::create(folder.path().join(name)).unwrap();
            file.set_modified(SystemTime::now() - age).unwrap();
        };
        let old = LEFT_BEHIND_AFTER * 2;
        // The second is how they were called once.
        [".trust.a1b2c3.new", ".trust.new", ".epoch.a1b2c3.new", "trust.new"]
            .into_iter()
            .for_each(|name| age(name, old));
        age(".trust.d4e5f6.new", Duration::ZERO);
        replace_file(&folder.path().join("trust"), b"x").unwrap();
        let left = ["trust", ".epoch.a1b2c3.new", "trust.new", ".trust.d4e5f6.new"];
        assert_eq!(names(folder.path()), left.map(String::from).into());
    }

    #[test]
    fn what_comes_to_nothing_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trust");
        fs::create_dir(&path).unwrap();
        assert!(replace_file(&path, b"x").is_err());
        assert_eq!(names(folder.path()), BTreeSet::from(["trust".into()]));
    }
}
