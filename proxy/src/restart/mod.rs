//! Replacing the process by another one, of a new version or with other flags, without refusing a client.
//!
//! Both processes are started with the same `--handover-socket`. The new one finds the old one behind it, gets all of its listening
//! sockets, and gets ready without accepting from them. Then it begins to accept and says so; the old one stops, and drains. The
//! sockets are never closed in between, so what waits in their queues is served by one of the two.
//!
//! `take_over` is what the new process does, `hand_over` what the old one does, `message` what they say to each other.

mod channel;
mod hand_over;
mod lacking;
mod message;
mod service_manager;
mod socket_file;
mod take_over;

use std::convert::Infallible;
use std::future::pending;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

pub use self::hand_over::{Estate, HandedOver, MeetingPoint};
pub use self::service_manager::notify_ready;
pub use self::socket_file::SocketFile;
pub use self::take_over::Predecessor;

/// How long either side may take to answer what it can answer at once.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Which of the processes that follow each other this is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Epoch {
    /// Whether there may be another one after it.
    pub has_handover_socket: bool,
    /// How many there were before.
    pub number: u64,
    /// How long they served when this one began.
    pub served_before: Duration,
}

/// As Envoy shows it: processes of the same version can take over from each other.
pub fn version(epoch: Epoch) -> String {
    match epoch.has_handover_socket {
        true => message::PROTOCOL.to_string(),
        false => "disabled".to_owned(),
    }
}

/// Listening sockets of the process before.
#[derive(Debug, Default)]
pub struct Inherited {
    /// Those of listeners, one for each of its workers.
    pub listeners: Vec<(SocketAddr, TcpListener)>,
    /// Those of the admin interface.
    pub own: Vec<(SocketAddr, TcpListener)>,
}

/// A process's position in the row of those that follow each other.
#[derive(Debug)]
pub enum Position {
    /// It is in none.
    Alone,
    /// It is the one to take over from.
    Last(MeetingPoint),
    /// It is to take over.
    After(Box<Predecessor>),
}

/// Looks who is behind the path, and gets its sockets.
///
/// # Errors
/// The path cannot be used, or who is behind it gives nothing away; the error names both.
pub async fn begin(path: Option<&Path>) -> anyhow::Result<(Position, Inherited)> {
    let Some(path) = path else { return Ok((Position::Alone, Inherited::default())) };
    match socket_file::find(path).await? {
        socket_file::Found::Nobody(file) => Ok((Position::Last(MeetingPoint::new(file)), Inherited::default())),
        socket_file::Found::Somebody(channel) => {
            let (predecessor, inherited) = Predecessor::meet(channel, path).await?;
            Ok((Position::After(Box::new(predecessor)), inherited))
        }
    }
}

impl Position {
    /// Which process this is.
    pub fn epoch(&self) -> Epoch {
        match self {
            Self::Alone => Epoch::default(),
            Self::Last(_) => Epoch { has_handover_socket: true, ..Epoch::default() },
            Self::After(predecessor) => predecessor.next_epoch(),
        }
    }

    /// Takes over where that is due, and then returns when another process has taken over from this one.
    ///
    /// # Errors
    /// This process cannot take over; the one before it goes on.
    pub async fn hold(&mut self, estate: &Estate) -> anyhow::Result<HandedOver> {
        let mut before = None;
        if let Self::After(predecessor) = self {
            let (parting, file) = predecessor.take_over(estate).await?;
            let position = file.map_or(Self::Alone, |file| Self::Last(MeetingPoint::new(file)));
            if let Self::After(predecessor) = std::mem::replace(self, position) {
                before = Some((predecessor, parting));
            }
        }
        let succeeded = async {
            match self {
                Self::Last(point) => point.serve(estate).await,
                Self::Alone | Self::After(_) => pending().await,
            }
        };
        let outlived = async {
            match before {
                Some((predecessor, parting)) => predecessor.outlive(parting, estate).await,
                None => pending().await,
            }
        };
        tokio::select! {
            handed_over = succeeded => Ok(handed_over),
            never = outlived => match never {},
        }
    }

    /// For the time of a drain that another process is no reason for: tells those that want to take over why they cannot.
    pub async fn end(&self, estate: &Estate, reason: &str) -> Infallible {
        match self {
            Self::Last(point) => point.end(estate, reason).await,
            Self::Alone | Self::After(_) => pending().await,
        }
    }
}
