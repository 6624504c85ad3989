package flood

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"selvedge.dev/conformance/gateways"
)

const (
	// writeLimit bounds one write, verdictLimit the wait for what a gateway says in the end.
	writeLimit, verdictLimit = 20 * time.Second, 20 * time.Second
	// largestFrame that is read.
	largestFrame = 1 << 20
)

// lastPing is the payload of the ping behind a flood: whoever answers it has taken all of it.
var lastPing = [8]byte{'l', 'a', 's', 't', 'p', 'i', 'n', 'g'}

// attacker is a connection that writes frames without asking whether they are allowed.
type attacker struct {
	connection net.Conn
	writer     *bufio.Writer
	framer     *http2.Framer
	block      bytes.Buffer
	encoder    *hpack.Encoder
	// stream is the number of the last stream that was opened.
	stream uint32
	// frames counts what was written.
	frames int

	// ended is closed once the gateway has ended the connection or said that it will; how says so.
	ended chan struct{}
	how   string
	// survived is closed once the gateway has answered the last ping.
	survived chan struct{}
	// resets and refusals count streams that the gateway reset, or answered with an error.
	resets, refusals atomic.Int64
}

func attack(port int, settings ...http2.Setting) (*attacker, error) {
	connection, err := net.Dial("tcp", gateways.Address(port))
	if err != nil {
		return nil, err
	}
	a := &attacker{connection: connection, writer: bufio.NewWriter(connection), ended: make(chan struct{}), survived: make(chan struct{})}
	a.framer = http2.NewFramer(a.writer, bufio.NewReader(connection))
	a.framer.AllowIllegalWrites = true
	a.framer.AllowIllegalReads = true
	a.framer.SetMaxReadFrameSize(largestFrame)
	a.encoder = hpack.NewEncoder(&a.block)
	go a.read()
	_, err = a.writer.WriteString(http2.ClientPreface)
	return a, errors.Join(err, a.framer.WriteSettings(settings...), a.flush())
}

func (a *attacker) close() { _ = a.connection.Close() }

// read notes what the gateway says until it ends the connection.
func (a *attacker) read() {
	defer close(a.ended)
	for {
		frame, err := a.framer.ReadFrame()
		if err != nil {
			a.how = fmt.Sprintf("close (%s)", err)
			return
		}
		switch frame := frame.(type) {
		case *http2.GoAwayFrame:
			// Without an error it is a request to come again with a new connection.
			if frame.ErrCode != http2.ErrCodeNo {
				a.how = fmt.Sprintf("GOAWAY %s %s", frame.ErrCode, frame.DebugData())
				return
			}
		case *http2.PingFrame:
			if frame.IsAck() && frame.Data == lastPing {
				close(a.survived)
				_, _ = io.Copy(io.Discard, a.connection)
				a.how = "close"
				return
			}
		case *http2.RSTStreamFrame:
			a.resets.Add(1)
		}
	}
}

// stopped says whether the gateway has had enough.
func (a *attacker) stopped() bool {
	select {
	case <-a.ended:
		return true
	default:
		return false
	}
}

func (a *attacker) flush() error {
	if err := a.connection.SetWriteDeadline(time.Now().Add(writeLimit)); err != nil {
		return err
	}
	return a.writer.Flush()
}

// verdict waits until the gateway has taken everything or has ended the connection.
func (a *attacker) verdict() (stopped bool, err error) {
	// Whether this still goes out is the gateway's to say.
	_ = a.framer.WritePing(false, lastPing)
	_ = a.flush()
	select {
	case <-a.ended:
		return true, nil
	case <-a.survived:
		return false, nil
	case <-time.After(verdictLimit):
		return false, errors.New("the gateway neither goes on nor ends the connection")
	}
}

// fields of a request, as they are encoded.
func (a *attacker) request(method string, more ...hpack.HeaderField) []byte {
	a.block.Reset()
	fields := append([]hpack.HeaderField{
		{Name: ":method", Value: method}, {Name: ":scheme", Value: "http"},
		{Name: ":authority", Value: gateways.Host}, {Name: ":path", Value: attackTarget},
	}, more...)
	for _, field := range fields {
		_ = a.encoder.WriteField(field)
	}
	return bytes.Clone(a.block.Bytes())
}

// open starts a stream.
func (a *attacker) open(block []byte, end bool) error {
	a.next()
	a.frames++
	return a.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: a.stream, BlockFragment: block, EndStream: end, EndHeaders: true})
}

// next numbers a new stream.
func (a *attacker) next() {
	if a.stream == 0 {
		a.stream = 1
	} else {
		a.stream += 2
	}
}

// wrote counts a frame.
func (a *attacker) wrote(err error) error {
	a.frames++
	return err
}
