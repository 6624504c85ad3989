//! Keeping links: an edge dials its hubs, again and again, and a hub takes who dials.

mod wanted;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng as _;
use tokio::net::{TcpListener, lookup_host};
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep, sleep_until};

use crate::enroll::EnrollServer;
use crate::handshakes::Handshakes;
use crate::identity::{Current, Identity};
use crate::link::{Link, LinkEnd, code};
use crate::node::{Node, Peer, count};
use crate::strangers::{Seldom, quoted};
use crate::transport::{self, Accepted, Linked, TransportError};

pub use self::wanted::keep_wanted;

/// Between two attempts, at first and at most, each with up to a half more at random, so that not all edges dial a hub that comes back at once.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A link that lived for so long was a good one: the next attempt follows at once.
const GOOD: Duration = Duration::from_secs(10);

/// What a peer hears that is let in no longer.
pub(crate) const REVOKED: &str = "revoked";

/// What a hub hears when a link to it is not used any more.
const NOT_USED: &str = "not used any more";

/// What a way is said to lack before it was tried.
const FIRST_TRY: &str = "is being dialled";

/// A way to a hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uplink {
    /// Where the hub is, as `host:port`; a name is looked up each time.
    pub hub: String,
    /// The address that this way begins at, where there are several.
    pub local: Option<IpAddr>,
}

impl fmt::Display for Uplink {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.local {
            Some(local) => write!(formatter, "{} from {local}", self.hub),
            None => formatter.write_str(&self.hub),
        }
    }
}

/// Keeps a link over an uplink for as long as it runs. While there is none, the node [says why](Node::pending).
///
/// Cancel safe: the link is closed.
pub async fn keep(node: Rc<Node>, identity: Current, uplink: Uplink) {
    let mut pause = FIRST_PAUSE;
    let way = uplink.to_string();
    node.set_pending(&way, FIRST_TRY);
    loop {
        let current = identity.borrow().clone();
        let begun = Instant::now();
        let problem = match dial(&node, &current, &uplink).await {
            Err(error) => {
                count(&node.counters().dials_failed);
                format!("no link: {error}")
            }
            Ok(linked) => {
                node.clear_pending(&way);
                let (hub, end) = serve(&node, &current, linked).await;
                format!("the link to {hub} has ended: {end}")
            }
        };
        tracing::warn!(hub = way, "{problem}");
        node.set_pending(&way, &problem);
        if begun.elapsed() >= GOOD {
            pause = FIRST_PAUSE;
        }
        sleep(pause + rand::rng().random_range(Duration::ZERO..pause / 2)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Dials whatever addresses the name has, until one answers.
async fn dial(node: &Node, identity: &Identity, uplink: &Uplink) -> Result<Linked, TransportError> {
    // A node that dials itself would find out that it is a hub.
    let expects = |peer: &Peer| matches!(peer, Peer::Hub { name } if name != node.name());
    let mut failure = TransportError::Connect(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    for address in lookup_host(&uplink.hub).await.map_err(TransportError::Connect)? {
        match transport::dial(identity, address, uplink.local, node.hello(), expects).await {
            Ok(linked) => return Ok(linked),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Takes the links that others dial, and those who want certificates, for as long as it runs.
///
/// # Errors
/// The socket is of no use.
pub async fn listen(
    node: Rc<Node>,
    identity: Current,
    enrolling: EnrollServer,
    listener: TcpListener,
) -> io::Result<()> {
    let mut handshakes: Handshakes<Result<Accepted, TransportError>> = Handshakes::default();
    let (refusals, failures) = (Seldom::default(), Seldom::default());
    loop {
        tokio::select! {
            accepted = listener.accept(), if handshakes.has_room() => {
                let (stream, from) = match accepted {
                    Ok(accepted) => accepted,
                    Err(error) if is_permanent(&error) => return Err(error),
                    Err(error) => {
                        if let Some(left_out) = failures.happened() {
                            tracing::warn!(left_out, "cannot accept: {error}");
                        }
                        sleep(FIRST_PAUSE).await;
                        continue;
                    }
                };
                let (current, hello) = (identity.borrow().clone(), node.hello());
                let is_full = handshakes.begin(from, |heard| async move {
                    transport::accept(&current, stream, hello, || heard.set(true)).await
                });
                if is_full {
                    count(&node.counters().handshakes_closed);
                }
            }
            () = sleep_until(handshakes.room_at()), if !handshakes.has_room() => {}
            done = handshakes.next() => match done {
                Ok((from, Ok(accepted))) => {
                    spawn_local(take(node.clone(), identity.borrow().clone(), enrolling.clone(), from, accepted));
                }
                Ok((from, Err(error))) => {
                    count(&node.counters().handshakes_refused);
                    if let Some(left_out) = refusals.happened() {
                        tracing::warn!(%from, left_out, "not let in: {}", quoted(&error));
                    }
                }
                Err(error) => tracing::error!("a handshake: {error}"),
            }
        }
    }
}

async fn take(node: Rc<Node>, identity: Arc<Identity>, enrolling: EnrollServer, from: SocketAddr, accepted: Accepted) {
    let enrolled = match accepted {
        Accepted::Link(linked) => {
            let (peer, end) = serve(&node, &identity, *linked).await;
            return tracing::info!(peer, "the link has ended: {end}");
        }
        Accepted::Join(stream) => enrolling.join(from, stream).await,
        Accepted::Renew(peer, stream) => enrolling.renew(&peer, from, stream).await,
    };
    if let Err(error) = enrolled {
        enrolling.not_answered(from, &error);
    }
}

/// Uses a link for as long as it lives, or until its peer is let in no longer.
async fn serve(node: &Rc<Node>, identity: &Identity, (peer, link, driver): Linked) -> (String, LinkEnd) {
    let name = peer.name().to_owned();
    tracing::info!(peer = name, "linked");
    let _open = Open(link.clone());
    spawn_local(driver.run());
    let mut serving = pin!(node.clone().serve(peer.clone(), link.clone()));
    let end = tokio::select! {
        end = &mut serving => end,
        () = identity.trust().denied(&peer) => {
            link.close(code::FORBIDDEN, REVOKED);
            serving.await
        }
    };
    (name, end)
}

/// Closes a link when it is dropped; one that has ended stays as it is.
struct Open(Link);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.close(code::GOING_AWAY, NOT_USED);
    }
}

fn is_permanent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput)
}
