package differential

import (
	"strings"
	"testing"
)

func TestARequestIsWrittenAsItSays(t *testing.T) {
	head := "POST /a?b HTTP/1.1\r\nhost: h\r\nx-echo-id: 7\r\n"
	cases := map[string]struct {
		request Request
		want    string
	}{
		"no body": {Request{Send: "POST /a?b", Host: "h"}, head + "\r\n"},
		"a body":  {Request{Send: "POST /a?b", Host: "h", Headers: []string{"X: 1"}, Body: "ab"}, head + "X: 1\r\ncontent-length: 2\r\n\r\nab"},
		"chunks":  {Request{Send: "POST /a?b", Host: "h", Chunks: []string{"ab", "c"}}, head + "transfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"},
		"raw":     {Request{Raw: "A {id}\nb\r\n\n"}, "A 7\r\nb\r\n\r\n"},
		"bytes":   {Request{Bytes: "A {id}\nb\r\n"}, "A 7\nb\r\n"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := c.request.bytes("7"); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestABodyOfASize(t *testing.T) {
	request := Request{Send: "PUT /", BodySize: 1000}
	if text := request.bytes("7"); !strings.HasSuffix(text, "content-length: 1000\r\n\r\n"+strings.Repeat("b", 1000)) {
		t.Errorf("%.200q", text)
	}
}
