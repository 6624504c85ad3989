package strict

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const host = "Host: a\r\n"

func readRequest(text string) (*Request, error) {
	reader := bufio.NewReader(strings.NewReader(text))
	request, err := ReadRequestHead(reader)
	if err != nil {
		return request, err
	}
	return request, request.ReadBody(reader)
}

func TestRequestsWithOneMeaning(t *testing.T) {
	for text, body := range map[string]string{
		"GET / HTTP/1.1\r\n" + host + "\r\n":                                                                    "",
		"POST / HTTP/1.1\r\n" + host + "Content-Length: 5\r\n\r\nhello":                                         "hello",
		"POST / HTTP/1.1\r\n" + host + "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n":              "hello",
		"POST / HTTP/1.1\r\n" + host + "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-end: 1\r\n\r\n":  "hello",
		"POST / HTTP/1.1\r\n" + host + "transfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\nNEXT": "hello",
	} {
		request, err := readRequest(text)
		require.NoError(t, err, "%q", text)
		require.True(t, request.Complete)
		require.Equal(t, body, request.Body)
	}
}

func TestAmbiguousRequests(t *testing.T) {
	for _, text := range []string{
		"GET / HTTP/1.1\n" + host + "\r\n",
		"GET / HTTP/1.1\r\nHost: a\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n",
		"GET / HTTP/1.0\r\n" + host + "\r\n",
		"GET  / HTTP/1.1\r\n" + host + "\r\n",
		"GET /a b HTTP/1.1\r\n" + host + "\r\n",
		"GET / HTTP/1.1\r\n\r\n",
		"GET / HTTP/1.1\r\n" + host + host + "\r\n",
		"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
		"GET / HTTP/1.1\r\n" + host + "a: b\r\n c\r\n\r\n",
		"GET / HTTP/1.1\r\n" + host + "a : b\r\n\r\n",
		"GET / HTTP/1.1\r\n" + host + "a: \x00\r\n\r\n",
		"GET / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
		"GET / HTTP/1.1\r\n" + host + "Content-Length: +1\r\n\r\na",
		"GET / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"GET / HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"GET / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n1;a\r\nb\r\n0\r\n\r\n",
		"GET / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n1\r\nbc\r\n0\r\n\r\n",
		"GET / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n1\nb\r\n0\r\n\r\n",
		"GET / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n-1\r\nb\r\n0\r\n\r\n",
		"GET / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0\r\n a\r\n\r\n",
	} {
		_, err := readRequest(text)
		var ambiguity *Ambiguity
		require.ErrorAs(t, err, &ambiguity, "%q", text)
	}
}

func TestEnds(t *testing.T) {
	_, err := readRequest("")
	require.ErrorIs(t, err, io.EOF)
	for _, text := range []string{
		"GET",
		"GET / HTTP/1.1\r\n" + host,
		"GET / HTTP/1.1\r\n" + host + "Content-Length: 2\r\n\r\na",
		"GET / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n1\r\nb\r\n",
		"GET / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n1\r\nb\r\n0\r\n",
	} {
		_, err := readRequest(text)
		require.True(t, errors.Is(err, io.ErrUnexpectedEOF), "%q: %v", text, err)
	}
}

func TestResponses(t *testing.T) {
	read := func(text, method string) (*Response, error) {
		return ReadResponse(bufio.NewReader(strings.NewReader(text)), method)
	}
	response, err := read("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP", "GET")
	require.NoError(t, err)
	require.Equal(t, "hi", response.Body)
	response, err = read("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "HEAD")
	require.NoError(t, err)
	require.True(t, response.Complete)
	response, err = read("HTTP/1.1 200 OK\r\n\r\nuntil the end", "GET")
	require.NoError(t, err)
	require.True(t, response.UntilClose)
	for _, text := range []string{
		"HTTP/1.1 20 OK\r\n\r\n",
		"HTTP/1.1 2000 OK\r\n\r\n",
		"HTTP/2.0 200 OK\r\n\r\n",
		"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
	} {
		_, err := read(text, "GET")
		var ambiguity *Ambiguity
		require.ErrorAs(t, err, &ambiguity, "%q", text)
	}
}
