use serde_json::{Value, json};

use crate::context::Context;
use crate::examples::{downstream_tls, parse, upstream_tls, with};
use crate::fate::{NoOp, Report};
use crate::tls::{
    AuthoritySource, CertificateSource, DownstreamTls, SanKind, SecretReference, SecretServer, TlsVersion, UpstreamTls,
};

fn downstream(value: &Value) -> Result<DownstreamTls, String> {
    let mut report = Report::default();
    DownstreamTls::convert(&parse(value), &mut Context::new("tls", &mut report)).map_err(|refusal| refusal.to_string())
}

fn upstream(value: &Value) -> Result<UpstreamTls, String> {
    let mut report = Report::default();
    UpstreamTls::convert(&parse(value), &mut Context::new("tls", &mut report)).map_err(|refusal| refusal.to_string())
}

fn agent(name: &str) -> SecretReference {
    SecretReference { name: name.to_owned(), server: SecretServer::Agent }
}

const DEFAULT_RULES: &str = "/common_tls_context/combined_validation_context/default_validation_context";

#[test]
fn the_server_side() {
    let tls = downstream(&downstream_tls()).unwrap();
    let secret = SecretReference { name: "kubernetes://shop-tls".to_owned(), server: SecretServer::Ads };
    assert_eq!(tls.certificates, [CertificateSource::Secret(secret)]);
    assert_eq!(tls.alpn, ["h2", "http/1.1"]);
    assert!(tls.require_client_certificate);
    let validation = tls.validation.unwrap();
    assert!(
        matches!(validation.authorities, Some(AuthoritySource::Secret(secret)) if secret.name.ends_with("-cacert"))
    );
    assert_eq!(validation.subject_alt_names[0].kind, None);
    assert!(!validation.accept_untrusted);

    let optional = with(downstream_tls(), "/require_client_certificate", json!(false));
    assert!(
        downstream(&optional).unwrap().require_client_certificate,
        "a condition on the name asks for a certificate"
    );
    let context = "/common_tls_context/combined_validation_context/default_validation_context";
    let optional = downstream(&with(optional, context, json!({}))).unwrap();
    assert!(!optional.require_client_certificate && optional.validation.is_some());
}

#[test]
fn rules_for_certificates() {
    let rules = json!({
        "match_typed_subject_alt_names": [{"san_type": "URI", "matcher": {"prefix": "spiffe://a/"}}],
        "verify_certificate_spki": ["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="],
        "verify_certificate_hash": ["AB:".repeat(31) + "AB"],
        "trust_chain_verification": "ACCEPT_UNTRUSTED",
    });
    let validation = downstream(&with(downstream_tls(), DEFAULT_RULES, rules)).unwrap().validation.unwrap();
    assert_eq!(validation.subject_alt_names[0].kind, Some(SanKind::Uri));
    assert_eq!(validation.hashes, ["ab".repeat(32)]);
    assert_eq!(validation.spki.len(), 1);
    assert!(validation.accept_untrusted);
}

fn own_rules(rules: Value) -> Value {
    json!({"common_tls_context": {"validation_context": rules}})
}

#[test]
fn rules_without_a_secret() {
    assert_eq!(upstream(&own_rules(json!({}))).unwrap().validation, None);
    assert_eq!(upstream(&json!({})).unwrap().validation, None);

    let refusal = upstream(&own_rules(json!({"match_subject_alt_names": [{"exact": "a"}]}))).unwrap_err();
    assert!(refusal.contains("needs trusted_ca"), "names that nobody vouches for prove nothing: {refusal}");

    let pinned =
        upstream(&own_rules(json!({"verify_certificate_hash": ["ab".repeat(32)]}))).unwrap().validation.unwrap();
    assert!(pinned.accept_untrusted && pinned.authorities.is_none());

    let authorities = |rules| upstream(&own_rules(rules)).unwrap().validation.unwrap().authorities;
    assert_eq!(
        authorities(json!({"trusted_ca": {"filename": "/ca.pem"}})),
        Some(AuthoritySource::Secret(agent("file-root:/ca.pem")))
    );
    assert_eq!(authorities(json!({"system_root_certs": {}})), Some(AuthoritySource::Secret(agent("file-root:system"))));
    let inline = authorities(json!({"trusted_ca": {"inline_string": "pem"}, "crl": {"inline_string": "crl"}}));
    assert!(matches!(inline, Some(AuthoritySource::Inline(inline)) if inline.crl == "crl"));

    let server = with(
        downstream_tls(),
        "/common_tls_context",
        json!({
            "tls_certificates": [{"certificate_chain": {"inline_string": "c"}, "private_key": {"inline_string": "k"}}],
            "validation_context": {},
        }),
    );
    let refusal = downstream(&server).unwrap_err();
    assert!(refusal.starts_with("tls: require_client_certificate: needs something"), "{refusal}");
}

#[test]
fn certificates_without_a_secret() {
    let with_certificate = |certificate: Value| json!({"common_tls_context": {"tls_certificates": [certificate]}});
    let files = json!({"certificate_chain": {"filename": "/c.pem"}, "private_key": {"filename": "/k.pem"}});
    let tls = upstream(&with_certificate(files)).unwrap();
    assert_eq!(tls.certificates, [CertificateSource::Secret(agent("file-cert:/c.pem~/k.pem"))]);
    let mixed = json!({"certificate_chain": {"filename": "/c.pem"}, "private_key": {"inline_string": "k"}});
    assert!(upstream(&with_certificate(mixed)).unwrap_err().contains("everything must be in files"));
}

