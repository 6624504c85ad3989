package echo

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// longestDelay bounds what a request may ask for.
const longestDelay = 30 * time.Second

// answer sends what the request asked for and says whether the connection stays open. The orders:
//
//	x-echo-status: 404           the status; 200 by default
//	x-echo-attempts: 503, reset  what the first, second ... attempt of one id gets: a status, reset or close
//	x-echo-delay: 300ms          the pause before the head
//	x-echo-head-delay: 300ms     the pause between informational responses and the head
//	x-echo-body-delay: 300ms     the pause between head and body
//	x-echo-header: name: value   a response header, as often as wanted
//	x-echo-headers: 100          that many response headers
//	x-echo-header-size: 30000    a response header of that many letters
//	x-echo-body: text            the body; the backend's name and a line feed by default
//	x-echo-size: 100000          a body of that many letters
//	x-echo-framing: chunked      chunked, close (until the connection ends) or none; length by default
//	x-echo-trailer: name: value  a trailer of a chunked response
//	x-echo-informational: 103    an informational response first
//	x-echo-upgrade: websocket    a WebSocket that sends every message back
//	x-echo-raw: <base64>         these bytes in place of a response, then the connection ends
//	x-echo-only: p1, p2          the backends that all this is said to; all by default
//	x-echo-break: reset          reset or close in place of a response; body: the connection ends in the body
//
// http2answer.go has more for HTTP/2, grpc.go for gRPC.
func (c *connection) answer(q *request) bool {
	pause(q.order("delay"))
	status, broken := q.plan(c.server)
	switch {
	case broken == "reset":
		c.reset()
		return false
	case broken == "close":
		return false
	case q.order("raw") != "":
		return c.raw(q.order("raw"))
	}
	return c.respond(q, status, broken == "body")
}

// plan is the status of the answer, and what breaks it.
func (q *request) plan(server *Server) (status int, broken string) {
	status, broken = http.StatusOK, q.order("break")
	if text := q.order("status"); text != "" {
		status, _ = strconv.Atoi(text)
	}
	if attempt := server.attempt(q); attempt != "" {
		if number, err := strconv.Atoi(attempt); err == nil {
			status = number
		} else {
			broken = attempt
		}
	}
	return status, broken
}

func (c *connection) respond(q *request, status int, breakBody bool) bool {
	for _, informational := range q.answer["informational"] {
		c.write(fmt.Sprintf("HTTP/1.1 %s Informational\r\nlink: </style.css>\r\n\r\n", informational))
	}
	pause(q.order("head-delay"))
	body := q.body(c.server.Name)
	framing := q.order("framing")
	if framing == "" && (status == http.StatusNoContent || status == http.StatusNotModified) {
		framing = "none"
	}
	var head strings.Builder
	fmt.Fprintf(&head, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	for _, line := range q.headerLines() {
		head.WriteString(line + "\r\n")
	}
	switch framing {
	case "chunked":
		head.WriteString("transfer-encoding: chunked\r\n")
	case "close":
		head.WriteString("connection: close\r\n")
	case "none":
		body = ""
	default:
		fmt.Fprintf(&head, "content-length: %d\r\n", len(body))
	}
	head.WriteString("\r\n")
	c.write(head.String())
	pause(q.order("body-delay"))
	if q.seen.Method == http.MethodHead {
		body = ""
	}
	if breakBody {
		c.write(body[:len(body)/2])
		return false
	}
	if framing == "chunked" && q.seen.Method != http.MethodHead {
		body = chunked(body, q.answer["trailer"])
	}
	c.write(body)
	return framing != "close"
}

// headerLines are the response headers that were asked for.
func (q *request) headerLines() []string {
	lines := q.answer["header"]
	if count, err := strconv.Atoi(q.order("headers")); err == nil {
		for number := range min(count, longestHead) {
			lines = append(lines, fmt.Sprintf("x-%d: %d", number, number))
		}
	}
	if size, err := strconv.Atoi(q.order("header-size")); err == nil && size >= 0 && size <= longestLine {
		lines = append(lines, "x-long: "+strings.Repeat("x", size))
	}
	return lines
}

// longestHead bounds how many headers can be asked for.
const longestHead = 1000

// chunked writes the body as two chunks and the trailers behind them.
func chunked(body string, trailers []string) string {
	var text strings.Builder
	for _, half := range []string{body[:len(body)/2], body[len(body)/2:]} {
		if half != "" {
			fmt.Fprintf(&text, "%x\r\n%s\r\n", len(half), half)
		}
	}
	text.WriteString("0\r\n")
	for _, line := range trailers {
		text.WriteString(line + "\r\n")
	}
	text.WriteString("\r\n")
	return text.String()
}

func (q *request) body(name string) string {
	if size, err := strconv.Atoi(q.order("size")); err == nil && size >= 0 && size <= longestBody {
		return strings.Repeat("x", size)
	}
	if text := q.order("body"); text != "" {
		return text
	}
	return name + "\n"
}

// order returns one x-echo-* header without the prefix.
func (q *request) order(name string) string {
	if values := q.answer[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// addressedTo forgets all orders if they are for other backends than the one of this name.
func (q *request) addressedTo(name string) {
	only := q.order("only")
	if only == "" {
		return
	}
	for other := range strings.SplitSeq(only, ",") {
		if strings.TrimSpace(other) == name {
			return
		}
	}
	clear(q.answer)
}

func (c *connection) raw(text string) bool {
	if data, err := base64.StdEncoding.DecodeString(text); err == nil {
		c.holdUntilEnd()
		c.write(string(data))
	}
	return false
}

// holdUntilEnd makes what is written next leave in one segment with the FIN of the close that follows (TCP_CORK,
// tcp(7)). Without it a gateway may have the response some time before it learns of the end, take the connection for
// one that is kept alive and lose its next request on it: a race that says nothing about the gateway.
func (c *connection) holdUntilEnd() {
	tcp, ok := c.conn.(*net.TCPConn)
	if !ok {
		return
	}
	if raw, err := tcp.SyscallConn(); err == nil {
		_ = raw.Control(func(descriptor uintptr) {
			_ = syscall.SetsockoptInt(int(descriptor), syscall.IPPROTO_TCP, syscall.TCP_CORK, 1)
		})
	}
}

func (c *connection) write(text string) { _, _ = c.conn.Write([]byte(text)) }

// reset makes the connection end with a TCP reset.
func (c *connection) reset() {
	if tcp, ok := c.conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.conn.Close()
}

func pause(text string) {
	if delay, err := time.ParseDuration(text); err == nil && delay > 0 {
		time.Sleep(min(delay, longestDelay))
	}
}
