package h2

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// exchange sends requests to a handler behind Go's server, and returns how many answers came.
func exchange(t *testing.T, request Request, count int, handler http.HandlerFunc) (answers int, err error) {
	t.Helper()
	ours, theirs := net.Pipe()
	go (&http2.Server{}).ServeConn(theirs, &http2.ServeConnOpts{Handler: handler})
	defer func() { _ = ours.Close() }()
	c := New(request)
	for range count {
		if _, err := c.Ask(); err != nil {
			return 0, err
		}
	}
	// The pipe has no buffer: both directions must go on at once.
	send := make(chan []byte, 1000)
	defer close(send)
	go func() {
		for data := range send {
			if _, err := ours.Write(data); err != nil {
				return
			}
		}
	}()
	buffer := make([]byte, 1000)
	for c.Waiting() > 0 {
		send <- c.Output()
		n, err := ours.Read(buffer)
		if err != nil {
			return answers, err
		}
		if err := c.Receive(buffer[:n], func(uint32) { answers++ }); err != nil {
			return answers, err
		}
	}
	return answers, nil
}

func body(size int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(bytes.Repeat([]byte("x"), size)) }
}

func TestAnswersAreCounted(t *testing.T) {
	request := Request{Scheme: "http", Authority: "bench.test", Path: "/", Body: 3 << 20}
	if answers, err := exchange(t, request, 5, body(3<<20)); err != nil || answers != 5 {
		t.Errorf("%d answers: %v", answers, err)
	}
}

func TestCallsAreChecked(t *testing.T) {
	request := Request{Scheme: "http", Authority: "bench.test", Path: "/a.B/C", Message: []byte("hello"), Body: 5}
	reply := func(status string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			data, _ := io.ReadAll(r.Body)
			w.Header().Set("trailer", "grpc-status")
			_, _ = w.Write(data)
			w.Header().Set("grpc-status", status)
		}
	}
	if answers, err := exchange(t, request, 3, reply("0")); err != nil || answers != 3 {
		t.Errorf("%d answers: %v", answers, err)
	}
	if _, err := exchange(t, request, 3, reply("14")); err == nil || !strings.Contains(err.Error(), `grpc-status "14"`) {
		t.Errorf("a call that failed: %v", err)
	}
}

func TestWrongAnswersAreErrors(t *testing.T) {
	request := Request{Scheme: "http", Authority: "bench.test", Path: "/", Body: 10}
	for what, handler := range map[string]http.HandlerFunc{
		"answered \"404\"": http.NotFound,
		"with 9 bytes":     body(9),
		"was reset":        func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		if _, err := exchange(t, request, 1, handler); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
