use std::time::Duration;

use serde_json::{Value, json};
use xds_api::envoy::config::core::v3::Http2ProtocolOptions;

use crate::context::Context;
use crate::examples::parse;
use crate::fate::{NoOp, Report};
use crate::http2::{Http2Keepalive, Http2Options};

fn convert_with_report(value: &Value) -> (Result<Http2Options, String>, Report) {
    let mut report = Report::default();
    let wire: Http2ProtocolOptions = parse(value);
    let converted = super::downstream(&wire, &mut Context::new("x", &mut report));
    (converted.map_err(|refusal| refusal.to_string()), report)
}

fn convert(value: &Value) -> Result<Http2Options, String> {
    convert_with_report(value).0
}

#[test]
fn what_is_left_out_is_the_default() {
    assert_eq!(convert(&json!({})), Ok(Http2Options::DOWNSTREAM));
}

#[test]
fn every_setting_that_counts() {
    let value = json!({
        "max_concurrent_streams": 1_073_741_824,
        "initial_stream_window_size": 65_535,
        "initial_connection_window_size": 2_147_483_647,
        "allow_connect": true,
        "override_stream_error_on_invalid_http_message": true,
        "connection_keepalive": {"interval": "30s", "timeout": "0.001s", "interval_jitter": {"value": 20}},
    });
    let keepalive =
        Http2Keepalive { interval: Duration::from_secs(30), timeout: Duration::from_millis(1), interval_jitter: 20 };
    let expected = Http2Options {
        max_concurrent_streams: 1_073_741_824,
        initial_stream_window_size: 65_535,
        initial_connection_window_size: 2_147_483_647,
        allow_connect: true,
        stream_error_on_invalid_message: true,
        keepalive: Some(keepalive),
    };
    assert_eq!(convert(&value), Ok(expected));
}

#[test]
fn the_newer_of_two_switches_wins() {
    let ends_stream = |value: Value| convert(&value).unwrap().stream_error_on_invalid_message;
    assert!(ends_stream(json!({"stream_error_on_invalid_http_messaging": true})));
    assert!(!ends_stream(json!({
        "stream_error_on_invalid_http_messaging": true,
        "override_stream_error_on_invalid_http_message": false,
    })));
}

#[test]
fn a_keepalive_that_never_pings_is_none() {
    let keepalive = |value: Value| convert(&json!({"connection_keepalive": value})).unwrap().keepalive;
    assert_eq!(keepalive(json!({"timeout": "10s"})), None);
    let regular = keepalive(json!({"interval": "1s", "timeout": "10s"})).unwrap();
    assert_eq!((regular.interval, regular.interval_jitter), (Duration::from_secs(1), 15));
}

#[test]
fn limits_against_floods_are_counted_without_effect() {
    let (converted, report) = convert_with_report(&json!({
        "max_outbound_frames": 1, "max_inbound_priority_frames_per_stream": 2, "hpack_table_size": 65_536,
    }));
    assert_eq!(converted, Ok(Http2Options::DOWNSTREAM));
    for name in ["max_outbound_frames", "max_inbound_priority_frames_per_stream", "hpack_table_size"] {
        let place = "envoy.config.core.v3.Http2ProtocolOptions";
        assert_eq!(report.no_ops.get(&NoOp { place, name }), Some(&1), "{name}");
    }
}

#[test]
fn extended_connect_is_offered_to_clients_and_counted_without_effect_for_endpoints() {
    let value = json!({"allow_connect": true});
    let (converted, report) = convert_with_report(&value);
    assert_eq!((converted.map(|options| options.allow_connect), report), (Ok(true), Report::default()));
    let mut report = Report::default();
    let converted = super::upstream(&parse(&value), &mut Context::new("x", &mut report));
    assert_eq!(converted.map_err(|refusal| refusal.to_string()), Ok(Http2Options::UPSTREAM));
    let no_op = NoOp { place: "envoy.config.core.v3.Http2ProtocolOptions", name: "allow_connect" };
    assert_eq!(report.no_ops.get(&no_op), Some(&1));
}

#[test]
fn refusals_name_the_field() {
    let cases = [
        (json!({"max_concurrent_streams": 0}), "max_concurrent_streams: must be between 1 and 2147483647"),
        (json!({"max_concurrent_streams": 2_147_483_648u32}), "max_concurrent_streams: must be"),
        (json!({"initial_stream_window_size": 65_534}), "initial_stream_window_size: must be between 65535"),
        (json!({"initial_connection_window_size": 1}), "initial_connection_window_size: must be"),
        (json!({"connection_keepalive": {"interval": "1s"}}), "connection_keepalive.timeout: is missing"),
        (
            json!({"connection_keepalive": {"interval": "0s", "timeout": "1s"}}),
            "connection_keepalive.interval: must be at least",
        ),
        (
            json!({"connection_keepalive": {"interval_jitter": {"value": 101}, "timeout": "1s"}}),
            "connection_keepalive.interval_jitter.value: 101 is not",
        ),
        (json!({"custom_settings_parameters": [{}]}), "custom_settings_parameters: "),
        (json!({"disallow_obs_text": true}), "disallow_obs_text: "),
    ];
    for (value, expected) in cases {
        let refusal = convert(&value).unwrap_err();
        assert!(refusal.starts_with(&format!("x: {expected}")), "{value}: {refusal}");
    }
}
