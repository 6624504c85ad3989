//! A backend of everything that goes through the gateway: HTTP/1 requests, WebSockets, bytes of TCP.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Its threads end with the test process.
pub(crate) struct Backend {
    /// Answers requests, and echoes what follows an upgrade.
    pub(crate) http: u16,
    /// Echoes.
    pub(crate) tcp: u16,
    answered: Arc<AtomicUsize>,
}

impl Backend {
    pub(crate) fn start() -> Self {
        let answered = Arc::new(AtomicUsize::new(0));
        let count = answered.clone();
        let http = listen(move |socket| serve(socket, &count));
        let tcp = listen(|socket| echo(&socket, &socket));
        Self { http, tcp, answered }
    }

    /// Requests that were answered.
    pub(crate) fn answered(&self) -> usize {
        self.answered.load(Ordering::SeqCst)
    }
}

fn listen(serve: impl Fn(TcpStream) -> io::Result<()> + Clone + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let serve = serve.clone();
            // A client that goes away ends it.
            thread::spawn(move || drop(serve(socket)));
        }
    });
    port
}

fn serve(socket: TcpStream, answered: &AtomicUsize) -> io::Result<()> {
    let mut reader = BufReader::new(&socket);
    let (mut line, mut upgrade) = (String::new(), false);
    while reader.read_line(&mut line)? > 0 {
        upgrade |= line.to_ascii_lowercase().starts_with("upgrade:");
        if line == "\r\n" && upgrade {
            (&socket)
                .write_all(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")?;
            return echo(reader, &socket);
        }
        if line == "\r\n" {
            answered.fetch_add(1, Ordering::SeqCst);
            (&socket).write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none")?;
        }
        line.clear();
    }
    Ok(())
}

fn echo(mut from: impl io::Read, mut to: &TcpStream) -> io::Result<()> {
    let mut bytes = [0; 4096];
    loop {
        let count = from.read(&mut bytes)?;
        if count == 0 {
            return Ok(());
        }
        to.write_all(&bytes[..count])?;
    }
}
