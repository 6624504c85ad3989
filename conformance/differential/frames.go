package differential

import (
	"encoding/hex"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"

	"selvedge.dev/conformance/echo"
	"selvedge.dev/conformance/h2"
)

// Frame is one step of a request of HTTP/2: one frame (one header block), or a wait. Exactly one of the
// fields other than Stream and End is set; End alone is an empty DATA frame.
type Frame struct {
	// Stream is the stream's number; that of the request by default.
	Stream uint32 `json:"stream,omitempty"`
	// Headers are sent as they are written, one "name: value" each, pseudo-headers included (expanded fills
	// them in). Head, a method and a target, puts the pseudo-headers and the identity before them.
	Headers []string `json:"headers,omitempty"`
	Head    string   `json:"head,omitempty"`
	// Data is DATA; DataSize is that many letters of it, Message a gRPC message.
	Data     string `json:"data,omitempty"`
	DataSize int    `json:"dataSize,omitempty"`
	Message  string `json:"message,omitempty"`
	// End sets END_STREAM.
	End bool `json:"end,omitempty"`
	// Reset is RST_STREAM with a code such as CANCEL; GoAway is GOAWAY with one.
	Reset  string `json:"reset,omitempty"`
	GoAway string `json:"goAway,omitempty"`
	// Raw is any frame by its bytes.
	Raw *RawFrame `json:"raw,omitempty"`
	// Await waits for what comes of the answer: a head, data or settings (the gateway's own, of the
	// connection); no longer than awaitLimit.
	Await string `json:"await,omitempty"`
}

// RawFrame is a frame that is not checked in any way. Hex is the payload, two digits a byte.
type RawFrame struct {
	Type   byte   `json:"type"`
	Flags  byte   `json:"flags,omitempty"`
	Stream uint32 `json:"stream,omitempty"`
	Hex    string `json:"hex,omitempty"`
}

// awaitLimit bounds a wait within a script: the gateway may rightly hold back what is waited for.
const awaitLimit = time.Second

func (f *Frame) check() error {
	forms := 0
	for _, used := range []bool{f.Headers != nil || f.Head != "", f.Data != "", f.DataSize > 0, f.Message != "", f.Reset != "", f.GoAway != "", f.Raw != nil, f.Await != ""} {
		if used {
			forms++
		}
	}
	if forms > 1 || forms == 0 && !f.End {
		return errors.New("a frame wants one of headers, data, dataSize, message, reset, goAway, raw and await")
	}
	if f.Raw != nil {
		if _, err := hex.DecodeString(f.Raw.Hex); err != nil {
			return err
		}
	}
	for _, code := range []string{f.Reset, f.GoAway} {
		if _, known := h2.Code(code); code != "" && !known {
			return errors.New("no error code of HTTP/2: " + code)
		}
	}
	if f.Await != "" && f.Await != "head" && f.Await != "data" && f.Await != "settings" {
		return errors.New("await wants head, data or settings")
	}
	return nil
}

// script is the request as frames, with its identity filled in.
func (r *Request) script(id string) []Frame {
	if r.Frames != nil {
		frames := make([]Frame, len(r.Frames))
		for i, frame := range r.Frames {
			var lines []string
			if frame.Head != "" {
				lines = append(r.pseudoHeaders(frame.Head), "x-echo-id: "+id)
			}
			frame.Headers = append(lines, expanded(frame.Headers, id)...)
			frames[i] = frame
		}
		return frames
	}
	frames := []Frame{{Headers: r.headLines(id)}}
	switch {
	case r.GRPC != nil:
		for _, message := range r.GRPC {
			frames = append(frames, Frame{Data: string(echo.Message(message))})
		}
	case r.Chunks != nil:
		for _, chunk := range r.Chunks {
			frames = append(frames, Frame{Data: chunk})
		}
	case r.body() != "":
		frames = append(frames, Frame{Data: r.body()})
	}
	if r.Trailers != nil {
		frames = append(frames, Frame{Headers: expanded(r.Trailers, id)})
	}
	// A WebSocket ends later, and a gRPC request without any message by its own frame.
	if r.GRPC != nil && len(frames) == 1 {
		frames = append(frames, Frame{})
	}
	frames[len(frames)-1].End = r.WebSocket == nil
	return frames
}

