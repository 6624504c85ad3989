//! Kubernetes' `Service` and `EndpointSlice`.

use std::collections::BTreeMap;

use crate::load::field::Fields;
use crate::mesh::protocol::Protocol;
use crate::object::metadata::Metadata;

/// A service.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) metadata: Metadata,
    pub(crate) ports: Vec<ServicePort>,
    pub(crate) selector: BTreeMap<String, String>,
    /// `clusterIP: None`.
    pub(crate) is_headless: bool,
    /// The DNS name that the service stands for, if it is of type `ExternalName`.
    pub(crate) external_name: String,
}

/// A port of a service.
#[derive(Clone, Debug)]
pub(crate) struct ServicePort {
    pub(crate) name: String,
    pub(crate) number: u32,
    pub(crate) protocol: Protocol,
    pub(crate) target: TargetPort,
}

/// The port of the pods behind a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TargetPort {
    Number(u32),
    /// The name of a port of the pod, which only an EndpointSlice resolves.
    Named(String),
}

/// Some endpoints of a service.
#[derive(Clone, Debug)]
pub(crate) struct EndpointSlice {
    pub(crate) metadata: Metadata,
    /// Name of the service, from the label `kubernetes.io/service-name`.
    pub(crate) service: String,
    pub(crate) endpoints: Vec<SliceEndpoint>,
    pub(crate) ports: Vec<SlicePort>,
}

/// An endpoint.
#[derive(Clone, Debug)]
pub(crate) struct SliceEndpoint {
    pub(crate) addresses: Vec<String>,
    pub(crate) ready: bool,
    /// Absent if the file does not say.
    pub(crate) terminating: Option<bool>,
}

/// A port of all endpoints of a slice.
#[derive(Clone, Debug)]
pub(crate) struct SlicePort {
    /// The name of the service's port.
    pub(crate) name: String,
    pub(crate) number: u32,
}

pub(super) fn read(fields: &mut Fields<'_>, metadata: Metadata) -> Option<Service> {
    fields.required("spec")?.object(|fields| {
        let service = Service {
            ports: fields.objects("ports", port),
            selector: fields.string_map("selector"),
            is_headless: fields.string("clusterIP") == "None",
            external_name: fields.string("externalName"),
            metadata,
        };
        // How the service is reached from elsewhere does not matter to a gateway that reaches its endpoints.
        fields.ignore(&[
            "allocateLoadBalancerNodePorts",
            "clusterIPs",
            "externalIPs",
            "externalTrafficPolicy",
            "healthCheckNodePort",
            "ipFamilies",
            "ipFamilyPolicy",
            "loadBalancerClass",
            "loadBalancerIP",
            "loadBalancerSourceRanges",
            // Kubernetes then writes pods that are not ready as ready into the EndpointSlice.
            "publishNotReadyAddresses",
            "sessionAffinity",
            "sessionAffinityConfig",
            "type",
        ]);
        fields.unsupported(&["trafficDistribution"]);
        if let Some(value) = fields.get("internalTrafficPolicy")
            && value.string().is_some_and(|policy| policy == "Local")
        {
            value.error("Local is not supported yet");
        }
        service
    })
}

fn port(fields: &mut Fields<'_>) -> Option<ServicePort> {
    let name = fields.string("name");
    let number = fields.required("port").and_then(|value| value.port())?;
    let transport = fields.string("protocol");
    let app_protocol = fields.get("appProtocol").and_then(|value| value.string());
    fields.ignore(&["nodePort"]);
    let protocol = Protocol::of_service_port(number, &name, &transport, app_protocol.as_deref());
    let target = fields.get("targetPort").and_then(|value| {
        let text = value.text_or_number()?;
        Some(text.parse().map_or(TargetPort::Named(text), TargetPort::Number))
    });
    Some(ServicePort { name, number, protocol, target: target.unwrap_or(TargetPort::Number(number)) })
}

pub(super) fn read_endpoint_slice(fields: &mut Fields<'_>, metadata: Metadata) -> Option<EndpointSlice> {
    let address_type = fields.required("addressType").and_then(|value| value.string())?;
    let endpoints = fields.objects("endpoints", endpoint);
    let ports = fields.objects("ports", slice_port);
    let service = metadata.labels.get("kubernetes.io/service-name").cloned();
    if service.is_none() {
        fields.error("metadata.labels: kubernetes.io/service-name is missing, so the slice belongs to no service");
    }
    // istiod leaves slices of DNS names out.
    (address_type != "FQDN").then_some(EndpointSlice { metadata, service: service?, endpoints, ports })
}

fn endpoint(fields: &mut Fields<'_>) -> Option<SliceEndpoint> {
    fields.ignore(&["deprecatedTopology", "hints", "hostname", "nodeName", "targetRef", "zone"]);
    let addresses = fields.strings("addresses");
    let (ready, terminating) = fields
        .object("conditions", |fields| {
            fields.ignore(&["serving"]);
            (fields.bool("ready").unwrap_or(true), fields.bool("terminating"))
        })
        .unwrap_or((true, None));
    Some(SliceEndpoint { addresses, ready, terminating })
}

fn slice_port(fields: &mut Fields<'_>) -> Option<SlicePort> {
    fields.ignore(&["appProtocol", "protocol"]);
    Some(SlicePort { name: fields.string("name"), number: fields.required("port")?.port()? })
}
