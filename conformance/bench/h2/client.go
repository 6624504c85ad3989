// Package h2 is the client's side of an HTTP/2 connection, without I/O, for the load generators: GET
// requests and calls of gRPC, all alike, whose answers are checked.
package h2

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	frameHead = 9
	// streamWindow is how much of an answer may be under way.
	streamWindow = 16 << 20
	// replenish is after how many bytes the server gets them back as the connection's window.
	replenish        = 1 << 20
	defaultWindow    = 65535
	defaultTableSize = 4096
	longestFrame     = 16384
)

// Request is what every stream asks for.
type Request struct {
	// Scheme is "http" or "https".
	Scheme, Authority, Path string
	// Message makes it a call of gRPC with this body.
	Message []byte
	// Body is the size of an answer's body.
	Body int
}

// Client is one connection.
type Client struct {
	request Request
	output  []byte
	block   bytes.Buffer
	encoder *hpack.Encoder
	decoder *hpack.Decoder
	// partial is the beginning of a frame.
	partial []byte
	next    uint32
	streams map[uint32]*answer
	// reading is the answer whose header is being decoded.
	reading *answer
	// received is what has come since the server got its window back.
	received int
	// goodbye says that the server takes no more requests.
	goodbye bool
}

// answer is what has come of one.
type answer struct {
	status, grpcStatus string
	body               int
}

// New makes a client; its first bytes are waiting in the output.
func New(request Request) *Client {
	c := &Client{request: request, next: 1, streams: map[uint32]*answer{}}
	c.encoder = hpack.NewEncoder(&c.block)
	c.decoder = hpack.NewDecoder(defaultTableSize, c.field)
	c.output = append(c.output, http2.ClientPreface...)
	var settings []byte
	for id, value := range map[http2.SettingID]uint32{http2.SettingEnablePush: 0, http2.SettingInitialWindowSize: streamWindow} {
		settings = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(settings, uint16(id)), value)
	}
	c.frame(http2.FrameSettings, 0, 0, settings)
	c.window(streamWindow - defaultWindow)
	return c
}

// Ask begins a request and returns its stream.
func (c *Client) Ask() (uint32, error) {
	if c.goodbye {
		return 0, fmt.Errorf("the server takes no more requests on this connection")
	}
	stream := c.next
	c.next += 2
	method := "GET"
	if c.request.Message != nil {
		method = "POST"
	}
	c.block.Reset()
	fields := []hpack.HeaderField{
		{Name: ":method", Value: method}, {Name: ":scheme", Value: c.request.Scheme},
		{Name: ":authority", Value: c.request.Authority}, {Name: ":path", Value: c.request.Path},
		{Name: "user-agent", Value: "bench"},
	}
	if c.request.Message != nil {
		fields = append(fields, hpack.HeaderField{Name: "content-type", Value: "application/grpc"}, hpack.HeaderField{Name: "te", Value: "trailers"})
	}
	for _, field := range fields {
		if err := c.encoder.WriteField(field); err != nil {
			return 0, err
		}
	}
	flags := http2.FlagHeadersEndHeaders
	if c.request.Message == nil {
		flags |= http2.FlagHeadersEndStream
	}
	c.frame(http2.FrameHeaders, flags, stream, c.block.Bytes())
	if c.request.Message != nil {
		c.frame(http2.FrameData, http2.FlagDataEndStream, stream, c.request.Message)
	}
	c.streams[stream] = &answer{}
	return stream, nil
}

// Output hands over what is to be sent.
func (c *Client) Output() []byte {
	output := c.output
	c.output = nil
	return output
}

// Waiting is how many answers are under way.
func (c *Client) Waiting() int { return len(c.streams) }

// Received is how many bytes of the bodies of answers under way have come.
func (c *Client) Received() (total int) {
	for _, a := range c.streams {
		total += a.body
	}
	return total
}