// headLines is the head of a Send over HTTP/2.
func (r *Request) headLines(id string) []string {
	lines := expanded(r.pseudoHeaders(r.Send), id)
	switch {
	case r.WebSocket != nil:
		lines[0] = ":method: CONNECT"
		lines = append(lines, ":protocol: websocket", "sec-websocket-version: 13")
	case r.GRPC != nil:
		lines = append(lines, "content-type: application/grpc", "te: trailers")
	}
	lines = append(lines, "x-echo-id: "+id)
	lines = append(lines, expanded(r.Headers, id)...)
	if body := r.body(); body != "" && r.Chunks == nil {
		lines = append(lines, contentLength(body))
	}
	return lines
}

var (
	lineRange = regexp.MustCompile(`\{1\.\.(\d+)\}`)
	letters   = regexp.MustCompile(`\{letters (\d+)\}`)
)

// expanded fills the lines in: {id} is the request's identity, {letters 100} stands for so many letters, and
// a line with {1..100} for so many lines, each with its number.
func expanded(lines []string, id string) []string {
	var all []string
	for _, line := range lines {
		line = letters.ReplaceAllStringFunc(withIdentity(line, id), func(found string) string {
			count, _ := strconv.Atoi(letters.FindStringSubmatch(found)[1])
			return strings.Repeat("a", count)
		})
		count := 1
		if found := lineRange.FindStringSubmatch(line); found != nil {
			count, _ = strconv.Atoi(found[1])
		}
		for number := 1; number <= count; number++ {
			all = append(all, lineRange.ReplaceAllString(line, strconv.Itoa(number)))
		}
	}
	return all
}

// pseudoHeaders are those of a method and a target. CONNECT has no target, and so no scheme.
func (r *Request) pseudoHeaders(send string) []string {
	method, target, _ := strings.Cut(send, " ")
	if method == "CONNECT" {
		return []string{":method: CONNECT", ":authority: " + r.Host}
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return []string{":method: " + method, ":scheme: " + scheme, ":authority: " + r.Host, ":path: " + target}
}

// play sends the frames, as much as possible at once. It stops at the first error: what the gateway thought of
// it comes as an answer.
func (e *http2Exchange) play(frames []Frame) {
	e.connection.Hold()
	defer func() { _ = e.connection.Release() }()
	for _, frame := range frames {
		if frame.Await != "" {
			_ = e.connection.Release()
		}
		stream := e.stream
		if frame.Stream != 0 {
			stream = e.connection.Stream(frame.Stream)
		}
		if err := e.sendFrame(stream, frame); err != nil {
			return
		}
		if frame.Await != "" {
			e.connection.Hold()
		}
	}
}

func (e *http2Exchange) sendFrame(stream *h2.Stream, frame Frame) error {
	switch {
	case frame.Headers != nil:
		var fields []h2.Field
		for _, line := range frame.Headers {
			fields = append(fields, h2.ParseLine(line))
		}
		return stream.Send(fields, frame.End)
	case frame.Reset != "":
		return stream.SendReset(code(frame.Reset))
	case frame.GoAway != "":
		return e.connection.SendGoAway(0, code(frame.GoAway))
	case frame.Raw != nil:
		payload, err := hex.DecodeString(frame.Raw.Hex)
		if err != nil {
			return err
		}
		return e.connection.Frame(frame.Raw.Type, frame.Raw.Flags, frame.Raw.Stream, payload)
	case frame.Await == "settings":
		e.connection.AwaitSettings(awaitLimit)
		return nil
	case frame.Await != "":
		e.await(frame.Await)
		return nil
	case frame.Message != "":
		return stream.SendData(echo.Message(frame.Message), frame.End)
	case frame.DataSize > 0:
		return stream.SendData([]byte(strings.Repeat("b", frame.DataSize)), frame.End)
	}
	return stream.SendData([]byte(frame.Data), frame.End)
}

// code is that of a name that check has seen.
func code(name string) http2.ErrCode {
	number, _ := h2.Code(name)
	return number
}
