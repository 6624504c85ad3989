package measure

import (
	"selvedge.dev/conformance/bench/backend"
	"selvedge.dev/conformance/bench/peer"
)

var (
	one  = []*Layout{OneCore}
	two  = []*Layout{TwoCores}
	both = []*Layout{OneCore, TwoCores}
	all  = []*Layout{OneCore, TwoCores, TwoWorkers}
)

const (
	kilobyte = 1 << 10
	// grpcBody is a message of 100 bytes behind its flag and length.
	grpcBody = 105
	grpcPath = "/bench.Responder/Unary"
)

// Rows are all rows in the order of the report.
var Rows = []*Row{
	{Name: "h1-1k-64", Title: "HTTP/1, 1 KB, 64 connections", Layouts: all, Unit: perRequest,
		Goal: "<= 0.85x nginx, <= 0.75x with equal header edits, <= 0.2x Envoy, Istio's", generator: wrk, port: peer.HTTP, path: "/1k", connections: 64},
	{Name: "h1-1k-512", Title: "HTTP/1, 1 KB, 512 connections", Layouts: one, Unit: perRequest,
		Goal: "<= 0.75x nginx", generator: wrk, port: peer.HTTP, path: "/1k", connections: 512},
	{Name: "h1-1k-1", Title: "HTTP/1, 1 KB, 1 connection", Layouts: one, Unit: perRequest,
		generator: wrk, port: peer.HTTP, path: "/1k", connections: 1},
	{Name: "h1-empty", Title: "HTTP/1, empty body, 64 connections", Layouts: one, Unit: perRequest,
		generator: wrk, port: peer.HTTP, path: "/0", connections: 64},
	{Name: "h1-64k", Title: "HTTP/1, 64 KB, 64 connections", Layouts: one, Unit: perRequest,
		generator: wrk, port: peer.HTTP, path: "/64k", connections: 64},
	{Name: "h1-h2", Title: "HTTP/1 to HTTP/2, 1 KB, 64 connections", Layouts: one, Unit: perRequest,
		generator: wrk, port: peer.HTTP, path: "/http2/1k", connections: 64},
	{Name: "h1-mutual", Title: "HTTP/1 to a backend over mutual TLS, 1 KB, 64 connections", Layouts: one, Unit: perRequest,
		Goal: "<= 0.9x nginx", generator: wrk, port: peer.HTTP, path: "/secure/1k", connections: 64, secureBackend: true},
	{Name: "tls-1k", Title: "HTTP/1 over TLS, 1 KB, 64 connections", Layouts: both, Unit: perRequest,
		Goal: "<= 0.9x nginx", generator: wrk, port: peer.HTTPS, path: "/1k", tls: true, connections: 64},
	{Name: "tls-64k", Title: "HTTP/1 over TLS, 64 KB, 64 connections", Layouts: one, Unit: perRequest,
		generator: wrk, port: peer.HTTPS, path: "/64k", tls: true, connections: 64},
	{Name: "h2-h1", Title: "HTTP/2 to HTTP/1, 1 KB, 8 connections of 16 streams", Layouts: all, Unit: perRequest,
		Goal: "<= 1.0x HAProxy", generator: h2load, port: peer.HTTP2, path: "/1k", connections: 8, streams: 16, body: kilobyte},
	{Name: "h2-tls-h1", Title: "HTTP/2 over TLS to HTTP/1, 1 KB, 8 connections of 16 streams", Layouts: one, Unit: perRequest,
		generator: h2load, port: peer.HTTPS, path: "/1k", tls: true, connections: 8, streams: 16, body: kilobyte},
	{Name: "grpc", Title: "gRPC, HTTP/2 to HTTP/2, 100 bytes, 8 connections of 16 streams", Layouts: all, Unit: perRequest,
		Goal: "<= 1.25x HAProxy", generator: h2load, port: peer.HTTP2, path: grpcPath, connections: 8, streams: 16, body: grpcBody, grpc: true},
	{Name: "grpc-tls", Title: "gRPC over TLS to HTTP/2, 100 bytes, 8 connections of 16 streams", Layouts: one, Unit: perRequest,
		generator: h2load, port: peer.HTTPS, path: grpcPath, tls: true, connections: 8, streams: 16, body: grpcBody, grpc: true},
	{Name: "grpc-1", Title: "gRPC, HTTP/2 to HTTP/2, 100 bytes, 1 connection of 1 stream", Layouts: one, Unit: perRequest,
		generator: h2load, port: peer.HTTP2, path: grpcPath, connections: 1, streams: 1, body: grpcBody, grpc: true},
	{Name: "handshake", Title: "Full TLS 1.3 handshake (P-256), one request, close; 16 at a time", Layouts: both, Unit: perConnection,
		Goal: "<= 0.75x Envoy and <= 0.55x HAProxy", generator: "handshakes", port: peer.HTTPS, path: "/1k", connections: 16},
	{Name: "handshake-rsa", Title: "Full TLS 1.3 handshake (RSA, 2048 bits), one request, close; 16 at a time", Layouts: one, Unit: perConnection,
		generator: "handshakes", port: peer.HTTPSRSA, path: "/1k", connections: 16},
	{Name: "handshake-ticket", Title: "TLS 1.3 handshake resumed with a ticket, one request, close; 16 at a time", Layouts: one, Unit: perConnection,
		generator: "resumptions", port: peer.HTTPS, path: "/1k", connections: 16},
	{Name: "http-connection", Title: "New HTTP connection, one request, close; 32 at a time", Layouts: one, Unit: perConnection,
		Goal: "<= 0.95x nginx", generator: "connections", port: peer.HTTP, path: "/1k", connections: 32},
	{Name: "tcp-connection", Title: "New TCP connection on both sides, one exchange, close; 32 at a time", Layouts: one, Unit: perConnection, TCP: true,
		Goal: "<= 0.95x HAProxy", generator: "connections", port: peer.TCPHTTP, path: "/1k", connections: 32},
	{Name: "bulk-up", Title: "Bulk TCP to the backend, 4 connections", Layouts: both, Unit: perGigabit, TCP: true,
		Goal: "<= 0.7x the best peer", generator: "upload", port: peer.TCPSink, connections: 4, bytes: gigabit},
	{Name: "bulk-down", Title: "Bulk TCP from the backend, 4 connections", Layouts: both, Unit: perGigabit, TCP: true,
		Goal: "<= 0.7x the best peer", generator: "download", port: peer.TCPSource, connections: 4, bytes: gigabit},
	{Name: "latency-h1-30", Title: "HTTP/1, 1 KB, 64 connections, 30 % of nginx's rate", Layouts: two, Unit: perRequest,
		generator: constantRate, share: 0.3, saturated: "h1-1k-64", port: peer.HTTP, path: "/1k", connections: 64, directPort: backend.HTTP, directPath: "/1k"},
	{Name: "latency-h1-70", Title: "HTTP/1, 1 KB, 64 connections, 70 % of nginx's rate", Layouts: two, Unit: perRequest,
		generator: constantRate, share: 0.7, saturated: "h1-1k-64", port: peer.HTTP, path: "/1k", connections: 64, directPort: backend.HTTP, directPath: "/1k"},
	{Name: "latency-h2-30", Title: "HTTP/2 to HTTP/1, 1 KB, 8 connections of 16 streams, 30 % of nginx's rate", Layouts: two, Unit: perRequest,
		generator: constantRate, share: 0.3, saturated: "h2-h1", port: peer.HTTP2, path: "/1k", connections: 8, streams: 16, directPort: backend.HTTP2, directPath: "/http2/1k"},
	{Name: "latency-h2-70", Title: "HTTP/2 to HTTP/1, 1 KB, 8 connections of 16 streams, 70 % of nginx's rate", Layouts: two, Unit: perRequest,
		generator: constantRate, share: 0.7, saturated: "h2-h1", port: peer.HTTP2, path: "/1k", connections: 8, streams: 16, directPort: backend.HTTP2, directPath: "/http2/1k"},
	{Name: "round-trip", Title: "Round trip of 1 byte over TCP, 1 connection", Layouts: one, Unit: perTrip, TCP: true,
		generator: "round-trips", port: peer.TCPEcho, connections: 1},
}
