use std::sync::Arc;

use xds_model::listener::{FilterChainMatch, Listener, TcpProxy, TerminalFilter};
use xds_model::tls::{TlsParameters, TlsVersion, Validation};

use super::*;
use crate::config::snapshot::TcpSnapshot;

fn model(tls: Option<DownstreamTls>) -> FilterChain {
    FilterChain {
        name: String::new(),
        matches: FilterChainMatch::default(),
        tls,
        transport_socket_connect_timeout: None,
        terminal: TerminalFilter::Tcp(Box::new(proxy())),
    }
}

fn proxy() -> TcpProxy {
    TcpProxy {
        stat_prefix: String::new(),
        clusters: Vec::new(),
        idle_timeout: None,
        max_downstream_connection_duration: None,
        hashes_source: false,
        access_log: Vec::new(),
    }
}

/// A TCP chain; with TLS its secret has not arrived.
fn snapshot(model: &FilterChain) -> ChainSnapshot {
    ChainSnapshot {
        transport: match &model.tls {
            None => ChainTransport::Raw,
            Some(_) => ChainTransport::Waiting("certificate".into()),
        },
        application: Application::Tcp(Arc::new(TcpSnapshot {
            chain: "".into(),
            model: proxy(),
            access_log: Arc::new([]),
        })),
    }
}

fn tls(require_client_certificate: bool, minimum: Option<TlsVersion>) -> DownstreamTls {
    DownstreamTls {
        certificates: Vec::new(),
        validation: Some(Validation::default()),
        require_client_certificate,
        parameters: TlsParameters { minimum, ..TlsParameters::default() },
        alpn: Vec::new(),
    }
}

fn facts(transport: TransportProtocol, tls: Option<TlsFacts>) -> ConnectionFacts {
    ConnectionFacts { transport, tls: tls.map(Box::new), ..ConnectionFacts::clear() }
}

fn judge(facts: &ConnectionFacts, kind: Kind, tls: Option<DownstreamTls>) -> Verdict {
    let model = model(tls);
    verdict(facts, kind, Some(Candidate { model: &model, snapshot: &snapshot(&model) }))
}

/// Fails to compile, or here, when a field has no line in the table.
#[test]
fn every_field_has_its_effect() {
    let Listener {
        name: _,
        address: _,
        proxy_protocol: _,
        tls_inspector: _,
        listener_filters_timeout: _,
        ignore_global_connection_limit: _,
        bypass_overload_manager: _,
        filter_chains: _,
        default_filter_chain: _,
        access_log: _,
        entrance: _,
    } = Listener {
        name: String::new(),
        address: ([127, 0, 0, 1], 1).into(),
        proxy_protocol: false,
        tls_inspector: false,
        listener_filters_timeout: None,
        ignore_global_connection_limit: false,
        bypass_overload_manager: false,
        filter_chains: Vec::new(),
        default_filter_chain: None,
        access_log: Vec::new(),
        entrance: None,
    };
    let FilterChain { name: _, matches: _, tls: _, transport_socket_connect_timeout: _, terminal: _ } = model(None);
    let DownstreamTls { certificates: _, validation: _, require_client_certificate: _, parameters: _, alpn: _ } =
        tls(false, None);
    let of = |kind: &str| EFFECTS.iter().filter(|(field, _)| field.starts_with(kind)).count();
    assert_eq!((of("Listener."), of("FilterChain."), of("DownstreamTls.")), (11, 5, 5));
}

#[test]
fn without_a_chain_or_with_another_kind_it_drains() {
    let clear = facts(TransportProtocol::RawBuffer, None);
    assert_eq!(verdict(&clear, Kind::Tcp, None), Verdict::Drain);
    assert_eq!(judge(&clear, Kind::Http, None), Verdict::Drain);
    assert_eq!(judge(&clear, Kind::Tcp, None), Verdict::Adopt);
}

#[test]
fn clear_text_closes_where_tls_is_required_now() {
    assert_eq!(judge(&facts(TransportProtocol::RawBuffer, None), Kind::Tcp, Some(tls(false, None))), Verdict::Close);
}

#[test]
fn what_was_passed_through_drains_where_it_would_be_terminated_and_the_other_way_round() {
    assert_eq!(judge(&facts(TransportProtocol::Tls, None), Kind::Tcp, Some(tls(false, None))), Verdict::Drain);
    let terminated = facts(TransportProtocol::Tls, Some(TlsFacts::default()));
    assert_eq!(judge(&terminated, Kind::Tcp, None), Verdict::Drain);
}

#[test]
fn what_is_known_of_a_waiting_chain_counts() {
    let tls12 = TlsFacts { version: "TLSv1.2", cipher: "ECDHE-RSA-AES128-GCM-SHA256", ..TlsFacts::default() };
    let anonymous = facts(TransportProtocol::Tls, Some(tls12.clone()));
    let known = facts(TransportProtocol::Tls, Some(TlsFacts { peer: Some(Box::default()), ..tls12 }));
    assert_eq!(judge(&anonymous, Kind::Tcp, Some(tls(false, None))), Verdict::Adopt);
    assert_eq!(judge(&anonymous, Kind::Tcp, Some(tls(true, None))), Verdict::Close);
    assert_eq!(judge(&known, Kind::Tcp, Some(tls(true, None))), Verdict::Adopt);
    assert_eq!(judge(&known, Kind::Tcp, Some(tls(true, Some(TlsVersion::V1_3)))), Verdict::Close);
    let mut other_suites = tls(false, None);
    other_suites.parameters.cipher_suites = vec!["ECDHE-RSA-CHACHA20-POLY1305".to_owned()];
    assert_eq!(judge(&known, Kind::Tcp, Some(other_suites)), Verdict::Close);
}
