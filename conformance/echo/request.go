package echo

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const (
	// longestLine bounds one line of a head; proxies are tested with lines near 64 KiB.
	longestLine = 256 << 10
	// longestBody bounds what is read of a body.
	longestBody = 64 << 20
	// shownBody is the longest body that a report shows in full.
	shownBody = 2048
)

// request is one request while it is read.
type request struct {
	seen Seen
	// answer is what the x-echo-* headers ask for.
	answer map[string][]string
	// content is the body of an HTTP/2 request.
	content []byte
}

// readHead reads the request line and the headers.
func readHead(r *bufio.Reader) (*request, error) {
	line, err := readLine(r)
	if err != nil {
		return nil, err
	}
	parts := strings.SplitN(line, " ", 3)
	if len(parts) != 3 {
		return nil, fmt.Errorf("odd request line %q", line)
	}
	q := &request{answer: map[string][]string{}}
	q.seen.Method, q.seen.Target, q.seen.Protocol = parts[0], parts[1], parts[2]
	for {
		line, err := readLine(r)
		if err != nil {
			return nil, err
		}
		if line == "" {
			q.seen.ID = q.header("x-echo-id")
			return q, nil
		}
		q.seen.Headers = append(q.seen.Headers, line)
		name, value := splitHeader(line)
		if order, found := strings.CutPrefix(name, "x-echo-"); found {
			q.answer[order] = append(q.answer[order], value)
		}
	}
}

// readBody reads what the framing headers announce.
func (q *request) readBody(r *bufio.Reader) error {
	var body []byte
	var err error
	switch {
	case strings.EqualFold(q.header("transfer-encoding"), "chunked"):
		q.seen.Framing = "chunked"
		body, err = q.readChunks(r)
	case q.header("content-length") != "":
		q.seen.Framing = "length"
		var length int64
		if length, err = strconv.ParseInt(q.header("content-length"), 10, 64); err == nil {
			body, err = io.ReadAll(io.LimitReader(r, min(length, longestBody)))
		}
		if err == nil && int64(len(body)) < length {
			err = io.ErrUnexpectedEOF
		}
	default:
		q.seen.Framing = "none"
	}
	if err != nil {
		q.seen.Framing += " incomplete"
	}
	q.seen.Body = describeBody(body)
	return err
}

func (q *request) readChunks(r *bufio.Reader) ([]byte, error) {
	var body []byte
	for {
		line, err := readLine(r)
		if err != nil {
			return body, err
		}
		size, err := strconv.ParseInt(strings.TrimSpace(strings.SplitN(line, ";", 2)[0]), 16, 32)
		if err != nil || size < 0 || int64(len(body))+size > longestBody {
			return body, fmt.Errorf("odd chunk size %q", line)
		}
		if size == 0 {
			q.seen.Trailers, err = readTrailers(r)
			return body, err
		}
		chunk := make([]byte, size+2)
		if _, err := io.ReadFull(r, chunk); err != nil {
			return body, err
		}
		body = append(body, chunk[:size]...)
	}
}

func readTrailers(r *bufio.Reader) ([]string, error) {
	var trailers []string
	for {
		line, err := readLine(r)
		if err != nil || line == "" {
			return trailers, err
		}
		trailers = append(trailers, line)
	}
}

// header returns the first value of a header, or nothing.
func (q *request) header(name string) string {
	for _, line := range q.seen.Headers {
		if candidate, value := splitHeader(line); candidate == name {
			return value
		}
	}
	return ""
}

func splitHeader(line string) (name, value string) {
	name, value, _ = strings.Cut(line, ":")
	return strings.ToLower(name), strings.TrimSpace(value)
}

func readLine(r *bufio.Reader) (string, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if err == nil {
			return strings.TrimSuffix(strings.TrimSuffix(string(line), "\n"), "\r"), nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) || len(line) > longestLine {
			return "", err
		}
	}
}

func describeBody(body []byte) string {
	if len(body) <= shownBody {
		return string(body)
	}
	return fmt.Sprintf("%d bytes, sha256 %x", len(body), sha256.Sum256(body))
}
