//! etcd as a process, with TLS and certificates of its clients.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use overlay::enroll::EtcdOptions;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

/// Killed when dropped.
pub(crate) struct Etcd {
    directory: TempDir,
    ports: [u16; 2],
    process: Option<Child>,
}

impl Etcd {
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        write_certificates(directory.path());
        let sockets = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let ports = sockets.map(|socket| socket.local_addr().unwrap().port());
        let mut etcd = Self { directory, ports, process: None };
        etcd.start_again();
        etcd
    }

    /// With what it has written.
    pub(crate) fn start_again(&mut self) {
        let program =
            std::env::var_os("ETCD").unwrap_or_else(|| panic!("ETCD must name etcd: use conformance/run etcd"));
        let [clients, peers] = self.ports;
        let (clients, peers) = (format!("https://127.0.0.1:{clients}"), format!("http://127.0.0.1:{peers}"));
        let file = |name: &str| self.directory.path().join(name).display().to_string();
        let mut command = Command::new(program);
        command.args(["--log-level=error", "--client-cert-auth"]).stdout(Stdio::null());
        for (flag, value) in [
            ("data-dir", file("data")),
            ("listen-client-urls", clients.clone()),
            ("advertise-client-urls", clients),
            ("listen-peer-urls", peers.clone()),
            ("initial-advertise-peer-urls", peers.clone()),
            ("initial-cluster", format!("default={peers}")),
            ("cert-file", file("server.pem")),
            ("key-file", file("server-key.pem")),
            ("trusted-ca-file", file("ca.pem")),
        ] {
            command.arg(format!("--{flag}={value}"));
        }
        self.process = Some(command.spawn().unwrap());
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// For a client: one member that is away, and this one.
    pub(crate) fn options(&self) -> EtcdOptions {
        let file = |name: &str| Some(self.directory.path().join(name));
        let endpoints = vec!["https://127.0.0.1:9".to_owned(), self.endpoint()];
        EtcdOptions { endpoints, cacert: file("ca.pem"), cert: file("client.pem"), key: file("client-key.pem") }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("https://127.0.0.1:{}", self.ports[0])
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.kill();
    }
}

fn write_certificates(directory: &Path) {
    let write = |name: &str, text: String| std::fs::write(PathBuf::from(directory).join(name), text).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    write("ca.pem", params.self_signed(&key).unwrap().pem());
    let issuer = Issuer::new(params, key);
    for name in ["server", "client"] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        write(&format!("{name}.pem"), params.signed_by(&key, &issuer).unwrap().pem());
        write(&format!("{name}-key.pem"), key.serialize_pem());
    }
}
