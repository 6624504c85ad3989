//! Host names that may begin with a wildcard.

use std::cmp::Ordering;
use std::net::IpAddr;

/// The domain of services, Istio's default.
pub(crate) const DOMAIN: &str = "cluster.local";

/// The full name of a host: a name without a dot is a service of `namespace`.
pub(crate) fn full_name(name: &str, namespace: &str) -> String {
    if name.is_empty() || name == "*" || name.contains('.') || name.parse::<IpAddr>().is_ok() {
        return name.to_owned();
    }
    format!("{name}.{namespace}.svc.{DOMAIN}")
}

pub(crate) fn is_wildcard(name: &str) -> bool {
    name.starts_with('*')
}

/// Every name that `name` stands for is also one of `other`.
pub(crate) fn is_subset(name: &str, other: &str) -> bool {
    match (name.strip_prefix('*'), other.strip_prefix('*')) {
        (Some(suffix), Some(wider)) => name.len() >= other.len() && suffix.ends_with(wider),
        (Some(_), None) => false,
        (None, Some(wider)) => name.ends_with(wider),
        (None, None) => name == other,
    }
}

/// Some name is one of both.
pub(crate) fn overlap(one: &str, other: &str) -> bool {
    is_subset(one, other) || is_subset(other, one)
}

/// The narrower name of each pair that overlaps, each once, in the order of the first list.
pub(crate) fn intersection(one: &[String], other: &[String]) -> Vec<String> {
    let mut result: Vec<String> = Vec::new();
    for (first, second) in one.iter().flat_map(|first| other.iter().map(move |second| (first, second))) {
        let narrower = match (is_subset(first, second), is_subset(second, first)) {
            (true, _) => first,
            (_, true) => second,
            _ => continue,
        };
        if !result.contains(narrower) {
            result.push(narrower.clone());
        }
    }
    result
}

/// Exact names first, then wildcards; longer before shorter; else alphabetical.
pub(crate) fn most_specific_first(one: &str, other: &str) -> Ordering {
    let key = |name: &str| (is_wildcard(name), std::cmp::Reverse(name.len()));
    key(one).cmp(&key(other)).then_with(|| one.cmp(other))
}

/// The hosts of a gateway's server that routes of `namespace` may use, without their namespace part.
pub(crate) fn for_namespace(hosts: &[String], namespace: &str) -> Vec<String> {
    let allowed = hosts.iter().filter_map(|host| match host.split_once('/') {
        Some((owner, name)) => (owner == namespace || owner == "*").then_some(name),
        None => Some(host.as_str()),
    });
    allowed.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_services_of_the_namespace() {
        assert_eq!(full_name("reviews", "shop"), "reviews.shop.svc.cluster.local");
        for name in ["*", "", "example.com", "*.com", "::1"] {
            assert_eq!(full_name(name, "shop"), name);
        }
    }

    #[test]
    fn subsets_and_overlaps() {
        let cases = [
            ("a.com", "a.com", true, true),
            ("a.com", "b.com", false, false),
            ("a.com", "*.com", true, true),
            ("*.com", "a.com", false, true),
            ("*.a.com", "*.com", true, true),
            ("*.com", "*.a.com", false, true),
            ("a.com", "*.a.com", false, false),
            ("a.com", "*", true, true),
        ];
        for (one, other, subset, overlaps) in cases {
            assert_eq!(is_subset(one, other), subset, "{one} in {other}");
            assert_eq!(overlap(one, other), overlaps, "{one} and {other}");
        }
    }

    #[test]
    fn an_intersection_keeps_the_narrower_names() {
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let result = intersection(&names(&["foo.com", "*.net", "x.org"]), &names(&["*.com", "bar.net", "*.com"]));
        assert_eq!(result, ["foo.com", "bar.net"]);
    }

    #[test]
    fn namespaces_of_hosts() {
        let hosts = ["shop/a.com", "*/b.com", "c.com", "other/d.com"].map(str::to_owned);
        assert_eq!(for_namespace(&hosts, "shop"), ["a.com", "b.com", "c.com"]);
    }

    #[test]
    fn specific_names_come_first() {
        let mut names = vec!["*", "b.com", "*.a.com", "a.com", "long.a.com"];
        names.sort_by(|one, other| most_specific_first(one, other));
        assert_eq!(names, ["long.a.com", "a.com", "b.com", "*.a.com", "*"]);
    }
}
