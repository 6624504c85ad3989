//! Which virtual services a gateway serves.

use std::collections::BTreeMap;

use crate::mesh::is_visible;
use crate::object::virtual_service::VirtualService;
use crate::problem::Place;

/// Virtual services by gateway, each list in the order in which their routes are tried.
pub(crate) struct VirtualServices {
    by_gateway: BTreeMap<String, Vec<VirtualService>>,
}

impl VirtualServices {
    /// Those that can be seen from `namespace`, the namespace of the gateway process.
    pub(crate) fn new(mut all: Vec<VirtualService>, namespace: &str) -> Self {
        all.sort_by(|one, other| one.metadata.age().cmp(&other.metadata.age()));
        all.sort_by_key(|service| precedence(service, namespace));
        let mut by_gateway: BTreeMap<String, Vec<VirtualService>> = BTreeMap::new();
        for service in all.into_iter().filter(|service| is_visible(&service.export_to, namespace)) {
            for gateway in service.gateways.iter().filter(|gateway| *gateway != "mesh") {
                by_gateway.entry(gateway.clone()).or_default().push(service.clone());
            }
        }
        Self { by_gateway }
    }

    /// Those that name the gateway `namespace/name`.
    pub(crate) fn of(&self, gateway: &str) -> &[VirtualService] {
        self.by_gateway.get(gateway).map_or(&[], Vec::as_slice)
    }

    /// Where each is defined, by namespace and name.
    pub(crate) fn places(&self) -> BTreeMap<(&str, &str), &Place> {
        let all = self.by_gateway.values().flatten().map(|service| &service.metadata);
        all.map(|metadata| ((metadata.namespace.as_str(), metadata.name.as_str()), &metadata.place)).collect()
    }
}

/// Private ones of the gateway's namespace come first, then those exported to it by name, then Gateway API routes of the gateway's
/// own namespace, then the rest (istiod's `VirtualServicesForGateway`).
fn precedence(service: &VirtualService, namespace: &str) -> u8 {
    let is_public = service.export_to.is_empty() || service.export_to.iter().any(|name| name == "*");
    match (is_public, service.metadata.namespace == namespace) {
        (false, true) => 0,
        (false, false) => 1,
        (true, true) if service.origin.is_gateway_api() => 2,
        (true, _) => 3,
    }
}
