//! One client connection: which protocol it speaks, and its end.

use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::Duration;

use xds_model::http::Codec;

use super::HttpChain;
use super::counters::ActiveConnection;
use super::downstream::ClientConnection;
use super::http1::{self, Connection, End};
use super::http2;
use crate::io::{BLOCK_SIZE, Stream};
use crate::worker::Worker;
use crate::worker::connection::Admission;
use crate::worker::timer::Alarm;

/// How long a client may take nothing of what is left when an answer is its last, or its stream's.
pub(super) const LAST_FLUSH: Duration = Duration::from_secs(30);

/// Whoever takes less in that time takes nothing, bytes: else what we keep for it could be kept for as long as it likes.
const LEAST_TAKEN: usize = 16 * 1024;

/// How long a closing connection waits for the client to close too, so that the answer is not lost to a reset (RFC 9112 9.6).
const LINGER: Duration = Duration::from_secs(1);

/// Serves a connection until it ends.
///
/// Not an `async fn`: that would keep room for its arguments beside what becomes of them, for as long as the connection is there.
pub fn serve(stream: Stream, admission: Rc<Admission<HttpChain>>, worker: Rc<Worker>) -> impl Future<Output = ()> {
    let alarm = Alarm::new(&worker.timers);
    let chain = admission.application();
    let agreed = admission.facts.tls.as_ref().and_then(|tls| tls.protocol.as_deref());
    let (is_http2, may_be_http2) = match (chain.model().codec, agreed) {
        (Codec::Http1, _) => (false, false),
        (Codec::Http2, _) => (true, true),
        (Codec::Auto, Some(protocol)) => (protocol == b"h2", false),
        (Codec::Auto, None) => (false, true),
    };
    let active = ActiveConnection::count(&chain.counters);
    let mut held = Some(Connection::new(stream, ClientConnection::new(admission, worker), alarm));
    async move {
        let end = if is_http2 { End::Http2 } else { http1::serve(&mut held, may_be_http2).await };
        if let Some(connection) = held.take() {
            // Boxed: its state would be part of every idle connection.
            Box::pin(finish(connection, end)).await;
        }
        drop(active);
    }
}

/// Serves what begins where HTTP/1 ends, and closes.
async fn finish(connection: Connection, end: End) {
    let Connection { mut stream, client, alarm, .. } = connection;
    match end {
        End::Over | End::Last => {}
        End::CutOff if stream.writer().has_unsent() => return stream.reset(),
        End::CutOff => {}
        End::Reset => return,
        End::Http2 => http2::serve(&mut stream, &client, &alarm).await,
    }
    // Who speaks TLS says a last word of its own.
    let may_send_more = end != End::Last || client.admission.facts.tls.is_some();
    close(&mut stream, &alarm, may_send_more).await;
}

/// Lets `sending` go on for as long as the client takes something of the bytes that are `left`; `None` if it does not.
pub(super) async fn while_taken<F: Future>(
    sending: Pin<&mut F>,
    left: impl Fn() -> usize,
    alarm: &Alarm,
) -> Option<F::Output> {
    while_taken_within(sending, left, alarm, LAST_FLUSH).await
}

async fn while_taken_within<F: Future>(
    mut sending: Pin<&mut F>,
    left: impl Fn() -> usize,
    alarm: &Alarm,
    patience: Duration,
) -> Option<F::Output> {
    let mut before = left();
    loop {
        alarm.set_after(Some(patience));
        if let Some(sent) = alarm.limit(sending.as_mut()).await {
            return Some(sent);
        }
        let now = left();
        if now + LEAST_TAKEN > before {
            return None;
        }
        before = now;
    }
}

/// Sends what is left and closes, without cutting off an answer that the client has not read yet.
async fn close(stream: &mut Stream, alarm: &Alarm, may_send_more: bool) {
    if may_send_more {
        stream.finish();
    }
    let writer = stream.writer();
    let taken = while_taken(pin!(writer.flushed()), || writer.backlog(), alarm).await.is_some_and(|sent| sent.is_ok());
    // Where nothing comes any more nothing is answered with a reset: the kernel sends what it has, and the end after it.
    if !taken || !may_send_more {
        return;
    }
    alarm.set_after(Some(LINGER));
    let drain = async {
        while stream.fill(BLOCK_SIZE).await.is_ok_and(|count| count > 0) {
            stream.input_mut().consume(usize::MAX);
        }
    };
    let _ = alarm.limit(drain).await;
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Arc;

    use tokio::io::AsyncReadExt as _;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::task::{LocalSet, spawn_local};

    use super::*;
    use crate::io::Flusher;
    use crate::worker::Core;

    /// More than the system takes for a client that does not read.
    const ANSWER: usize = 32 << 20;
    const PATIENCE: Duration = Duration::from_millis(500);

    /// Whether an answer is taken by a client that does this.
    async fn is_taken_by<C: Future<Output = ()> + 'static>(client: impl FnOnce(TcpStream) -> C) -> bool {
        let core = Core::new(Arc::default()).unwrap();
        spawn_local(Flusher::run(core.io.clone()));
        spawn_local(core.timers.clone().run());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let stream = Stream::new(listener.accept().await.unwrap().0, &core.io).unwrap();
        let client = spawn_local(client(peer));
        stream.put(|out| out.resize(ANSWER, b'x'));
        let (writer, alarm) = (stream.writer(), Alarm::new(&core.timers));
        let taken = while_taken_within(pin!(writer.flushed()), || writer.backlog(), &alarm, PATIENCE).await;
        client.abort();
        taken.is_some_and(|sent| sent.is_ok())
    }

    #[tokio::test]
    async fn a_client_that_goes_on_reading_gets_all_of_it_and_one_that_does_not_is_given_up() {
        let slowly = async |mut peer: TcpStream| {
            let mut piece = vec![0; 64 << 10];
            while peer.read(&mut piece).await.is_ok_and(|count| count > 0) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let never = async |_peer: TcpStream| std::future::pending().await;
        let clients = async { (is_taken_by(slowly).await, is_taken_by(never).await) };
        assert_eq!(LocalSet::new().run_until(clients).await, (true, false));
    }
}
