//! The path behind which a process waits for the next one.
//!
//! Looking who is there, removing what a dead process left, and binding anew are one step: a lock keeps two processes that start
//! together from doing it to each other. It is on a file of our own beside the socket, which nobody else may open: whoever may
//! read a file may lock it, and keep others from starting.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::SocketAddrUnix;
use tokio::net::UnixListener;
use tokio::time::Instant;

use super::channel::{self, Channel};

/// Processes that may wait to be answered.
const BACKLOG: i32 = 16;
const LOCK_WITHIN: Duration = Duration::from_secs(2);
const LOCK_POLL: Duration = Duration::from_millis(10);

/// The socket at the path. The file is removed when this is dropped, unless it is another process's by then.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    listener: UnixListener,
    /// Device and inode of the file.
    identity: (u64, u64),
}

/// Who is behind a path.
#[derive(Debug)]
pub(super) enum Found {
    /// Nobody was: now it is us.
    Nobody(SocketFile),
    Somebody(Channel),
}

/// Looks who is behind the path, and takes the place if it is free.
pub(super) async fn find(path: &Path) -> anyhow::Result<Found> {
    let _locked = lock(path).await?;
    match probe(path)? {
        Some(channel) => Ok(Found::Somebody(channel)),
        None => SocketFile::bind(path).map(Found::Nobody),
    }
}

impl SocketFile {
    /// Takes the place of the process `before`.
    ///
    /// # Errors
    /// The path cannot be used, or somebody else has come first.
    pub(super) async fn succeed(path: &Path, before: i32) -> anyhow::Result<Self> {
        let _locked = lock(path).await?;
        match probe(path)? {
            Some(channel) if channel.peer.pid != before => {
                bail!("{}: process {} has taken it meanwhile", path.display(), channel.peer.pid)
            }
            _ => Self::bind(path),
        }
    }

    /// The path is locked, and what is there may go.
    fn bind(path: &Path) -> anyhow::Result<Self> {
        let context = || format!("cannot listen on the hand-over socket {}", path.display());
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).with_context(context),
            _ => {}
        }
        let bind = || -> io::Result<Self> {
            let socket = channel::socket()?;
            // Before it has a name: nobody but our user ever finds it open. Who connects is checked as well.
            rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
            rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
            rustix::net::listen(&socket, BACKLOG)?;
            let listener = UnixListener::from_std(socket.into())?;
            Ok(Self { path: path.to_owned(), listener, identity: identity(path)? })
        };
        bind().with_context(context)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The next process that wants to take over.
    pub(super) async fn accept(&self) -> io::Result<Channel> {
        let (stream, _) = self.listener.accept().await?;
        Channel::new(stream)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Whoever holds the lock is about to replace the file.
        let Ok(_locked) = try_lock(&self.path) else { return };
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            // If it cannot be removed, the next process finds nobody behind it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Whoever listens at the path.
fn probe(path: &Path) -> anyhow::Result<Option<Channel>> {
    let context = || format!("cannot use the hand-over socket {}", path.display());
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(context),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            bail!("cannot use the hand-over socket {}: a file that is no socket is there", path.display())
        }
        Ok(_) => {}
    }
    let error = match Channel::connect(path) {
        Ok(channel) => return Ok(Some(channel)),
        Err(error) => error,
    };
    match Errno::from_io_error(&error) {
        // The process that bound it has died.
        Some(Errno::CONNREFUSED) => {
            tracing::info!("nobody is behind the hand-over socket {} any more", path.display());
            Ok(None)
        }
        Some(Errno::PROTOTYPE) => Err(error).with_context(context).context("another program listens there"),
        Some(Errno::AGAIN) => {
            bail!("cannot use the hand-over socket {}: who listens there answers nobody", path.display())
        }
        _ => Err(error).with_context(context),
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    std::fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Held until the file is closed.
async fn lock(path: &Path) -> anyhow::Result<File> {
    let end = Instant::now() + LOCK_WITHIN;
    loop {
        match try_lock(path) {
            Err(error) if Errno::from_io_error(&error) == Some(Errno::AGAIN) && Instant::now() < end => {
                tokio::time::sleep(LOCK_POLL).await;
            }
            Err(error) if Errno::from_io_error(&error) == Some(Errno::AGAIN) => {
                bail!("another process holds the lock {}: is one starting that hangs?", lock_file(path).display())
            }
            locked => return locked.with_context(|| format!("cannot lock {}", lock_file(path).display())),
        }
    }
}

/// The file stays: removing it would give the lock to two at once.
fn try_lock(path: &Path) -> io::Result<File> {
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(lock_file(path), flags, Mode::RUSR | Mode::WUSR)?);
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    Ok(file)
}

fn lock_file(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}
