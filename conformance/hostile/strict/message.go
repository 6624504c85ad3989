package strict

import (
	"bufio"
	"strings"
)

// Request is a request with one meaning. Body, Trailers and Complete are set by ReadBody.
type Request struct {
	Method, Target string
	Fields         Fields
	Body           string
	Trailers       Fields
	// Complete says that the body came to its end.
	Complete bool

	framing framing
}

// Line is the method and target.
func (r *Request) Line() string { return r.Method + " " + r.Target }

// ReadRequestHead reads up to the empty line. io.EOF means that nothing came.
func ReadRequestHead(r *bufio.Reader) (*Request, error) {
	line, err := readLine(r)
	if err != nil {
		return nil, err
	}
	words := strings.Split(line, " ")
	if len(words) != 3 || !isToken(words[0]) || !isTarget(words[1]) || words[2] != "HTTP/1.1" {
		return nil, ambiguous("not a request line: %.100q", line)
	}
	request := &Request{Method: words[0], Target: words[1]}
	if request.Fields, err = readFields(r); err != nil {
		return request, err
	}
	if hosts := request.Fields.Values("host"); len(hosts) != 1 || hosts[0] == "" || strings.ContainsAny(hosts[0], " \t,/@") {
		return request, ambiguous("the host is %q", hosts)
	}
	request.framing, err = framingOf(request.Fields)
	return request, err
}

// ReadBody reads the body and the trailers.
func (r *Request) ReadBody(reader *bufio.Reader) error {
	var err error
	switch {
	case r.framing.chunked:
		r.Body, r.Trailers, err = readChunks(reader)
	case r.framing.hasLength:
		r.Body, err = readLength(reader, r.framing.length)
	}
	r.Complete = err == nil
	return err
}

// Response is a response with one meaning.
type Response struct {
	Status   int
	Fields   Fields
	Body     string
	Trailers Fields
	// UntilClose says that the end of the connection is the end of the body.
	UntilClose bool
	// Complete says that the body came to its end.
	Complete bool
}

// ReadResponse reads a response to a request of that method, interim responses included.
// io.EOF means that nothing came.
func ReadResponse(r *bufio.Reader, method string) (*Response, error) {
	line, err := readLine(r)
	if err != nil {
		return nil, err
	}
	status, err := parseStatusLine(line)
	if err != nil {
		return nil, err
	}
	response := &Response{Status: status}
	if response.Fields, err = readFields(r); err != nil {
		return response, err
	}
	framing, err := framingOf(response.Fields)
	if err != nil {
		return response, err
	}
	if status < 200 || status == 204 {
		if framing.chunked || framing.hasLength {
			return response, ambiguous("a %d with a length", status)
		}
	}
	switch {
	case status < 200 || status == 204 || status == 304 || method == "HEAD":
	case framing.chunked:
		response.Body, response.Trailers, err = readChunks(r)
	case framing.hasLength:
		response.Body, err = readLength(r, framing.length)
	default:
		response.UntilClose = true
		response.Body, err = readAll(r)
	}
	response.Complete = err == nil
	return response, err
}

func parseStatusLine(line string) (int, error) {
	rest, found := strings.CutPrefix(line, "HTTP/1.1 ")
	status := 0
	for i := 0; found && i < 3; i++ {
		if i >= len(rest) || rest[i] < '0' || rest[i] > '9' {
			found = false
			break
		}
		status = status*10 + int(rest[i]-'0')
	}
	if !found || status < 100 || len(rest) > 3 && rest[3] != ' ' {
		return 0, ambiguous("not a status line: %.100q", line)
	}
	return status, nil
}

// isTarget takes visible ASCII only.
func isTarget(text string) bool {
	for i := range len(text) {
		if text[i] <= ' ' || text[i] >= 0x7f {
			return false
		}
	}
	return text != ""
}
