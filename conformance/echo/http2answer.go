package echo

import (
	"strconv"
	"strings"

	"golang.org/x/net/http2"

	"selvedge.dev/conformance/h2"
)

// answer is connection.answer over HTTP/2. Framing "length" announces the body's length, all others do
// not. Beside those of HTTP/1 there are these orders (CODE is an error code such as CANCEL):
//
//	x-echo-break: stream CODE    RST_STREAM in place of an answer
//	x-echo-break: body CODE      RST_STREAM in the middle of the body
//	x-echo-break: end CODE       RST_STREAM in place of END_STREAM
//	x-echo-break: goaway CODE    GOAWAY that excludes the request
//	x-echo-goaway: CODE          GOAWAY that includes the request, then the answer
//	x-echo-show: order           a header x-order with the request's number on its connection
//	x-echo-report-end: yes       tell what was seen after the answer, with the reset that followed, if one did
//
// The first four are attempts, too. A gRPC request gets its own bytes back, see grpc.go.
func (s *stream) answer(q *request) {
	pause(q.order("delay"))
	status, broken := q.plan(s.connection.server)
	what, code, _ := strings.Cut(broken, " ")
	number, _ := h2.Code(code)
	if code, found := h2.Code(q.order("goaway")); found {
		_ = s.GoAway(code, true)
	}
	switch {
	case what == "reset":
		s.connection.reset()
	case what == "close":
		_ = s.connection.conn.Close()
	case what == "stream":
		_ = s.SendReset(number)
	case what == "goaway":
		_ = s.GoAway(number, false)
	case what == "grpc":
		s.trailersOnly(code, q.order("grpc-message"))
	case q.isGRPC():
		s.answerGRPC(q)
	default:
		s.respond(q, status, what, number)
	}
}

func (s *stream) respond(q *request, status int, broken string, code http2.ErrCode) {
	s.informational(q)
	pause(q.order("head-delay"))
	body := q.body(s.connection.server.Name)
	if q.seen.Method == "HEAD" || q.order("framing") == "none" || status == 204 || status == 304 {
		body = ""
	}
	head := []h2.Field{{Name: ":status", Value: strconv.Itoa(status)}}
	for _, line := range q.headerLines() {
		head = append(head, h2.ParseLine(line))
	}
	if q.order("show") == "order" {
		head = append(head, h2.Field{Name: "x-order", Value: strconv.Itoa(s.order)})
	}
	if q.order("framing") == "" && status != 204 && status != 304 {
		length := len(q.body(s.connection.server.Name))
		head = append(head, h2.Field{Name: "content-length", Value: strconv.Itoa(length)})
	}
	trailers := fieldsOf(q.answer["trailer"])
	headAlone := body == "" && len(trailers) == 0 && broken == ""
	if status == 204 || status == 304 {
		// A client waits for no body here. What follows goes with the head, or the client would end the exchange before it.
		s.Connection().Hold()
		defer func() { _ = s.Connection().Release() }()
	}
	if s.Send(head, headAlone) != nil || headAlone {
		return
	}
	pause(q.order("body-delay"))
	switch {
	case broken == "body" && q.order("break") == "body":
		_ = s.SendData([]byte(body[:len(body)/2]), false)
		_ = s.connection.conn.Close()
		return
	case broken == "body":
		_ = s.SendData([]byte(body[:len(body)/2]), false)
		_ = s.SendReset(code)
		return
	case broken == "end":
		_ = s.SendData([]byte(body), false)
		_ = s.SendReset(code)
		return
	}
	if s.SendData([]byte(body), len(trailers) == 0) == nil && len(trailers) > 0 {
		pause(q.order("end-delay"))
		_ = s.Send(trailers, true)
	}
}

func (s *stream) informational(q *request) {
	for _, status := range q.answer["informational"] {
		_ = s.Send([]h2.Field{{Name: ":status", Value: status}, {Name: "link", Value: "</style.css>"}}, false)
	}
}

func fieldsOf(lines []string) []h2.Field {
	var fields []h2.Field
	for _, line := range lines {
		fields = append(fields, h2.ParseLine(line))
	}
	return fields
}
