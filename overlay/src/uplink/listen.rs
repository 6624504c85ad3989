//! Taking links that others dial.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::spawn_local;
use tokio::time::{sleep, sleep_until};

use super::pause::FIRST_PAUSE;
use super::serve;
use crate::descriptors;
use crate::enroll::EnrollServer;
use crate::handshakes::Handshakes;
use crate::identity::{Current, Identity};
use crate::link::code;
use crate::node::{Node, Peer, count};
use crate::strangers::{Seldom, SeldomOf, quoted};
use crate::transport::{self, Accepted, TransportError};

/// Takes the links that others dial, and those who want certificates if there is somebody who gives them, for as long as it runs. An edge takes those of
/// edges of its own tenant.
///
/// # Errors
/// The socket is of no use.
pub async fn listen(
    node: Rc<Node>,
    identity: Current,
    enrolling: Option<EnrollServer>,
    listener: TcpListener,
) -> io::Result<()> {
    let mut handshakes: Handshakes<Result<Accepted, TransportError>> = Handshakes::new(node.most_handshakes());
    let (refusals, failures, ends) = (Seldom::default(), Seldom::default(), Rc::new(SeldomOf::default()));
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
                if descriptors::is_kept(&stream, descriptors::first_kept()) {
                    count(&node.counters().handshakes_closed);
                    if let Some(left_out) = failures.happened() {
                        tracing::warn!(left_out, "who dials is closed until file descriptors are free");
                    }
                    continue;
                }
                let (current, hello, enrols) = (identity.borrow().clone(), node.hello(), enrolling.is_some());
                let is_full = handshakes.begin(from, |heard| async move {
                    transport::accept(&current, stream, hello, enrols, || heard.set(true)).await
                });
                if is_full {
                    count(&node.counters().handshakes_closed);
                }
            }
            () = sleep_until(handshakes.room_at()), if !handshakes.has_room() => {}
            done = handshakes.next() => match done {
                Ok((from, Ok(accepted))) => {
                    let identity = identity.borrow().clone();
                    spawn_local(take(node.clone(), identity, enrolling.clone(), from, accepted, ends.clone()));
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

async fn take(
    node: Rc<Node>,
    identity: Arc<Identity>,
    enrolling: Option<EnrollServer>,
    from: SocketAddr,
    accepted: Accepted,
    ends: Rc<SeldomOf>,
) {
    let (enrolled, enrolling) = match (accepted, enrolling) {
        (Accepted::Link(linked), _) => {
            let (peer, link, driver) = *linked;
            if !takes(identity.peer(), &peer) {
                count(&node.counters().handshakes_refused);
                link.close(code::FORBIDDEN, "an edge takes edges of its own tenant only");
                return drop(driver.run().await);
            }
            let (peer, end) = serve(&node, &identity, (peer, link, driver)).await;
            if let Some(left_out) = ends.happened(&peer) {
                tracing::info!(peer, left_out, "the link has ended: {end}");
            }
            return;
        }
        (Accepted::Join(stream), Some(enrolling)) => (enrolling.join(from, stream).await, enrolling),
        (Accepted::Renew(peer, stream), Some(enrolling)) => (enrolling.renew(&peer, from, stream).await, enrolling),
        // Nobody could ask for it.
        (Accepted::Join(_) | Accepted::Renew(..), None) => return,
    };
    if let Err(error) = enrolled {
        enrolling.not_answered(from, &error);
    }
}

/// Whether a node takes the links of another one.
fn takes(own: &Peer, other: &Peer) -> bool {
    match (own, other) {
        (Peer::Hub { .. }, _) => true,
        (Peer::Edge { name, tenant }, Peer::Edge { name: other, tenant: theirs }) => tenant == theirs && name != other,
        (Peer::Edge { .. }, Peer::Hub { .. }) => false,
    }
}

fn is_permanent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput)
}
