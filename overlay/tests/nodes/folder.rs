//! What a node keeps on disk.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use overlay::enroll::{Authority, Joined, RedbStore, Token, TokenRequest};
use overlay::folder::{Folder, FolderError};
use overlay::identity::TrustError;
use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

use crate::announcements::{YEAR, unix_now};
use crate::kit::{OVERLAY, edge};

const NOW: u64 = 1_800_000_000;

/// A folder with which an edge has joined, and who signed.
struct Lab {
    folder: Folder,
    authority: Authority,
    directory: TempDir,
}

impl Lab {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = std::rc::Rc::new(RedbStore::open(&directory.path().join("store")).unwrap());
        let authority = Authority::new(OVERLAY, store).unwrap();
        authority.found([1; 32], NOW).await.unwrap();
        let folder = Folder::open(directory.path().join("state/edge")).unwrap();
        let lab = Self { folder, authority, directory };
        let token = lab.token().await;
        let key = KeyPair::from_pem(&lab.folder.key().unwrap()).unwrap();
        let request = CertificateParams::default().serialize_request(&key).unwrap();
        let issued = lab.authority.redeem(&token.id, &token.proof(request.der()), request.der(), NOW).await.unwrap();
        let (certificate, roots) = issued.chain.split_first().unwrap();
        let joined = Joined { certificate: certificate.clone(), roots: roots.to_vec() };
        lab.folder.keep_joined(&token, &joined).unwrap();
        lab
    }

    fn request(&self) -> Vec<u8> {
        let key = KeyPair::from_pem(&self.folder.key().unwrap()).unwrap();
        CertificateParams::default().serialize_request(&key).unwrap().der().to_vec()
    }

    async fn token(&self) -> Token {
        self.token_for("a").await
    }

    async fn token_for(&self, name: &str) -> Token {
        let hubs = vec!["192.0.2.1:443".into(), "hub.example:7443".into()];
        let request = TokenRequest { peer: edge(name), valid: std::time::Duration::from_secs(60), hubs };
        self.authority.create_token(request, NOW).await.unwrap()
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn what_was_kept_is_found_again_and_others_may_not_look() {
    let lab = Lab::new().await;
    let folder = Folder::open(lab.folder.path()).unwrap();
    assert_eq!(folder.identity(Default::default()).unwrap().peer(), &edge("a"));
    assert_eq!(folder.hubs().unwrap(), ["192.0.2.1:443", "hub.example:7443"]);
    assert_eq!(mode(folder.path()), 0o700);
    for entry in fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    assert!(lab.folder.key().unwrap() == folder.key().unwrap(), "the key stays");
}

#[tokio::test]
async fn epochs_grow_whatever_the_clock_says() {
    let lab = Lab::new().await;
    let first = lab.folder.next_epoch().unwrap();
    let second = lab.folder.next_epoch().unwrap();
    assert!(second > first);
    // A clock that was a month ahead.
    let ahead = unix_now() + YEAR / 12;
    fs::write(lab.file("epoch"), ahead.to_string()).unwrap();
    assert_eq!(lab.folder.next_epoch().unwrap(), ahead + 1);
    // An old copy of the folder.
    fs::write(lab.file("epoch"), "5").unwrap();
    assert!(lab.folder.next_epoch().unwrap() >= first);
    // What is no number is kept for who wants to look at it.
    fs::write(lab.file("epoch"), "garbage").unwrap();
    assert!(lab.folder.next_epoch().unwrap() >= first);
    assert_eq!(fs::read(lab.file("epoch.refused")).unwrap(), b"garbage");
    // Nor is one that nobody would believe gone on from.
    for wrong in [unix_now() + 2 * YEAR, u64::MAX] {
        fs::write(lab.file("epoch"), wrong.to_string()).unwrap();
        let next = lab.folder.next_epoch().unwrap();
        assert!((first..=unix_now()).contains(&next), "{next}");
        assert_eq!(fs::read(lab.file("epoch.refused")).unwrap(), wrong.to_string().into_bytes());
    }
}

#[tokio::test]
async fn a_damaged_file_is_named() {
    let lab = Lab::new().await;
    lab.authority.revoke(&edge("a")).await.unwrap();
    let signed = lab.authority.trust(NOW).await.unwrap().to_bytes();
    fs::write(lab.file("trust"), &signed).unwrap();
    assert!(lab.folder.trust().unwrap().denies(&edge("a")));

    let identity = |folder: &Folder| folder.identity(Default::default()).map(drop);
    let trust = |folder: &Folder| folder.trust().map(drop);
    type Use<'a> = &'a dyn Fn(&Folder) -> Result<(), FolderError>;
    let uses: [(&str, Use<'_>); 4] =
        [("key.pem", &identity), ("certificate.pem", &identity), ("node.json", &identity), ("trust", &trust)];
    for (name, use_it) in uses {
        let good = fs::read(lab.file(name)).unwrap();
        let mut changed = good.clone();
        changed.truncate(good.len() / 2);
        for bad in [b"garbage".to_vec(), vec![0xff; 100], changed] {
            fs::write(lab.file(name), bad).unwrap();
            let error = use_it(&lab.folder).unwrap_err().to_string();
            assert!(error.starts_with(lab.file(name).to_str().unwrap()), "{error}");
        }
        fs::write(lab.file(name), good).unwrap();
        use_it(&lab.folder).unwrap();
    }
    // The key of somebody else.
    fs::write(lab.file("key.pem"), KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let error = identity(&lab.folder).unwrap_err().to_string();
    assert!(error.starts_with(lab.file("key.pem").to_str().unwrap()), "{error}");
}

#[tokio::test]
async fn a_folder_that_cannot_be_or_that_others_see_is_refused() {
    let lab = Lab::new().await;
    let file = lab.directory.path().join("file");
    fs::write(&file, "x").unwrap();
    let error = Folder::open(&file).unwrap_err().to_string();
    assert!(error.starts_with(file.to_str().unwrap()), "{error}");
    let shared = lab.directory.path().join("shared");
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(shared.join("of-others"), "x").unwrap();
    let error = Folder::open(&shared).unwrap_err().to_string();
    assert!(error.contains("others may look into it"), "{error}");
    assert_eq!(mode(&shared), 0o755);
    fs::remove_file(shared.join("of-others")).unwrap();
    Folder::open(&shared).unwrap();
    assert_eq!(mode(&shared), 0o700);
    let nobody = Folder::open(lab.directory.path().join("nobody")).unwrap();
    assert!(matches!(nobody.identity(Default::default()), Err(FolderError::NotJoined(_))));
}

#[test]
fn a_folder_of_another_user_is_refused() {
    const NOBODY: u32 = 65534;
    let directory = tempfile::tempdir().unwrap();
    // Root alone can give it away, and could use it.
    if std::os::unix::fs::chown(directory.path(), Some(NOBODY), None).is_ok() {
        let error = Folder::open(directory.path()).unwrap_err().to_string();
        assert!(error.contains("belongs to user 65534"), "{error}");
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_replaced_stays_as_it_was() {
    let lab = Lab::new().await;
    let before = fs::read(lab.file("certificate.pem")).unwrap();
    let chain = lab.folder.identity(lab.folder.trust().unwrap()).unwrap().chain();
    // Where it would be written there is nothing.
    let elsewhere = lab.directory.path().join("elsewhere");
    fs::rename(lab.folder.path(), &elsewhere).unwrap();
    let error = lab.folder.keep_certificate(&chain).unwrap_err().to_string();
    fs::rename(&elsewhere, lab.folder.path()).unwrap();
    assert!(error.starts_with(lab.file("certificate.pem").to_str().unwrap()), "{error}");
    assert_eq!(fs::read(lab.file("certificate.pem")).unwrap(), before);
}

#[tokio::test]
async fn what_the_authority_says_is_kept() {
    let lab = Lab::new().await;
    let trust = lab.folder.trust().unwrap();
    let keeping = tokio::spawn(lab.folder.clone().keep_trust(trust.clone()));
    lab.authority.revoke(&edge("a")).await.unwrap();
    assert!(trust.take(&lab.authority.trust(NOW).await.unwrap()).unwrap());
    crate::site::eventually("the file", async || lab.file("trust").exists()).await;
    keeping.abort();
    assert!(lab.folder.trust().unwrap().denies(&edge("a")));
}

#[tokio::test]
async fn who_was_away_while_the_root_changed_joins_again_with_the_same_folder() {
    let lab = Lab::new().await;
    lab.authority.revoke(&edge("a")).await.unwrap();
    let signed = lab.authority.trust(NOW).await.unwrap();
    fs::write(lab.file("trust"), signed.to_bytes()).unwrap();
    let rotation = lab.authority.rotate(NOW).await.unwrap();
    let later = rotation.done;
    let refused = lab.folder.trust().unwrap().take(&lab.authority.trust(later).await.unwrap()).unwrap_err();
    assert!(matches!(refused, TrustError::NotSigned), "{refused}");
    // What the authority answers it with.
    let roots = lab.authority.roots(later).await.unwrap();
    let certificate = lab.authority.renew(&edge("b"), &lab.request(), later).await.unwrap().chain.swap_remove(0);
    let token = Token { pins: vec![[0; 32]], ..lab.token_for("b").await };
    lab.folder.keep_joined(&token, &Joined { certificate, roots: roots.clone() }).unwrap();
    let trust = lab.folder.trust().unwrap();
    assert!(trust.roots() == roots && trust.take(&lab.authority.trust(later).await.unwrap()).unwrap());
}
