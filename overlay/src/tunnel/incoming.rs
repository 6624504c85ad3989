//! A call of another edge, until it is answered.

use std::io;
use std::rc::Rc;

use overlay_wire::call::{self, Call, Outcome};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::datagram::{Channel, Flow};
use crate::link::LinkStream;
use crate::node::Peer;

/// A connection that an edge wants to have to a service here.
#[derive(Debug)]
pub struct Incoming {
    /// The edge.
    pub peer: Peer,
    /// What it wants.
    pub call: Call,
    /// To be answered by [`Incoming::answer`] first of all, or by [`Incoming::open_flow`].
    pub(super) stream: LinkStream,
    pub(super) datagrams: Rc<Channel>,
}

impl Incoming {
    /// Answers. If [connected](Outcome::Connected), what comes and goes now are the connection's own bytes.
    ///
    /// # Errors
    /// The tunnel broke.
    pub async fn answer(mut self, outcome: Outcome, reason: &str) -> io::Result<LinkStream> {
        let mut bytes = Vec::new();
        call::put_answer(&mut bytes, outcome, reason);
        self.stream.write_all(&bytes).await?;
        if outcome != Outcome::Connected {
            self.stream.shutdown().await?;
        }
        Ok(self.stream)
    }

    /// Answers that the service has the flow, and begins it.
    ///
    /// # Errors
    /// The tunnel broke.
    pub async fn open_flow(self) -> io::Result<Flow> {
        // What follows the answer may overtake it.
        let mut flow = self.datagrams.flow(self.stream);
        let mut bytes = Vec::new();
        call::put_answer(&mut bytes, Outcome::Connected, "");
        flow.stream_mut().write_all(&bytes).await?;
        Ok(flow)
    }
}

/// One byte after the other, so that nothing is taken of what follows.
pub(super) async fn take_call(mut stream: LinkStream) -> io::Result<(Call, LinkStream)> {
    let mut bytes = Vec::new();
    loop {
        match call::take_call(&bytes).map_err(io::Error::other)? {
            Some((call, _)) => return Ok((call, stream)),
            None => bytes.push(stream.read_u8().await?),
        }
    }
}
