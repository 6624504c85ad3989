//! Limits of connections and of memory of a gateway pod, from where Istio's bootstrap takes them.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::Path;

use super::overload_manager::{self, Bootstrap};
use super::{BootstrapError, Environment, ProxyConfig};
use crate::http::MinimumRate;
use crate::overload::{ConnectionLimitSettings, OverloadSettings};

/// Of all listeners together; an entry of `proxyMetadata`.
const GLOBAL: &str = "ISTIO_META_GLOBAL_DOWNSTREAM_MAX_CONNECTIONS";
/// The same in Envoy's runtime, deprecated by Istio.
const GLOBAL_IN_RUNTIME: &str = "overload.global_downstream_max_connections";
/// Of one listener in Envoy's runtime: its name between these.
const LISTENER_IN_RUNTIME: (&str, &str) = ("envoy.resource_limits.listener.", ".connection_limit");
/// Of one source; ours alone, an entry of `proxyMetadata`.
const SOURCE: &str = "SELVEDGE_MAX_CONNECTIONS_PER_SOURCE";
/// Of bodies of clients, bytes a second; ours alone, too.
const MINIMUM_RATE: &str = "SELVEDGE_MINIMUM_BODY_RATE";
/// A file of which the contents are merged into Envoy's bootstrap (annotation `sidecar.istio.io/bootstrapOverride`).
const BOOTSTRAP_OVERRIDE: &str = "ISTIO_BOOTSTRAP_OVERRIDE";

/// Reads them; the first of several places counts, in Istio's order.
///
/// # Errors
/// A value that cannot be understood; the error names it.
pub(super) fn settings(
    environment: &Environment,
    config: &ProxyConfig,
    root: &Path,
) -> Result<OverloadSettings, BootstrapError> {
    let bootstrap = match environment.get(BOOTSTRAP_OVERRIDE) {
        Some(path) => overload_manager::read(&root.join(path))?,
        None => Bootstrap::default(),
    };
    let connections = ConnectionLimitSettings {
        global: first([
            bootstrap.max_active_downstream_connections,
            metadata(environment, config, GLOBAL)?,
            runtime(config, GLOBAL_IN_RUNTIME)?,
            config.global_downstream_connection_limit,
        ]),
        listener: first([config.listener_connection_limit]),
        listeners: listeners(config)?,
        source: source(environment, config)?,
    };
    let minimum_rate = first([metadata(environment, config, MINIMUM_RATE)?]).and_then(NonZeroU32::new);
    Ok(OverloadSettings {
        connections,
        minimum_rate: minimum_rate.map(MinimumRate::per_second),
        manager: bootstrap.manager,
    })
}

fn source(environment: &Environment, config: &ProxyConfig) -> Result<Option<u32>, BootstrapError> {
    match first([metadata(environment, config, SOURCE)?]) {
        Some(0) => Err(BootstrapError::new(SOURCE, "`0` would let nobody in; without it there is no limit".to_owned())),
        limit => Ok(limit),
    }
}

/// More than a number of 32 bits is no limit.
fn first<const COUNT: usize>(places: [Option<u64>; COUNT]) -> Option<u32> {
    places.into_iter().flatten().next().and_then(|limit| u32::try_from(limit).ok())
}

/// Istio's injector makes variables of the pod from `proxyMetadata`; both are looked at.
fn metadata(environment: &Environment, config: &ProxyConfig, name: &str) -> Result<Option<u64>, BootstrapError> {
    let entry = config.proxy_metadata.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    entry.or_else(|| environment.get(name)).map(|text| number(name, text)).transpose()
}

fn runtime(config: &ProxyConfig, name: &str) -> Result<Option<u64>, BootstrapError> {
    let entry = config.runtime_values.iter().find(|(known, _)| known == name);
    entry.filter(|(_, text)| !text.is_empty()).map(|(_, text)| runtime_number(name, text)).transpose()
}

fn listeners(config: &ProxyConfig) -> Result<BTreeMap<String, u32>, BootstrapError> {
    let (before, after) = LISTENER_IN_RUNTIME;
    let mut limits = BTreeMap::new();
    for (name, text) in &config.runtime_values {
        let listener = name.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
        let Some(listener) = listener.filter(|_| !text.is_empty()) else { continue };
        let limit = u32::try_from(runtime_number(name, text)?).unwrap_or(u32::MAX);
        limits.insert(listener.to_owned(), limit);
    }
    Ok(limits)
}

