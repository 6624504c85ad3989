package differential

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
	// longestHead bounds the head of a response.
	longestHead = 1 << 20
	// longestBody bounds its body.
	longestBody = 64 << 20
	// shownBody is the longest body that is compared and shown as text.
	shownBody = 4096
)

// Response is a response as it came.
type Response struct {
	Protocol string
	Status   int
	Reason   string
	// Headers are the lines as they came.
	Headers []string
	// Body is decoded; a long one is its length and digest.
	Body string
	// Framing is none, length, chunked or close; with " incomplete" behind it when the body broke off. Over
	// HTTP/2 it is complete, or incomplete and why. It is websocket behind an extended CONNECT.
	Framing string
	// Trailers are the lines behind a chunked body, or the fields behind one of HTTP/2.
	Trailers []string
}

// readResponse reads one response to a request of the given method.
func readResponse(r *bufio.Reader, method string) (*Response, error) {
	response, err := readHead(r)
	if err != nil {
		return nil, err
	}
	response.readBody(r, method)
	return response, nil
}

func readHead(r *bufio.Reader) (*Response, error) {
	line, err := readLine(r)
	if err != nil {
		return nil, err
	}
	protocol, rest, _ := strings.Cut(line, " ")
	code, reason, _ := strings.Cut(rest, " ")
	status, err := strconv.Atoi(code)
	if err != nil || !strings.HasPrefix(protocol, "HTTP/") {
		return nil, fmt.Errorf("not an HTTP/1 status line: %.100q", line)
	}
	response := &Response{Protocol: protocol, Status: status, Reason: reason}
	for size := 0; size < longestHead; {
		line, err := readLine(r)
		if err != nil {
			return nil, err
		}
		if line == "" {
			return response, nil
		}
		size += len(line)
		response.Headers = append(response.Headers, line)
	}
	return nil, errors.New("the head of the response is too long")
}

// readBody follows RFC 9112 section 6.3. A body that breaks off is part of the outcome, not an error.
func (r *Response) readBody(reader *bufio.Reader, method string) {
	var body []byte
	var err error
	switch lengths := r.values("content-length"); {
	case method == "HEAD" || r.Status < 200 || r.Status == 204 || r.Status == 304:
		r.Framing = "none"
	case len(r.values("transfer-encoding")) > 0:
		r.Framing = "chunked"
		body, r.Trailers, err = readChunked(reader)
	case len(lengths) > 0:
		r.Framing = "length"
		var length int64
		if length, err = strconv.ParseInt(lengths[0], 10, 64); err == nil {
			body = make([]byte, min(length, longestBody))
			var n int
			n, err = io.ReadFull(reader, body)
			body = body[:n]
		}
	default:
		r.Framing = "close"
		body, err = io.ReadAll(io.LimitReader(reader, longestBody))
	}
	if err != nil {
		r.Framing += " incomplete"
	}
	r.Body = string(body)
	if len(body) > shownBody {
		r.Body = fmt.Sprintf("%d bytes, sha256 %x", len(body), sha256.Sum256(body))
	}
}

func readChunked(reader *bufio.Reader) (body []byte, trailers []string, err error) {
	for {
		line, err := readLine(reader)
		if err != nil {
			return body, nil, err
		}
		size, err := strconv.ParseInt(strings.TrimSpace(strings.SplitN(line, ";", 2)[0]), 16, 32)
		if err != nil || size < 0 || int64(len(body))+size > longestBody {
			return body, nil, fmt.Errorf("odd chunk size %.40q", line)
		}
		if size == 0 {
			break
		}
		chunk := make([]byte, size+2)
		if _, err := io.ReadFull(reader, chunk); err != nil {
			return body, nil, err
		}
		body = append(body, chunk[:size]...)
	}
	for {
		line, err := readLine(reader)
		if err != nil || line == "" {
			return body, trailers, err
		}
		trailers = append(trailers, line)
	}
}

// values returns the values of a header, whatever the case of its name.
func (r *Response) values(name string) []string {
	var values []string
	for _, line := range r.Headers {
		candidate, value, _ := strings.Cut(line, ":")
		if strings.EqualFold(candidate, name) {
			values = append(values, strings.TrimSpace(value))
		}
	}
	return values
}

// grpcStatus is the status and message of a gRPC answer over HTTP/2: in the trailers, or in the head when
// there is nothing else.
func (r *Response) grpcStatus() (status string, isGRPC bool) {
	if r.Protocol != "HTTP/2" {
		return "", false
	}
	var message string
	for _, line := range append(append([]string(nil), r.Headers...), r.Trailers...) {
		switch name, value, _ := strings.Cut(line, ": "); name {
		case "grpc-status":
			status, isGRPC = value, true
		case "grpc-message":
			message = value
		}
	}
	return strings.TrimSpace(status + " " + message), isGRPC
}

func (r *Response) fields(prefix string, fields map[string]string) {
	fields[prefix+"status"] = strings.TrimSpace(fmt.Sprintf("%s %d %s", r.Protocol, r.Status, r.Reason))
	fields[prefix+"body"] = r.Body
	fields[prefix+"framing"] = r.Framing
	fields[prefix+"trailers"] = strings.Join(r.Trailers, " | ")
	headerFields(prefix, r.Headers, fields)
}

func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"), nil
}
