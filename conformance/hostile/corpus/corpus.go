// Package corpus holds the hostile messages: data files with bytes, and what must become of them.
package corpus

import (
	"embed"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

//go:embed requests responses http2 http2-responses
var files embed.FS

// Expectation is what becomes of a message.
type Expectation string

// What may become of a message.
const (
	// Refused messages never reach the other side as something complete.
	Refused Expectation = "refused"
	// Forwarded messages arrive, with one meaning.
	Forwarded Expectation = "forwarded"
	// Either is for messages that may be repaired or refused, but not passed on as they are.
	Either Expectation = "either"
)

// After is what a connection is good for after a message.
type After string

// What may become of a connection. Nothing said means Closed after what was refused, and Answered after
// what was forwarded.
const (
	Closed   After = "closed"
	Answered After = "answered"
	Any      After = "any"
)

// Judged is what every kind of case has.
type Judged struct {
	// Name is unique in its file, Group is the file.
	Name  string `json:"name"`
	Group string `json:"-"`
	// Rule is where the expectation comes from.
	Rule string `json:"rule"`
	// Expect is what must become of it, Envoy what becomes of it there if that is something else.
	Expect Expectation `json:"expect"`
	Envoy  Expectation `json:"envoy,omitempty"`
	// After is what must become of the client's connection.
	After After `json:"after,omitempty"`
	// Reaches are the requests that must reach the backend if it is forwarded, in this order.
	Reaches []Reached `json:"reaches,omitempty"`
	// Early makes the backend answer before it has read the body.
	Early bool `json:"early,omitempty"`
}

// ExpectEnvoy is what becomes of the case in Envoy.
func (j *Judged) ExpectEnvoy() Expectation {
	if j.Envoy != "" {
		return j.Envoy
	}
	return j.Expect
}

// Reached is a request as it must reach the backend.
type Reached struct {
	// Request is method and target; "POST /case" if nothing is said.
	Request string `json:"request,omitempty"`
	Body    string `json:"body,omitempty"`
	// Holds are fields with their one value, Lacks fields that must not be there.
	Holds map[string]string `json:"holds,omitempty"`
	Lacks []string          `json:"lacks,omitempty"`
}

// Request is a case of what clients send over HTTP/1.
type Request struct {
	Judged
	// Head are lines that each end in CR LF; an empty line follows.
	Head []string `json:"head,omitempty"`
	// Body follows the head as it is.
	Body string `json:"body,omitempty"`
	// Send are the bytes instead, where lines do not say it.
	Send string `json:"send,omitempty"`
	// Ends says that the client closes its side after the message: more would complete it.
	Ends bool `json:"ends,omitempty"`
}

// Response is a case of what backends answer.
type Response struct {
	Judged
	// Request is sent by the client; a GET if nothing is said.
	Request []string `json:"request,omitempty"`
	// Answer are the bytes of the backend.
	Answer string `json:"answer"`
	// Close says that the backend closes its connection behind them.
	Close bool `json:"close,omitempty"`
	// Status and Body are what the client gets if the answer is forwarded.
	Status int    `json:"status,omitempty"`
	Body   string `json:"body,omitempty"`
}

// Field is a name and its value.
type Field [2]string

// HTTP2 is a case of what clients send over HTTP/2: one stream.
type HTTP2 struct {
	Judged
	// Set replaces pseudo-header fields of a GET, Remove takes some away, Add puts fields behind them,
	// Before puts fields before them.
	Set    []Field  `json:"set,omitempty"`
	Remove []string `json:"remove,omitempty"`
	Before []Field  `json:"before,omitempty"`
	Add    []Field  `json:"add,omitempty"`
	// Data are the payloads of DATA frames; the last one ends the stream unless there are trailers.
	Data     []string `json:"data,omitempty"`
	Trailers []Field  `json:"trailers,omitempty"`
	// Late are the payloads of DATA frames behind the end of the stream.
	Late []string `json:"late,omitempty"`
	// Open leaves the stream without its end; the client resets it afterwards.
	Open bool `json:"open,omitempty"`
}

// Fields are the header fields of the request, in their order.
func (h *HTTP2) Fields() []Field {
	fields := slices.Clone(h.Before)
	for _, field := range []Field{{":method", "GET"}, {":scheme", "http"}, {":authority", "hostile.test"}, {":path", "/case"}} {
		for _, other := range h.Set {
			if other[0] == field[0] {
				field = other
			}
		}
		if !slices.Contains(h.Remove, field[0]) {
			fields = append(fields, field)
		}
	}
	return append(fields, h.Add...)
}

// HTTP2Response is a case of what backends answer over HTTP/2, to a client of HTTP/1.
type HTTP2Response struct {
	Judged
	// Interim are heads before that of the answer, Fields is that of the answer.
	Interim [][]Field `json:"interim,omitempty"`
	Fields  []Field   `json:"fields,omitempty"`
	// Data and Trailers are as in HTTP2; Open leaves the stream without its end, Reset resets it then.
	Data     []string `json:"data,omitempty"`
	Trailers []Field  `json:"trailers,omitempty"`
	Open     bool     `json:"open,omitempty"`
	Reset    bool     `json:"reset,omitempty"`
	// Method of the request; GET if nothing is said.
	Method string `json:"method,omitempty"`
	// Status and Body are what the client gets if the answer is forwarded.
	Status int    `json:"status,omitempty"`
	Body   string `json:"body,omitempty"`
}

// Requests are all cases for clients of HTTP/1.
func Requests() ([]*Request, error) { return load[Request]("requests") }

// Responses are all cases for backends.
func Responses() ([]*Response, error) { return load[Response]("responses") }

// HTTP2Requests are all cases for clients of HTTP/2.
func HTTP2Requests() ([]*HTTP2, error) { return load[HTTP2]("http2") }

// HTTP2Responses are all cases for backends of HTTP/2.
func HTTP2Responses() ([]*HTTP2Response, error) { return load[HTTP2Response]("http2-responses") }

// load reads all cases of a folder.
func load[C any, P interface {
	*C
	judged() *Judged
	check() error
}](folder string) ([]*C, error) {
	entries, err := fs.ReadDir(files, folder)
	if err != nil {
		return nil, err
	}
	var all []*C
	names := map[string]bool{}
	for _, entry := range entries {
		data, err := files.ReadFile(folder + "/" + entry.Name())
		if err != nil {
			return nil, err
		}
		var cases []*C
		if err := yaml.UnmarshalStrict(data, &cases); err != nil {
			return nil, fmt.Errorf("%s/%s: %w", folder, entry.Name(), err)
		}
		for _, c := range cases {
			judged := P(c).judged()
			judged.Group = strings.TrimSuffix(entry.Name(), ".yaml")
			if err := firstError(judged.check(), P(c).check()); err != nil {
				return nil, fmt.Errorf("%s/%s: %q: %w", folder, entry.Name(), judged.Name, err)
			}
			if id := judged.Group + ": " + judged.Name; names[id] {
				return nil, fmt.Errorf("%s/%s: %q is there twice", folder, entry.Name(), judged.Name)
			} else {
				names[id] = true
			}
		}
		all = append(all, cases...)
	}
	return all, nil
}

var repetition = regexp.MustCompile(`<(\d+)\*([^>]*)>`)

// Bytes are the bytes that a text of a data file stands for: a character below U+0100 is the byte with
// its number, and <70000*a> stands for 70000 times an a.
func Bytes(text string) string {
	text = repetition.ReplaceAllStringFunc(text, func(match string) string {
		parts := repetition.FindStringSubmatch(match)
		count, err := strconv.Atoi(parts[1])
		if err != nil {
			return match
		}
		return strings.Repeat(parts[2], count)
	})
	bytes := make([]byte, 0, len(text))
	for _, character := range text {
		bytes = append(bytes, byte(character))
	}
	return string(bytes)
}

// Bytes are what the client sends.
func (r *Request) Bytes() string {
	if r.Send != "" {
		return Bytes(r.Send)
	}
	return lines(r.Head) + Bytes(r.Body)
}

// Bytes are what the client sends to get the answer.
func (r *Response) Bytes() string {
	if len(r.Request) == 0 {
		return lines([]string{"GET /case HTTP/1.1", "Host: hostile.test"})
	}
	return lines(r.Request)
}

func lines(head []string) string {
	var text strings.Builder
	for _, line := range head {
		text.WriteString(Bytes(line) + "\r\n")
	}
	return text.String() + "\r\n"
}
