//! Edges that go by the book, and their hub, while others do not.

use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::forger::Forger;
use crate::edges::{Edge, service, word};
use crate::gateway::{Backend, free_port, get};
use crate::gateway_yaml;
use crate::hub::{Hub, complaint, join};

pub(super) const IMPORTS: &str = "import: [{hosts: ['*']}]\n";

/// A hub; edge `b`, which offers a service; edge `a`, whose gateway leads to it.
pub(super) struct Site {
    pub(super) hub: Hub,
    admin: u16,
    b: Edge,
    backend: Backend,
    a: Edge,
    port: u16,
    folders: TempDir,
}

impl Site {
    pub(super) fn start(arguments: &[&str]) -> Self {
        let (admin, port) = (free_port(), free_port());
        let admin_flag = format!("--admin=127.0.0.1:{admin}");
        let founding = [&["--name=h1", "--overlay=mesh.example", &admin_flag], arguments].concat();
        let hub = Hub::start(tempfile::tempdir().unwrap(), free_port(), &founding);
        let (folders, backend) = (tempfile::tempdir().unwrap(), Backend::start("b"));
        let gateway = gateway_yaml(free_port());
        let services = service("ratings", "offered: 'yes'", backend.port);
        let state = joined(&hub, &["--tenant=acme", "--edge=b"], "export: [{labels: {offered: 'yes'}}]\n");
        let b = Edge::start(state, &[("gateway.yaml", &gateway), ("services.yaml", &services)]);
        let routes = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: web, namespace: edge}\nspec:\n  hosts: ['*']\n  \
                      gateways: [web]\n  http: [{route: [{destination: {host: ratings.shop.example}}]}]\n";
        let state = joined(&hub, &["--tenant=acme", "--edge=a"], IMPORTS);
        let a = Edge::start(state, &[("gateway.yaml", &gateway_yaml(port)), ("routes.yaml", routes)]);
        let site = Self { hub, admin, b, backend, a, port, folders };
        site.a.gateway.eventually("an answer", || site.is_served());
        site
    }

    pub(super) fn is_served(&self) -> bool {
        word(self.port, "/").as_deref() == Some("b")
    }

    /// Joins, with a folder of its own.
    pub(super) fn forger(&self, name: &str, who: &[&str]) -> Forger {
        let state = self.state(name);
        let token = token(&self.hub, who);
        let joined = join(&token, &state);
        assert!(joined.status.success(), "{}", complaint(&joined));
        Forger::of(&state)
    }

    fn state(&self, name: &str) -> PathBuf {
        self.folders.path().join(name)
    }

    /// Edge `b` announces something else.
    pub(super) fn change(&self, host: &str) {
        let services = format!(
            "{}---\n{}",
            service("ratings", "offered: 'yes'", self.backend.port),
            service(host, "offered: 'yes'", self.backend.port)
        );
        std::fs::write(self.b.folder.path().join("services.yaml"), services).unwrap();
    }

    /// What edge `a` takes from others.
    pub(super) fn imports(&self) -> String {
        std::fs::read_to_string(self.a.folder.path().join("selvedge-imports.yaml")).unwrap()
    }

    pub(super) fn count(&self, counter: &str) -> u64 {
        let page = get(self.admin, &format!("/stats?filter=overlay.{counter}")).unwrap_or_default();
        page.rsplit_once(": ").and_then(|(_, value)| value.trim().parse().ok()).unwrap_or_default()
    }

    /// What the hub knows of edges, without those that announce nothing.
    pub(super) fn known(&self) -> Value {
        self.hub.status()["edges"].as_array().map(|edges| edges.iter().map(services).collect()).unwrap_or_default()
    }
}

fn services(edge: &Value) -> Value {
    json!({"name": edge["name"], "services": edge["services"]})
}

fn token(hub: &Hub, who: &[&str]) -> String {
    let made = hub.command(&["token", "create"], who);
    assert!(made.status.success(), "{}", complaint(&made));
    String::from_utf8(made.stdout).unwrap()
}

pub(super) fn joined(hub: &Hub, who: &[&str], config: &str) -> TempDir {
    let state = tempfile::tempdir().unwrap();
    let joined = join(&token(hub, who), state.path());
    assert!(joined.status.success(), "{}", complaint(&joined));
    std::fs::write(state.path().join("edge.yaml"), config).unwrap();
    state
}
