//! What the log says of endpoints that misbehave.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use super::gateway::{Gateway, folder, free_port, get};
use super::{gateway_yaml, routes_yaml};

/// SETTINGS, and GOAWAY with INTERNAL_ERROR.
const COMPLAINT: [u8; 26] = [
    0, 0, 0, 4, 0, 0, 0, 0, 0, //
    0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2,
];

/// What no connection begins with.
const NO_SETTINGS: [u8; 9] = [0xff; 9];

/// An endpoint that says the one and the other to those who connect, in turn; its port.
fn misbehaving() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for said in [&COMPLAINT[..], &NO_SETTINGS[..]].iter().cycle() {
            let (mut socket, _) = listener.accept().unwrap();
            // Whoever has heard enough closes.
            let _ = socket.write_all(said);
            let _ = socket.read_to_end(&mut Vec::new());
        }
    });
    port
}

#[test]
fn the_log_names_endpoints_that_break_http2_or_complain() {
    let (endpoint, port) = (misbehaving(), free_port());
    let service = format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: web, namespace: edge}}\nspec:\n  hosts: [web.internal]\n  \
         location: MESH_INTERNAL\n  resolution: STATIC\n  ports: [{{number: 80, name: http2, protocol: HTTP2}}]\n  endpoints:\n    - {{address: 127.0.0.1, \
         ports: {{http2: {endpoint}}}}}\n"
    );
    let routes = routes_yaml("v1").replace("subset: v1, ", "");
    let folder =
        folder(&[("gateway.yaml", &gateway_yaml(port)), ("routes.yaml", &routes), ("services.yaml", &service)]);
    let gateway = Gateway::run(folder.path(), &[]);
    let logs = |words: &[&str]| {
        gateway
            .log()
            .lines()
            .any(|line| line.contains(&format!("127.0.0.1:{endpoint}")) && words.iter().all(|word| line.contains(word)))
    };
    gateway.eventually("both lines", || {
        let _ = get(port, "/");
        logs(&["INFO", "GOAWAY", "INTERNAL_ERROR"])
            && logs(&["WARN", "broke the protocol", "the first frame is not SETTINGS"])
    });
}
