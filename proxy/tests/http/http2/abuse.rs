//! Clients that break the rules, or keep them and do harm: what happens to them, and that nothing happens to others.

use xds_model::http::HeadersWithUnderscores;

use crate::kit::{
    Frame, Frames, Http2Upstream, LogFile, Plan, Site, direct, eventually, flag, http2_upstream, kind, prefix,
};

const PROTOCOL_ERROR: u32 = 1;
const INTERNAL_ERROR: u32 = 2;
const ENHANCE_YOUR_CALM: u32 = 11;

type Fields = Vec<(&'static str, &'static str)>;

/// The fields of a request, `more` behind the pseudo-header fields.
fn request(more: &[(&'static str, &'static str)]) -> Fields {
    let mut fields = vec![(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")];
    fields.extend_from_slice(more);
    fields
}

fn answering(plan: &mut Plan) {
    *plan.routes() = vec![prefix("/", direct(200, "here"))];
}

async fn is_answered(client: &mut Frames, stream: u32) {
    client.send(&[Frame::get(stream, "/")]).await;
    let data = client.until_some(|frame| frame.kind == kind::DATA && frame.stream == stream).await;
    assert_eq!(data.payload, b"here");
}

/// Heads that are malformed (RFC 9113 section 8).
fn malformed() -> Vec<(&'static str, Fields)> {
    let get = request(&[]);
    let without = |name: &str| get.iter().copied().filter(|(known, _)| *known != name).collect::<Fields>();
    vec![
        ("no method", without(":method")),
        ("no scheme", without(":scheme")),
        ("no path", without(":path")),
        ("an empty path", vec![(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "")]),
        ("two paths", request(&[(":path", "/")])),
        ("an unknown pseudo-header field", request(&[(":other", "1")])),
        ("one of answers", request(&[(":status", "200")])),
        ("a pseudo-header field behind others", [vec![("x-a", "1")], get.clone()].concat()),
        ("upper case", request(&[("X-Upper", "1")])),
        ("connection", request(&[("connection", "close")])),
        ("transfer-encoding", request(&[("transfer-encoding", "chunked")])),
        ("te", request(&[("te", "gzip")])),
        ("a line feed", request(&[("x-a", "1\nx-b: 2")])),
        ("NUL", request(&[("x-a", "1\0")])),
        ("a colon in a name", request(&[("x:a", "1")])),
        ("two lengths", request(&[("content-length", "1"), ("content-length", "2")])),
        ("a space in the path", vec![(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/ x")]),
    ]
}

#[tokio::test]
async fn a_malformed_head_ends_its_connection_and_no_other() {
    let log = LogFile::new();
    let site = Site::with(|plan| {
        answering(plan);
        plan.manager.access_log.push(log.text("%RESPONSE_CODE% %RESPONSE_FLAGS% %PROTOCOL%\n"));
    })
    .await;
    let mut other = Frames::connect(site.address).await;
    let cases = malformed();
    for (number, (name, fields)) in cases.iter().enumerate() {
        let mut client = Frames::connect(site.address).await;
        is_answered(&mut client, 1).await;
        client.send(&[Frame::headers(3, true, fields)]).await;
        let end = client.closes().await.pop().unwrap();
        assert_eq!((end.kind, end.code()), (kind::GOAWAY, PROTOCOL_ERROR), "{name}");
        site.edge.counts("http.test.downstream_cx_protocol_error", number as u64 + 1).await;
        is_answered(&mut other, 2 * number as u32 + 1).await;
    }
    let logged = log.lines(3 * cases.len()).await;
    assert_eq!(logged.iter().filter(|line| *line == "0 DPE HTTP/2").count(), cases.len(), "{logged:?}");
    site.stop().await;
}

#[tokio::test]
async fn a_malformed_head_ends_its_stream_alone_where_the_listener_says_so() {
    let site = Site::with(|plan| {
        answering(plan);
        plan.manager.http2.stream_error_on_invalid_message = true;
    })
    .await;
    let mut client = Frames::connect(site.address).await;
    for (number, (name, fields)) in malformed().iter().enumerate() {
        let stream = 4 * number as u32 + 1;
        client.send(&[Frame::headers(stream, true, fields)]).await;
        let reset = client.until(kind::RST_STREAM).await;
        assert_eq!((reset.stream, reset.code()), (stream, PROTOCOL_ERROR), "{name}");
        is_answered(&mut client, stream + 2).await;
    }
    site.stop().await;
}

#[tokio::test]
async fn a_body_of_another_length_than_was_said_never_completes_a_request() {
    for (sent, end) in [("12345678", true), ("12", true)] {
        let site = Site::with(http2_upstream).await;
        let mut client = Frames::connect(site.address).await;
        let mut fields = request(&[("content-length", "5")]);
        fields[0].1 = "POST";
        client.send(&[Frame::headers(1, false, &fields)]).await;
        let mut upstream = Http2Upstream::accept(&site.backend).await;
        let mut request = upstream.request().await;
        client.send(&[Frame::data(1, end, sent)]).await;
        client.until_some(|frame| matches!(frame.kind, kind::RST_STREAM | kind::GOAWAY)).await;
        request.is_reset().await;
        site.stop().await;
    }
}

#[tokio::test]
async fn a_length_of_a_body_that_does_not_come_ends_its_stream_alone() {
    let site = Site::with(answering).await;
    let mut client = Frames::connect(site.address).await;
    client.send(&[Frame::headers(1, true, &request(&[("content-length", "5")]))]).await;
    let reset = client.until(kind::RST_STREAM).await;
    assert_eq!((reset.stream, reset.code()), (1, PROTOCOL_ERROR));
    is_answered(&mut client, 3).await;
    site.logs_in_any_order(&["0 DPE http2.violation.of.messaging.rule 0 0", "200 - direct_response 0 4"]).await;
    site.stop().await;
}

#[tokio::test]
async fn a_head_beyond_the_limits_ends_its_stream_alone() {
    let large: &'static str = "x".repeat(61 * 1024).leak();
    let many: Fields = (0..120).map(|number| (&*format!("x-{number}").leak(), "1")).collect();
    let cases = [("http2.header_list_size_too_large", vec![("x-large", large)]), ("http2.too_many_headers", many)];
    for (name, more) in cases {
        let site = Site::with(answering).await;
        let mut client = Frames::connect(site.address).await;
        let head = Frame::headers(1, true, &request(&more));
        let pieces: Vec<&[u8]> = head.payload.chunks(16_000).collect();
        let last = pieces.len() - 1;
        let frames = pieces.iter().enumerate().map(|(number, piece)| {
            let kind = if number == 0 { kind::HEADERS } else { kind::CONTINUATION };
            let end = if number == last { flag::END_HEADERS } else { 0 };
            Frame::new(kind, end | if number == 0 { flag::END_STREAM } else { 0 }, 1, *piece)
        });
        client.send(&frames.collect::<Vec<Frame>>()).await;
        let reset = client.until(kind::RST_STREAM).await;
        assert_eq!((reset.stream, reset.code()), (1, INTERNAL_ERROR), "{name}");
        is_answered(&mut client, 3).await;
        site.logs_in_any_order(&[&format!("0 DR {name} 0 0"), "200 - direct_response 0 4"]).await;
        site.stop().await;
    }
}

#[tokio::test]
async fn the_listeners_limits_of_heads_hold() {
    let site = Site::with(|plan| {
        answering(plan);
        plan.manager.max_headers_count = 10;
        plan.manager.max_request_headers_kb = 1;
    })
    .await;
    let mut client = Frames::connect(site.address).await;
    let large: &'static str = "x".repeat(2000).leak();
    let many: Fields = (0..12).map(|number| (&*format!("x-{number}").leak(), "1")).collect();
    for (stream, more) in [(1, vec![("x-large", large)]), (5, many)] {
        client.send(&[Frame::headers(stream, true, &request(&more))]).await;
        assert_eq!(client.until(kind::RST_STREAM).await.stream, stream);
        is_answered(&mut client, stream + 2).await;
    }
    site.stop().await;
}

#[tokio::test]
async fn names_with_underscores_are_dealt_with_as_the_listener_says() {
    for (wanted, answer) in [(HeadersWithUnderscores::Allow, true), (HeadersWithUnderscores::Reject, false)] {
        let site = Site::with(|plan| {
            answering(plan);
            plan.manager.headers_with_underscores = wanted;
        })
        .await;
        let mut client = Frames::connect(site.address).await;
        client.send(&[Frame::headers(1, true, &request(&[("x_a", "1")]))]).await;
        let first = client
            .until_some(|frame| matches!(frame.kind, kind::DATA | kind::RST_STREAM | kind::GOAWAY) || frame.stream == 1)
            .await;
        assert_eq!(first.kind == kind::HEADERS, answer, "{first:?}");
        site.stop().await;
    }
}

/// What a hostile client repeats, given a number that no other repetition has.
type Repetition = fn(u32) -> Vec<Frame>;

const FLOODS: [(&str, Repetition); 11] = [
    ("rapid reset", |number| vec![Frame::get(2 * number + 1, "/"), Frame::reset(2 * number + 1, 8)]),
    ("PING", |_| vec![Frame::new(kind::PING, 0, 0, [0; 8])]),
    ("SETTINGS", |_| vec![Frame::settings(&[])]),
    ("PRIORITY", |_| vec![Frame::new(kind::PRIORITY, 0, 1, [0, 0, 0, 3, 0])]),
    ("GOAWAY", |_| vec![Frame::go_away(0, 0)]),
    ("SETTINGS that acknowledge nothing", |_| vec![Frame::new(kind::SETTINGS, flag::ACK, 0, [])]),
    ("WINDOW_UPDATE", |_| vec![Frame::window_update(0, 1)]),
    ("unknown frames", |_| vec![Frame::new(0x77, 0, 0, [])]),
    ("empty DATA", |number| {
        let open = if number == 0 { vec![Frame::post(1, "/open")] } else { Vec::new() };
        [open, vec![Frame::data(1, false, "")]].concat()
    }),
    ("CONTINUATION", |number| {
        let kind = if number == 0 { kind::HEADERS } else { kind::CONTINUATION };
        vec![Frame::new(kind, 0, 1, if number == 0 { Frame::get(1, "/").payload } else { Vec::new() })]
    }),
    ("streams that make us reset them", |number| {
        let stream = 2 * number + 1;
        vec![Frame::post(stream, "/open"), Frame::window_update(stream, 0)]
    }),
];

#[tokio::test]
async fn floods_are_stopped_and_others_go_on() {
    for (name, repetition) in FLOODS {
        let site = Site::with(|plan| {
            http2_upstream(plan);
            plan.routes().insert(0, prefix("/here", direct(200, "here")));
        })
        .await;
        let mut other = Frames::connect(site.address).await;
        other.send(&[Frame::get(1, "/here")]).await;
        assert_eq!(other.until(kind::DATA).await.payload, b"here", "{name}");
        let mut hostile = Frames::connect(site.address).await;
        // More than any bound; it may be closed before all was sent.
        for start in (0..20_000).step_by(100) {
            let frames: Vec<Frame> = (start..start + 100).flat_map(repetition).collect();
            if !hostile.try_send(&frames).await {
                break;
            }
        }
        let floods = "http.test.downstream_cx_http2_flood";
        eventually(&format!("a flood of {name} is stopped"), async || site.edge.count(floods) == 1).await;
        site.edge.counts("http.test.downstream_cx_active", 1).await;
        let said = hostile.closes().await;
        // A reset may take the reason away.
        if let Some(reason) = said.iter().find(|frame| frame.kind == kind::GOAWAY) {
            assert_eq!(reason.code(), ENHANCE_YOUR_CALM, "{name}");
        }
        other.send(&[Frame::get(3, "/here")]).await;
        assert_eq!(other.until(kind::DATA).await.payload, b"here", "{name}");
        site.edge.counts("http.test.downstream_rq_active", 0).await;
        site.stop().await;
    }
}
