package differential

import (
	"bufio"
	"strings"
	"testing"
)

func read(t *testing.T, method, text string) *Response {
	t.Helper()
	response, err := readResponse(bufio.NewReader(strings.NewReader(text)), method)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

func TestBodiesAreReadByTheirFraming(t *testing.T) {
	cases := map[string]struct{ method, text, body, framing string }{
		"length":           {"GET", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nabc", "ab", "length"},
		"length too long":  {"GET", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc", "abc", "length incomplete"},
		"chunked":          {"GET", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n2;x=y\r\nbc\r\n0\r\n\r\n", "abc", "chunked"},
		"chunks break off": {"GET", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n", "a", "chunked incomplete"},
		"close":            {"GET", "HTTP/1.1 200 OK\r\n\r\nabc", "abc", "close"},
		"HEAD":             {"HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", "", "none"},
		"204":              {"GET", "HTTP/1.1 204 No Content\r\n\r\n", "", "none"},
		"304":              {"GET", "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", "", "none"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			response := read(t, c.method, c.text)
			if response.Body != c.body || response.Framing != c.framing {
				t.Errorf("body %q, framing %q", response.Body, response.Framing)
			}
		})
	}
}

func TestTrailersAndHeadersStayAsTheyCame(t *testing.T) {
	response := read(t, "GET", "HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a:  2 \r\ntransfer-encoding: chunked\r\n\r\n0\r\nx-t: 3\r\n\r\n")
	if strings.Join(response.Headers[:2], "|") != "X-A: 1|x-a:  2 " || strings.Join(response.Trailers, "|") != "x-t: 3" {
		t.Errorf("%q %q", response.Headers, response.Trailers)
	}
	if values := response.values("x-a"); strings.Join(values, "|") != "1|2" {
		t.Errorf("%q", values)
	}
}

func TestALongBodyIsADigest(t *testing.T) {
	response := read(t, "GET", "HTTP/1.1 200 OK\r\n\r\n"+strings.Repeat("x", 5000))
	if !strings.HasPrefix(response.Body, "5000 bytes, sha256 ") {
		t.Errorf("%.80q", response.Body)
	}
}

func TestWhatIsNoResponseIsAnError(t *testing.T) {
	for _, text := range []string{"", "hello\r\n\r\n", "HTTP/1.1 abc\r\n\r\n", "HTTP/1.1 200 OK\r\nx: 1"} {
		if _, err := readResponse(bufio.NewReader(strings.NewReader(text)), "GET"); err == nil {
			t.Errorf("%q is taken for a response", text)
		}
	}
}
