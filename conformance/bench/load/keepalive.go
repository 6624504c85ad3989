package load

import (
	"fmt"
	"net"
	"sync"
	"time"
)

// KeepAlive is a set of open connections over which requests are sent when asked.
type KeepAlive struct {
	connections []net.Conn
	sessions    []session
}

// opening is how many connections are opened at a time.
const opening = 16

// Open opens connections without sending a request.
func Open(count int, target Target) (*KeepAlive, error) {
	k := &KeepAlive{connections: make([]net.Conn, count), sessions: make([]session, count)}
	err := k.each(opening, func(i int) error {
		connection, err := target.dial()
		if err != nil {
			return err
		}
		k.connections[i], k.sessions[i] = connection, target.session(connection)
		return nil
	})
	if err != nil {
		k.Close()
		return nil, err
	}
	return k, nil
}

// Request sends requests over every connection, over so many at once, and checks the answers. On each,
// so many are sent at a time if its version of HTTP can do that.
func (k *KeepAlive) Request(perConnection, streams, atOnce int) error {
	return k.each(atOnce, func(i int) error {
		if err := k.connections[i].SetDeadline(time.Now().Add(60 * time.Second)); err != nil {
			return err
		}
		for sent := 0; sent < perConnection; sent += streams {
			if err := k.sessions[i].exchange(min(streams, perConnection-sent)); err != nil {
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
