//! Tokens, certificates, and who is not let in any more.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use overlay::enroll::{Authority, AuthorityError, Issued, Token, TokenRequest};
use overlay::identity::{Identity, Trust};
use overlay::node::Peer;
use rcgen::{CertificateParams, KeyPair};
use rustls_pki_types::PrivateKeyDer;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::kit::{OVERLAY, edge, hub};
use crate::memory_store::MemoryStore;

const NOW: u64 = 1_800_000_000;

struct Lab {
    authority: Authority,
    store: Rc<MemoryStore>,
}

impl Lab {
    async fn new() -> Self {
        let store = Rc::<MemoryStore>::default();
        let authority = Authority::new(OVERLAY, store.clone()).unwrap();
        authority.found([1; 32], NOW).await.unwrap();
        Self { authority, store }
    }

    async fn token(&self) -> Token {
        self.try_token(edge("a")).await.unwrap()
    }

    /// What a node believes that has just joined.
    async fn trust(&self) -> Trust {
        Trust::new(self.authority.roots(NOW).await.unwrap()).unwrap()
    }

    async fn try_token(&self, peer: Peer) -> Result<Token, AuthorityError> {
        let request = TokenRequest { peer, valid: Duration::from_mins(15), hubs: vec!["192.0.2.1:443".into()] };
        self.authority.create_token(request, NOW).await
    }
}

fn request(key: &KeyPair) -> Vec<u8> {
    CertificateParams::default().serialize_request(key).unwrap().der().to_vec()
}

#[tokio::test]
async fn a_token_buys_one_certificate_for_one_key() {
    let lab = Lab::new().await;
    let token = Token::parse(&lab.token().await.to_text()).unwrap();
    let key = KeyPair::generate().unwrap();
    let asked = request(&key);
    let issued = lab.authority.redeem(&token.id, &token.proof(&asked), &asked, NOW + 60).await.unwrap();
    assert_eq!(issued.peer, edge("a"));
    assert_eq!(Peer::of_certificate(&issued.chain[0], OVERLAY), Ok(edge("a")));
    // The answer was lost: the same edge asks again.
    lab.authority.redeem(&token.id, &token.proof(&asked), &asked, NOW + 61).await.unwrap();
    let other = request(&KeyPair::generate().unwrap());
    let stolen = lab.authority.redeem(&token.id, &token.proof(&asked), &other, NOW + 62).await.unwrap_err();
    assert!(matches!(stolen, AuthorityError::WrongSecret(_)), "{stolen}");
    let error = lab.authority.redeem(&token.id, &token.proof(&other), &other, NOW + 62).await.unwrap_err();
    assert!(matches!(error, AuthorityError::Used(_)), "{error}");

    let trust = Arc::new(lab.trust().await);
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let identity = Identity::new(OVERLAY, issued.chain[0].clone(), key, trust).unwrap();
    assert_eq!(identity.peer(), &edge("a"));
}

