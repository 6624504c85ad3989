package echo

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
)

const (
	// webSocketGUID is the constant of RFC 6455, section 1.3.
	webSocketGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
	// longestMessage fits into a frame whose length is one byte.
	longestMessage = 125

	textFrame  = 0x81
	closeFrame = 0x88
	pingFrame  = 0x89
	pongFrame  = 0x8a
	masked     = 0x80
)

// OpenWebSocket makes a connection to a backend a WebSocket (RFC 6455, section 4.1).
func OpenWebSocket(connection net.Conn, reader *bufio.Reader, host string) error {
	const key = "c2VsdmVkZ2Utc2VsdmVkZw=="
	_, err := fmt.Fprintf(connection, "GET /websocket HTTP/1.1\r\nhost: %s\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"+
		"sec-websocket-version: 13\r\nsec-websocket-key: %s\r\nx-echo-upgrade: websocket\r\n\r\n", host, key)
	if err != nil {
		return err
	}
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusSwitchingProtocols || response.Header.Get("sec-websocket-accept") != acceptKey(key) {
		return fmt.Errorf("no WebSocket: %s", response.Status)
	}
	return nil
}

// Say sends one text message as a client does, and wants it back.
func Say(connection net.Conn, reader *bufio.Reader, message string) error {
	if _, err := connection.Write(ClientFrame(textFrame, message)); err != nil {
		return err
	}
	kind, answer, err := ReadFrame(reader)
	if err == nil && (kind != textFrame || answer != message) {
		err = fmt.Errorf("frame %#x with %q", kind, answer)
	}
	return err
}

// webSocket makes the connection a WebSocket.
func (c *connection) webSocket(q *request, reader *bufio.Reader) {
	c.write("HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: " +
		acceptKey(q.header("sec-websocket-key")) + "\r\n\r\n")
	_ = serveWebSocket(struct {
		io.Reader
		io.Writer
	}{reader, c.conn}, q.order("websocket-close"))
}

// serveWebSocket sends every message back until the client closes. With a code, it closes at once.
func serveWebSocket(connection io.ReadWriter, closeCode string) error {
	if code, err := strconv.ParseUint(closeCode, 10, 16); err == nil {
		_, err := connection.Write([]byte{closeFrame, 2, byte(code >> 8), byte(code)})
		return err
	}
	for {
		kind, message, err := ReadFrame(connection)
		if err != nil {
			return err
		}
		if kind == pingFrame {
			kind = pongFrame
		}
		if _, err := connection.Write(append([]byte{kind, byte(len(message))}, message...)); err != nil || kind == closeFrame {
			return err
		}
	}
}

func acceptKey(key string) string {
	digest := sha1.Sum([]byte(key + webSocketGUID))
	return base64.StdEncoding.EncodeToString(digest[:])
}

// ClientFrame is a short frame as a client sends it: masked.
func ClientFrame(kind byte, payload string) []byte {
	mask := [4]byte{1, 2, 3, 4}
	frame := append([]byte{kind, masked | byte(len(payload))}, mask[:]...)
	for index := range len(payload) {
		frame = append(frame, payload[index]^mask[index%len(mask)])
	}
	return frame
}

// ReadFrame returns the first byte and the payload of a short frame, unmasked.
func ReadFrame(reader io.Reader) (kind byte, payload string, err error) {
	var head [2]byte
	if _, err := io.ReadFull(reader, head[:]); err != nil {
		return 0, "", err
	}
	length := head[1] &^ masked
	if length > longestMessage {
		return 0, "", errors.New("the WebSocket message is too long")
	}
	var mask [4]byte
	if head[1]&masked != 0 {
		if _, err := io.ReadFull(reader, mask[:]); err != nil {
			return 0, "", err
		}
	}
	data := make([]byte, length)
	if _, err := io.ReadFull(reader, data); err != nil {
		return 0, "", err
	}
	for index := range data {
		data[index] ^= mask[index%len(mask)]
	}
	return head[0], string(data), nil
}
