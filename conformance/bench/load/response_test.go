package load

import (
	"bufio"
	"strings"
	"testing"
)

func TestResponseEnd(t *testing.T) {
	const whole = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
	for data, want := range map[string]int{
		whole:                  len(whole),
		whole + "HTTP":         len(whole),
		whole[:len(whole)-1]:   0,
		"HTTP/1.1 200 OK\r\nC": 0,
	} {
		if got, err := responseEnd([]byte(data)); got != want || err != nil {
			t.Errorf("%q: got %d, %v; want %d", data, got, err, want)
		}
	}
}

func TestResponsesThatFail(t *testing.T) {
	for _, data := range []string{
		"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
	} {
		if _, err := responseEnd([]byte(data)); err == nil {
			t.Errorf("%q passes", data)
		}
	}
	short := bufio.NewReader(strings.NewReader("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab"))
	if err := readResponse(short); err == nil {
		t.Error("a body cut short passes")
	}
}
