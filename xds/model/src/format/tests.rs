use crate::format::{Format, GrpcStatusForm, HeaderOperand, Operator, PlainOperator, Segment, TimePoint};

fn literal(text: &str) -> Segment {
    Segment::Literal(text.to_owned())
}

fn header(name: &str, alternative: Option<&str>, max_length: Option<usize>) -> HeaderOperand {
    HeaderOperand { name: name.to_owned(), alternative: alternative.map(str::to_owned), max_length }
}

fn operator(text: &str) -> Operator {
    match Format::parse(text).unwrap().segments.as_slice() {
        [Segment::Operator(operator)] => operator.clone(),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn operators_with_arguments() {
    let cases = [
        ("%REQ(:METHOD)%", Operator::Request(header(":method", None, None))),
        ("%REQ(X-A?:PATH):10%", Operator::Request(header("x-a", Some(":path"), Some(10)))),
        ("%REQ_WITHOUT_QUERY(X-A?:PATH)%", Operator::RequestWithoutQuery(header("x-a", Some(":path"), None))),
        ("%PATH%", Operator::Request(header("x-envoy-original-path", Some(":path"), None))),
        ("%PATH(NQ:PATH):9%", Operator::RequestWithoutQuery(header(":path", None, Some(9)))),
        ("%PATH(WQ:ORIG)%", Operator::Request(header("x-envoy-original-path", None, None))),
        ("%QUERY_PARAM(Id):3%", Operator::QueryParameter { name: "Id".to_owned(), max_length: Some(3) }),
        ("%RESP(Server)%", Operator::Response(header("server", None, None))),
        ("%TRAILER(grpc-status)%", Operator::Trailer(header("grpc-status", None, None))),
        ("%START_TIME%", Operator::StartTime(String::new())),
        ("%START_TIME(%Y/%m/%dT%H:%M:%S%z)%", Operator::StartTime("%Y/%m/%dT%H:%M:%S%z".to_owned())),
        ("%METADATA(ROUTE:istio:config)%", Operator::Metadata(["ROUTE", "istio", "config"].map(str::to_owned).into())),
        ("%DYNAMIC_METADATA(a:b)%", Operator::DynamicMetadata(["a", "b"].map(str::to_owned).into())),
        ("%FILTER_STATE(upstream_peer:PLAIN)%", Operator::FilterState("upstream_peer:PLAIN".to_owned())),
        ("%UPSTREAM_CLUSTER%", Operator::Plain(PlainOperator::UpstreamCluster)),
        ("%UPSTREAM_CLUSTER_RAW%", Operator::Plain(PlainOperator::UpstreamCluster)),
        ("%EMIT_TIME(%s)%", Operator::EmitTime("%s".to_owned())),
        (
            "%COMMON_DURATION(DS_RX_BEG:US_TX_END:us)%",
            Operator::CommonDuration { start: TimePoint::Begin, end: TimePoint::RequestSent, unit: 1_000 },
        ),
        ("%GRPC_STATUS%", Operator::GrpcStatus(GrpcStatusForm::Camel)),
        ("%GRPC_STATUS(SNAKE_STRING)%", Operator::GrpcStatus(GrpcStatusForm::Snake)),
        ("%GRPC_STATUS_NUMBER%", Operator::GrpcStatus(GrpcStatusForm::Number)),
        (
            "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(24)%",
            Operator::Network { address: PlainOperator::DownstreamRemoteAddressWithoutPort, prefix_length: 24 },
        ),
        ("%RESPONSE_CODE_DETAILS(ALLOW_WHITESPACES)%", Operator::Plain(PlainOperator::ResponseCodeDetails)),
    ];
    for (text, expected) in cases {
        assert_eq!(operator(text), expected, "{text}");
    }
}

#[test]
fn environment_is_looked_up_at_once() {
    let home = std::env::var("PATH").unwrap();
    assert_eq!(operator("%ENVIRONMENT(PATH)%"), Operator::Environment(home.clone()));
    assert_eq!(operator("%ENVIRONMENT(PATH):3%"), Operator::Environment(home.chars().take(3).collect()));
    assert_eq!(operator("%ENVIRONMENT(NOT_SET_ANYWHERE)%"), Operator::Environment("-".to_owned()));
}

#[test]
fn literals_and_percent_signs() {
    let code = Segment::Operator(Operator::Plain(PlainOperator::ResponseCode));
    let cases = [
        ("", vec![]),
        ("plain", vec![literal("plain")]),
        ("100%%", vec![literal("100%")]),
        ("%%%RESPONSE_CODE%%%", vec![literal("%"), code.clone(), literal("%")]),
        ("a%RESPONSE_CODE%%RESPONSE_CODE%é", vec![literal("a"), code.clone(), code, literal("é")]),
    ];
    for (text, expected) in cases {
        assert_eq!(Format::parse(text).unwrap().segments, expected, "{text}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    let cases = [
        ("50% off", r#""% off" is not an operator: write %% for a percent sign"#),
        ("%RESPONSE_CODE", r#""%RESPONSE_CODE" is not an operator: write %% for a percent sign"#),
        ("%", r#""%" is not an operator: write %% for a percent sign"#),
        ("%REQ(a%", r#""%REQ(a%" is not an operator: write %% for a percent sign"#),
        ("%NOPE%", "operator %NOPE% is not known"),
        ("%CEL(request.path)%", "operator %CEL(request.path)% is not known"),
        ("%REQ%", "operator %REQ%: needs an argument"),
        ("%REQ()%", "operator %REQ()%: needs an argument"),
        ("%REQ(a b)%", "operator %REQ(a b)%: needs the name of a header, and at most one alternative"),
        ("%REQ(a?b?c)%", "operator %REQ(a?b?c)%: needs the name of a header, and at most one alternative"),
        ("%REQ(a):x%", "operator %REQ(a):x%: the length is not a number"),
        ("%REQ(a)x%", "operator %REQ(a)x%: has text after its arguments"),
        ("%PROTOCOL(x)%", "operator %PROTOCOL(x)%: takes no arguments here"),
        ("%UPSTREAM_TLS_CIPHER%", "operator %UPSTREAM_TLS_CIPHER% is not known"),
        ("%COMMON_DURATION(DS_RX_BEG:ms)%", "operator %COMMON_DURATION(DS_RX_BEG:ms)%: needs START:END:PRECISION"),
        (
            "%COMMON_DURATION(DS_RX_BEG:US_CX_END:ms)%",
            "operator %COMMON_DURATION(DS_RX_BEG:US_CX_END:ms)%: measures a time that is not noted",
        ),
        ("%GRPC_STATUS(BOTH)%", "operator %GRPC_STATUS(BOTH)%: needs CAMEL_STRING, SNAKE_STRING or NUMBER"),
        (
            "%UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT(a)%",
            "operator %UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT(a)%: needs a number of bits",
        ),
        ("%PROTOCOL:3%", "operator %PROTOCOL:3%: takes no length here"),
        ("%METADATA(ROUTE)%", "operator %METADATA(ROUTE)%: has an empty or missing part"),
    ];
    for (text, expected) in cases {
        assert_eq!(Format::parse(text).unwrap_err().to_string(), expected, "{text}");
    }
}

#[test]
fn the_default_formats_of_envoy_and_istio() {
    let istio = concat!(
        r#"[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% "#,
        r#"%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% "#,
        r#"%BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "#,
        r#""%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% "#,
        "%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n",
    );
    for text in [crate::access_log::DEFAULT_TEXT_FORMAT, istio] {
        let format = Format::parse(text).unwrap();
        assert_eq!(format.segments.last(), Some(&literal(if text == istio { "\n" } else { "\"\n" })));
    }
}
