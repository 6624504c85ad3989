//! What an edge says at `/problems`, in its status and in its log when the overlay does not let it in, and that it goes on afterwards.

use std::process::Command;

use super::edges::{Edge, Overlay, answers, importing, service, status};
use super::gateway::{Gateway, folder, free_port, get};
use super::hub::{Hub, complaint, join};
use super::{SELVEDGE, gateway_yaml};

fn has_problem(gateway: &Gateway, text: &str) -> bool {
    gateway.admin_get("/problems").is_some_and(|page| page.lines().any(|line| line.contains(text)))
}

fn has_no_problem(gateway: &Gateway) -> bool {
    gateway
        .admin_get("/stats?filter=configuration.problems")
        .is_some_and(|page| page.contains("configuration.problems: 0"))
}

/// Lines of its log with a text.
fn lines(gateway: &Gateway, text: &str) -> usize {
    gateway.log().lines().filter(|line| line.contains(text)).count()
}

#[test]
fn an_edge_without_a_hub_says_so_until_it_is_linked_again() {
    let mut overlay = Overlay::start();
    let (_b, _backend) = Edge::offering(&overlay, "b");
    let (a, port) = importing(&overlay);
    answers(&a, port, &[("/", "b")]);
    a.gateway.eventually("no problem", || has_no_problem(&a.gateway));
    overlay.kill();
    let problem = format!("edge: links: there is no link to any hub: 127.0.0.1:{}: ", overlay.port);
    a.gateway.eventually("the problem", || has_problem(&a.gateway, &problem));
    assert!(!has_no_problem(&a.gateway));
    // Each worker says so once, however often it dials.
    a.gateway.eventually("many attempts", || a.count("overlay.dials_failed") >= 8);
    assert_eq!(lines(&a.gateway, "no link: cannot connect"), 2, "{}", a.gateway.log());
    overlay.start_again();
    a.gateway.eventually("no problem", || has_no_problem(&a.gateway));
}

#[test]
fn an_edge_that_was_revoked_says_so_and_fills_no_log() {
    let metrics = free_port();
    let overlay = Overlay::start_with(&[&format!("--admin=127.0.0.1:{metrics}")]);
    let (a, _port) = importing(&overlay);
    a.gateway.eventually("the links", || a.count("overlay.links_active") == 2);
    let mut revoke = Command::new(SELVEDGE);
    revoke.args(["revoke", "--tenant=acme", "--edge=a", "--state"]).arg(overlay.hub.path());
    assert!(revoke.status().unwrap().success());
    a.gateway.eventually("the problem", || has_problem(&a.gateway, "edge: name: this edge was revoked"));
    let refused = || get(metrics, "/stats?filter=handshakes_refused").unwrap_or_default();
    let count = || refused().rsplit_once(": ").and_then(|(_, count)| count.trim().parse::<u64>().ok());
    a.gateway.eventually("many attempts", || count() >= Some(8));
    assert_eq!(lines(&a.gateway, "CertificateRevoked"), 2, "{}", a.gateway.log());
    // The hub has never let it in again.
    assert_eq!(lines(&a.gateway, " linked"), 2, "{}", a.gateway.log());
}

#[test]
fn who_was_off_for_too_long_is_named_and_joins_again_beside_its_process() {
    let mut hub = Hub::found_with(&["--certificate-lifetime=5s"]);
    let state = tempfile::tempdir().unwrap();
    assert!(join(&hub.token("a", &[]), state.path()).status.success());
    std::fs::write(state.path().join("edge.yaml"), "").unwrap();
    let a = Edge::start(state, &[("gateway.yaml", &gateway_yaml(free_port()))]);
    a.gateway.eventually("the links", || a.count("overlay.links_active") == 2);
    hub.kill();
    a.gateway.eventually("the end of the certificate", || has_problem(&a.gateway, "edge: certificate: it has expired"));
    let mut asked = Command::new(SELVEDGE);
    let text = asked.args(["status", "--state"]).arg(a.state.path()).output().unwrap().stdout;
    let text = String::from_utf8(text).unwrap();
    assert!(text.lines().next().is_some_and(|line| line.ends_with(", certificate expired")), "{text}");

    // It signs for a day from now on.
    let hub = hub.kill_and_start_again();
    let named = "edge a of tenant acme is refused: its certificate has expired";
    hub.eventually("the name in the log", || hub.log().contains(named));
    let joined = join(&hub.token("a", &[]), a.state.path());
    assert!(joined.status.success() && complaint(&joined).contains("a process runs with this folder"), "{joined:?}");
    a.gateway.eventually("the links", || a.count("overlay.links_active") == 2);
    a.gateway.eventually("no problem", || has_no_problem(&a.gateway));
    assert!(status(a.state.path())["certificate_seconds"].as_u64() > Some(3600));
}

#[test]
fn an_address_for_datagrams_that_another_edge_has_is_not_shared() {
    let overlay = Overlay::start();
    let config = format!("datagrams: [{{host: dns.shop.example, port: 53, listen: '127.0.0.1:{}'}}]\n", free_port());
    let start = |name: &str| Edge::start(overlay.join(name, &config), &[("gateway.yaml", &gateway_yaml(free_port()))]);
    let mut a = start("a");
    a.gateway.eventually("the links", || a.count("overlay.links_active") == 2);
    a.gateway.eventually("no problem", || has_no_problem(&a.gateway));
    let b = start("b");
    b.gateway.eventually("the problem", || has_problem(&b.gateway, "edge: datagrams of dns.shop.example port 53 at "));
    assert!(has_problem(&b.gateway, "Address already in use") && has_no_problem(&a.gateway));
    a.gateway.signal("KILL");
    a.gateway.wait();
    b.gateway.eventually("no problem", || has_no_problem(&b.gateway));
}

