//! What a node keeps on disk: a folder that only its owner may read.
//!
//! Every file is replaced as a whole, and is on the disk before anybody goes on: whatever stops the process or the machine, there is the old one or
//! the new one.

mod epoch;
mod lock;
mod replace;
mod trust;

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::KeyPair;
use rustix::process::geteuid;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub(crate) use self::epoch::most_believed;
pub use self::lock::FolderLock;
pub(crate) use self::replace::remove_left_behind;
pub use self::replace::{replace_file, set_aside};
use crate::control;
use crate::enroll::{Joined, Token};
use crate::identity::{Identity, LINK_PROTOCOL, Trust};

const KEY: &str = "key.pem";
const CERTIFICATE: &str = "certificate.pem";
const NODE: &str = "node.json";

/// The folder of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    path: PathBuf,
}

/// A folder that is of no use. The message begins with the file.
#[derive(Debug, Error)]
pub enum FolderError {
    /// It cannot be read or written.
    #[error("{}: {error}", .path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// There is something else in it than there should be.
    #[error("{}: {problem}", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// There is no certificate.
    #[error("{}: no node has joined with this folder", .0.display())]
    NotJoined(PathBuf),
    /// Only one process may use it.
    #[error("{}: another process runs with this folder", .0.display())]
    InUse(PathBuf),
    /// It is the folder of another node.
    #[error("{}: is the folder of {found}; another is needed for {wanted}", .path.display())]
    Other {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// Who wants it.
        wanted: String,
    },
}

/// What a node knows of its overlay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Membership {
    overlay: String,
    /// `host:port`.
    hubs: Vec<String>,
    /// The authority is in the same folder.
    #[serde(default)]
    has_authority: bool,
}

