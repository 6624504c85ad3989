package differential

import (
	"reflect"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"selvedge.dev/conformance/h2"
)

// scriptOf writes the frames of a request down.
func scriptOf(request Request) []string {
	var text []string
	for _, frame := range request.script("7") {
		line := strings.Join(frame.Headers, ", ") + frame.Data
		if frame.End {
			line += " END"
		}
		text = append(text, line)
	}
	return text
}

func TestARequestOfHTTP2IsWrittenAsItSays(t *testing.T) {
	pseudo := ":method: POST, :scheme: http, :authority: h, :path: /a?b, "
	cases := map[string]struct {
		request Request
		want    []string
	}{
		"no body":     {Request{Send: "POST /a?b", Host: "h"}, []string{pseudo + "x-echo-id: 7 END"}},
		"a body":      {Request{Send: "POST /a?b", Host: "h", Headers: []string{"X: 1"}, Body: "ab"}, []string{pseudo + "x-echo-id: 7, X: 1, content-length: 2", "ab END"}},
		"chunks":      {Request{Send: "POST /a?b", Host: "h", Chunks: []string{"ab", "c"}}, []string{pseudo + "x-echo-id: 7", "ab", "c END"}},
		"trailers":    {Request{Send: "POST /a?b", Host: "h", Chunks: []string{"ab"}, Trailers: []string{"t: 1"}}, []string{pseudo + "x-echo-id: 7", "ab", "t: 1 END"}},
		"TLS":         {Request{Send: "GET /", Host: "h", TLS: &ClientTLS{}}, []string{":method: GET, :scheme: https, :authority: h, :path: /, x-echo-id: 7 END"}},
		"gRPC":        {Request{Send: "POST /a?b", Host: "h", GRPC: []string{"m"}}, []string{pseudo + "content-type: application/grpc, te: trailers, x-echo-id: 7", "\x00\x00\x00\x00\x01m END"}},
		"no message":  {Request{Send: "POST /a?b", Host: "h", GRPC: []string{}}, []string{pseudo + "content-type: application/grpc, te: trailers, x-echo-id: 7", " END"}},
		"WebSocket":   {Request{Send: "GET /a?b", Host: "h", WebSocket: []string{"text a"}}, []string{":method: CONNECT, :scheme: http, :authority: h, :path: /a?b, :protocol: websocket, sec-websocket-version: 13, x-echo-id: 7"}},
		"frames":      {Request{Host: "h", Frames: []Frame{{Head: "POST /a?b", Headers: []string{"a: {id}"}}, {End: true}}}, []string{pseudo + "x-echo-id: 7, a: 7", " END"}},
		"many fields": {Request{Host: "h", Frames: []Frame{{Headers: []string{"x-{1..3}: {letters 4}"}}}}, []string{"x-1: aaaa, x-2: aaaa, x-3: aaaa"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := scriptOf(c.request); !reflect.DeepEqual(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestAFrameIsRefusedWithAReason(t *testing.T) {
	cases := map[string]struct {
		frame  Frame
		reason string
	}{
		"nothing":         {Frame{}, "wants one of"},
		"two forms":       {Frame{Data: "a", Reset: "CANCEL"}, "wants one of"},
		"an unknown code": {Frame{Reset: "SORRY"}, "no error code"},
		"no hexadecimal":  {Frame{Raw: &RawFrame{Hex: "xy"}}, "invalid byte"},
		"awaits nothing":  {Frame{Await: "luck"}, "await wants"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if err := c.frame.check(); err == nil || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("error %v, want one with %q", err, c.reason)
			}
		})
	}
	if err := (&Frame{End: true}).check(); err != nil {
		t.Error(err)
	}
}

func TestGOAWAYIsComparedWhereBothSaidIt(t *testing.T) {
	closed := func(code string) *Outcome { return &Outcome{Result: resultClosed + ", goaway " + code, GoAway: code} }
	silent := &Outcome{Result: resultClosed}
	differs := func(left, right *Outcome) bool { return len(compare("s", &Request{}, left, right, addresses{})) > 0 }
	if differs(silent, closed("PROTOCOL_ERROR")) || differs(closed("NO_ERROR"), closed("NO_ERROR")) {
		t.Error("the same end is taken for different")
	}
	if !differs(closed("PROTOCOL_ERROR"), closed("NO_ERROR")) || !differs(silent, &Outcome{Result: "reset CANCEL"}) {
		t.Error("different ends are taken for the same")
	}
}

func TestASummaryOfGRPCIsItsStatus(t *testing.T) {
	response := func(headers, trailers []string) *Outcome {
		return &Outcome{Result: "response", Response: &Response{Protocol: "HTTP/2", Status: 200, Headers: headers, Trailers: trailers, Body: "m"}}
	}
	for want, outcome := range map[string]*Outcome{
		"grpc 5 gone m": response(nil, []string{"grpc-status: 5", "grpc-message: gone"}),
		"grpc 0 m":      response([]string{"grpc-status: 0"}, nil),
		"200 m":         response(nil, nil),
	} {
		if got := outcome.Summary(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestAStreamsEndIsNamed(t *testing.T) {
	for want, event := range map[string]h2.Event{
		"reset CANCEL":             {Kind: h2.Reset, Code: http2.ErrCodeCancel},
		"closed, goaway NO_ERROR":  {Kind: h2.Ended, GoAway: &h2.GoAway{}},
		resultNotHTTP2:             {Kind: h2.Ended, Err: http2.ErrFrameTooLarge},
		"error: something unknown": {Kind: h2.Ended, Err: streamEnd("error: something unknown")},
	} {
		if got := ending(event); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
