//! `overload_manager` of a file that is merged into Envoy's bootstrap (`envoy.config.overload.v3.OverloadManager`).

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value};

use super::BootstrapError;
use crate::overload::{Action, Monitor, OverloadManagerSettings, Trigger, TriggeredAction};

const MAX_CONNECTIONS: &str = "envoy.resource_monitors.global_downstream_max_connections";
/// Actions of Envoy that are accepted without effect, and why.
const NO_OPS: &[(&str, &str)] = &[
    ("envoy.overload_actions.shrink_heap", "memory that is free is given back in any case"),
    ("envoy.overload_actions.reduce_timeouts", "timeouts stay as they are configured"),
    ("envoy.overload_actions.reset_high_memory_stream", "what a stream may hold is bounded"),
];

/// What the file says about overload.
#[derive(Debug, Default)]
pub(super) struct Bootstrap {
    pub(super) manager: OverloadManagerSettings,
    pub(super) max_active_downstream_connections: Option<u64>,
}

/// Reads the file, JSON or YAML. Where it says nothing about memory, the default holds.
///
/// # Errors
/// It cannot be read, or says what cannot be understood.
pub(super) fn read(path: &Path) -> Result<Bootstrap, BootstrapError> {
    let error = |reason: String| BootstrapError::new(path.display().to_string(), reason);
    let text = std::fs::read_to_string(path).map_err(|cause| error(cause.to_string()))?;
    let document: Value = yaml_serde::from_str(&text).map_err(|cause| error(cause.to_string()))?;
    parse(&document).map_err(|reason| error(format!("overload_manager: {reason}")))
}

fn parse(document: &Value) -> Result<Bootstrap, String> {
    let mut bootstrap = Bootstrap::default();
    let Some(manager) = field(document, "overload_manager") else { return Ok(bootstrap) };
    let mut monitors = Vec::new();
    for monitor in list(manager, "resource_monitors")? {
        let config = field(monitor, "typed_config").unwrap_or(&Value::Null);
        match text(monitor, "name")? {
            MAX_CONNECTIONS => {
                bootstrap.max_active_downstream_connections = Some(required(
                    number(config, "max_active_downstream_connections")?,
                    "max_active_downstream_connections",
                )?);
            }
            "envoy.resource_monitors.fixed_heap" => {
                let max_heap_size_bytes = required(number(config, "max_heap_size_bytes")?, "max_heap_size_bytes")?;
                monitors.push(Monitor::FixedHeap { max_heap_size_bytes });
            }
            "envoy.resource_monitors.cgroup_memory" => {
                monitors.push(Monitor::CgroupMemory { max_memory_bytes: number(config, "max_memory_bytes")? });
            }
            other => return Err(format!("resource monitor {other} is not known")),
        }
    }
    let mut actions = Vec::new();
    for action in list(manager, "actions")? {
        actions.extend(triggered_action(action, &monitors)?);
    }
    if !monitors.is_empty() {
        let refresh_interval = match field(manager, "refresh_interval") {
            Some(value) => duration(value)?,
            None => bootstrap.manager.refresh_interval,
        };
        bootstrap.manager = OverloadManagerSettings { refresh_interval, monitors, actions };
    }
    Ok(bootstrap)
}

/// An action with its triggers; nothing if it is one without effect.
fn triggered_action(wire: &Value, monitors: &[Monitor]) -> Result<Option<TriggeredAction>, String> {
    let name = text(wire, "name")?;
    if let Some((_, reason)) = NO_OPS.iter().find(|(known, _)| *known == name) {
        tracing::warn!("{name} has no effect: {reason}");
        return Ok(None);
    }
    let action = Action::named(name).ok_or_else(|| format!("action {name} is not known"))?;
    let mut triggers = Vec::new();
    for trigger in list(wire, "triggers")? {
        let monitor = text(trigger, "name")?;
        let known = monitors.iter().find(|known| known.name() == monitor);
        let known = known.ok_or_else(|| format!("action {name}: {monitor} is not among the monitors of memory"))?;
        triggers.push((known.name(), self::trigger(trigger).map_err(|reason| format!("action {name}: {reason}"))?));
    }
    Ok(Some(TriggeredAction { action, triggers }))
}

fn trigger(wire: &Value) -> Result<Trigger, String> {
    if let Some(threshold) = field(wire, "threshold") {
        return Ok(Trigger::Threshold(share(threshold, "value")?));
    }
    let scaled = field(wire, "scaled").ok_or("a trigger has neither threshold nor scaled")?;
    let (scaling, saturation) = (share(scaled, "scaling_threshold")?, share(scaled, "saturation_threshold")?);
    if scaling >= saturation {
        return Err("scaling_threshold must be less than saturation_threshold".to_owned());
    }
    Ok(Trigger::Scaled { scaling, saturation })
}

fn share(wire: &Value, name: &str) -> Result<f64, String> {
    let share = field(wire, name).and_then(Value::as_f64).filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("{name} must be between 0 and 1"))
}

/// A field by its name in the message or in JSON.
fn field<'a>(wire: &'a Value, name: &str) -> Option<&'a Value> {
    let fields: &Map<String, Value> = wire.as_object()?;
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    let camel = words.fold(first, |camel, word| {
        let (initial, rest) = word.split_at(word.len().min(1));
        camel + &initial.to_ascii_uppercase() + rest
    });
    fields.get(name).or_else(|| fields.get(&camel)).filter(|value| !value.is_null())
}

