// Package changes alters every kind of configuration while connections are in use, and counts what
// breaks: nothing may, but connections that were admitted under TLS that has become stricter.
package changes

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"selvedge.dev/conformance/echo"
)

const (
	// pace is the pause between two uses of one connection.
	pace = 5 * time.Millisecond
	// useLimit bounds one use.
	useLimit = 5 * time.Second
)

// stream is one connection that is used all the time.
type stream struct {
	kind string
	dial func() (net.Conn, error)
	// open prepares a new connection; it may be nil.
	open func(net.Conn, *bufio.Reader) error
	use  func(net.Conn, *bufio.Reader) error

	uses atomic.Int64
	mu   sync.Mutex
	// breaks are what went wrong, each with the time.
	breaks []string
}

// newStreams makes the traffic towards one gateway.
func newStreams(address string) []*stream {
	var streams []*stream
	for range 4 {
		streams = append(streams, &stream{kind: "http", dial: plain(address, 80), use: request})
	}
	for range 2 {
		streams = append(streams, &stream{kind: "https", dial: secure(address, 8443), use: request})
		streams = append(streams, &stream{kind: "tcp", dial: plain(address, 8110), use: line})
		streams = append(streams, &stream{kind: "websocket", dial: plain(address, 80), open: webSocket, use: message})
		streams = append(streams, &stream{kind: "wss", dial: secure(address, 8443), open: webSocket, use: message})
	}
	return streams
}

// run uses the connection until stop closes. A broken connection is noted and made anew.
func (s *stream) run(stop <-chan struct{}) {
	for {
		if err := s.runOne(stop); err == nil {
			return
		} else {
			s.note(err)
		}
		select {
		case <-stop:
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (s *stream) runOne(stop <-chan struct{}) error {
	connection, err := s.dial()
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }()
	if err := connection.SetDeadline(time.Now().Add(useLimit)); err != nil {
		return err
	}
	reader := bufio.NewReader(connection)
	if s.open != nil {
		if err := s.open(connection, reader); err != nil {
			return err
		}
	}
	for {
		if err := connection.SetDeadline(time.Now().Add(useLimit)); err != nil {
			return err
		}
		if err := s.use(connection, reader); err != nil {
			return err
		}
		s.uses.Add(1)
		select {
		case <-stop:
			return nil
		case <-time.After(pace):
		}
	}
}

func (s *stream) note(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.breaks = append(s.breaks, err.Error())
}

// take returns what went wrong since the last time.
func (s *stream) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	breaks := s.breaks
	s.breaks = nil
	return breaks
}

// request sends one request and wants a 200 on a connection that stays open.
func request(connection net.Conn, reader *bufio.Reader) error {
	if _, err := io.WriteString(connection, "GET /load HTTP/1.1\r\nhost: changes.test\r\n\r\n"); err != nil {
		return err
	}
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	if response.Close {
		return errors.New("the gateway announced the end of the connection")
	}
	return response.Body.Close()
}

// line sends one line and wants it back.
func line(connection net.Conn, reader *bufio.Reader) error {
	if _, err := io.WriteString(connection, "hello\n"); err != nil {
		return err
	}
	_, err := reader.ReadString('\n')
	return err
}

func webSocket(connection net.Conn, reader *bufio.Reader) error {
	return echo.OpenWebSocket(connection, reader, "changes.test")
}

// message sends one message over a WebSocket and wants it back.
func message(connection net.Conn, reader *bufio.Reader) error {
	return echo.Say(connection, reader, "hello")
}

func plain(address string, port int) func() (net.Conn, error) {
	return func() (net.Conn, error) {
		return net.DialTimeout("tcp", fmt.Sprintf("%s:%d", address, port), useLimit)
	}
}

func secure(address string, port int) func() (net.Conn, error) {
	return func() (net.Conn, error) { return handshake(address, port, "changes.test") }
}

// handshake opens a TLS connection without verifying the gateway, and without a client certificate.
func handshake(address string, port int, name string) (*tls.Conn, error) {
	config := &tls.Config{ServerName: name, InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}}
	return tls.DialWithDialer(&net.Dialer{Timeout: useLimit}, "tcp", fmt.Sprintf("%s:%d", address, port), config)
}
