package echo

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"selvedge.dev/conformance/h2"
)

// ask sends one request of HTTP/2 to a backend and writes down what comes back.
func ask(t *testing.T, server *Server, body string, lines ...string) string {
	t.Helper()
	client, backend := loopback(t)
	if err := client.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	go func() {
		(&connection{server: server, conn: backend, number: 1, port: PortHTTP}).http()
		_ = backend.Close()
	}()
	framed := h2.Client(client, client)
	go func() {
		if framed.Open() == nil {
			_ = framed.Run(nil)
		}
	}()
	framed.AwaitSettings(5 * time.Second)
	stream := framed.NewStream()
	head := fieldsOf(append([]string{":method: POST", ":scheme: http", ":path: /", ":authority: h"}, lines...))
	if err := stream.Send(head, body == ""); err != nil {
		t.Fatal(err)
	}
	if body != "" {
		if err := stream.SendData([]byte(body), true); err != nil {
			t.Fatal(err)
		}
	}
	return written(stream)
}

// loopback is a connection with both its ends. Both sides of HTTP/2 write first, so a net.Pipe would not do.
func loopback(t *testing.T) (client, backend net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	if client, err = net.Dial("tcp", listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	if backend, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	return client, backend
}

func written(stream *h2.Stream) string {
	var text strings.Builder
	for {
		event, ok := stream.Next(5 * time.Second)
		if !ok {
			return text.String() + "and no more"
		}
		switch event.Kind {
		case h2.Reset:
			return text.String() + "reset " + event.Code.String()
		case h2.Ended:
			return text.String() + "ended"
		case h2.Data:
			fmt.Fprintf(&text, "%q ", event.Data)
		}
		for _, field := range event.Fields {
			text.WriteString(field.Line() + " ")
		}
		if event.End {
			return text.String() + "end"
		}
	}
}

func TestAnswersOverHTTP2FollowTheOrders(t *testing.T) {
	cases := map[string]struct {
		body  string
		lines []string
		want  string
	}{
		"nothing asked":        {"", nil, `:status: 200 content-length: 3 "v1\n" end`},
		"204":                  {"", []string{"x-echo-status: 204"}, ":status: 204 end"},
		"no length":            {"", []string{"x-echo-framing: frames"}, `:status: 200 "v1\n" end`},
		"trailers":             {"", []string{"x-echo-trailer: t: 1", "x-echo-size: 0"}, `:status: 200 content-length: 0 "" t: 1 end`},
		"an interim response":  {"", []string{"x-echo-informational: 103"}, `:status: 103 link: </style.css> :status: 200 content-length: 3 "v1\n" end`},
		"a reset":              {"", []string{"x-echo-break: stream REFUSED_STREAM"}, "reset REFUSED_STREAM"},
		"a reset in the body":  {"", []string{"x-echo-break: body CANCEL", "x-echo-body: abcd"}, `:status: 200 content-length: 4 "ab" reset CANCEL`},
		"a gRPC call":          {"message", []string{"content-type: application/grpc"}, `:status: 200 content-type: application/grpc "message" grpc-status: 0 end`},
		"a status of gRPC":     {"", []string{"content-type: application/grpc", "x-echo-grpc: trailers-only", "x-echo-grpc-status: 5"}, ":status: 200 content-type: application/grpc grpc-status: 5 end"},
		"the number of orders": {"", []string{"x-echo-show: order"}, `:status: 200 x-order: 1 content-length: 3 "v1\n" end`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := ask(t, testServer(), c.body, c.lines...); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

func TestAttemptsOverHTTP2AreCounted(t *testing.T) {
	server := testServer()
	for attempt, want := range []string{"reset INTERNAL_ERROR", ":status: 200 content-type: application/grpc grpc-status: 14 end", ":status: 503"} {
		got := ask(t, server, "", "x-echo-id: 1", "x-echo-attempts: stream INTERNAL_ERROR, grpc 14, 503")
		if !strings.HasPrefix(got, want) {
			t.Errorf("attempt %d: %s, want %s", attempt+1, got, want)
		}
	}
}

func TestWhatHTTP2ForbidsInAHeadIsReported(t *testing.T) {
	for line, want := range map[string]string{
		"x-a: 1":            "",
		"te: trailers":      "",
		"te: gzip":          "te is of the connection",
		"X-A: 1":            "upper case in X-A",
		"connection: close": "connection is of the connection",
		":path: /b":         ":path behind other fields",
		"x-a: 1\r\nb: 2":    "a line's end in x-a",
	} {
		head := fieldsOf([]string{":method: GET", ":path: /", "x-first: 1", line})
		if got := malformed(head); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

func TestMessagesAreTakenApart(t *testing.T) {
	body := append(Message("hello"), Message("")...)
	if messages, ok := Messages(body); !ok || len(messages) != 2 || messages[0] != "hello" || messages[1] != "" {
		t.Errorf("%q, %v", messages, ok)
	}
	for _, broken := range []string{"abc", "\x00\x00\x00\x00\x05abc", "\x00\xff\xff\xff\xffabc"} {
		if messages, ok := Messages([]byte(broken)); ok {
			t.Errorf("%q is taken for %q", broken, messages)
		}
	}
}
