package differential

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"selvedge.dev/conformance/echo"
	"selvedge.dev/conformance/h2"
)

// webSocketKinds are the frames that Request.WebSocket can send: "text hello", "ping x", "close 1000".
// "wait" sends nothing. One frame is read back for each.
var webSocketKinds = map[string]byte{"text": 0x81, "binary": 0x82, "close": 0x88, "ping": 0x89, "pong": 0x8a}

// webSocketHead is the opening of a WebSocket over HTTP/1 (RFC 6455, section 4.1), below the first line.
const webSocketHead = "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: c2VsdmVkZ2Utc2VsdmVkZw==\r\n"

// talkWebSocket sends the frames and notes what comes back; the last line says how it ended.
func talkWebSocket(connection io.ReadWriter, steps []string, outcome *Outcome) {
	outcome.Result = "websocket"
	for _, step := range steps {
		name, text, _ := strings.Cut(step, " ")
		if kind, known := webSocketKinds[name]; known {
			// Why nothing can be sent any more, reading tells better.
			_, _ = connection.Write(echo.ClientFrame(kind, webSocketPayload(name, text)))
		}
		kind, payload, err := echo.ReadFrame(connection)
		if err != nil {
			outcome.Lines = append(outcome.Lines, failure(err))
			return
		}
		outcome.Lines = append(outcome.Lines, webSocketLine(kind, payload))
	}
}

func webSocketPayload(name, text string) string {
	if name != "close" {
		return text
	}
	number, reason, _ := strings.Cut(text, " ")
	code, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return ""
	}
	return string([]byte{byte(code >> 8), byte(code)}) + reason
}

func webSocketLine(kind byte, payload string) string {
	for name, number := range webSocketKinds {
		if number != kind {
			continue
		}
		if name == "close" && len(payload) >= 2 {
			payload = strings.TrimSpace(fmt.Sprint(int(payload[0])<<8|int(payload[1]), " ", payload[2:]))
		}
		return strings.TrimSpace(name + " " + payload)
	}
	return fmt.Sprintf("frame %#x %q", kind, payload)
}

// webSocket is the exchange over an extended CONNECT (RFC 8441).
func (e *http2Exchange) webSocket(request *Request, outcome *Outcome, deadline time.Time) {
	connection := &streamBytes{stream: e.stream, deadline: deadline}
	talkWebSocket(connection, request.WebSocket, outcome)
	_ = e.stream.SendData(nil, true)
	connection.deadline = time.Now().Add(settleLimit)
	_, _ = io.Copy(io.Discard, connection)
}

// streamBytes is the body of a stream as bytes to read and to write.
type streamBytes struct {
	stream   *h2.Stream
	deadline time.Time
	left     []byte
	end      error
}

func (b *streamBytes) Read(data []byte) (int, error) {
	for len(b.left) == 0 {
		if b.end != nil {
			return 0, b.end
		}
		event, ok := b.stream.Next(time.Until(b.deadline))
		switch {
		case !ok:
			return 0, streamEnd(resultTimeout)
		case event.Kind == h2.Reset, event.Kind == h2.Ended:
			b.end = streamEnd(ending(event))
		case event.End:
			b.end = io.EOF
		}
		b.left = event.Data
	}
	size := copy(data, b.left)
	b.left = b.left[size:]
	return size, nil
}

func (b *streamBytes) Write(data []byte) (int, error) {
	if err := b.stream.SendData(data, false); err != nil {
		return 0, err
	}
	return len(data), nil
}
