//! The resources of each folder of `tests/istiod` are those that the real istiod made of the same files: `conformance/run local -record`
//! wrote them down, `conformance/run local` compares them again (see `README.md` there).

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use xds_local::{Generated, LocalControlPlane, Options};

fn load(folder: &Path) -> Generated {
    let labels = BTreeMap::from([("istio".to_owned(), "edge".to_owned())]);
    let options = Options { labels: Some(labels), namespace: Some("edge".into()), ..Options::default() };
    LocalControlPlane::new(folder.join("config"), options).load().unwrap_or_else(|problems| {
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        panic!("{}: {}", folder.display(), problems.join("\n"))
    })
}

/// Resources as JSON by type and name; without private keys.
fn as_json(generated: &Generated) -> Value {
    let mut types: BTreeMap<String, serde_json::Map<String, Value>> = BTreeMap::new();
    for resource in &generated.resources {
        let message = xds_api::json::to_redacted_json(&resource.type_url, &resource.message).unwrap();
        let name = resource.type_url.rsplit('.').next().unwrap();
        types.entry(name.to_owned()).or_default().insert(resource.name.clone(), message);
    }
    serde_json::to_value(types).unwrap()
}

/// Whole numbers may be written with or without a fraction.
fn with_equal_numbers(value: Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().into(),
        Value::Array(items) => items.into_iter().map(with_equal_numbers).collect(),
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, field)| (name, with_equal_numbers(field)));
            Value::Object(fields.collect())
        }
        other => other,
    }
}

fn folders() -> Vec<PathBuf> {
    let all = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/istiod")).unwrap();
    let folders = all.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    folders.collect()
}

#[test]
fn resources_are_those_of_istiod() {
    let folders = folders();
    assert!(folders.len() >= 5, "the folders are gone");
    for folder in folders {
        let made = with_equal_numbers(as_json(&load(&folder)));
        let text = std::fs::read_to_string(folder.join("resources.json")).unwrap();
        let expected = with_equal_numbers(serde_json::from_str(&text).unwrap());
        for (kind, resources) in expected.as_object().unwrap() {
            for (name, message) in resources.as_object().unwrap() {
                assert_eq!(&made[kind][name], message, "{kind} {name} of {}", folder.display());
            }
        }
        assert_eq!(made, expected, "resources that istiod does not make, in {}", folder.display());
    }
}

#[test]
fn the_same_files_give_the_same_bytes() {
    for folder in folders() {
        let (one, other) = (load(&folder), load(&folder));
        assert!(!one.resources.is_empty());
        assert_eq!(one.resources, other.resources);
        assert_eq!(one.changes_since(Some(&other)), xds_local::Changes::default());
    }
}

#[test]
fn the_summary_says_what_goes_where_and_why() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/istiod/http"));
    let text = load(folder).summary.to_string();
    for line in [
        "0.0.0.0:8080 HTTP (gateway.yaml:",
        "  a.shop.example.com, b.shop.example.com, own.example.com",
        "-> outbound|80||echo.edge.svc.cluster.local (2 endpoints) (routes.yaml:",
        "-> 90x outbound|80|v1|echo.edge.svc.cluster.local (0 endpoints), 10x",
        "-> answer 418 (routes.yaml:",
        "-> redirect there.example.com (routes.yaml:",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}
