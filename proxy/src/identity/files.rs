//! Secrets in files, under the names that istiod gives them (`pkg/security`): `file-cert:<certificate>~<key>`, `file-root:<authorities>`
//! and `file-root:system`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use xds_client::small_file;
use xds_model::secret::{CertificateAuthorities, SecretContent, TlsCertificate};

use super::SecretUpdate;
use crate::tls;

/// How often files are looked at. Polling sees what Kubernetes does with mounted Secrets (it swaps a symbolic link), on any file
/// system, and an operator does not notice a second.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Secrets that are read at once: one that hangs holds up none of the others, and threads stay few.
const MOST_AT_ONCE: usize = 16;

/// Where a certificate bundle of the operating system usually is, in the order of Go's `crypto/x509`.
const SYSTEM_BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// What a secret name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum FileSecret {
    Certificate { chain: PathBuf, key: PathBuf },
    Authorities(PathBuf),
    SystemAuthorities,
}

impl FileSecret {
    fn parse(name: &str, root: &Path) -> Option<Self> {
        if let Some(paths) = name.strip_prefix("file-cert:") {
            let (chain, key) = paths.split_once('~')?;
            return Some(Self::Certificate { chain: root.join(chain), key: root.join(key) });
        }
        match name.strip_prefix("file-root:")? {
            "system" => Some(Self::SystemAuthorities),
            path => Some(Self::Authorities(root.join(path))),
        }
    }

    async fn load(&self) -> Result<SecretContent, String> {
        match self {
            Self::Certificate { chain, key } => Ok(SecretContent::Certificate(TlsCertificate {
                chain: read(chain).await?,
                private_key: read(key).await?,
                ocsp_staple: Bytes::new(),
            })),
            Self::Authorities(path) => Ok(authorities(read(path).await?)),
            Self::SystemAuthorities => {
                let bundle = SYSTEM_BUNDLES.iter().find(|path| Path::new(path).exists());
                let none = || format!("no certificate bundle of the system in {}", SYSTEM_BUNDLES.join(", "));
                Ok(authorities(read(Path::new(bundle.ok_or_else(none)?)).await?))
            }
        }
    }
}

/// Whether a secret of this name is a file's.
pub(crate) fn is_file_secret(name: &str) -> bool {
    name.starts_with("file-cert:") || name.starts_with("file-root:")
}

/// Serves the wanted file secrets until the receiver of updates goes away: each once when it becomes wanted, and again whenever its
/// files change. Relative paths start from `root`. A file that cannot be read is reported once, and its last content stays in force.
pub async fn serve(root: PathBuf, mut wanted: watch::Receiver<BTreeSet<String>>, updates: mpsc::Sender<SecretUpdate>) {
    let mut last: BTreeMap<String, Result<SecretContent, String>> = BTreeMap::new();
    let mut doubts = Doubts::default();
    loop {
        let names: BTreeSet<String> =
            wanted.borrow_and_update().iter().filter(|name| is_file_secret(name)).cloned().collect();
        last.retain(|name, _| names.contains(name));
        doubts.0.retain(|name, _| names.contains(name));
        let mut loads = JoinSet::new();
        let places = Arc::new(Semaphore::new(MOST_AT_ONCE));
        for name in names {
            loads.spawn(load(name, root.clone(), places.clone()));
        }
        while let Some(loaded) = loads.join_next().await {
            let Ok((name, content)) = loaded else { continue };
            if last.get(&name) == Some(&content) {
                doubts.0.remove(&name);
                continue;
            }
            let Some(content) = doubts.settle(&name, content) else { continue };
            if last.get(&name) == Some(&content) {
                continue;
            }
            last.insert(name.clone(), content.clone());
            if updates.send(SecretUpdate { name, content }).await.is_err() {
                return;
            }
        }
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(POLL_INTERVAL) => {}
        }
    }
}

async fn load(name: String, root: PathBuf, places: Arc<Semaphore>) -> (String, Result<SecretContent, String>) {
    // Nobody closes these: an error does not happen.
    let _place = places.acquire_owned().await;
    let content = match FileSecret::parse(&name, &root) {
        Some(secret) => secret.load().await,
        None => Err("is not of the form file-cert:<certificate>~<key> or file-root:<authorities>".to_owned()),
    };
    (name, content)
}

/// Since when the files of a certificate do not go together. Whoever replaces them writes one after the other, and we may look
/// in between.
#[derive(Default)]
struct Doubts(BTreeMap<String, Instant>);

impl Doubts {
    /// What to send on. `None` for a certificate and key that do not belong together, until the next look finds the same.
    fn settle(&mut self, name: &str, content: Result<SecretContent, String>) -> Option<Result<SecretContent, String>> {
        let wrong = match &content {
            Ok(content @ SecretContent::Certificate(_)) => tls::check(name, content).err(),
            Ok(SecretContent::Authorities(_)) | Err(_) => None,
        };
        let Some(wrong) = wrong else {
            self.0.remove(name);
            return Some(content);
        };
        let now = Instant::now();
        let since = *self.0.entry(name.to_owned()).or_insert(now);
        // A secret that becomes wanted makes us look earlier than that.
        (now - since >= POLL_INTERVAL).then(|| Err(wrong.to_string()))
    }
}

