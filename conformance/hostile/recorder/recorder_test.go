package recorder

import (
	"bufio"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"selvedge.dev/conformance/hostile/strict"
)

func start(t *testing.T) (*Recorder, func(string) net.Conn) {
	t.Helper()
	r, err := Listen(0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = r.Close() })
	return r, func(bytes string) net.Conn {
		connection, err := net.Dial("tcp", r.listener.Addr().String())
		require.NoError(t, err)
		_, err = io.WriteString(connection, bytes)
		require.NoError(t, err)
		return connection
	}
}

func TestRecordsAndAnswers(t *testing.T) {
	r, send := start(t)
	reader := bufio.NewReader(send("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhiGET /b HTTP/1.1\r\nHost: h\r\n\r\n"))
	for _, line := range []string{"POST /a", "GET /b"} {
		response, err := strict.ReadResponse(reader, "GET")
		require.NoError(t, err)
		require.Equal(t, line, response.Body)
	}
	record := r.Take()
	require.Len(t, record.Requests, 2)
	require.Equal(t, "hi", record.Requests[0].Body)
	require.Empty(t, record.Faults)
	require.Empty(t, r.Take().Requests)
}

func TestScripts(t *testing.T) {
	r, send := start(t)
	r.Script("/a", Answer{Bytes: "as it is", Close: true})
	answer, err := io.ReadAll(send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n"))
	require.NoError(t, err)
	require.Equal(t, "as it is", string(answer))
}

func TestFaultsAndBrokenRequests(t *testing.T) {
	r, send := start(t)
	_, err := io.ReadAll(send("GET /a HTTP/1.1\nHost: h\r\n\r\n"))
	require.NoError(t, err)
	record := r.Take()
	require.Len(t, record.Faults, 1)
	require.Contains(t, record.Faults[0], `GET /a HTTP/1.1\nHost`)

	connection := send("POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhi")
	require.NoError(t, connection.(*net.TCPConn).CloseWrite())
	_, err = io.ReadAll(connection)
	require.NoError(t, err)
	record = r.Take()
	require.Empty(t, record.Requests)
	require.Len(t, record.Broken, 1)
}
