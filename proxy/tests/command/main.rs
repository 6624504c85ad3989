//! The `selvedge` command as an operator uses it: the real binary, a folder of YAML, real sockets.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod authority;
mod control_plane;
mod datagrams;
mod direct;
mod edge_config;
mod edge_handover;
mod edge_restart;
mod edges;
mod end;
mod endpoint;
mod entrance;
mod failed_calls;
mod forged;
mod gateway;
mod hostile_edges;
mod hub;
mod overload;
mod restart;
mod troubles;

use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, SystemTime};

use gateway::{Backend, Gateway, folder, free_port, get, get_from};

const SELVEDGE: &str = env!("CARGO_BIN_EXE_selvedge");

fn gateway_yaml(port: u16) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: web, namespace: edge}}\nspec:\n  selector: {{istio: edge}}\n  \
         servers:\n    - port: {{number: {port}, name: http, protocol: HTTP}}\n      bind: 127.0.0.1\n      hosts: [\"*\"]\n"
    )
}

fn routes_yaml(subset: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: web, namespace: edge}}\nspec:\n  hosts: [\"*\"]\n  \
         gateways: [web]\n  http:\n    - route:\n        - destination: {{host: web.internal, subset: {subset}, port: {{number: 80}}}}\n"
    )
}

fn services_yaml(v1: &Backend, v2: &Backend) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: web, namespace: edge}}\nspec:\n  hosts: [web.internal]\n  \
         location: MESH_INTERNAL\n  resolution: STATIC\n  ports: [{{number: 80, name: http, protocol: HTTP}}]\n  endpoints:\n    - {{address: 127.0.0.1, \
         ports: {{http: {}}}, labels: {{version: v1}}}}\n    - {{address: 127.0.0.1, ports: {{http: {}}}, labels: {{version: v2}}}}\n---\n\
         apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: web, namespace: edge}}\nspec:\n  host: web.internal\n  \
         subsets:\n    - {{name: v1, labels: {{version: v1}}}}\n    - {{name: v2, labels: {{version: v2}}}}\n",
        v1.port, v2.port
    )
}

#[test]
fn a_changed_route_is_served_and_a_broken_one_is_not() {
    let (v1, v2, port) = (Backend::start("one"), Backend::start("two"), free_port());
    let folder = folder(&[
        ("gateway.yaml", &gateway_yaml(port)),
        ("routes.yaml", &routes_yaml("v1")),
        ("services.yaml", &services_yaml(&v1, &v2)),
    ]);
    let gateway = Gateway::run(folder.path(), &[]);
    gateway.eventually("the first answer", || get(port, "/").is_some_and(|answer| answer.ends_with("one")));

    std::fs::write(folder.path().join("routes.yaml"), routes_yaml("v2")).unwrap();
    gateway.eventually("the new route", || get(port, "/").is_some_and(|answer| answer.ends_with("two")));

    std::fs::write(folder.path().join("routes.yaml"), "kind: VirtualService\nspec: [").unwrap();
    gateway.eventually("the complaint", || gateway.log().contains("routes.yaml:"));
    assert!(get(port, "/").is_some_and(|answer| answer.ends_with("two")), "the last good configuration stays");
    let problems = gateway.admin_get("/problems").unwrap();
    assert!(problems.contains("folder: routes.yaml:"), "{problems}");
    let alarm = gateway.admin_get("/stats?filter=configuration.problems").unwrap();
    assert!(alarm.contains("configuration.problems: 1"), "{alarm}");

    std::fs::write(folder.path().join("routes.yaml"), routes_yaml("v1")).unwrap();
    gateway.eventually("no problems", || gateway.admin_get("/problems").is_some_and(|page| !page.contains("folder:")));
    gateway.eventually("the route", || get(port, "/").is_some_and(|answer| answer.ends_with("one")));
}

#[test]
fn a_folder_that_cannot_be_served_ends_with_file_and_line() {
    let folder = folder(&[("gateway.yaml", &gateway_yaml(8080).replace("protocol: HTTP", "protocol: HTPP"))]);
    let output = Command::new(SELVEDGE)
        .args(["run", "--config"])
        .arg(folder.path())
        .args(["--admin-port=0", "--readiness-port=0"])
        .output();
    let output = output.unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(complaint.contains("gateway.yaml:7"), "{complaint}");
    assert!(complaint.contains("HTPP"), "{complaint}");
}

#[test]
fn the_soft_limit_of_open_files_is_raised_to_the_hard_one() {
    let (v1, v2) = (Backend::start("one"), Backend::start("two"));
    let folder = folder(&[
        ("gateway.yaml", &gateway_yaml(free_port())),
        ("routes.yaml", &routes_yaml("v1")),
        ("services.yaml", &services_yaml(&v1, &v2)),
    ]);
    let gateway = Gateway::run_with_soft_limit(97, folder.path());
    gateway.eventually("the line in the log", || gateway.log().contains("limit of open files: was 97, is "));
    let (soft, hard) = gateway.open_files_limits();
    assert_eq!(soft, hard);
    assert_ne!(soft, "97");
}

#[test]
fn a_log_level_that_does_not_exist_is_named() {
    let folder = folder(&[("gateway.yaml", &gateway_yaml(8080))]);
    let output = Command::new(SELVEDGE).args(["run", "--log-level=verbose", "--config"]).arg(folder.path()).output();
    let complaint = String::from_utf8_lossy(&output.unwrap().stderr).into_owned();
    assert!(complaint.contains("verbose") && complaint.contains("--log-level"), "{complaint}");
}

