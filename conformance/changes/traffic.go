// Package changes alters every kind of configuration while connections are in use, and restarts the gateway,
// and counts what breaks: nothing may, but connections that were admitted under TLS that has become stricter,
// and at the end of a drain those whose protocol has no other end.
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
	kind    string
	connect func() (session, error)

	uses atomic.Int64
	mu   sync.Mutex
	// ends are how its connections ended.
	ends []error
}

// errAnnounced is the end of a connection that the gateway announces, so that nothing is lost.
var errAnnounced = errors.New("the gateway announced the end of the connection")

// session is one connection in use.
type session interface {
	// use sends something and wants the right answer, within useLimit.
	use() error
	io.Closer
}

// newStreams makes the traffic towards one gateway.
func newStreams(address string) []*stream {
	clear, tls := plain(address, 80), secure(address, 8443, "http/1.1")
	var streams []*stream
	add := func(kind string, count int, connect func() (session, error)) {
		for range count {
			streams = append(streams, &stream{kind: kind, connect: connect})
		}
	}
	add("new", 2, fresh(clear))
	add("new-tls", 1, fresh(tls))
	add("http", 4, over(clear, nil, request))
	add("https", 2, over(tls, nil, request))
	add("tcp", 2, over(plain(address, 8110), nil, line))
	add("websocket", 2, over(clear, webSocket, message))
	add("wss", 2, over(tls, webSocket, message))
	add("h2c", 2, overHTTP2(clear))
	add("h2", 2, overHTTP2(secure(address, 8443, "h2")))
	add("grpc", 2, callOver(clear))
	add("grpcs", 2, callOver(secure(address, 8443, "h2")))
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

// freshSession is a connection for each request.
type freshSession func() (net.Conn, error)

func fresh(dial func() (net.Conn, error)) func() (session, error) {
	return func() (session, error) { return freshSession(dial), nil }
}

func (s freshSession) use() error {
	connection, err := s()
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }()
	if err := connection.SetDeadline(time.Now().Add(useLimit)); err != nil {
		return err
	}
	// Whoever has just connected may be told that this is the last answer.
	if err := request(connection, bufio.NewReader(connection)); !errors.Is(err, errAnnounced) {
		return err
	}
	return nil
}

func (s freshSession) Close() error { return nil }

func (s *stream) runOne(stop <-chan struct{}) error {
	session, err := s.connect()
	if err != nil {
		return err
	}
	defer func() { _ = session.Close() }()
	for {
		if err := session.use(); err != nil {
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
	s.ends = append(s.ends, err)
}

// take returns how connections ended since the last time.
func (s *stream) take() []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ends := s.ends
	s.ends = nil
	return ends
}

// hasEnded says whether a connection ended since the last time.
func (s *stream) hasEnded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ends) > 0
}

// plainSession is a connection whose bytes the traffic itself reads and writes.
type plainSession struct {
	net.Conn
	reader *bufio.Reader
	talk   func(net.Conn, *bufio.Reader) error
}

// over uses a connection by talk, after open has prepared it; open may be nil.
func over(dial func() (net.Conn, error), open, talk func(net.Conn, *bufio.Reader) error) func() (session, error) {
	return func() (session, error) {
		connection, err := dial()
		if err != nil {
			return nil, err
		}
		s := &plainSession{connection, bufio.NewReader(connection), talk}
		if open == nil {
			return s, nil
		}
		if err = connection.SetDeadline(time.Now().Add(useLimit)); err == nil {
			err = open(connection, s.reader)
		}
		if err != nil {
			_ = connection.Close()
			return nil, err
		}
		return s, nil
	}
}

func (s *plainSession) use() error {
	if err := s.SetDeadline(time.Now().Add(useLimit)); err != nil {
		return err
	}
	return s.talk(s.Conn, s.reader)
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
		return errAnnounced
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

func secure(address string, port int, protocol string) func() (net.Conn, error) {
	return func() (net.Conn, error) { return handshake(address, port, "changes.test", protocol) }
}

// handshake opens a TLS connection without verifying the gateway, and without a client certificate.
func handshake(address string, port int, name, protocol string) (*tls.Conn, error) {
	config := &tls.Config{ServerName: name, InsecureSkipVerify: true, NextProtos: []string{protocol}}
	return tls.DialWithDialer(&net.Dialer{Timeout: useLimit}, "tcp", fmt.Sprintf("%s:%d", address, port), config)
}
