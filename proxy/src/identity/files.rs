//! Secrets in files, under the names that istiod gives them (`pkg/security`): `file-cert:<certificate>~<key>`, `file-root:<authorities>`
//! and `file-root:system`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use xds_model::secret::{CertificateAuthorities, SecretContent, TlsCertificate};

use super::SecretUpdate;

/// How often files are looked at. Polling sees what Kubernetes does with mounted Secrets (it swaps a symbolic link), on any file
/// system, and an operator does not notice a second.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// A certificate file of an honest operator is far smaller.
const MAX_FILE_BYTES: u64 = 1 << 20;

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

    fn load(&self) -> Result<SecretContent, String> {
        match self {
            Self::Certificate { chain, key } => Ok(SecretContent::Certificate(TlsCertificate {
                chain: read(chain)?,
                private_key: read(key)?,
                ocsp_staple: Bytes::new(),
            })),
            Self::Authorities(path) => Ok(authorities(read(path)?)),
            Self::SystemAuthorities => {
                let bundle = SYSTEM_BUNDLES.iter().find(|path| Path::new(path).exists());
                bundle.map_or_else(
                    || Err(format!("no certificate bundle of the system in {}", SYSTEM_BUNDLES.join(", "))),
                    |path| Ok(authorities(read(Path::new(path))?)),
                )
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
    loop {
        let names = wanted.borrow_and_update().clone();
        last.retain(|name, _| names.contains(name));
        for name in names.into_iter().filter(|name| is_file_secret(name)) {
            let content = match FileSecret::parse(&name, &root) {
                Some(secret) => secret.load(),
                None => Err("is not of the form file-cert:<certificate>~<key> or file-root:<authorities>".to_owned()),
            };
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

fn authorities(certificates: Bytes) -> SecretContent {
    SecretContent::Authorities(CertificateAuthorities { certificates, crl: Bytes::new() })
}

fn read(path: &Path) -> Result<Bytes, String> {
    let describe = |error: std::io::Error| format!("{}: {error}", path.display());
    let size = std::fs::metadata(path).map_err(describe)?.len();
    if size > MAX_FILE_BYTES {
        return Err(format!("{}: {size} bytes are too many for a certificate", path.display()));
    }
    std::fs::read(path).map(Bytes::from).map_err(describe)
}

#[cfg(test)]
mod tests {
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
}