#[test]
fn a_damaged_cache_is_set_aside_and_a_damaged_key_is_not() {
    let overlay = Overlay::start();
    let (_b, _backend) = Edge::offering(&overlay, "b");
    let (mut a, port) = importing(&overlay);
    answers(&a, port, &[("/", "b")]);
    a.gateway.signal("KILL");
    a.gateway.wait();
    let file = |name: &str| a.state.path().join(name);
    for cache in ["addresses.json", "known-edges.json", "epoch"] {
        assert!(file(cache).exists(), "{cache}");
        std::fs::write(file(cache), "{half").unwrap();
    }
    a.start_again();
    answers(&a, port, &[("/", "b")]);
    let file = |name: &str| a.state.path().join(name);
    for (cache, aside) in [
        ("addresses.json", "addresses.refused"),
        ("known-edges.json", "known-edges.refused"),
        ("epoch", "epoch.refused"),
    ] {
        assert_eq!(std::fs::read_to_string(file(aside)).unwrap(), "{half");
        let said = format!("and is now {}", file(aside).display());
        assert!(lines(&a.gateway, &said) == 1 && lines(&a.gateway, cache) >= 1, "{}", a.gateway.log());
    }
    a.gateway.signal("KILL");
    a.gateway.wait();
    let key = a.state.path().join("key.pem");
    std::fs::write(&key, "{half").unwrap();
    a.start_again();
    assert!(!a.gateway.wait().success());
    assert!(lines(&a.gateway, &format!("{}: ", key.display())) > 0 && key.exists(), "{}", a.gateway.log());
}

#[test]
fn addresses_for_other_edges_that_are_in_use_are_named() {
    let overlay = Overlay::start();
    let state = overlay.join("a", "importAddresses: 127.0.0.0/24\nexport: [{labels: {offered: 'yes'}}]\n");
    let services = service("ledger", "", 1);
    let a = Edge::start(state, &[("gateway.yaml", &gateway_yaml(free_port())), ("services.yaml", &services)]);
    let problem = "edge: importAddresses: 127.0.0.0/24 holds addresses that are in use: 127.0.0.1 of this machine, 127.0.0.1 of ledger.shop.example";
    a.gateway.eventually("the problem", || has_problem(&a.gateway, problem));
    let said = || lines(&a.gateway, "WARN importAddresses of edge.yaml: 127.0.0.0/24 holds");
    assert_eq!(said(), 1, "{}", a.gateway.log());

    // It is said again when it changes, and not when other services do.
    let write = |name: &str, text: &str| std::fs::write(a.folder.path().join(name), text).unwrap();
    write("more.yaml", &service("far", "offered: 'yes'", 1).replace("127.0.0.1", "192.0.2.1"));
    a.gateway.eventually("the other service", || status(a.state.path())["exports"][0]["host"] == "far.shop.example");
    write("most.yaml", &service("near", "", 1));
    a.gateway.eventually("the new problem", || {
        has_problem(&a.gateway, &format!("{problem}, 127.0.0.1 of near.shop.example"))
    });
    a.gateway.eventually("the line about it", || said() > 1);
    assert_eq!(said(), 2, "{}", a.gateway.log());
}

#[test]
fn a_hub_lists_its_pages_and_says_what_is_wrong() {
    let (metrics, nobody) = (free_port(), free_port());
    let hub = Hub::found_with(&[&format!("--admin=127.0.0.1:{metrics}"), &format!("--peer=127.0.0.1:{nobody}")]);
    let page = |path: &str| get(metrics, path).unwrap_or_default();
    hub.eventually("the list", || page("/").contains("  /problems[?format=json]: "));
    assert!(!page("/").contains("quitquitquit"), "{}", page("/"));
    let problem = format!("hub: 127.0.0.1:{nobody}: ");
    hub.eventually("the problem", || page("/problems").contains(&problem));
    assert!(page("/problems?format=json").contains(&problem));
    assert!(page("/stats?filter=configuration.problems").contains("configuration.problems: 1"));
}

#[test]
fn an_edge_that_died_is_shown_without_a_link() {
    let overlay = Overlay::start();
    let (b, _backend) = Edge::offering(&overlay, "b");
    let state_of_b = || status(overlay.hub.path())["edges"][0].clone();
    b.gateway.eventually("the edge", || state_of_b()["name"] == "b" && state_of_b()["is_unlinked"] == false);
    assert!(state_of_b()["heard_seconds_ago"].as_u64().is_some());
    b.gateway.signal("KILL");
    b.gateway.eventually("no link", || state_of_b()["name"] == "b" && state_of_b()["is_unlinked"] == true);
}

#[test]
fn a_hub_is_not_started_as_an_edge_nor_an_edge_as_a_hub() {
    let mut overlay = Overlay::start();
    let (edge, config) = (overlay.join("a", ""), folder(&[("gateway.yaml", &gateway_yaml(free_port()))]));
    overlay.kill();
    // One that starts nevertheless goes on for ever.
    let mut run = Command::new("timeout");
    run.args(["20", SELVEDGE, "run", "--admin-port=0", "--readiness-port=0", "--config"]).arg(config.path());
    let refused = complaint(&run.arg("--state").arg(overlay.hub.path()).output().unwrap());
    assert!(refused.contains("is the folder of hub h1, which `selvedge hub` runs with"), "{refused}");
    let mut hub = Command::new(SELVEDGE);
    let refused = complaint(&hub.args(["hub", "--listen=127.0.0.1:0", "--state"]).arg(edge.path()).output().unwrap());
    assert!(refused.contains("is the folder of spiffe://mesh.test/acme/edge/a"), "{refused}");
}
