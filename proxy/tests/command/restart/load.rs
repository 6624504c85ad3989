//! Clients that ask all the time and forgive nothing.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};

/// Speaks to a port until it is told to stop, and counts.
type Client = fn(u16, &Shared, &AtomicUsize) -> io::Result<()>;

const PATIENCE: Duration = Duration::from_secs(20);
/// How long a process that serves a folder goes on when it has handed over; connections over the overlay end before the others.
pub(crate) const DRAINED: Duration = Duration::from_millis(4500);

/// Running clients.
pub(crate) struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    over: AtomicBool,
    /// Answers by kind of client.
    answers: [AtomicUsize; KINDS.len()],
    failures: Mutex<Vec<String>>,
}

const KINDS: [&str; 3] = ["new connections", "keep-alive", "HTTP/2"];

impl Load {
    /// On the HTTP port.
    pub(crate) fn start(port: u16) -> Self {
        let shared = Arc::<Shared>::default();
        let clients: [Client; KINDS.len()] = [new_connection, kept_alive, http2_connection];
        let start = |kind: usize| {
            let (shared, client) = (shared.clone(), clients[kind]);
            thread::spawn(move || {
                while !shared.is_over() {
                    if let Err(error) = client(port, &shared, &shared.answers[kind]) {
                        shared.failures.lock().unwrap().push(format!("{}: {error}", KINDS[kind]));
                    }
                }
            })
        };
        let threads = [0, 0, 1, 1, 2].map(start).into();
        Self { shared, threads }
    }

    /// Waits until every kind of client has got so many more answers.
    pub(crate) fn go_on(&self, answers: usize) {
        let before = self.shared.answers();
        let end = Instant::now() + PATIENCE;
        while self.shared.answers().iter().zip(before).any(|(now, before)| now - before < answers) {
            assert!(Instant::now() < end, "no answers any more: {:?}", self.shared.failures());
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Ends it. Nothing has failed. Returns how many answers there were.
    pub(crate) fn finish(self) -> usize {
        self.shared.over.store(true, Ordering::SeqCst);
        let Self { shared, threads } = self;
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(shared.failures(), Vec::<String>::new());
        shared.answers().iter().sum()
    }
}

impl Shared {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    fn answers(&self) -> [usize; KINDS.len()] {
        self.answers.each_ref().map(|answers| answers.load(Ordering::SeqCst))
    }

    fn failures(&self) -> Vec<String> {
        self.failures.lock().unwrap().clone()
    }
}

/// A connection for each request.
fn new_connection(port: u16, _: &Shared, answers: &AtomicUsize) -> io::Result<()> {
    let mut socket = connect(port)?;
    socket.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    if !answer.starts_with("HTTP/1.1 200 ") || !answer.ends_with("one") {
        return Err(io::Error::other(format!("answer: {answer:?}")));
    }
    answers.fetch_add(1, Ordering::SeqCst);
    Ok(())
}

/// One request after the other until the gateway says that it closes.
fn kept_alive(port: u16, shared: &Shared, answers: &AtomicUsize) -> io::Result<()> {
    let socket = connect(port)?;
    let mut reader = BufReader::new(&socket);
    while !shared.is_over() {
        (&socket).write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")?;
        let mut head = Vec::new();
        while head.last().is_none_or(|line: &String| line != "\r\n") {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Err(io::Error::other(format!("closed in the head: {head:?}")));
            }
            head.push(line.to_ascii_lowercase());
        }
        let mut body = [0; 3];
        reader.read_exact(&mut body)?;
        if !head[0].starts_with("http/1.1 200 ") || &body != b"one" {
            return Err(io::Error::other(format!("answer: {head:?} {body:?}")));
        }
        answers.fetch_add(1, Ordering::SeqCst);
        if head.iter().any(|line| line == "connection: close\r\n") {
            return Ok(());
        }
    }
    Ok(())
}

/// Requests on one connection, several at a time, until the gateway says that it leaves.
fn http2_connection(port: u16, shared: &Shared, answers: &AtomicUsize) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let socket = TokioIo::new(tokio::net::TcpStream::connect(("127.0.0.1", port)).await?);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), socket).await.map_err(io::Error::other)?;
        let connection = tokio::spawn(connection);
        let requests: [_; 4] = std::array::from_fn(|_| requests(sender.clone(), shared, answers));
        drop(sender);
        let [first, second, third, fourth] = requests;
        let outcomes = tokio::join!(first, second, third, fourth);
        [outcomes.0, outcomes.1, outcomes.2, outcomes.3].into_iter().collect::<Result<(), _>>()?;
        connection.await?.map_err(io::Error::other)
    })
}

async fn requests(
    mut sender: http2::SendRequest<Empty<Bytes>>,
    shared: &Shared,
    answers: &AtomicUsize,
) -> io::Result<()> {
    // Not ready: the gateway has said goodbye.
    while !shared.is_over() && sender.ready().await.is_ok() {
        let request = http::Request::get("http://a/").body(Empty::new()).map_err(io::Error::other)?;
        let answer = match sender.send_request(request).await {
            Ok(answer) => answer,
            // It was not sent: the goodbye came first.
            Err(error) if error.is_canceled() => return Ok(()),
            Err(error) => return Err(io::Error::other(format!("{error:?}"))),
        };
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
        if status != 200 || body != "one" {
            return Err(io::Error::other(format!("answer: {status} {body:?}")));
        }
        answers.fetch_add(1, Ordering::SeqCst);
    }
    Ok(())
}

fn connect(port: u16) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(("127.0.0.1", port))?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// A connection whose bytes come back: a WebSocket, or TCP.
pub(crate) struct Stream(TcpStream);

impl Stream {
    pub(crate) fn tcp(port: u16) -> Self {
        Self(connect(port).unwrap())
    }

    pub(crate) fn web_socket(port: u16) -> Self {
        let mut socket = connect(port).unwrap();
        let request = "GET /socket HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                       sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        socket.write_all(request.as_bytes()).unwrap();
        let (mut answer, mut byte) = (Vec::new(), [0]);
        while !answer.ends_with(b"\r\n\r\n") {
            socket.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
        Self(socket)
    }

    /// Whether it is alive: what is sent comes back.
    pub(crate) fn echoes(&mut self) -> bool {
        let mut bytes = [0; 5];
        self.0.write_all(b"hello").is_ok() && self.0.read_exact(&mut bytes).is_ok() && &bytes == b"hello"
    }

    /// Whether it is alive, as it must be until its process has drained since it was about to hand over.
    pub(crate) fn lives(&mut self, since: Instant) -> bool {
        self.echoes() || since.elapsed() >= DRAINED
    }

    /// Waits until the gateway closes it.
    pub(crate) fn closes(mut self) {
        let mut rest = Vec::new();
        // A reset ends it, too; only silence is an error.
        if let Err(error) = self.0.read_to_end(&mut rest) {
            assert!(!matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut), "never closed");
        }
    }
}
