//! Files that others put there for us: certificates, keys, tokens. Whatever a path leads to, reading it ends, and takes little memory.

use std::collections::HashMap;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use rustix::fs::{Mode, OFlags, open};
use tokio::sync::oneshot;

/// The largest of these files; what an honest operator puts there is a few KiB.
pub const MOST_BYTES: u64 = 1024 * 1024;

/// What takes longer hangs: the file is on a mount whose server is gone.
pub const READ_LIMIT: Duration = Duration::from_secs(2);

/// What is read and takes too long. The thread that reads holds the other end until it is done.
static HANGING: Mutex<Option<HashMap<PathBuf, Weak<()>>>> = Mutex::new(None);

/// The content of a file. While reading hangs, it is not started again: every call fails at once, and with the same words.
///
/// # Errors
/// Names the file: it cannot be read, is not a regular file, is larger than [`MOST_BYTES`], or takes longer than [`READ_LIMIT`].
pub async fn read(path: &Path) -> Result<Vec<u8>, String> {
    let owned = path.to_owned();
    in_time(path, move || read_regular(&owned).map_err(|failure| failure.of(&owned))).await
}

/// As [`read`]; `None` where there is no file.
///
/// # Errors
/// As [`read`].
pub async fn read_if_any(path: &Path) -> Result<Option<Vec<u8>>, String> {
    let owned = path.to_owned();
    let read = move || match read_regular(&owned) {
        Err(Failure::Io(error)) if error.kind() == ErrorKind::NotFound => Ok(None),
        read => read.map(Some).map_err(|failure| failure.of(&owned)),
    };
    in_time(path, read).await
}

async fn in_time<T: Send + 'static>(
    path: &Path,
    read: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let hangs = || Err(format!("{}: reading it takes longer than {READ_LIMIT:?}", path.display()));
    if is_hanging(path) {
        return hangs();
    }
    let (sender, content) = oneshot::channel();
    let running = Arc::new(());
    let hanging = Arc::downgrade(&running);
    // Not one of the runtime's threads: the process would wait for it at its end.
    let started = std::thread::Builder::new().name("read-file".to_owned()).spawn(move || {
        // An error means that nobody waits any more.
        let _ = sender.send(read());
        drop(running);
    });
    started.map_err(|error| format!("{}: no thread to read it: {error}", path.display()))?;
    match tokio::time::timeout(READ_LIMIT, content).await {
        Ok(Ok(content)) => content,
        Ok(Err(_)) => Err(format!("{}: reading it failed", path.display())),
        Err(_) => {
            with_hanging(|all| all.insert(path.to_owned(), hanging));
            hangs()
        }
    }
}

fn is_hanging(path: &Path) -> bool {
    with_hanging(|all| {
        all.retain(|_, running| running.strong_count() > 0);
        all.contains_key(path)
    })
}

fn with_hanging<T>(act: impl FnOnce(&mut HashMap<PathBuf, Weak<()>>) -> T) -> T {
    // Nothing that is done under this lock can leave the table half-changed.
    act(HANGING.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default())
}

/// Why a file is not read.
enum Failure {
    Io(std::io::Error),
    Refused(String),
}

impl Failure {
    fn of(self, path: &Path) -> String {
        match self {
            Self::Io(error) => format!("{}: {error}", path.display()),
            Self::Refused(reason) => format!("{}: {reason}", path.display()),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

fn read_regular(path: &Path) -> Result<Vec<u8>, Failure> {
    // Opening a FIFO would wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(open(path, flags, Mode::empty()).map_err(std::io::Error::from)?);
    // What was opened, not what the path leads to by now.
    if !file.metadata()?.is_file() {
        return Err(Failure::Refused("not a regular file".to_owned()));
    }
    let mut content = Vec::new();
    // A length that the file system states need not be true.
    file.take(MOST_BYTES + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MOST_BYTES {
        return Err(Failure::Refused(format!("more than {MOST_BYTES} bytes")));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use rustix::fs::{CWD, FileType, mknodat};

    use super::*;

    #[tokio::test]
    async fn only_small_regular_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let most = usize::try_from(MOST_BYTES).unwrap();
        std::fs::write(path("largest"), vec![b'a'; most]).unwrap();
        std::fs::write(path("too-large"), vec![b'a'; most + 1]).unwrap();
        mknodat(CWD, path("fifo"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();

        assert_eq!(read(&path("largest")).await.unwrap().len(), most);
        for (path, reason) in [
            (path("too-large"), "more than 1048576 bytes"),
            (path("fifo"), "not a regular file"),
            (path("missing"), "No such file"),
            (folder.path().to_owned(), "not a regular file"),
            ("/dev/zero".into(), "not a regular file"),
        ] {
            let error = read(&path).await.unwrap_err();
            assert!(error.starts_with(&format!("{}: ", path.display())) && error.contains(reason), "{error}");
        }
        assert_eq!(read_if_any(&path("missing")).await, Ok(None));
        assert_eq!(read_if_any(&path("largest")).await.unwrap().unwrap().len(), most);
        assert_eq!(read_if_any(&path("fifo")).await, read(&path("fifo")).await.map(Some));
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_hangs_is_not_started_again_until_it_is_done() {
        let path = Path::new("on/a/dead/mount");
        let (release, held) = mpsc::channel::<()>();
        let hanging = move || {
            let _ = held.recv();
            Ok(b"late".to_vec())
        };
        let first = in_time(path, hanging).await.unwrap_err();
        assert_eq!(first, "on/a/dead/mount: reading it takes longer than 2s");
        let again = in_time::<Vec<u8>>(path, || panic!("started a second time")).await.unwrap_err();
        assert_eq!(again, first);

        drop(release);
        while is_hanging(path) {
            tokio::task::yield_now().await;
        }
        tokio::time::resume();
        assert_eq!(in_time(path, || Ok(b"new".to_vec())).await.unwrap(), b"new");
    }
}
