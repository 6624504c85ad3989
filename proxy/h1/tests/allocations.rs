//! Nothing on the way of a message allocates once the buffers have grown.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use selvedge_h1::{
    BodyDecoder, BodyLength, Expectation, Header, HeaderSet, Limits, PathOptions, RequestHead, ResponseHead, Version,
    chunked, write_request, write_response,
};

const REQUEST: &[u8] = b"GET /productpage?u=normal HTTP/1.1\r\nHost: bookinfo.example.com\r\nUser-Agent: Mozilla/5.0 (X11; \
Linux x86_64; rv:128.0)\r\nAccept: text/html,application/xhtml+xml,*/*;q=0.8\r\nAccept-Encoding: gzip, deflate, br\r\n\
Accept-Language: en-US,en;q=0.5\r\nCookie: session=0123456789abcdef\r\nX-Forwarded-For: 10.1.2.3\r\nConnection: keep-alive\
\r\n\r\n";

const RESPONSE: &[u8] =
    b"HTTP/1.1 200 OK\r\nServer: istio-envoy\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: \
text/html; charset=utf-8\r\nContent-Length: 1024\r\nCache-Control: no-cache\r\nVary: Accept-Encoding\r\nETag: \
\"33a64df551425fcc55e4d42a148795d9f25f89d4\"\r\nX-Powered-By: express\r\n\r\n";

const STRIPPED: HeaderSet = HeaderSet::of(&[
    Header::XEnvoyInternal,
    Header::XEnvoyExternalAddress,
    Header::XEnvoyOriginalPath,
    Header::XEnvoyRetryOn,
    Header::XForwardedClientCert,
]);

const NORMALIZE: PathOptions =
    PathOptions { normalize: true, merge_slashes: false, escaped_slashes: selvedge_h1::EscapedSlashes::Keep };

/// What a gateway keeps for one connection.
#[derive(Default)]
struct Connection {
    request: RequestHead,
    response: ResponseHead,
    upstream: Vec<u8>,
    downstream: Vec<u8>,
}

impl Connection {
    fn round_trip(&mut self, request: &[u8], response: &[u8]) {
        self.clear();
        self.read_request(request);
        self.change_request();
        self.send_request();
        self.read_response(response);
        self.change_response();
        self.send_response();
    }

    #[inline(never)]
    fn clear(&mut self) {
        self.request.clear();
        self.response.clear();
        self.upstream.clear();
        self.downstream.clear();
    }

    #[inline(never)]
    fn read_request(&mut self, input: &[u8]) {
        let consumed = self.request.parse(input, &Limits::DEFAULT);
        assert!(matches!(consumed, Ok(Some(_))), "{consumed:?}");
    }

    #[inline(never)]
    fn change_request(&mut self) {
        self.request.normalize_path(&NORMALIZE).unwrap();
        let fields = self.request.fields_mut();
        fields.remove_all(STRIPPED);
        fields.extend_list(Header::XForwardedFor, b",", b"192.0.2.1").unwrap();
        fields.set_known(Header::XForwardedProto, b"http").unwrap();
        fields.set_known(Header::XRequestId, b"01234567-89ab-4def-8123-456789abcdef").unwrap();
    }

    #[inline(never)]
    fn send_request(&mut self) {
        write_request(&self.request, false, &mut self.upstream);
    }

    #[inline(never)]
    fn read_response(&mut self, input: &[u8]) {
        let expectation = Expectation { method: self.request.method, upgrade: false };
        let consumed = self.response.parse(input, expectation, &Limits::DEFAULT);
        assert!(matches!(consumed, Ok(Some(_))), "{consumed:?}");
    }

    #[inline(never)]
    fn change_response(&mut self) {
        let fields = self.response.fields_mut();
        fields.set_known(Header::Server, b"istio-envoy").unwrap();
        fields.append_value(Header::XEnvoyUpstreamServiceTime, |value| value.put_number(3)).unwrap();
    }

    #[inline(never)]
    fn send_response(&mut self) {
        write_response(&self.response, Version::Http11, false, &mut self.downstream);
    }
}

#[test]
fn a_thousand_round_trips_allocate_nothing() {
    let mut connection = Connection::default();
    connection.round_trip(REQUEST, RESPONSE);
    let counted = allocation_counter::measure(|| {
        for _ in 0..1000 {
            connection.round_trip(REQUEST, RESPONSE);
        }
    });
    assert_eq!(counted.count_total, 0, "{counted:?}");
    assert!(connection.upstream.ends_with(b"x-request-id: 01234567-89ab-4def-8123-456789abcdef\r\n\r\n"));
    assert!(connection.downstream.ends_with(b"content-length: 1024\r\n\r\n"));
}

#[test]
fn the_counter_counts() {
    let counted = allocation_counter::measure(|| Connection::default().round_trip(REQUEST, RESPONSE));
    assert!(counted.count_total > 0, "{counted:?}");
}

#[test]
fn rewriting_unusual_heads_allocates_nothing() {
    let request =
        b"POST /a/../b%41/%2e\\x HTTP/1.1\r\nhost:  a  \r\nTE: gzip, trailers\r\nx-a:1\r\nConnection: x-a, TE\r\n\
        Transfer-Encoding: chunked\r\n\r\n";
    let response = b"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\nX-Padded:   yes  \r\n\r\n";
    let mut connection = Connection::default();
    let mut once = || {
        connection.round_trip(request, response);
        connection.request.set_path(b"/rewritten").unwrap();
        connection.request.set_authority(b"other:80").unwrap();
        connection.request.append_path_as(Header::XEnvoyOriginalPath).unwrap();
    };
    once();
    let counted = allocation_counter::measure(|| (0..100).for_each(|_| once()));
    assert_eq!(counted.count_total, 0, "{counted:?}");
}

#[test]
fn bodies_allocate_nothing() {
    let mut encoded = Vec::with_capacity(64 << 10);
    let mut once = || {
        encoded.clear();
        for size in [1, 100, 5000] {
            chunked::write_chunk(&[b'x'; 5000][..size], &mut encoded);
        }
        encoded.extend_from_slice(chunked::LAST_CHUNK);
        let mut decoder = BodyDecoder::new(BodyLength::Chunked);
        let (mut at, mut data) = (0, 0);
        while !decoder.is_complete() {
            let decoded = decoder.decode(&encoded[at..]).unwrap();
            at += decoded.consumed;
            data += decoded.data.len();
        }
        assert_eq!((at, data), (encoded.len(), 5101));
    };
    let counted = allocation_counter::measure(|| (0..100).for_each(|_| once()));
    assert_eq!(counted.count_total, 0, "{counted:?}");
}
