// Package echo is the backend of the differential tests: it reports to the runner exactly what
// reached it, and answers as the request's x-echo-* headers ask. It reads HTTP/1 and HTTP/2 by itself,
// because Go's own server would tidy up the very details that the tests compare.
package echo

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// Seen is one request as it arrived at a backend.
type Seen struct {
	// ID is the request's x-echo-id header, by which the runner finds its own requests again.
	ID string `json:"id"`
	// Pod is the backend's name, such as v1.
	Pod string `json:"pod"`
	// Port is the local port.
	Port int `json:"port"`
	// Method, Target and Protocol are the parts of the request line.
	Method   string `json:"method"`
	Target   string `json:"target"`
	Protocol string `json:"protocol"`
	// Authority, Scheme and ConnectProtocol are the pseudo-headers of HTTP/2 beside method and path.
	Authority       string `json:"authority,omitempty"`
	Scheme          string `json:"scheme,omitempty"`
	ConnectProtocol string `json:"connectProtocol,omitempty"`
	// Headers are the header lines as they came.
	Headers []string `json:"headers"`
	// Body is the decoded body, or its digest when it is long.
	Body string `json:"body"`
	// Framing is none, length, chunked or frames (HTTP/2 without a length); followed by " incomplete" when
	// the body broke off.
	Framing string `json:"framing"`
	// Reset is the code of the RST_STREAM that ended the request, or "the connection ended".
	Reset string `json:"reset,omitempty"`
	// Malformed is what HTTP/2 forbids in the head, or nothing.
	Malformed string `json:"malformed,omitempty"`
	// Trailers are the lines behind a chunked body, or the fields behind one of HTTP/2.
	Trailers []string `json:"trailers,omitempty"`
	// TLS is set on TLS ports.
	TLS *TLS `json:"tls,omitempty"`
	// Connection numbers the backend's connections; Order the requests of one connection, from 1.
	Connection int64 `json:"connection"`
	Order      int   `json:"order"`
}

// TLS is what the handshake settled.
type TLS struct {
	Version string   `json:"version"`
	SNI     string   `json:"sni"`
	ALPN    string   `json:"alpn"`
	Client  []string `json:"client,omitempty"`
}

// reportLimit bounds one report: without a runner nothing listens.
const reportLimit = time.Second

// reporter sends what was seen to the runner.
type reporter struct {
	url    string
	client *http.Client
}

func newReporter(url string) *reporter {
	return &reporter{url: url, client: &http.Client{Timeout: reportLimit}}
}

// report returns once the runner knows: it must, before the answer reaches the client.
func (r *reporter) report(seen *Seen) {
	if r.url == "" || seen.ID == "" {
		return
	}
	data, err := json.Marshal(seen)
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), reportLimit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, bytes.NewReader(data))
	if err != nil {
		return
	}
	if response, err := r.client.Do(request); err == nil {
		_ = response.Body.Close()
	}
}
