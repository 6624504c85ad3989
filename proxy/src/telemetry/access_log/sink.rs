//! The files that logs go to, and the thread that writes them.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use hashbrown::HashMap;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

/// Buffers that may wait for the writer, over all files. A disk that is slower than this loses lines, counted, but no request waits.
const MOST_WAITING: usize = 128;
/// Empty buffers kept for reuse.
const MOST_SPARE: usize = 128;

/// All log files of the process, and their writer.
#[derive(Debug)]
pub struct AccessLogSinks {
    open: Mutex<HashMap<String, Arc<Sink>>>,
    writer: Arc<Writer>,
}

/// One log file.
#[derive(Debug)]
pub struct Sink {
    /// Unique among the files of the process, from 0 on.
    pub(super) index: usize,
    destination: Arc<Destination>,
    writer: Arc<Writer>,
}

#[derive(Debug)]
struct Writer {
    queue: SyncSender<Job>,
    spare: Mutex<Vec<Vec<u8>>>,
    dropped: AtomicU64,
    failed: AtomicU64,
}

#[derive(Debug)]
enum Job {
    Write(Arc<Destination>, Vec<u8>),
    Flush(SyncSender<()>),
}

#[derive(Debug)]
enum Destination {
    File(File),
    Stdout,
    Stderr,
}

impl AccessLogSinks {
    /// Starts the writer thread; it ends when the last user of these files is gone.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn start() -> io::Result<Arc<Self>> {
        let (queue, jobs) = sync_channel(MOST_WAITING);
        let writer =
            Arc::new(Writer { queue, spare: Mutex::default(), dropped: AtomicU64::new(0), failed: AtomicU64::new(0) });
        let weak = Arc::downgrade(&writer);
        thread::Builder::new().name("access-log".to_owned()).spawn(move || {
            run(&jobs, &|buffer, succeeded| {
                if let Some(writer) = weak.upgrade() {
                    writer.written(buffer, succeeded);
                }
            });
        })?;
        Ok(Arc::new(Self { open: Mutex::default(), writer }))
    }

    /// The file at `path`, opened for appending at first use. Whatever it is, and however busy the writer: nobody waits here.
    ///
    /// # Errors
    /// It cannot be opened; a FIFO cannot while nobody reads it.
    pub fn open(&self, path: &str) -> io::Result<Arc<Sink>> {
        let mut open = lock(&self.open);
        if let Some(sink) = open.get(path) {
            return Ok(sink.clone());
        }
        let destination = match path {
            "/dev/stdout" => Destination::Stdout,
            "/dev/stderr" => Destination::Stderr,
            path => Destination::File(open_file(path)?),
        };
        let (destination, writer) = (Arc::new(destination), self.writer.clone());
        let sink = Arc::new(Sink { index: open.len(), destination, writer });
        open.insert(path.to_owned(), sink.clone());
        Ok(sink)
    }

    /// Buffers that were lost because the writer could not keep up.
    pub fn dropped(&self) -> u64 {
        self.writer.dropped.load(Ordering::Relaxed)
    }

    /// Buffers that could not be written.
    pub fn failed(&self) -> u64 {
        self.writer.failed.load(Ordering::Relaxed)
    }

    /// Waits until everything handed over so far is written.
    pub fn flush(&self) {
        let (done, finished) = sync_channel(1);
        if self.writer.queue.send(Job::Flush(done)).is_ok() {
            // An error means that the writer is gone, and with it what it had.
            let _ = finished.recv();
        }
    }
}

impl Sink {
    /// Hands a buffer over and returns an empty one. The lines are lost, and counted, when too many are waiting already.
    pub(super) fn hand_over(&self, lines: Vec<u8>) -> Vec<u8> {
        match self.writer.queue.try_send(Job::Write(self.destination.clone(), lines)) {
            Ok(()) => lock(&self.writer.spare).pop().unwrap_or_default(),
            Err(
                TrySendError::Full(Job::Write(_, mut lines)) | TrySendError::Disconnected(Job::Write(_, mut lines)),
            ) => {
                self.writer.dropped.fetch_add(1, Ordering::Relaxed);
                lines.clear();
                lines
            }
            Err(_) => Vec::new(),
        }
    }
}

impl Writer {
    fn written(&self, mut buffer: Vec<u8>, succeeded: bool) {
        if !succeeded {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        buffer.clear();
        let mut spare = lock(&self.spare);
        if spare.len() < MOST_SPARE {
            spare.push(buffer);
        }
    }
}

fn run(jobs: &Receiver<Job>, written: &dyn Fn(Vec<u8>, bool)) {
    while let Ok(job) = jobs.recv() {
        match job {
            Job::Write(destination, lines) => {
                let succeeded = write(&destination, &lines).is_ok();
                written(lines, succeeded);
            }
            // Whoever asked may have given up waiting.
            Job::Flush(done) => drop(done.send(())),
        }
    }
}

/// Opening a FIFO that nobody reads is an error instead of a wait; writing to one that nobody empties is the writer thread's wait.
fn open_file(path: &str) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new().append(true).create(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    Ok(file)
}

fn write(destination: &Destination, lines: &[u8]) -> io::Result<()> {
    match destination {
        Destination::File(file) => (&mut &*file).write_all(lines),
        Destination::Stdout => {
            let mut out = io::stdout().lock();
            out.write_all(lines)?;
            out.flush()
        }
        Destination::Stderr => io::stderr().lock().write_all(lines),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that is done under these locks can leave them half-changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::path::{Path, PathBuf};

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    fn fifo(folder: &Path) -> PathBuf {
        let path = folder.join("fifo");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        path
    }

    fn reader(fifo: &Path) -> File {
        OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(fifo).unwrap()
    }

    #[test]
    fn a_fifo_that_nobody_reads_is_an_error_and_not_a_wait() {
        let folder = tempfile::tempdir().unwrap();
        let path = fifo(folder.path());
        let sinks = AccessLogSinks::start().unwrap();
        let error = sinks.open(path.to_str().unwrap()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::NXIO.raw_os_error()));

        let mut reader = reader(&path);
        let sink = sinks.open(path.to_str().unwrap()).unwrap();
        sink.hand_over(b"line\n".to_vec());
        sinks.flush();
        let mut line = [0; 5];
        reader.read_exact(&mut line).unwrap();
        assert_eq!(&line, b"line\n");
    }

    #[test]
    fn a_log_that_nobody_empties_loses_counted_lines_and_holds_up_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = fifo(folder.path());
        let sinks = AccessLogSinks::start().unwrap();
        let reader = reader(&path);
        let stuck = sinks.open(path.to_str().unwrap()).unwrap();
        // More than the kernel takes for a pipe: the writer waits, and its queue fills up.
        while sinks.dropped() == 0 {
            stuck.hand_over(vec![b'a'; 128 * 1024]);
        }

        let other = folder.path().join("other");
        let other = sinks.open(other.to_str().unwrap()).unwrap();
        let dropped = sinks.dropped();
        other.hand_over(b"line\n".to_vec());
        assert_eq!(sinks.dropped(), dropped + 1);
        drop(reader);
    }
}
