//! Strangers who hold up a hub: who is let in gets through.

use std::net::SocketAddr;
use std::time::Duration;

use overlay::enroll::join;
use overlay::identity::LINK_PROTOCOL;
use rcgen::KeyPair;
use rustls::ClientConnection;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::sleep;

use crate::kit::{Signer, edge};
use crate::site::{Site, eventually};

/// What each source may have under way.
const OF_SOURCE: usize = 64;

/// Says hello to a hub and nothing else, again as soon as it is closed.
async fn stall(from: [u8; 4], hub: SocketAddr, hello: Vec<u8>) {
    loop {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((from, 0))).unwrap();
        if let Ok(mut stream) = socket.connect(hub).await
            && stream.write_all(&hello).await.is_ok()
        {
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn who_joins_gets_through_although_strangers_stall_all_handshakes() {
    let test = async {
        let site = Site::found().await;
        let token = site.token(edge("a")).await;
        let config = Signer::new().identity(&edge("m")).borrow().client(LINK_PROTOCOL).unwrap();
        let name = ServerName::IpAddress(site.hub.address().ip().into());
        let mut hello = Vec::new();
        ClientConnection::new(config, name).unwrap().write_tls(&mut hello).unwrap();
        for host in 11..16 {
            for _ in 0..OF_SOURCE {
                spawn_local(stall([127, 0, 0, host], site.hub.address(), hello.clone()));
            }
        }
        let counters = site.hub.shards().counters().remove(0);
        // Each place was taken from somebody.
        eventually("the attack", async || counters.handshakes_closed.get() > 4 * OF_SOURCE as u64).await;
        join(&token, &KeyPair::generate().unwrap().serialize_pem()).await.unwrap();
    };
    LocalSet::new().run_until(test).await;
}
