//! What `edge.yaml` says of UDP services of other edges.

use std::net::SocketAddr;

use serde::Deserialize;

/// Each is a socket of each worker.
const MOST: usize = 64;

/// A UDP service of other edges, and where its clients find it here.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct DatagramImport {
    /// The name under which it is offered.
    pub host: String,
    /// Its port there.
    pub port: u16,
    /// Address and port of this machine at which it is served.
    pub listen: SocketAddr,
    /// Names of edges it is taken from; all of the tenant that have it if there are none.
    #[serde(default)]
    pub edges: Vec<String>,
}

impl DatagramImport {
    /// Whether it may be had of an edge that offers the host.
    pub(in crate::edge) fn takes(&self, host: &str, edge: &str) -> bool {
        self.host == host && (self.edges.is_empty() || self.edges.iter().any(|name| name == edge))
    }
}

/// What is wrong with them, if anything.
pub(in crate::edge) fn check(imports: &[DatagramImport]) -> Result<(), String> {
    if imports.len() > MOST {
        return Err(format!("datagrams: there may be {MOST}"));
    }
    for (at, import) in imports.iter().enumerate() {
        let DatagramImport { host, port, listen, edges: _ } = import;
        if host.is_empty() || host.contains('*') {
            return Err(format!("datagrams[{at}].host: {host:?} is not the name of one service"));
        }
        if *port == 0 || listen.port() == 0 {
            return Err(format!("datagrams[{at}]: a port is 0"));
        }
        if imports[..at].iter().any(|other| other.listen == *listen) {
            return Err(format!("datagrams[{at}].listen: {listen} is there already"));
        }
    }
    Ok(())
}
