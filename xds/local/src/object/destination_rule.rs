//! Istio's `DestinationRule`: how a service is reached.

mod load_balancing;
mod locality;

use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) use self::load_balancing::{
    ConsistentHash, HashCookie, HashKey, HashTable, LoadBalancer, LoadBalancing, Warmup,
};
pub(crate) use self::locality::{Distribution, Failover, LocalityBalancing};
use crate::load::field::Fields;
use crate::mesh::host;
use crate::object::metadata::Metadata;
use crate::object::virtual_service::export_to;
use crate::problem::Place;

/// Policies for a service, and its subsets.
#[derive(Clone, Debug)]
pub(crate) struct DestinationRule {
    pub(crate) metadata: Metadata,
    /// Full name; may begin with `*.`.
    pub(crate) host: String,
    pub(crate) policy: Option<TrafficPolicy>,
    pub(crate) subsets: Vec<Subset>,
    pub(crate) export_to: Vec<String>,
}

/// Some of the endpoints of a service.
#[derive(Clone, Debug)]
pub(crate) struct Subset {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) policy: Option<TrafficPolicy>,
}

/// How endpoints are picked and connected to.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrafficPolicy {
    pub(crate) load_balancer: Option<LoadBalancing>,
    pub(crate) connection_pool: Option<ConnectionPool>,
    pub(crate) outlier_detection: Option<OutlierDetection>,
    pub(crate) tls: Option<ClientTls>,
    pub(crate) retry_budget: Option<RetryBudget>,
    /// By port number. Such a policy stands alone: what it does not set has its default.
    pub(crate) ports: BTreeMap<u32, TrafficPolicy>,
}

/// `TrafficPolicy.RetryBudget`; 0 and absent leave Istio's default.
#[derive(Clone, Debug)]
pub(crate) struct RetryBudget {
    pub(crate) percent: Option<f64>,
    pub(crate) min_retry_concurrency: u32,
    pub(crate) interval: Option<Duration>,
}

impl TrafficPolicy {
    /// What it says of places, if anything.
    pub(crate) fn locality_balancing(&self) -> Option<&LocalityBalancing> {
        self.load_balancer.as_ref()?.locality.as_ref()
    }

    /// What is hashed, if anything.
    pub(crate) fn consistent_hash(&self) -> Option<&ConsistentHash> {
        self.load_balancer.as_ref()?.consistent_hash.as_ref()
    }

    /// The labels by which endpoints fail over; none without outlier detection, by which alone anything does.
    pub(crate) fn failover_labels(&self) -> &[String] {
        match self.locality_balancing() {
            Some(balancing)
                if balancing.enabled && balancing.distribute.is_empty() && self.outlier_detection.is_some() =>
            {
                &balancing.failover_priority
            }
            _ => &[],
        }
    }
}

/// Limits; 0 and absent leave Istio's default.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConnectionPool {
    pub(crate) max_connections: u32,
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) max_connection_duration: Option<Duration>,
    pub(crate) tcp_idle_timeout: Option<Duration>,
    pub(crate) keepalive: Option<Keepalive>,
    pub(crate) max_pending_requests: u32,
    pub(crate) max_requests: u32,
    pub(crate) max_requests_per_connection: u32,
    pub(crate) max_retries: u32,
    pub(crate) max_concurrent_streams: u32,
    pub(crate) http_idle_timeout: Option<Duration>,
    pub(crate) upgrade_to_http2: bool,
    pub(crate) use_client_protocol: bool,
    pub(crate) http2_keepalive: Option<Http2Keepalive>,
}

/// TCP keep-alive probes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Keepalive {
    pub(crate) probes: u32,
    pub(crate) time: Option<Duration>,
    pub(crate) interval: Option<Duration>,
}

/// HTTP/2 pings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Http2Keepalive {
    pub(crate) interval: Option<Duration>,
    pub(crate) timeout: Option<Duration>,
}

/// When an endpoint is left out for a while.
#[derive(Clone, Debug, Default)]
pub(crate) struct OutlierDetection {
    pub(crate) consecutive_5xx: Option<u32>,
    pub(crate) consecutive_gateway: Option<u32>,
    pub(crate) split_local_origin: bool,
    pub(crate) consecutive_local_origin: Option<u32>,
    pub(crate) interval: Option<Duration>,
    pub(crate) base_ejection_time: Option<Duration>,
    pub(crate) max_ejection_percent: u32,
    pub(crate) min_health_percent: u32,
}

/// TLS towards endpoints.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClientTls {
    pub(crate) mode: ClientTlsMode,
    pub(crate) credential_name: String,
    pub(crate) client_certificate: String,
    pub(crate) private_key: String,
    pub(crate) ca_certificates: String,
    pub(crate) ca_crl: String,
    pub(crate) subject_alt_names: Vec<String>,
    pub(crate) sni: String,
    pub(crate) insecure_skip_verify: bool,
    pub(crate) place: Option<Place>,
}

/// `ClientTLSSettings.TLSmode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ClientTlsMode {
    #[default]
    Disable,
    Simple,
    Mutual,
    IstioMutual,
}

pub(super) fn read(fields: &mut Fields<'_>, metadata: Metadata) -> Option<DestinationRule> {
    fields.required("spec")?.try_object(|fields| {
        fields.unsupported(&["workloadSelector"]);
        let name = fields.required("host").and_then(|value| value.string());
        let policy = fields.object("trafficPolicy", policy);
        let subsets = fields.objects("subsets", subset);
        let export_to = export_to(fields, &metadata.namespace);
        let host = host::full_name(&name?, &metadata.namespace);
        Some(DestinationRule { host, policy, subsets, export_to, metadata })
    })
}