fn list<'a>(wire: &'a Value, name: &str) -> Result<&'a [Value], String> {
    match field(wire, name) {
        None => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(format!("{name} is not a list")),
    }
}

fn text<'a>(wire: &'a Value, name: &str) -> Result<&'a str, String> {
    field(wire, name).and_then(Value::as_str).ok_or_else(|| format!("{name} is missing"))
}

/// A number; large ones are text in JSON.
fn number(wire: &Value, name: &str) -> Result<Option<u64>, String> {
    let Some(value) = field(wire, name) else { return Ok(None) };
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok()).filter(|number| *number > 0);
    number.map(Some).ok_or_else(|| format!("{name}: {value} is not a number above 0"))
}

fn required(value: Option<u64>, name: &str) -> Result<u64, String> {
    value.ok_or_else(|| format!("{name} is missing"))
}

/// A duration as JSON writes it, such as `0.25s`.
fn duration(value: &Value) -> Result<Duration, String> {
    let seconds = value.as_str().and_then(|text| text.strip_suffix('s')).and_then(|text| text.parse::<f64>().ok());
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    // A shorter one would do nothing but measure.
    let shortest = Duration::from_millis(1);
    duration
        .filter(|duration| *duration >= shortest)
        .ok_or_else(|| format!("refresh_interval: {value} is not a duration"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(yaml: &str) -> Result<Bootstrap, String> {
        parse(&yaml_serde::from_str(yaml).unwrap())
    }

    #[test]
    fn what_envoys_documentation_recommends() {
        let bootstrap = parsed(
            "overload_manager:
  refresh_interval: 0.5s
  resource_monitors:
  - name: envoy.resource_monitors.fixed_heap
    typed_config: {max_heap_size_bytes: '1073741824'}
  - name: envoy.resource_monitors.global_downstream_max_connections
    typedConfig: {maxActiveDownstreamConnections: 50000}
  actions:
  - name: envoy.overload_actions.shrink_heap
    triggers: [{name: envoy.resource_monitors.fixed_heap, threshold: {value: 0.9}}]
  - name: envoy.overload_actions.stop_accepting_requests
    triggers: [{name: envoy.resource_monitors.fixed_heap, threshold: {value: 0.95}}]
  - name: envoy.overload_actions.disable_http_keepalive
    triggers:
    - name: envoy.resource_monitors.fixed_heap
      scaled: {scaling_threshold: 0.5, saturation_threshold: 1}
",
        )
        .unwrap();
        let fixed_heap = "envoy.resource_monitors.fixed_heap";
        let of = |action, trigger| TriggeredAction { action, triggers: vec![(fixed_heap, trigger)] };
        let expected = OverloadManagerSettings {
            refresh_interval: Duration::from_millis(500),
            monitors: vec![Monitor::FixedHeap { max_heap_size_bytes: 1 << 30 }],
            actions: vec![
                of(Action::StopAcceptingRequests, Trigger::Threshold(0.95)),
                of(Action::DisableHttpKeepalive, Trigger::Scaled { scaling: 0.5, saturation: 1.0 }),
            ],
        };
        assert_eq!(bootstrap.manager, expected);
        assert_eq!(bootstrap.max_active_downstream_connections, Some(50_000));
    }

    #[test]
    fn without_monitors_of_memory_the_default_holds() {
        for yaml in ["{}", "overload_manager: {}", "node: {id: x}"] {
            assert_eq!(parsed(yaml).unwrap().manager, OverloadManagerSettings::default(), "{yaml}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_named() {
        let heap =
            "resource_monitors: [{name: envoy.resource_monitors.fixed_heap, typed_config: {max_heap_size_bytes: 1}}]";
        let action = |text: &str| format!("{heap}, actions: [{{name: envoy.overload_actions.{text}}}]");
        let trigger = |text: &str| {
            action(&format!(
                "stop_accepting_requests, triggers: [{{name: envoy.resource_monitors.fixed_heap, {text}}}]"
            ))
        };
        let cases = [
            ("resource_monitors: [{name: made.up}]".to_owned(), "resource monitor made.up is not known"),
            ("resource_monitors: 1".to_owned(), "resource_monitors is not a list"),
            (
                "resource_monitors: [{name: envoy.resource_monitors.fixed_heap}]".to_owned(),
                "max_heap_size_bytes is missing",
            ),
            (heap.replace(": 1}", ": 0}"), "max_heap_size_bytes: 0 is not a number above 0"),
            (format!("{heap}, refresh_interval: 0s"), "refresh_interval: \"0s\" is not a duration"),
            (action("made_up"), "action envoy.overload_actions.made_up is not known"),
            (action("stop_accepting_requests, triggers: [{name: other}]"), "other is not among the monitors"),
            (trigger("threshold: {value: 1.5}"), "value must be between 0 and 1"),
            (trigger("scaled: {scaling_threshold: 1, saturation_threshold: 1}"), "must be less than"),
            (trigger("x: 1"), "neither threshold nor scaled"),
        ];
        for (yaml, expected) in cases {
            let error = parsed(&format!("overload_manager: {{{yaml}}}")).unwrap_err();
            assert!(error.contains(expected), "{yaml}: {error}");
        }
    }

    #[test]
    fn a_file_that_is_missing_is_an_error() {
        let error = read(Path::new("/nowhere/bootstrap.json")).unwrap_err();
        assert!(error.to_string().starts_with("/nowhere/bootstrap.json: "), "{error}");
    }
}
