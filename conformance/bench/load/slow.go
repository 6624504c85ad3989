package load

import (
	"fmt"
	"net"
	"sync"
	"time"

	"selvedge.dev/conformance/bench/h2"
)

// slowBuffer is what the kernel keeps for a slow reader; more of it would only be more to fill.
const slowBuffer = 64 << 10

// Slow is a set of connections on each of which one answer is read slowly.
type Slow struct {
	connections []net.Conn
	mutex       sync.Mutex
	received    []int
	firstError  error
	group       sync.WaitGroup
	stop        chan struct{}
}

// OpenSlow sends a request on each of so many connections, and goes on reading a chunk in each pause.
func OpenSlow(count, chunk int, pause time.Duration, target Target) (*Slow, error) {
	s := &Slow{received: make([]int, count), stop: make(chan struct{})}
	for i := range count {
		connection, err := target.dial()
		if err != nil {
			s.Close()
			return nil, err
		}
		s.connections = append(s.connections, connection)
		if raw, plain := connection.(*net.TCPConn); plain {
			if err := raw.SetReadBuffer(slowBuffer); err != nil {
				s.Close()
				return nil, err
			}
		}
		s.group.Go(func() { s.read(i, connection, chunk, pause, target) })
	}
	return s, nil
}

func (s *Slow) read(number int, connection net.Conn, chunk int, pause time.Duration, target Target) {
	err := s.exchange(number, connection, make([]byte, chunk), pause, target)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if err != nil && s.firstError == nil {
		s.firstError = err
	}
}

// exchange returns when it is told to stop, or with an error.
func (s *Slow) exchange(number int, connection net.Conn, buffer []byte, pause time.Duration, target Target) error {
	output := request(target.Path, "")
	var client *h2.Client
	if target.HTTP2 {
		client = h2.New(target.Request())
		if _, err := client.Ask(); err != nil {
			return err
		}
		output = client.Output()
	}
	ticks := time.NewTicker(pause)
	defer ticks.Stop()
	for {
		if len(output) > 0 {
			if _, err := connection.Write(output); err != nil {
				return s.unlessStopped(err)
			}
		}
		select {
		case <-s.stop:
			return nil
		case <-ticks.C:
		}
		n, err := connection.Read(buffer)
		if err != nil {
			return s.unlessStopped(err)
		}
		output = nil
		if client != nil {
			if err := client.Receive(buffer[:n], func(uint32) {}); err != nil {
				return err
			}
			output = client.Output()
		}
		s.mutex.Lock()
		s.received[number] += n
		s.mutex.Unlock()
	}
}

func (s *Slow) unlessStopped(err error) error {
	select {
	case <-s.stop:
		return nil
	default:
		return err
	}
}

// Check says that every connection still receives.
func (s *Slow) Check() error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for number, received := range s.received {
		if received == 0 && s.firstError == nil {
			return fmt.Errorf("connection %d received nothing", number)
		}
	}
	return s.firstError
}

// Close ends all connections.
func (s *Slow) Close() {
	close(s.stop)
	for _, connection := range s.connections {
		_ = connection.Close()
	}
	s.group.Wait()
}
