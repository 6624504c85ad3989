mod grpc;

use std::num::NonZeroU32;
use std::time::Duration;

use serde_json::{Value, json};

use crate::examples::{any, forward, parse, routes, with};
use crate::fate::Report;
use crate::format::{Format, Operator, PlainOperator, Segment};
use crate::hash_policy::{HashCookie, HashPolicy, HashSource};
use crate::header::HeaderAppend;
use crate::matcher::HeaderCondition;
use crate::route::{
    ConnectMode, DirectResponse, Forward, PathMatch, PathRewrite, RedirectPath, RetryOn, Route, RouteAction,
    RouteConfiguration,
};

fn convert(value: &Value) -> Result<(RouteConfiguration, Report), String> {
    let mut report = Report::default();
    match RouteConfiguration::from_wire(&parse(value), &mut report) {
        Ok(table) => Ok((table, report)),
        Err(refusal) => Err(refusal.to_string()),
    }
}

/// The table with `route` as its first route, and that route.
fn convert_route(route: Value) -> (Route, Report) {
    let (table, report) = convert(&with(routes(), "/virtual_hosts/0/routes/0", route)).unwrap();
    assert_eq!(table.virtual_hosts[0].routes.len(), 3, "the other routes are kept");
    (table.virtual_hosts[0].routes[0].clone(), report)
}

