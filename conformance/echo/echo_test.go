package echo

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// exchange sends text to a backend and returns all that it answers until it closes.
func exchange(t *testing.T, server *Server, text string) string {
	t.Helper()
	client, backend := net.Pipe()
	if err := client.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	go func() {
		(&connection{server: server, conn: backend, number: 1, port: PortHTTP}).http()
		_ = backend.Close()
	}()
	go func() { _, _ = io.WriteString(client, text) }()
	answer, err := io.ReadAll(client)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

func testServer() *Server {
	return &Server{Name: "v1", reporter: newReporter(""), attempts: map[string]int{}}
}

func TestAnswersFollowTheOrders(t *testing.T) {
	cases := map[string]struct{ headers, want string }{
		"nothing asked": {"", "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nv1\n"},
		"a status":      {"x-echo-status: 404\r\n", "HTTP/1.1 404 Not Found\r\ncontent-length: 3\r\n\r\nv1\n"},
		"for others":    {"x-echo-status: 404\r\nx-echo-only: v2, v3\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nv1\n"},
		"for some":      {"x-echo-status: 404\r\nx-echo-only: v2, v1\r\n", "HTTP/1.1 404 Not Found\r\ncontent-length: 3\r\n\r\nv1\n"},
		"204":           {"x-echo-status: 204\r\n", "HTTP/1.1 204 No Content\r\n\r\n"},
		"headers":       {"X-Echo-Header: A: 1\r\nx-echo-header: a: 2\r\n", "HTTP/1.1 200 OK\r\nA: 1\r\na: 2\r\ncontent-length: 3\r\n\r\nv1\n"},
		"chunked":       {"x-echo-framing: chunked\r\nx-echo-body: abcd\r\nx-echo-trailer: t: 1\r\n", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\nt: 1\r\n\r\n"},
		"raw":           {"x-echo-raw: aGVsbG8=\r\n", "hello"},
		"close":         {"x-echo-break: close\r\n", ""},
		"half a body":   {"x-echo-break: body\r\nx-echo-body: abcd\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			// The second request ends the exchange, should the first leave the connection open.
			got := exchange(t, testServer(), "GET / HTTP/1.1\r\n"+c.headers+"\r\nGET / HTTP/1.1\r\nx-echo-break: close\r\n\r\n")
			if got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestAttemptsOfOneIdentityAreCounted(t *testing.T) {
	server := testServer()
	request := "GET / HTTP/1.1\r\nx-echo-id: 1\r\nx-echo-attempts: 503, close\r\n\r\n"
	for attempt, want := range []string{"HTTP/1.1 503", "", "HTTP/1.1 200"} {
		got := exchange(t, server, request+"GET / HTTP/1.1\r\nx-echo-break: close\r\n\r\n")
		if !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("attempt %d: %q, want %q", attempt+1, got, want)
		}
	}
}

func TestAWebSocketSendsMessagesBack(t *testing.T) {
	client, backend := net.Pipe()
	if err := client.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	go (&connection{server: testServer(), conn: backend}).http()
	reader := bufio.NewReader(client)
	if err := OpenWebSocket(client, reader, "h"); err != nil {
		t.Fatal(err)
	}
	for _, message := range []string{"hello", "", strings.Repeat("x", longestMessage)} {
		if err := Say(client, reader, message); err != nil {
			t.Errorf("%q: %v", message, err)
		}
	}
}

func TestARequestIsSeenAsItCame(t *testing.T) {
	text := "POST /a?b HTTP/1.1\r\nHost: h\r\nX-A:  1 \r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nt: 1\r\n\r\n"
	reader := bufio.NewReader(strings.NewReader(text))
	q, err := readHead(reader)
	if err != nil {
		t.Fatal(err)
	}
	if err := q.readBody(reader); err != nil {
		t.Fatal(err)
	}
	seen := q.seen
	if seen.Method != "POST" || seen.Target != "/a?b" || seen.Headers[1] != "X-A:  1 " || seen.Body != "abc" || seen.Framing != "chunked" || seen.Trailers[0] != "t: 1" {
		t.Errorf("%+v", seen)
	}
}

func TestABodyThatBreaksOffIsReportedAsSuch(t *testing.T) {
	for _, text := range []string{
		"POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\nabc",
		"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nab",
	} {
		reader := bufio.NewReader(strings.NewReader(text))
		q, err := readHead(reader)
		if err != nil {
			t.Fatal(err)
		}
		if err := q.readBody(reader); err == nil || !strings.HasSuffix(q.seen.Framing, " incomplete") {
			t.Errorf("%q: framing %q, error %v", text, q.seen.Framing, err)
		}
	}
}
