package differential

import (
	"errors"
	"strings"
	"time"
)

// Request is one item of requests.yaml. Exactly one of Send, Raw, Bytes, Frames and TCP says what is
// sent; with TLS none is needed, if the handshake is all that matters.
type Request struct {
	// Name says in a few words what the request shows.
	Name string `json:"name"`

	// Protocol is http/1.1 (the default), h2 (HTTP/2 over TLS) or h2c (HTTP/2 in clear text, with prior
	// knowledge). What a request of HTTP/2 says comes from Send or Frames.
	Protocol string `json:"protocol,omitempty"`

	// Send is the method and the target of a request, such as "GET /a?b".
	Send string `json:"send,omitempty"`
	// Host is the Host header of Send, or :authority; <scenario>.test by default.
	Host string `json:"host,omitempty"`
	// Headers are more header lines of Send.
	Headers []string `json:"headers,omitempty"`
	// Body is the body of Send, with a content-length.
	Body string `json:"body,omitempty"`
	// BodySize makes a body of that many letters instead.
	BodySize int `json:"bodySize,omitempty"`
	// Chunks is the body of Send in chunked encoding, one chunk each; over HTTP/2 one frame each, without
	// a content-length.
	Chunks []string `json:"chunks,omitempty"`
	// Trailers are lines behind Chunks, or behind any body of HTTP/2.
	Trailers []string `json:"trailers,omitempty"`
	// GRPC are the messages of a gRPC request, one frame each. Send gives the method, HTTP/2 the rest.
	GRPC []string `json:"grpc,omitempty"`
	// WebSocket makes Send the opening of a WebSocket, and says what is sent then (websocket.go).
	WebSocket []string `json:"webSocket,omitempty"`
	// Streams sends Send that often at the same time on one connection of HTTP/2; the answers' summaries
	// are counted.
	Streams int `json:"streams,omitempty"`

	// Frames are what is sent over HTTP/2 in place of Send, one after the other.
	Frames []Frame `json:"frames,omitempty"`

	// Raw is the whole request as text. Line feeds become CR LF, {id} becomes the request's identity.
	Raw string `json:"raw,omitempty"`
	// Bytes is like Raw, but line feeds stay what they are.
	Bytes string `json:"bytes,omitempty"`
	// TCP are lines; each is sent, and one line is read back. An empty one only reads.
	TCP []string `json:"tcp,omitempty"`
	// Then is sent piece by piece behind Raw or Bytes, each after a short pause.
	Then []string `json:"then,omitempty"`

	// Gateway is the pair of gateways (base/1-gateways.yaml); "edge" by default.
	Gateway string `json:"gateway,omitempty"`
	// Port is 80, or 443 with TLS, by default.
	Port int `json:"port,omitempty"`
	// TLS makes it a TLS connection.
	TLS *ClientTLS `json:"tls,omitempty"`
	// Preface is sent before anything else, TLS included: a PROXY protocol header in clear text.
	Preface string `json:"preface,omitempty"`
	// SameConnection goes on with the connection of the request before.
	SameConnection bool `json:"sameConnection,omitempty"`
	// AwaitClose waits for the gateway to close the connection, and reports whether it did.
	AwaitClose bool `json:"awaitClose,omitempty"`
	// AfterPause is the pause after the answer: what goes on in the background may finish.
	AfterPause Duration `json:"afterPause,omitempty"`

	// Expect is how the oracle's answer must begin (Outcome.Summary): it guards the scenario against
	// testing something else than it says.
	Expect string `json:"expect,omitempty"`
	// Repeat sends the request that often and counts the answers, each on a connection of its own.
	Repeat int `json:"repeat,omitempty"`
	// Shares are the percentages of the answers (by summary, with "*" at the end for a prefix) that both gateways must show.
	Shares map[string]float64 `json:"shares,omitempty"`
	// Ignore are fields that are not compared here, with "*" at the end for a prefix.
	Ignore []string `json:"ignore,omitempty"`
}

