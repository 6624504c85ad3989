//! The table as the control plane would send it.

use xds_api::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use xds_api::envoy::config::route::v3::route::Action;
use xds_api::envoy::config::route::v3::route_match::PathSpecifier;
use xds_api::envoy::config::route::v3::{
    DirectResponseAction, HeaderMatcher, Route, RouteConfiguration, RouteMatch, VirtualHost,
};
use xds_api::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use xds_api::envoy::r#type::matcher::v3::{RegexMatcher, StringMatcher};

use crate::route_match::script::{Host, Path, Rule, Script};

pub(super) fn to_wire(script: &Script<'_>) -> RouteConfiguration {
    let virtual_hosts = script.hosts.iter().enumerate().map(|(number, host)| virtual_host(number, host)).collect();
    RouteConfiguration { name: "table".into(), virtual_hosts, ..RouteConfiguration::default() }
}

/// The name of a rule: the numbers of its host and of itself.
pub(super) fn name(host: usize, rule: usize) -> String {
    format!("{host}/{rule}")
}

fn virtual_host(number: usize, host: &Host<'_>) -> VirtualHost {
    VirtualHost {
        name: number.to_string(),
        domains: host.domains.iter().map(ToString::to_string).collect(),
        routes: host.rules.iter().enumerate().map(|(rule, content)| route(name(number, rule), content)).collect(),
        ..VirtualHost::default()
    }
}

fn route(name: String, rule: &Rule<'_>) -> Route {
    let path = match &rule.path {
        Path::Prefix(text) => PathSpecifier::Prefix(text.clone()),
        Path::Exact(text) => PathSpecifier::Path(text.clone()),
        Path::Separated(text) => PathSpecifier::PathSeparatedPrefix(text.clone()),
        Path::Regex(text) => PathSpecifier::SafeRegex(RegexMatcher { regex: text.clone(), ..RegexMatcher::default() }),
    };
    let headers = rule.header.iter().map(|(name, value)| HeaderMatcher {
        name: (*name).to_owned(),
        header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(StringMatcher {
            match_pattern: Some(MatchPattern::Exact((*value).to_owned())),
            ..StringMatcher::default()
        })),
        ..HeaderMatcher::default()
    });
    let matches = RouteMatch {
        path_specifier: Some(path),
        case_sensitive: Some(!rule.ignore_case),
        headers: headers.collect(),
        ..RouteMatch::default()
    };
    let action = Action::DirectResponse(DirectResponseAction { status: 200, ..DirectResponseAction::default() });
    Route { name, r#match: Some(matches), action: Some(action), ..Route::default() }
}
