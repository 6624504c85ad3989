//! One client connection: which protocol it speaks, and its end.

use std::rc::Rc;
use std::time::Duration;

use xds_model::http::Codec;

use super::HttpChain;
use super::downstream::ClientConnection;
use super::{http1, http2};
use crate::io::{BLOCK_SIZE, Stream};
use crate::worker::Worker;
use crate::worker::connection::Admission;
use crate::worker::timer::Alarm;

/// How long a client may take to read what is left when the connection closes.
pub(super) const LAST_FLUSH: Duration = Duration::from_secs(30);

/// How long a closing connection waits for the client to close too, so that the answer is not lost to a reset (RFC 9112 9.6).
const LINGER: Duration = Duration::from_secs(1);

/// Serves a connection until it ends.
pub async fn serve(mut stream: Stream, admission: Rc<Admission<HttpChain>>, worker: Rc<Worker>) {
    let counters = admission.application().counters.clone();
    counters.downstream_cx_total.increment();
    let _active = counters.downstream_cx_active.hold();
    let alarm = Alarm::new(&worker.timers);
    let agreed = admission.facts.tls.as_ref().and_then(|tls| tls.protocol.clone());
    let client = ClientConnection::new(admission, worker);
    let is_http2 = match client.admission.application().model().codec {
        Codec::Http1 => Some(false),
        Codec::Http2 => Some(true),
        Codec::Auto => agreed.map(|protocol| *protocol == *b"h2"),
    };
    let is_http2 = match is_http2 {
        Some(true) => true,
        decided => http1::serve(&mut stream, &client, &alarm, decided.is_none()).await == http1::End::Http2,
    };
    if is_http2 {
        // Boxed: its state would be part of every HTTP/1 connection.
        Box::pin(http2::serve(&mut stream, &client, &alarm)).await;
    }
    close(stream, &alarm).await;
}

/// Sends what is left and closes, without cutting off an answer that the client has not read yet.
async fn close(mut stream: Stream, alarm: &Alarm) {
    stream.finish();
    alarm.set_after(Some(LAST_FLUSH));
    if !matches!(alarm.limit(stream.flushed()).await, Some(Ok(()))) {
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
