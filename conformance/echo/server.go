package echo

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Ports of the backend. Those of HTTP serve HTTP/1 and HTTP/2, as the client begins.
const (
	PortHTTP        = 8080 // HTTP
	PortHTTPS       = 8443 // HTTP over TLS
	PortMutual      = 8444 // HTTP over TLS that wants a client certificate
	PortIstio       = 8445 // HTTP over Istio's mutual TLS
	PortTCP         = 9000 // lines of text
	PortServerFirst = 9001 // lines of text, after a greeting
	PortTLS         = 9443 // lines of text over TLS
)

// idleLimit ends connections that nobody uses any more.
const idleLimit = 5 * time.Minute

// Server is one backend.
type Server struct {
	// Name is what the backend answers with.
	Name string
	// Collector is the URL that what was seen is sent to, or empty.
	Collector string
	// Certificates and IstioCertificates are folders with tls.crt, tls.key and ca.crt. Ports whose
	// folder is missing are not opened.
	Certificates, IstioCertificates string

	reporter    *reporter
	connections atomic.Int64
	mu          sync.Mutex
	attempts    map[string]int
}

// connection is one connection of a client.
type connection struct {
	server *Server
	conn   net.Conn
	number int64
	port   int
	tls    *TLS
}

// Run opens all ports and serves until one of them fails.
func (s *Server) Run() error {
	s.prepare()
	type port struct {
		number int
		tls    *tls.Config
		serve  func(*connection)
	}
	ports := []port{
		{PortHTTP, nil, (*connection).http},
		{PortTCP, nil, (*connection).lines},
		{PortServerFirst, nil, (*connection).greetThenLines},
	}
	if plain, mutual, err := serverTLS(s.Certificates, []string{"h2", "http/1.1"}); err == nil {
		ports = append(ports, port{PortHTTPS, plain, (*connection).http}, port{PortMutual, mutual, (*connection).http},
			port{PortTLS, withoutALPN(plain), (*connection).lines})
	} else {
		log.Printf("no TLS ports: %v", err)
	}
	if _, istio, err := serverTLS(s.IstioCertificates, []string{"istio-h2", "istio-http/1.1", "istio", "h2", "http/1.1"}); err == nil {
		ports = append(ports, port{PortIstio, istio, (*connection).http})
	}
	failed := make(chan error)
	for _, p := range ports {
		listener, err := net.Listen("tcp", fmt.Sprintf(":%d", p.number))
		if err != nil {
			return err
		}
		go func() { failed <- s.accept(listener, p.number, p.tls, p.serve) }()
	}
	log.Printf("%s serves %d ports", s.Name, len(ports))
	return <-failed
}

// ServeHTTP serves HTTP/1 and HTTP/2 in clear text until the listener is closed.
func (s *Server) ServeHTTP(listener net.Listener) error {
	s.prepare()
	return s.accept(listener, listener.Addr().(*net.TCPAddr).Port, nil, (*connection).http)
}

func (s *Server) prepare() {
	s.reporter = newReporter(s.Collector)
	s.attempts = map[string]int{}
}

func (s *Server) accept(listener net.Listener, port int, config *tls.Config, serve func(*connection)) error {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		c := &connection{server: s, conn: conn, number: s.connections.Add(1), port: port}
		go func() {
			defer func() { _ = c.conn.Close() }()
			if config != nil {
				if err := c.handshake(config); err != nil {
					log.Printf("port %d: %v", port, err)
					return
				}
			}
			serve(c)
		}()
	}
}

// http serves the requests of one connection.
func (c *connection) http() {
	reader := bufio.NewReader(c.conn)
	if speaksHTTP2(reader) {
		c.http2(reader)
		return
	}
	for order := 1; ; order++ {
		if err := c.conn.SetReadDeadline(time.Now().Add(idleLimit)); err != nil {
			return
		}
		q, err := readHead(reader)
		if err != nil {
			return
		}
		q.seen.Pod, q.seen.Port, q.seen.TLS = c.server.Name, c.port, c.tls
		q.seen.Connection, q.seen.Order = c.number, order
		q.addressedTo(c.server.Name)
		if q.order("early") != "" {
			// An answer before the body has been read.
			c.server.reporter.report(&q.seen)
			c.holdUntilEnd()
			c.answer(q)
			return
		}
		if q.order("upgrade") == "websocket" {
			c.server.reporter.report(&q.seen)
			_ = c.conn.SetReadDeadline(time.Time{})
			c.webSocket(q, reader)
			return
		}
		if strings.EqualFold(q.header("expect"), "100-continue") && q.order("no-continue") == "" {
			c.write("HTTP/1.1 100 Continue\r\n\r\n")
		}
		bodyError := q.readBody(reader)
		c.server.reporter.report(&q.seen)
		if bodyError != nil || !c.answer(q) {
			return
		}
	}
}

// lines answers each line with the backend's name and the line.
func (c *connection) lines() {
	scanner := bufio.NewScanner(c.conn)
	for scanner.Scan() {
		c.write(c.server.Name + ": " + scanner.Text() + "\n")
	}
}

func (c *connection) greetThenLines() {
	c.write(c.server.Name + " is ready\n")
	c.lines()
}

// attempt counts the attempts of one id and returns the order for this one.
func (s *Server) attempt(q *request) string {
	orders := strings.Split(q.order("attempts"), ",")
	if q.seen.ID == "" || orders[0] == "" {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	number := s.attempts[q.seen.ID]
	s.attempts[q.seen.ID]++
	if number >= len(orders) {
		return ""
	}
	return strings.TrimSpace(orders[number])
}

func (c *connection) handshake(config *tls.Config) error {
	secure := tls.Server(c.conn, config)
	if err := secure.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if err := secure.Handshake(); err != nil {
		return err
	}
	c.conn, c.tls = secure, describeTLS(secure.ConnectionState())
	return errors.Join(secure.SetDeadline(time.Time{}))
}