// Receive takes what has arrived and says for each stream that its answer is whole, and as it should be.
func (c *Client) Receive(data []byte, done func(stream uint32)) error {
	if len(c.partial) > 0 {
		data = append(c.partial, data...)
	}
	for len(data) >= frameHead {
		length := int(data[0])<<16 | int(data[1])<<8 | int(data[2])
		if length > longestFrame {
			return fmt.Errorf("a frame of %d bytes", length)
		}
		if len(data) < frameHead+length {
			break
		}
		stream := binary.BigEndian.Uint32(data[5:])
		if err := c.take(http2.FrameType(data[3]), http2.Flags(data[4]), stream, data[frameHead:frameHead+length], done); err != nil {
			return fmt.Errorf("stream %d: %w", stream, err)
		}
		data = data[frameHead+length:]
	}
	c.partial = append(c.partial[:0:0], data...)
	return nil
}

func (c *Client) take(kind http2.FrameType, flags http2.Flags, stream uint32, payload []byte, done func(uint32)) error {
	switch kind {
	case http2.FrameSettings:
		return c.settings(flags, payload)
	case http2.FramePing:
		if !flags.Has(http2.FlagPingAck) {
			c.frame(http2.FramePing, http2.FlagPingAck, 0, payload)
		}
	case http2.FrameGoAway:
		c.goodbye = true
	case http2.FrameRSTStream:
		return fmt.Errorf("was reset: %x", payload)
	case http2.FrameHeaders, http2.FrameData:
		a := c.streams[stream]
		if a == nil {
			return fmt.Errorf("has %s and was never asked for", kind)
		}
		if flags.Has(http2.FlagDataPadded) || kind == http2.FrameHeaders && !flags.Has(http2.FlagHeadersEndHeaders) {
			return fmt.Errorf("has padding or several frames of headers, which this client does not take")
		}
		if kind == http2.FrameData {
			a.body += len(payload)
			c.account(len(payload))
		} else if err := c.headers(a, payload); err != nil {
			return err
		}
		if flags.Has(http2.FlagDataEndStream) {
			delete(c.streams, stream)
			done(stream)
			return c.check(a)
		}
	}
	return nil
}

func (c *Client) settings(flags http2.Flags, payload []byte) error {
	if flags.Has(http2.FlagSettingsAck) {
		return nil
	}
	for ; len(payload) >= 6; payload = payload[6:] {
		if http2.SettingID(binary.BigEndian.Uint16(payload)) == http2.SettingHeaderTableSize {
			c.encoder.SetMaxDynamicTableSizeLimit(binary.BigEndian.Uint32(payload[2:]))
		}
	}
	c.frame(http2.FrameSettings, http2.FlagSettingsAck, 0, nil)
	return nil
}

func (c *Client) headers(a *answer, block []byte) error {
	c.reading = a
	if _, err := c.decoder.Write(block); err != nil {
		return err
	}
	return c.decoder.Close()
}

func (c *Client) field(f hpack.HeaderField) {
	switch f.Name {
	case ":status":
		c.reading.status = f.Value
	case "grpc-status":
		c.reading.grpcStatus = f.Value
	}
}

func (c *Client) check(a *answer) error {
	if a.status != "200" || a.body != c.request.Body {
		return fmt.Errorf("answered %q with %d bytes", a.status, a.body)
	}
	if c.request.Message != nil && a.grpcStatus != "0" {
		return fmt.Errorf("ended with grpc-status %q", a.grpcStatus)
	}
	return nil
}

// account gives back the connection's window.
func (c *Client) account(length int) {
	if c.received += length; c.received >= replenish {
		c.window(c.received)
		c.received = 0
	}
}

func (c *Client) window(increment int) {
	c.frame(http2.FrameWindowUpdate, 0, 0, binary.BigEndian.AppendUint32(nil, uint32(increment)))
}

func (c *Client) frame(kind http2.FrameType, flags http2.Flags, stream uint32, payload []byte) {
	c.output = append(c.output, byte(len(payload)>>16), byte(len(payload)>>8), byte(len(payload)), byte(kind), byte(flags))
	c.output = append(binary.BigEndian.AppendUint32(c.output, stream), payload...)
}
