//! Conversion of outlier detection.

use std::time::Duration;

use xds_api::envoy::config::cluster::v3 as cluster;

use crate::cluster::{Consecutive, OutlierDetection};
use crate::context::Context;
use crate::error::Refusal;
use crate::fate::fates;
use crate::wire::number::duration;

/// Envoy's defaults.
const FAILURES: u32 = 5;
const INTERVAL: Duration = Duration::from_secs(10);
const BASE_EJECTION_TIME: Duration = Duration::from_secs(30);
const MAX_EJECTION_TIME: Duration = Duration::from_secs(300);
const MAX_EJECTION_PERCENT: u32 = 10;

pub(super) fn convert(
    wire: &cluster::OutlierDetection,
    context: &mut Context<'_>,
) -> Result<OutlierDetection, Refusal> {
    fates! { context, wire => cluster::OutlierDetection {
        [implemented] consecutive_5xx, enforcing_consecutive_5xx, consecutive_gateway_failure,
            enforcing_consecutive_gateway_failure, split_external_local_origin_errors, consecutive_local_origin_failure,
            enforcing_consecutive_local_origin_failure, interval, base_ejection_time, max_ejection_time,
            max_ejection_time_jitter, max_ejection_percent, always_eject_one_host;
        [no_op "endpoints are not compared with each other: istiod switches that off"] enforcing_success_rate,
            success_rate_minimum_hosts, success_rate_request_volume, success_rate_stdev_factor,
            enforcing_local_origin_success_rate, failure_percentage_threshold, enforcing_failure_percentage,
            enforcing_failure_percentage_local_origin, failure_percentage_minimum_hosts, failure_percentage_request_volume;
        [no_op "there are no active health checks"] successful_active_health_check_uneject_host;
        [refused "extensions of outlier detection are not supported"] monitors;
        [refused "what endpoints say of themselves is not looked at"] detect_degraded_hosts if *detect_degraded_hosts == Some(true);
    } }
    let percentage = |field, value: &Option<u32>, default| match value.unwrap_or(default) {
        // The range is Envoy's.
        percent @ 0..=100 => Ok(percent as u8),
        percent => Err(context.refusal(field, format_args!("{percent} is not a percentage"))),
    };
    let time = |field, value, default| match duration(field, value, context)? {
        Some(Duration::ZERO) => Err(context.refusal(field, "must be more than 0")),
        time => Ok(time.unwrap_or(default)),
    };
    let consecutive = |field, failures: &Option<u32>, enforcing: &Option<u32>, default| {
        let enforcing = percentage(field, enforcing, default)?;
        Ok(Consecutive { failures: failures.unwrap_or(FAILURES), enforcing })
    };
    let base_ejection_time = time("base_ejection_time", base_ejection_time, BASE_EJECTION_TIME)?;
    Ok(OutlierDetection {
        consecutive_5xx: consecutive("enforcing_consecutive_5xx", consecutive_5xx, enforcing_consecutive_5xx, 100)?,
        consecutive_gateway_failure: consecutive(
            "enforcing_consecutive_gateway_failure",
            consecutive_gateway_failure,
            enforcing_consecutive_gateway_failure,
            0,
        )?,
        consecutive_local_origin_failure: consecutive(
            "enforcing_consecutive_local_origin_failure",
            consecutive_local_origin_failure,
            enforcing_consecutive_local_origin_failure,
            100,
        )?,
        split_external_local_origin_errors: *split_external_local_origin_errors,
        interval: time("interval", interval, INTERVAL)?,
        base_ejection_time,
        max_ejection_time: time("max_ejection_time", max_ejection_time, MAX_EJECTION_TIME.max(base_ejection_time))?,
        max_ejection_time_jitter: duration("max_ejection_time_jitter", max_ejection_time_jitter, context)?
            .unwrap_or_default(),
        max_ejection_percent: percentage("max_ejection_percent", max_ejection_percent, MAX_EJECTION_PERCENT)?,
        always_eject_one_host: always_eject_one_host.unwrap_or(false),
    })
}
