//! Lines of the access log.

use xds_model::access_log::{AccessLog, AccessLogFilter, Comparison, DEFAULT_TEXT_FORMAT, JsonValue, LogFormat};
use xds_model::format::Format;

use crate::kit::{LogFile, Refusing, Site, cluster, direct, prefix};
use xds_model::route::PathRewrite;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn the_default_format_is_envoys() {
    let log = LogFile::new();
    let site = Site::with(|plan| {
        plan.manager.access_log.push(log.text(DEFAULT_TEXT_FORMAT));
        plan.forward().path_rewrite = Some(PathRewrite::Prefix("/new/".to_owned()));
    })
    .await;
    let (mut client, mut upstream, head) = site
        .sent("POST /old HTTP/1.1\r\nhost: shop.example.com\r\nuser-agent: test 1.0\r\ncontent-length: 3\r\n\r\nabc")
        .await;
    upstream.says("abc").await;
    upstream.send(OK).await;
    client.message().await;
    let line = log.lines(1).await.remove(0);
    let (time, rest) = line.strip_prefix('[').unwrap().split_once("] ").unwrap();
    assert!(time.len() == 24 && time.ends_with('Z') && time.as_bytes()[10] == b'T', "{time}");
    let rest = rest.strip_prefix("\"POST /old HTTP/1.1\" 200 - 3 2 ").unwrap();
    let (times, rest) = rest.split_once(" \"").unwrap();
    let times: Vec<u64> = times.split(' ').map(|time| time.parse().unwrap()).collect();
    assert!(times.len() == 2 && times[0] >= times[1], "{times:?}");
    let expected = format!(
        "10.1.2.3\" \"test 1.0\" \"{}\" \"shop.example.com\" \"{}\"",
        head.get("x-request-id").unwrap(),
        site.backend.address
    );
    assert_eq!(rest, expected);
    site.stop().await;
}

#[tokio::test]
async fn nothing_is_logged_of_a_request_that_cannot_be_read_but_its_answer() {
    let log = LogFile::new();
    let format =
        "%REQ(:METHOD)% %REQ(:PATH)% %PROTOCOL% %RESPONSE_CODE% %RESPONSE_FLAGS% %UPSTREAM_HOST% %ROUTE_NAME%\n";
    let site = Site::with(|plan| plan.manager.access_log.push(log.text(format))).await;
    let (head, _) = site.answer("GET /x HTTP/1.1\r\nhost: a\r\nbad header: 1\r\n\r\n").await;
    assert_eq!(head.status(), 400);
    assert_eq!(log.lines(1).await, ["- - HTTP/1.1 400 DPE - -"]);
    site.stop().await;
}

fn json() -> LogFormat {
    let value = |format: &str| JsonValue::Format(Format::parse(format).unwrap());
    let fields = vec![
        ("method", value("%REQ(:METHOD)%")),
        ("path", value("%REQ(:PATH)%")),
        ("response_code", value("%RESPONSE_CODE%")),
        ("response_flags", value("%RESPONSE_FLAGS%")),
        ("response_code_details", value("%RESPONSE_CODE_DETAILS%")),
        ("bytes_received", value("%BYTES_RECEIVED%")),
        ("bytes_sent", value("%BYTES_SENT%")),
        ("upstream_cluster", value("%UPSTREAM_CLUSTER%")),
        ("upstream_host", value("%UPSTREAM_HOST%")),
        ("route_name", value("%ROUTE_NAME%")),
        ("attempts", value("%UPSTREAM_REQUEST_ATTEMPT_COUNT%")),
        ("missing", value("%REQ(X-MISSING)%")),
        ("both", value("%REQ(:METHOD)% %RESPONSE_CODE%")),
        ("fixed", JsonValue::Object(vec![("number".to_owned(), JsonValue::Number(7.0))])),
    ];
    LogFormat::Json {
        fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        omit_empty_values: false,
    }
}

#[tokio::test]
async fn json_lines_keep_the_types_of_their_values() {
    let log = LogFile::new();
    let site = Site::with(|plan| plan.manager.access_log.push(log.with(json()))).await;
    let (mut client, mut upstream, _) = site.sent("GET /a\"b HTTP/1.1\r\nhost: a\r\n\r\n").await;
    upstream.send(OK).await;
    client.message().await;
    let line: serde_json::Value = serde_json::from_str(&log.lines(1).await[0]).unwrap();
    let path = line["path"].as_str().unwrap().to_owned();
    assert!(path == "/a\"b" || path == "/a%22b", "{path}");
    let expected = serde_json::json!({
        "method": "GET", "path": path, "response_code": 200, "response_flags": "-", "response_code_details": "via_upstream",
        "bytes_received": 0, "bytes_sent": 2, "upstream_cluster": "b", "upstream_host": site.backend.address.to_string(),
        "route_name": "route /", "attempts": 1, "missing": null, "both": "GET 200", "fixed": {"number": 7},
    });
    assert_eq!(line, expected);
    site.stop().await;
}

#[tokio::test]
async fn a_failure_is_logged_with_whom_it_concerns() {
    let (log, refusing) = (LogFile::new(), Refusing::new());
    let site = Site::with(|plan| {
        plan.manager.access_log.push(log.with(json()));
        plan.cluster = cluster("b", &[refusing.address]);
    })
    .await;
    let (_, body) = site.answer("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let line: serde_json::Value = serde_json::from_str(&log.lines(1).await[0]).unwrap();
    assert_eq!((&line["response_code"], &line["response_flags"]), (&503.into(), &"UF".into()));
    assert_eq!(line["upstream_host"], refusing.address.to_string());
    assert_eq!(line["bytes_sent"], body.len());
    site.stop().await;
}

#[tokio::test]
async fn a_filter_chooses_what_is_logged() {
    let log = LogFile::new();
    let filter = AccessLogFilter::Status { comparison: Comparison::GreaterOrEqual, value: 400 };
    let site = Site::with(|plan| {
        plan.manager.access_log.push(AccessLog { filter: Some(filter), ..log.text("%RESPONSE_CODE%\n") });
        plan.routes().insert(0, prefix("/good", direct(200, "")));
        plan.routes()[1].action = direct(418, "");
    })
    .await;
    let mut client = site.client().await;
    for path in ["/good", "/bad", "/good"] {
        client.ask(&format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
    }
    site.logs(&["200 - direct_response 0 0", "418 - direct_response 0 0", "200 - direct_response 0 0"]).await;
    assert_eq!(log.lines(1).await, ["418"]);
    site.stop().await;
}