// ClientTLS is how the client speaks TLS.
type ClientTLS struct {
	// SNI is <scenario>.test by default; "none" sends none.
	SNI string `json:"sni,omitempty"`
	// Client is the name of a client certificate (the package certificate).
	Client string `json:"client,omitempty"`
	// ALPN are the protocols offered; the request's protocol by default, [none] for none.
	ALPN []string `json:"alpn,omitempty"`
	// Min and Max are "1.2" or "1.3".
	Min string `json:"min,omitempty"`
	Max string `json:"max,omitempty"`
}

// Duration is a time in Go's notation, such as 200ms.
type Duration time.Duration

// UnmarshalJSON reads the notation.
func (d *Duration) UnmarshalJSON(data []byte) error {
	parsed, err := time.ParseDuration(strings.Trim(string(data), `"`))
	*d = Duration(parsed)
	return err
}

func (r *Request) check() error {
	forms := 0
	for _, used := range []bool{r.Send != "", r.Raw != "", r.Bytes != "", len(r.Frames) > 0, len(r.TCP) > 0} {
		if used {
			forms++
		}
	}
	switch {
	case r.Name == "":
		return errors.New("no name")
	case forms > 1 || forms == 0 && r.TLS == nil:
		return errors.New("want one of send, raw, bytes, frames and tcp")
	case r.Repeat > 0 != (len(r.Shares) > 0):
		return errors.New("repeat and shares go together")
	case r.Expect == "" && r.Repeat == 0:
		return errors.New("no expect: nothing would notice a scenario that tests nothing")
	case r.Send == "" && (r.Body != "" || r.Chunks != nil || r.Headers != nil || r.Host != "" && r.Frames == nil):
		return errors.New("host, headers and body belong to send")
	case r.Send != "" && !strings.Contains(r.Send, " "):
		return errors.New("send wants a method and a target")
	}
	return r.checkProtocol()
}

func (r *Request) checkProtocol() error {
	switch {
	case r.Protocol != "" && r.Protocol != protocolHTTP1 && !r.http2():
		return errors.New("protocol wants http/1.1, h2 or h2c")
	case r.http2() && (r.Raw != "" || r.Bytes != "" || r.TCP != nil):
		return errors.New("raw, bytes and tcp are not HTTP/2: want frames")
	case !r.http2() && (r.Frames != nil || r.GRPC != nil || r.Streams != 0):
		return errors.New("frames, grpc and streams want the protocol h2 or h2c")
	case r.Protocol == protocolH2C && r.TLS != nil:
		return errors.New("h2c is clear text")
	case r.WebSocket != nil && r.Send == "":
		return errors.New("a WebSocket begins with send")
	}
	for i := range r.Frames {
		if err := r.Frames[i].check(); err != nil {
			return err
		}
	}
	return nil
}

// Values of Request.Protocol.
const (
	protocolHTTP1 = "http/1.1"
	protocolH2    = "h2"
	protocolH2C   = "h2c"
)

func (r *Request) http2() bool { return r.Protocol == protocolH2 || r.Protocol == protocolH2C }

// fillIn writes the defaults out.
func (r *Request) fillIn(scenario string) {
	host := scenario + ".test"
	if r.Host == "" {
		r.Host = host
	}
	if r.Gateway == "" {
		r.Gateway = "edge"
	}
	if r.Protocol == protocolH2 && r.TLS == nil {
		r.TLS = &ClientTLS{}
	}
	if r.TLS != nil {
		if r.TLS.SNI == "" {
			r.TLS.SNI = host
		}
		if len(r.TLS.ALPN) == 0 {
			r.TLS.ALPN = []string{protocolHTTP1}
			if r.Protocol == protocolH2 {
				r.TLS.ALPN = []string{protocolH2}
			}
		}
	}
	if r.Port == 0 {
		r.Port = 80
		if r.TLS != nil {
			r.Port = 443
		}
	}
}
