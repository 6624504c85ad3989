package load

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// sources is over how many addresses (127.0.0.2 and up) new connections are spread, so that those in
	// TIME_WAIT do not use up the ports of one.
	sources = 32
	// longestWait is after how long a connection counts as failed.
	longestWait = 5 * time.Second
)

// attempt is one connection from its start to its end.
type attempt struct {
	fd       int
	sent     bool
	received []byte
	deadline time.Time
}

// connector opens connections, sends one request on each and closes it when the answer has come.
type connector struct {
	Result
	job     Job
	epoll   int
	request []byte
	// attempts by file descriptor.
	attempts map[int]*attempt
	opened   int
	buffer   []byte
}

func newConnections(job Job) Result {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return Result{Errors: 1, FirstError: err.Error()}
	}
	c := &connector{job: job, epoll: epoll, request: request(job.Path, ""), attempts: map[int]*attempt{}, buffer: make([]byte, 64<<10)}
	c.run(time.Now().Add(job.Duration))
	return c.Result
}

func (c *connector) run(end time.Time) {
	events := make([]unix.EpollEvent, 128)
	nextSweep := time.Now().Add(time.Second)
	for now := time.Now(); now.Before(end); now = time.Now() {
		for len(c.attempts) < c.job.Connections {
			if err := c.open(now); err != nil {
				c.fail(err)
				if c.Errors > 1000 {
					return
				}
			}
		}
		n, err := unix.EpollWait(c.epoll, events, 100)
		if err != nil && !errors.Is(err, unix.EINTR) {
			c.fail(err)
			return
		}
		for i := range max(n, 0) {
			c.advance(c.attempts[int(events[i].Fd)])
		}
		if now.After(nextSweep) {
			c.sweep(now)
			nextSweep = now.Add(time.Second)
		}
	}
	for fd := range c.attempts {
		_ = unix.Close(fd)
	}
}

func (c *connector) open(now time.Time) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	c.opened++
	source := byte(2 + c.opened%sources)
	if err := connectFrom(fd, source, c.job.Port); err != nil {
		_ = unix.Close(fd)
		return err
	}
	c.attempts[fd] = &attempt{fd: fd, deadline: now.Add(longestWait)}
	return unix.EpollCtl(c.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLOUT, Fd: int32(fd)})
}

func connectFrom(fd int, source byte, port int) error {
	// The port is chosen by connect, which knows the destination, and not by bind.
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
		return err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, source}}); err != nil {
		return err
	}
	err := unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
	if errors.Is(err, unix.EINPROGRESS) {
		return nil
	}
	return err
}

func (c *connector) advance(a *attempt) {
	if a == nil {
		return
	}
	if !a.sent {
		if err := c.send(a); err != nil {
			c.finish(a, err)
		}
		return
	}
	n, err := unix.Read(a.fd, c.buffer)
	switch {
	case errors.Is(err, unix.EAGAIN):
		return
	case err != nil:
		c.finish(a, err)
		return
	case n == 0:
		c.finish(a, fmt.Errorf("closed after %d bytes of the answer", len(a.received)))
		return
	}
	data := c.buffer[:n]
	if len(a.received) > 0 {
		a.received = append(a.received, data...)
		data = a.received
	}
	end, err := responseEnd(data)
	if err != nil || end > 0 {
		c.finish(a, err)
		return
	}
	a.received = append(a.received[:0], data...)
}

func (c *connector) send(a *attempt) error {
	n, err := unix.Write(a.fd, c.request)
	if err != nil {
		return err
	}
	if n != len(c.request) {
		return fmt.Errorf("only %d bytes of the request fitted", n)
	}
	a.sent = true
	return unix.EpollCtl(c.epoll, unix.EPOLL_CTL_MOD, a.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(a.fd)})
}

func (c *connector) finish(a *attempt, err error) {
	delete(c.attempts, a.fd)
	_ = unix.Close(a.fd)
	if err != nil {
		c.fail(err)
		return
	}
	c.Units++
}

// sweep gives up on connections that have taken too long.
func (c *connector) sweep(now time.Time) {
	for _, a := range c.attempts {
		if now.After(a.deadline) {
			c.finish(a, fmt.Errorf("no answer after %s", longestWait))
		}
	}
}
