package differential

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"
	"time"

	"selvedge.dev/conformance/echo"
	"selvedge.dev/conformance/h2"
)

// settleLimit bounds the wait for what comes behind an answer.
const settleLimit = 2 * time.Second

// http2Exchange is one request over HTTP/2 while it goes on.
type http2Exchange struct {
	connection *h2.Connection
	stream     *h2.Stream
	heads      chan struct{} // one for each head that came
	data       chan struct{} // one for each DATA frame that came
}

// framed is the connection as one of HTTP/2, which it becomes with its first request.
func (c *connection) framed() *h2.Connection {
	if c.http2 == nil {
		c.http2 = h2.Client(c.Conn, c.reader)
		_ = c.http2.Open() // if the gateway is gone, Run learns of it, too
		go func(framed *h2.Connection) { _ = framed.Run(nil) }(c.http2)
	}
	return c.http2
}

// exchangeHTTP2 is exchange over HTTP/2.
func (c *connection) exchangeHTTP2(request *Request, outcome *Outcome) error {
	connection := c.framed()
	if request.Streams > 0 {
		c.exchangeStreams(request, outcome)
		return nil
	}
	e := newHTTP2Exchange(connection)
	sent := make(chan struct{})
	go func() { defer close(sent); e.play(request.script(outcome.id)) }()
	e.receive(request, outcome)
	if outcome.Result != "websocket" {
		connection.Settle(settleLimit)
		e.noteBehind(outcome)
	}
	// A script that waits for a window waits until the connection ends.
	if outcome.Result != "response" {
		return nil
	}
	select {
	case <-sent:
	case <-time.After(settleLimit):
	}
	return nil
}

func newHTTP2Exchange(connection *h2.Connection) *http2Exchange {
	return &http2Exchange{
		connection: connection, stream: connection.NewStream(),
		heads: make(chan struct{}, 64), data: make(chan struct{}, 1<<16),
	}
}

// await waits for a head or data of the answer.
func (e *http2Exchange) await(what string) {
	arrived := e.heads
	if what == "data" {
		arrived = e.data
	}
	select {
	case <-arrived:
	case <-time.After(awaitLimit):
	}
}

// exchangeStreams sends the request on several streams at once, as many as the gateway takes, and counts what
// came of them.
func (c *connection) exchangeStreams(request *Request, outcome *Outcome) {
	connection := c.framed()
	connection.AwaitSettings(settleLimit)
	slots := make(chan struct{}, max(1, min(request.Streams, connection.StreamLimit())))
	summaries := make(chan string, request.Streams)
	for range request.Streams {
		slots <- struct{}{}
		// Streams must begin in the order of their numbers, so the head goes out at once.
		e := newHTTP2Exchange(connection)
		frames := request.script(outcome.id)
		e.play(frames[:1])
		go e.play(frames[1:])
		go func() {
			one := &Outcome{id: outcome.id}
			e.receive(request, one)
			summaries <- one.Summary()
			<-slots
		}()
	}
	counts := map[string]int{}
	for range request.Streams {
		counts[<-summaries]++
	}
	outcome.Result = "lines"
	for _, summary := range sortedKeys(counts) {
		outcome.Lines = append(outcome.Lines, fmt.Sprintf("%d of %s", counts[summary], summary))
	}
}

// receive reads the answer until it ends, one way or another.
func (e *http2Exchange) receive(request *Request, outcome *Outcome) {
	deadline := time.Now().Add(answerLimit)
	var response *Response
	var body []byte
	defer func() {
		if response != nil {
			outcome.Result, outcome.Response = "response", response
			response.Body = shownContent(response, body)
		}
	}()
	for {
		event, ok := e.stream.Next(time.Until(deadline))
		switch {
		case !ok:
			outcome.Result = resultTimeout
		case event.Kind == h2.Abandoned:
			outcome.Result = resultAbandoned
		case event.Kind == h2.Reset, event.Kind == h2.Ended:
			outcome.Result = ending(event)
			if event.GoAway != nil {
				outcome.GoAway = event.GoAway.Code.String()
			}
		case event.Kind == h2.Head && response != nil:
			for _, field := range event.Fields {
				response.Trailers = append(response.Trailers, field.Line())
			}
		case event.Kind == h2.Head:
			head := responseOf(event.Fields)
			if head.Status < 200 && !event.End {
				outcome.Informational = append(outcome.Informational, head)
			} else {
				response = head
			}
			signal(e.heads)
			if request.WebSocket != nil && head.Status == 200 {
				head.Framing, outcome.Response, response = "websocket", head, nil
				e.webSocket(request, outcome, deadline)
				return
			}
		case event.Kind == h2.Data:
			body = append(body, event.Data...)
			signal(e.data)
		}
		if ok && event.End && event.Kind != h2.Reset && response != nil {
			response.Framing = "complete"
			return
		}
		if outcome.Result != "" {
			if response != nil {
				response.Framing = "incomplete: " + outcome.Result
			}
			return
		}
	}
}

func signal(arrived chan struct{}) {
	select {
	case arrived <- struct{}{}:
	default:
	}
}

// streamEnd is the error of a stream that ended too early: its text is the result.
type streamEnd string

func (s streamEnd) Error() string { return string(s) }

// ending is the result for a stream that ended without an answer.
func ending(event h2.Event) string {
	if event.Kind == h2.Reset {
		return "reset " + event.Code.String()
	}
	if event.GoAway != nil {
		return resultClosed + ", goaway " + event.GoAway.Code.String()
	}
	return failure(event.Err)
}

func responseOf(fields []h2.Field) *Response {
	response := &Response{Protocol: "HTTP/2"}
	for _, field := range fields {
		if field.Name == ":status" && response.Status == 0 {
			response.Status, _ = strconv.Atoi(field.Value)
			continue
		}
		response.Headers = append(response.Headers, field.Line())
	}
	return response
}

// shownContent is the body as text: gRPC messages taken apart, a long one by its digest.
func shownContent(response *Response, body []byte) string {
	if contentType := response.values("content-type"); len(contentType) > 0 && strings.HasPrefix(contentType[0], "application/grpc") {
		if messages, ok := echo.Messages(body); ok && len(body) <= shownBody {
			return strings.Join(messages, " | ")
		}
	}
	if len(body) > shownBody {
		return fmt.Sprintf("%d bytes, sha256 %x", len(body), sha256.Sum256(body))
	}
	return string(body)
}

// noteBehind notes what came behind the answer.
func (e *http2Exchange) noteBehind(outcome *Outcome) {
	for {
		event, ok := e.stream.Next(0)
		if !ok || event.Kind == h2.Ended {
			break
		}
		if event.Kind == h2.Reset {
			outcome.Behind = append(outcome.Behind, ending(event))
		}
	}
	if goAway := e.connection.GoAway(); goAway != nil && outcome.Result == "response" {
		outcome.Behind = append(outcome.Behind, "goaway "+goAway.Code.String())
	}
}

// awaitCloseHTTP2 is awaitClose over HTTP/2.
func (c *connection) awaitCloseHTTP2(outcome *Outcome) string {
	if err := c.SetReadDeadline(time.Now().Add(2 * closeLimit)); err != nil {
		return resultClosed
	}
	closed := "stays open"
	if c.framed().AwaitEnd(closeLimit) {
		closed = resultClosed
	}
	if goAway := c.framed().GoAway(); goAway != nil {
		outcome.GoAway = goAway.Code.String()
	}
	return closed
}
