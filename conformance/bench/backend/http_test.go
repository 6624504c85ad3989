package backend

import (
	"bytes"
	"testing"
)

func TestChooseResponse(t *testing.T) {
	for head, want := range map[string][]byte{
		"GET /0 HTTP/1.1\r\nhost: a":   empty,
		"GET /1k HTTP/1.1\r\nhost: a":  small,
		"GET /64k HTTP/1.1\r\nhost: a": large,
		"GET /2k HTTP/1.1\r\nhost: a":  notFound,
		"POST /1k HTTP/1.1":            notFound,
	} {
		if got := chooseResponse([]byte(head)); !bytes.Equal(got, want) {
			t.Errorf("%q: got %q", head, got[:min(len(got), 40)])
		}
	}
}

func TestResponseHasItsLength(t *testing.T) {
	_, body, found := bytes.Cut(response(1024), endOfHead)
	if !found || len(body) != 1024 {
		t.Errorf("the body has %d bytes", len(body))
	}
}
