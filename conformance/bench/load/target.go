package load

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"

	"selvedge.dev/conformance/bench/h2"
)

// Target is what requests are sent to, and how.
type Target struct {
	Port int
	Path string
	// TLS is the configuration to speak it with, if it is spoken.
	TLS *tls.Config
	// HTTP2 is spoken at once, or agreed on over TLS.
	HTTP2 bool
	// GRPC makes requests calls with a message of 100 bytes; it takes HTTP2.
	GRPC bool
	// Body is the size of an answer's body; only HTTP/2 needs to know it.
	Body int
}

// Request is what a client of HTTP/2 asks for.
func (t Target) Request() h2.Request {
	request := h2.Request{Scheme: "http", Authority: Host, Path: t.Path, Body: t.Body}
	if t.TLS != nil {
		request.Scheme = "https"
	}
	if t.GRPC {
		request.Message = Message()
	}
	return request
}

func (t Target) dial() (net.Conn, error) {
	connection, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", t.Port), longestWait)
	if err != nil || t.TLS == nil {
		return connection, err
	}
	config := t.TLS
	if t.HTTP2 {
		config = config.Clone()
		config.NextProtos = []string{"h2"}
	}
	return tls.Client(connection, config), nil
}

func (t Target) session(connection net.Conn) session {
	if t.HTTP2 {
		return &http2Session{connection: connection, client: h2.New(t.Request())}
	}
	return &http1Session{connection: connection, reader: bufio.NewReaderSize(connection, 512), message: request(t.Path, "")}
}
