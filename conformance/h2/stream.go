package h2

import (
	"io"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Field is one header field as it is on the wire.
type Field struct{ Name, Value string }

// Line writes a field as HTTP/1 does.
func (f Field) Line() string { return f.Name + ": " + f.Value }

// ParseLine reads "name: value"; the name of a pseudo-header begins with a colon.
func ParseLine(line string) Field {
	split := strings.Index(strings.TrimPrefix(line, ":"), ":")
	if split < 0 {
		return Field{Name: line}
	}
	split += len(line) - len(strings.TrimPrefix(line, ":"))
	return Field{Name: line[:split], Value: strings.TrimPrefix(line[split+1:], " ")}
}

// Kind is what an Event tells of.
type Kind int

// Kinds of events.
const (
	// Head is a header block: a head, an interim head or trailers.
	Head Kind = iota
	// Data is a part of the body.
	Data
	// Reset is the peer's RST_STREAM.
	Reset
	// Ended says that nothing more comes: the connection is over, or a GOAWAY excludes the stream.
	Ended
	// Abandoned says that this side has ended the stream by SendReset.
	Abandoned
)

// Event is what happened to a stream.
type Event struct {
	Kind   Kind
	Fields []Field
	Data   []byte
	// End is the flag END_STREAM.
	End  bool
	Code http2.ErrCode
	// GoAway is what the peer announced before the end, or nil; Err why the connection ended, or nil.
	GoAway *GoAway
	Err    error
}

// Stream is one exchange on a connection.
type Stream struct {
	// ID is the stream's number.
	ID         uint32
	connection *Connection
	window     int64
	reset      bool
	events     []Event
	arrived    chan struct{}
}

// Connection is what the stream belongs to.
func (s *Stream) Connection() *Connection { return s.connection }

// push adds an event; the connection's lock is held.
func (s *Stream) push(event Event) {
	s.events = append(s.events, event)
	select {
	case s.arrived <- struct{}{}:
	default:
	}
}

// Next returns the next event, or false when there is none in time.
func (s *Stream) Next(limit time.Duration) (Event, bool) {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	for {
		s.connection.mu.Lock()
		if len(s.events) > 0 {
			event := s.events[0]
			s.events = s.events[1:]
			s.connection.mu.Unlock()
			return event, true
		}
		s.connection.mu.Unlock()
		select {
		case <-s.arrived:
		case <-deadline.C:
			return Event{}, false
		}
	}
}

// Send sends a header block, in as many frames as it takes.
func (s *Stream) Send(fields []Field, end bool) error {
	return s.connection.write(func() error { return s.writeHead(fields, end) })
}

func (s *Stream) writeHead(fields []Field, end bool) error {
	c := s.connection
	c.encoded.data = nil
	for _, field := range fields {
		if err := c.encoder.WriteField(hpack.HeaderField{Name: field.Name, Value: field.Value}); err != nil {
			return err
		}
	}
	block := c.encoded.data
	first := block[:min(len(block), frameSize)]
	block = block[len(first):]
	err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: s.ID, BlockFragment: first, EndStream: end, EndHeaders: len(block) == 0})
	for err == nil && len(block) > 0 {
		part := block[:min(len(block), frameSize)]
		block = block[len(part):]
		err = c.framer.WriteContinuation(s.ID, len(block) == 0, part)
	}
	return err
}

// SendData sends a part of the body as the peer's windows permit; it ends early with the stream.
func (s *Stream) SendData(data []byte, end bool) error {
	return s.connection.write(func() error {
		for {
			if err := s.awaitWindow(len(data)); err != nil {
				return err
			}
			part := data[:s.allowed(len(data))]
			data = data[len(part):]
			s.window -= int64(len(part))
			s.connection.sendWindow -= int64(len(part))
			if err := s.connection.framer.WriteData(s.ID, end && len(data) == 0, part); err != nil || len(data) == 0 {
				return err
			}
		}
	})
}

// awaitWindow waits until something of that size may begin; what was written so far is sent meanwhile.
func (s *Stream) awaitWindow(size int) error {
	c := s.connection
	for size > 0 && s.allowed(size) == 0 && c.over == nil && !s.reset {
		if err := c.out.Flush(); err != nil {
			return err
		}
		c.changed.Wait()
	}
	if c.over != nil || s.reset {
		return io.ErrClosedPipe
	}
	return nil
}

// allowed is how much of a size fits into the next frame.
func (s *Stream) allowed(size int) int {
	return int(max(0, min(int64(size), frameSize, s.window, s.connection.sendWindow)))
}

// SendReset ends the stream with a code.
func (s *Stream) SendReset(code http2.ErrCode) error {
	return s.connection.write(func() error {
		s.reset = true
		s.push(Event{Kind: Abandoned})
		s.connection.changed.Broadcast()
		return s.connection.framer.WriteRSTStream(s.ID, code)
	})
}

// GoAway announces the end of the connection: with served, after this stream; otherwise this stream
// is the first that is not served.
func (s *Stream) GoAway(code http2.ErrCode, served bool) error {
	last := s.ID
	if !served {
		last = max(last, 2) - 2
	}
	return s.connection.SendGoAway(last, code)
}

// Code returns the error code of a name such as CANCEL.
func Code(name string) (http2.ErrCode, bool) {
	for code := http2.ErrCodeNo; code <= http2.ErrCodeHTTP11Required; code++ {
		if code.String() == name {
			return code, true
		}
	}
	return 0, false
}