fn runtime_number(name: &str, text: &str) -> Result<u64, BootstrapError> {
    number(&format!("ProxyConfig.runtimeValues[{name}]"), text)
}

fn number(name: &str, text: &str) -> Result<u64, BootstrapError> {
    text.parse().map_err(|_| BootstrapError::new(name, format!("`{text}` is not a whole number")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(config: &str, variables: &[(&str, &str)]) -> Result<ConnectionLimitSettings, String> {
        let config = ProxyConfig::merge(&[("PROXY_CONFIG", config)]).map_err(|error| error.to_string())?;
        let environment = Environment::new(variables.iter().copied());
        let settings = settings(&environment, &config, Path::new("/nowhere")).map_err(|error| error.to_string())?;
        Ok(settings.connections)
    }

    #[test]
    fn nothing_is_limited_by_default() {
        assert_eq!(read("{}", &[]), Ok(ConnectionLimitSettings::default()));
    }

    #[test]
    fn the_limit_of_all_is_looked_for_in_the_order_of_istio() {
        let global = |config: &str, variables: &[(&str, &str)]| read(config, variables).unwrap().global;
        let settings = r#""connectionSettings": {"globalDownstreamConnectionLimit": 1}"#;
        let runtime = r#""runtimeValues": {"overload.global_downstream_max_connections": "2"}"#;
        let metadata = format!(r#""proxyMetadata": {{"{GLOBAL}": "3"}}"#);
        assert_eq!(global(&format!("{{{settings}}}"), &[]), Some(1));
        assert_eq!(global(&format!("{{{settings}, {runtime}}}"), &[]), Some(2));
        assert_eq!(global(&format!("{{{settings}, {runtime}, {metadata}}}"), &[(GLOBAL, "4")]), Some(3));
        assert_eq!(global(&format!("{{{settings}}}"), &[(GLOBAL, "4")]), Some(4));
        assert_eq!(global("{}", &[(GLOBAL, "99999999999")]), None, "Istio's default is the largest number");
    }

    #[test]
    fn limits_of_listeners_and_sources() {
        let config = r#"{"connectionSettings": {"listenerConnectionLimit": 10}, "runtimeValues": {
            "envoy.resource_limits.listener.0.0.0.0_8443.connection_limit": "7",
            "envoy.resource_limits.listener.0.0.0.0_8080.connection_limit": "",
            "re2.max_program_size.error_level": "100"}}"#;
        let limits = read(config, &[(SOURCE, "5")]).unwrap();
        assert_eq!((limits.listener, limits.source), (Some(10), Some(5)));
        assert_eq!(limits.listeners, [("0.0.0.0_8443".to_owned(), 7)].into());
    }

    #[test]
    fn the_minimum_rate_of_bodies() {
        let rate = |value: &str| {
            let config = ProxyConfig::merge(&[("PROXY_CONFIG", "{}")]).unwrap();
            let environment = Environment::new([(MINIMUM_RATE, value)]);
            settings(&environment, &config, Path::new("/nowhere")).unwrap().minimum_rate
        };
        assert_eq!(rate("500").map(|rate| (rate.bytes, rate.period.as_secs())), Some((5000, 10)));
        assert_eq!(rate("0"), None);
    }

    #[test]
    fn what_cannot_be_understood_is_named() {
        let cases = [
            (r#"{"connectionSettings": 1}"#, "ProxyConfig.connectionSettings: 1 is not a mapping"),
            (
                r#"{"runtimeValues": {"overload.global_downstream_max_connections": "many"}}"#,
                "ProxyConfig.runtimeValues[overload.global_downstream_max_connections]: `many` is not a whole number",
            ),
            (
                r#"{"proxyMetadata": {"SELVEDGE_MAX_CONNECTIONS_PER_SOURCE": "-1"}}"#,
                "SELVEDGE_MAX_CONNECTIONS_PER_SOURCE: `-1` is not a whole number",
            ),
            (
                r#"{"proxyMetadata": {"SELVEDGE_MAX_CONNECTIONS_PER_SOURCE": "0"}}"#,
                "SELVEDGE_MAX_CONNECTIONS_PER_SOURCE: `0` would let nobody in; without it there is no limit",
            ),
        ];
        for (config, expected) in cases {
            assert_eq!(read(config, &[]).unwrap_err(), expected);
        }
    }
}