fn parameters(value: Value) -> Value {
    with(upstream_tls(), "/common_tls_context/tls_params", value)
}

#[test]
fn versions_suites_and_groups() {
    let tls = upstream(&upstream_tls()).unwrap();
    assert_eq!((tls.parameters.minimum, tls.parameters.maximum), (Some(TlsVersion::V1_2), Some(TlsVersion::V1_3)));
    let old = upstream(&parameters(json!({"tls_minimum_protocol_version": "TLSv1_0"}))).unwrap();
    assert_eq!(old.parameters.minimum, Some(TlsVersion::V1_2));

    let mut report = Report::default();
    let value = parameters(json!({
        "cipher_suites": ["[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]", "AES128-SHA"],
        "ecdh_curves": ["P-256", "X25519"],
    }));
    let tls = UpstreamTls::convert(&parse(&value), &mut Context::new("tls", &mut report)).unwrap();
    assert_eq!(tls.parameters.cipher_suites, ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"]);
    assert_eq!(tls.parameters.curves, ["P-256", "X25519"]);
    let place = "envoy.extensions.transport_sockets.tls.v3.TlsParameters";
    assert_eq!(report.no_ops.get(&NoOp { place, name: "cipher_suites" }), Some(&1), "what is left out is counted");
    assert_eq!(report.no_ops.get(&NoOp { place, name: "ecdh_curves" }), None);
}

#[test]
fn refusals_name_the_field() {
    let context = "common_tls_context";
    let upstreams = [
        (
            "/common_tls_context/tls_params",
            json!({"cipher_suites": ["AES128-SHA"]}),
            "tls_params.cipher_suites: none of AES128-SHA",
        ),
        (
            "/common_tls_context/tls_params",
            json!({"tls_maximum_protocol_version": "TLSv1_1"}),
            "tls_params.tls_maximum_protocol_version: ",
        ),
        (
            "/common_tls_context/tls_params",
            json!({"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_2"}),
            "tls_params.tls_maximum_protocol_version: is less",
        ),
        (
            "/common_tls_context/tls_params",
            json!({"compliance_policies": ["FIPS_202205"]}),
            "tls_params.compliance_policies: ",
        ),
        ("/common_tls_context/key_log", json!({"path": "/x"}), "key_log: "),
        (
            "/common_tls_context/tls_certificate_sds_secret_configs/0",
            json!({"name": "x"}),
            "tls_certificate_sds_secret_configs[0].sds_config: is missing",
        ),
        (
            "/common_tls_context/tls_certificate_sds_secret_configs/0",
            json!({"name": "x", "sds_config": {"api_config_source": {"grpc_services": [{"envoy_grpc": {"cluster_name": "sds-external"}}]}}}),
            "tls_certificate_sds_secret_configs[0].sds_config.api_config_source.grpc_services.envoy_grpc.cluster_name: secrets",
        ),
        (
            "/common_tls_context/combined_validation_context/default_validation_context",
            json!({"allow_expired_certificate": true}),
            "combined_validation_context.default_validation_context.allow_expired_certificate: ",
        ),
        (
            "/common_tls_context/combined_validation_context/default_validation_context",
            json!({"trusted_ca": {"filename": "/x"}}),
            "combined_validation_context.default_validation_context: names authorities",
        ),
        (
            "/common_tls_context/combined_validation_context/default_validation_context",
            json!({"verify_certificate_hash": ["ab"]}),
            "combined_validation_context.default_validation_context.verify_certificate_hash[0]: ",
        ),
        (
            "/common_tls_context/combined_validation_context/default_validation_context",
            json!({"match_typed_subject_alt_names": [{"san_type": "OTHER_NAME", "matcher": {"exact": "x"}}]}),
            "combined_validation_context.default_validation_context.match_typed_subject_alt_names[0].san_type: ",
        ),
    ];
    for (pointer, change, expected) in upstreams {
        let refusal = upstream(&with(upstream_tls(), pointer, change)).unwrap_err();
        assert!(refusal.starts_with(&format!("tls: {context}.{expected}")), "{pointer}: {refusal}");
    }
    let downstreams = [
        ("/require_sni", json!(true), "require_sni: "),
        ("/session_ticket_keys", json!({}), "session_ticket_keys: "),
        ("/disable_stateless_session_resumption", json!(true), "disable_stateless_session_resumption: "),
        ("/ocsp_staple_policy", json!("MUST_STAPLE"), "ocsp_staple_policy: "),
        ("/common_tls_context", json!({}), "common_tls_context: names no certificate"),
        ("/common_tls_context", Value::Null, "common_tls_context: is missing"),
    ];
    for (pointer, change, expected) in downstreams {
        let refusal = downstream(&with(downstream_tls(), pointer, change)).unwrap_err();
        assert!(refusal.starts_with(&format!("tls: {expected}")), "{pointer}: {refusal}");
    }
}
