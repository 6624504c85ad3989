package strict

import (
	"bufio"
	"io"
	"strconv"
	"strings"
)

// longestBody bounds a body.
const longestBody = 64 << 20

// framing is how the end of a body is found.
type framing struct {
	chunked   bool
	hasLength bool
	length    int64
}

// framingOf takes one content-length of digits, or one transfer-encoding that is "chunked", or neither.
func framingOf(fields Fields) (framing, error) {
	lengths, codings := fields.Values("content-length"), fields.Values("transfer-encoding")
	switch {
	case len(lengths) == 0 && len(codings) == 0:
		return framing{}, nil
	case len(lengths)+len(codings) > 1:
		return framing{}, ambiguous("content-length %q and transfer-encoding %q", lengths, codings)
	case len(codings) == 1:
		if !strings.EqualFold(codings[0], "chunked") {
			return framing{}, ambiguous("transfer-encoding %q", codings)
		}
		return framing{chunked: true}, nil
	}
	// More than 63 bits are negative to some readers.
	length, err := strconv.ParseUint(lengths[0], 10, 63)
	if err != nil {
		return framing{}, ambiguous("content-length %.100q", lengths)
	}
	return framing{hasLength: true, length: int64(length)}, nil
}

// readLength returns what came, whole or not.
func readLength(r *bufio.Reader, length int64) (string, error) {
	body, err := io.ReadAll(io.LimitReader(r, min(length, longestBody)))
	if err == nil && int64(len(body)) < length {
		err = io.ErrUnexpectedEOF
	}
	return string(body), err
}

func readAll(r *bufio.Reader) (string, error) {
	body, err := io.ReadAll(io.LimitReader(r, longestBody))
	return string(body), err
}

func readChunks(r *bufio.Reader) (string, Fields, error) {
	var body strings.Builder
	for {
		line, err := readLine(r)
		if err != nil {
			return body.String(), nil, unexpected(err)
		}
		size, err := chunkSize(line)
		if err != nil {
			return body.String(), nil, err
		}
		if size == 0 {
			trailers, err := readFields(r)
			return body.String(), trailers, err
		}
		if body.Len()+size > longestBody {
			return body.String(), nil, ambiguous("a body of more than %d bytes", longestBody)
		}
		data, err := readLength(r, int64(size))
		body.WriteString(data)
		if err != nil {
			return body.String(), nil, err
		}
		if end, err := readLine(r); err != nil || end != "" {
			if err == nil {
				err = ambiguous("a chunk of %d bytes goes on with %.20q", size, end)
			}
			return body.String(), nil, unexpected(err)
		}
	}
}

// chunkSize takes hexadecimal digits and nothing else: whoever forwards chunks has no reason to add
// an extension.
func chunkSize(line string) (int, error) {
	size, err := strconv.ParseUint(line, 16, 31)
	if err != nil || len(line) > 16 {
		return 0, ambiguous("chunk size %.40q", line)
	}
	return int(size), nil
}
