//! A TLS session inside a connection: sealed when output is flushed, opened when input is read.

use std::io::{self, BufRead, Read, Write};

use rustls::Connection as Session;
use tokio::net::TcpStream;

use super::output::Output;
use super::socket::Socket;
use super::{Blocks, Io};

/// Sealed at most at a time, so that a slow peer does not make us hold everything twice.
const SEAL_SIZE: usize = 64 * 1024;

/// A session and the ciphertext that waits for it.
#[derive(Debug)]
pub(super) struct Secure {
    pub(super) session: Session,
    received: Vec<u8>,
    opened: usize,
}

impl Secure {
    /// `received` is the beginning of the ciphertext, if some of it was read ahead.
    pub(super) fn new(mut session: Session, received: &[u8]) -> Self {
        session.set_buffer_limit(None);
        Self { session, received: received.to_vec(), opened: 0 }
    }

    /// Takes plaintext that was opened already; `None` if there is none. 0 is the end of the stream.
    ///
    /// A connection cut without `close_notify` counts as ended: HTTP has its own framing.
    pub(super) fn take_plaintext(&mut self, into: &mut [u8]) -> Option<io::Result<usize>> {
        match self.session.reader().read(into) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Some(Ok(0)),
            result => Some(result),
        }
    }

    /// Whether there is something to take: plaintext, or the end of the stream.
    pub(super) fn has_plaintext(&mut self) -> bool {
        !matches!(self.session.reader().fill_buf(), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Whether ciphertext waits that was received before.
    pub(super) fn has_received(&self) -> bool {
        self.opened < self.received.len()
    }

    /// Opens ciphertext that was received before.
    pub(super) fn open_received(&mut self, blocks: &Blocks) -> io::Result<()> {
        let received = std::mem::take(&mut self.received);
        let result = open(&mut self.session, received.get(self.opened..).unwrap_or_default());
        if let Ok(left) = result {
            self.opened = received.len() - left;
        }
        if result.is_err() || self.opened == received.len() {
            self.opened = 0;
            blocks.give_output(received);
        } else {
            self.received = received;
        }
        result.map(drop)
    }

    /// Opens ciphertext from the socket; what cannot be opened before plaintext is taken is kept.
    pub(super) fn open(&mut self, ciphertext: &[u8], blocks: &Blocks) -> io::Result<()> {
        let left = open(&mut self.session, ciphertext)?;
        if left > 0 {
            self.received = blocks.take_large_output();
            self.received.extend_from_slice(&ciphertext[ciphertext.len() - left..]);
            self.opened = 0;
        }
        Ok(())
    }

    /// Tells the session that the peer sent its last byte.
    pub(super) fn end(&mut self) {
        // An empty source can neither fail nor block.
        drop(self.session.read_tls(&mut io::empty()));
    }

    /// Seals and sends; `Ok(false)` when the socket takes no more.
    pub(super) fn send(&mut self, socket: &TcpStream, output: &mut Output, io: &Io) -> io::Result<bool> {
        let mut socket = Registered(socket);
        loop {
            while self.session.wants_write() {
                match self.session.write_tls(&mut socket) {
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                    Err(error) => return Err(error),
                }
            }
            output.under_way = 0;
            let unsent = output.unsent();
            if unsent.is_empty() {
                return Ok(true);
            }
            let count = self.session.writer().write(&unsent[..unsent.len().min(SEAL_SIZE)])?;
            output.advance(count, &io.blocks);
            output.under_way = count;
        }
    }

    /// Seals into `sealed`, more than [`SEAL_SIZE`] by one piece at most.
    pub(super) fn seal(&mut self, output: &mut Output, sealed: &mut Vec<u8>, blocks: &Blocks) -> io::Result<()> {
        loop {
            while self.session.wants_write() {
                self.session.write_tls(sealed)?;
            }
            let unsent = output.unsent();
            if unsent.is_empty() || sealed.len() >= SEAL_SIZE {
                return Ok(());
            }
            let count = self.session.writer().write(&unsent[..unsent.len().min(SEAL_SIZE)])?;
            output.advance(count, blocks);
            output.under_way += count;
        }
    }

    /// Says goodbye; the alert is sent if the socket takes it at once.
    pub(super) fn close(&mut self, socket: &Socket) {
        self.session.send_close_notify();
        let mut alert = Vec::new();
        // The peer sees the end of the connection in any case.
        drop(self.session.write_tls(&mut alert).and_then(|_| socket.try_send(&alert)));
    }
}

/// Opens until there is plaintext to take; returns how many bytes are left.
fn open(session: &mut Session, mut ciphertext: &[u8]) -> io::Result<usize> {
    while !ciphertext.is_empty() {
        if session.read_tls(&mut ciphertext)? == 0 {
            return Ok(0); // after close_notify nothing counts
        }
        let state = session.process_new_packets().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        if state.plaintext_bytes_to_read() > 0 {
            break;
        }
    }
    Ok(ciphertext.len())
}

/// A socket that never waits, as rustls wants it.
struct Registered<'socket>(&'socket TcpStream);

impl Write for Registered<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, parts: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(parts)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::pki_types::{PrivateKeyDer, ServerName};
    use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

    use super::*;

    /// A client and a server that have shaken hands; what the server sends afterwards is its tickets.
    fn pair() -> (ClientConnection, ServerConnection) {
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let server = ServerConfig::builder().with_no_client_auth();
        let server = server.with_single_cert(vec![cert.der().clone()], key).unwrap();
        let mut server = ServerConnection::new(Arc::new(server)).unwrap();
        let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let mut client = ClientConnection::new(Arc::new(client), ServerName::try_from("a.test").unwrap()).unwrap();
        while client.is_handshaking() || server.is_handshaking() {
            let mut wire = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut wire).unwrap();
            }
            server.read_tls(&mut wire.as_slice()).unwrap();
            server.process_new_packets().unwrap();
            let mut wire = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut wire).unwrap();
            }
            client.read_tls(&mut wire.as_slice()).unwrap();
            client.process_new_packets().unwrap();
        }
        (client, server)
    }

    #[test]
    fn plaintext_that_was_not_taken_is_noticed() {
        let (client, mut server) = pair();
        let mut secure = Secure::new(Session::Client(client), &[]);
        assert!(!secure.has_plaintext(), "nothing was sent");
        server.writer().write_all(&[b'x'; 100]).unwrap();
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        secure.open(&wire, &Blocks::default()).unwrap();
        let mut part = [0; 60];
        assert_eq!(secure.take_plaintext(&mut part).unwrap().unwrap(), 60);
        assert!(secure.has_plaintext(), "40 bytes are left");
        assert_eq!(secure.take_plaintext(&mut part).unwrap().unwrap(), 40);
        assert!(!secure.has_plaintext(), "all was taken");
        secure.end();
        assert!(secure.has_plaintext(), "the end is something to take");
    }
}
