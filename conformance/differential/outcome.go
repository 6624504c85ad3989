package differential

import (
	"fmt"
	"sort"
	"strings"

	"selvedge.dev/conformance/echo"
)

// Results of an exchange other than an HTTP response.
const (
	// resultClosed: the connection ended, with or without a reset, before an answer.
	resultClosed = "closed"
	// resultTimeout: there was no answer in time.
	resultTimeout = "no answer"
	// resultAbandoned: the client ended its stream before the answer was complete.
	resultAbandoned = "ended by the client"
	// resultNotHTTP2: what came is something else.
	resultNotHTTP2 = "not HTTP/2"
	// resultRefused: the port is not open.
	resultRefused = "connection refused"
)

// fieldGoAway is compared only where both gateways sent one: for many an error of the connection, Envoy just
// closes.
const fieldGoAway = "goaway"

// Outcome is all that one gateway made of one request.
type Outcome struct {
	// Result is "response", "lines", "websocket", "handshake", "alert ...", "reset ..." with the code of
	// HTTP/2, "closed, goaway ..." with one, or one of the constants above.
	Result string
	// Response is set for the result "response".
	Response *Response
	// Informational are the 1xx responses before it.
	Informational []*Response
	// GoAway is the code of the gateway's GOAWAY, if the result or the close depends on it.
	GoAway string
	// Behind is what came over HTTP/2 behind the answer: a reset, a GOAWAY.
	Behind []string
	// Lines are what came back over TCP or in a WebSocket, or the counted answers of several streams.
	Lines []string
	// TLS is what the handshake settled with the gateway, or nil.
	TLS *Handshake
	// Close says what became of the connection, if the request asked for that.
	Close string
	// Seen is what reached backends, in order of arrival.
	Seen []*echo.Seen
	// Log are the gateway's access log lines of this request.
	Log []map[string]any

	id         string // what the request carried as x-echo-id
	connection string // connectionKey
	order      int    // which request of its connection it is, from 0
	last       bool   // whether it is the last request of its connection
}

// Handshake is the gateway's side of a TLS handshake.
type Handshake struct {
	Version, ALPN string
	// Certificate is the subject's common name, or its first DNS name.
	Certificate string
}

// Summary is the outcome in one line: the status and the body's first line (or the location of a
// redirect), "grpc" with the status and the message, the lines of an exchange, or what went wrong.
func (o *Outcome) Summary() string {
	switch o.Result {
	case "response":
		if status, isGRPC := o.Response.grpcStatus(); isGRPC {
			return strings.TrimSpace(fmt.Sprintf("grpc %s %s", status, o.Response.Body))
		}
		detail, _, _ := strings.Cut(o.Response.Body, "\n")
		if location := o.Response.values("location"); len(location) > 0 {
			detail = location[0]
		}
		return strings.TrimSpace(fmt.Sprintf("%d %s", o.Response.Status, detail))
	case "lines", "websocket":
		return strings.Join(o.Lines, " | ")
	case "handshake":
		return "handshake " + o.TLS.Certificate
	}
	return o.Result
}

// fields is the outcome as named texts, ready to be compared.
func (o *Outcome) fields() map[string]string {
	fields := map[string]string{"result": o.Result, fieldGoAway: o.GoAway}
	if o.GoAway != "" && o.Response == nil {
		fields["result"] = resultClosed
	}
	if o.Response != nil {
		o.Response.fields("", fields)
	}
	var informational []string
	for _, response := range o.Informational {
		informational = append(informational, fmt.Sprint(response.Status))
	}
	fields["informational"] = strings.Join(informational, " ")
	fields["behind"] = strings.Join(o.Behind, ", ")
	fields["lines"] = strings.Join(o.Lines, " | ")
	if o.TLS != nil {
		fields["tls version"], fields["tls alpn"], fields["tls certificate"] = o.TLS.Version, o.TLS.ALPN, o.TLS.Certificate
	}
	fields["close"] = o.Close
	fields["upstream requests"] = fmt.Sprint(len(o.Seen))
	for i, seen := range o.Seen {
		seenFields(numbered("upstream", i), seen, fields)
	}
	fields["log lines"] = fmt.Sprint(len(o.Log))
	for i, line := range o.Log {
		logFields(numbered("log", i), line, fields)
	}
	return fields
}

// numbered leaves the first without a number: there is rarely a second.
func numbered(prefix string, i int) string {
	if i == 0 {
		return prefix + " "
	}
	return fmt.Sprintf("%s%d ", prefix, i+1)
}

func seenFields(prefix string, seen *echo.Seen, fields map[string]string) {
	fields[prefix+"pod"] = seen.Pod
	fields[prefix+"port"] = fmt.Sprint(seen.Port)
	fields[prefix+"method"] = seen.Method
	fields[prefix+"target"] = seen.Target
	fields[prefix+"protocol"] = seen.Protocol
	fields[prefix+"body"] = seen.Body
	fields[prefix+"framing"] = seen.Framing
	fields[prefix+"trailers"] = strings.Join(seen.Trailers, " | ")
	fields[prefix+"authority"], fields[prefix+"scheme"], fields[prefix+"connect protocol"] = seen.Authority, seen.Scheme, seen.ConnectProtocol
	fields[prefix+"reset"], fields[prefix+"malformed"] = seen.Reset, seen.Malformed
	headerFields(prefix, seen.Headers, fields)
	if seen.TLS != nil {
		fields[prefix+"tls version"], fields[prefix+"tls sni"], fields[prefix+"tls alpn"] = seen.TLS.Version, seen.TLS.SNI, seen.TLS.ALPN
		fields[prefix+"tls client"] = strings.Join(seen.TLS.Client, " ")
	}
}

// headerFields makes one field of each header name; names keep their case, values their order.
func headerFields(prefix string, lines []string, fields map[string]string) {
	values := map[string][]string{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		values[name] = append(values[name], strings.TrimSpace(value))
	}
	for name, list := range values {
		fields[prefix+"header "+name] = strings.Join(list, " | ")
	}
}

// sortedKeys makes reports and comparisons come in one order.
func sortedKeys[V any](values map[string]V) []string {
	keys := make([]string, 0, len(values))
	for key := range values {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}
