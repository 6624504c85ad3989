package hostile

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"selvedge.dev/conformance/gateways"
	"selvedge.dev/conformance/hostile/corpus"
	"selvedge.dev/conformance/hostile/strict"
)

// The streams of a case and of the request behind it.
const (
	caseStream = 1
	nextStream = 3
)

// longestFragment of a header block fits into one frame.
const longestFragment = 16384

// http2Exchange sends a case on a stream of a connection of its own, and the next request on another.
func http2Exchange(s *Subject, c *corpus.HTTP2, how delivery) (*outcome, error) {
	connection, err := net.Dial("tcp", gateways.Address(s.Gateway.HTTP))
	if err != nil {
		return nil, err
	}
	defer func() { _ = connection.Close() }()
	if err := connection.SetDeadline(time.Now().Add(answerLimit)); err != nil {
		return nil, err
	}
	client := newHTTP2Client(connection)
	client.outcome.reset = c.Open || len(c.Late) > 0
	client.preface()
	client.request(c)
	if how == atOnce {
		client.next()
	}
	if err := client.flush(); err == nil {
		client.read(how, c.Open)
	} else {
		client.outcome.closed = true
	}
	o := client.outcome
	_ = connection.Close()
	if err := barrier(s.Gateway.HTTP, gateways.Host); err != nil {
		o.faults = append(o.faults, err.Error())
	}
	o.record = withoutBarrier(s.Backend.Take())
	return o, nil
}

// http2Client writes frames without asking whether they are allowed, and reads frames strictly.
type http2Client struct {
	connection net.Conn
	// pending are the bytes of frames that are not sent yet.
	pending bytes.Buffer
	framer  *http2.Framer
	block   bytes.Buffer
	encoder *hpack.Encoder
	outcome *outcome
	// answers by stream.
	answers map[uint32]*strict.Response
}

func newHTTP2Client(connection net.Conn) *http2Client {
	client := &http2Client{connection: connection, outcome: &outcome{}, answers: map[uint32]*strict.Response{}}
	client.framer = http2.NewFramer(&client.pending, connection)
	client.framer.AllowIllegalWrites = true
	client.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	client.encoder = hpack.NewEncoder(&client.block)
	return client
}

func (c *http2Client) flush() error {
	_, err := c.connection.Write(c.pending.Bytes())
	c.pending.Reset()
	return err
}

// Frames go into memory first, so writing them cannot fail.
func (c *http2Client) preface() {
	c.pending.WriteString(http2.ClientPreface)
	_ = c.framer.WriteSettings()
}

func (c *http2Client) next() {
	c.headers(nextStream, []corpus.Field{{":method", "GET"}, {":scheme", "http"}, {":authority", gateways.Host}, {":path", nextTarget}}, true)
}

func (c *http2Client) request(of *corpus.HTTP2) {
	bare := len(of.Data) == 0 && len(of.Trailers) == 0
	c.headers(caseStream, of.Fields(), bare && !of.Open)
	for i, data := range of.Data {
		last := i == len(of.Data)-1 && len(of.Trailers) == 0
		_ = c.framer.WriteData(caseStream, last && !of.Open, []byte(corpus.Bytes(data)))
	}
	if len(of.Trailers) > 0 {
		c.headers(caseStream, of.Trailers, !of.Open)
	}
	for _, data := range of.Late {
		_ = c.framer.WriteData(caseStream, true, []byte(corpus.Bytes(data)))
	}
}

// headers writes a header block in as many frames as it takes.
func (c *http2Client) headers(stream uint32, fields []corpus.Field, end bool) {
	c.block.Reset()
	for _, field := range fields {
		_ = c.encoder.WriteField(hpack.HeaderField{Name: corpus.Bytes(field[0]), Value: corpus.Bytes(field[1])})
	}
	block := c.block.Bytes()
	first := block[:min(len(block), longestFragment)]
	block = block[len(first):]
	_ = c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: first, EndStream: end, EndHeaders: len(block) == 0})
	for len(block) > 0 {
		fragment := block[:min(len(block), longestFragment)]
		block = block[len(fragment):]
		_ = c.framer.WriteContinuation(stream, len(block) == 0, fragment)
	}
}

// read takes frames until both streams are done or the connection ends.
func (c *http2Client) read(how delivery, open bool) {
	asked := how == atOnce
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			c.end(err)
			return
		}
		c.take(frame)
		c.outcome.nextAnswered = c.answered(nextStream) && c.answers[nextStream].Body == "GET "+nextTarget
		// A stream that is left open gets no answer: nothing is to be waited for there.
		done := open || c.outcome.reset || c.answered(caseStream)
		if done && c.answered(nextStream) {
			return
		}
		if done && !asked {
			asked = true
			if open {
				_ = c.framer.WriteRSTStream(caseStream, http2.ErrCodeCancel)
			}
			c.next()
		}
		if err := c.flush(); err != nil {
			c.outcome.closed = true
			return
		}
	}
}

func (c *http2Client) answered(stream uint32) bool {
	response := c.answers[stream]
	return response != nil && response.Complete
}

// take deals with a frame.
func (c *http2Client) take(frame http2.Frame) {
	switch frame := frame.(type) {
	case *http2.SettingsFrame:
		if !frame.IsAck() {
			_ = c.framer.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !frame.IsAck() {
			_ = c.framer.WritePing(true, frame.Data)
		}
	case *http2.RSTStreamFrame:
		c.outcome.reset = c.outcome.reset || frame.StreamID == caseStream
	case *http2.MetaHeadersFrame:
		c.takeHeaders(frame)
	case *http2.DataFrame:
		if response := c.answers[frame.StreamID]; response != nil {
			response.Body += string(frame.Data())
			response.Complete = frame.StreamEnded()
		}
	}
}

func (c *http2Client) takeHeaders(frame *http2.MetaHeadersFrame) {
	status, err := strconv.Atoi(frame.PseudoValue("status"))
	if err != nil || status < 200 {
		return
	}
	response := &strict.Response{Status: status, Complete: frame.StreamEnded()}
	c.answers[frame.StreamID] = response
	if frame.StreamID == caseStream {
		c.outcome.finals = append(c.outcome.finals, response)
	}
}

func (c *http2Client) end(err error) {
	var timeout net.Error
	var stream http2.StreamError
	var connection http2.ConnectionError
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		c.outcome.faults = append(c.outcome.faults, "the gateway neither answers nor closes")
	case errors.As(err, &stream), errors.As(err, &connection), errors.Is(err, http2.ErrFrameTooLarge):
		c.outcome.garbled = true
		c.outcome.faults = append(c.outcome.faults, fmt.Sprintf("reached the client: %s", err))
	default:
		c.outcome.closed = true
	}
}

// http2Complaints are what is wrong with what a gateway made of a request over HTTP/2. One that is
// refused may end its stream or the whole connection.
func http2Complaints(c *corpus.HTTP2, o *outcome) []string {
	judged := c.Judged
	if judged.After == "" && o.fate() == corpus.Refused {
		judged.After = corpus.Any
	}
	// The end of a connection is the end of its streams.
	o.reset = o.reset || o.closed && judged.After == corpus.Any
	found := complaints(&judged, o)
	if !o.nextAnswered && !o.closed {
		found = append(found, "the connection neither goes on nor ends")
	}
	return found
}
