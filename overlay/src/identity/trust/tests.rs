use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, SigningKey as _};

use super::*;

fn edge(name: &str) -> Peer {
    Peer::Edge { name: name.into(), tenant: "acme".into() }
}

struct Root {
    key: KeyPair,
    certificate: CertificateDer<'static>,
}

impl Root {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { certificate: params.self_signed(&key).unwrap().der().clone(), key }
    }

    fn believed(&self) -> Trust {
        Trust::new(vec![self.certificate.clone()]).unwrap()
    }
}

/// A statement of these signers about these roots.
fn statement(number: u64, signers: &[&Root], roots: &[&Root], names: &[&str]) -> SignedTrust {
    let denied: Vec<Peer> = names.iter().map(|name| edge(name)).collect();
    let roots: Vec<_> = roots.iter().map(|root| root.certificate.clone()).collect();
    let sign = |message: &[u8]| signers.iter().map(|signer| signer.key.sign(message)).collect();
    SignedTrust::sign::<rcgen::Error>(number, &roots, &denied, sign).unwrap()
}

#[test]
fn a_newer_statement_is_taken_and_an_older_one_lets_nobody_in_again() {
    let root = Root::new();
    let trust = root.believed();
    let older = statement(1, &[&root], &[&root], &["a"]);
    let newer = statement(2, &[&root], &[&root], &["a", "b"]);
    assert!(trust.take(&older).unwrap() && trust.take(&newer).unwrap());
    assert!(!trust.take(&older).unwrap());
    assert!(trust.denies(&edge("b")) && !trust.admits(&edge("a")) && trust.admits(&edge("c")));
    assert_eq!(trust.other_than(0), Some((2, newer)));
    assert_eq!(trust.other_than(2), None);
}

#[test]
fn a_statement_of_somebody_else_or_a_changed_one_is_refused() {
    let (root, other) = (Root::new(), Root::new());
    let trust = root.believed();
    let foreign = statement(1, &[&other], &[&root, &other], &["a"]);
    let unsigned = statement(1, &[], &[&other], &["a"]);
    let mut changed = statement(1, &[&root], &[&root], &["a"]);
    changed.payload[12] ^= 1;
    for refused in [foreign, unsigned, changed] {
        assert!(matches!(trust.take(&refused), Err(TrustError::NotSigned)));
    }
    assert!(trust.admits(&edge("a")) && trust.roots() == [root.certificate]);
}

#[test]
fn a_new_root_is_believed_by_the_word_of_the_old_one_which_can_then_go() {
    let (old, new) = (Root::new(), Root::new());
    let trust = old.believed();
    let only_new = statement(2, &[&new], &[&new], &["a"]);
    assert!(matches!(trust.take(&only_new), Err(TrustError::NotSigned)));
    assert!(trust.take(&statement(1, &[&old, &new], &[&old, &new], &["a"])).unwrap());
    assert_eq!(trust.roots(), [old.certificate.clone(), new.certificate.clone()]);
    assert!(trust.take(&only_new).unwrap());
    assert_eq!(trust.roots(), std::slice::from_ref(&new.certificate));
    let of_the_old = statement(3, &[&old], &[&old], &[]);
    assert!(matches!(trust.take(&of_the_old), Err(TrustError::NotSigned)));
    assert!(trust.denies(&edge("a")));
}

#[test]
fn a_statement_without_roots_or_with_too_many_is_refused() {
    let root = Root::new();
    for roots in [vec![], vec![&root; MOST_ROOTS + 1]] {
        let refused = root.believed().take(&statement(1, &[&root], &roots, &[])).unwrap_err();
        assert!(matches!(refused, TrustError::Unreadable(_)), "{refused}");
    }
}

#[test]
fn a_statement_is_read_as_it_was_written() {
    let (one, two) = (Root::new(), Root::new());
    let signed = statement(1, &[&one, &two], &[&one, &two], &["a"]);
    let bytes = signed.to_bytes();
    assert_eq!(SignedTrust::from_bytes(&bytes), Some(signed));
    assert_eq!(SignedTrust::from_bytes(&bytes[..20]), None);
    assert_eq!(SignedTrust::from_bytes(&[5, 0, 0, 0, 0, 0]), None);
}

#[test]
fn the_longest_statement_fits_into_a_message() {
    let denied = vec![edge("a"); MOST_DENIED];
    let roots = vec![CertificateDer::from(vec![0; 1000]); MOST_ROOTS];
    let signed = SignedTrust::sign(1, &roots, &denied, |_| Ok::<_, ()>(vec![vec![0; 72]; MOST_ROOTS])).unwrap();
    assert!(signed.to_bytes().len() <= 4 * 1024 * 1024, "{}", signed.to_bytes().len());
}
