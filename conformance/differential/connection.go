package differential

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/http2"

	"selvedge.dev/conformance/certificate"
	"selvedge.dev/conformance/h2"
)

const (
	// dialLimit bounds connecting and the TLS handshake.
	dialLimit = 5 * time.Second
	// answerLimit bounds the wait for an answer.
	answerLimit = 8 * time.Second
	// closeLimit bounds the wait for a close; Envoy delays some of its closes by a second.
	closeLimit = 3 * time.Second
	// pieceDelay is the pause before each later piece of a request.
	pieceDelay = 100 * time.Millisecond
)

// connection is one client connection to a gateway.
type connection struct {
	net.Conn
	reader    *bufio.Reader
	handshake *Handshake
	http2     *h2.Connection // once HTTP/2 is spoken
	requests  int
}

// dial opens the connection that the request asks for.
func dial(ctx context.Context, address string, request *Request, identities certificate.Identities) (*connection, error) {
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	open := dialFromNewPort
	if request.Repeat > 0 {
		// Nobody looks for its log lines.
		open = dialFromAnyPort
	}
	raw, err := open(ctx, fmt.Sprintf("%s:%d", address, request.Port))
	if err != nil {
		return nil, err
	}
	c := &connection{Conn: raw}
	if request.Preface != "" {
		if _, err := io.WriteString(raw, crlf(request.Preface)); err != nil {
			return c, err
		}
	}
	if request.TLS != nil {
		config, err := request.TLS.config(identities)
		if err != nil {
			return c, err
		}
		secure := tls.Client(raw, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			return c, err
		}
		c.Conn, c.handshake = secure, describe(secure.ConnectionState())
	}
	c.reader = bufio.NewReader(c.Conn)
	return c, nil
}

// nextPort is the last client port that was used. Ports below those that the system chooses from
// are used one after the other: a port that comes back would mix up two connections' log lines.
var nextPort atomic.Int64

const firstPort, lastPort = 10000, 32000

func dialFromNewPort(ctx context.Context, address string) (net.Conn, error) {
	for {
		port := int(nextPort.Add(1)) + firstPort
		if port > lastPort {
			return nil, errors.New("out of client ports: one run opens too many connections")
		}
		dialer := &net.Dialer{LocalAddr: &net.TCPAddr{Port: port}}
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if !errors.Is(err, syscall.EADDRINUSE) && !errors.Is(err, syscall.EADDRNOTAVAIL) {
			return conn, err
		}
	}
}

func dialFromAnyPort(ctx context.Context, address string) (net.Conn, error) {
	dialer := &net.Dialer{}
	return dialer.DialContext(ctx, "tcp", address)
}

// exchange sends one request and reads its answer into the outcome.
func (c *connection) exchange(request *Request, outcome *Outcome) error {
	if err := c.SetDeadline(time.Now().Add(answerLimit)); err != nil {
		return err
	}
	if len(request.TCP) > 0 {
		return c.lines(request.TCP, outcome)
	}
	if strings.HasPrefix(request.Expect, "alert") {
		// Nothing is sent: a gateway that closes before it has read everything resets, and the alert may be lost with it.
		outcome.Result = "handshake"
		return c.confirmHandshake(answerLimit)
	}
	if request.http2() {
		return c.exchangeHTTP2(request, outcome)
	}
	// An early answer may come, and the connection end, while the request is still being sent.
	sent := make(chan struct{})
	go func() { defer close(sent); c.send(request, outcome.id) }()
	defer func() { <-sent }()
	if request.bytes(outcome.id) == "" {
		outcome.Result = "handshake"
		return c.confirmHandshake(pieceDelay)
	}
	for {
		response, err := readResponse(c.reader, request.method())
		if err != nil {
			return err
		}
		if response.Status >= 200 || response.Status == 101 {
			outcome.Result, outcome.Response = "response", response
			if response.Status == 101 && request.WebSocket != nil {
				talkWebSocket(struct {
					io.Reader
					io.Writer
				}{c.reader, c}, request.WebSocket, outcome)
			}
			return nil
		}
		outcome.Informational = append(outcome.Informational, response)
	}
}

func (c *connection) send(request *Request, id string) {
	if _, err := io.WriteString(c, request.bytes(id)); err != nil {
		return
	}
	for _, piece := range request.Then {
		time.Sleep(pieceDelay)
		if _, err := io.WriteString(c, withIdentity(crlf(piece), id)); err != nil {
			return
		}
	}
}

func (c *connection) lines(lines []string, outcome *Outcome) error {
	for _, line := range lines {
		if line != "" {
			if _, err := io.WriteString(c, line+"\n"); err != nil {
				return err
			}
		}
		answer, err := readLine(c.reader)
		if err != nil {
			return err
		}
		outcome.Lines = append(outcome.Lines, answer)
	}
	outcome.Result = "lines"
	return nil
}

// confirmHandshake waits for a late refusal: in TLS 1.3 the server judges the client's certificate
// after the client's handshake is done.
func (c *connection) confirmHandshake(limit time.Duration) error {
	if err := c.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	_, err := c.reader.ReadByte()
	if errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
		return nil
	}
	return err
}

// awaitClose says whether the gateway closes the connection.
func (c *connection) awaitClose(outcome *Outcome) string {
	if c.http2 != nil {
		return c.awaitCloseHTTP2(outcome)
	}
	if err := c.SetReadDeadline(time.Now().Add(closeLimit)); err != nil {
		return resultClosed
	}
	data, err := io.ReadAll(io.LimitReader(c.reader, shownBody))
	switch {
	case isTimeout(err):
		return "stays open"
	case len(data) > 0:
		return fmt.Sprintf("closed after %.200q", data)
	}
	return resultClosed
}

// failure is the outcome's result for an error.
func failure(err error) string {
	var alert tls.AlertError
	var operation *net.OpError
	var end streamEnd
	switch {
	case errors.As(err, &end):
		return string(end)
	case errors.As(err, &alert):
		return "alert " + strings.TrimPrefix(alert.Error(), "tls: ")
	case errors.As(err, &operation) && operation.Op == "remote error":
		return "alert " + strings.TrimPrefix(operation.Err.Error(), "tls: ")
	case errors.Is(err, http2.ErrFrameTooLarge):
		return resultNotHTTP2
	case errors.Is(err, syscall.ECONNREFUSED):
		return resultRefused
	case isTimeout(err):
		return resultTimeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return resultClosed
	}
	return "error: " + err.Error()
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
