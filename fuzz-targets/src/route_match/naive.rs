//! The rules of Envoy's route tables, one tried after the other.

use xds_model::matcher::FullRegex;

use crate::route_match::script::{Path, Request, Rule, Script};
use crate::route_match::table::name;

/// The name of the rule that a request takes.
pub(super) fn find(script: &Script<'_>, request: &Request<'_>) -> Option<String> {
    let authority = request.authority.to_ascii_lowercase();
    let domains = script
        .hosts
        .iter()
        .enumerate()
        .flat_map(|(number, host)| host.domains.iter().map(move |domain| (number, domain.to_ascii_lowercase())));
    let (host, _) = domains
        .filter_map(|(number, domain)| Some((number, rank(&domain, &authority)?)))
        .max_by_key(|(_, rank)| *rank)?;
    let path = request.target.split(['?', '#']).next().unwrap_or_default();
    let rule = script.hosts[host].rules.iter().position(|rule| takes(rule, path, request))?;
    Some(name(host, rule))
}

/// Which of the domains that fit is taken: the highest. Equal, the longest suffix, the longest prefix, any.
fn rank(domain: &str, authority: &str) -> Option<(u8, usize)> {
    if domain == "*" {
        return Some((0, 0));
    }
    let longer = authority.len() >= domain.len();
    if let Some(suffix) = domain.strip_prefix('*') {
        return (longer && authority.ends_with(suffix)).then_some((2, suffix.len()));
    }
    if let Some(prefix) = domain.strip_suffix('*') {
        return (longer && authority.starts_with(prefix)).then_some((1, prefix.len()));
    }
    (domain == authority).then_some((3, 0))
}

fn takes(rule: &Rule<'_>, path: &str, request: &Request<'_>) -> bool {
    let fold = |text: &str| if rule.ignore_case { text.to_ascii_lowercase() } else { text.to_owned() };
    let folded = fold(path);
    let path_fits = match &rule.path {
        Path::Prefix(prefix) => folded.starts_with(&fold(prefix)),
        Path::Exact(expected) => folded == fold(expected),
        Path::Separated(prefix) => {
            folded.strip_prefix(&fold(prefix)).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
        Path::Regex(pattern) => FullRegex::new(pattern).expect("a pattern that was taken").is_match(path.as_bytes()),
    };
    path_fits && rule.header.is_none_or(|expected| request.header == Some(expected))
}