#[test]
fn validate_says_what_is_served_or_wrong() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/shop");
    let output = Command::new(SELVEDGE).args(["validate", example]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("18080") && text.contains("shop.example.com"), "{text}");

    let broken = folder(&[(
        "routes.yaml",
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: x}\nspec: {hostz: [a]}\n",
    )]);
    let output = Command::new(SELVEDGE).arg("validate").arg(broken.path()).output().unwrap();
    assert!(!output.status.success());
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(complaint.contains("routes.yaml:4") && complaint.contains("hostz"), "{complaint}");
}

#[test]
fn a_port_in_use_is_named_and_the_other_listener_serves() {
    let (v1, v2, good) = (Backend::start("one"), Backend::start("two"), free_port());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken_port = taken.local_addr().unwrap().port();
    let folder = folder(&[
        ("gateway.yaml", &gateway_yaml(good)),
        ("taken.yaml", &gateway_yaml(taken_port).replace("name: web,", "name: taken,")),
        ("routes.yaml", &routes_yaml("v1")),
        ("services.yaml", &services_yaml(&v1, &v2)),
    ]);
    let gateway = Gateway::run(folder.path(), &[]);
    gateway.eventually("the good listener", || get(good, "/").is_some_and(|answer| answer.ends_with("one")));
    gateway.eventually("the complaint", || gateway.log().contains(&format!("127.0.0.1:{taken_port}")));
    let shows = |path: &str, text: &str| gateway.admin_get(path).is_some_and(|page| page.contains(text));
    let reason = format!("cannot listen on 127.0.0.1:{taken_port}: ");
    assert!(shows("/listeners", &format!("127.0.0.1:{taken_port} (failed: {reason}")));
    assert!(shows("/problems", &format!("cannot be served: {reason}")));
    assert!(shows("/config_dump?resource=dynamic_listeners", &format!("\"details\": \"{reason}")));
    assert!(shows("/stats", "listener_manager.total_listeners_active: 1\n"));
    assert!(shows("/stats/prometheus", "envoy_listener_manager_total_listeners_active{} 1\n"));
    assert!(shows("/stats?usedonly", "listener_manager.listener_create_failure: "));

    drop(taken);
    gateway.eventually("another try", || shows("/stats", "listener_manager.total_listeners_active: 2\n"));
    assert!(get(taken_port, "/").is_some());
    assert!(!shows("/config_dump", "error_state") && !shows("/listeners", "failed"));
}

#[test]
fn a_missing_certificate_stops_only_its_own_port() {
    let (v1, v2, port, secure) = (Backend::start("one"), Backend::start("two"), free_port(), free_port());
    let with_tls = gateway_yaml(port)
        + &format!(
            "    - port: {{number: {secure}, name: https, protocol: HTTPS}}\n      bind: 127.0.0.1\n      hosts: [\"*\"]\n      tls: {{mode: SIMPLE, \
             credentialName: nowhere}}\n"
        );
    let folder = folder(&[
        ("gateway.yaml", &with_tls),
        ("routes.yaml", &routes_yaml("v1")),
        ("services.yaml", &services_yaml(&v1, &v2)),
    ]);
    let gateway = Gateway::run(folder.path(), &[]);
    gateway.eventually("clear text", || get(port, "/").is_some_and(|answer| answer.ends_with("one")));
    gateway.eventually("the reason", || gateway.admin_get("/listeners").is_some_and(|page| page.contains("nowhere")));

    std::fs::write(folder.path().join("secret.yaml"), secret_yaml("nowhere", 10)).unwrap();
    gateway.eventually("the certificate", || gateway.admin_get("/certs").is_some_and(|page| page.contains("nowhere")));
    let stats = gateway.admin_get("/stats/prometheus").unwrap();
    assert!(stats.contains("envoy_server_days_until_first_cert_expiring{} 10\n"), "{stats}");
    gateway.eventually("TLS", || gateway.admin_get("/listeners").is_some_and(|page| !page.contains("nowhere")));
}

/// A certificate that is valid for that many days and an hour.
fn secret_yaml(name: &str, days: u64) -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::new(["nowhere.test".to_owned()]).unwrap();
    parameters.not_after = (SystemTime::now() + Duration::from_secs((days * 24 + 1) * 3600)).into();
    let certificate = parameters.self_signed(&key).unwrap();
    let indented = |pem: String| pem.trim_end().replace('\n', "\n    ");
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: edge}}\ntype: kubernetes.io/tls\nstringData:\n  tls.crt: |\n    {}\n  \
         tls.key: |\n    {}\n",
        indented(certificate.pem()),
        indented(key.serialize_pem())
    )
}

#[test]
fn a_drain_answers_what_is_under_way_and_fails_readiness_first() {
    let ((v1, answer), v2, port) = (Backend::holding("one"), Backend::start("two"), free_port());
    let folder = folder(&[
        ("gateway.yaml", &gateway_yaml(port)),
        ("routes.yaml", &routes_yaml("v1")),
        ("services.yaml", &services_yaml(&v1, &v2)),
    ]);
    let readiness = free_port();
    let mut gateway = Gateway::run(folder.path(), &[&format!("--readiness-port={readiness}")]);
    for address in ["127.0.0.1", "::1"].into_iter().filter(|address| TcpListener::bind((*address, 0)).is_ok()) {
        gateway.eventually("readiness", || {
            get_from(address, readiness, "/healthz/ready").is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
        });
    }
    gateway.eventually("the listener", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    let request = std::thread::spawn(move || get(port, "/"));
    gateway.eventually("the request at the backend", || v1.requests() == 1);
    gateway.terminate();
    gateway.eventually("the failing probe", || {
        get(readiness, "/healthz/ready").is_some_and(|answer| answer.starts_with("HTTP/1.1 503"))
    });
    drop(answer);
    assert!(request.join().unwrap().is_some_and(|answer| answer.ends_with("one")), "the request under way is answered");
    assert!(gateway.wait().success());
}
