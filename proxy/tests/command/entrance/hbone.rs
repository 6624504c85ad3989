//! HBONE: tunnels of HTTP/2 CONNECT, as ambient clients open them, with the crate `h2` as the client.

use std::future::poll_fn;
use std::io::Write as _;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http2_oracle::client::{self, SendRequest};
use http2_oracle::{RecvStream, SendStream};
use tokio::task::JoinHandle;

use super::{Site, WEB};

/// A client's connection.
struct Tunnels {
    requests: SendRequest<Bytes>,
    /// Ends with the connection.
    connection: JoinHandle<Result<(), http2_oracle::Error>>,
}

/// An open tunnel.
struct Tunnel {
    sends: SendStream<Bytes>,
    receives: RecvStream,
}

impl Tunnels {
    async fn open(site: &Site) -> Self {
        let address = std::net::SocketAddr::new(site.address.parse().unwrap(), 15008);
        let web = site.mesh.workload(&[WEB]);
        let client = site.mesh.connect(address, Some(&web), None, &["h2"]).await.unwrap();
        assert_eq!(client.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        // What is not read of some tunnels must not fill the window that all share.
        let mut builder = client::Builder::new();
        builder.initial_connection_window_size(16 << 20);
        let (requests, connection) = builder.handshake(client).await.unwrap();
        Self { requests, connection: tokio::spawn(connection) }
    }

    async fn ask(&mut self, method: Method, authority: &str) -> (StatusCode, Tunnel) {
        let uri = if method == Method::CONNECT { authority.to_owned() } else { format!("https://{authority}/") };
        let request = Request::builder().method(method).uri(uri).body(()).unwrap();
        poll_fn(|context| self.requests.poll_ready(context)).await.unwrap();
        let (answer, sends) = self.requests.send_request(request, false).unwrap();
        let answer = answer.await.unwrap();
        (answer.status(), Tunnel { sends, receives: answer.into_body() })
    }

    async fn connect(&mut self, site: &Site) -> Tunnel {
        let (status, tunnel) = self.ask(Method::CONNECT, &site.target().to_string()).await;
        assert_eq!(status, StatusCode::OK);
        tunnel
    }
}

impl Tunnel {
    /// Sends as much as the other side has room for, and waits for room for the rest.
    async fn say(&mut self, mut data: Bytes) {
        while !data.is_empty() {
            self.sends.reserve_capacity(data.len());
            let room = match self.sends.capacity() {
                0 => poll_fn(|context| self.sends.poll_capacity(context)).await.unwrap().unwrap(),
                room => room,
            };
            self.sends.send_data(data.split_to(room.min(data.len())), false).unwrap();
        }
    }

    /// The next bytes, so many of them.
    async fn hear(&mut self, count: usize) -> Vec<u8> {
        let mut heard = Vec::new();
        while heard.len() < count {
            let piece = self.receives.data().await.unwrap().unwrap();
            self.receives.flow_control().release_capacity(piece.len()).unwrap();
            heard.extend_from_slice(&piece);
        }
        heard
    }

    async fn echoes(&mut self, word: &str) {
        self.say(Bytes::copy_from_slice(word.as_bytes())).await;
        assert_eq!(self.hear(word.len()).await, word.as_bytes());
    }

