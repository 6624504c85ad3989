package echo

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"time"

	"selvedge.dev/conformance/h2"
)

// preface is how a client of HTTP/2 begins; no method of HTTP/1 is like it.
const preface = "PRI * HTTP/2.0"

// speaksHTTP2 says whether the client begins with the preface of HTTP/2, whatever was agreed on in TLS.
func speaksHTTP2(reader *bufio.Reader) bool {
	start, err := reader.Peek(len(preface))
	return err == nil && string(start) == preface
}

// http2 serves the streams of one connection, side by side.
func (c *connection) http2(reader *bufio.Reader) {
	_ = c.conn.SetReadDeadline(time.Time{})
	framed := h2.Server(c.conn, reader)
	if h2.ReadPreface(reader) != nil || framed.Open() != nil {
		return
	}
	orders := make(chan int, 1)
	orders <- 1
	_ = framed.Run(func(s *h2.Stream) {
		order := <-orders
		orders <- order + 1
		(&stream{Stream: s, connection: c, order: order}).serve()
	})
}

// stream is one request of an HTTP/2 connection.
type stream struct {
	*h2.Stream
	connection *connection
	order      int
}

// next returns the next event of the request; without one for a long time the stream is over.
func (s *stream) next() h2.Event {
	event, ok := s.Next(idleLimit)
	if !ok {
		return h2.Event{Kind: h2.Ended}
	}
	return event
}

func (s *stream) serve() {
	head := s.next()
	q := s.request(head)
	c := s.connection
	switch {
	case q.order("early") != "":
		// An answer before the body has been read.
		c.server.reporter.report(&q.seen)
		s.answer(q)
		return
	case q.seen.ConnectProtocol != "" || q.seen.Method == http.MethodConnect:
		c.server.reporter.report(&q.seen)
		s.tunnel(q)
		return
	case q.order("grpc") == "stream":
		c.server.reporter.report(&q.seen)
		s.sendMessagesBack(q)
		return
	}
	if !head.End {
		if strings.EqualFold(q.header("expect"), "100-continue") && q.order("no-continue") == "" {
			_ = s.Send([]h2.Field{{Name: ":status", Value: "100"}}, false)
		}
		s.readBody(q)
	}
	if q.order("report-end") == "" {
		c.server.reporter.report(&q.seen)
	}
	if q.seen.Reset == "" {
		s.answer(q)
	}
	if q.order("report-end") != "" {
		s.awaitReset(q)
		c.server.reporter.report(&q.seen)
	}
}

// request is what the head says.
func (s *stream) request(head h2.Event) *request {
	q := &request{answer: map[string][]string{}}
	c := s.connection
	q.seen.Protocol, q.seen.Framing = "HTTP/2", "none"
	q.seen.Pod, q.seen.Port, q.seen.TLS, q.seen.Connection, q.seen.Order = c.server.Name, c.port, c.tls, c.number, s.order
	pseudo := map[string]*string{
		":method": &q.seen.Method, ":path": &q.seen.Target, ":authority": &q.seen.Authority, ":scheme": &q.seen.Scheme,
		":protocol": &q.seen.ConnectProtocol,
	}
	for _, field := range head.Fields {
		if target, known := pseudo[field.Name]; known {
			*target = field.Value
			continue
		}
		q.seen.Headers = append(q.seen.Headers, field.Line())
		if order, found := strings.CutPrefix(field.Name, "x-echo-"); found {
			q.answer[order] = append(q.answer[order], field.Value)
		}
	}
	q.addressedTo(c.server.Name)
	q.seen.ID = q.header("x-echo-id")
	q.seen.Malformed = malformed(head.Fields)
	return q
}

// malformed says what RFC 9113, section 8, forbids in a request's head.
func malformed(fields []h2.Field) string {
	var wrong []string
	regular, seen := false, map[string]bool{}
	for _, field := range fields {
		pseudo := strings.HasPrefix(field.Name, ":")
		switch {
		case field.Name != strings.ToLower(field.Name):
			wrong = append(wrong, "upper case in "+field.Name)
		case pseudo && regular:
			wrong = append(wrong, field.Name+" behind other fields")
		case pseudo && seen[field.Name]:
			wrong = append(wrong, field.Name+" twice")
		case strings.ContainsAny(field.Value, "\r\n\x00"):
			wrong = append(wrong, "a line's end in "+field.Name)
		case field.Name == "connection", field.Name == "keep-alive", field.Name == "proxy-connection",
			field.Name == "transfer-encoding", field.Name == "upgrade", field.Name == "te" && field.Value != "trailers":
			wrong = append(wrong, field.Name+" is of the connection")
		}
		regular, seen[field.Name] = regular || !pseudo, true
	}
	return strings.Join(wrong, ", ")
}

// readBody reads until the request ends, one way or another.
func (s *stream) readBody(q *request) {
	q.seen.Framing = "frames"
	if q.header("content-length") != "" {
		q.seen.Framing = "length"
	}
	var body []byte
	for ended := false; !ended; {
		event := s.next()
		ended = event.End
		switch event.Kind {
		case h2.Data:
			if len(body)+len(event.Data) > longestBody {
				ended = true
			}
			body = append(body, event.Data...)
		case h2.Head:
			for _, field := range event.Fields {
				q.seen.Trailers = append(q.seen.Trailers, field.Line())
			}
		default:
			q.broken(event)
			ended = true
		}
	}
	q.content, q.seen.Body = body, describeBody(body)
}

// broken notes how a request ended that was not complete.
func (q *request) broken(event h2.Event) {
	q.seen.Reset = "the connection ended"
	if event.Kind == h2.Reset {
		q.seen.Reset = event.Code.String()
	}
	q.seen.Framing += " incomplete"
}

// awaitReset notes whether the client of the stream ends it behind its request.
func (s *stream) awaitReset(q *request) {
	for q.seen.Reset == "" {
		event, ok := s.Next(resetLimit)
		if !ok {
			return
		}
		if event.Kind == h2.Reset {
			q.seen.Reset = event.Code.String()
		} else if event.Kind == h2.Ended {
			q.seen.Reset = "the connection ended"
		}
	}
}

// resetLimit is how long a reset behind the request is waited for.
const resetLimit = 1500 * time.Millisecond

// tunnel answers a CONNECT: an extended one (RFC 8441) for WebSocket as that, any other by sending back
// what comes.
func (s *stream) tunnel(q *request) {
	if status := q.order("status"); status != "" {
		_ = s.Send([]h2.Field{{Name: ":status", Value: status}}, true)
		return
	}
	if s.Send([]h2.Field{{Name: ":status", Value: "200"}}, false) != nil {
		return
	}
	if q.seen.ConnectProtocol == "websocket" {
		_ = serveWebSocket(&streamBytes{stream: s}, q.order("websocket-close"))
		_ = s.SendData(nil, true)
		return
	}
	_, _ = io.Copy(&streamBytes{stream: s}, &streamBytes{stream: s})
	_ = s.SendData(nil, true)
}

// streamBytes is the body of a stream as bytes to read and to write.
type streamBytes struct {
	stream *stream
	left   []byte
	end    bool
}

func (b *streamBytes) Read(data []byte) (int, error) {
	for len(b.left) == 0 {
		if b.end {
			return 0, io.EOF
		}
		event := b.stream.next()
		b.left, b.end = event.Data, event.End || event.Kind != h2.Data
	}
	size := copy(data, b.left)
	b.left = b.left[size:]
	return size, nil
}

func (b *streamBytes) Write(data []byte) (int, error) {
	if err := b.stream.SendData(data, false); err != nil {
		return 0, err
	}
	return len(data), nil
}
