//! `Gateway` of the Gateway API.

use std::collections::{BTreeMap, BTreeSet};

use crate::load::field::Fields;
use crate::object::metadata::Metadata;
use crate::problem::Place;

/// A gateway.
#[derive(Clone, Debug)]
pub(crate) struct Gateway {
    pub(crate) metadata: Metadata,
    pub(crate) listeners: Vec<Listener>,
    /// Whose client certificates are good, where a port has no entry of its own.
    pub(crate) client_validation: Option<ClientValidation>,
    pub(crate) client_validation_by_port: BTreeMap<u32, Option<ClientValidation>>,
}

/// One port for one host name.
#[derive(Clone, Debug)]
pub(crate) struct Listener {
    pub(crate) name: String,
    /// Empty for all.
    pub(crate) hostname: String,
    pub(crate) port: u32,
    pub(crate) protocol: ListenerProtocol,
    pub(crate) tls: Option<ListenerTls>,
    pub(crate) namespaces: AllowedNamespaces,
    /// Kinds of routes that may attach; empty for those of the protocol.
    pub(crate) kinds: Vec<String>,
    pub(crate) place: Place,
}

/// What a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListenerProtocol {
    Http,
    Https,
    Tls,
    Tcp,
}

/// TLS of a listener.
#[derive(Clone, Debug)]
pub(crate) struct ListenerTls {
    pub(crate) passthrough: bool,
    pub(crate) certificates: Vec<SecretRef>,
    pub(crate) options: BTreeMap<String, String>,
    pub(crate) place: Place,
}

/// A reference to an object with a certificate.
#[derive(Clone, Debug)]
pub(crate) struct SecretRef {
    pub(crate) group: String,
    pub(crate) kind: String,
    /// Empty for that of the Gateway.
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// How client certificates are checked.
#[derive(Clone, Debug)]
pub(crate) struct ClientValidation {
    pub(crate) authorities: Vec<SecretRef>,
    /// `AllowInsecureFallback`: clients with a bad certificate, or none, are let in all the same.
    pub(crate) allow_insecure: bool,
}

/// Whose routes may attach.
#[derive(Clone, Debug, Default)]
pub(crate) enum AllowedNamespaces {
    #[default]
    Same,
    All,
    Selected(LabelSelector),
}

/// A Kubernetes label selector.
#[derive(Clone, Debug, Default)]
pub(crate) struct LabelSelector {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) expressions: Vec<LabelExpression>,
}

/// A condition on one label.
#[derive(Clone, Debug)]
pub(crate) struct LabelExpression {
    pub(crate) key: String,
    pub(crate) operator: LabelOperator,
    pub(crate) values: BTreeSet<String>,
}

/// The operators of label conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LabelOperator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl LabelSelector {
    pub(crate) fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let expressions = self.expressions.iter().all(|expression| {
            let value = labels.get(&expression.key);
            let is_listed = value.is_some_and(|value| expression.values.contains(value));
            match expression.operator {
                LabelOperator::In => is_listed,
                LabelOperator::NotIn => !is_listed,
                LabelOperator::Exists => value.is_some(),
                LabelOperator::DoesNotExist => value.is_none(),
            }
        });
        expressions && self.labels.iter().all(|(key, value)| labels.get(key) == Some(value))
    }
}

pub(in crate::object) fn read(fields: &mut Fields<'_>, metadata: Metadata) -> Option<Gateway> {
    fields.required("spec")?.object(|fields| {
        // Which Service the gateway stands behind; we listen on the listeners' own ports.
        fields.ignore(&["addresses", "gatewayClassName", "infrastructure"]);
        fields.unsupported(&["allowedListeners", "defaultScope"]);
        let listeners = fields.objects("listeners", |fields| listener(fields, &metadata.labels));
        fields.require_elements("listeners");
        let mut gateway =
            Gateway { metadata, listeners, client_validation: None, client_validation_by_port: BTreeMap::new() };
        fields.object("tls", |fields| {
            fields.unsupported(&["backend"]);
            fields.object("frontend", |fields| frontend_tls(fields, &mut gateway));
        });
        gateway
    })
}

