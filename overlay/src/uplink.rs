//! Keeping links: an edge dials its hubs, again and again, and other edges that can be dialled; a hub, and such an edge, takes who dials.

mod direct;
mod listen;
mod look_up;
mod may_dial;
mod pause;
mod troubles;
mod wanted;

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::task::spawn_local;
use tokio::time::Instant;

use self::pause::Pause;
use self::troubles::Troubles;
use crate::identity::{Current, Identity};
use crate::link::{Link, LinkEnd, code};
use crate::node::{Node, Peer, count};
use crate::transport::{self, Linked, TransportError};

pub use self::direct::{DirectEdge, keep_direct};
pub use self::listen::listen;
pub use self::may_dial::MayDial;
pub use self::wanted::keep_wanted;

/// Between two attempts to reach a hub.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What a peer hears that is let in no longer.
pub(crate) const REVOKED: &str = "revoked";

/// What a node hears when a link to it is not used any more.
pub(crate) const NOT_USED: &str = "not used any more";

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
    let (mut pause, mut troubles) = (Pause::up_to(LONGEST_PAUSE), Troubles::default());
    let way = uplink.to_string();
    node.set_pending(&way, FIRST_TRY);
    loop {
        let current = identity.borrow().clone();
        // A node that dials itself would find out that it is a hub.
        let expects = |peer: &Peer| matches!(peer, Peer::Hub { name } if name != node.name());
        let problem = match dial(&node, &current, &uplink.hub, uplink.local, expects).await {
            Err(error) => {
                count(&node.counters().dials_failed);
                format!("no link: {error}")
            }
            Ok(linked) => {
                node.clear_pending(&way);
                let came = Instant::now();
                let (hub, end) = serve(&node, &current, linked).await;
                pause.link_ended(came);
                format!("the link to {hub} has ended: {end}")
            }
        };
        if let Some(left_out) = troubles.happened(&problem) {
            tracing::warn!(hub = way, left_out, "{problem}");
        }
        node.set_pending(&way, &problem);
        pause.pass().await;
    }
}

/// Dials whatever addresses the name has, until one answers.
async fn dial(
    node: &Node,
    identity: &Identity,
    host: &str,
    local: Option<IpAddr>,
    expects: impl Fn(&Peer) -> bool,
) -> Result<Linked, TransportError> {
    let mut failure = TransportError::Connect(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    for address in lookup_host(host).await.map_err(TransportError::Connect)? {
        match transport::dial(identity, address, local, node.hello(), &expects).await {
            Ok(linked) => return Ok(linked),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Uses a link for as long as it lives, or until its peer is let in no longer.
async fn serve(node: &Rc<Node>, identity: &Identity, (peer, link, driver): Linked) -> (String, LinkEnd) {
    let name = peer.name().to_owned();
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
