package h2

import (
	"fmt"
	"io"

	"golang.org/x/net/http2"
)

// ReadPreface takes the client's preface from a server's connection, before Open.
func ReadPreface(reader io.Reader) error {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(reader, preface); err != nil {
		return err
	}
	if string(preface) != http2.ClientPreface {
		return fmt.Errorf("not the preface of HTTP/2: %q", preface)
	}
	return nil
}

// read takes one frame, or a whole header block, and does what it asks for.
func (c *Connection) read(accept func(*Stream)) error {
	frame, err := c.framer.ReadFrame()
	if err != nil {
		return err
	}
	switch frame := frame.(type) {
	case *http2.SettingsFrame:
		return c.takeSettings(frame)
	case *http2.PingFrame:
		return c.takePing(frame)
	case *http2.WindowUpdateFrame:
		c.takeWindow(frame)
	case *http2.GoAwayFrame:
		c.takeGoAway(frame)
	case *http2.RSTStreamFrame:
		c.deliver(frame.StreamID, Event{Kind: Reset, Code: frame.ErrCode})
	case *http2.DataFrame:
		return c.takeData(frame)
	case *http2.HeadersFrame:
		return c.takeHeaders(frame, accept)
	}
	return nil
}

func (c *Connection) takeHeaders(frame *http2.HeadersFrame, accept func(*Stream)) error {
	number, end := frame.StreamID, frame.StreamEnded()
	block := append([]byte(nil), frame.HeaderBlockFragment()...)
	for complete := frame.HeadersEnded(); !complete; {
		next, err := c.framer.ReadFrame()
		if err != nil {
			return err
		}
		continuation, ok := next.(*http2.ContinuationFrame)
		if !ok || continuation.StreamID != number {
			return fmt.Errorf("%v within a header block", next.Header())
		}
		block = append(block, continuation.HeaderBlockFragment()...)
		complete = continuation.HeadersEnded()
	}
	decoded, err := c.decoder.DecodeFull(block)
	if err != nil {
		return err
	}
	event := Event{Kind: Head, End: end}
	for _, field := range decoded {
		event.Fields = append(event.Fields, Field{Name: field.Name, Value: field.Value})
	}
	if accept != nil && !c.known(number) {
		stream := c.Stream(number)
		stream.push(event)
		go accept(stream)
		return nil
	}
	c.deliver(number, event)
	return nil
}

func (c *Connection) known(number uint32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.streams[number] != nil
}

func (c *Connection) deliver(number uint32, event Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if stream := c.streams[number]; stream != nil {
		stream.push(event)
		stream.reset = stream.reset || event.Kind == Reset
		c.changed.Broadcast()
	}
}

// takeData gives the peer back at once what it has used of its windows.
func (c *Connection) takeData(frame *http2.DataFrame) error {
	used := frame.Length
	c.deliver(frame.StreamID, Event{Kind: Data, Data: append([]byte(nil), frame.Data()...), End: frame.StreamEnded()})
	if used == 0 {
		return nil
	}
	return c.write(func() error {
		if err := c.framer.WriteWindowUpdate(0, used); err != nil || frame.StreamEnded() {
			return err
		}
		return c.framer.WriteWindowUpdate(frame.StreamID, used)
	})
}

func (c *Connection) takeSettings(frame *http2.SettingsFrame) error {
	if frame.IsAck() {
		return nil
	}
	return c.write(func() error {
		if window, ok := frame.Value(http2.SettingInitialWindowSize); ok {
			for _, stream := range c.streams {
				stream.window += int64(window) - c.peerWindow
			}
			c.peerWindow = int64(window)
		}
		if limit, ok := frame.Value(http2.SettingMaxConcurrentStreams); ok {
			c.peerLimit = int(limit)
		}
		if size, ok := frame.Value(http2.SettingHeaderTableSize); ok {
			c.encoder.SetMaxDynamicTableSizeLimit(size)
		}
		c.changed.Broadcast()
		select {
		case c.settings <- struct{}{}:
		default:
		}
		return c.framer.WriteSettingsAck()
	})
}

func (c *Connection) takePing(frame *http2.PingFrame) error {
	if frame.IsAck() {
		select {
		case c.pings <- struct{}{}:
		default:
		}
		return nil
	}
	return c.write(func() error { return c.framer.WritePing(true, frame.Data) })
}

func (c *Connection) takeWindow(frame *http2.WindowUpdateFrame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if frame.StreamID == 0 {
		c.sendWindow += int64(frame.Increment)
	} else if stream := c.streams[frame.StreamID]; stream != nil {
		stream.window += int64(frame.Increment)
	}
	c.changed.Broadcast()
}

// takeGoAway ends the streams that the peer will not serve.
func (c *Connection) takeGoAway(frame *http2.GoAwayFrame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.goAway = &GoAway{Code: frame.ErrCode, Last: frame.LastStreamID}
	for number, stream := range c.streams {
		if c.client && number > frame.LastStreamID {
			stream.push(Event{Kind: Ended, GoAway: c.goAway})
		}
	}
}
