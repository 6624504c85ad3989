//! Calls over a tunnel that was opened.

use std::rc::Rc;
use std::time::Duration;

use overlay_wire::call::{self, Answer, Call, Outcome};
use overlay_wire::mux::Urgency;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::CallError;
use crate::datagram::Channel;
use crate::link::{Link, LinkEnd, LinkStream};
use crate::stream::Way;

/// Time for a call's answer.
const ANSWER: Duration = Duration::from_secs(10);

/// A tunnel that was opened, and the way of the stream that it is in.
#[derive(Clone, Debug)]
pub(super) struct Tunnel {
    pub(super) link: Link,
    pub(super) way: Way,
    pub(super) datagrams: Rc<Channel>,
}

impl Tunnel {
    /// Whether calls can be made in it.
    pub(super) fn is_usable(&self) -> bool {
        self.link.end().is_none() && !self.link.is_leaving() && !self.way.is_lost()
    }

    pub(super) async fn call(&self, edge: &str, call: &Call) -> Result<LinkStream, CallError> {
        tokio::select! {
            biased;
            answered = timeout(ANSWER, connect(&self.link, call)) => answered.unwrap_or(Err(CallError::Timeout(ANSWER))),
            () = self.way.lost() => Err(CallError::away(edge)),
        }
    }
}

async fn connect(link: &Link, call: &Call) -> Result<LinkStream, CallError> {
    let broke = |error: &dyn std::error::Error| CallError::Broke(error.to_string());
    let mut stream = link.open(Urgency::default()).await.map_err(|end: LinkEnd| broke(&end))?;
    let mut bytes = Vec::new();
    call::put_call(&mut bytes, call);
    stream.write_all(&bytes).await.map_err(|error| broke(&error))?;
    bytes.clear();
    loop {
        match call::take_answer(&bytes).map_err(|error| broke(&error))? {
            Some((Answer { outcome: Outcome::Connected, .. }, _)) => return Ok(stream),
            Some((Answer { outcome, reason }, _)) => return Err(CallError::Refused { outcome, reason }),
            None => bytes.push(stream.read_u8().await.map_err(|error| broke(&error))?),
        }
    }
}