fn authorities(certificates: Bytes) -> SecretContent {
    SecretContent::Authorities(CertificateAuthorities { certificates, crl: Bytes::new() })
}

async fn read(path: &Path) -> Result<Bytes, String> {
    small_file::read(path).await.map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn names_are_istiods() {
        let root = Path::new("/");
        assert_eq!(
            FileSecret::parse("file-cert:etc/certs/tls.crt~/keys/tls.key", root),
            Some(FileSecret::Certificate { chain: "/etc/certs/tls.crt".into(), key: "/keys/tls.key".into() })
        );
        assert_eq!(FileSecret::parse("file-root:system", root), Some(FileSecret::SystemAuthorities));
        assert_eq!(FileSecret::parse("file-root:/ca.pem", root), Some(FileSecret::Authorities("/ca.pem".into())));
        assert_eq!(FileSecret::parse("file-cert:only-one", root), None);
        assert_eq!(FileSecret::parse("kubernetes://web", root), None);
    }

    #[tokio::test]
    async fn a_changed_file_is_served_again_and_a_lost_one_is_reported() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        std::fs::write(&path, "one").unwrap();
        let name = "file-root:ca.pem".to_owned();
        let (_want, wanted) = watch::channel(BTreeSet::from([name.clone()]));
        let (updates, mut received) = mpsc::channel(8);
        let server = tokio::spawn(serve(directory.path().to_owned(), wanted, updates));

        let next = received.recv().await.unwrap();
        assert_eq!(next.content, Ok(authorities(Bytes::from_static(b"one"))));
        std::fs::write(&path, "two").unwrap();
        assert_eq!(received.recv().await.unwrap().content, Ok(authorities(Bytes::from_static(b"two"))));
        std::fs::remove_file(&path).unwrap();
        let lost = received.recv().await.unwrap();
        assert_eq!(lost.name, name);
        assert!(lost.content.unwrap_err().contains("ca.pem"));
        server.abort();
    }
    #[tokio::test]
    async fn a_fifo_is_reported_and_holds_up_nothing() {
        let directory = tempfile::tempdir().unwrap();
        mknodat(CWD, directory.path().join("a-fifo"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        std::fs::write(directory.path().join("ca.pem"), "one").unwrap();
        let names = ["file-root:a-fifo", "file-root:ca.pem"].map(str::to_owned);
        let (_want, wanted) = watch::channel(BTreeSet::from(names.clone()));
        let (updates, mut received) = mpsc::channel(8);
        let server = tokio::spawn(serve(directory.path().to_owned(), wanted, updates));

        let mut found = BTreeMap::new();
        for _ in &names {
            let update = received.recv().await.unwrap();
            found.insert(update.name, update.content);
        }
        assert!(found["file-root:a-fifo"].as_ref().unwrap_err().contains("a-fifo: not a regular file"));
        assert_eq!(found["file-root:ca.pem"], Ok(authorities(Bytes::from_static(b"one"))));
        server.abort();
    }

    fn certificate(chain: &CertifiedKey<KeyPair>, key: &CertifiedKey<KeyPair>) -> SecretContent {
        SecretContent::Certificate(TlsCertificate {
            chain: chain.cert.pem().into(),
            private_key: key.signing_key.serialize_pem().into(),
            ocsp_staple: Bytes::new(),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_pair_that_does_not_match_is_looked_at_again_and_never_sent_on() {
        let [old, new] = [(); 2].map(|()| generate_simple_self_signed(vec!["a.test".to_owned()]).unwrap());
        let mixed = || Ok(certificate(&new, &old));
        let mut doubts = Doubts::default();
        assert_eq!(doubts.settle("web", mixed()), None);
        assert_eq!(doubts.settle("web", mixed()), None, "looked at early");
        assert_eq!(doubts.settle("web", Ok(certificate(&new, &new))), Some(Ok(certificate(&new, &new))));

        assert_eq!(doubts.settle("web", mixed()), None);
        tokio::time::advance(POLL_INTERVAL).await;
        let reported = doubts.settle("web", mixed()).unwrap().unwrap_err();
        assert_eq!(reported, "web: the private key does not belong to the certificate");
    }

    #[tokio::test]
    async fn a_certificate_with_another_key_is_a_problem_and_then_replaced() {
        let [old, new] = [(); 2].map(|()| generate_simple_self_signed(vec!["a.test".to_owned()]).unwrap());
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("tls.crt"), new.cert.pem()).unwrap();
        std::fs::write(directory.path().join("tls.key"), old.signing_key.serialize_pem()).unwrap();
        let (_want, wanted) = watch::channel(BTreeSet::from(["file-cert:tls.crt~tls.key".to_owned()]));
        let (updates, mut received) = mpsc::channel(8);
        let server = tokio::spawn(serve(directory.path().to_owned(), wanted, updates));

        let reason = received.recv().await.unwrap().content.unwrap_err();
        assert!(reason.contains("does not belong to the certificate"), "{reason}");
        std::fs::write(directory.path().join("tls.key"), new.signing_key.serialize_pem()).unwrap();
        assert_eq!(received.recv().await.unwrap().content, Ok(certificate(&new, &new)));
        server.abort();
    }
}
