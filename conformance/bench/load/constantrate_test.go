package load

import (
	"bufio"
	"net"
	"testing"
	"time"
)

// serve answers requests over HTTP/1, the first one of each connection after a time.
func serve(t *testing.T, answer string, first time.Duration) (port int) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go answerAll(connection, answer, first)
		}
	}()
	return listener.Addr().(*net.TCPAddr).Port
}

func answerAll(connection net.Conn, answer string, first time.Duration) {
	defer func() { _ = connection.Close() }()
	reader := bufio.NewReader(connection)
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			return
		}
		if line != "\r\n" {
			continue
		}
		time.Sleep(first)
		first = 0
		if _, err := connection.Write([]byte(answer)); err != nil {
			return
		}
	}
}

const found = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

func TestAllRequestsAreSent(t *testing.T) {
	port := serve(t, found, 0)
	result := constantRate(Job{Port: port, Path: "/", Connections: 4, Rate: 1000, Duration: 200 * time.Millisecond})
	if result.Errors > 0 || result.Median <= 0 || result.P999 < result.P99 || result.P99 < result.Median {
		t.Errorf("got %+v", result)
	}
}

func TestTimeCountsFromWhenARequestWasDue(t *testing.T) {
	// One connection, stuck for the first half: the requests that were due meanwhile waited, too.
	port := serve(t, found, 100*time.Millisecond)
	result := constantRate(Job{Port: port, Path: "/", Connections: 1, Rate: 1000, Duration: 200 * time.Millisecond})
	if result.Errors > 0 || result.P99 < 90_000 {
		t.Errorf("got %+v", result)
	}
}

func TestWrongAnswersFail(t *testing.T) {
	port := serve(t, "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n", 0)
	if result := constantRate(Job{Port: port, Path: "/", Connections: 1, Rate: 100, Duration: 100 * time.Millisecond}); result.Errors == 0 {
		t.Errorf("got %+v", result)
	}
	if result := constantRate(Job{Port: port, Connections: 1}); result.Errors == 0 {
		t.Error("no rate passes")
	}
}
