//! The files that logs go to, and the thread that writes them.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use hashbrown::HashMap;

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
    Open(usize, Destination),
    Write(usize, Vec<u8>),
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

    /// The file at `path`, opened for appending at first use.
    ///
    /// # Errors
    /// It cannot be opened, or the writer is gone.
    pub fn open(&self, path: &str) -> io::Result<Arc<Sink>> {
        let mut open = lock(&self.open);
        if let Some(sink) = open.get(path) {
            return Ok(sink.clone());
        }
        let destination = match path {
            "/dev/stdout" => Destination::Stdout,
            "/dev/stderr" => Destination::Stderr,
            path => Destination::File(OpenOptions::new().append(true).create(true).open(path)?),
        };
        let sink = Arc::new(Sink { index: open.len(), writer: self.writer.clone() });
        let job = Job::Open(sink.index, destination);
        self.writer.queue.send(job).map_err(|_| io::Error::other("the log writer is gone"))?;
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
        match self.writer.queue.try_send(Job::Write(self.index, lines)) {
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
    let mut files: HashMap<usize, Destination> = HashMap::new();
    while let Ok(job) = jobs.recv() {
        match job {
            Job::Open(index, destination) => drop(files.insert(index, destination)),
            Job::Write(index, lines) => {
                let succeeded = files.get_mut(&index).is_some_and(|file| write(file, &lines).is_ok());
                written(lines, succeeded);
            }
            // Whoever asked may have given up waiting.
            Job::Flush(done) => drop(done.send(())),
        }
    }
}

fn write(destination: &mut Destination, lines: &[u8]) -> io::Result<()> {
    match destination {
        Destination::File(file) => file.write_all(lines),
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
