//! What is said about folders that are wrong, or wrong in part: each folder of `tests/fixtures` has a `problems.txt` with all of it.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::path::Path;

use xds_local::{LocalControlPlane, Options, Problem};

fn folder(name: &str) -> String {
    format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn check(name: &str, problems: &[Problem]) {
    let said: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
    let file = format!("{}/problems.txt", folder(name));
    if std::env::var_os("WRITE_EXPECTED").is_some() {
        std::fs::write(&file, &said).unwrap();
    }
    assert_eq!(said, std::fs::read_to_string(file).unwrap(), "{name}");
}

fn errors(name: &str) -> Vec<Problem> {
    LocalControlPlane::new(folder(name), Options::default()).load().unwrap_err()
}

#[test]
fn wrong_fields_are_all_named_with_their_lines() {
    check("wrong-fields", &errors("wrong-fields"));
}

#[test]
fn files_that_cannot_be_read_do_not_hide_each_other() {
    check("wrong-files", &errors("wrong-files"));
}

#[test]
fn an_object_is_defined_once() {
    check("duplicates", &errors("duplicates"));
}

#[test]
fn what_is_not_supported_is_an_error_and_what_is_not_for_a_gateway_is_not() {
    check("not-supported", &errors("not-supported"));
}

#[test]
fn references_that_lead_nowhere_are_warnings() {
    let generated = LocalControlPlane::new(folder("unresolved"), Options::default()).load().unwrap();
    check("unresolved", &generated.warnings);
    let names: Vec<_> = generated.resources.iter().map(|resource| resource.name.as_str()).collect();
    assert!(names.contains(&"0.0.0.0_80") && names.contains(&"0.0.0.0_443") && names.contains(&"http.80"), "{names:?}");
    assert!(!names.contains(&"0.0.0.0_9000"), "a TCP port without a route has no listener: {names:?}");
    assert!(!names.iter().any(|name| name.starts_with("kubernetes://")), "{names:?}");
}

#[test]
fn a_folder_that_is_not_there_is_an_error() {
    let problems = LocalControlPlane::new("/does/not/exist", Options::default()).load().unwrap_err();
    assert_eq!(problems[0].place.file.as_ref(), "/does/not/exist");
    assert!(problems[0].message.starts_with("cannot be read: "), "{}", problems[0]);
}

#[test]
fn an_empty_folder_serves_nothing_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let generated = LocalControlPlane::new(folder.path(), Options::default()).load().unwrap();
    assert_eq!(generated.warnings.len(), 1);
    assert!(generated.warnings[0].message.contains("no Gateway"), "{}", generated.warnings[0]);
    let names: Vec<_> = generated.resources.iter().map(|resource| resource.name.as_str()).collect();
    assert_eq!(names, ["BlackHoleCluster"]);
    assert!(generated.summary.listeners.is_empty());
}

#[test]
fn an_unreadable_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(Path::new("/does/not/exist"), folder.path().join("gone.yaml")).unwrap();
    std::fs::create_dir(folder.path().join("folder.yaml")).unwrap();
    std::fs::write(folder.path().join("ignored.txt"), "no: [yaml").unwrap();
    let problems = LocalControlPlane::new(folder.path(), Options::default()).load().unwrap_err();
    let errors: Vec<_> = problems.iter().filter(|problem| problem.place.file.as_ref() == "gone.yaml").collect();
    assert_eq!(errors.len(), 1, "{problems:?}");
    assert!(errors[0].message.starts_with("cannot be read: "), "{}", errors[0]);
}

#[test]
fn what_the_gateway_would_refuse_is_said_about_its_object() {
    check("refused", &errors("refused"));
}
