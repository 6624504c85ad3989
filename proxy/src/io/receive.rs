//! Receiving from a socket, with as little asking of the runtime as possible.

use std::future::Future as _;
use std::io;
use std::os::fd::AsFd;
use std::pin::pin;
use std::ptr;
use std::task::{Context, Poll, Waker};

use rustix::net::{RecvFlags, recv};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::task::coop::has_budget_remaining;

use super::connection::Connection;
use super::socket::Socket;

impl Connection {
    /// Receives by `receive`, which is called when the worker has heard that there may be something.
    pub(super) fn poll_receive(
        &self,
        context: &mut Context<'_>,
        mut receive: impl FnMut(&Socket) -> io::Result<Received>,
    ) -> Poll<io::Result<usize>> {
        let received = match &self.socket {
            Socket::Epoll(socket) => self.poll_registered(context, socket, || receive(&self.socket)),
            Socket::Ring(socket) => socket.poll_receive(context, || receive(&self.socket)),
            Socket::Overlay(socket) => socket.poll_receive(context, || receive(&self.socket)),
        };
        if let Poll::Ready(Err(error)) = &received {
            self.broke(error);
        }
        received
    }

    /// As [`Self::poll_receive`], when the runtime has heard of it.
    pub(super) fn poll_registered(
        &self,
        context: &mut Context<'_>,
        socket: &TcpStream,
        mut receive: impl FnMut() -> io::Result<Received>,
    ) -> Poll<io::Result<usize>> {
        let task = context.waker().data();
        loop {
            let awaiting = self.awaiting.replace(ptr::null()) == task;
            if !awaiting && socket.poll_read_ready(context)?.is_pending() {
                // Who has used up its turn is not waiting, although it is told to.
                if has_budget_remaining() {
                    self.awaiting.set(task);
                }
                return Poll::Pending;
            }
            match try_receive(socket, &mut receive) {
                Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
                Some(result) => return Poll::Ready(result),
                None if awaiting => {
                    self.awaiting.set(task);
                    return Poll::Pending;
                }
                None => {}
            }
        }
    }

    /// Whether the peer has closed its side, as far as the worker heard; no system call. There may be bytes before the end.
    pub(super) fn is_peer_done(&self) -> bool {
        match &self.socket {
            Socket::Epoll(socket) => {
                let ready = pin!(socket.ready(Interest::READABLE));
                let known = ready.poll(&mut Context::from_waker(Waker::noop()));
                matches!(known, Poll::Ready(Ok(ready)) if ready.is_read_closed())
            }
            Socket::Ring(socket) => socket.is_peer_done(),
            Socket::Overlay(socket) => socket.is_peer_done(),
        }
    }
}

/// Receives unless there is nothing, as far as the runtime has heard.
fn try_receive(socket: &TcpStream, receive: &mut impl FnMut() -> io::Result<Received>) -> Option<io::Result<usize>> {
    let (mut asked, mut count) = (false, None);
    let result = socket.try_io(Interest::READABLE, || {
        asked = true;
        let received = receive()?;
        count = Some(received.count);
        // The runtime hears without another system call that this was all.
        if received.is_all { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    match count {
        Some(count) => Some(Ok(count)),
        None => asked.then(|| result.map(|()| 0)),
    }
}

/// What one receive took.
#[derive(Clone, Copy)]
pub(super) struct Received {
    pub(super) count: usize,
    /// There was room for more, and it is not the end.
    pub(super) is_all: bool,
}

impl Received {
    /// Of what the socket had, if not all of it could be told from this.
    pub(super) fn perhaps_more(count: usize) -> Self {
        Self { count, is_all: false }
    }
}

/// Receives once.
pub(super) fn receive(socket: impl AsFd, into: &mut [u8]) -> io::Result<Received> {
    let room = into.len();
    let (count, _) = recv(socket, into, RecvFlags::empty())?;
    Ok(Received { count, is_all: (1..room).contains(&count) })
}
