package edges

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// bodySize of the answers whose cost is measured.
const bodySize = 1 << 10

// serveKilobytes answers every request at a port with one: cheaply, because it shares the machine with what is measured.
func (e *edge) serveKilobytes(port int) {
	answer := append(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n", bodySize), bytes.Repeat([]byte("x"), bodySize)...)
	endOfHead := []byte("\r\n\r\n")
	e.listen(port, func(connection *net.TCPConn) {
		defer func() { _ = connection.Close() }()
		reader := bufio.NewReader(connection)
		for {
			for line := []byte(nil); !bytes.Equal(line, endOfHead[:2]); {
				var err error
				if line, err = reader.ReadSlice('\n'); err != nil {
					return
				}
			}
			if _, err := connection.Write(answer); err != nil {
				return
			}
		}
	})
}

// keepAlive are connections to a port of an edge, on each of which one request follows the other.
type keepAlive struct {
	request     []byte
	connections []*net.TCPConn
}

func (t *trial) keepAlive(from *edge, port int, path string, count int) (*keepAlive, error) {
	k := &keepAlive{request: fmt.Appendf(nil, "GET %s HTTP/1.1\r\nhost: ratings.test\r\nuser-agent: check\r\n\r\n", path)}
	for range count {
		connection, err := from.dial(port)
		if err != nil {
			return nil, err
		}
		t.Later(func() error { _ = connection.Close(); return nil })
		k.connections = append(k.connections, connection)
	}
	return k, nil
}

// load makes requests for a time, at least one on each connection, and gives how many were answered; all must be.
func (k *keepAlive) load(turn time.Duration) (answered int64, err error) {
	var count atomic.Int64
	failures := make(chan error, len(k.connections))
	var group sync.WaitGroup
	end := time.Now().Add(turn)
	for _, connection := range k.connections {
		group.Go(func() {
			reader := bufio.NewReader(connection)
			for first := true; first || time.Now().Before(end); first = false {
				if err := k.exchange(connection, reader); err != nil {
					failures <- err
					return
				}
				count.Add(1)
			}
		})
	}
	group.Wait()
	close(failures)
	return count.Load(), <-failures
}

func (k *keepAlive) exchange(connection *net.TCPConn, reader *bufio.Reader) error {
	if _, err := connection.Write(k.request); err != nil {
		return err
	}
	status, err := reader.ReadString('\n')
	if err != nil {
		return err
	}
	if !strings.HasPrefix(status, "HTTP/1.1 200 ") {
		return fmt.Errorf("the answer is %q", status)
	}
	length := -1
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			return err
		}
		if line == "\r\n" {
			break
		}
		if name, value, _ := strings.Cut(line, ":"); strings.EqualFold(name, "content-length") {
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return err
			}
		}
	}
	if length != bodySize {
		return fmt.Errorf("the answer has %d bytes", length)
	}
	_, err = io.CopyN(io.Discard, reader, bodySize)
	return err
}