impl Folder {
    /// Opens a folder, or makes it.
    ///
    /// # Errors
    /// It cannot be made, belongs to another user, or others may look into it.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, FolderError> {
        let folder = Self { path: path.into() };
        let failed = |error| FolderError::File { path: folder.path.clone(), error };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder.path).map_err(failed)?;
        let metadata = fs::metadata(&folder.path).map_err(failed)?;
        // Whoever owns it may give itself any right to it, and could not read what another user leaves there.
        if metadata.uid() != geteuid().as_raw() {
            return Err(folder.damaged("", &format!("belongs to user {}: run it as that user", metadata.uid())));
        }
        let permissions = metadata.permissions();
        if permissions.mode() & 0o077 != 0 {
            // An empty one was made by hand for us. What is in another may be needed by those who see it.
            if fs::read_dir(&folder.path).map_err(failed)?.next().is_some() {
                return Err(folder
                    .damaged("", &"others may look into it: name another folder, or take their rights (chmod 700)"));
            }
            fs::set_permissions(&folder.path, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        }
        Ok(folder)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the process that uses it can be asked.
    pub fn control_socket(&self) -> PathBuf {
        control::socket_of(&self.path)
    }

    /// Whether a node has joined with it.
    ///
    /// # Errors
    /// The disk does not say.
    pub fn has_joined(&self) -> Result<bool, FolderError> {
        self.has(NODE)
    }

    /// Whether it has, or has had, a certificate: one that was interrupted while it joined may have nothing else.
    pub(crate) fn has_certificate(&self) -> Result<bool, FolderError> {
        self.has(CERTIFICATE)
    }

    /// Whether there is a file of this name. That it cannot be looked for does not mean that there is none.
    pub(crate) fn has(&self, name: &str) -> Result<bool, FolderError> {
        let path = self.path.join(name);
        path.try_exists().map_err(|error| FolderError::File { path, error })
    }

    /// The key, PKCS #8, PEM; made if there is none. It is on disk before it is used, so that whoever was interrupted goes on with the same.
    ///
    /// # Errors
    /// It cannot be read or kept.
    pub fn key(&self) -> Result<String, FolderError> {
        if let Some(key) = self.read(KEY)? {
            return self.text(KEY, key);
        }
        let key = KeyPair::generate().map_err(|error| self.damaged(KEY, &error))?.serialize_pem();
        self.write(KEY, key.as_bytes())?;
        Ok(key)
    }

    /// Whether a token may be used with this folder: a node that has joined stays who it is.
    ///
    /// # Errors
    /// Another node has joined with it, or it cannot be read.
    pub fn check_token(&self, token: &Token) -> Result<(), FolderError> {
        if !self.has_joined()? {
            return Ok(());
        }
        let present = self.identity(Arc::default())?;
        let (found, wanted) = (present.peer().uri(present.overlay()), token.peer.uri(&token.overlay));
        if found == wanted { Ok(()) } else { Err(FolderError::Other { path: self.path.clone(), found, wanted }) }
    }

    /// Keeps what a token has bought for [the key](Self::key).
    ///
    /// # Errors
    /// It cannot be kept.
    pub fn keep_joined(&self, token: &Token, joined: &Joined) -> Result<(), FolderError> {
        let has_authority = self.has_joined()? && self.has_authority()?;
        self.begin(&[vec![joined.certificate.clone()], joined.roots.clone()].concat(), None)?;
        self.keep_membership(&token.overlay, &token.hubs, has_authority)
    }

    /// Keeps which overlay it is, and where its hubs are. From then on the node has joined.
    pub(crate) fn keep_membership(
        &self,
        overlay: &str,
        hubs: &[String],
        has_authority: bool,
    ) -> Result<(), FolderError> {
        let membership = Membership { overlay: overlay.into(), hubs: hubs.to_vec(), has_authority };
        let json = serde_json::to_vec(&membership).map_err(|error| self.damaged(NODE, &error))?;
        self.write(NODE, &json)
    }

    /// Keeps a certificate for the key that is there, and after it the roots.
    ///
    /// # Errors
    /// It cannot be kept.
    pub fn keep_certificate(&self, chain: &[CertificateDer<'_>]) -> Result<(), FolderError> {
        let pem: String = chain.iter().map(|certificate| replace::pem(certificate)).collect();
        self.write(CERTIFICATE, pem.as_bytes())
    }

    /// Who this node is, with what it [believes](Self::trust), which all of its threads are to share.
    ///
    /// # Errors
    /// No node has joined, or a file is damaged.
    pub fn identity(&self, trust: Arc<Trust>) -> Result<Identity, FolderError> {
        let membership = self.membership()?;
        let (certificate, _) = self.certificates()?;
        let key = self.read(KEY)?.ok_or_else(|| self.damaged(KEY, &"is missing"))?;
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| self.damaged(KEY, &error))?;
        let identity = Identity::new(&membership.overlay, certificate, key, trust)
            .map_err(|error| self.damaged(CERTIFICATE, &error))?;
        identity.client(LINK_PROTOCOL).map_err(|error| self.damaged(KEY, &error))?;
        Ok(identity)
    }

    /// Whether the authority is in it.
    pub(crate) fn has_authority(&self) -> Result<bool, FolderError> {
        Ok(self.membership()?.has_authority)
    }

    /// Where the hubs are, as `host:port`.
    ///
    /// # Errors
    /// No node has joined, or the file is damaged.
    pub fn hubs(&self) -> Result<Vec<String>, FolderError> {
        Ok(self.membership()?.hubs)
    }

    fn membership(&self) -> Result<Membership, FolderError> {
        let json = self.read(NODE)?.ok_or_else(|| FolderError::NotJoined(self.path.clone()))?;
        serde_json::from_slice(&json).map_err(|error| self.damaged(NODE, &error))
    }

    /// What is in a file, if there is one.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, FolderError> {
        match fs::read(self.path.join(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(FolderError::File { path: self.path.join(name), error }),
        }
    }

    fn remove(&self, name: &str) -> Result<(), FolderError> {
        let path = self.path.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FolderError::File { path, error }),
            _ => Ok(()),
        }
    }

    /// Replaces a file.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), FolderError> {
        replace_file(&self.path.join(name), bytes)
            .map_err(|error| FolderError::File { path: self.path.join(name), error })
    }

    pub(crate) fn text(&self, name: &str, bytes: Vec<u8>) -> Result<String, FolderError> {
        String::from_utf8(bytes).map_err(|error| self.damaged(name, &error))
    }

    pub(crate) fn damaged(&self, name: &str, problem: &dyn fmt::Display) -> FolderError {
        FolderError::Content { path: self.path.join(name), problem: problem.to_string() }
    }
}
