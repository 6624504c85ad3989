//! How an operator asks a running node: one question and one answer, a line of JSON each, over a socket that only its owner may open. What a node has begun it
//! finishes, whoever still waits for the answer.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use crate::folder::remove_left_behind;
use crate::node::Peer;
use crate::status::{RotationStatus, Status};

/// The name of the socket.
const NAME: &str = "control.sock";
/// How the name begins that it has until it can be asked.
const UNFINISHED: &str = "new.";
/// The longest question, bytes.
const LONGEST: u64 = 64 * 1024;
/// Time for a question to arrive, and for its answer to be taken.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long who asks waits for the answer: a store that is away takes its time for each of several steps.
const ANSWER: Duration = Duration::from_secs(60);
/// Questions that are answered at a time; others wait.
const MOST_ASKING: usize = 16;
/// After an error of the socket.
const PAUSE: Duration = Duration::from_secs(1);

/// What somebody wants to know, or to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// How the node is doing.
    Status,
    /// A token, from the hub with the authority.
    CreateToken {
        /// Who becomes a node by it.
        peer: Peer,
        /// How long it is good.
        valid_seconds: u64,
    },
    /// That a node is let in no longer, from the hub with the authority.
    Revoke {
        /// Which one.
        peer: Peer,
    },
    /// That a new root takes the place of the old one, from a hub with the authority.
    Rotate,
}

/// What the node says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// How it is doing.
    Status(Box<Status>),
    /// The token as text.
    Token(String),
    /// It is done.
    Revoked,
    /// It has begun.
    Rotating(RotationStatus),
    /// Why not.
    Refused(String),
}

/// A node that gives no answer.
#[derive(Debug, Error)]
pub enum ControlError {
    /// No process runs with that folder.
    #[error("{}: nobody answers: {error}", .path.display())]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Nothing came in time. What was asked for may be done nevertheless.
    #[error("{}: no answer in {patience:?}; what was asked for may be done all the same: `selvedge status` says how it is", .path.display())]
    Late {
        /// The socket.
        path: PathBuf,
        /// How long it was waited.
        patience: Duration,
    },
    /// What came is no answer.
    #[error("{}: no answer: {reason}", .path.display())]
    NoAnswer {
        /// The socket.
        path: PathBuf,
        /// In words.
        reason: String,
    },
}

/// Where the process can be asked that runs with a folder.
pub fn socket_of(folder: &Path) -> PathBuf {
    folder.join(NAME)
}

/// Listens. Whatever is there already is replaced: a process that still listens is asked no longer.
///
/// # Errors
/// The socket cannot be made, for example because the path is too long (unix(7)).
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        remove_left_behind(folder, |name, of| of.is_socket() && is_unfinished(name));
    }
    // No other process has this name at the same time, and it is not longer than the one that it will have.
    let new = path.with_file_name(format!("{UNFINISHED}{:08x}", rand::random::<u32>()));
    let listener = UnixListener::bind(&new)?;
    let named = fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).and_then(|()| fs::rename(&new, path));
    if named.is_err() {
        let _ = fs::remove_file(&new);
    }
    named.map(|()| listener)
}

/// Whether it is a name of ours. The folder is the operator's, too, who may call something `new.edge.yaml`.
fn is_unfinished(name: &str) -> bool {
    let number = name.strip_prefix(UNFINISHED).unwrap_or_default();
    number.len() == 8 && number.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// Answers for as long as it runs, on the thread of a [`LocalSet`](tokio::task::LocalSet). An answer that was begun is finished, even if who asked is gone.
pub async fn serve(listener: UnixListener, answer: impl AsyncFn(Question) -> Reply + 'static) {
    let (answer, places) = (Rc::new(answer), Arc::new(Semaphore::new(MOST_ASKING)));
    loop {
        // It is never closed.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let answer = answer.clone();
                spawn_local(async move {
                    let _place = place;
                    if let Err(error) = answer_one(stream, &*answer).await {
                        tracing::debug!("somebody who asks: {error}");
                    }
                });
            }
            Err(error) => {
                tracing::warn!("cannot be asked: {error}");
                sleep(PAUSE).await;
            }
        }
    }
}

async fn answer_one(stream: UnixStream, answer: &impl AsyncFn(Question) -> Reply) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    let mut limited = (&mut stream).take(LONGEST);
    timeout(PATIENCE, limited.read_line(&mut line)).await??;
    let reply = match serde_json::from_str(&line) {
        Ok(question) => answer(question).await,
        Err(error) => Reply::Refused(format!("not a question: {error}")),
    };
    let mut bytes = serde_json::to_vec(&reply)?;
    bytes.push(b'\n');
    timeout(PATIENCE, stream.write_all(&bytes)).await??;
    stream.shutdown().await
}

/// Asks the process that listens at a path.
///
/// # Errors
/// Nobody does, or says nothing that can be read.
pub async fn ask(path: &Path, question: &Question) -> Result<Reply, ControlError> {
    let unreachable = |error| ControlError::Unreachable { path: path.into(), error };
    let mut stream = UnixStream::connect(path).await.map_err(unreachable)?;
    let asked = timeout(ANSWER, async {
        let mut line = serde_json::to_vec(question)?;
        line.push(b'\n');
        stream.write_all(&line).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok::<_, io::Error>(serde_json::from_slice(&answer)?)
    });
    let answered = asked.await.map_err(|_| ControlError::Late { path: path.into(), patience: ANSWER })?;
    answered.map_err(|error| ControlError::NoAnswer { path: path.into(), reason: error.to_string() })
}
