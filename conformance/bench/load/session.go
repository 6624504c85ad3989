package load

import (
	"bufio"
	"fmt"
	"io"
	"net"

	"selvedge.dev/conformance/bench/h2"
)

// session speaks one version of HTTP over a connection.
type session interface {
	// exchange sends so many requests at once, as far as the version can, and reads the answers.
	exchange(requests int) error
}

// http1Session sends one request after the other.
type http1Session struct {
	connection net.Conn
	reader     *bufio.Reader
	message    []byte
}

func (s *http1Session) exchange(requests int) error {
	for range requests {
		if _, err := s.connection.Write(s.message); err != nil {
			return err
		}
		if err := readResponse(s.reader); err != nil {
			return err
		}
	}
	return nil
}

// http2Session sends requests on streams of their own.
type http2Session struct {
	connection net.Conn
	client     *h2.Client
}

// http2Buffer is small, so that thousands of idle connections cost this program little.
const http2Buffer = 2 << 10

func (s *http2Session) exchange(requests int) error {
	for range requests {
		if _, err := s.client.Ask(); err != nil {
			return err
		}
	}
	return s.await(make([]byte, http2Buffer))
}

// await sends what is to be sent and reads until every answer has come.
func (s *http2Session) await(buffer []byte) error {
	for {
		if output := s.client.Output(); len(output) > 0 {
			if _, err := s.connection.Write(output); err != nil {
				return err
			}
		}
		if s.client.Waiting() == 0 {
			return nil
		}
		n, err := s.connection.Read(buffer)
		if err == io.EOF {
			return fmt.Errorf("closed with %d answers under way", s.client.Waiting())
		}
		if err != nil {
			return err
		}
		if err := s.client.Receive(buffer[:n], func(uint32) {}); err != nil {
			return err
		}
	}
}
