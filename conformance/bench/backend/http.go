package backend

import (
	"bytes"
	"fmt"
)

// longestRequest bounds the head of a request.
const longestRequest = 64 << 10

var (
	endOfHead = []byte("\r\n\r\n")

	empty    = response(0)
	small    = response(1 << 10)
	large    = response(64 << 10)
	hugeHead = fmt.Appendf(nil, responseHead, huge)
	notFound = []byte("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
)

const (
	responseHead = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n\r\n"
	// huge is the size of the body at /100m.
	huge = 100_000_000
)

func response(size int) []byte {
	return append(fmt.Appendf(nil, responseHead, size), bytes.Repeat([]byte("x"), size)...)
}

// answer replies to every request that has arrived whole; requests have no body.
func (s *server) answer(fd int, c *connection, data []byte) bool {
	if len(c.partial) > 0 {
		data = append(c.partial, data...)
		c.partial = nil
	}
	for {
		end := bytes.Index(data, endOfHead)
		if end < 0 {
			break
		}
		if bytes.HasPrefix(data, []byte("GET /100m ")) {
			return s.pour(fd, c)
		}
		if !s.write(fd, c, chooseResponse(data[:end])) {
			return false
		}
		data = data[end+len(endOfHead):]
	}
	if len(data) > 0 {
		c.partial = append([]byte(nil), data...)
	}
	return len(c.partial) <= longestRequest
}

// pour answers with the huge body. It is the last request of its connection.
func (s *server) pour(fd int, c *connection) bool {
	c.pending = append(c.pending, hugeHead...)
	c.filler = huge
	return s.watch(fd, c, true)
}

func chooseResponse(head []byte) []byte {
	switch {
	case bytes.HasPrefix(head, []byte("GET /1k ")):
		return small
	case bytes.HasPrefix(head, []byte("GET /64k ")):
		return large
	case bytes.HasPrefix(head, []byte("GET /0 ")):
		return empty
	}
	return notFound
}
