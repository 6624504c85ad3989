//! TLS on the receiving side: the handshake, and ciphertext on its way into the session.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::connection::Connection;
use super::secure::Secure;

impl Connection {
    pub(super) fn poll_handshake(self: &Rc<Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut guard = self.secure.borrow_mut();
        let Some(secure) = &mut *guard else { return Poll::Ready(Ok(())) };
        loop {
            self.queue_session(secure);
            if !secure.session.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            if !ready!(self.poll_open(context, secure))? {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    /// Receives ciphertext and opens it; `false` when the peer will send no more.
    pub(super) fn poll_open(self: &Rc<Self>, context: &mut Context<'_>, secure: &mut Secure) -> Poll<io::Result<bool>> {
        let opened = if secure.has_received() {
            secure.open_received(&self.io.blocks)
        } else {
            let mut ciphertext = self.io.ciphertext.borrow_mut();
            let count = ready!(self.poll_receive(context, |socket| socket.receive(&mut ciphertext)))?;
            if count == 0 {
                secure.end();
                return Poll::Ready(Ok(false));
            }
            secure.open(&ciphertext[..count], &self.io.blocks)
        };
        self.queue_session(secure);
        Poll::Ready(opened.map(|()| true))
    }

    /// Handshake messages, key updates and alerts are sent with the next flush.
    fn queue_session(self: &Rc<Self>, secure: &Secure) {
        if !secure.session.wants_write() {
            return;
        }
        let idle = {
            let output = self.output.borrow();
            !output.queued && !output.blocked && !output.dead
        };
        if idle {
            self.queue();
        }
    }
}
