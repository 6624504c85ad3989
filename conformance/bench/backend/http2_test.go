package backend

import (
	"encoding/binary"
	"slices"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// reader decodes what a client would read.
type reader struct {
	decoder *hpack.Decoder
	frames  []string
}

func (r *reader) read(t *testing.T, data []byte) {
	t.Helper()
	for len(data) > 0 {
		length := int(data[0])<<16 | int(data[1])<<8 | int(data[2])
		payload := data[frameHead : frameHead+length]
		switch data[3] {
		case frameHeaders:
			fields, err := r.decoder.DecodeFull(payload)
			if err != nil {
				t.Fatal(err)
			}
			for _, field := range fields {
				r.frames = append(r.frames, field.Name+"="+field.Value)
			}
		case frameData:
			r.frames = append(r.frames, "data")
		}
		data = data[frameHead+length:]
	}
}

// headers is a frame with a request's header.
func headers(stream uint32, flags byte, fields ...string) []byte {
	var block []byte
	for i := 0; i < len(fields); i += 2 {
		block = append(block, field{name: fields[i], value: fields[i+1]}.literal(0, 4)...)
	}
	return appendFrame(nil, frameHeaders, flags|flagEndHeaders, stream, block)
}

var call = []string{":method", "POST", ":path", "/bench.Responder/Unary", "content-type", "application/grpc", "te", "trailers"}

func TestCallsAreAnswered(t *testing.T) {
	for _, tableSize := range []uint32{0, 4096} {
		s := &streams{answer: http2Answers[GRPC], window: defaultWindow}
		settings := binary.BigEndian.AppendUint32([]byte{0, settingTableSize}, tableSize)
		input := appendFrame([]byte(preface), frameSettings, 0, 0, settings)
		for _, stream := range []uint32{1, 3, 5} {
			input = append(input, headers(stream, 0, call...)...)
			input = appendFrame(input, frameData, flagEndStream, stream, make([]byte, 105))
		}
		client := reader{decoder: hpack.NewDecoder(tableSize, nil)}
		client.decoder.SetAllowedMaxDynamicTableSize(tableSize)
		// Byte by byte: nothing depends on how the input is cut.
		for _, b := range input {
			reply, alive := s.receive([]byte{b})
			if !alive {
				t.Fatal("the connection ends")
			}
			client.read(t, reply)
		}
		one := []string{":status=200", "content-type=application/grpc", "data", "grpc-status=0"}
		if want := slices.Concat(one, one, one); !slices.Equal(client.frames, want) {
			t.Errorf("table of %d: got %v", tableSize, client.frames)
		}
	}
}

func TestAnswersWaitForWindow(t *testing.T) {
	s := &streams{answer: http2Answers[HTTP2], window: 1500}
	input := []byte(preface)
	for _, stream := range []uint32{1, 3} {
		input = append(input, headers(stream, flagEndStream, ":method", "GET", ":path", "/http2/1k")...)
	}
	client := reader{decoder: hpack.NewDecoder(defaultTableSize, nil)}
	reply, _ := s.receive(input)
	client.read(t, reply)
	if len(client.frames) != 4 || s.window != 1500-1024 {
		t.Errorf("window %d after %v", s.window, client.frames)
	}
	reply, _ = s.receive(appendFrame(nil, frameWindowUpdate, 0, 0, []byte{0, 0, 4, 0}))
	client.read(t, reply)
	if len(client.frames) != 8 {
		t.Errorf("after more window: %v", client.frames)
	}
}

func TestWrongRequestsEndTheConnection(t *testing.T) {
	for name, input := range map[string][]byte{
		"preface":      []byte("GET / HTTP/1.1\r\nhost: a\r\n\r\n"),
		"path":         append([]byte(preface), headers(1, flagEndStream, ":method", "POST", ":path", "/other")...),
		"te":           append([]byte(preface), headers(1, flagEndStream, call[:6]...)...),
		"small window": appendFrame([]byte(preface), frameSettings, 0, 0, []byte{0, settingInitialWindow, 0, 0, 0, 9}),
	} {
		s := &streams{answer: http2Answers[GRPC], window: defaultWindow}
		if _, alive := s.receive(input); alive {
			t.Errorf("%s: the connection goes on", name)
		}
	}
}
