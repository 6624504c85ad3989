package load

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"time"
)

// KeepAlive is a set of open connections over which requests are sent when asked.
type KeepAlive struct {
	connections []net.Conn
	readers     []*bufio.Reader
	message     []byte
}

// opening is how many connections are opened at a time.
const opening = 16

// Open opens connections to a port, over TLS if a configuration is given, without sending a request.
func Open(count, port int, path string, config *tls.Config) (*KeepAlive, error) {
	k := &KeepAlive{
		connections: make([]net.Conn, count),
		readers:     make([]*bufio.Reader, count),
		message:     request(path, ""),
	}
	err := k.each(opening, func(i int) error {
		connection, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), longestWait)
		if err != nil {
			return err
		}
		if config != nil {
			connection = tls.Client(connection, config)
		}
		k.connections[i], k.readers[i] = connection, bufio.NewReaderSize(connection, 512)
		return nil
	})
	if err != nil {
		k.Close()
		return nil, err
	}
	return k, nil
}

// Request sends requests over every connection, one after the other on each, and checks the answers.
func (k *KeepAlive) Request(perConnection, atOnce int) error {
	return k.each(atOnce, func(i int) error {
		for range perConnection {
			if err := k.connections[i].SetDeadline(time.Now().Add(60 * time.Second)); err != nil {
				return err
			}
			if _, err := k.connections[i].Write(k.message); err != nil {
				return err
			}
			if err := readResponse(k.readers[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// Close closes all connections.
func (k *KeepAlive) Close() {
	for _, connection := range k.connections {
		if connection != nil {
			_ = connection.Close()
		}
	}
}

// each does something for every connection, for so many at once, and returns the first error.
func (k *KeepAlive) each(atOnce int, do func(int) error) error {
	var group sync.WaitGroup
	next := make(chan int)
	failures := make(chan error, len(k.connections))
	for range min(atOnce, len(k.connections)) {
		group.Go(func() {
			for i := range next {
				if err := do(i); err != nil {
					failures <- fmt.Errorf("connection %d: %w", i, err)
				}
			}
		})
	}
	for i := range k.connections {
		next <- i
	}
	close(next)
	group.Wait()
	close(failures)
	return <-failures
}