    /// What comes until the end.
    async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        while let Some(piece) = self.receives.data().await {
            let piece = piece.unwrap();
            self.receives.flow_control().release_capacity(piece.len()).unwrap();
            rest.extend_from_slice(&piece);
        }
        rest
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tunnels_lead_where_they_say_and_nowhere_else() {
    let site = Site::start();
    let mut tunnels = Tunnels::open(&site).await;
    let mut tunnel = tunnels.connect(&site).await;
    tunnel.echoes("question").await;
    tunnel.sends.send_data(Bytes::new(), true).unwrap();
    assert_eq!(tunnel.rest().await, b"end");

    let port = site.target().port();
    let elsewhere = [
        format!("{}:{}", site.address, port + 1),
        format!("{}:15008", site.address),
        format!("127.0.0.1:{port}"),
        "127.0.0.1:22".to_owned(),
        "echo.shop.example:80".to_owned(),
        site.address.clone(),
    ];
    for authority in elsewhere {
        assert_eq!(tunnels.ask(Method::CONNECT, &authority).await.0, StatusCode::NOT_FOUND, "{authority}");
    }
    let (status, _) = tunnels.ask(Method::GET, &site.target().to_string()).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "no tunnel");
    assert_eq!(site.b.count("overlay.incoming_total"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_nobody_answers_is_503_and_a_caller_that_is_not_believed_too() {
    let site = Site::with("", "callers: []\n");
    let mut tunnels = Tunnels::open(&site).await;
    let authority = site.target().to_string();
    assert_eq!(tunnels.ask(Method::CONNECT, &authority).await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!((site.a.count("overlay.outgoing_forbidden"), site.b.count("overlay.incoming_forbidden")), (1, 1));

    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let site = Site::of(gone, "", "");
    let mut tunnels = Tunnels::open(&site).await;
    let authority = site.target().to_string();
    assert_eq!(tunnels.ask(Method::CONNECT, &authority).await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(site.b.count("overlay.incoming_unreachable"), 1);
}

/// Says something and ends its half, and then hears out who it talks with.
fn hears_out() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Arc::new(AtomicUsize::new(0));
    let count = heard.clone();
    thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            socket.write_all(b"go on").unwrap();
            socket.shutdown(std::net::Shutdown::Write).unwrap();
            count.fetch_add(std::io::copy(&mut socket, &mut std::io::sink()).unwrap() as usize, Ordering::SeqCst);
        }
    });
    (port, heard)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_of_a_tunnel_goes_on_without_the_other() {
    const LENGTH: usize = 300_000;
    let (port, heard) = hears_out();
    let site = Site::of(port, "", "");
    let mut tunnels = Tunnels::open(&site).await;
    let mut tunnel = tunnels.connect(&site).await;
    assert_eq!(tunnel.rest().await, b"go on");
    tunnel.say(vec![b'x'; LENGTH].into()).await;
    tunnel.sends.send_data(Bytes::new(), true).unwrap();
    site.b.gateway.eventually("the rest", || heard.load(Ordering::SeqCst) == LENGTH);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tunnels_share_a_connection_and_those_that_stand_still_hold_up_nobody() {
    const SLOW: usize = 8;
    let site = Site::start();
    let mut tunnels = Tunnels::open(&site).await;
    let mut others = Vec::new();
    for _ in 0..60 {
        others.push(tunnels.connect(&site).await);
    }
    // Nobody reads what comes back to these.
    let sent: Arc<AtomicUsize> = Arc::default();
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        let (mut tunnel, sent) = (tunnels.connect(&site).await, sent.clone());
        slow.push(tokio::spawn(async move {
            loop {
                tunnel.say(vec![b'x'; 16 * 1024].into()).await;
                sent.fetch_add(16 * 1024, Ordering::SeqCst);
            }
        }));
    }
    let (mut seen, mut quiet) = (0, 0);
    // Until nothing more of them goes out, however often the others do.
    while quiet < 5 {
        for (number, tunnel) in others.iter_mut().enumerate() {
            tunnel.echoes(&format!("word {number}")).await;
        }
        match sent.load(Ordering::SeqCst) {
            now if now == seen && now > 0 => quiet += 1,
            now => (seen, quiet) = (now, 0),
        }
    }
    // In windows, buffers and sockets on the way there and back.
    println!("{SLOW} tunnels stand still with {seen} bytes on the way");
    assert!(seen < SLOW * (16 << 20));
    slow.iter().for_each(JoinHandle::abort);
    assert_eq!(site.a.count("overlay.outgoing_total"), 68);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_end_no_more_are_opened_and_those_that_are_open_go_on() {
    let mut site = Site::start();
    let mut tunnels = Tunnels::open(&site).await;
    let mut tunnel = tunnels.connect(&site).await;
    site.a.gateway.terminate();
    // GOAWAY makes the client refuse by itself.
    while poll_fn(|context| tunnels.requests.poll_ready(context)).await.is_ok() {
        tunnel.echoes("still here").await;
    }
    tunnel.echoes("and here").await;
    tunnel.sends.send_data(Bytes::new(), true).unwrap();
    assert_eq!(tunnel.rest().await, b"end");
    drop(tunnel);
    tunnels.connection.await.unwrap().unwrap();
    assert!(site.a.gateway.wait().success());
}
