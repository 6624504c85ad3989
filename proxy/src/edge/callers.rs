//! Who calls, and for whom another edge may speak.
//!
//! An edge says of each call who made it, as it has verified it. Nobody can verify that again: what another edge says is believed as far as
//! `edge.yaml` allows. A call without a caller is that of the edge itself.

use std::sync::Arc;

use serde::Deserialize;
use thiserror::Error;

/// Of a mesh that says nothing else (Istio's `meshConfig.trustDomain`).
pub(super) const DEFAULT_TRUST_DOMAIN: &str = "cluster.local";

/// The identities of a trust domain, and the edges that may speak for them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CallerRule {
    /// SPIFFE trust domain.
    pub trust_domain: String,
    /// Names of edges; all edges of the tenant if there are none.
    #[serde(default)]
    pub edges: Vec<String>,
}

/// For whom other edges may speak.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Callers(Arc<[CallerRule]>);

/// Why a call is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum CallerRefusal {
    #[error("its caller is not a SPIFFE ID")]
    NoIdentity,
    #[error("it may not speak for trust domain {0}")]
    TrustDomain(String),
}

impl Callers {
    /// As the rules say; without any, all edges may speak for our own trust domain.
    pub(super) fn new(rules: Option<&[CallerRule]>, own_trust_domain: &str) -> Self {
        let own = [CallerRule { trust_domain: own_trust_domain.to_owned(), edges: Vec::new() }];
        Self(rules.unwrap_or(&own).into())
    }

    /// Whether the edge may say that `caller` calls.
    pub(super) fn check(&self, edge: &str, caller: &str) -> Result<(), CallerRefusal> {
        if caller.is_empty() {
            return Ok(());
        }
        let trust_domain = trust_domain(caller).ok_or(CallerRefusal::NoIdentity)?;
        let allows = |rule: &CallerRule| {
            rule.trust_domain == trust_domain && (rule.edges.is_empty() || rule.edges.iter().any(|name| name == edge))
        };
        match self.0.iter().any(allows) {
            true => Ok(()),
            false => Err(CallerRefusal::TrustDomain(trust_domain.to_owned())),
        }
    }
}

/// The trust domain of a SPIFFE ID; `None` if it is none.
fn trust_domain(identity: &str) -> Option<&str> {
    let (trust_domain, path) = identity.strip_prefix("spiffe://")?.split_once('/')?;
    (is_trust_domain(trust_domain) && !path.is_empty()).then_some(trust_domain)
}

/// Whether it can be a trust domain (SPIFFE-ID section 2.1).
pub(super) fn is_trust_domain(text: &str) -> bool {
    let is_allowed = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(byte);
    (1..=255).contains(&text.len()) && text.as_bytes().iter().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(trust_domain: &str, edges: &[&str]) -> CallerRule {
        let edges = edges.iter().map(|edge| (*edge).to_owned()).collect();
        CallerRule { trust_domain: trust_domain.to_owned(), edges }
    }

    #[test]
    fn without_rules_every_edge_speaks_for_our_own_trust_domain_alone() {
        let callers = Callers::new(None, "mesh.example");
        assert_eq!(callers.check("b", "spiffe://mesh.example/ns/shop/sa/web"), Ok(()));
        assert_eq!(callers.check("b", ""), Ok(()));
        for foreign in ["cluster.local", "mesh.example.evil", "example"] {
            let refusal = callers.check("b", &format!("spiffe://{foreign}/ns/shop/sa/web")).unwrap_err();
            assert_eq!(refusal, CallerRefusal::TrustDomain(foreign.to_owned()));
        }
    }

    #[test]
    fn rules_replace_that() {
        let callers = Callers::new(Some(&[rule("partner.example", &["b", "c"]), rule("all.example", &[])]), "ours");
        assert_eq!(callers.check("b", "spiffe://partner.example/x"), Ok(()));
        assert_eq!(callers.check("d", "spiffe://all.example/x"), Ok(()));
        assert!(callers.check("d", "spiffe://partner.example/x").is_err());
        assert!(callers.check("b", "spiffe://ours/x").is_err());
        assert!(Callers::new(Some(&[]), "ours").check("b", "spiffe://ours/x").is_err());
    }

    #[test]
    fn what_is_no_spiffe_id_is_refused() {
        let callers = Callers::new(None, "ours");
        for odd in [
            "ours",
            "spiffe://ours",
            "spiffe://ours/",
            "spiffe:///x",
            "https://ours/x",
            "spiffe://Ours/x",
            "spiffe://o urs/x",
        ] {
            assert_eq!(callers.check("b", odd), Err(CallerRefusal::NoIdentity), "{odd}");
        }
    }
}
