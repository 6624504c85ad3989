//! Replacing a file as a whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// Gives a file another content, on the disk, for its owner alone.
///
/// # Errors
/// The disk is full, or the folder is gone. What was there before is there still.
pub fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let new = folder.join(format!(".{}.new", name.to_string_lossy()));
    let written = write(&new, bytes).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // It may be a full disk.
        let _ = fs::remove_file(&new);
    }
    written?;
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

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // What a process left that was killed may have other rights.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
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