fn listener(fields: &mut Fields<'_>, gateway_labels: &BTreeMap<String, String>) -> Option<Listener> {
    let place = fields.place();
    let name = fields.required("name").and_then(|value| value.string());
    let hostname = fields.string("hostname");
    let port = fields.required("port").and_then(|value| value.port());
    let protocol = fields.required("protocol").and_then(|value| {
        value.choice(&[
            ("HTTP", ListenerProtocol::Http),
            ("HTTPS", ListenerProtocol::Https),
            ("TLS", ListenerProtocol::Tls),
            ("TCP", ListenerProtocol::Tcp),
        ])
    });
    let tls = fields.object("tls", listener_tls);
    let (namespaces, kinds) = fields.object("allowedRoutes", allowed_routes).unwrap_or_default();
    let protocol = protocol?;
    if tls.is_none() && matches!(protocol, ListenerProtocol::Https | ListenerProtocol::Tls) {
        fields.error("tls is missing, and the protocol needs it");
    }
    let port = port?;
    if tls.as_ref().is_some_and(|tls| is_auto_passthrough(gateway_labels, port, tls)) {
        fields.error("a listener for other networks (AUTO_PASSTHROUGH) is not supported yet");
    }
    Some(Listener { name: name?, hostname, port, protocol, tls, namespaces, kinds, place })
}

/// Whether istiod makes the listener one of an east-west gateway: it passes connections on to the service that their
/// server name spells. Without the option, that is the port for other networks of a gateway with a network.
fn is_auto_passthrough(gateway_labels: &BTreeMap<String, String>, port: u32, tls: &ListenerTls) -> bool {
    let asked = tls.options.get("gateway.istio.io/listener-protocol").is_some_and(|value| value == "auto-passthrough");
    let network_port = gateway_labels.get("networking.istio.io/gatewayPort").map_or("15443", String::as_str);
    asked || gateway_labels.contains_key("topology.istio.io/network") && network_port == port.to_string()
}

fn listener_tls(fields: &mut Fields<'_>) -> ListenerTls {
    let place = fields.place();
    let mode = fields.get("mode").and_then(|value| value.choice(&[("Terminate", false), ("Passthrough", true)]));
    let certificates = fields.objects("certificateRefs", secret_ref);
    let options = fields.string_map("options");
    ListenerTls { passthrough: mode.unwrap_or(false), certificates, options, place }
}

fn secret_ref(fields: &mut Fields<'_>) -> Option<SecretRef> {
    Some(SecretRef {
        group: fields.string("group"),
        kind: super::or(fields.string("kind"), "Secret"),
        namespace: fields.string("namespace"),
        name: fields.required("name")?.string()?,
    })
}

fn allowed_routes(fields: &mut Fields<'_>) -> (AllowedNamespaces, Vec<String>) {
    let namespaces = fields.object("namespaces", |fields| {
        let from = fields.get("from").and_then(|value| value.choice(&[("Same", 0), ("All", 1), ("Selector", 2)]));
        let selector = fields.object("selector", label_selector);
        match (from, selector) {
            (Some(1), _) => AllowedNamespaces::All,
            (Some(2), Some(selector)) => AllowedNamespaces::Selected(selector),
            (Some(2), None) => AllowedNamespaces::All,
            _ => AllowedNamespaces::Same,
        }
    });
    let kinds = fields.objects("kinds", |fields| {
        fields.ignore(&["group"]);
        fields.required("kind")?.string()
    });
    (namespaces.unwrap_or_default(), kinds)
}

fn label_selector(fields: &mut Fields<'_>) -> LabelSelector {
    let labels = fields.string_map("matchLabels");
    let expressions = fields.objects("matchExpressions", |fields| {
        let key = fields.required("key")?.string()?;
        let operator = fields.required("operator")?.choice(&[
            ("In", LabelOperator::In),
            ("NotIn", LabelOperator::NotIn),
            ("Exists", LabelOperator::Exists),
            ("DoesNotExist", LabelOperator::DoesNotExist),
        ])?;
        Some(LabelExpression { key, operator, values: fields.strings("values").into_iter().collect() })
    });
    LabelSelector { labels, expressions }
}

fn frontend_tls(fields: &mut Fields<'_>, gateway: &mut Gateway) {
    gateway.client_validation = fields.try_object("default", client_validation);
    let by_port = fields.objects("perPort", |fields| {
        let port = fields.required("port").and_then(|value| value.port());
        let validation = fields.try_object("tls", client_validation);
        Some((port?, validation))
    });
    gateway.client_validation_by_port.extend(by_port);
}

fn client_validation(fields: &mut Fields<'_>) -> Option<ClientValidation> {
    fields.object("validation", |fields| {
        let mode = fields
            .get("mode")
            .and_then(|value| value.choice(&[("AllowValidOnly", false), ("AllowInsecureFallback", true)]));
        ClientValidation {
            authorities: fields.objects("caCertificateRefs", secret_ref),
            allow_insecure: mode.unwrap_or(false),
        }
    })
}