#[tokio::test]
async fn a_token_that_is_late_guessed_or_unknown_buys_nothing() {
    let lab = Lab::new().await;
    let token = lab.token().await;
    let request = request(&KeyPair::generate().unwrap());
    let redeem = async |id: &str, secret: &[u8], request: &[u8], now| {
        lab.authority.redeem(id, secret, request, now).await.unwrap_err()
    };
    let shown = token.proof(&request);
    let late = redeem(&token.id, &shown, &request, token.expires).await;
    assert!(matches!(late, AuthorityError::Expired(_)), "{late}");
    let guessed = redeem(&token.id, &[0; 32], &request, NOW).await;
    assert!(matches!(guessed, AuthorityError::WrongSecret(_)), "{guessed}");
    let unknown = redeem("no-such", &shown, &request, NOW).await;
    assert!(matches!(unknown, AuthorityError::UnknownToken(_)), "{unknown}");
    // What is not an id is not looked for.
    lab.store.0.borrow_mut().insert("token/no-such\n".into(), Vec::new());
    let unknown = redeem("no-such\n", &shown, &request, NOW).await;
    assert_eq!(unknown.to_string(), r#"token "no-such\n" is not known"#);
    let garbage = redeem(&token.id, &token.proof(b"not a request"), b"not a request", NOW).await;
    assert!(matches!(garbage, AuthorityError::Request(_)), "{garbage}");
    // None of that used it up.
    lab.authority.redeem(&token.id, &shown, &request, NOW).await.unwrap();
}

#[tokio::test]
async fn of_many_who_use_a_token_at_once_one_gets_a_certificate() {
    let lab = Lab::new().await;
    let token = lab.token().await;
    let requests: Vec<_> = (0..4).map(|_| request(&KeyPair::generate().unwrap())).collect();
    let proofs: Vec<_> = requests.iter().map(|request| token.proof(request)).collect();
    let redeem = |at: usize| lab.authority.redeem(&token.id, &proofs[at], &requests[at], NOW);
    let (one, two, three, four) = tokio::join!(redeem(0), redeem(1), redeem(2), redeem(3));
    assert_eq!([one, two, three, four].iter().filter(|issued| issued.is_ok()).count(), 1);
}

#[tokio::test]
async fn who_was_revoked_gets_no_other_certificate() {
    let lab = Lab::new().await;
    let key = KeyPair::generate().unwrap();
    let unknown = lab.authority.revoke(&edge("a")).await.unwrap_err();
    assert_eq!(unknown.to_string(), "there is no edge a of tenant acme");
    lab.token().await;
    lab.authority.renew(&edge("a"), &request(&key), NOW).await.unwrap();
    lab.authority.revoke(&edge("a")).await.unwrap();
    let error = lab.authority.renew(&edge("a"), &request(&key), NOW).await.unwrap_err();
    assert_eq!(error.to_string(), "spiffe://mesh.example/acme/edge/a was revoked");
    assert_eq!(lab.authority.revoked().await.unwrap(), [edge("a")]);
    assert!(matches!(lab.try_token(edge("a")).await, Err(AuthorityError::Revoked(_))));
    lab.authority.renew(&edge("b"), &request(&key), NOW).await.unwrap();
    let trust = lab.trust().await;
    assert!(trust.take(&lab.authority.trust(NOW).await.unwrap()).unwrap());
    assert!(trust.denies(&edge("a")) && !trust.denies(&edge("b")));
}

#[tokio::test]
async fn names_that_are_none_are_refused() {
    let lab = Lab::new().await;
    for (tenant, name) in [("acme", "Store"), ("", "a"), ("acme", "a/b"), ("acme/edge", "a")] {
        let peer = Peer::Edge { name: name.into(), tenant: tenant.into() };
        let request = TokenRequest { peer, valid: Duration::from_mins(1), hubs: Vec::new() };
        let error = lab.authority.create_token(request, NOW).await.unwrap_err();
        assert!(matches!(error, AuthorityError::Name(_)), "{error}");
    }
}

#[tokio::test]
async fn a_name_is_that_of_one_node() {
    let lab = Lab::new().await;
    lab.token().await;
    // The same edge may need another token.
    lab.token().await;
    for other in [Peer::Edge { name: "a".into(), tenant: "other".into() }, hub("a")] {
        let error = lab.try_token(other).await.unwrap_err();
        assert_eq!(error.to_string(), "the name a is that of spiffe://mesh.example/acme/edge/a");
    }
    lab.try_token(hub("h")).await.unwrap();
}

#[tokio::test]
async fn tokens_are_forgotten_a_day_after_their_end_and_names_that_nobody_got() {
    let lab = Lab::new().await;
    let (used, unused) = (lab.token().await, lab.try_token(hub("h")).await.unwrap());
    let request = request(&KeyPair::generate().unwrap());
    lab.authority.redeem(&used.id, &used.proof(&request), &request, NOW).await.unwrap();
    assert_eq!(lab.authority.joined().await.unwrap(), [edge("a")]);
    let redeem = async |token: &Token, now| {
        lab.authority.redeem(&token.id, &token.proof(&request), &request, now).await.unwrap_err()
    };
    let day = 24 * 3600;
    lab.authority.forget_expired(unused.expires).await.unwrap();
    for token in [&used, &unused] {
        assert!(matches!(redeem(token, token.expires).await, AuthorityError::Expired(_)));
    }
    // The name of the hub that never was is free, that of the edge is not.
    lab.try_token(edge("h")).await.unwrap();
    let other = Peer::Edge { name: "a".into(), tenant: "other".into() };
    assert!(matches!(lab.try_token(other).await.unwrap_err(), AuthorityError::Taken(..)));
    lab.authority.forget_expired(unused.expires + day).await.unwrap();
    for token in [&used, &unused] {
        assert!(matches!(redeem(token, NOW).await, AuthorityError::UnknownToken(_)));
    }
    assert_eq!(lab.store.0.borrow().keys().collect::<Vec<_>>(), ["authority", "lifetime", "name/a"]);
}

#[tokio::test]
async fn a_name_is_kept_for_who_has_the_last_token() {
    let lab = Lab::new().await;
    let (short, long) = (Duration::from_secs(60), Duration::from_secs(3600));
    for valid in [long, short] {
        let request = TokenRequest { peer: edge("a"), valid, hubs: Vec::new() };
        lab.authority.create_token(request, NOW).await.unwrap();
    }
    lab.authority.forget_expired(NOW + 120).await.unwrap();
    assert!(matches!(lab.try_token(hub("a")).await.unwrap_err(), AuthorityError::Taken(..)));
}

#[tokio::test]
async fn there_are_no_more_tokens_than_there_may_be() {
    let lab = Lab::new().await;
    for number in 0..10_000 {
        lab.store.0.borrow_mut().insert(format!("token/{number}"), Vec::new());
    }
    assert!(matches!(lab.try_token(edge("a")).await.unwrap_err(), AuthorityError::TooManyTokens));
}

#[tokio::test]
async fn a_token_is_good_for_a_year_at_most() {
    let lab = Lab::new().await;
    let year = Duration::from_hours(24 * 365);
    let create =
        async |valid| lab.authority.create_token(TokenRequest { peer: edge("a"), valid, hubs: Vec::new() }, NOW).await;
    assert_eq!(create(year).await.unwrap().expires, NOW + year.as_secs());
    for too_long in [year + Duration::from_secs(1), Duration::from_secs(u64::MAX)] {
        let error = create(too_long).await.unwrap_err();
        assert_eq!(error.to_string(), "a token is good for 365 days at most");
    }
}

#[tokio::test]
async fn a_token_makes_a_hub_if_it_is_for_one() {
    let lab = Lab::new().await;
    let token = lab.try_token(hub("h")).await.unwrap();
    let request = request(&KeyPair::generate().unwrap());
    let issued = lab.authority.redeem(&token.id, &token.proof(&request), &request, NOW).await.unwrap();
    assert_eq!(Peer::of_certificate(&issued.chain[0], OVERLAY), Ok(hub("h")));
}

/// The name of the root that has signed a certificate.
fn issuer(issued: &Issued) -> String {
    X509Certificate::from_der(&issued.chain[0]).unwrap().1.issuer().to_string()
}

#[tokio::test]
async fn a_new_root_is_believed_first_then_signs_and_then_the_old_one_goes() {
    let lab = Lab::new().await;
    let now = NOW;
    let key = KeyPair::generate().unwrap();
    let sign = async |now| lab.authority.renew(&edge("a"), &request(&key), now).await.unwrap();
    let trust = Trust::new(lab.authority.roots(now).await.unwrap()).unwrap();
    let old = trust.roots();
    assert!(trust.take(&lab.authority.trust(now).await.unwrap()).unwrap());
    assert!(!trust.take(&lab.authority.trust(now + 60).await.unwrap()).unwrap(), "nothing is new");

    let rotation = lab.authority.rotate(now).await.unwrap();
    let day = 24 * 3600;
    assert!(rotation.signs_from > now + day && rotation.done > rotation.signs_from + day);
    assert!(matches!(lab.authority.rotate(rotation.done - 1).await, Err(AuthorityError::Rotating(1))));
    assert!(trust.take(&lab.authority.trust(now).await.unwrap()).unwrap());
    let both = trust.roots();
    assert_eq!((both.len(), &both[..1]), (2, &old[..]));
    for (time, root) in [(rotation.signs_from - 1, "root 1"), (rotation.signs_from, "root 2")] {
        assert_eq!(issuer(&sign(time).await), format!("CN=Selvedge overlay {OVERLAY}, {root}"));
    }
    lab.token().await;
    lab.authority.revoke(&edge("a")).await.unwrap();
    assert!(trust.take(&lab.authority.trust(rotation.done - 1).await.unwrap()).unwrap() && trust.roots() == both);
    assert!(trust.take(&lab.authority.trust(rotation.done).await.unwrap()).unwrap());
    assert!(trust.roots() == both[1..] && trust.denies(&edge("a")));

    // The key of the old one is thrown away, and another one can follow.
    let keys = || String::from_utf8(lab.store.0.borrow()["authority"].clone()).unwrap().matches("PRIVATE KEY").count();
    assert_eq!(keys(), 4, "two of them, each with a beginning and an end");
    lab.authority.forget_expired(rotation.done).await.unwrap();
    assert_eq!(keys(), 2);
    assert!(!trust.take(&lab.authority.trust(rotation.done).await.unwrap()).unwrap());
    lab.authority.rotate(rotation.done).await.unwrap();
    assert!(trust.take(&lab.authority.trust(rotation.done).await.unwrap()).unwrap());
    assert_eq!(trust.roots().len(), 2);
}

#[tokio::test]
async fn only_who_founded_an_overlay_founds_it_again() {
    let lab = Lab::new().await;
    lab.authority.found([1; 32], NOW).await.unwrap();
    assert!(matches!(lab.authority.found([2; 32], NOW).await, Err(AuthorityError::Founded(_))));
    let elsewhere = Authority::new(OVERLAY, Rc::<MemoryStore>::default()).unwrap();
    assert!(matches!(elsewhere.trust(NOW).await, Err(AuthorityError::NotFounded(_))));
}

#[tokio::test]
async fn an_old_copy_of_the_store_says_nothing_under_a_number_that_was_used() {
    let lab = Lab::new().await;
    for name in ["a", "b"] {
        lab.try_token(edge(name)).await.unwrap();
    }
    let node = lab.trust().await;
    node.take(&lab.authority.trust(NOW).await.unwrap()).unwrap();
    let copy = lab.store.0.borrow().clone();
    let restore = || *lab.store.0.borrow_mut() = copy.clone();
    lab.authority.revoke(&edge("a")).await.unwrap();
    assert!(node.take(&lab.authority.trust(NOW + 1).await.unwrap()).unwrap());

    // The clock alone says that it is later.
    restore();
    lab.authority.revoke(&edge("b")).await.unwrap();
    let other_node = lab.trust().await;
    other_node.take(&lab.authority.trust(NOW + 1).await.unwrap()).unwrap();
    assert!(node.take(&lab.authority.trust(NOW + 2).await.unwrap()).is_ok());
    let revoked = lab.authority.trust_after(&node, NOW).await.unwrap();
    assert!(node.take(&revoked).unwrap() && node.denies(&edge("b")), "it was revoked, and nobody hears of it");
    // Who was revoked after the copy was made stays so, of whom the store does not know.
    assert!(node.denies(&edge("a")));
    let again = lab.authority.trust(NOW + 100).await.unwrap();
    assert!(!node.take(&again).unwrap(), "nothing is new");

    // A root that is not in the copy.
    restore();
    lab.authority.rotate(NOW + 200).await.unwrap();
    node.take(&lab.authority.trust_after(&node, NOW + 200).await.unwrap()).unwrap();
    restore();
    let error = lab.authority.trust_after(&node, NOW + 300).await.unwrap_err();
    assert!(matches!(error, AuthorityError::OldCopy(_)), "{error}");
}

#[tokio::test]
async fn a_new_root_waits_for_the_longest_certificates_that_there_are() {
    let lab = Lab::new().await;
    let key = KeyPair::generate().unwrap();
    let (day, week) = (Duration::from_hours(24), Duration::from_hours(24 * 7));
    for lifetime in [day, week] {
        let authority = Authority::new(OVERLAY, lab.store.clone()).unwrap().with_lifetime(lifetime);
        authority.renew(&edge("a"), &request(&key), NOW).await.unwrap();
    }
    // With a lifetime of an hour from now on.
    let short = Authority::new(OVERLAY, lab.store.clone()).unwrap().with_lifetime(Duration::from_hours(1));
    short.renew(&edge("a"), &request(&key), NOW).await.unwrap();
    let rotation = short.rotate(NOW).await.unwrap();
    assert!(rotation.signs_from > NOW + week.as_secs() && rotation.done > rotation.signs_from + week.as_secs());
}

#[tokio::test]
async fn no_certificate_is_good_for_longer_than_its_root() {
    let years = Duration::from_hours(24 * 365 * 9);
    let lab = Lab::new().await;
    let authority = Authority::new(OVERLAY, lab.store.clone()).unwrap().with_lifetime(years);
    let end = |certificate: &[u8]| X509Certificate::from_der(certificate).unwrap().1.validity().not_after.timestamp();
    for (after, is_cut) in [(Duration::ZERO, false), (years, true)] {
        let now = NOW + after.as_secs();
        let issued = authority.renew(&edge("a"), &request(&KeyPair::generate().unwrap()), now).await.unwrap();
        let (own, root) = (end(&issued.chain[0]), end(&issued.chain[1]));
        assert_eq!((own == root, own == (now + years.as_secs()) as i64), (is_cut, !is_cut));
    }
}
