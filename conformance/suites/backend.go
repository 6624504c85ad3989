package suites

import (
	"fmt"
	"net"
	"net/http"
	"strings"

	"selvedge.dev/conformance/gateways"
)

// largeBody is longer than what sockets and gateways keep of an answer that nobody reads.
const largeBody = 8 << 20

// serveBackend answers on a port in HTTP/1.1: every path with 1024 bytes, /large with many, and
// /client with the client's address as the gateway has it. The result ends it.
func serveBackend(port int) (func(), error) {
	listener, err := net.Listen("tcp", gateways.Address(port))
	if err != nil {
		return nil, err
	}
	small, large := strings.Repeat("a", 1024), strings.Repeat("a", largeBody)
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, small) })
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, large) })
	mux.HandleFunc("/client", func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, r.Header.Get("x-forwarded-for")) })
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(listener) }()
	return func() { _ = server.Close() }, nil
}
