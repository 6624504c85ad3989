use serde_json::{Value, json};

use crate::examples::{authorities_secret, certificate_secret, parse, with};
use crate::fate::Report;
use crate::secret::{CertificateAuthorities, Secret, SecretContent, TlsCertificate};

fn convert(value: &Value) -> Result<Secret, String> {
    Secret::from_wire(&parse(value), &mut Report::default()).map_err(|refusal| refusal.to_string())
}

#[test]
fn secrets_of_istiod() {
    let certificate =
        TlsCertificate { chain: "certificate".into(), private_key: "key".into(), ocsp_staple: "staple".into() };
    let secret = convert(&certificate_secret()).unwrap();
    assert_eq!(
        (secret.name.as_str(), secret.content),
        ("kubernetes://shop-tls", SecretContent::Certificate(certificate))
    );
    let authorities = CertificateAuthorities { certificates: "root".into(), crl: "crl".into() };
    assert_eq!(convert(&authorities_secret()).unwrap().content, SecretContent::Authorities(authorities));
}

#[test]
fn refusals_name_the_field_and_never_the_key() {
    let certificate = [
        ("/tls_certificate/password", json!({"inline_string": "hunter2"}), "tls_certificate.password: "),
        ("/tls_certificate/private_key", json!({"inline_string": ""}), "tls_certificate.private_key: is empty"),
        ("/tls_certificate/private_key", json!({"filename": "/x"}), "tls_certificate: files are not read here"),
        ("/tls_certificate/private_key", Value::Null, "tls_certificate.private_key: is missing"),
        (
            "/tls_certificate/private_key_provider",
            json!({"provider_name": "x"}),
            "tls_certificate.private_key_provider: ",
        ),
    ];
    for (pointer, change, expected) in certificate {
        let refusal = convert(&with(certificate_secret(), pointer, change)).unwrap_err();
        assert!(refusal.starts_with(&format!("kubernetes://shop-tls: {expected}")), "{pointer}: {refusal}");
        assert!(!refusal.contains("hunter2"));
    }
    let authorities = [
        ("/validation_context/trusted_ca", json!({"inline_bytes": ""}), "validation_context.trusted_ca: is empty"),
        (
            "/validation_context/allow_expired_certificate",
            json!(true),
            "validation_context.allow_expired_certificate: ",
        ),
        (
            "/validation_context/match_subject_alt_names",
            json!([{"exact": "x"}]),
            "validation_context.match_subject_alt_names: ",
        ),
    ];
    for (pointer, change, expected) in authorities {
        let refusal = convert(&with(authorities_secret(), pointer, change)).unwrap_err();
        assert!(refusal.starts_with(&format!("kubernetes://shop-tls-cacert: {expected}")), "{pointer}: {refusal}");
    }
    for other in [
        json!({"name": "a", "generic_secret": {}}),
        json!({"name": "a", "session_ticket_keys": {}}),
        json!({"name": "a"}),
    ] {
        assert!(convert(&other).is_err(), "{other}");
    }
}
