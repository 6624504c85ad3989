//! Which destination rule holds for a service.

use std::collections::BTreeMap;

use crate::mesh::service::Service;
use crate::mesh::{host, is_visible};
use crate::object::destination_rule::DestinationRule;

/// The namespace whose rules hold everywhere, Istio's default.
const ROOT_NAMESPACE: &str = "istio-system";

/// Rules as a gateway in some namespace sees them.
pub(crate) struct DestinationRules {
    /// Those of its own namespace.
    own: RuleSet,
    /// Those that other namespaces may see, by the namespace they are in.
    exported: BTreeMap<String, RuleSet>,
}

/// Rules that are looked for together.
#[derive(Default)]
struct RuleSet {
    /// By host; those with different `exportTo` stay apart, and the youngest counts.
    exact: BTreeMap<String, Vec<DestinationRule>>,
    wildcard: Vec<DestinationRule>,
}

impl DestinationRules {
    /// Rules that can be seen from `namespace`.
    pub(crate) fn new(mut all: Vec<DestinationRule>, namespace: &str) -> Self {
        all.sort_by(|one, other| one.metadata.age().cmp(&other.metadata.age()));
        let mut rules = Self { own: RuleSet::default(), exported: BTreeMap::new() };
        for rule in all {
            let home = rule.metadata.namespace.clone();
            let is_private = rule.export_to.len() == 1 && rule.export_to.first() == Some(&home);
            let seen_at_home = is_visible(&rule.export_to, &home);
            let takes_own_first = namespace != ROOT_NAMESPACE || is_private;
            if home == namespace && seen_at_home && takes_own_first {
                rules.own.add(rule.clone());
            }
            if !is_private && is_visible(&rule.export_to, namespace) {
                rules.exported.entry(home).or_default().add(rule);
            }
        }
        rules
    }

    /// The rule for a service: of the gateway's namespace, else of the service's, else of the root namespace.
    pub(crate) fn of(&self, service: &Service) -> Option<&DestinationRule> {
        let exported = |namespace: &str| self.exported.get(namespace)?.most_specific(&service.hostname);
        self.own
            .most_specific(&service.hostname)
            .or_else(|| exported(&service.namespace))
            .or_else(|| exported(ROOT_NAMESPACE))
    }
}

impl RuleSet {
    fn most_specific(&self, hostname: &str) -> Option<&DestinationRule> {
        let exact = self.exact.get(hostname).and_then(|rules| rules.last());
        let wildcard = || {
            let matching = self.wildcard.iter().rev().filter(|rule| host::is_subset(hostname, &rule.host));
            matching.min_by(|one, other| host::most_specific_first(&one.host, &other.host))
        };
        exact.or_else(wildcard)
    }

    /// Rules for the same host become one: the first policy counts, and so does the first subset of each name.
    fn add(&mut self, rule: DestinationRule) {
        let rules = match host::is_wildcard(&rule.host) {
            true => &mut self.wildcard,
            false => self.exact.entry(rule.host.clone()).or_default(),
        };
        let same = |known: &&mut DestinationRule| known.host == rule.host && known.export_to == rule.export_to;
        let Some(known) = rules.iter_mut().find(same) else { return rules.push(rule) };
        for subset in rule.subsets {
            if known.subsets.iter().all(|other| other.name != subset.name) {
                known.subsets.push(subset);
            }
        }
        if known.policy.is_none() {
            known.policy = rule.policy;
        }
    }
}