fn forwarded(route: &Route) -> &Forward {
    match &route.action {
        RouteAction::Forward(forward) => forward,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_table_of_istiod() {
    let (table, report) = convert(&routes()).unwrap();
    assert!(table.ignore_port_in_host_matching && table.headers.request.is_empty());
    let [shop, blackhole] = table.virtual_hosts.as_slice() else { panic!("not two hosts") };
    assert_eq!(shop.domains, ["shop.example.com", "*.shop.example.com"]);
    assert!(shop.include_request_attempt_count && !shop.require_tls);
    assert!(blackhole.routes.is_empty() && blackhole.require_tls);
    assert!(report.refusals.is_empty());
}

#[test]
fn what_is_hashed() {
    let converted = |policy: Value| {
        let (route, report) = convert_route(with(forward(), "/route/hash_policy", json!([policy])));
        match &route.action {
            RouteAction::Forward(forward) => Ok(forward.hash_policies.clone()),
            _ => Err(report.refusals.first().map(ToString::to_string).unwrap_or_default()),
        }
    };
    let one = |source| Ok(vec![HashPolicy { source, is_terminal: false }]);
    let header = json!({"header": {"header_name": "X-User"}});
    assert_eq!(converted(header), one(HashSource::Header("x-user".to_owned())));
    assert_eq!(converted(json!({"connection_properties": {"source_ip": true}})), one(HashSource::SourceIp));
    assert_eq!(converted(json!({"connection_properties": {}})), Ok(Vec::new()));
    let query = HashSource::QueryParameter("user".to_owned());
    let terminal = Ok(vec![HashPolicy { source: query, is_terminal: true }]);
    assert_eq!(converted(json!({"query_parameter": {"name": "user"}, "terminal": true})), terminal);
    let cookie = HashCookie {
        name: "session".to_owned(),
        lifetime: Some(Duration::ZERO),
        path: "/a".to_owned(),
        attributes: vec![("SameSite".to_owned(), "Lax".to_owned())],
    };
    let wire = json!({"cookie": {"name": "session", "ttl": "0s", "path": "/a",
        "attributes": [{"name": "SameSite", "value": "Lax"}]}});
    assert_eq!(converted(wire), one(HashSource::Cookie(cookie)));
    for (wire, expected) in [
        (json!({}), "policy_specifier: is missing"),
        (json!({"header": {}}), "header.header_name: is empty"),
        (
            json!({"header": {"header_name": "a", "regex_rewrite": {}}}),
            "header.regex_rewrite: values are hashed as they are",
        ),
        (json!({"query_parameter": {}}), "query_parameter.name: is empty"),
        (json!({"cookie": {}}), "cookie.name: is empty"),
        (json!({"cookie": {"name": "a", "path": "/; Domain=x"}}), "cookie.path: cannot stand in a cookie"),
        (
            json!({"cookie": {"name": "a", "attributes": [{"name": "b", "value": "c\r\nd: e"}]}}),
            "cookie.attributes[0].value: cannot stand in a cookie",
        ),
        (json!({"filter_state": {"key": "a"}}), "filter_state: there is no state of filters"),
    ] {
        let refusal = converted(wire).unwrap_err();
        assert!(refusal.contains(&format!("hash_policy[0].{expected}")), "{refusal}");
    }
}

#[test]
fn a_route_that_forwards() {
    let (route, _) = convert_route(forward());
    assert_eq!((route.name.as_str(), &route.matches.path), ("weighted", &PathMatch::Prefix("/cart".to_owned())));
    let names: Vec<_> = route.matches.headers.iter().map(|header| header.name.as_str()).collect();
    assert_eq!(names, [":method", "x-old", "x-number", "x-regex"]);
    assert!(route.matches.headers[1].invert);
    assert_eq!(route.matches.headers[2].condition, HeaderCondition::Range { start: 1, end: 10 });
    assert_eq!(route.matches.query.len(), 2);
    assert_eq!(route.istio_config.as_deref(), Some("/apis/networking.istio.io/v1/namespaces/a/virtual-service/b"));
    assert_eq!(route.decorator_operation.as_deref(), Some("shop.default.svc.cluster.local:80/cart*"));
    assert_eq!(route.headers.response.remove, ["x-secret"]);
    let [added] = route.headers.request.add.as_slice() else { panic!("not one header") };
    assert_eq!((added.name.as_str(), added.append), ("x-client", HeaderAppend::OverwriteIfExistsOrAdd));
    let address = Segment::Operator(Operator::Plain(PlainOperator::DownstreamRemoteAddress));
    assert_eq!(added.value, Format { segments: vec![address, Segment::Literal(" 100%".to_owned())] });

    let forward = forwarded(&route);
    assert_eq!((forward.clusters[0].weight, forward.clusters[1].weight), (90, 10));
    assert_eq!(forward.clusters[1].host_rewrite.as_deref(), Some("v2"));
    assert_eq!(forward.clusters[1].headers.request.add[0].name, "x-version");
    assert_eq!((forward.timeout, forward.idle_timeout), (None, None));
    assert_eq!(forward.path_rewrite, Some(PathRewrite::Prefix("/".to_owned())));
    assert_eq!(forward.cluster_not_found_status, 500);
    assert!(forward.append_x_forwarded_host);
    let retry = forward.retry.as_ref().unwrap();
    assert_eq!((retry.num_retries, retry.host_selection_attempts, retry.avoid_previous_hosts), (2, 5, true));
    assert_eq!(retry.leave_priorities_after, NonZeroU32::new(2));
    assert_eq!((retry.back_off_base, retry.back_off_max), (Duration::from_millis(25), Duration::from_millis(250)));
    assert_eq!(retry.retriable_status_codes, [503]);
    let conditions = RetryOn {
        connect_failure: true,
        refused_stream: true,
        grpc_unavailable: true,
        grpc_cancelled: true,
        retriable_status_codes: true,
        ..RetryOn::default()
    };
    assert_eq!(retry.retry_on, conditions);
}

#[test]
fn defaults_are_those_of_envoy() {
    let (route, _) = convert_route(json!({"match": {"prefix": "/"}, "route": {"cluster": "one", "retry_policy": {}}}));
    let forward = forwarded(&route);
    assert_eq!(forward.timeout, Some(Duration::from_secs(15)));
    assert_eq!(forward.cluster_not_found_status, 503);
    assert_eq!((forward.clusters[0].name.as_str(), forward.clusters[0].weight), ("one", 1));
    let retry = forward.retry.as_ref().unwrap();
    assert_eq!((retry.num_retries, retry.host_selection_attempts, retry.per_try_timeout), (1, 1, None));
    assert_eq!(retry.leave_priorities_after, None);
    assert!(route.matches.case_sensitive);
}

#[test]
fn other_actions() {
    let (table, _) = convert(&routes()).unwrap();
    let RouteAction::Redirect(redirect) = &table.virtual_hosts[0].routes[1].action else { panic!("no redirect") };
    assert_eq!((redirect.scheme.as_deref(), redirect.host.as_deref()), (Some("https"), Some("new.example.com")));
    assert_eq!((redirect.port, redirect.status), (Some(8443), 308));
    assert_eq!(redirect.path, Some(RedirectPath::Full("/new".to_owned())));
    let expected = DirectResponse { status: 418, body: "short and stout".into() };
    assert_eq!(table.virtual_hosts[0].routes[2].action, RouteAction::DirectResponse(expected));

    let (route, _) = convert_route(json!({"match": {"path": "/"}, "redirect": {"https_redirect": true}}));
    let RouteAction::Redirect(redirect) = &route.action else { panic!("no redirect") };
    assert_eq!((redirect.scheme.as_deref(), redirect.port, redirect.status), (Some("https"), None, 301));
    assert_eq!((&redirect.host, &redirect.path), (&None, &None));

    let regex = json!({"pattern": {"regex": "^/a/(.*)"}, "substitution": "/\\1"});
    let (route, _) =
        convert_route(json!({"match": {"prefix": "/"}, "route": {"cluster": "a", "regex_rewrite": regex}}));
    assert!(
        matches!(&forwarded(&route).path_rewrite, Some(PathRewrite::Regex { substitution, .. }) if substitution == "/\\1")
    );
}

#[test]
fn no_target_at_all_is_legal() {
    let (route, report) = convert_route(json!({"match": {"prefix": "/"}, "route": {"weighted_clusters": {}}}));
    assert!(forwarded(&route).clusters.is_empty() && report.refusals.is_empty());
    let zero =
        json!({"match": {"prefix": "/"}, "route": {"weighted_clusters": {"clusters": [{"name": "a", "weight": 0}]}}});
    assert_eq!(forwarded(&convert_route(zero).0).clusters[0].weight, 0);
}

#[test]
fn a_route_that_cannot_be_served_is_refused_alone() {
    let regex = |substitution: &str| json!({"pattern": {"regex": "(a)"}, "substitution": substitution});
    let header = |value: &str| json!([{"header": {"key": "x", "value": value}}]);
    let fault = any("envoy.extensions.filters.http.fault.v3.HTTPFault", json!({}));
    let cases = [
        ("/route/request_mirror_policies", json!([{"cluster": "x"}]), "route.request_mirror_policies: "),
        (
            "/typed_per_filter_config",
            json!({"envoy.filters.http.fault": fault}),
            "typed_per_filter_config: settings of envoy.filters.http.fault",
        ),
        ("/route/cors", json!({"max_age": "1"}), "route.cors: "),
        ("/route/rate_limits", json!([{}]), "route.rate_limits: "),
        ("/route/priority", json!("HIGH"), "route.priority: "),
        ("/route/upgrade_configs", json!([{"upgrade_type": "websocket"}]), "route.upgrade_configs[0].upgrade_type: "),
        (
            "/route/upgrade_configs",
            json!([{"upgrade_type": "CONNECT", "connect_config": {"allow_post": true}}]),
            "route.upgrade_configs[0].connect_config.allow_post: ",
        ),
        (
            "/route/upgrade_configs",
            json!([{"upgrade_type": "CONNECT"}, {"upgrade_type": "connect"}]),
            "route.upgrade_configs: names CONNECT more than once",
        ),
        ("/route/auto_host_rewrite", json!(true), "route.auto_host_rewrite: "),
        ("/route/regex_rewrite", regex("\\1"), "route.regex_rewrite: and prefix_rewrite exclude"),
        ("/request_headers_to_add", header("50% off"), "request_headers_to_add[0].header.value: \"% off\" is not"),
        ("/request_headers_to_add", header("%NOPE%"), "request_headers_to_add[0].header.value: operator %NOPE%"),
        ("/request_headers_to_add", header("a\r\nb: c"), "request_headers_to_add[0].header.value: holds a line break"),
        (
            "/request_headers_to_add",
            json!([{"header": {"key": ":path", "value": ""}}]),
            "request_headers_to_add[0].header.key: :path is",
        ),
        ("/request_headers_to_remove", json!(["Host"]), "request_headers_to_remove[0]: host is changed"),
        (
            "/route/retry_policy/retry_back_off",
            json!({"base_interval": "2s", "max_interval": "1s"}),
            "route.retry_policy.retry_back_off.max_interval: is less",
        ),
        (
            "/route/retry_policy/retriable_status_codes",
            json!([99]),
            "route.retry_policy.retriable_status_codes[0]: 99 is not",
        ),
        (
            "/route/retry_policy/retry_priority/typed_config/update_frequency",
            json!(0),
            "route.retry_policy.retry_priority.typed_config.update_frequency: must be more than 0",
        ),
        (
            "/route/retry_policy/retry_priority/typed_config",
            any("envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate", json!({})),
            "route.retry_policy.retry_priority.typed_config: retry priority \"envoy.extensions.retry.host",
        ),
        (
            "/route/retry_policy/retry_priority",
            json!({"name": "envoy.retry_priorities.previous_priorities"}),
            "route.retry_policy.retry_priority.typed_config: is missing",
        ),
        (
            "/route/weighted_clusters/clusters/0/weight",
            json!(4_294_967_295u32),
            "route.weighted_clusters.clusters: the sum",
        ),
        ("/route/timeout", json!("-1s"), "route.timeout: is negative"),
    ];
    for (pointer, change, expected) in cases {
        let mut value = forward();
        if pointer.ends_with("auto_host_rewrite") {
            value["route"].as_object_mut().unwrap().remove("host_rewrite_literal");
        }
        let (route, report) = convert_route(with(value, pointer, change));
        let RouteAction::Refused(reason) = &route.action else { panic!("{pointer}: {:?}", route.action) };
        assert!(reason.starts_with(&format!("virtual_hosts[0].routes[0].{expected}")), "{pointer}: {reason}");
        assert_eq!(route.matches.path, PathMatch::Prefix("/cart".to_owned()));
        assert_eq!(report.refusals.len(), 1, "{pointer}");
        assert_eq!(report.refusals[0].resource, "http.8080");
    }
}

#[test]
fn more_actions_that_are_refused() {
    let cases = [
        json!({"redirect": {"path_rewrite": "%PATH%"}}),
        json!({"redirect": {"port_redirect": 70000}}),
        json!({"direct_response": {"status": 99}}),
        json!({"direct_response": {"status": 200, "body": {"filename": "/etc/passwd"}}}),
        json!({"direct_response": {"status": 200, "body": {"environment_variable": "HOME"}}}),
        json!({"direct_response": {"status": 200, "body": {"inline_string": "x".repeat(1 << 21)}}}),
        json!({"route": {"cluster_header": "x"}}),
        json!({"route": {"cluster": ""}}),
        json!({"route": {"cluster": "a", "regex_rewrite": {"pattern": {"regex": "("}, "substitution": ""}}}),
        json!({"route": {"cluster": "a", "regex_rewrite": {"pattern": {"regex": "(a)"}, "substitution": "\\2"}}}),
        json!({"non_forwarding_action": {}}),
        json!({}),
    ];
    for action in cases {
        let (route, report) = convert_route(with(action.clone(), "/match", json!({"prefix": "/"})));
        assert!(matches!(route.action, RouteAction::Refused(_)), "{action}");
        assert_eq!(report.refusals.len(), 1, "{action}");
    }
}

#[test]
fn conditions_that_are_not_supported_match_too_much_rather_than_too_little() {
    let claim =
        json!([{"filter": "envoy.filters.http.jwt_authn", "path": [{"key": "p"}], "value": {"present_match": true}}]);
    let (route, report) = convert_route(with(forward(), "/match/dynamic_metadata", claim));
    assert!(matches!(route.action, RouteAction::Refused(_)));
    assert_eq!((route.matches.headers.len(), route.matches.query.len()), (4, 2));
    assert_eq!(report.refusals[0].field, "virtual_hosts[0].routes[0].match.dynamic_metadata");

    let broken =
        json!([{"name": "a", "string_match": {"safe_regex": {"regex": "("}}}, {"name": "b", "present_match": true}]);
    let (route, report) = convert_route(with(forward(), "/match/headers", broken));
    let names: Vec<_> = route.matches.headers.iter().map(|header| header.name.as_str()).collect();
    assert_eq!(names, ["b"], "only the broken condition is left out");
    assert_eq!(report.refusals[0].field, "virtual_hosts[0].routes[0].match.headers[0].string_match.safe_regex.regex");

    let (route, _) = convert_route(json!({"match": {"path_separated_prefix": "/a/"}, "route": {"cluster": "a"}}));
    assert!(matches!(route.action, RouteAction::Refused(_)));
}

#[test]
fn a_host_with_an_unsupported_setting_is_refused_alone() {
    let value = with(routes(), "/virtual_hosts/0/rate_limits", json!([{}]));
    let (table, report) = convert(&value).unwrap();
    let [route] = table.virtual_hosts[0].routes.as_slice() else { panic!("not one route") };
    assert_eq!(route.matches.path, PathMatch::Prefix(String::new()));
    assert!(matches!(&route.action, RouteAction::Refused(reason) if reason.contains("rate_limits")));
    assert_eq!(table.virtual_hosts[1].domains, ["*"]);
    assert_eq!(report.refusals.len(), 1);
}

#[test]
fn tables_that_make_no_sense_are_refused() {
    let cases = [
        (
            "/virtual_hosts/1/domains",
            json!(["SHOP.example.com"]),
            "virtual_hosts: domain \"shop.example.com\" occurs twice",
        ),
        ("/virtual_hosts/1/domains", json!([]), "virtual_hosts[1].domains: is empty"),
        ("/vhds", json!({"config_source": {"ads": {}}}), "vhds: "),
        ("/internal_only_headers", json!(["x"]), "internal_only_headers: "),
        ("/request_mirror_policies", json!([{"cluster": "a"}]), "request_mirror_policies: "),
        (
            "/request_headers_to_add",
            json!([{"header": {"key": "a", "value": "%NOPE%"}}]),
            "request_headers_to_add[0].header.value: ",
        ),
    ];
    for (pointer, change, expected) in cases {
        let refusal = convert(&with(routes(), pointer, change)).unwrap_err();
        assert!(refusal.starts_with(&format!("http.8080: {expected}")), "{pointer}: {refusal}");
    }
    let empty = convert(&json!({"name": "http.80"})).unwrap().0;
    assert!(empty.virtual_hosts.is_empty());
}

#[test]
fn routes_say_what_becomes_of_connect() {
    let mode = |upgrades: Value| {
        let (route, _) = convert_route(
            json!({"match": {"connect_matcher": {}}, "route": {"cluster": "a", "upgrade_configs": upgrades}}),
        );
        assert_eq!(route.matches.path, PathMatch::Connect);
        match route.action {
            RouteAction::Forward(forward) => forward.connect,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(mode(json!([])), ConnectMode::Inherited);
    assert_eq!(mode(json!([{"upgrade_type": "CONNECT"}])), ConnectMode::Forwarded);
    assert_eq!(mode(json!([{"upgrade_type": "connect", "connect_config": {}}])), ConnectMode::Terminated);
    assert_eq!(
        mode(json!([{"upgrade_type": "CONNECT", "enabled": false, "connect_config": {}}])),
        ConnectMode::Refused
    );
}
