// Package backend is what stands behind the proxies: one thread over epoll, so cheap that on its core
// there is room for the load generator too.
package backend

import (
	"errors"
	"fmt"
	"math"
	"runtime"

	"golang.org/x/sys/unix"
)

// The ports that the backend serves on 127.0.0.1.
const (
	// HTTP answers GET /0, /1k and /64k with as many bytes.
	HTTP = 7001
	// Echo sends back what it gets.
	Echo = 7002
	// Sink reads and forgets.
	Sink = 7003
	// Source writes as long as somebody reads.
	Source = 7004
	// GRPC answers every call over HTTP/2 with a message of 100 bytes.
	GRPC = 7005
	// HTTP2 answers every request over HTTP/2 with 1 KB.
	HTTP2 = 7006
	// MutualTLS is where a server of its own answers HTTP/1 over TLS with 1 KB, and wants a certificate.
	MutualTLS = 7007
)

const (
	eventsPerWait = 512
	backlog       = 4096
	// chunk is what is read or written at once in bulk.
	chunk = 256 << 10
)

// service is what a port does with a connection that can be read or written.
type service int

const (
	http service = iota
	echo
	sink
	source
	http2Server
)

var ports = map[int]service{HTTP: http, Echo: echo, Sink: sink, Source: source, GRPC: http2Server, HTTP2: http2Server}

// connection is one accepted socket. A listening socket has none.
type connection struct {
	service service
	// partial is the beginning of a request that has not arrived whole.
	partial []byte
	// pending is what could not be written yet.
	pending []byte
	// filler is how many bytes more are sent after what is pending.
	filler int
	// writing says that epoll waits for room to write.
	writing bool
	// streams is what HTTP/2 needs to know about the connection.
	streams *streams
}

type server struct {
	epoll       int
	listeners   map[int]service
	answers     map[int]*answer
	connections []*connection
	buffer      []byte
}

// Serve listens on all ports and serves until the process ends.
func Serve() error {
	runtime.LockOSThread()
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("epoll_create: %w", err)
	}
	s := &server{epoll: epoll, listeners: map[int]service{}, answers: map[int]*answer{}, buffer: make([]byte, chunk)}
	for port, service := range ports {
		if err := s.listen(port, service); err != nil {
			return fmt.Errorf("listen on %d: %w", port, err)
		}
	}
	events := make([]unix.EpollEvent, eventsPerWait)
	for {
		n, err := unix.EpollWait(epoll, events, -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("epoll_wait: %w", err)
		}
		for i := range max(n, 0) {
			s.handle(int(events[i].Fd), events[i].Events)
		}
	}
}

func (s *server) listen(port int, kind service) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	if err := unix.Listen(fd, backlog); err != nil {
		return err
	}
	s.listeners[fd] = kind
	s.answers[fd] = http2Answers[port]
	return unix.EpollCtl(s.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

func (s *server) handle(fd int, events uint32) {
	if fd >= len(s.connections) || s.connections[fd] == nil {
		if kind, listening := s.listeners[fd]; listening {
			s.accept(fd, kind)
		}
		return
	}
	c := s.connections[fd]
	alive := true
	if events&unix.EPOLLOUT != 0 {
		alive = s.flush(fd, c)
	}
	if alive && events&^unix.EPOLLOUT != 0 {
		alive = s.read(fd, c)
	}
	if !alive {
		s.connections[fd] = nil
		_ = unix.Close(fd)
	}
}

func (s *server) accept(listener int, kind service) {
	for {
		fd, _, err := unix.Accept4(listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		for fd >= len(s.connections) {
			s.connections = append(s.connections, make([]*connection, 1024)...)
		}
		c := &connection{service: kind}
		switch kind {
		case source:
			c.filler, c.writing = math.MaxInt, true
		case http2Server:
			c.streams = &streams{answer: s.answers[listener], window: defaultWindow}
		}
		s.connections[fd] = c
		if err := unix.EpollCtl(s.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: interest(c), Fd: int32(fd)}); err != nil {
			s.connections[fd] = nil
			_ = unix.Close(fd)
		}
	}
}

func interest(c *connection) uint32 {
	if c.writing {
		return unix.EPOLLIN | unix.EPOLLOUT
	}
	return unix.EPOLLIN
}

// read takes what has arrived and acts on it; false ends the connection.
func (s *server) read(fd int, c *connection) bool {
	n, err := unix.Read(fd, s.buffer)
	if err != nil {
		return errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR)
	}
	if n == 0 {
		return false
	}
	switch c.service {
	case http:
		return s.answer(fd, c, s.buffer[:n])
	case echo:
		return s.write(fd, c, s.buffer[:n])
	case http2Server:
		reply, alive := c.streams.receive(s.buffer[:n])
		return s.write(fd, c, reply) && alive
	}
	return true
}

// write sends the bytes, keeping what does not fit for later; false ends the connection.
func (s *server) write(fd int, c *connection, data []byte) bool {
	if len(data) == 0 {
		return true
	}
	if len(c.pending) > 0 {
		c.pending = append(c.pending, data...)
		return true
	}
	n, err := unix.Write(fd, data)
	if err != nil && !errors.Is(err, unix.EAGAIN) {
		return false
	}
	if n = max(n, 0); n == len(data) {
		return true
	}
	c.pending = append(c.pending, data[n:]...)
	return s.watch(fd, c, true)
}

// flush sends what is pending, then filler, as far as it fits; false ends the connection.
func (s *server) flush(fd int, c *connection) bool {
	data := c.pending
	if len(data) == 0 {
		data = s.buffer[:min(c.filler, len(s.buffer))]
	}
	n, err := unix.Write(fd, data)
	if err != nil {
		return errors.Is(err, unix.EAGAIN)
	}
	if len(c.pending) > 0 {
		c.pending = c.pending[n:]
	} else {
		c.filler -= n
	}
	if len(c.pending) > 0 || c.filler > 0 {
		return true
	}
	c.pending = nil
	return s.watch(fd, c, false)
}

func (s *server) watch(fd int, c *connection, writing bool) bool {
	c.writing = writing
	return unix.EpollCtl(s.epoll, unix.EPOLL_CTL_MOD, fd, &unix.EpollEvent{Events: interest(c), Fd: int32(fd)}) == nil
}
