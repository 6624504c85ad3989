package gate

import (
	"selvedge.dev/conformance/bench/load"
	"selvedge.dev/conformance/bench/peer"
)

// pair is what the client speaks and what the backend speaks.
type pair struct {
	name, title string
	target      load.Target
	// connections and streams on each are used at once where system calls are counted; instructions and
	// allocations are counted with one request at a time, because that repeats.
	connections, streams int
}

const (
	kilobyte = 1 << 10
	// grpcBody is a message of 100 bytes behind its flag and length.
	grpcBody = 105
)

// pairs in the order in which they are counted.
func pairs() []pair {
	tls := load.TLSConfig()
	return []pair{
		{"h1-h1", "HTTP/1 to HTTP/1, 1 KB", load.Target{Port: peer.HTTP, Path: "/1k"}, 64, 1},
		{"h1-h2", "HTTP/1 to HTTP/2, 1 KB", load.Target{Port: peer.HTTP, Path: "/http2/1k"}, 64, 1},
		{"h2-h1", "HTTP/2 to HTTP/1, 1 KB", load.Target{Port: peer.HTTP2, Path: "/1k", HTTP2: true, Body: kilobyte}, 8, 16},
		{"grpc", "gRPC, HTTP/2 to HTTP/2, 100 bytes", load.Target{Port: peer.HTTP2, Path: "/bench.Responder/Unary", HTTP2: true, GRPC: true, Body: grpcBody}, 8, 16},
		{"tls-h1", "HTTP/1 over TLS to HTTP/1, 1 KB", load.Target{Port: peer.HTTPS, Path: "/1k", TLS: tls}, 64, 1},
		{"tls-h2", "HTTP/2 over TLS to HTTP/1, 1 KB", load.Target{Port: peer.HTTPS, Path: "/1k", TLS: tls, HTTP2: true, Body: kilobyte}, 8, 16},
	}
}
