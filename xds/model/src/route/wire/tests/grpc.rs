use std::time::Duration;

use serde_json::{Value, json};

use super::{convert_route, forwarded};
use crate::examples::with;
use crate::route::{GrpcTimeout, MaxStreamDuration, RetryOn};

#[test]
fn timeouts_of_grpc() {
    let forward = |fields: Value| {
        let action =
            fields.as_object().unwrap().iter().fold(json!({"cluster": "a"}), |action, (name, value)| {
                with(action, &format!("/{name}"), value.clone())
            });
        let (route, report) = convert_route(json!({"match": {"prefix": "/"}, "route": action}));
        assert_eq!(report.no_ops.len(), 0);
        forwarded(&route).clone()
    };
    let seconds = Duration::from_secs;
    assert_eq!(forward(json!({"grpc_timeout_offset": "1s"})).grpc_timeout, None, "the header does not count at all");
    let unlimited = GrpcTimeout { max: None, offset: Duration::ZERO };
    assert_eq!(forward(json!({"max_grpc_timeout": "0s"})).grpc_timeout, Some(unlimited));
    let limited = GrpcTimeout { max: Some(seconds(9)), offset: seconds(1) };
    assert_eq!(forward(json!({"max_grpc_timeout": "9s", "grpc_timeout_offset": "1s"})).grpc_timeout, Some(limited));
    let duration = MaxStreamDuration {
        duration: Some(Duration::ZERO),
        grpc_timeout_header_max: Some(seconds(3)),
        grpc_timeout_header_offset: seconds(1),
    };
    let fields = json!({"max_stream_duration":
        {"max_stream_duration": "0s", "grpc_timeout_header_max": "3s", "grpc_timeout_header_offset": "1s"}});
    assert_eq!(forward(fields).max_stream_duration.as_deref(), Some(&duration));
}

#[test]
fn conditions_of_grpc() {
    let on = "cancelled,deadline-exceeded,internal,resource-exhausted,unavailable";
    let action = json!({"cluster": "a", "retry_policy": {"retry_on": on}});
    let (route, report) = convert_route(json!({"match": {"prefix": "/"}, "route": action}));
    let all = RetryOn {
        grpc_cancelled: true,
        grpc_deadline_exceeded: true,
        grpc_internal: true,
        grpc_resource_exhausted: true,
        grpc_unavailable: true,
        ..RetryOn::default()
    };
    assert_eq!(forwarded(&route).retry.as_ref().unwrap().retry_on, all);
    assert!(report.no_ops.is_empty());
}