fn subset(fields: &mut Fields<'_>) -> Option<Subset> {
    let name = fields.required("name").and_then(|value| value.string());
    let labels = fields.string_map("labels");
    let policy = fields.object("trafficPolicy", policy);
    Some(Subset { name: name?, labels, policy })
}

fn policy(fields: &mut Fields<'_>) -> TrafficPolicy {
    let mut result = common_policy(fields);
    result.retry_budget = fields.object("retryBudget", retry_budget);
    fields.unsupported(&["tunnel", "proxyProtocol"]);
    let ports = fields.objects("portLevelSettings", |fields| {
        let number =
            fields.required("port").and_then(|value| value.try_object(|fields| fields.required("number")?.port()));
        let policy = common_policy(fields);
        Some((number?, policy))
    });
    for (number, policy) in ports {
        result.ports.entry(number).or_insert(policy);
    }
    result
}

fn common_policy(fields: &mut Fields<'_>) -> TrafficPolicy {
    TrafficPolicy {
        load_balancer: fields.object("loadBalancer", load_balancing::load_balancing),
        connection_pool: fields.object("connectionPool", connection_pool),
        outlier_detection: fields.object("outlierDetection", outlier_detection),
        tls: fields.object("tls", client_tls),
        retry_budget: None,
        ports: BTreeMap::new(),
    }
}

fn retry_budget(fields: &mut Fields<'_>) -> RetryBudget {
    RetryBudget {
        percent: fields.get("percent").and_then(|value| value.number(0.0, 100.0)),
        min_retry_concurrency: fields.u32("minRetryConcurrency").unwrap_or(0),
        interval: fields.duration("budgetInterval"),
    }
}

fn connection_pool(fields: &mut Fields<'_>) -> ConnectionPool {
    let mut pool = ConnectionPool::default();
    fields.object("tcp", |fields| {
        pool.max_connections = fields.u32("maxConnections").unwrap_or(0);
        pool.connect_timeout = fields.duration("connectTimeout");
        pool.max_connection_duration = fields.duration("maxConnectionDuration");
        pool.tcp_idle_timeout = fields.duration("idleTimeout");
        pool.keepalive = fields.object("tcpKeepalive", |fields| Keepalive {
            probes: fields.u32("probes").unwrap_or(0),
            time: fields.duration("time"),
            interval: fields.duration("interval"),
        });
    });
    fields.object("http", |fields| {
        pool.max_pending_requests = fields.u32("http1MaxPendingRequests").unwrap_or(0);
        pool.max_requests = fields.u32("http2MaxRequests").unwrap_or(0);
        pool.max_requests_per_connection = fields.u32("maxRequestsPerConnection").unwrap_or(0);
        pool.max_retries = fields.u32("maxRetries").unwrap_or(0);
        pool.max_concurrent_streams = fields.u32("maxConcurrentStreams").unwrap_or(0);
        pool.http_idle_timeout = fields.duration("idleTimeout");
        pool.use_client_protocol = fields.bool("useClientProtocol").unwrap_or(false);
        let upgrade = fields
            .get("h2UpgradePolicy")
            .and_then(|value| value.choice(&[("DEFAULT", false), ("DO_NOT_UPGRADE", false), ("UPGRADE", true)]));
        pool.upgrade_to_http2 = upgrade.unwrap_or(false) && !pool.use_client_protocol;
        pool.http2_keepalive = fields.object("http2KeepAlive", |fields| Http2Keepalive {
            interval: fields.duration("interval"),
            timeout: fields.duration("timeout"),
        });
    });
    pool
}

fn outlier_detection(fields: &mut Fields<'_>) -> OutlierDetection {
    // Replaced by consecutive5xxErrors; istiod no longer looks at it.
    fields.ignore(&["consecutiveErrors"]);
    fields.unsupported(&["outlierDetectionHttpErrorCodes"]);
    OutlierDetection {
        consecutive_5xx: fields.u32("consecutive5xxErrors"),
        consecutive_gateway: fields.u32("consecutiveGatewayErrors"),
        split_local_origin: fields.bool("splitExternalLocalOriginErrors").unwrap_or(false),
        consecutive_local_origin: fields.u32("consecutiveLocalOriginFailures"),
        interval: fields.duration("interval"),
        base_ejection_time: fields.duration("baseEjectionTime"),
        max_ejection_percent: fields.u32("maxEjectionPercent").unwrap_or(0),
        min_health_percent: fields.u32("minHealthPercent").unwrap_or(0),
    }
}

fn client_tls(fields: &mut Fields<'_>) -> ClientTls {
    let mode = fields.get("mode").and_then(|value| {
        value.choice(&[
            ("DISABLE", ClientTlsMode::Disable),
            ("SIMPLE", ClientTlsMode::Simple),
            ("MUTUAL", ClientTlsMode::Mutual),
            ("ISTIO_MUTUAL", ClientTlsMode::IstioMutual),
        ])
    });
    let tls = ClientTls {
        mode: mode.unwrap_or_default(),
        credential_name: fields.string("credentialName"),
        client_certificate: fields.string("clientCertificate"),
        private_key: fields.string("privateKey"),
        ca_certificates: fields.string("caCertificates"),
        ca_crl: fields.string("caCrl"),
        subject_alt_names: fields.strings("subjectAltNames"),
        sni: fields.string("sni"),
        insecure_skip_verify: fields.bool("insecureSkipVerify").unwrap_or(false),
        place: Some(fields.place()),
    };
    let has_files = !tls.client_certificate.is_empty() && !tls.private_key.is_empty();
    if tls.mode == ClientTlsMode::Mutual && tls.credential_name.is_empty() && !has_files {
        fields.error("mode MUTUAL needs credentialName, or clientCertificate and privateKey");
    }
    tls
}
