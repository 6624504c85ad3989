// Package h2 is HTTP/2 (RFC 9113) without any tidying up, for the client and the backend of the
// differential tests: header fields are sent as they are told, however wrong, and reported as they came.
package h2

import (
	"bufio"
	"io"
	"math"
	"net"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	// receiveWindow is what a peer may send of one stream, and of all, before it must wait.
	receiveWindow = 1 << 20
	// initialWindow and frameSize are what HTTP/2 begins with (RFC 9113, section 6.5.2).
	initialWindow = 65535
	frameSize     = 16384
	// dynamicTable is HPACK's table of either side.
	dynamicTable = 4096
	// outSize is how much is sent at once at most.
	outSize = 64 << 10
	// longestString bounds one header field.
	longestString = 256 << 10
)

// Connection is one side of an HTTP/2 connection.
type Connection struct {
	out     *bufio.Writer
	framer  *http2.Framer
	decoder *hpack.Decoder
	client  bool

	mu         sync.Mutex // of all below, and of writing
	changed    *sync.Cond // a window, or the end
	encoder    *hpack.Encoder
	encoded    *blockBuffer
	streams    map[uint32]*Stream
	next       uint32
	sendWindow int64
	peerWindow int64 // of a new stream
	peerLimit  int   // of streams at once
	goAway     *GoAway
	held       bool
	over       error // what ended the connection
	pings      chan struct{}
	settings   chan struct{}
	ended      chan struct{}
}

// GoAway is what the peer announced the end of the connection with.
type GoAway struct {
	Code http2.ErrCode
	Last uint32
}

// blockBuffer takes what the HPACK encoder writes.
type blockBuffer struct{ data []byte }

func (b *blockBuffer) Write(data []byte) (int, error) {
	b.data = append(b.data, data...)
	return len(data), nil
}

// Client makes the client's side of a connection; Open and Run must follow.
func Client(conn net.Conn, reader io.Reader) *Connection { return newConnection(conn, reader, true) }

// Server makes the server's side of a connection; Open and Run must follow.
func Server(conn net.Conn, reader io.Reader) *Connection { return newConnection(conn, reader, false) }

func newConnection(conn net.Conn, reader io.Reader, client bool) *Connection {
	out := bufio.NewWriterSize(conn, outSize)
	c := &Connection{
		out: out, framer: http2.NewFramer(out, reader), client: client,
		decoder: hpack.NewDecoder(dynamicTable, nil), encoded: &blockBuffer{},
		streams: map[uint32]*Stream{}, next: 1, sendWindow: initialWindow, peerWindow: initialWindow, peerLimit: math.MaxInt32,
		pings: make(chan struct{}, 1), settings: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	c.framer.AllowIllegalWrites = true
	c.framer.SetMaxReadFrameSize(frameSize)
	c.decoder.SetMaxStringLength(longestString)
	c.changed = sync.NewCond(&c.mu)
	c.encoder = hpack.NewEncoder(c.encoded)
	return c
}

// Run reads the connection until it ends, once it is open. What the peer begins is given to accept, each
// stream in a goroutine of its own; a client has nothing to accept.
func (c *Connection) Run(accept func(*Stream)) error {
	defer close(c.ended)
	var err error
	for err == nil {
		err = c.read(accept)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = err
	for _, stream := range c.streams {
		stream.push(Event{Kind: Ended, GoAway: c.goAway, Err: err})
	}
	c.changed.Broadcast()
	return err
}

// Open sends the preface and the settings.
func (c *Connection) Open() error {
	settings := []http2.Setting{
		{ID: http2.SettingInitialWindowSize, Val: receiveWindow},
		{ID: http2.SettingEnableConnectProtocol, Val: 1},
	}
	if c.client {
		settings = []http2.Setting{{ID: http2.SettingEnablePush, Val: 0}, {ID: http2.SettingInitialWindowSize, Val: receiveWindow}}
	}
	return c.write(func() error {
		if c.client {
			if _, err := c.out.WriteString(http2.ClientPreface); err != nil {
				return err
			}
		}
		if err := c.framer.WriteSettings(settings...); err != nil {
			return err
		}
		return c.framer.WriteWindowUpdate(0, receiveWindow-initialWindow)
	})
}

// write lets one write at a time, and sends what was written.
func (c *Connection) write(frames func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := frames(); err != nil {
		return err
	}
	return c.flush()
}

// flush sends what was written, unless it is held back; the lock is held.
func (c *Connection) flush() error {
	if c.held {
		return nil
	}
	return c.out.Flush()
}

// Hold keeps back what is written until Release: what belongs together arrives together, or nearly so.
func (c *Connection) Hold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = true
}

// Release sends what Hold kept back.
func (c *Connection) Release() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = false
	return c.flush()
}

// Frame sends one frame of any type.
func (c *Connection) Frame(kind byte, flags byte, stream uint32, payload []byte) error {
	return c.write(func() error {
		return c.framer.WriteRawFrame(http2.FrameType(kind), http2.Flags(flags), stream, payload)
	})
}

// NewStream begins a stream: its number is taken, nothing is sent.
func (c *Connection) NewStream() *Stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	stream := c.addStream(c.next)
	c.next += 2
	return stream
}

// Stream returns a stream by its number, and begins it if it is not there yet.
func (c *Connection) Stream(number uint32) *Stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	if stream := c.streams[number]; stream != nil {
		return stream
	}
	c.next = max(c.next, number+2)
	return c.addStream(number)
}

func (c *Connection) addStream(number uint32) *Stream {
	stream := &Stream{ID: number, connection: c, window: c.peerWindow, arrived: make(chan struct{}, 1)}
	c.streams[number] = stream
	if c.over != nil {
		stream.push(Event{Kind: Ended, GoAway: c.goAway, Err: c.over})
	}
	return stream
}

// SendGoAway announces the end: streams behind the last are not served.
func (c *Connection) SendGoAway(last uint32, code http2.ErrCode) error {
	return c.write(func() error { return c.framer.WriteGoAway(last, code, nil) })
}

// Settle waits until the peer has answered a PING, and so has sent all that it had to say before;
// or until the connection ends, or the limit passes.
func (c *Connection) Settle(limit time.Duration) {
	err := c.write(func() error { return c.framer.WritePing(false, [8]byte{'s', 'e', 't', 't', 'l', 'e'}) })
	if err != nil {
		limit = min(limit, time.Second) // what the peer sent before it closed is still to be read
	}
	select {
	case <-c.pings:
	case <-c.ended:
	case <-time.After(limit):
	}
}

// AwaitEnd says whether the peer closes the connection within the limit.
func (c *Connection) AwaitEnd(limit time.Duration) bool {
	select {
	case <-c.ended:
		return true
	case <-time.After(limit):
		return false
	}
}

// AwaitSettings waits for the peer's settings, or until the limit passes.
func (c *Connection) AwaitSettings(limit time.Duration) {
	select {
	case <-c.settings:
	case <-c.ended:
	case <-time.After(limit):
	}
}

// StreamLimit is how many streams the peer takes at once, once its settings are here.
func (c *Connection) StreamLimit() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.peerLimit
}

// GoAway is the peer's announcement, or nil.
func (c *Connection) GoAway() *GoAway {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.goAway
}
