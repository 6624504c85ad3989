//! The connection between the two processes: packets over a Unix socket, with descriptors (`SCM_RIGHTS`, unix(7)).
//!
//! `SOCK_SEQPACKET` keeps each message and its descriptors together. The runtime's types for stream sockets drive it: they look at
//! readiness alone, and the packets are sent and received here.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::UnixStream;

use super::message::{MOST_ITEMS, Message};

/// Bytes of a message that are read. Names in it are short.
const MAX_PACKET: usize = 128 * 1024;

/// A connection to the other process.
#[derive(Debug)]
pub(super) struct Channel {
    stream: UnixStream,
    /// The other process: its number, 0 if it is not of our namespace, and its user.
    pub(super) peer: Peer,
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) pid: i32,
    pub(super) user: u32,
}

/// Why there is no next message.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReceiveError {
    #[error("it has gone away")]
    Gone,
    #[error("it says something that is no message of ours")]
    Foreign,
    #[error("the limit of open files leaves no room for its sockets")]
    Descriptors,
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// A socket for packets, without name.
pub(super) fn socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

impl Channel {
    /// Connects to whoever listens at the path. Waits for nobody: a queue that is full is an error.
    pub(super) fn connect(path: &Path) -> io::Result<Self> {
        let socket = socket()?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
        let stream = std::os::unix::net::UnixStream::from(socket);
        Self::new(UnixStream::from_std(stream)?)
    }

    /// An accepted connection, or one made by [`Self::connect`].
    pub(super) fn new(stream: UnixStream) -> io::Result<Self> {
        let credentials = stream.peer_cred()?;
        let peer = Peer { pid: credentials.pid().unwrap_or_default(), user: credentials.uid() };
        Ok(Self { stream, peer })
    }

    pub(super) async fn send(&self, message: &Message) -> io::Result<()> {
        self.send_with(message, &[]).await
    }

    /// Sends a message with at most [`MOST_ITEMS`] descriptors.
    pub(super) async fn send_with(&self, message: &Message, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let packet = message.encode();
        self.stream.async_io(Interest::WRITABLE, || self.try_send(&packet, descriptors)).await
    }

    fn try_send(&self, packet: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_ITEMS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::Error::other("too many descriptors for one message"));
        }
        rustix::net::sendmsg(&self.stream, &[IoSlice::new(packet)], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// The next message and its descriptors.
    pub(super) async fn receive(&self) -> Result<(Message, Vec<OwnedFd>), ReceiveError> {
        let mut packet = vec![0; MAX_PACKET];
        let received = self.stream.async_io(Interest::READABLE, || self.try_receive(&mut packet)).await;
        let (length, flags, descriptors) = match received {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Err(ReceiveError::Gone),
            Err(error) => return Err(error.into()),
        };
        if flags.contains(ReturnFlags::CTRUNC) {
            return Err(ReceiveError::Descriptors);
        }
        match packet.get(..length) {
            None | Some([]) => Err(ReceiveError::Gone),
            Some(packet) => Ok((Message::decode(packet).ok_or(ReceiveError::Foreign)?, descriptors)),
        }
    }

    fn try_receive(&self, packet: &mut [u8]) -> io::Result<(usize, ReturnFlags, Vec<OwnedFd>)> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_ITEMS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received =
            rustix::net::recvmsg(&self.stream, &mut [IoSliceMut::new(packet)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
        let rights = control.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        });
        Ok((received.bytes, received.flags, rights.flatten().collect()))
    }

    /// Says that nothing more will be said. The other process goes on being heard, by its end above all.
    pub(super) fn say_no_more(&self) {
        // If that fails the other process has gone.
        drop(SockRef::from(&self.stream).shutdown(Shutdown::Write));
    }

    /// Returns when the other process has closed its end.
    pub(super) async fn gone(&self) {
        // What it may say before does not matter.
        while self.receive().await.is_ok() {}
    }

    /// Returns when the other process has ended, and not only said that it says no more.
    pub(super) async fn ended(&self) {
        let look = || {
            let mut ends = [PollFd::new(&self.stream, PollFlags::empty())];
            rustix::event::poll(&mut ends, Some(&Timespec::default()))?;
            if ends[0].revents().contains(PollFlags::HUP) { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
        };
        // That it cannot be looked at is no end: a process that waits for one waits on.
        if self.stream.async_io(Interest::WRITABLE, look).await.is_err() {
            std::future::pending().await
        }
    }

    /// Returns when the other process has closed its end, or says anything more.
    pub(super) async fn closed(&self) {
        // What it is does not matter.
        drop(self.receive().await);
    }
}
