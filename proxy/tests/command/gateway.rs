//! A running gateway, backends, and the smallest client that will do.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);

/// A folder with these files.
pub(crate) fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

/// A port that nobody listens on, and no other test gets: below those that the kernel gives to whoever asks for any (from 32768
/// on, `ip_local_port_range` in ip(7)), which it might give away again before the gateway takes it.
pub(crate) fn free_port() -> u16 {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + u16::try_from(std::process::id() % 400).unwrap() * 30;
    let mut ports = std::iter::repeat_with(|| first + GIVEN.fetch_add(1, Ordering::Relaxed));
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

/// The whole answer to a request on a connection of its own, if there is one.
pub(crate) fn get(port: u16, path: &str) -> Option<String> {
    get_from("127.0.0.1", port, path)
}

/// As [`get`], from another address of this host.
pub(crate) fn get_from(address: &str, port: u16, path: &str) -> Option<String> {
    let mut socket = TcpStream::connect((address, port)).ok()?;
    socket.set_read_timeout(Some(PATIENCE)).ok()?;
    write!(socket, "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// Waits for a condition.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "{what} did not happen");
        thread::sleep(Duration::from_millis(20));
    }
}

/// `selvedge run`; killed when dropped.
pub(crate) struct Gateway {
    process: Child,
    admin_port: u16,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Gateway {
    pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Self {
        Self::start(Command::new(super::SELVEDGE), free_port(), folder, arguments)
    }

    /// Started with a soft limit of so many open files, as a shell or a service manager does.
    pub(crate) fn run_with_soft_limit(open_files: u32, folder: &Path) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -Sn {open_files}; exec \"$@\""), "sh", super::SELVEDGE]);
        Self::start(shell, free_port(), folder, &[])
    }

    /// Started by a service manager that waits at this socket.
    pub(crate) fn notifying(folder: &Path, socket: &Path) -> Self {
        let mut command = Command::new(super::SELVEDGE);
        command.env("NOTIFY_SOCKET", socket);
        Self::start(command, free_port(), folder, &[])
    }

    /// Another one with the admin port of this one, as the next binary is started.
    pub(crate) fn next(&self, folder: &Path, arguments: &[&str]) -> Self {
        Self::start(Command::new(super::SELVEDGE), self.admin_port, folder, arguments)
    }

    fn start(mut command: Command, admin_port: u16, folder: &Path, arguments: &[&str]) -> Self {
        let readiness = arguments.iter().any(|argument| argument.starts_with("--readiness-port"));
        let concurrency = arguments.iter().any(|argument| argument.starts_with("--concurrency"));
        let mut process = command
            .args(["run", &format!("--admin-port={admin_port}"), "--config"])
            .arg(folder)
            .args(arguments)
            .args((!concurrency).then_some("--concurrency=2"))
            .args((!readiness).then_some("--readiness-port=0"))
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (stderr, collected) = (process.stderr.take().unwrap(), log.clone());
        let reader = thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut log = collected.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        Self { process, admin_port, log, reader: Some(reader) }
    }

    /// Its own log so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// The soft and the hard limit of its open files, as the system shows them.
    pub(crate) fn open_files_limits(&self) -> (String, String) {
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", self.process.id())).unwrap();
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
        let mut fields = line.split_whitespace().map(str::to_owned);
        (fields.next().unwrap(), fields.next().unwrap())
    }

    /// A page of the admin interface.
    pub(crate) fn admin_get(&self, path: &str) -> Option<String> {
        get(self.admin_port, path)
    }

    /// Waits for a condition.
    pub(crate) fn eventually(&self, what: &str, condition: impl Fn() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !condition() {
            assert!(Instant::now() < end, "{what} did not happen; the gateway says:\n{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    /// A signal by its name, such as `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Whether it has ended, and how.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().unwrap()
    }

    /// How it ended; its log is complete then.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let status = self.process.wait().unwrap();
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        status
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An HTTP server that answers every request with one word. Its thread ends with the test process.
pub(crate) struct Backend {
    pub(crate) port: u16,
    requests: Arc<AtomicUsize>,
}

impl Backend {
    pub(crate) fn start(word: &'static str) -> Self {
        let (backend, answer) = Self::holding(word);
        drop(answer);
        backend
    }

    /// It answers when the second value is dropped.
    pub(crate) fn holding(word: &'static str) -> (Self, MutexGuard<'static, ()>) {
        let gate: &'static Mutex<()> = Box::leak(Box::default());
        let closed = gate.lock().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(AtomicUsize::new(0));
        let count = requests.clone();
        thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let count = count.clone();
                thread::spawn(move || serve(socket, word, gate, &count));
            }
        });
        (Self { port, requests }, closed)
    }

    /// How many requests have arrived.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn serve(mut socket: TcpStream, word: &str, gate: &Mutex<()>, count: &AtomicUsize) {
    let mut reader = BufReader::new(socket.try_clone().unwrap());
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|length| length > 0) {
        if line == "\r\n" {
            count.fetch_add(1, Ordering::SeqCst);
            drop(gate.lock().unwrap());
            // In one piece: in several, each would wait until the one before has arrived.
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{word}", word.len());
            if socket.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
        line.clear();
    }
}
