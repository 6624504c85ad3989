package recorder

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"sync"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"selvedge.dev/conformance/hostile/corpus"
)

// HTTP2 is a backend that answers over HTTP/2 as it is told, whether that is allowed or not. Everything
// else gets "200" and its own request line.
type HTTP2 struct {
	listener net.Listener

	mutex    sync.Mutex
	scripted map[string]*corpus.HTTP2Response
}

// ListenHTTP2 starts a backend for clear HTTP/2 on a port of 127.0.0.1.
func ListenHTTP2(port int) (*HTTP2, error) {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, err
	}
	h := &HTTP2{listener: listener, scripted: map[string]*corpus.HTTP2Response{}}
	go h.accept()
	return h, nil
}

// Close ends it.
func (h *HTTP2) Close() error { return h.listener.Close() }

// Script sets the answer to requests for a target; nil removes it.
func (h *HTTP2) Script(target string, answer *corpus.HTTP2Response) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.scripted[target] = answer
}

func (h *HTTP2) accept() {
	for {
		connection, err := h.listener.Accept()
		if err != nil {
			return
		}
		go h.serve(connection)
	}
}

// http2Connection is one connection of a gateway.
type http2Connection struct {
	*http2.Framer
	block   bytes.Buffer
	encoder *hpack.Encoder
}

// serve answers requests until the connection ends.
func (h *HTTP2) serve(connection net.Conn) {
	defer func() { _ = connection.Close() }()
	if _, err := io.ReadFull(connection, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	c := &http2Connection{Framer: http2.NewFramer(connection, connection)}
	c.AllowIllegalWrites = true
	c.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.encoder = hpack.NewEncoder(&c.block)
	if err := c.WriteSettings(); err != nil {
		return
	}
	for {
		frame, err := c.ReadFrame()
		if err != nil {
			return
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				err = c.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !frame.IsAck() {
				err = c.WritePing(true, frame.Data)
			}
		case *http2.MetaHeadersFrame:
			err = h.answer(c, frame)
		}
		if err != nil {
			return
		}
	}
}

func (h *HTTP2) answer(c *http2Connection, request *http2.MetaHeadersFrame) error {
	h.mutex.Lock()
	answer := h.scripted[request.PseudoValue("path")]
	h.mutex.Unlock()
	if answer == nil {
		answer = &corpus.HTTP2Response{
			Fields: []corpus.Field{{":status", "200"}},
			Data:   []string{request.PseudoValue("method") + " " + request.PseudoValue("path")},
		}
	}
	return c.send(request.StreamID, answer)
}

// send writes an answer, frame by frame.
func (c *http2Connection) send(stream uint32, answer *corpus.HTTP2Response) error {
	for _, head := range answer.Interim {
		if err := c.head(stream, head, false); err != nil {
			return err
		}
	}
	bare := len(answer.Data) == 0 && len(answer.Trailers) == 0
	if len(answer.Fields) > 0 {
		if err := c.head(stream, answer.Fields, bare && !answer.Open); err != nil {
			return err
		}
	}
	for i, data := range answer.Data {
		last := i == len(answer.Data)-1 && len(answer.Trailers) == 0
		if err := c.WriteData(stream, last && !answer.Open, []byte(corpus.Bytes(data))); err != nil {
			return err
		}
	}
	if len(answer.Trailers) > 0 {
		if err := c.head(stream, answer.Trailers, !answer.Open); err != nil {
			return err
		}
	}
	if answer.Reset {
		return c.WriteRSTStream(stream, http2.ErrCodeInternal)
	}
	return nil
}

func (c *http2Connection) head(stream uint32, fields []corpus.Field, end bool) error {
	c.block.Reset()
	for _, field := range fields {
		if err := c.encoder.WriteField(hpack.HeaderField{Name: corpus.Bytes(field[0]), Value: corpus.Bytes(field[1])}); err != nil {
			return err
		}
	}
	return c.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: c.block.Bytes(), EndStream: end, EndHeaders: true})
}
