package load

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// responseEnd returns how many bytes of data the first response takes: 0 if it has not arrived whole.
// Anything but a 200 with a content-length is an error.
func responseEnd(data []byte) (int, error) {
	head := bytes.Index(data, []byte("\r\n\r\n"))
	if head < 0 {
		return 0, nil
	}
	length, err := bodyLength(string(data[:head]))
	if err != nil {
		return 0, err
	}
	if end := head + 4 + length; end <= len(data) {
		return end, nil
	}
	return 0, nil
}

// bodyLength checks a response's head and returns its content-length.
func bodyLength(head string) (int, error) {
	status, fields, _ := strings.Cut(head, "\r\n")
	if !strings.HasPrefix(status, "HTTP/1.1 200") {
		return 0, fmt.Errorf("answered %q", status)
	}
	for line := range strings.SplitSeq(fields, "\r\n") {
		if name, value, _ := strings.Cut(line, ":"); strings.EqualFold(name, "content-length") {
			return strconv.Atoi(strings.TrimSpace(value))
		}
	}
	return 0, errors.New("the response has no content-length")
}

// readResponse reads one response whole from a blocking connection.
func readResponse(r *bufio.Reader) error {
	var head strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		if line == "\r\n" {
			break
		}
		head.WriteString(line)
	}
	length, err := bodyLength(strings.TrimSuffix(head.String(), "\r\n"))
	if err != nil {
		return err
	}
	_, err = io.CopyN(io.Discard, r, int64(length))
	return err
}
