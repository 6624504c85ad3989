package echo

import (
	"encoding/binary"
	"strconv"
	"strings"

	"selvedge.dev/conformance/h2"
)

// The backend as a gRPC service of raw bytes: messages are sent back as they came. The orders:
//
//	x-echo-grpc-status: 5        the status; 0 by default
//	x-echo-grpc-message: text    the message of the status
//	x-echo-messages: 3           that many messages, each with the backend's name, in place of those that came
//	x-echo-grpc: trailers-only   the status in the head, and nothing else
//	x-echo-grpc: stream          each message is sent back as it comes (bidirectional streaming)
//	x-echo-grpc: none            HTTP without anything of gRPC
//	x-echo-attempts: grpc 14     trailers-only with that status for an attempt
//
// Headers, trailers, delays and breaks are those of other requests.

// isGRPC says whether the request wants a gRPC answer.
func (q *request) isGRPC() bool {
	return strings.HasPrefix(q.header("content-type"), "application/grpc") && q.order("grpc") != "none"
}

// Message frames one gRPC message.
func Message(text string) []byte {
	framed := make([]byte, 5, 5+len(text))
	binary.BigEndian.PutUint32(framed[1:], uint32(len(text)))
	return append(framed, text...)
}

// Messages takes a body of gRPC messages apart; false if it is not one.
func Messages(body []byte) ([]string, bool) {
	messages := []string{}
	for len(body) > 0 {
		if len(body) < 5 {
			return nil, false
		}
		size := uint64(binary.BigEndian.Uint32(body[1:5]))
		if size > uint64(len(body)-5) {
			return nil, false
		}
		messages = append(messages, string(body[5:5+size]))
		body = body[5+size:]
	}
	return messages, true
}

func (s *stream) answerGRPC(q *request) {
	status := q.order("grpc-status")
	if status == "" {
		status = "0"
	}
	if q.order("grpc") == "trailers-only" {
		s.trailersOnly(status, q.order("grpc-message"))
		return
	}
	s.informational(q)
	if s.Send(grpcHead(q), false) != nil {
		return
	}
	pause(q.order("body-delay"))
	body := q.content
	if count, err := strconv.Atoi(q.order("messages")); err == nil {
		body = nil
		for range min(count, longestMessage) {
			body = append(body, Message(s.connection.server.Name)...)
		}
	}
	if size, err := strconv.Atoi(q.order("size")); err == nil && size <= longestBody {
		body = Message(strings.Repeat("x", size))
	}
	what, code, _ := strings.Cut(q.order("break"), " ")
	if number, found := h2.Code(code); found && what == "body" {
		_ = s.SendData(body[:len(body)/2], false)
		_ = s.SendReset(number)
		return
	}
	if s.SendData(body, false) == nil {
		pause(q.order("end-delay"))
		_ = s.Send(grpcTrailers(q, status), true)
	}
}

func grpcHead(q *request) []h2.Field {
	return append([]h2.Field{{Name: ":status", Value: "200"}, {Name: "content-type", Value: "application/grpc"}}, fieldsOf(q.headerLines())...)
}

func grpcTrailers(q *request, status string) []h2.Field {
	trailers := []h2.Field{{Name: "grpc-status", Value: status}}
	if message := q.order("grpc-message"); message != "" {
		trailers = append(trailers, h2.Field{Name: "grpc-message", Value: message})
	}
	return append(trailers, fieldsOf(q.answer["trailer"])...)
}

func (s *stream) trailersOnly(status, message string) {
	fields := []h2.Field{{Name: ":status", Value: "200"}, {Name: "content-type", Value: "application/grpc"}, {Name: "grpc-status", Value: status}}
	if message != "" {
		fields = append(fields, h2.Field{Name: "grpc-message", Value: message})
	}
	_ = s.Send(fields, true)
}

// sendMessagesBack is bidirectional streaming: what comes goes back at once.
func (s *stream) sendMessagesBack(q *request) {
	if s.Send(grpcHead(q), false) != nil {
		return
	}
	for {
		event := s.next()
		if event.Kind == h2.Reset || event.Kind == h2.Ended {
			return
		}
		if len(event.Data) > 0 && s.SendData(event.Data, false) != nil {
			return
		}
		if event.End {
			_ = s.Send(grpcTrailers(q, "0"), true)
			return
		}
	}
}
