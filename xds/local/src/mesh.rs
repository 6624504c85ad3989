//! The folder's objects, resolved: which services there are, which rules hold for them, what each port of the gateway is for.

pub(crate) mod destination_rules;
pub(crate) mod host;
pub(crate) mod ports;
pub(crate) mod protocol;
pub(crate) mod service;
pub(crate) mod services;
pub(crate) mod virtual_services;

use std::collections::BTreeMap;

use destination_rules::DestinationRules;
use ports::GatewayPorts;
use services::Services;
use virtual_services::VirtualServices;

use crate::object::destination_rule::DestinationRule;
use crate::object::mesh_config::AccessLog;

/// Everything that resources are made from.
pub(crate) struct Mesh {
    /// The namespace that the gateway process belongs to.
    pub(crate) namespace: String,
    pub(crate) gateway: GatewayPlace,
    pub(crate) ports: GatewayPorts,
    pub(crate) services: Services,
    pub(crate) destination_rules: DestinationRules,
    pub(crate) virtual_services: VirtualServices,
    pub(crate) access_log: Option<AccessLog>,
}

impl Mesh {
    /// The rule for the service of a host, if there is such a service.
    pub(crate) fn destination_rule(&self, host: &str) -> Option<&DestinationRule> {
        self.destination_rules.of(self.services.get(host)?)
    }
}

/// What decides which endpoints are near to the gateway.
#[derive(Clone, Debug, Default)]
pub(crate) struct GatewayPlace {
    /// Where it is: `region/zone/sub-zone`.
    pub(crate) locality: String,
    pub(crate) labels: BTreeMap<String, String>,
}

/// Whether something with this `exportTo` can be seen from `namespace`; without an `exportTo` it can be seen from everywhere.
pub(crate) fn is_visible(export_to: &[String], namespace: &str) -> bool {
    let exports = |name: &str| export_to.iter().any(|exported| exported == name);
    export_to.is_empty() || exports("*") || (!exports("~") && exports(namespace))
}
