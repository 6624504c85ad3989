package edges

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"
)

// dial a TCP port of the gateway from its LAN.
func (e *edge) dial(port int) (*net.TCPConn, error) {
	connection, err := e.neighbour.Dial(&net.Dialer{Timeout: patience}, fmt.Sprintf("%s:%d", e.place.Address, port))
	if err != nil {
		return nil, err
	}
	return connection.(*net.TCPConn), nil
}

// serveStreams serves connections to the service's port of streams.
func (e *edge) serveStreams(serve func(*net.TCPConn)) { e.listen(streamBackend, serve) }

// listen serves connections at a port of the edge's neighbour.
func (e *edge) listen(port int, serve func(*net.TCPConn)) {
	listener, err := e.neighbour.Listen(fmt.Sprintf("%s:%d", e.neighbour.Address, port))
	require.NoError(e.overlay, err)
	e.overlay.Later(listener.Close)
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go serve(connection.(*net.TCPConn))
		}
	}()
}

// flow is what one application sends to another, from random bytes that both can make.
type flow struct {
	size  int64
	seed  uint64
	moved atomic.Int64
	// silence is the longest time in which nothing arrived, in nanoseconds.
	silence atomic.Int64
}

func (f *flow) bytes() io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{byte(f.seed)}), f.size)
}

func (f *flow) send(connection *net.TCPConn) error {
	if _, err := io.Copy(connection, f.bytes()); err != nil {
		return fmt.Errorf("who sends: %w", err)
	}
	return connection.CloseWrite()
}

// receive everything, and compare.
func (f *flow) receive(connection *net.TCPConn) error {
	want, got := sha256.New(), sha256.New()
	if _, err := io.Copy(want, f.bytes()); err != nil {
		return err
	}
	buffer := make([]byte, 64<<10)
	for last := time.Now(); ; {
		length, err := connection.Read(buffer)
		if now := time.Now(); length > 0 {
			f.silence.Store(max(f.silence.Load(), int64(now.Sub(last))))
			last = now
		}
		got.Write(buffer[:length])
		f.moved.Add(int64(length))
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("who receives: %w", err)
		}
	}
	if string(want.Sum(nil)) != string(got.Sum(nil)) {
		return fmt.Errorf("%d bytes of %d arrived, and not those that were sent", f.moved.Load(), f.size)
	}
	return nil
}

// transfer is one each way over one connection between a client at one edge and a backend of another.
type transfer struct {
	up, down *flow
	group    sync.WaitGroup
	failures [4]error
}

func (t *trial) transfer(near, far *edge, size int64) *transfer {
	moving := &transfer{up: &flow{size: size, seed: 1}, down: &flow{size: size, seed: 2}}
	moving.group.Add(4)
	do := func(i int, what func(*net.TCPConn) error, connection *net.TCPConn) {
		defer moving.group.Done()
		moving.failures[i] = what(connection)
	}
	far.serveStreams(func(connection *net.TCPConn) {
		go do(0, moving.up.receive, connection)
		do(1, moving.down.send, connection)
	})
	connection, err := near.dial(streamPort)
	require.NoError(t, err)
	go do(2, moving.down.receive, connection)
	go do(3, moving.up.send, connection)
	return moving
}

func (m *transfer) moved() int64 { return m.up.moved.Load() + m.down.moved.Load() }

func (m *transfer) silence() time.Duration {
	return time.Duration(max(m.up.silence.Load(), m.down.silence.Load())).Round(time.Millisecond)
}

// wait for the end.
func (m *transfer) wait() error {
	m.group.Wait()
	return errors.Join(m.failures[:]...)
}

// conversations are streams on which a client says something again and again, and is answered.
type conversations struct {
	stopped chan struct{}
	group   sync.WaitGroup
	mutex   sync.Mutex
	lines   int
	broken  int
	first   error
	slowest time.Duration
}

func (t *trial) converse(near, far *edge, count int) *conversations {
	far.serveStreams(func(connection *net.TCPConn) { _, _ = io.Copy(connection, connection) })
	c := &conversations{stopped: make(chan struct{})}
	for range count {
		connection, err := near.dial(streamPort)
		require.NoError(t, err)
		c.group.Go(func() {
			err := c.talk(connection)
			c.mutex.Lock()
			defer c.mutex.Unlock()
			if err != nil {
				c.broken++
				c.first = err
			}
		})
	}
	return c
}

func (c *conversations) talk(connection *net.TCPConn) error {
	const every = 100 * time.Millisecond
	defer func() { _ = connection.Close() }()
	reader := bufio.NewReader(connection)
	for i := 0; ; i++ {
		select {
		case <-c.stopped:
			return nil
		case <-time.After(every):
		}
		line, begun := fmt.Sprintln("line", i), time.Now()
		_, err := io.WriteString(connection, line)
		if err == nil {
			err = connection.SetReadDeadline(begun.Add(patience))
		}
		if err != nil {
			return err
		}
		answer, err := reader.ReadString('\n')
		if err == nil && answer != line {
			err = fmt.Errorf("said %q and heard %q", line, answer)
		}
		if err != nil {
			return err
		}
		c.mutex.Lock()
		c.lines++
		c.slowest = max(c.slowest, time.Since(begun))
		c.mutex.Unlock()
	}
}

func (c *conversations) stop() *conversations {
	close(c.stopped)
	c.group.Wait()
	return c
}
